from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.embedding_caption import caption_maps
from fernet_neuro.figures.embedding_maps import draw_maps, find_maps, read_maps
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.viz import style


@pytest.fixture
def source(results):
    return read_maps(results)


def test_the_source_holds_every_point_and_score_that_is_drawn(results, source):
    result = EmbeddingResult.load(results / "maps")
    points, scores = source[source["kind"] == "point"], source[source["kind"] == "score"]
    assert list(dict.fromkeys(points["panel"])) == list("abcd")
    assert list(dict.fromkeys(scores["panel"])) == list("ef")
    for (layer, factor), rows in points.groupby(["layer", "factor"]):
        wanted = result.select_map(layer)
        np.testing.assert_array_equal(rows[["x", "y"]].to_numpy(float), wanted[["x", "y"]])
        assert rows["label"].tolist() == wanted[factor].tolist()
    judged = result.quality[result.quality["factor"] != ""]
    assert sorted(scores["value_percent"]) == pytest.approx(sorted(100 * judged["value"]))


def test_numbers_below_a_map_are_its_own(source):
    with style():
        figure = draw_maps(source)
    first = figure.axes[0]
    rows = source[(source["kind"] == "score") & (source["factor"] == "expression")]
    rows = rows[(rows["layer"] == "emotion") & (rows["perplexity"] == 30)].set_index("measure")
    purity = f"map: purity {rows.loc['neighbour_purity', 'value_percent']:.0f} %"
    assert first.texts[0].get_text().startswith(purity)
    assert "chance" in first.texts[0].get_text()
    assert first.get_title(loc="left").endswith("emotion, by expression")


@pytest.mark.parametrize("n_factors", [1, 2, 3])
def test_legends_and_numbers_stay_on_the_page_and_apart(source, n_factors):
    extra = source[source["factor"] == "expression"].assign(factor="strangeness")
    source = pd.concat([source, extra], ignore_index=True)
    kept = ["expression", "identity", "strangeness"][:n_factors]
    source = source[source["factor"].isin(kept)]
    with style():
        figure = draw_maps(source)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
    page = figure.bbox
    boxes = [legend.get_window_extent(renderer) for legend in figure.legends]
    boxes += [ax.get_tightbbox(renderer) for ax in figure.axes]
    maps = [ax for ax in figure.axes if ax.texts]
    assert len(maps) == 2 * n_factors
    for ax, other in product(maps, maps):
        place, next_place = ax.get_position(), other.get_position()
        if next_place.y0 == place.y0 and next_place.x0 > place.x0:
            assert ax.texts[0].get_window_extent(renderer).x1 < other.get_window_extent(renderer).x0
    for box in boxes:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= page.x1 + 1
        assert box.y1 <= page.y1 + 1


def test_the_caption_says_what_must_not_be_read_from_the_map(source):
    caption = caption_maps(source)
    for phrase in (
        "t-SNE maps (perplexity 30, seed 0) of 210 stimuli",
        "distances between clusters in t-SNE mean nothing",
        "For expression, neighbours of the same identity do not count",
        "1000 relabellings (expression within identity, identity within expression",
        "jackknife over 15 identities",
        "Of 15 identities the first 12 in sorted order are told apart",
        "Trustworthiness of the maps: 0.97 (emotion), 0.97 (non emotion)",
        "(all: 30, 10); none was chosen by its scores",
    ):
        assert phrase in caption


def test_a_caption_without_null_and_intervals_says_so(source):
    scores = source["kind"] == "score"
    source.loc[scores, "n_permutations"] = 0
    source.loc[scores, "interval"] = ""
    source.loc[scores, "across"] = ""
    caption = caption_maps(source)
    assert "No null was drawn." in caption
    assert "No intervals" in caption
    assert "For identity, nothing is held out but sessions of one pose." in caption


def test_maps_are_found_in_a_results_folder_or_by_themselves(results, tmp_path):
    assert find_maps(results) == find_maps(results / "maps") == results / "maps"
    with pytest.raises(StoreError, match=r"settings.json does not exist; make it with: fernet-neuro embed"):
        find_maps(tmp_path)


def test_more_layers_than_a_page_holds_are_said(results, tmp_path):
    result = EmbeddingResult.load(results / "maps")

    def copies(frame):
        layers = [f"layer{number}" for number in range(6)]
        return pd.concat(
            [frame[frame["layer"] == "emotion"].assign(layer=layer) for layer in layers], ignore_index=True
        )

    EmbeddingResult(copies(result.coordinates), copies(result.quality), result.settings).save(tmp_path)
    caption = build_figure("embedding-maps", tmp_path, tmp_path, formats=())[1].read_text()
    assert "Maps of the first 4 of 6 layers are drawn." in caption
