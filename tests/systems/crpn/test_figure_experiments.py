"""Figures 2 to 4 of the dual-pathway network, small: stages leave their files, numbers are what they say."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fernet_neuro._utils.config import read_recipe, read_settings
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.experiments.graph import STIMULI
from fernet_neuro.experiments.maps import describe_faces, map_features
from fernet_neuro.experiments.recipes import EXPERIMENTS, run_experiment
from fernet_neuro.experiments.settings import MapSettings
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.features import FEATURE_LAYERS
from fernet_neuro.systems.crpn.identity import (
    compare_with_means,
    split_people,
)
from fernet_neuro.systems.crpn.recipes import FeatureMapsSettings, IdentitySettings, StylesSettings
from fernet_neuro.systems.crpn.styles import join_styles, plan_style
from fernet_neuro.training.folder import RunFolder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
FACES = {"expressions": ["anger", "happiness", "neutral"], "views": 1, "sessions": 1, "size": 16}
NETWORKS = {
    "identity": {
        "task": "identification", "model_options": {"size": 16}, "epochs": 1, "batch_size": 12,
        "val_share": 0.0,
    },
    "concepts": {
        "task": "concepts", "from": {"non_emotion": "identity"},
        "model_options": {
            "emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim", "size": 16,
            "n_features": 11, "dropout": 0.0,
        },
        "epochs": 1, "batch_size": 12, "optimiser": "adam", "lr": 0.003, "val_share": 0.0,
    },
}  # fmt: skip
PATHWAY = {"networks": NETWORKS, "maps": {"permutations": 19, "perplexity": 3.0}}
#: Two trainings for each of two seeds, whose frozen trunk is one network of other people.
STYLES = {
    **PATHWAY,
    "networks": {**NETWORKS, "identity": {**NETWORKS["identity"], "stimuli": "others", "seed": 4}},
    "sets": {"others": {**FACES, "identities": 3, "first_identity": 90}},
    "train": {**FACES, "identities": 5},
    "test": {**FACES, "identities": 4, "first_identity": 50},
    "domains": {"shaded": {"change": {"style": "shaded"}}, "drawn": {"change": {"style": "drawn"}}},
    "seeds": [1, 0],
}
IDENTITY = {
    **PATHWAY,
    "stimuli": {**FACES, "identities": 5},
    "people": {**FACES, "identities": 4, "first_identity": 50, "views": 3, "sessions": 2},
    "networks": {
        **NETWORKS,
        "readout": {
            "task": "identity-readout", "from": {"conceptual": "concepts"}, "stimuli": "people",
            "val_share": 0.0, "epochs": 1, "batch_size": 12, "optimiser": "adam", "lr": 0.003,
        },
    },
}  # fmt: skip


def alter(name: str, **changes) -> dict:
    """Return the networks of Figure 4 with changes to one."""
    networks = IDENTITY["networks"]
    return {"networks": {**networks, name: {**networks[name], **changes}}}


def _weights(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("model.safetensors")}


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("styles") / "results"
    run_experiment(StylesSettings.model_validate(STYLES), folder, device="cpu")
    return folder


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    folder = tmp_path_factory.mktemp("identity") / "results"
    run_experiment(IdentitySettings.model_validate(IDENTITY), folder, device="cpu")
    return folder


@pytest.fixture(scope="module")
def features(styles, tmp_path_factory):
    """Figure 2 from tables that lie elsewhere."""
    folder = tmp_path_factory.mktemp("features") / "results"
    tables = {
        key: str(styles / "stimuli" / f"shaded-{part}" / "table.csv")
        for key, part in (("stimuli", "train"), ("test", "test"))
    }
    run_experiment(FeatureMapsSettings.model_validate({**PATHWAY, **tables}), folder, device="cpu")
    return folder


@pytest.mark.parametrize("name", ["styles", "identity", "features"])
def test_a_run_leaves_its_figure_and_page(name, request):
    folder = request.getfixturevalue(name)
    figure = {"styles": "crpn-fig3", "identity": "crpn-fig4", "features": "crpn-fig2"}[name]
    for end in ("pdf", "png", "csv", "txt"):
        assert (folder / "figures" / f"{figure}.{end}").stat().st_size > 0
    assert f"figure-{figure}" in (folder / "index.html").read_text()
    assert "variant recommended, training seed 0" in (folder / "figures" / f"{figure}.txt").read_text()
    assert not list(folder.rglob("*.tmp*"))


def test_both_styles_show_the_same_people_and_others_than_training(styles):
    tables = {
        (style, part): StimulusTable.read(styles / "stimuli" / f"{style}-{part}")
        for style in ("shaded", "drawn")
        for part in ("train", "test")
    }
    for part in ("train", "test"):
        one, other = (tables[style, part].frame for style in ("shaded", "drawn"))
        assert set(one["style"]) == {"shaded"}
        assert set(other["style"]) == {"drawn"}
        same = ["stimulus_id", "identity", "expression", "action_units", "yaw"]
        pd.testing.assert_frame_equal(one[same], other[same])
    people = [set(tables["shaded", part].factor("identity")) for part in ("train", "test")]
    assert not people[0] & people[1]


@pytest.mark.parametrize(("learns", "folder"), [({}, "drawn-identity"), ({"stimuli": "people"}, "identity")])
def test_a_style_has_networks_of_its_own_where_they_learn_from_it(styles, learns, folder):
    sets = {"people": {**FACES, "identities": 5, "first_identity": 90}}
    networks = {**NETWORKS, "identity": {**NETWORKS["identity"], **learns}}
    settings = StylesSettings.model_validate({**STYLES, "networks": networks, "sets": sets})
    table = StimulusTable.read(styles / "stimuli" / "drawn-train")
    planned = plan_style(settings, "drawn", 1, {STIMULI: table, "people": table})
    places = [run.find_place(styles).relative_to(styles / "runs").as_posix() for run in planned.list_all()]
    assert places == [f"{folder}/seed1", "drawn-concepts/seed1"]


def test_styles_share_a_network_that_learns_from_none_of_them(styles):
    runs = sorted(path.parts[-3] for path in styles.glob("runs/*/*/record.json"))
    assert runs == ["drawn-concepts"] * 2 + ["identity"] + ["shaded-concepts"] * 2
    shared = RunFolder(styles / "runs" / "identity" / "seed4")
    assert set(shared.read_record()["train_identities"]) == {"id090", "id091", "id092"}
    for style in ("shaded", "drawn"):
        for seed in (0, 1):
            recipe = read_recipe(styles / "runs" / f"{style}-concepts" / f"seed{seed}" / "recipe.yaml")
            assert Path(recipe["concepts"]["non_emotion_weights"]) == shared.path.resolve()


def test_accuracies_of_networks_on_styles_are_those_of_their_predictions(styles):
    table = pd.read_csv(styles / "styles" / "accuracies.csv", dtype={"seed": str})
    single = table[(table["metric"] == "mean_class_accuracy") & (table["seed"] != "mean")]
    assert len(single) == 2 * 2 * 2
    for row in single.itertuples():
        place = styles / "evaluation" / f"{row.trained}-on-{row.tested}" / "predictions.csv"
        answers = pd.read_csv(place, dtype={"seed": str})
        answers = answers[answers["seed"] == row.seed]
        right = answers["true"] == answers["predicted"]
        assert row.value == pytest.approx(right.groupby(answers["true"]).mean().mean())
    means = table[(table["metric"] == "accuracy") & (table["seed"] == "mean")]
    assert sorted(means["interval"].unique()) == ["identities", "training seeds"]
    assert set(table["variant"]) == {"recommended"}


def test_maps_of_styles_are_of_each_network_s_own_features(styles):
    place = styles / "styles" / "maps" / "seed0"
    store, result = ActivationStore.open(place / "store"), EmbeddingResult.load(place)
    assert result.layers == ["shaded", "drawn"]
    assert result.factors == ["expression", "style"]
    for name in result.layers:
        own = ActivationStore.open(place / "stores" / name).load("emotion")
        np.testing.assert_array_equal(store.load(name).values, own.values)
        assert result.settings["networks"][name]["run"] == f"{name}-concepts/seed0"
    assert not np.array_equal(store.load("shaded").values, store.load("drawn").values)
    assert result.settings["faces"] == "rendered faces"


def test_an_interrupted_run_goes_on_to_the_same_files(styles, tmp_path):
    copy = shutil.copytree(styles, tmp_path / "copy")
    before = {name: (copy / name).read_bytes() for name in ("styles/accuracies.csv", "figures/crpn-fig3.csv")}
    weights = _weights(copy)
    for name in before:
        (copy / name).unlink()
    (copy / "styles" / "maps" / "seed0" / "settings.json").unlink()
    with pytest.raises(StoreError, match="--resume"):
        run_experiment(StylesSettings.model_validate(STYLES), copy, device="cpu")
    run_experiment(StylesSettings.model_validate(STYLES), copy, resume=True, device="cpu")
    assert {name: (copy / name).read_bytes() for name in before} == before
    assert _weights(copy) == weights


def test_styles_are_joined_under_one_name_per_person(noise_table):
    joined = join_styles({"photo": noise_table, "anime": noise_table})
    assert joined.stimulus_ids[0] == "photo/id0_anger_A"
    assert joined.stimulus_ids[24] == "anime/id0_anger_A"
    assert joined.factor("style").tolist() == ["photo"] * 24 + ["anime"] * 24
    assert set(joined.factor("identity")) == {"id0", "id1", "id2", "id3"}
    assert joined.paths()[24] == noise_table.paths()[0]


def test_people_on_both_sides_of_any_style_are_refused(styles, tmp_path):
    tables = {style: str(styles / "stimuli" / f"{style}-train") for style in ("shaded", "drawn")}
    test = str(styles / "stimuli" / "shaded-test")
    domains = {
        "photo": {"train": tables["shaded"], "test": test},
        "anime": {"train": tables["drawn"], "test": tables["shaded"]},
    }
    settings = StylesSettings.model_validate({**PATHWAY, "domains": domains})
    with pytest.raises(StimulusError, match="5 values of identity are in both"):
        run_experiment(settings, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_feature_maps_that_are_there_are_read(features, styles):
    table = StimulusTable.read(styles / "stimuli" / "shaded-test")
    maps = MapSettings.model_validate(PATHWAY["maps"])
    run = features / "runs" / "concepts" / "seed0"
    path = features / "maps" / "coordinates.csv"
    before = path.stat().st_mtime_ns
    result = map_features(run, table, features / "maps", FEATURE_LAYERS, maps=maps, device="cpu")
    assert path.stat().st_mtime_ns == before
    assert result.layers == ["emotion", "non_emotion"]
    network = result.settings["networks"]["emotion"]
    assert (network["variant"], network["seed"], network["n_train"]) == ("recommended", 0, 15)
    assert network["weights"] == RunFolder(run).read_record()["digests"]["weights"][:12]


def test_faces_that_a_network_was_trained_on_are_not_mapped(features, styles, tmp_path):
    table = StimulusTable.read(styles / "stimuli" / "shaded-train")
    with pytest.raises(StimulusError, match=r"5 of 5 people were trained on in .*give faces of others"):
        run = features / "runs" / "concepts" / "seed0"
        map_features(run, table, tmp_path, FEATURE_LAYERS, device="cpu")


def test_rendered_faces_are_told_from_others(noise_table, styles):
    assert describe_faces(noise_table) == "faces"
    assert describe_faces(StimulusTable.read(styles / "stimuli" / "drawn-test")) == "rendered faces"


def test_the_readout_s_test_pictures_are_new_poses_of_known_people(identity):
    train, test = (
        StimulusTable.read(identity / "stimuli" / f"people-{part}.csv").frame for part in ("train", "test")
    )
    poses = [
        set(zip(part["identity"], part["expression"], part["view"], strict=True)) for part in (train, test)
    ]
    assert not poses[0] & poses[1]
    assert set(train["identity"]) == set(test["identity"])
    assert len(train) + len(test) == 4 * 3 * 3 * 2
    stage1 = StimulusTable.read(identity / "stimuli" / "train").factor("identity")
    assert not set(stage1) & set(test["identity"])


def test_accuracies_of_people_are_those_of_the_stored_features(identity):
    table = pd.read_csv(identity / "identity" / "accuracies.csv")
    table = table[table["metric"] == "mean_class_accuracy"].set_index(["network", "method"])
    both = {(name, how) for name in ("non_emotion", "all") for how in ("nearest mean", "read-out")}
    assert set(table.index) == both | {("before", "nearest mean")}
    assert set(table["interval"]) == {"poses"}
    for name in ("before", "non_emotion", "all"):
        place = identity / "identity" / "stores" / "seed0" / name
        train, test = (ActivationStore.open(place / part) for part in ("train", "test"))
        right = _name_by_nearest_mean(train, test) == test.stimuli.factor("identity")
        recalls = [
            right[test.stimuli.factor("identity") == who].mean()
            for who in np.unique(test.stimuli.factor("identity"))
        ]
        assert table.loc[(name, "nearest mean"), "value"] == pytest.approx(np.mean(recalls))


def _name_by_nearest_mean(train, test):
    """Names by the largest cosine, one picture and one person at a time."""
    people, names = train.stimuli.factor("identity"), []
    values = train.load("non_emotion").values
    for row in test.load("non_emotion").values:
        cosines = {}
        for who in np.unique(people):
            mean = values[people == who].mean(axis=0)
            cosines[who] = row @ mean / np.linalg.norm(row) / np.linalg.norm(mean)
        names.append(max(cosines, key=cosines.get))
    return np.array(names)


def test_each_mode_starts_from_the_same_pathway(identity):
    for mode in ("non_emotion", "all"):
        record = RunFolder(identity / "runs" / f"readout-{mode}" / "seed0").read_record()
        assert record["task"]["mode"] == mode
        assert record["task"]["n_val"] == 0
    assert EmbeddingResult.load(identity / "identity" / "maps" / "seed0").layers == [
        "before",
        "non_emotion",
        "all",
    ]


@pytest.mark.parametrize("held_out", ["pose", "view", "expression"])
def test_no_test_picture_is_a_near_copy_of_a_training_picture(held_out, identity):
    people = StimulusTable.read(identity / "stimuli" / "people")
    train, test = split_people(people, held_out, 0.4, seed=3)
    columns = ["identity", "expression", "view"] if held_out == "pose" else [held_out]
    parts = [set(map(tuple, part.frame[columns].to_numpy())) for part in (train, test)]
    assert not parts[0] & parts[1]
    assert set(train.factor("identity")) == set(test.factor("identity"))
    assert len(train) + len(test) == len(people)


def test_people_with_one_pose_cannot_be_split(noise_table):
    one = noise_table.select(expression="anger")
    with pytest.raises(StimulusError, match=r"4 of 4 people have pictures in only one part \(first: 'id0'\)"):
        split_people(one, "pose", 0.4, seed=0)


def test_means_name_what_they_are_means_of_and_nothing_else(rng):
    centres = rng.normal(size=(3, 7))
    labels = np.repeat(["c", "a", "b"], 5)
    train = np.repeat(centres, 5, axis=0) + rng.normal(0, 0.01, (15, 7))
    classes, similarities = compare_with_means(train, labels, 4.0 * centres)
    assert classes == ("a", "b", "c")
    assert np.array(classes)[similarities.argmax(axis=1)].tolist() == ["c", "a", "b"]
    np.testing.assert_allclose(similarities.max(axis=1), 1, atol=1e-3)
    half = (20000 * train).astype(np.float16)
    np.testing.assert_allclose(compare_with_means(half, labels, half)[1].max(axis=1), 1, atol=1e-3)
    zero = compare_with_means(train, labels, np.zeros((2, 7)))[1]
    np.testing.assert_array_equal(zero, np.zeros((2, 3)))
    shuffled = compare_with_means(
        rng.normal(size=(300, 7)), rng.choice(list("abc"), 300), rng.normal(size=(900, 7))
    )
    share = np.mean(np.array(shuffled[0])[shuffled[1].argmax(axis=1)] == rng.choice(list("abc"), 900))
    assert 0.25 < share < 0.42


@pytest.mark.parametrize("name", ["crpn-fig2", "crpn-fig3", "crpn-fig4"])
def test_the_shipped_recipe_is_one_of_this_experiment(name):
    settings = read_settings(EXPERIMENTS[name].settings, name.replace("-", "/"))
    assert settings.experiment == name
    assert len(settings.seeds) >= 3


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (StylesSettings, {"domains": {"a": {"change": {"styl": "drawn"}}, "b": {"change": {}}}},
         r"unknown key 'styl' in change. Did you mean 'style'"),
        (StylesSettings, {"domains": {"a": {"train": "a.csv"}, "b": {"change": {}}}},
         "give `train` and `test`, or `change` in their place"),
        (StylesSettings, {"train": None}, "`change` differs from the recipe's `train`, which it lacks"),
        (StylesSettings, {"domains": {"a": {"change": {"style": "shaded"}}}}, "at least 2 items"),
        (StylesSettings, {"seeds": [2, 2]}, r"seeds must differ from each other; got \[2, 2\]"),
        (StylesSettings, {"networks": {"concepts": {"task": "expression"}}},
         "task must be 'concepts'; got 'expression'"),
        (StylesSettings, {"networks": {"identity": NETWORKS["identity"]}},
         "networks: 'concepts', of task 'concepts', is missing"),
        (IdentitySettings, alter("identity", stimuli="a.csv"),
         r"networks\.identity\.stimuli='a\.csv' is not known"),
        (IdentitySettings, alter("readout", seed=7), r"readout has a seed of its own"),
        (IdentitySettings, alter("readout", val_share=0.2), "given by the recipe's own keys"),
        (IdentitySettings, alter("readout", readout={"mode": "all"}), "given by the recipe's own keys"),
        (IdentitySettings, {"modes": ["all", "all"]}, r"modes must differ .* \['all', 'all'\]"),
        (IdentitySettings, {"held_out": "session"}, "'pose', 'view' or 'expression'"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_before_anything_is_made(kind, changes, message):
    good = STYLES if kind is StylesSettings else IDENTITY
    kind.model_validate(good)
    with pytest.raises(ValueError, match=message):
        kind.model_validate({**good, **changes})


def test_an_unknown_domain_is_named():
    settings = StylesSettings.model_validate(STYLES)
    assert settings.find_style("drawn", "test").style == "drawn"
    assert settings.find_style("drawn", "test").first_identity == 50
    with pytest.raises(ValueError, match="Did you mean 'drawn'"):
        settings.find_style("draw", "test")


def test_test_pictures_too_few_for_maps_are_told_before_training(tmp_path):
    settings = IdentitySettings.model_validate({**IDENTITY, "maps": {"perplexity": 40.0}})
    with pytest.raises(ValueError, match="perplexity=40 does not fit"):
        run_experiment(settings, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
