import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fernet_neuro.cli.app import app as command
from fernet_neuro.exceptions import StoreError
from fernet_neuro.stimuli.table import StimulusTable


@pytest.fixture(scope="module")
def app():
    return command


def run(app, *arguments):
    result = CliRunner().invoke(app, ["stimuli", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_render_writes_the_design_and_says_where(app, tmp_path):
    out = tmp_path / "faces"
    result = run(
        app, "render", "--identities", 2, "--expressions", "fear,neutral", "--views", "half_left,straight",
        "--sessions", 1, "--size", 32, "--intensity", "0.5,1", "--style", "drawn",
        "--set", "variation=0", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0
    assert "16 faces in" in result.output
    assert str(out / "table.csv") in result.output
    table = StimulusTable.read(out / "table.csv")
    assert set(table.factor("view")) == {"half_left", "straight"}
    assert set(table.factor("intensity")) == {0.5, 1.0}
    assert set(table.factor("style")) == {"drawn"}


def test_clips_writes_frames(app, tmp_path):
    result = run(
        app,
        "clips",
        "--identities",
        1,
        "--expressions",
        "anger",
        "--frames",
        3,
        "--size",
        32,
        "--out",
        tmp_path / "c",
    )
    assert "3 frames in" in result.output
    assert StimulusTable.read(tmp_path / "c" / "table.csv").factor("frame").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--expressions", "happines"], "Did you mean 'happiness'"),
        (["--views", "7"], "views must be 1, 2, 3 or 5"),
        (["--set", "identities=0"], "'identities'"),
        (["--intensity", "strong"], "--intensity must be numbers"),
        (["--face-model", "absent.npz"], r"absent\.npz does not exist"),
        (["--style", "oil"], "'style'"),
        (["--set", "colour=red"], "unknown key 'colour'"),
    ],
)
def test_mistakes_are_one_clear_error_and_leave_nothing(app, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        run(app, "render", *arguments, "--out", tmp_path / "faces")
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_is_kept_unless_told(app, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    arguments = ["render", "--identities", 1, "--views", 1, "--sessions", 1, "--size", 16, "--out", tmp_path]
    with pytest.raises(StoreError, match="pass --overwrite"):
        run(app, *arguments)
    assert (tmp_path / "mine.txt").exists()
    run(app, *arguments, "--overwrite")
    assert not (tmp_path / "mine.txt").exists()


def test_the_command_file_loads_no_heavy_package():
    code = (
        "import sys, fernet_neuro.cli.stimuli.render; "
        "print([m for m in ('numba', 'numpy', 'pandas', 'torch', 'PIL', 'pydantic') if m in sys.modules])"
    )
    # The package `cli` itself must not load them either.
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
