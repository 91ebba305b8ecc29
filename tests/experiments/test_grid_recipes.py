"""Recipes of grids: what is wrong is said in one line before anything is rendered or trained."""

from collections import Counter
from pathlib import Path

import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro.experiments.graph import change_networks
from fernet_neuro.experiments.plan import PlannedRun, list_runs
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.experiments.recipes import run_recipe
from fernet_neuro.experiments.run import plan_grid

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {
    "identity": {"task": "identification", "epochs": 2},
    "concepts": {"task": "concepts", "from": {"non_emotion": "identity"}},
    "perception": {"task": "perception", "from": {"conceptual": "concepts"}},
}
SMALL = {
    "stimuli": {"identities": 6, "size": 24},
    "tests": {"people": {"of": "stimuli", "change": {"first_identity": 50}}},
    "networks": NETWORKS,
    "arms": {"concept": {"tested": "concepts"}, "crpn": {"tested": "perception"}},
}
DIGESTS = {"stimuli": "digest", "others": "others"}
STORE = Path("store")


def check(**changes) -> GridSettings:
    return GridSettings.model_validate({**SMALL, **changes})


def alter(**changes) -> dict:
    """Return the recipe's networks with changes to some, and others beside them."""
    return {**NETWORKS, **{name: {**NETWORKS.get(name, {}), **new} for name, new in changes.items()}}


def plan_arm(settings: GridSettings, arm: str, seed: int, stimuli: str = "digest") -> PlannedRun:
    grid = plan_grid(settings.model_copy(update={"seeds": (seed,)}), {**DIGESTS, "stimuli": stimuli})
    return grid[arm, seed]


def with_set(tested: str = "perception", **changes) -> dict:
    return {
        "arms": {"odd": {"tested": tested, "set": {key.replace("__", "."): v for key, v in changes.items()}}}
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (with_set(concepts__concepts__orthogonalty_weight=0), r"unknown key .*mean 'orthogonality_weight'"),
        (with_set(perceptions__lr=0.1), r"unknown key 'perceptions\.lr'\. Did you mean 'perception'"),
        (with_set(perception__perception__regime="crpm"), r"'odd': perception\.perception\.regime: .*crpn"),
        (with_set(perception__perception__n_concepts=0), r"n_concepts: .*than or equal to 1 \(got 0\)"),
        (with_set("concepts", perception__lr=0.1), "changes a network that the arm does without"),
        (with_set(perception__seed=5), r"arm 'odd': seeds are given once"),
        (with_set(concepts__lr__x=5), r"'concepts\.lr' is a single value"),
        (with_set(concepts__concepts=5), r"'concepts\.concepts' cannot be changed as a whole"),
        (with_set(concepts={"lr": 1}), "'concepts' cannot be changed as a whole"),
        (with_set(concepts__from__emotional="identity"), r"'odd': concepts\.from: .*Did you mean 'emotion'"),
        (with_set(concepts__from__emotion="identitty"), r"concepts\.from\.emotion.*'identity'"),
        (with_set(identity__from__weights="concepts"), r"'odd': networks: .* starts from .*, a circle"),
        ({"published": {"crpm": {"RAF-DB": 1.0}}}, r"published.*'crpm' is not known.*Did you mean 'crpn'"),
        ({"comparators": {"crpn": {"RAF-DB": 1.0}}}, "'crpn' is an arm"),
        ({"reference": "crp"}, "reference='crp' is not known.*Did you mean 'crpn'"),
        ({"seeds": [3, 3]}, "seeds must differ"),
        ({"seeds": []}, "seeds"),
        ({"arms": {}}, "arms"),
        ({"networks": {}}, "networks"),
        ({"networks": alter(concepts={"from": {"non_emotion": "identiti"}})}, "Did you mean 'identity'"),
        ({"networks": alter(concepts={"from": {"non_emotions": "identity"}})}, "Did you mean 'non_emotion'"),
        ({"networks": alter(concepts={"from": {"weights": "identity"}})}, "key='weights' is not known"),
        ({"networks": alter(identity={"from": {"weights": "expression"}}, expression={
            "task": "expression", "from": {"weights": "identity"}})},
         "networks: identity starts from expression starts from identity, a circle"),
        ({"networks": alter(identity={"stimuli": "other"}), "sets": {"others": "x.csv"}},
         r"networks\.identity\.stimuli='other' is not known.*Did you mean 'others'"),
        ({"networks": alter(concepts={"seed": 0})}, "concepts has a seed of its own and starts from"),
        ({"networks": alter(concepts={"seed": 0}, identity={"seed": 0})}, "concepts: seeds are given once"),
        ({"arms": {"odd": {"tested": "percepton"}}}, "'odd': tested='percepton' .*Did you mean 'perception'"),
        ({"sets": {"others": {"of": "people", "change": {"sise": 3}}}}, "Did you mean 'size'"),
        ({"sets": {"stimuli": "x.csv"}}, "sets: 'stimuli' is the name of another set"),
        ({"tests": {"stimuli": "x.csv"}}, "'stimuli' is the name of another set"),
        ({"networks": alter(concepts={"task": "perception"})}, "key='non_emotion' is not known"),
        ({"tests": {"people": {"of": "stimul"}}}, "Did you mean 'stimuli'"),
        ({"tests": {"people": {"of": "people"}}}, "leads back to itself"),
        ({"tests": {"a": {"of": "b"}, "b": {"of": "a"}}}, "leads back to itself"),
        ({"tests": {"mine": "mine.csv", "b": {"of": "mine"}}}, "'mine' is a table"),
        ({"tests": {"people": {"of": "stimuli", "change": {"stile": "drawn"}}}}, "Did you mean 'style'"),
        ({"tests": {"people": {"of": "stimuli", "change": {"size": 3}}}}, r"tests\.people\.change: size"),
        ({"tests": {"people": {"stimuli": "a.csv", "of": "stimuli"}}}, "either `stimuli` or `of`"),
        ({"tests": {"people": {"stimuli": "a.csv", "change": {"size": 32}}}}, "`change` belongs to `of`"),
        ({"columns": ["acuracy"]}, "accuracy"),
        ({"columns": ["params"]}, "columns: give one score or more"),
        ({"epoch": "best", "networks": alter(concepts={"val_share": 0})},
         r"arm 'concept': epoch 'best' needs validation"),
    ],
)  # fmt: skip
def test_a_grid_that_cannot_be_run_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        check(**changes)


def test_a_test_is_a_path_or_faces_or_another_test_with_changes():
    found = check(
        tests={
            "mine": "mine.csv",
            "faces": {"identities": 3, "first_identity": 90},
            "drawn": {"of": "faces", "change": {"style": "drawn"}},
            "more": {"of": "drawn", "change": {"size": 96}},
        }
    )
    assert found.find_stimuli("mine") == "mine.csv"
    more = found.find_stimuli("more")
    assert (more.identities, more.first_identity, more.style, more.size) == (3, 90, "drawn", 96)
    assert found.find_stimuli("stimuli").size == 24


def test_arms_change_what_they_name_and_nothing_else():
    found = check(**with_set(perception__perception__n_concepts=3, concepts__model_options__size=40))
    arm = found.resolve("odd")
    assert arm["perception"].section.n_concepts == 3
    assert arm["perception"].section.percentile == 20
    assert arm["concepts"].model_options == {"size": 40}
    assert found.networks["perception"].section.n_concepts == 8


def test_a_network_has_the_model_of_its_task_and_short_forms_of_keys():
    found = check().networks
    assert [found[name].model for name in NETWORKS] == ["resnet10-slim", "crpn-conceptual", "crpn-perceptual"]
    assert found["concepts"].starts == {"non_emotion_weights": "identity"}
    again = GridSettings.model_validate(check().model_dump(mode="json"))
    assert again == check()
    assert change_networks(found, {"concepts.from.non_emotion": None})["concepts"].starts == {}


def test_runs_are_known_by_what_goes_into_them():
    both = check(arms={"a": {"tested": "perception"}, "b": {"tested": "perception"},
                       "c": {"tested": "perception", "set": {"perception.perception.n_concepts": 4}},
                       "d": {"tested": "perception", "set": {"concepts.lr": 0.5}}})  # fmt: skip
    runs = {name: plan_arm(both, name, 7) for name in both.arms}
    assert runs["a"].find_key(STORE) == runs["b"].find_key(STORE)
    assert runs["a"].find_key(STORE) != runs["c"].find_key(STORE)
    assert runs["a"].inputs["conceptual"].find_key(STORE) == runs["c"].inputs["conceptual"].find_key(STORE)
    # Another teacher makes another student, though its own settings are the same.
    assert runs["a"].settings == runs["d"].settings
    assert runs["a"].find_key(STORE) != runs["d"].find_key(STORE)
    assert plan_arm(both, "a", 8).find_key(STORE) == runs["a"].find_key(STORE)
    assert plan_arm(both, "a", 7, "other").find_key(STORE) != runs["a"].find_key(STORE)


@pytest.mark.parametrize("pinned", [None, 1])
def test_seeds_of_an_arm_have_one_key_and_identity_networks_as_the_recipe_says(pinned):
    found = check(networks=alter(identity={"seed": pinned}), seeds=[0, 1, 2])
    grid = plan_grid(found, DIGESTS)
    assert len({run.find_key(STORE) for (arm, _), run in grid.items() if arm == "concept"}) == 1
    used = {
        run.inputs["non_emotion_weights"].settings.seed for (arm, _), run in grid.items() if arm == "concept"
    }
    assert used == ({0, 1, 2} if pinned is None else {1})
    assert found.list_pinned() == ({} if pinned is None else {"identity": 1})


def test_trunks_start_where_the_recipe_says():
    networks = alter(
        expression={"task": "expression"},
        concepts={"from": {"emotion": "expression", "non_emotion": "identity"}},
        perception={"from": {"trunk": "identity", "conceptual": "concepts"}},
    )
    found = check(networks=networks)
    concept, student = (plan_arm(found, arm, 5) for arm in ("concept", "crpn"))
    starts = {name: (run.network, run.settings.seed) for name, run in concept.inputs.items()}
    assert starts == {"emotion_weights": ("expression", 5), "non_emotion_weights": ("identity", 5)}
    assert student.inputs["trunk_weights"].network == "identity"
    assert concept.inputs["emotion_weights"].inputs == {}
    networks["expression"] = {"task": "expression", "from": {"weights": "identity"}}
    concept = plan_arm(check(networks=networks), "concept", 5)
    first = concept.inputs["emotion_weights"].inputs["weights"]
    assert first == concept.inputs["non_emotion_weights"]
    recipe = concept.inputs["emotion_weights"].fill_places(STORE)
    assert recipe.weights == str(first.find_place(STORE))
    filled = concept.fill_places(STORE)
    assert filled.section.non_emotion_weights == recipe.weights
    assert filled.weights is None


def test_a_network_may_learn_from_other_people():
    others = {"of": "stimuli", "change": {"first_identity": 700}}
    found = check(sets={"others": others}, networks=alter(identity={"stimuli": "others"}))
    assert found.find_stimuli("others").first_identity == 700
    assert list(found.list_sets()) == ["stimuli", "others", "people"]
    run = plan_arm(found, "concept", 0).inputs["non_emotion_weights"]
    assert run.stimuli == "others"
    assert run.settings.stimuli is None
    assert run.find_key(STORE) != plan_arm(check(), "concept", 0).inputs["non_emotion_weights"].find_key(
        STORE
    )
    assert list(check(sets={"others": others}).list_sets()) == [
        "stimuli",
        "people",
    ]  # nothing learns from them


def test_a_given_trunk_or_a_teacher_without_use_is_not_trained():
    changes = with_set(perception__perception__conceptual="teacher")
    assert plan_arm(check(**changes), "odd", 0).inputs == {}
    changes = with_set(perception__perception__regime="perceptual")
    assert plan_arm(check(**changes), "odd", 0).inputs == {}
    changes = with_set("concepts", concepts__concepts__non_emotion_weights="vggface2.pkl")
    assert plan_arm(check(**changes), "odd", 0).inputs == {}


def test_those_that_others_need_come_first():
    runs = list_runs(plan_grid(check(seeds=[0, 1]), DIGESTS).values(), STORE)
    places = list(runs)
    assert len(places) == 6
    for place, run in runs.items():
        for needed in run.inputs.values():
            assert places.index(needed.find_place(STORE)) < places.index(place)


@pytest.mark.parametrize(
    ("name", "arms", "runs"),
    [
        ("table1", 3, {"identity": 1, "expression": 5, "concepts": 5, "perception": 10}),
        ("table2", 8, {"identity": 1, "expression": 3, "concepts": 24}),
        ("table3", 3, {"identity": 1, "expression": 5, "concepts": 5, "perception": 15}),
        ("table4", 8, {"identity": 1, "expression": 3, "concepts": 3, "perception": 24}),
    ],
)
def test_shipped_recipes_are_the_papers_tables(name, arms, runs):
    found = read_settings(GridSettings, f"crpn/{name}")
    assert len(found.arms) == arms
    assert set(found.published) == set(found.arms)
    digests = {"stimuli": "digest", "identity_stimuli": "others"}
    planned = list_runs(plan_grid(found, digests).values(), STORE).values()
    assert Counter(run.network for run in planned) == runs
    train, tests = found.stimuli, [found.find_stimuli(test) for test in found.tests]
    assert train.label_noise > 0
    assert all(test.label_noise == 0 for test in tests)
    assert all(test.first_identity >= train.identities for test in tests)
    weights = train.expression_weights
    assert sum(weights.values()) == 12_271  # RAF-DB's training images


def test_tables_share_their_teachers():
    stores = {}
    for name in ("table1", "table3", "table4"):
        found = read_settings(GridSettings, f"crpn/{name}")
        digests = {"stimuli": "digest", "identity_stimuli": "others"}
        runs = list_runs(plan_grid(found, digests).values(), STORE)
        stores[name] = {place for place, run in runs.items() if run.network == "concepts"}
    assert stores["table1"] == stores["table3"] > stores["table4"]


def test_the_published_values_of_table_two_are_those_printed():
    found = read_settings(GridSettings, "crpn/table2")
    printed = [found.published[arm]["RAF-DB"] for arm in found.arms]
    assert printed == [87.06, 87.52, 87.64, 88.02, 88.78, 89.16, 88.25, 90.33]
    for arm in found.arms:
        concepts = found.resolve(arm)["concepts"].section
        terms = (concepts.orthogonality_weight > 0, concepts.contrastive_weight > 0, concepts.confidence)
        named = set(arm.split("-")) if arm not in ("none", "all") else set()
        wanted = {"none": (False,) * 3, "all": (True,) * 3}.get(
            arm, tuple(t in named for t in ("orth", "cc", "rr"))
        )
        assert terms == wanted


def test_the_experiment_is_chosen_by_name(tmp_path):
    (tmp_path / "odd.yaml").write_text("experiment: grids\n")
    with pytest.raises(ValueError, match=r"experiment='grids' is not known.*Did you mean 'grid'"):
        run_recipe(tmp_path / "odd.yaml", tmp_path / "out")
    (tmp_path / "short.yaml").write_text("experiment: grid\n")
    with pytest.raises(ValueError, match="'arms' is missing"):
        run_recipe(tmp_path / "short.yaml", tmp_path / "out")
    (tmp_path / "none.yaml").write_text("seeds: [0]\n")
    with pytest.raises(ValueError, match="has no key `experiment`, which is one of: grid"):
        run_recipe(tmp_path / "none.yaml", tmp_path / "out")
    assert not (tmp_path / "out").exists()
