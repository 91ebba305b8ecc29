import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fernet_neuro.cli.app import app


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, ["figures", *map(str, arguments)])


def test_list_names_every_figure(run):
    output = run("list").output
    for name in ("transfer-bars", "layer-profile", "confusion", "stimulus-sheet", "architecture"):
        assert name in output
    assert "probes/*/expression/summary.json" in output


def test_build_writes_and_prints_the_caption(run, tmp_path):
    done = run("build", "architecture", "--results", tmp_path, "--out", tmp_path / "figs")
    assert done.exit_code == 0
    assert sorted(path.suffix for path in (tmp_path / "figs").iterdir()) == [".csv", ".pdf", ".png", ".txt"]
    assert "Schwartz" in done.output


def test_build_checks_every_name_before_it_writes(run, tmp_path):
    done = run("build", "architecture", "confuson", "--results", tmp_path, "--out", tmp_path / "figs")
    assert isinstance(done.exception, ValueError)
    assert "Did you mean 'confusion'" in str(done.exception)
    assert not (tmp_path / "figs").exists()


def test_build_writes_into_the_results_by_default(run, tmp_path):
    run("build", "architecture", "--results", tmp_path)
    assert (tmp_path / "figures" / "architecture.png").is_file()


def test_a_file_where_a_folder_is_needed_is_told_once_and_not_for_each_figure(run, results, tmp_path):
    (tmp_path / "file").touch()
    done = run("build", "all", "--results", results / "probe", "--out", tmp_path / "file" / "figs")
    assert isinstance(done.exception, NotADirectoryError)
    assert "Left out" not in done.output


def test_the_command_file_loads_no_plotting_library():
    heavy = "{'matplotlib', 'pandas'}.intersection(sys.modules)"
    code = f"import sys, fernet_neuro.cli.figures; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
