import re
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.text import Text
from scipy.stats import rankdata, zscore

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures import mds, rdm_gallery, rsa_layer_roi, rsa_models, variance_partition
from fernet_neuro.figures.registry import FIGURES, build_figure, find_buildable
from fernet_neuro.figures.rsa_results import average_rois, find_folders, read_analyses, read_rdms
from fernet_neuro.rsa.arrangement import arrange_stimuli
from fernet_neuro.rsa.inference.partition import infer_partition
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.viz import style

NAMES = ("rsa-layer-roi", "rsa-models", "rdm-gallery", "variance-partition", "mds")


@pytest.fixture(scope="module")
def result(results):
    return RSAResult.load(results / "rsa")


@pytest.fixture(scope="module")
def drawn_once(results):
    """Source, figure and renderer of a figure of the results, drawn once; to be looked at only."""
    return cache(lambda module: draw(module, results))


@pytest.fixture
def copy(results, tmp_path):
    return shutil.copytree(results / "rsa", tmp_path / "rsa")


def spec_of(module):
    return FIGURES[module.__name__.rpartition(".")[2].replace("_", "-")]


def draw(module, folder):
    source = spec_of(module).read(folder)
    with style():
        figure = spec_of(module).draw(source, folder)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
    return source, figure, renderer


def find_artists(figure, prefix):
    return [item for item in figure.findobj() if str(item.get_gid() or "").startswith(prefix)]


def test_results_are_found_by_themselves_and_in_folders(results, tmp_path):
    assert find_folders(results) == find_folders(results / "rsa") == [results / "rsa"]
    for name in ("b", "a"):
        shutil.copytree(results / "rsa", tmp_path / "rsa" / name)
    assert [item.name for item in read_analyses(tmp_path)] == ["a", "b"]
    with pytest.raises(StoreError, match=r"ceilings.csv does not exist; make it with: fernet-neuro rsa"):
        find_folders(tmp_path / "rsa" / "a" / "images")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_drawn_off_the_page(drawn_once, name):
    modules = (rsa_layer_roi, rsa_models, rdm_gallery, variance_partition, mds)
    module = next(module for module in modules if spec_of(module).name == name)
    _, figure, renderer = drawn_once(module)
    boxes = [ax.get_tightbbox(renderer) for ax in figure.axes]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    for box in boxes:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1


def test_lines_of_layers_are_the_estimates(drawn_once, result):
    source, figure, _ = drawn_once(rsa_layer_roi)
    assert len(figure.axes) == len(result.rois) == 3
    for ax, roi in zip(figure.axes, result.rois, strict=True):
        wanted = result.select_roi(roi)
        for network in ("identity", "untrained"):
            (line,) = [item for item in ax.lines if item.get_gid() == network and len(item.get_xdata()) == 5]
            np.testing.assert_array_equal(
                line.get_ydata(), wanted.loc[wanted["source"] == network, "estimate"]
            )
        for model in ("expression",):
            (line,) = [item for item in ax.lines if item.get_gid() == model]
            assert line.get_ydata()[0] == wanted.set_index("model").loc[model, "estimate"]
    ends = {tuple(ax.get_ylim()) for ax in figure.axes}
    assert len(ends) == 1, "panels differ in scale"
    assert set(source["kind"]) == {"layer", "reference", "peak"}


def test_ceilings_and_peaks_are_where_the_result_says(drawn_once, result):
    _, figure, _ = drawn_once(rsa_layer_roi)
    for ax, roi in zip(figure.axes, result.rois, strict=True):
        (band,) = [item for item in ax.patches if item.get_gid() == "ceiling"]
        ceiling = result.ceilings.set_index("roi").loc[roi]
        assert band.get_y() == pytest.approx(ceiling["lower"])
        assert band.get_y() + band.get_height() == pytest.approx(ceiling["upper"])
        peaks = result.peaks[result.peaks["roi"] == roi]
        drawn = {item.get_gid(): item.get_xdata()[0] for item in ax.lines if "peak" in str(item.get_gid())}
        assert drawn == {f"peak:{row.source}": row.position for row in peaks.itertuples()}


def test_networks_of_several_folders_share_panels(results, tmp_path):
    for name in ("identity", "untrained"):
        folder = shutil.copytree(results / "rsa", tmp_path / "rsa" / name)
        whole = RSAResult.load(folder)
        mine = whole.estimates["source"].isin([name, "stimuli"])
        estimates = whole.estimates[mine].drop(columns="source")
        peaks = whole.peaks[whole.peaks["source"] == name].drop(columns="source")
        RSAResult(
            estimates, whole.pairwise, whole.subjects, whole.ceilings, whole.settings, peaks, whole.partition
        ).save(folder)
    source = rsa_layer_roi.read_layers(tmp_path)
    assert list(dict.fromkeys(source["panel"])) == list("abc")
    layers = source[source["kind"] == "layer"]
    assert set(layers["network"]) == {"identity", "untrained"}
    references = source[source["kind"] == "reference"]
    assert len(references) == 6, "models that both folders have are drawn twice"
    assert set(source.loc[source["kind"] == "peak", "network"]) == {"identity", "untrained"}


def test_of_many_models_without_layers_twins_are_left_out_first(copy):
    whole = RSAResult.load(copy)
    extra = [
        whole.estimates[whole.estimates["model"] == "pixels"].assign(model=name)
        for name in ("untrained features", "features", "more features")
    ]
    replace(whole, estimates=pd.concat([whole.estimates, *extra])).save(copy)
    source = rsa_layer_roi.read_layers(copy)
    drawn = list(dict.fromkeys(source.loc[source["kind"] == "reference", "network"]))
    assert drawn == ["identity", "expression"]
    assert "(identity, expression; 4 others are not drawn)" in rsa_layer_roi.caption_layers(source)


def test_dots_of_models_are_estimates_and_subjects(drawn_once, result):
    source, figure, _ = drawn_once(rsa_models)
    means = source[source["kind"] == "mean"]
    assert set(means["model"]) == {"identity", "expression", "pixels"}, "layers have a figure of their own"
    panels = [ax for ax in figure.axes if find_artists(ax, "model:")]
    for ax, roi in zip(panels, result.rois, strict=True):
        wanted = result.select_roi(roi).set_index("model")
        for model in ("identity", "expression", "pixels"):
            (dot,) = find_artists(ax, f"model:{model}")
            assert dot.get_xdata()[0] == wanted.loc[model, "estimate"]
            is_filled = dot.get_markerfacecolor() != "white"
            assert is_filled == (wanted.loc[model, "p_max"] < 0.05)
        dots = np.concatenate([item.get_offsets() for item in ax.collections if len(item.get_offsets()) > 1])
        values = result.subjects[
            (result.subjects["roi"] == roi) & result.subjects["model"].isin(wanted.index[-3:])
        ]
        np.testing.assert_allclose(sorted(dots[:, 0]), sorted(values["value"]))


def test_dots_keep_the_width_that_they_need_beside_long_names_and_many_pairs(copy):
    whole = RSAResult.load(copy)
    names = {name: f"untrained network of kind {name}" for name in whole.estimates["model"].unique()}
    longer = {
        table: getattr(whole, table).replace(dict.fromkeys(("model", "model_1", "model_2"), names))
        for table in ("estimates", "pairwise", "subjects")
    }
    replace(whole, **longer).save(copy)
    source, figure, _ = draw(rsa_models, copy)
    assert source["model"].str.startswith("untrained network").any()
    dots = [ax for ax in figure.axes if find_artists(ax, "model:")]
    widths = [25.4 * ax.get_window_extent().width / figure.dpi for ax in dots]
    assert min(widths) > 23
    figure.draw_without_rendering()
    assert min(label.get_window_extent().x0 for ax in dots for label in ax.get_yticklabels()) >= 0


def test_the_widest_names_leave_room_for_dots_and_pairs(copy):
    whole = RSAResult.load(copy)
    names = {name: "W" * 40 + name for name in whole.estimates["model"].unique()}
    longer = {
        table: getattr(whole, table).replace(dict.fromkeys(("model", "model_1", "model_2"), names))
        for table in ("estimates", "pairwise", "subjects")
    }
    replace(whole, **longer).save(copy)
    _, figure, _ = draw(rsa_models, copy)
    assert min(ax.get_window_extent().width for ax in figure.axes) * 25.4 / figure.dpi > 5.9


def test_cells_of_pairs_have_the_sign_of_the_difference(copy):
    whole = RSAResult.load(copy)
    result = replace(whole, pairwise=whole.pairwise.assign(p_max=whole.pairwise["p_value"]))  # more of them
    result.save(copy)
    _, figure, _ = draw(rsa_models, copy)
    names = ["identity", "expression", "pixels"]
    matrices = [ax for ax in figure.axes if not find_artists(ax, "model:")]
    n_cells = 0
    for ax, roi in zip(matrices, result.rois, strict=True):
        pairs = result.pairwise[result.pairwise["roi"] == roi].set_index(["model_1", "model_2"])
        drawn = {item.get_gid(): item.get_marker() for item in find_artists(ax, "pair:")}
        for one, other in ((0, 1), (0, 2), (1, 2)):
            pair = pairs.loc[names[one], names[other]]
            if pair["p_max"] >= 0.05:
                assert f"pair:{one}:{other}" not in drawn
                continue
            n_cells += 1
            signs = ["$+$", "$-$"] if pair["difference"] > 0 else ["$-$", "$+$"]
            assert [drawn[f"pair:{one}:{other}"], drawn[f"pair:{other}:{one}"]] == signs
    assert n_cells > 1


def test_layers_alone_are_drawn_as_models(copy):
    whole = RSAResult.load(copy)
    kept = whole.estimates[whole.estimates["layer"] != ""]
    RSAResult(kept, whole.pairwise, whole.subjects, whole.ceilings, whole.settings).save(copy)
    source = rsa_models.read_models(copy)
    assert source.loc[source["kind"] == "mean", "model"].nunique() == 10


def test_a_single_subject_has_no_ceiling_and_still_a_figure(copy):
    whole = RSAResult.load(copy)
    absent = ["noise_ceiling_lower", "noise_ceiling_upper", "p_ceiling", "p_ceiling_max"]
    nothing = dict.fromkeys(absent, np.nan)
    alone = whole.estimates.assign(low=np.nan, high=np.nan, n_subjects=1, **nothing)
    RSAResult(alone, whole.pairwise, whole.subjects, whole.ceilings, whole.settings, whole.peaks).save(copy)
    for module in (rsa_layer_roi, rsa_models):
        source, figure, _ = draw(module, copy)
        assert not find_artists(figure, "ceiling")
        assert "noise ceiling" not in spec_of(module).caption(source)
    with pytest.raises(StoreError, match="has partitioned no variance; make it with: fernet-neuro rsa"):
        variance_partition.read_shares(copy)


def test_images_of_rdms_are_percentiles_in_the_order_of_labels(drawn_once, results):
    source, figure, _ = drawn_once(rdm_gallery)
    (analysis,) = read_analyses(results)
    brain, models = read_rdms(analysis)
    order = [
        source["stimulus_1"].iloc[0],
        *source[(source["panel"] == "a") & (source["row"] == 0)]["stimulus_2"],
    ]
    labels = [name.split("_")[1] for name in order]
    assert labels == sorted(labels), "stimuli of a label lie apart"
    image = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    wanted = average_rois(brain).align_to(order).to_squares()[0]
    off = ~np.eye(len(order), dtype=bool)
    assert np.isnan(np.diag(image)).all()
    ranks = pd.Series(wanted[off]).rank(method="average")
    assert np.corrcoef(ranks, image[off])[0, 1] == pytest.approx(1)
    assert (image[off].min(), image[off].max()) == pytest.approx((0, 100), abs=1e-9)
    assert [ax.get_title(loc="left") for ax in figure.axes[3:6]] == [
        f"$\\bf{{{letter}}}$  {name}" for letter, name in zip("def", models.names[-3:], strict=True)
    ]


def test_thumbnails_stand_beside_the_first_column_and_below_the_last_row(drawn_once):
    _, figure, _ = drawn_once(rdm_gallery)
    panels = [ax for ax in figure.axes if ax.images]
    for at, ax in enumerate(panels):
        boxes = [str(item.get_gid()) for item in ax.findobj(AnnotationBbox)]
        assert sum(name.startswith("thumbnail:y") for name in boxes) == (21 if at % 4 == 0 else 0)
        assert sum(name.startswith("thumbnail:x") for name in boxes) == (21 if at >= 8 else 0)


def test_many_stimuli_are_named_by_their_labels(copy):
    ids = [f"s{number:02d}" for number in range(40)]
    values = np.random.default_rng(4).random((2, 780))
    RDMSet(values, np.array(ids), pd.DataFrame({"subject": ["1", "2"]})).save(copy / "brain.npz")
    RDMSet(values, np.array(ids), pd.DataFrame({"model": ["one", "two"]})).save(copy / "models.npz")
    frame = pd.DataFrame({"stimulus_id": ids, "path": "x.png", "expression": np.resize(["fear", "joy"], 40)})
    frame.to_csv(copy / "stimuli.csv", index=False)
    _, figure, _ = draw(rdm_gallery, copy)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["fear", "joy"]
    (copy / "stimuli.csv").unlink()
    source, figure, _ = draw(rdm_gallery, copy)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()][:2] == ["s00", "s05"]
    assert "order of the files" in rdm_gallery.caption_gallery(source)


def test_missing_pairs_are_white(copy):
    brain = RDMSet.load(copy / "brain.npz")
    values = brain.dissimilarities.copy()
    values[:, 7] = np.nan
    replace(brain, dissimilarities=values).save(copy / "brain.npz")
    _, figure, _ = draw(rdm_gallery, copy)
    image = figure.axes[0].images[0].get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(image)).sum() == 21 + 2


def test_shares_are_of_the_result_and_ceilings_of_their_space(drawn_once, results, result):
    source, figure, _ = drawn_once(variance_partition)
    brain = read_rdms(read_analyses(results)[0])[0]
    for ax, roi in zip(figure.axes, result.rois, strict=True):
        wanted = result.partition[result.partition["roi"] == roi].set_index("models")
        drawn = {
            item.get_gid().removeprefix("share:"): item.get_xdata()[0] for item in find_artists(ax, "share:")
        }
        assert drawn == pytest.approx((100 * wanted["share"]).to_dict())
        (band,) = [item for item in ax.patches if item.get_gid() == "ceiling"]
        ranks = rankdata(brain.select(roi=roi).dissimilarities, axis=1)
        alone = [
            np.corrcoef(row, np.delete(ranks, at, axis=0).mean(axis=0))[0, 1] for at, row in enumerate(ranks)
        ]
        together = [np.corrcoef(row, ranks.mean(axis=0))[0, 1] for row in ranks]
        ends = [band.get_x(), band.get_x() + band.get_width()]
        assert ends == pytest.approx([100 * np.mean(np.square(alone)), 100 * np.mean(np.square(together))])
    assert source.groupby("panel")["component"].last().eq("total").all()


def test_nothing_of_a_subject_who_is_opposed_to_the_others_is_explained(copy):
    analysis = read_analyses(copy)[0]
    brain = read_rdms(analysis)[0].select(roi="FFA").mean(by="subject")
    values = brain.dissimilarities.copy()
    values[0] = values.max() - values[1:].mean(axis=0)
    table = brain.table.assign(roi="FFA")
    RDMSet(values, brain.stimulus_ids, table, distance=brain.distance).save(copy / "brain.npz")
    scores = zscore(values, axis=1)
    found = np.array(
        [np.corrcoef(row, np.delete(scores, at, axis=0).mean(axis=0))[0, 1] for at, row in enumerate(scores)]
    )
    assert found[0] < -0.9
    lower, _ = variance_partition._find_ceiling(analysis, "FFA", "pearson")
    assert lower == pytest.approx(np.square(found[1:]).sum() / len(found))


def test_a_region_without_name_is_called_brain(copy):
    whole = RSAResult.load(copy)
    tables = {
        name: getattr(whole, name)[getattr(whole, name)["roi"] == "OFA"].assign(roi="")
        for name in ("estimates", "pairwise", "subjects", "ceilings", "peaks", "partition")
    }
    replace(whole, **tables).save(copy)
    brain = RDMSet.load(copy / "brain.npz").select(roi="OFA")
    replace(brain, table=brain.table.drop(columns="roi")).save(copy / "brain.npz")
    for module in (rsa_layer_roi, rsa_models, variance_partition):
        assert set(spec_of(module).read(copy)["roi"]) == {"brain"}
    assert "brain" in set(rdm_gallery.read_gallery(copy)["rdm"])


@pytest.mark.parametrize("module", [rsa_layer_roi, rsa_models, rdm_gallery, variance_partition, mds])
def test_layers_are_drawn_and_told_in_words_and_kept_by_name(copy, module):
    """Models of the copy that are no layers go, so that layers are what is left to draw."""
    whole, brain = RSAResult.load(copy), RDMSet.load(copy / "brain.npz")
    layers = ["identity/layer1", "identity/avgpool"]
    parts = infer_partition(
        models := RDMSet.load(copy / "models.npz").select(model=layers), brain, n_bootstraps=30
    )
    tables = {"estimates": whole.estimates[whole.estimates["model"].isin(layers)], "partition": parts}
    replace(whole, **tables).save(copy)
    models.save(copy / "models.npz")
    source, figure, _ = draw(module, copy)
    texts = [text.get_text() for text in figure.findobj(Text)]
    for told in ("\n".join(texts), spec_of(module).caption(source)):
        assert not re.search("layer1|avgpool", told)
    assert any(re.search("layer 1|average pool", text) for text in texts)
    assert source.astype(str).apply(lambda column: column.str.contains("layer1|avgpool")).any(axis=None)


def test_points_on_the_plane_are_those_of_the_arrangement(drawn_once, results):
    source, figure, _ = drawn_once(mds)
    (analysis,) = read_analyses(results)
    means = average_rois(read_rdms(analysis)[0])
    assert source["rdm"].drop_duplicates().tolist() == ["OFA", "FFA", "pSTS", "pixels", "identity/stem",
                                                        "identity/layer1"]  # fmt: skip
    found = arrange_stimuli(means)
    for at, panel in enumerate("abc"):
        rows = source[source["panel"] == panel].set_index("stimulus_id").loc[means.stimulus_ids]
        assert rows["stress"].iloc[0] == pytest.approx(found.stress[at])
        wanted = np.linalg.norm(found.points[at][:, None] - found.points[at], axis=-1)
        points = rows[["x", "y"]].to_numpy()
        np.testing.assert_allclose(np.linalg.norm(points[:, None] - points, axis=-1), wanted, atol=1e-3)
    pictures = find_artists(figure.axes[0], "picture:")
    assert len(pictures) == 21


def test_points_without_pictures_are_named(copy):
    shutil.rmtree(copy / "images")
    _, figure, _ = draw(mds, copy)
    assert not find_artists(figure, "picture:")
    names = {text.get_text() for text in figure.axes[0].texts}
    assert "id0_anger" in names


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("rsa-layer-roi", ("(a) OFA, (b) FFA, (c) pSTS", "9 subjects, 21 stimuli",
                           "the source data and peaks.csv",
                           "variance components over subjects and stimuli", "without layers (identity")),
        ("rsa-models", ("maximum statistic over all models", "two-sided", "Grey: noise ceiling")),
        ("rdm-gallery", ("mean over 9 RDMs each", "percentile", "ordered by expression",
                         "The first 12 of 16 RDMs are drawn")),
        ("variance-partition", ("commonality analysis", "Grey: noise ceiling", "less the bias", "negative")),
        ("mds", ("classical scaling refined by majorisation", "stress 1", "Axes have no meaning",
                 "Roots of the dissimilarities")),
    ],
)  # fmt: skip
def test_captions_say_what_must_be_known(results, name, phrases):
    spec = FIGURES[name]
    caption = spec.caption(spec.read(results))
    for phrase in phrases:
        assert phrase in caption


def test_all_builds_what_the_results_are_of(results, copy):
    assert set(NAMES) <= set(find_buildable(results))
    assert set(NAMES) == set(find_buildable(copy))
    assert "evaluation" in find_buildable(results / "evaluation")
    whole = RSAResult.load(copy)
    kept = whole.estimates[whole.estimates["layer"] == ""].drop(columns="layer")
    RSAResult(kept, whole.pairwise, whole.subjects, whole.ceilings, whole.settings).save(copy)
    for name in ("brain.npz", "models.npz"):
        (copy / name).unlink()
    assert set(NAMES) & set(find_buildable(copy)) == {"rsa-models"}
    with pytest.raises(StoreError, match=r"no model of the RSA in .* is a layer"):
        build_figure("rsa-layer-roi", copy, copy / "out")
    with pytest.raises(StoreError, match=r"brain.npz does not exist; make it with: fernet-neuro rsa"):
        build_figure("mds", copy, copy / "out")
