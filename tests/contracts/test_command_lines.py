"""Damaged command lines end in one line and exit code 2, or do what they say; `make fuzz` tries hundreds."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import fuzz_commands
import kill

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

#: Lines whose inputs are one rendered set, and which take a fraction of a second.
QUICK = [
    "stimuli import folder faces --out out.csv",
    "stimuli split faces/table.csv --test-share 0.4 --out-train out1.csv --out-test out2.csv",
    "stimuli check faces/table.csv",
    "rdm faces/table.csv --factor identity --out out.npz",
    "rsa --models faces/table.csv --brain out.npz --bootstrap 30 --permutations 30 --out out",
    "probe store --layer avgpool --folds 3 --permutations 20 --no-controls --out out",
    "extract resnet10-slim --stimuli faces/table.csv --size x --layer layer1 --out out",
    "brain decode regions --average --permutations 19 --out out",
    "figures build embedding-maps --results maps --out out",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FERNET_NEURO_CACHE", str(tmp_path))  # put back at the end
    monkeypatch.setattr(kill, "_INPUTS", kill._INPUTS[:1])
    monkeypatch.setattr(kill, "_IMPORTED", ("fernet_neuro.cli.app", "fernet_neuro.rsa.analysis.models"))
    fuzz_commands.make_inputs(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_damaged_command_lines_end_in_one_line(folder, monkeypatch):
    monkeypatch.setattr(fuzz_commands, "list_lines", lambda: QUICK)
    assert set(fuzz_commands.fuzz_commands(3 * len(QUICK), 5, folder)) == {""}


def test_every_line_is_of_a_command_with_options_and_is_damaged():
    rng = np.random.default_rng(0)
    for line in fuzz_commands.list_lines():
        assert any(fuzz_commands.damage(line, rng) != line.split() for _ in range(5)), line


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("raise KeyError('x')", "traceback: KeyError: 'x'"),
        ("raise SystemExit(7)", "exit code 7"),
        ("sys.stderr.write('Error: a\\nError: b\\n'); sys.exit(2)", "2 lines of errors"),
        ("sys.stderr.write('Error: a\\n'); sys.exit(2)", ""),
        ("sys.exit(0)", ""),
    ],
)
def test_what_counts_as_a_fault_of_a_line(tmp_path, monkeypatch, body, fault):
    (tmp_path / "work").mkdir()
    monkeypatch.setattr("fernet_neuro.cli.app.main", lambda: exec(body, {"sys": sys}))
    assert fuzz_commands.find_fault(["info"], tmp_path / "work").startswith(fault)
    assert bool(fuzz_commands.find_fault(["info"], tmp_path / "work")) is bool(fault)
