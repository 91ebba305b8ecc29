import json

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.store import write_store
from fernet_neuro.embedding.comparison import plan_comparison
from fernet_neuro.embedding.pipeline import check_embedding, compute_embedding
from fernet_neuro.embedding.quality import compute_quality
from fernet_neuro.embedding.result import COORDINATE_COLUMNS, QUALITY_COLUMNS, EmbeddingResult
from fernet_neuro.exceptions import AlignmentError, LayerNotFoundError, StimulusError, StoreError
from fernet_neuro.stats.multiple import compute_p_values
from fernet_neuro.stimuli.table import StimulusTable

LAYERS = ("emotion", "non_emotion")


@pytest.fixture(scope="module")
def store(emotion_layers, tmp_path_factory):
    table, layers = emotion_layers
    return write_store(tmp_path_factory.mktemp("stores") / "two", table, layers)


@pytest.fixture(scope="module")
def result(store):
    return compute_embedding(store, LAYERS, perplexities=[9, 5], n_permutations=39, seed=1)


def pick(result, **conditions):
    frame = result.quality
    for name, value in conditions.items():
        frame = frame[frame[name] == value]
    return frame


def test_tables_have_a_row_for_every_layer_space_factor_and_measure(result):
    assert list(result.coordinates)[:6] == list(COORDINATE_COLUMNS)
    assert list(result.quality) == list(QUALITY_COLUMNS)
    assert len(result.coordinates) == 2 * 2 * 56
    # Features and two maps, each with two factors by two measures; trust for each map.
    assert len(result.quality) == 2 * (3 * 4 + 2)
    assert result.layers == list(LAYERS)
    assert result.factors == ["expression", "identity"]
    assert {"identity", "expression", "view", "session"} <= set(result.coordinates)


def test_each_layer_carries_what_was_planted_in_it_and_not_the_other(result):
    for layer, factor in zip(LAYERS, ("expression", "identity"), strict=True):
        planted = pick(result, layer=layer, factor=factor)
        absent = pick(result, factor=factor)
        absent = absent[absent["layer"] != layer]
        assert planted["value"].min() > absent["value"].max()
        assert (planted["p_value_max"] == 1 / 40).all()
        assert (absent["value"] < absent["null_q95"] + 0.1).all()


def test_corrected_p_values_are_those_of_the_maximum_over_layers(result, store):
    plan = plan_comparison(store.stimuli, "identity")
    scores = [
        compute_quality(store.load(layer).values, plan, n_permutations=39, seed=1)[1] for layer in LAYERS
    ]
    p, p_max = compute_p_values(
        [score.value for score in scores], np.column_stack([score.null_scores for score in scores])
    )
    rows = pick(result, space="features", factor="identity", measure="knn_balanced_accuracy")
    assert rows["p_value"].tolist() == p.tolist()
    assert rows["p_value_max"].tolist() == p_max.tolist()


def test_chance_correction_puts_chance_at_zero_and_purity_at_one(result):
    rows = result.quality[result.quality["factor"] != ""]
    wanted = (rows["value"] - rows["chance_level"]) / (1 - rows["chance_level"])
    np.testing.assert_allclose(rows["chance_corrected"], wanted)
    accuracy = rows[rows["measure"] == "knn_balanced_accuracy"]
    np.testing.assert_allclose(accuracy["chance_level"], 1 / accuracy["n_classes"])


def test_trustworthiness_stands_beside_each_map(result):
    rows = pick(result, measure="trustworthiness")
    assert rows[["layer", "perplexity"]].values.tolist() == [
        [layer, value] for layer in LAYERS for value in (9.0, 5.0)
    ]
    assert rows["value"].between(0.7, 1).all()


def test_the_same_seed_gives_the_same_result_and_another_another_null(result, store):
    again = compute_embedding(store, LAYERS, perplexities=[9, 5], n_permutations=39, seed=1)
    assert again == result
    other = compute_embedding(store, LAYERS, perplexities=[9, 5], n_permutations=39, seed=2)
    assert not other.quality["null_mean"].equals(result.quality["null_mean"])


def test_a_result_is_equal_after_a_round_trip(result, tmp_path):
    result.save(tmp_path / "maps")
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "coordinates.csv",
        "quality.csv",
        "settings.json",
    ]
    loaded = EmbeddingResult.load(tmp_path / "maps")
    assert loaded == result
    loaded.coordinates.loc[3, "x"] += 1e-9
    assert loaded != result
    assert result != "maps"


def test_labels_that_look_like_numbers_or_gaps_stay_labels(result, tmp_path):
    frame = result.coordinates.copy()
    frame["expression"] = np.where(frame["expression"] == "fear", "NA", "007")
    strange = EmbeddingResult(frame, result.quality, result.settings)
    strange.save(tmp_path)
    assert EmbeddingResult.load(tmp_path) == strange


def test_a_result_without_permutations_has_no_p_values(store, tmp_path):
    plain = compute_embedding(store, ["emotion"], factors=["expression"], n_permutations=0)
    assert plain.quality["p_value"].isna().all()
    assert plain.settings["perplexities"] == [18.0]
    plain.save(tmp_path)
    assert EmbeddingResult.load(tmp_path) == plain


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "settings.json").unlink(), "settings.json does not exist; make it with"),
        (lambda folder: (folder / "quality.csv").unlink(), "quality.csv does not exist"),
        (lambda folder: (folder / "settings.json").write_text("{"), "is damaged"),
        (
            lambda folder: (folder / "quality.csv").write_text("a,b\n1,2\n"),
            "quality.csv has no column",
        ),
        (
            lambda folder: (folder / "coordinates.csv").write_text(",".join(COORDINATE_COLUMNS) + "\n"),
            "coordinates.csv has no rows",
        ),
        (
            lambda folder: (folder / "coordinates.csv").write_text(
                ",".join(COORDINATE_COLUMNS) + "\na,b,tsne,5,here,1\n"
            ),
            "coordinates.csv: row 2 has 'here' under 'x', which is no number",
        ),
    ],
)
def test_missing_and_damaged_files_are_named(result, tmp_path, damage, message):
    damage(result.save(tmp_path))
    with pytest.raises(StoreError, match=message):
        EmbeddingResult.load(tmp_path)


def test_one_map_is_selected_by_layer_and_perplexity(result):
    assert (result.select_map("emotion")["perplexity"] == 9).all()
    assert result.select_map("emotion", 5)["stimulus_id"].is_unique
    with pytest.raises(ValueError, match="no map of layer 'emotion' with perplexity 7; layers: emotion"):
        result.select_map("emotion", 7)


def test_labels_of_another_table_are_used_only_for_the_same_stimuli(store):
    frame = store.stimuli.frame.assign(path="x.png")
    frame["mood"] = np.where(frame["expression"] == "happiness", "good", "bad")
    table = StimulusTable.from_frame(frame, root=store.stimuli.root)
    found = compute_embedding(store, ["emotion"], table=table, factors=["mood"], n_permutations=9)
    assert found.factors == ["mood"]
    with pytest.raises(AlignmentError, match="the table and the store differ first at row 0"):
        compute_embedding(store, ["emotion"], table=table.select(np.arange(55, -1, -1)))


def test_a_missing_layer_is_told_before_any_map_is_made(store):
    with pytest.raises(LayerNotFoundError, match="Did you mean 'non_emotion'"):
        compute_embedding(store, ["emotion", "non_emotio"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": []}, "name at least one layer"),
        ({"layers": ["a", "b", "a"]}, "layer 'a' is given twice"),
        ({"factors": ["identity", "identity"]}, "factor 'identity' is given twice"),
        ({"method": "pca"}, "method='pca' is not known"),
        ({"perplexities": [99]}, "perplexity=99 does not fit 56 stimuli"),
        ({"n_pca": 0}, "n_pca must be >= 2"),
        ({"n_neighbours": 50, "factors": ["expression"]}, "n_neighbours must be >= 1 and <= 48; got 50"),
    ],
)
def test_all_is_checked_beforehand(store, change, message):
    arguments = {"layers": ["a"], "method": "tsne", "perplexities": [5], **change}
    with pytest.raises(ValueError, match=message):
        check_embedding(store.stimuli, **arguments)


def test_a_table_without_expression_or_identity_needs_a_factor(store):
    frame = store.stimuli.frame.assign(expression="", identity="", path="x.png")
    table = StimulusTable.from_frame(frame, root=store.stimuli.root)
    with pytest.raises(StimulusError, match="name a factor"):
        check_embedding(table, ["a"], "tsne", [5])
    only = StimulusTable.from_frame(store.stimuli.frame.assign(identity="", path="x.png"))
    assert [plan.factor for plan in check_embedding(only, ["a"], "tsne", [5])] == ["expression"]


def test_settings_are_plain_and_say_how_each_factor_is_judged(result):
    assert json.loads(json.dumps(result.settings)) == result.settings
    assert result.settings["factors"]["expression"]["across"] == "identity"
    assert result.settings["factors"]["identity"]["permute_within"] == "expression"
    assert [item["perplexity"] for item in result.settings["maps"]] == [9, 5, 9, 5]
    assert isinstance(result.coordinates, pd.DataFrame)
