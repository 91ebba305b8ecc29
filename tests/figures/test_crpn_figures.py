"""Figures 1 to 4 of the dual-pathway network, drawn from made-up results: what is shown is what is there."""

import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.network_maps import find_seed_maps
from fernet_neuro.figures.registry import FIGURES, find_buildable
from fernet_neuro.systems.crpn.figures import fig1 as crpn_fig1
from fernet_neuro.systems.crpn.figures import fig2 as crpn_fig2
from fernet_neuro.systems.crpn.figures import fig3 as crpn_fig3
from fernet_neuro.systems.crpn.figures import fig4 as crpn_fig4
from fernet_neuro.systems.crpn.figures.parts import read_scores
from fernet_neuro.viz import style
from fernet_neuro.viz.scores import Mark, plot_scores


def _spec_of(module):
    return FIGURES[f"crpn-{module.__name__.rpartition('.')[2]}"]


def _draw(module, source):
    with style():
        return _spec_of(module).draw(source, None)


@pytest.fixture(scope="module")
def fig2(results):
    return crpn_fig2.read_features(results)


@pytest.fixture(scope="module")
def fig3(results):
    return crpn_fig3.read_styles(results)


@pytest.fixture(scope="module")
def fig4(results):
    return crpn_fig4.read_identity(results)


@pytest.fixture(scope="module")
def drawn1():
    return _draw(crpn_fig1, crpn_fig1.read_framework())


@pytest.fixture(scope="module")
def drawn3(fig3):
    return _draw(crpn_fig3, fig3)


@pytest.fixture(scope="module")
def drawn4(fig4):
    return _draw(crpn_fig4, fig4)


def test_the_frozen_trunk_alone_is_hatched(drawn1):
    hatched = [patch.get_gid() for patch in drawn1.axes[0].patches if patch.get_hatch()]
    assert hatched == ["block:non_emotion"]


def test_the_diagram_holds_every_loss_and_no_block_overlaps_another():
    blocks = crpn_fig1.read_framework()
    losses = set(blocks.loc[blocks["state"] == "loss", "label"])
    assert losses == {f"$L_{name}$" for name in ("{RR}", "{WCE}", "{CC}", "{orth}", "S", "D", "{CE}")}
    for _, one in blocks.iterrows():
        for _, other in blocks[blocks["block"] > one["block"]].iterrows():
            apart_x = abs(one["x"] - other["x"]) >= (one["width"] + other["width"]) / 2
            apart_y = abs(one["y"] - other["y"]) >= (one["height"] + other["height"]) / 2
            assert apart_x or apart_y, (one["block"], other["block"])


def test_no_words_of_the_diagram_overlap(drawn1):
    with style():
        renderer = FigureCanvasAgg(drawn1).get_renderer()
        drawn1.draw_without_rendering()
        texts = [text for text in drawn1.axes[0].texts if text.get_text()]
        boxes = [text.get_window_extent(renderer).shrunk(0.98, 0.9) for text in texts]
    for place, box in enumerate(boxes):
        for other, text in zip(boxes[:place], texts, strict=False):
            assert not box.overlaps(other), (texts[place].get_text(), text.get_text())


def test_arrows_of_the_diagram_lead_to_blocks_on_their_right():
    blocks = crpn_fig1.read_framework().set_index("block")
    for name, block in blocks.iterrows():
        for target in filter(None, block["feeds"].split(";")):
            gap = blocks.loc[target, "x"] - blocks.loc[target, "width"] / 2 - block["x"] - block["width"] / 2
            assert gap >= 4, (name, target)


def test_feature_maps_without_a_record_of_the_network_say_so(fig2):
    caption = crpn_fig2.caption_features(fig2)
    assert "variant and training seed were not recorded with these maps" in caption
    assert "distances between clusters in t-SNE mean nothing" in caption
    assert "RAF-DB" in caption
    assert set(fig2["variant"]) == {"not recorded"}


def test_feature_maps_of_an_experiment_name_variant_seed_and_n(results, tmp_path):
    networks = {
        layer: {"variant": "paper", "seed": 0, "n_train": 840, "epoch": 20} for layer in crpn_fig2.LAYERS
    }
    result = EmbeddingResult.load(results / "maps")
    for seed, place in ((0, tmp_path / "maps"), (1, tmp_path / "maps" / "seed1")):
        said = {name: {**network, "seed": seed} for name, network in networks.items()}
        settings = {**result.settings, "networks": said, "faces": "rendered faces"}
        EmbeddingResult(result.coordinates, result.quality, settings).save(place)
    source = crpn_fig2.read_features(tmp_path)
    assert set(source["training_seed"]) == {"0", "1"}
    assert set(source.loc[source["kind"] == "point", "training_seed"]) == {"0"}
    caption = crpn_fig2.caption_features(source)
    for phrase in (
        "held-out rendered faces",
        "variant paper, training seed 0, trained on 840 pictures",
        "over 2 training seeds: expression from the emotion features 7",
    ):
        assert phrase in caption
    assert len(_draw(crpn_fig2, source).axes) == 6


def test_maps_of_other_layers_are_no_feature_maps(results, tmp_path):
    result = EmbeddingResult.load(results / "maps")
    coordinates, quality = (
        frame[frame["layer"] == "emotion"] for frame in (result.coordinates, result.quality)
    )
    EmbeddingResult(coordinates, quality, result.settings).save(tmp_path)
    with pytest.raises(StoreError, match=r"are of emotion and lack layer 'non_emotion'; make them with"):
        crpn_fig2.read_features(tmp_path)


def test_points_of_styles_are_those_of_the_lowest_seed(results, fig3):
    points = fig3[fig3["kind"] == "point"]
    result = EmbeddingResult.load(results / "styles" / "maps" / "seed0")
    for panel, network in (("a", "shaded"), ("b", "drawn")):
        rows, wanted = points[points["panel"] == panel], result.select_map(network)
        assert set(rows["layer"]) == {network}
        np.testing.assert_array_equal(rows[["x", "y"]].to_numpy(float), wanted[["x", "y"]])
        assert rows["label"].tolist() == wanted["expression"].tolist()
        assert rows["style"].tolist() == wanted["style"].tolist()
    assert set(points["training_seed"]) == {"0"}
    assert set(fig3.loc[fig3["kind"] == "other seed", "training_seed"]) == {"1", "2"}


def test_faces_of_the_second_style_are_open(drawn3):
    ax = drawn3.axes[0]
    by_style = {"shaded": [], "drawn": []}
    for collection in ax.collections:
        by_style[collection.get_gid().split(":")[2]].append(collection)
    white = to_rgba("white")
    assert all(tuple(item.get_facecolor()[0]) == white for item in by_style["drawn"])
    assert all(tuple(item.get_facecolor()[0]) != white for item in by_style["shaded"])
    n_points = {name: sum(len(item.get_offsets()) for item in items) for name, items in by_style.items()}
    assert n_points == {"shaded": 84, "drawn": 84}


def test_the_four_accuracies_stand_where_they_belong(results, drawn3):
    table = pd.read_csv(results / "styles" / "accuracies.csv")
    table = table[(table["seed"] == "mean") & (table["metric"] == "mean_class_accuracy")]
    ax = next(ax for ax in drawn3.axes if "new people" in ax.get_title(loc="left"))
    drawn = {line.get_gid(): line.get_ydata()[0] for line in ax.lines if ":" in str(line.get_gid())}
    wanted = {f"{row.trained}:{row.tested}": 100 * row.value for row in table.itertuples()}
    assert len(wanted) == 4
    assert drawn == pytest.approx(wanted)
    spans = [segment for item in ax.collections for segment in getattr(item, "get_segments", list)()]
    ends = sorted(value for segment in spans for value in segment[:, 1])
    assert ends == pytest.approx(sorted(100 * table[["low", "high"]].to_numpy().ravel()))


def test_the_caption_of_styles_says_what_the_paper_used_and_what_intervals_are(fig3):
    caption = crpn_fig3.caption_styles(fig3)
    for phrase in (
        "trained on shaded or on drawn rendered faces",
        "variant recommended, training seed 0, trained on 840 and 841 pictures",
        "filled: shaded, open: drawn",
        "95 % intervals over identities and, apart, over training seeds",
        "chance 14 %",
        "t-SNE maps (perplexity 30, seed 0)",
        "distances between clusters in t-SNE mean nothing",
        "1000 relabellings",
        "corrected over networks",
        "over 3 training seeds: expression (shaded)",
        "AnimeGAN",
        "IMAGEN",
        "not public",
    ):
        assert phrase in caption
    assert "Numbers and lower panels" not in caption
    assert "Asterisks" not in caption


@pytest.mark.parametrize("name", ["drawn3", "drawn4"])
def test_legends_and_titles_stay_on_the_page(name, request):
    figure = request.getfixturevalue(name)
    renderer, page = FigureCanvasAgg(figure).get_renderer(), figure.bbox
    with style():
        figure.draw_without_rendering()
    boxes = [legend.get_window_extent(renderer) for legend in figure.legends]
    boxes += [ax.get_tightbbox(renderer) for ax in figure.axes]
    for box in boxes:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= page.x1 + 1
        assert box.y1 <= page.y1 + 1
    legends = boxes[: len(figure.legends)]
    panels = boxes[len(figure.legends) :]
    assert not any(legend.overlaps(panel) for legend in legends for panel in panels)


def test_maps_of_people_come_before_and_after(fig4, drawn4):
    titles = [ax.get_title(loc="left").split("  ")[1] for ax in drawn4.axes]
    assert titles == [
        "Before fine-tuning", "Non-emotion encoder tuned", "Everything tuned", "Neighbours alike in identity",
        "Neighbours alike in expression", "People named right",
    ]  # fmt: skip
    points = fig4[fig4["kind"] == "point"]
    assert points.groupby("panel")["layer"].first().to_dict() == {
        "a": "before",
        "b": "non_emotion",
        "c": "all",
    }
    assert (points["factor"] == "identity").all()


def test_only_networks_with_a_readout_have_its_mark(drawn4):
    ax = drawn4.axes[-1]
    marks = {line.get_gid() for line in ax.lines if ":" in str(line.get_gid())}
    networks = ("before", "non_emotion", "all")
    assert marks == {f"{name}:nearest mean" for name in networks} | {"non_emotion:read-out", "all:read-out"}


def test_one_mode_and_one_seed_give_a_smaller_figure(results, tmp_path):
    folder = shutil.copytree(results / "identity", tmp_path / "identity")
    for seed in (1, 2):
        shutil.rmtree(folder / "maps" / f"seed{seed}")
    result = EmbeddingResult.load(folder / "maps" / "seed0")
    kept = [frame[frame["layer"] != "all"] for frame in (result.coordinates, result.quality)]
    EmbeddingResult(*kept, result.settings).save(folder / "maps" / "seed0")
    table = pd.read_csv(folder / "accuracies.csv", dtype=str)
    single = table[(table["network"] != "all") & (table["seed"] == "0")]
    single.to_csv(folder / "accuracies.csv", index=False)
    source = crpn_fig4.read_identity(tmp_path)
    assert len(_draw(crpn_fig4, source).axes) == 5
    caption = crpn_fig4.caption_identity(source)
    assert "one training seed; 95 % intervals over poses" in caption
    assert "Range of held-out k-NN" not in caption
    assert "(e) Mean class accuracy" in caption


def test_the_caption_of_people_says_what_learnt_and_on_which_pictures(fig4):
    caption = crpn_fig4.caption_identity(fig4)
    for phrase in (
        "test pictures of 12 people (rendered faces)",
        "fine-tuned on 842 other pictures of the same people, none of them a near-copy",
        "variant recommended, training seed 0, trained on 840 pictures",
        "95 % intervals over poses and, apart, over training seeds",
        "both ways train this one alike",
        "For identity, neighbours of the same expression do not count",
        "six actors (IMAGEN)",
        "not public",
    ):
        assert phrase in caption


@pytest.mark.parametrize(("module", "name"), [(crpn_fig3, "styles"), (crpn_fig4, "identity")])
def test_what_is_missing_or_damaged_is_named(module, name, results, tmp_path):
    shutil.copytree(results / name, tmp_path / name, ignore=shutil.ignore_patterns("seed[12]"))
    path = tmp_path / name / "accuracies.csv"
    pd.read_csv(path).drop(columns="value").to_csv(path, index=False)
    with pytest.raises(StoreError, match="it has no column 'value'"):
        _spec_of(module).read(tmp_path)
    pd.read_csv(path).head(0).assign(value=1.0).to_csv(path, index=False)
    with pytest.raises(StoreError, match="it has no rows"):
        _spec_of(module).read(tmp_path)
    path.unlink()
    number = _spec_of(module).name[-1]
    with pytest.raises(StoreError, match=rf"accuracies.csv does not exist; .* run crpn/fig{number}"):
        _spec_of(module).read(tmp_path)


def test_seeds_are_found_in_the_order_of_their_numbers(tmp_path):
    for name in ("seed10", "seed2", "seedling"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").write_text("{}")
    assert [path.name for path in find_seed_maps(tmp_path, "do it")] == ["seed2", "seed10"]
    with pytest.raises(StoreError, match=r"seed0.settings.json does not exist; make it with: do it"):
        find_seed_maps(tmp_path / "seed2", "do it")


def test_marks_of_one_group_stand_beside_each_other(results):
    frame = read_scores(results / "styles" / "accuracies.csv", ("trained", "tested"), "x")
    groups = {"shaded": "shaded", "drawn": "drawn"}
    marks = {name: Mark(name, "o", True) for name in groups}
    ax = Figure().add_subplot()
    plot_scores(ax, frame, "trained", "tested", groups, marks)
    x = {line.get_gid(): line.get_xdata()[0] for line in ax.lines if ":" in str(line.get_gid())}
    assert x["shaded:shaded"] < x["shaded:drawn"] < x["drawn:shaded"] < x["drawn:drawn"]


def test_only_maps_with_these_features_count_as_results_of_figure_2(results, tmp_path):
    shutil.copytree(results / "maps", tmp_path / "maps")
    assert find_buildable(tmp_path) == ["embedding-maps"]
    (tmp_path / "maps" / "store").mkdir()
    (tmp_path / "maps" / "store" / "01_non_emotion.npy").touch()
    assert {"crpn-fig1", "crpn-fig2"} <= set(find_buildable(tmp_path))
