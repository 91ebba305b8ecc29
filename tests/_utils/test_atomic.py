"""Complete or absent: a failure leaves what was there before, and nothing beside it."""

import errno
import re
import subprocess
import sys
import tempfile

import pytest

from fernet_neuro._utils.atomic import atomic_file, atomic_folder, scratch_folder, write_text


def listing(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_and_keeps_its_suffix(tmp_path):
    target = tmp_path / "new" / "table.csv"
    with atomic_file(target) as temporary:
        assert temporary.suffix == ".csv"
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert listing(target.parent) == ["table.csv"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(OSError, match="No space left"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "old"
    assert listing(tmp_path) == ["table.csv"]


def test_a_full_disk_keeps_the_old_file(tmp_path):
    resource = pytest.importorskip("resource", reason="file size limits exist on POSIX only")
    import signal

    target = tmp_path / "big.txt"
    target.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            write_text(target, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert target.read_text() == "old"
    assert listing(tmp_path) == ["big.txt"]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "store"
    for content in ("first", "second"):
        with atomic_folder(target) as temporary:
            (temporary / content).write_text(content)
    assert listing(target) == ["second"]
    assert listing(tmp_path) == ["store"]


def test_a_failed_folder_keeps_the_old_one(tmp_path):
    target = tmp_path / "store"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError, match="stopped"), atomic_folder(target) as temporary:
        (temporary / "half").write_text("half")
        raise RuntimeError("stopped")
    assert listing(target) == ["old"]
    assert listing(tmp_path) == ["store"]


def test_a_folder_is_as_open_as_any_other(tmp_path):
    (tmp_path / "plain").mkdir()
    with atomic_folder(tmp_path / "store"):
        pass
    assert (tmp_path / "store").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_interrupt_is_a_failure_too(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt, match="stop"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt("stop")
    assert target.read_text() == "old"
    assert listing(tmp_path) == ["a.txt"]


def test_what_a_writer_made_private_has_the_mode_of_other_files(tmp_path):
    (tmp_path / "usual").write_text("x")
    usual = (tmp_path / "usual").stat().st_mode
    with atomic_file(tmp_path / "a") as temporary:
        temporary.touch(mode=0o600)
    with atomic_folder(tmp_path / "b") as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "c").touch(mode=0o600)
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b" / "deep" / "c").stat().st_mode == usual


def be_killed(tmp_path, step):
    """Write over a folder and a file in another process, which ends at once at `step`."""
    script = f"""
import os, sys
from pathlib import Path
from fernet_neuro._utils.atomic import atomic_file, atomic_folder
place = Path({str(tmp_path)!r})
rename, seen = Path.rename, []
def count(path, target):
    seen.append(path)
    if len(seen) == {step}:
        os._exit(9)
    return rename(path, target)
Path.rename = count
with atomic_folder(place / "store") as new:
    (new / "new").write_text("new")
with atomic_file(place / "table.csv") as new:
    new.write_text("half")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9


@pytest.mark.parametrize(("step", "holds"), [(1, "before"), (2, "before"), (3, "new")])
def test_what_killed_processes_leave_is_removed_or_put_back(tmp_path, step, holds):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "before").write_text("years of work")
    (tmp_path / "table.csv").write_text("old")
    (tmp_path / ".notes.tmp").write_text("not ours")
    be_killed(tmp_path, step)
    assert len(listing(tmp_path)) > 3 or holds == "new"
    write_text(tmp_path / "other.txt", "next")
    assert listing(tmp_path) == [".notes.tmp", "other.txt", "store", "table.csv"]
    assert listing(tmp_path / "store") == [holds]
    assert (tmp_path / "table.csv").read_text() == "old"


def test_what_a_running_process_writes_is_left_alone(tmp_path):
    with atomic_folder(tmp_path / "store") as temporary:
        (temporary / "half").write_text("half")
        script = (
            f"from fernet_neuro._utils.atomic import write_text; write_text({str(tmp_path / 'a.txt')!r}, '')"
        )
        subprocess.run([sys.executable, "-c", script], check=True)
    assert listing(tmp_path / "store") == ["half"]


def test_scratch_folders_of_killed_processes_are_removed_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as living:
        dead = living.with_name(re.sub(r"-\d+-", "-99999999-", living.name))
        dead.mkdir()
        foreign = tmp_path / "fernet-neuro-notes"
        foreign.mkdir()
        with scratch_folder() as other:
            assert sorted(tmp_path.iterdir()) == sorted([living, other, foreign])
    assert list(tmp_path.iterdir()) == [foreign]
