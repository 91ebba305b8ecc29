"""A damaged file of any kind that is read is one line with its name; `make fuzz` does the same for longer."""

import importlib.util
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "fuzz.py"
_SPEC = importlib.util.spec_from_file_location("fuzz", _SCRIPT)
fuzz = importlib.util.module_from_spec(_SPEC)
sys.modules["fuzz"] = fuzz
_SPEC.loader.exec_module(fuzz)


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_files_are_read_or_refused_by_name(kind, tmp_path):
    assert list(fuzz.fuzz(kind, 25, 7, tmp_path)) == []


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
    assert fuzz.find_fault(len, b"") == ""
