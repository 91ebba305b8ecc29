"""What is there already stays unless a command is told to replace it."""

import os
from pathlib import Path

import pytest

from fernet_neuro._utils.atomic import atomic_files
from fernet_neuro.cli._outputs import check_out_file, check_out_folder
from fernet_neuro.exceptions import StoreError

REPORTS = ("summary.json", "results.csv")


@pytest.mark.parametrize("present", [(), ("notes.txt",)])
def test_a_folder_without_reports_may_be_written_to(tmp_path, present):
    for name in present:
        (tmp_path / name).touch()
    check_out_folder(tmp_path, REPORTS, overwrite=False)
    check_out_folder(tmp_path / "new", REPORTS, overwrite=False)


def test_a_folder_with_a_report_is_replaced_only_if_asked_for(tmp_path):
    (tmp_path / "results.csv").touch()
    with pytest.raises(StoreError, match=r"already holds results\.csv; add --overwrite, or name another"):
        check_out_folder(tmp_path, REPORTS, overwrite=False)
    check_out_folder(tmp_path, REPORTS, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_and_folders_do_not_replace_each_other(tmp_path, overwrite):
    file, folder = tmp_path / "file.csv", tmp_path / "folder.csv"
    file.touch()
    folder.mkdir()
    with pytest.raises(StoreError, match=r"file\.csv is a file; name a folder"):
        check_out_folder(file, REPORTS, overwrite=overwrite)
    with pytest.raises(StoreError, match=r"folder\.csv is a folder; name a file"):
        check_out_file(folder, [".csv"], overwrite=overwrite)


def test_a_file_is_replaced_only_if_asked_for(tmp_path):
    check_out_file(tmp_path / "new.csv", [".csv"], overwrite=False)
    (tmp_path / "old.csv").touch()
    with pytest.raises(StoreError, match=r"old\.csv is already there; add --overwrite, or name another file"):
        check_out_file(tmp_path / "old.csv", [".csv"], overwrite=False)
    check_out_file(tmp_path / "old.csv", [".csv"], overwrite=True)


def test_a_files_end_says_its_format(tmp_path):
    with pytest.raises(ValueError, match=r"x\.txt must end in one of: \.csv, \.npz\."):
        check_out_file(tmp_path / "x.txt", [".csv", ".npz"], overwrite=True)
    with pytest.raises(ValueError, match=r"x\.txt must end in \.csv\."):
        check_out_file(tmp_path / "x.txt", [".csv"], overwrite=True)
    check_out_file(tmp_path / "X.CSV", [".csv"], overwrite=False)
    check_out_file(tmp_path / "x.txt", [], overwrite=False)


def write_and_die(folder, n_renamed: int) -> None:
    """Write three files as a command does, in a process that dies when some of them have their names."""
    child = os.fork()
    if child == 0:
        with atomic_files(folder, ["results.csv", "confusion.csv", "summary.json"]) as files:
            for path in files.values():
                path.write_text("half")
            rename, count = Path.replace, 0

            def replace(self, target):
                nonlocal count
                if count == n_renamed:
                    os._exit(9)
                count += 1
                return rename(self, target)

            Path.replace = replace
    os.waitpid(child, 0)


@pytest.mark.parametrize("n_renamed", [1, 2])
def test_what_was_half_written_when_its_command_was_killed_is_no_report(tmp_path, n_renamed):
    write_and_die(tmp_path, n_renamed)
    assert (tmp_path / "results.csv").read_text() == "half"
    check_out_folder(tmp_path, ("summary.json", "results.csv", "confusion.csv"), overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_users_own_file_is_never_taken_for_a_half_written_one(tmp_path):
    (tmp_path / "results.csv").write_text("mine")
    write_and_die(tmp_path, 0)
    with pytest.raises(StoreError, match=r"already holds results\.csv"):
        check_out_folder(tmp_path, ("summary.json", "results.csv", "confusion.csv"), overwrite=False)
    assert (tmp_path / "results.csv").read_text() == "mine"
