"""Files are read once a process, and again where they may have changed."""

import os
import time

import pytest

from fernet_neuro._utils import digests
from fernet_neuro._utils.digests import recall_digest


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")
    _make_old(path)
    return path


def _make_old(path, seconds=3600):
    then = time.time() - seconds
    os.utime(path, (then, then))


class Reader:
    """Counts how often a file is read."""

    def __init__(self):
        self.n = 0

    def __call__(self, path):
        self.n += 1
        return path.read_text()


@pytest.fixture(autouse=True)
def remember_young_files(monkeypatch):
    monkeypatch.setattr(digests, "_RACY_SECONDS", -1.0)  # what was made just now has a change time of now


def test_a_file_is_read_once_for_each_thing_that_is_computed(file):
    read = Reader()
    assert [recall_digest(file, "x", read), recall_digest(file, "x", read)] == ["old", "old"]
    assert read.n == 1
    assert recall_digest(file, "y", read) == "old"
    assert read.n == 2


def test_a_changed_file_is_read_again(file):
    recall_digest(file, "x", Reader())
    file.write_text("new")
    assert recall_digest(file, "x", Reader()) == "new"
    file.unlink()
    file.write_text("neu")
    assert recall_digest(file, "x", Reader()) == "neu"


def test_a_file_that_may_change_within_its_time_stamp_is_not_remembered(file, monkeypatch):
    monkeypatch.setattr(digests, "_RACY_SECONDS", 2.0)
    read = Reader()
    assert [recall_digest(file, "x", read), recall_digest(file, "x", read)] == ["old", "old"]
    assert read.n == 2


def test_what_could_not_be_read_is_tried_again(file):
    assert recall_digest(file, "x", lambda _: "") == ""
    assert recall_digest(file, "x", Reader()) == "old"


def test_memory_is_bounded(file, monkeypatch):
    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setattr(digests, "_MOST", 3)
    for number in range(10):
        recall_digest(file, f"{number}", Reader())
        assert len(digests._known) <= 3
    assert recall_digest(file, "9", lambda _: "not asked") == "old"
