"""What is there already stays unless a command is told to replace it."""

import pytest

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
