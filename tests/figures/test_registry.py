import json
import shutil
import subprocess
import sys
from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures import confusion, layer_profile, stimulus_sheet
from fernet_neuro.figures.registry import FIGURES, build_figure, find_buildable
from fernet_neuro.systems.transfer.figures import bars as transfer_bars
from fernet_neuro.viz import style


@pytest.fixture(scope="module")
def table(results, tmp_path_factory):
    """The source data of a figure by name, as they are written."""
    out = tmp_path_factory.mktemp("tables")
    return cache(lambda name: pd.read_csv(build_figure(name, results, out, formats=())[0]))


@pytest.fixture(scope="module")
def transfer(results):
    """The source of the bars, read once."""
    return transfer_bars.read_transfer(results)


@pytest.fixture(scope="module")
def two_seeds(results, tmp_path_factory):
    """The source of the bars where one network has two training seeds."""
    folder = tmp_path_factory.mktemp("seeds")
    shutil.copytree(results / "probes", folder / "probes")
    path = folder / "probes" / "identity" / "expression" / "results.csv"
    frame = pd.read_csv(path)
    pd.concat([frame, frame.assign(seed=1)]).to_csv(path, index=False)
    return transfer_bars.read_transfer(folder)


@pytest.fixture
def copy(results, tmp_path):
    return shutil.copytree(results / "probes", tmp_path / "res" / "probes").parent


def read_layers(folder, network, target):
    path = folder / "probes" / network / target / "summary.json"
    return pd.DataFrame(json.loads(path.read_text())["layers"])


def test_bars_in_the_axes_are_the_source_data(results, table, transfer):
    csv = table("transfer-bars")
    with style():
        figure = transfer_bars.draw_transfer(transfer, results)
    for ax, target in zip(figure.axes, ("expression", "identity"), strict=True):
        means = csv[(csv["target"] == target) & (csv["kind"] == "mean")]
        drawn = {patch.get_gid().removeprefix("bar:"): patch.get_height() for patch in ax.patches}
        assert list(drawn) == ["identity", "verification", "expression", "untrained", "pixels"]
        assert drawn == pytest.approx(dict(zip(means["network"], means["accuracy_percent"], strict=True)))


def test_bars_report_the_layer_fixed_beforehand_and_not_the_best(results, table):
    csv = table("transfer-bars")
    row = csv.query("target == 'expression' and kind == 'mean' and network == 'identity'").iloc[0]
    layers = read_layers(results, "identity", "expression").query("source == 'network'").set_index("layer")
    assert row["layer"] == "avgpool"
    assert row["accuracy_percent"] == pytest.approx(100 * layers.loc["avgpool", "balanced_accuracy"])
    assert row["accuracy_percent"] < 100 * layers["balanced_accuracy"].max()
    assert row["low_percent"] == pytest.approx(100 * layers.loc["avgpool", "balanced_accuracy_low"])


def test_published_values_stand_with_their_network(table):
    csv = table("transfer-bars")
    published = csv[csv["kind"] == "published"]
    found = {(row.target, row.network): row.accuracy_percent for row in published.itertuples()}
    assert found == {
        ("expression", "identity"): 62.6,
        ("expression", "verification"): 15.0,
        ("identity", "identity"): 98.6,
    }
    assert (published["reference"] == "Schwartz et al. 2020; KDEF").all()


def test_dots_average_to_their_bar(table):
    csv = table("transfer-bars")
    folds = csv[csv["kind"] == "fold"].groupby(["target", "network"])["accuracy_percent"].mean()
    means = csv[csv["kind"] == "mean"].set_index(["target", "network"])["accuracy_percent"]
    pd.testing.assert_series_equal(folds.sort_index(), means.sort_index())


def test_several_training_seeds_become_the_dots(two_seeds):
    rows = two_seeds.query("target == 'expression' and network == 'identity' and kind != 'published'")
    assert list(rows["kind"]) == ["mean", "seed", "seed"]
    assert "training seeds" in transfer_bars.caption_transfer(two_seeds)


def test_pixels_get_no_dots_where_dots_are_training_seeds(two_seeds):
    source = two_seeds.query("target == 'expression' and network == 'pixels'")
    assert list(source["kind"]) == ["mean"]


def test_caption_names_the_exception_among_intervals(transfer):
    source = transfer.copy()
    means = source["kind"] == "mean"
    source.loc[means, "interval"] = "training seeds"
    source.loc[means & (source["network"] == "pixels"), "interval"] = "identities"
    caption = transfer_bars.caption_transfer(source)
    assert "95 % interval over training seeds (pixels: identities);" in caption


def test_caption_says_layer_interval_and_what_is_not_there(copy, transfer):
    full = transfer_bars.caption_transfer(transfer)
    assert "average pool" in full
    assert "5 test folds (a), 7 test folds (b)" in full
    assert "Not in these results" not in full
    shutil.rmtree(copy / "probes" / "verification")
    source = transfer_bars.read_transfer(copy)
    assert "Not in these results: verification network." in transfer_bars.caption_transfer(source)
    assert "verification" not in set(source["network"])


def test_captions_and_legend_speak_only_of_what_is_drawn(copy):
    shutil.move(copy / "probes" / "identity", copy / "probes" / "mine")
    for network in ("verification", "expression"):
        shutil.rmtree(copy / "probes" / network)
    for target in ("expression", "identity"):
        path = copy / "probes" / "mine" / target / "summary.json"
        content = json.loads(path.read_text())
        content["layers"] = [row for row in content["layers"] if row["source"] != "untrained"]
        path.write_text(json.dumps(content))
    source = transfer_bars.read_transfer(copy)
    caption = transfer_bars.caption_transfer(source)
    assert "diamonds" not in caption
    assert "untrained" not in caption
    with style():
        figure = transfer_bars.draw_transfer(source)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "95 % interval",
        "test folds",
    ]
    assert "untrained" not in layer_profile.caption_profile(layer_profile.read_profile(copy))


def test_one_readout_gives_one_panel(copy, tmp_path):
    for network in ("identity", "verification", "expression"):
        shutil.rmtree(copy / "probes" / network / "identity")
    for name in ("transfer-bars", "layer-profile"):
        csv = pd.read_csv(build_figure(name, copy, tmp_path / "out", formats=())[0])
        assert set(csv["panel"]) == {"a"}


def test_profile_lines_are_the_source_data_in_forward_order(results, table):
    csv = table("layer-profile")
    rows = csv[(csv["target"] == "identity") & (csv["network"] == "verification")]
    layers = read_layers(results, "verification", "identity").query("source == 'network'")
    assert list(rows["layer"]) == list(layers.sort_values("layer_index")["layer"])
    assert rows["position"].is_monotonic_increasing
    with style():
        figure = layer_profile.draw_profile(layer_profile.read_profile(results), results)
    (line,) = [line for line in figure.axes[1].lines if line.get_gid() == "verification"]
    np.testing.assert_allclose(line.get_ydata(), rows["accuracy_percent"])
    np.testing.assert_allclose(line.get_ydata(), 100 * layers["balanced_accuracy"])


def test_profile_marks_follow_the_corrected_p_value(results, table):
    csv = table("layer-profile")
    assert csv["significant"].equals(csv["p_value_max"] < 0.05)
    assert csv["significant"].any()
    assert not csv["significant"].all()


def test_a_profile_without_any_significant_layer_is_laid_out(results):
    source = layer_profile.read_profile(results).assign(significant=False)
    with style():
        figure = layer_profile.draw_profile(source)
        figure.draw_without_rendering()
    assert all(ax.get_position().width > 0.3 for ax in figure.axes)


def test_layer_orders_are_merged_and_contradictions_refused():
    merged = layer_profile.merge_orders([["a", "b", "d"], ["a", "b", "c", "d"], ["b", "d", "e"]])
    assert merged == ["a", "b", "c", "d", "e"]
    with pytest.raises(ValueError, match="in different orders"):
        layer_profile.merge_orders([["a", "b"], ["b", "a"]])


def test_confusion_rows_add_up_and_match_the_counts(results, table):
    csv = table("confusion")
    sums = csv.groupby(["network", "true"])["percent"].sum()
    np.testing.assert_allclose(sums, 100)
    counts = pd.read_csv(results / "probes" / "identity" / "expression" / "confusion.csv")
    wanted = counts.query("layer == 'avgpool' and true == 'fear' and predicted == 'fear'")["count"].item()
    drawn = csv.query("network == 'identity' and true == 'fear' and predicted == 'fear'").iloc[0]
    assert drawn["count"] == wanted
    assert drawn["percent"] == pytest.approx(100 * wanted / 70)


def test_confusions_without_the_layer_are_said(copy):
    path = copy / "probes" / "identity" / "expression" / "confusion.csv"
    frame = pd.read_csv(path)
    frame[frame["layer"] != "avgpool"].to_csv(path, index=False)
    with pytest.raises(StoreError, match="no confusions of layer 'avgpool'"):
        confusion.read_confusions(copy)


def test_sheet_cells_hold_what_their_labels_say(results):
    source = stimulus_sheet.read_sheet(results)
    first, second = (source[source["panel"] == panel] for panel in "ab")
    assert (first["row_label"] == first["identity"]).all()
    assert (first["column_label"] == first["expression"]).all()
    assert set(first["view"]) == {"straight"}
    assert len(first) == 4 * 7
    assert list(second["column_label"]) == ["full_left", "half_left", "straight", "half_right", "full_right"]
    assert set(second["identity"]) == {first["identity"].iloc[0]}


def test_sheet_of_one_view_has_one_panel(results, tmp_path):
    folder = shutil.copytree(results / "stimuli", tmp_path / "stimuli")
    table = pd.read_csv(folder / "probe" / "table.csv")
    table[table["view"] == "straight"].assign(view="").to_csv(folder / "probe" / "table.csv", index=False)
    source = stimulus_sheet.read_sheet(tmp_path)
    assert set(source["panel"]) == {"a"}
    build_figure("stimulus-sheet", tmp_path, tmp_path / "out", formats=())


def test_architecture_needs_no_results(tmp_path):
    assert build_figure("architecture", tmp_path, tmp_path / "out", formats=("png",))[0].is_file()


def test_an_unknown_figure_is_suggested(results, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'transfer-bars'"):
        build_figure("transfer-bar", results, tmp_path)


@pytest.mark.parametrize("name", [name for name, spec in FIGURES.items() if spec.needs])
def test_missing_results_leave_what_was_there(tmp_path, name):
    old = tmp_path / "out" / f"{name}.pdf"
    old.parent.mkdir()
    old.write_bytes(b"old")
    with pytest.raises(StoreError, match="does not exist; make it with: fernet-neuro"):
        build_figure(name, tmp_path, tmp_path / "out")
    assert [path.read_bytes() for path in old.parent.iterdir()] == [b"old"]


def test_a_missing_results_folder_is_named(tmp_path):
    commands = r"run, probe, embed, evaluate, rsa or brain searchlight and --out .*nowhere"
    message = rf"results folder .*nowhere does not exist; make it with fernet-neuro {commands}"
    with pytest.raises(StoreError, match=message):
        build_figure("architecture", tmp_path / "nowhere", tmp_path)
    with pytest.raises(StoreError, match=message) as raised:
        find_buildable(tmp_path / "nowhere")
    assert "\n" not in str(raised.value)
    assert "demo.yaml" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("transfer-bars", "run demo"),
        ("confusion", "run demo"),
        ("stimulus-sheet", "run demo"),
        ("grid", "run RECIPE"),
        ("accuracy-cost", "run crpn/table1"),
        ("crpn-fig2", "run crpn/fig2"),
        ("crpn-fig3", "run crpn/fig3"),
        ("crpn-fig4", "run crpn/fig4"),
        ("rsa-models", "rsa --models"),
        ("searchlight-map", "brain searchlight"),
    ],
)
def test_a_missing_results_folder_names_what_makes_this_figures_results(tmp_path, name, command):
    with pytest.raises(StoreError, match=rf"make it with: fernet-neuro {command}.* --out .*nowhere"):
        build_figure(name, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_laid_out_is_drawn_once_for_each_picture(results, tmp_path, monkeypatch):
    drawn, draw = [], Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda self, renderer: (drawn.append(self), draw(self, renderer)))
    build_figure("confusion", results, tmp_path)
    assert len(drawn) == 2, "a PDF and a PNG"


def test_figures_of_results_are_read_without_torch(results):
    code = """
import sys
from pathlib import Path
from fernet_neuro.figures.registry import FIGURES
for spec in FIGURES.values():
    if spec.needs:
        spec.read(Path(sys.argv[1]))
        if "torch" in sys.modules:
            sys.exit(spec.name)
"""
    done = subprocess.run([sys.executable, "-c", code, results], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
