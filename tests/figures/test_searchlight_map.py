import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.registry import FIGURES, build_figure
from fernet_neuro.figures.searchlight_map import caption_map, draw_map, find_group, read_map
from fernet_neuro.viz.brain_maps import map_scale
from fernet_neuro.viz.style import style


@pytest.fixture
def copy(results, tmp_path):
    return shutil.copytree(results / "searchlight", tmp_path / "maps")


def test_maps_are_found_in_a_results_folder_or_by_themselves(results, tmp_path):
    assert find_group(results) == find_group(results / "searchlight") == results / "searchlight"
    with pytest.raises(StoreError, match=r"group_mask.nii.gz does not exist; make it with: fernet"):
        find_group(tmp_path)


def test_maps_of_single_subjects_say_what_is_missing(tmp_path):
    place = tmp_path / "sub-01" / "func"
    place.mkdir(parents=True)
    (place / "sub-01_stat-spearman_desc-pixels_statmap.nii.gz").touch()
    with pytest.raises(StoreError, match="only maps of single subjects; a group needs five or more subjects"):
        find_group(tmp_path)


def test_the_source_data_are_the_peaks(results):
    source = read_map(results)
    peaks = pd.read_csv(results / "searchlight" / "peaks.csv")
    pd.testing.assert_frame_equal(source[list(peaks)], peaks, check_dtype=False)
    assert source["model"].tolist() == ["identity", "identity", "layer 1.2"]
    assert source["is_significant"].tolist() == [True, True, False]
    assert set(source["n_subjects"]) == {9}
    assert np.abs(source.loc[0, ["x_mm", "y_mm", "z_mm"]].to_numpy(float) - (42, -54, -18)).max() <= 6


def test_rows_are_models_and_the_bar_has_a_unit(results):
    source = read_map(results)
    with style():
        figure = draw_map(source, results)
    titles = [text.get_text() for text in figure.texts]
    assert titles[0].startswith("$\\bf{a}$  identity: ")
    assert titles[0].endswith(" voxels in 2 clusters, 9 subjects")
    assert titles[1] == "$\\bf{b}$  layer 1.2: no voxel significant, 9 subjects"
    labels = [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()]
    assert labels == ["Mean Spearman correlation over subjects where p ≤ 0.05, corrected (unitless)"]


def test_only_significant_voxels_are_drawn(results):
    from fernet_neuro.brain import images
    from fernet_neuro.figures.searchlight_map import _find_largest, _read_significant

    folder = results / "searchlight"
    shown = np.asarray(_read_significant(folder, "identity", 0.05).dataobj)
    mean = images.load_image(folder / "group" / "group_stat-mean_desc-identity_statmap.nii.gz").get_fdata()
    logp = images.load_image(folder / "group" / "group_stat-logp_desc-identity_statmap.nii.gz").get_fdata()
    assert np.array_equal(shown, np.where(logp > 2, mean, 0).astype(np.float32))
    assert (shown > 0).sum() == read_map(results)["n_voxels"].sum() > 0
    empty = _read_significant(folder, "layer12", 0.05)
    assert not np.asarray(empty.dataobj).any()
    assert _find_largest([empty]) == 0.1
    assert _find_largest([_read_significant(folder, "identity", 0.05)]) >= shown.max()
    assert _find_largest([_read_significant(folder, "identity", 0.05)]) < shown.max() * 1.1


def test_colours_are_readable_on_white():
    norm, cmap = map_scale(0.4)
    assert (norm.vmin, norm.vmax) == (0, 0.4)
    for value in (0.0, 0.2, 0.4):
        red, green, blue, _ = cmap(norm(value))
        luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
        assert 1.05 / (luminance + 0.05) > 1.5


def test_the_caption_says_what_was_corrected_and_what_not(results, copy):
    caption = caption_map(read_map(results))
    for phrase in (
        "Searchlight maps of 9 subjects: Spearman correlation of each model RDM with the crossnobis RDM",
        "within 10 mm around each voxel",
        "p ≤ 0.05 by 999 sign flips of whole maps, one-sided",
        "maximum t over voxels, for each model by itself",
        "taken to be in MNI space",
        "No voxel is significant for layer 1.2",
    ):
        assert phrase in caption
    path = copy / "settings.json"
    settings = json.loads(path.read_text())
    settings["group"]["correction"], settings["radius"], settings["n_nearest"] = "cluster_mass", None, 100
    path.write_text(json.dumps(settings))
    caption = caption_map(read_map(copy))
    assert "maximum cluster mass" in caption
    assert "not at which of its voxels" in caption
    assert "of the 100 nearest voxels around each voxel" in caption


def test_damaged_results_are_named(copy):
    peaks = copy / "peaks.csv"
    frame = pd.read_csv(peaks)
    frame.drop(columns="t").to_csv(peaks, index=False)
    with pytest.raises(StoreError, match=r"peaks.csv cannot be used: it has no column 't'"):
        read_map(copy)
    frame.iloc[:0].to_csv(peaks, index=False)
    with pytest.raises(StoreError, match="it has no rows"):
        read_map(copy)
    peaks.unlink()
    with pytest.raises(StoreError, match=r"peaks.csv does not exist"):
        build_figure("searchlight-map", copy, copy / "out")
    (copy / "settings.json").write_text('{"kind": "rsa"}')
    with pytest.raises(StoreError, match="is of 'rsa', not of searchlight maps"):
        read_map(copy)


def test_more_models_than_a_page_holds_are_said(results):
    source = read_map(results)
    many = pd.concat([source.assign(model=f"m{number}") for number in range(6)])
    assert "Maps of the first 4 of 6 models are drawn." in caption_map(many)
    assert FIGURES["searchlight-map"].needs[1] == "searchlight/group/group_mask.nii.gz"


def test_models_that_are_layers_are_told_in_words(copy):
    for path in (copy / "settings.json", copy / "peaks.csv"):
        path.write_text(path.read_text().replace("layer 1.2", "twin/layer1.2"))
    settings = json.loads((copy / "settings.json").read_text())
    settings["models"][1]["layer"] = "layer1.2"
    (copy / "settings.json").write_text(json.dumps(settings))
    source = read_map(copy)
    assert source["model"].iloc[-1] == "twin/layer1.2"
    with style():
        figure = draw_map(source[source["model"] == "twin/layer1.2"], copy)
    assert figure.texts[0].get_text() == "$\\bf{a}$  twin layer 1.2: no voxel significant, 9 subjects"
    assert "No voxel is significant for twin layer 1.2;" in caption_map(source)
