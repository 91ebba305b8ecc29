"""A damaged file of any kind that is read is one line with its name; `make fuzz` does the same for longer."""

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "fuzz.py"
_SPEC = importlib.util.spec_from_file_location("fuzz", _SCRIPT)
fuzz = importlib.util.module_from_spec(_SPEC)
sys.modules["fuzz"] = fuzz
_SPEC.loader.exec_module(fuzz)
hostile = fuzz.hostile


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_and_hostile_files_are_read_or_refused_by_name_and_run_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / kind)
    tally = fuzz.Tally()
    assert list(fuzz.fuzz(kind, 25, 7, tmp_path, tally)) == []
    assert tally.damaged == 25
    assert tally.hostile >= 22


def _unpickle(path):
    return pickle.loads(path.read_bytes())


def _load_tags(path):
    return yaml.unsafe_load(path.read_text())


@pytest.mark.parametrize(
    ("kind", "read", "n_ran"),
    [
        ("weights-arrays", _unpickle, 6),
        ("rdm-npy", lambda path: np.load(path, allow_pickle=True), 8),
        ("rdm-npy", lambda path: eval(path.read_bytes().partition(b"'descr': ")[2].partition(b" or ")[0]), 1),
        ("recipe", _load_tags, 6),
    ],
)
def test_readers_without_care_are_caught(tmp_path, monkeypatch, kind, read, n_ran):
    monkeypatch.syspath_prepend(tmp_path)
    name, write, _ = fuzz.KINDS[kind]
    write(tmp_path / name)
    hostile.write_payload(tmp_path)
    found = []
    for what, text in hostile.make_seeds(kind, name, (tmp_path / name).read_bytes(), tmp_path):
        (tmp_path / name).write_bytes(text)
        fault = fuzz.find_fault(read, tmp_path / name)
        found += [what] if fault.startswith("it ran ") else []
        monkeypatch.delitem(sys.modules, hostile.MODULE, raising=False)
    assert len(found) >= n_ran, found


def test_what_a_file_does_without_an_event_shows_in_what_it_leaves(tmp_path):
    fault = fuzz.find_fault(lambda path: path.with_name(hostile.MARKER).write_text(""), tmp_path / "file.csv")
    assert fault == "it ran what the file holds"
    assert not list(tmp_path.iterdir())


def test_time_bounds_files_and_command_lines(tmp_path, monkeypatch, capsys):
    assert list(fuzz.fuzz("events", 25, 7, tmp_path, tally := fuzz.Tally(), end=0)) == []
    assert (tally.damaged, tally.hostile) == (0, 0)
    line = "--n 30 --kind events --commands 5 --seconds 0 --keep"
    monkeypatch.setattr(sys, "argv", ["fuzz", *line.split(), str(tmp_path / "kept")])
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert fuzz.main() == 0
    said = capsys.readouterr().out
    assert "0 damaged and 0 hostile files, 0 faults" in said
    assert "0 damaged command lines, 0 faults" in said
    assert "stopped after 0 s" in said


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("file.csv is damaged"), ""),
        (OSError("damaged"), "no name of the file: OSError: damaged"),
        (KeyError("x"), "builtins.KeyError: 'x'"),
        (MemoryError(), "builtins.MemoryError: "),
    ],
)
def test_what_counts_as_a_fault(tmp_path, error, fault):
    def read(_):
        raise error

    assert fuzz.find_fault(read, tmp_path / "file.csv") == fault
    assert fuzz.find_fault(str, tmp_path / "file.csv") == ""
