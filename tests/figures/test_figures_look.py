"""What a user may change of figures, and what `figures build all` says of a folder."""

import shutil

import pandas as pd
import pytest

from fernet_neuro.figures import probe as probe_figures
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, Look, figure_size, style


def test_width_font_format_and_palette_are_set_in_one_place(run, results, tmp_path):
    asked = ("figures", "build", "transfer-bars", "--results", results, "--out", tmp_path)
    code, _, err = run(*asked, "--width", "165", "--format", "svg", "--palette", "grey")
    assert code == 0, err
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".csv", ".txt"}
    drawn = (tmp_path / "transfer-bars.svg").read_text()
    assert f'width="{165 / 25.4 * 72:.6f}'[:12] in drawn
    assert "#5a5a5a" in drawn
    assert "#009e73" not in drawn
    for option, value, message in (
        ("--width", "wide", "width must be single"), ("--width", "5", "width must be single"),
        ("--width", "single", "need 161 mm, and 85 mm were asked for; leave the width out, or give 161"),
        ("--font", "No Such Font", "font 'No Such Font' is not installed"),
        ("--palette", "pink", "palette"), ("--format", "gif", "format"),
    ):  # fmt: skip
        code, _, err = run(*asked, option, value)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


@pytest.mark.parametrize("column", COLUMN_WIDTHS_MM)
def test_the_width_that_is_named_is_the_least_that_is_accepted(column):
    with (
        style(look=Look(40.0)),
        pytest.raises(ValueError, match=r"need (\d+) mm, .* give \1 mm or more") as found,
    ):
        figure_size(column, 60)
    least = int(str(found.value).split()[-4])
    with style(look=Look(float(least))):
        assert figure_size(column, 60)[0] == least / 25.4
    with style(look=Look(least - 1.0)), pytest.raises(ValueError, match="mm or more"):
        figure_size(column, 60)


def test_a_folder_without_results_and_figures_that_fail_are_told(run, results, tmp_path):
    code, _, err = run("figures", "build", "all", "--results", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "holds no results that a figure is made from" in err
    probe = shutil.copytree(results / "probe", tmp_path / "probe")
    rows = pd.read_csv(probe / "confusion.csv").assign(layer="elsewhere")
    rows.to_csv(probe / "confusion.csv", index=False)
    code, out, err = run("figures", "build", "all", "--results", probe)
    assert code == 1, err
    assert "Left out: probe-confusion (" in err
    assert err.count("\n") == 1
    assert "probe-layers.png" in out
    assert {path.stem for path in (probe / "figures").iterdir()} == {"probe-layers"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("hue"), "KeyError: 'hue'"), (ZeroDivisionError(), "ZeroDivisionError"),
        (ValueError("x and y must\nhave same length"), "x and y must have same length"),
        (MemoryError("no room " * 99), "MemoryError: no room"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["draws", "asks whether it applies"])
def test_a_figure_that_fails_in_any_library_costs_no_other(
    run, results, tmp_path, monkeypatch, error, said, where
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(probe_figures, "plot_confusion", fail)
    if where != "draws":
        monkeypatch.setattr(probe_figures, "has_classes", fail)
    probe = shutil.copytree(results / "probe", tmp_path / "probe")
    code, out, err = run("figures", "build", "all", "--results", probe)
    assert (code, err.count("\n")) == (1, 1)
    assert f"Left out: probe-confusion ({said}" in err
    assert len(err) < 220
    assert "probe-layers.pdf" in out
    assert {path.stem for path in (probe / "figures").iterdir()} == {"probe-layers"}


def test_an_interruption_is_no_failure_of_a_figure(run, results, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(probe_figures, "plot_confusion", stop)
    assert run("figures", "build", "all", "--results", results / "probe", "--out", tmp_path)[0] == 130
