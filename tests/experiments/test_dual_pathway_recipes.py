"""Recipes of grids: what is wrong is said in one line before anything is rendered or trained."""

from collections import Counter
from pathlib import Path

import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro.experiments.plan import list_runs, plan_arm, plan_grid
from fernet_neuro.experiments.recipe import DualPathwaySettings
from fernet_neuro.experiments.recipes import EXPERIMENTS, run_recipe

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "stimuli": {"identities": 6, "size": 24},
    "tests": {"people": {"of": "stimuli", "change": {"first_identity": 50}}},
    "identity": {"epochs": 2},
    "arms": {"concept": {"stage": "concepts"}, "crpn": {"stage": "perception"}},
}


def check(**changes) -> DualPathwaySettings:
    return DualPathwaySettings.model_validate({**SMALL, **changes})


def with_set(stage: str = "perception", **changes) -> dict:
    return {
        "arms": {"odd": {"stage": stage, "set": {key.replace("__", "."): v for key, v in changes.items()}}}
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (with_set(concepts__concepts__orthogonalty_weight=0), r"unknown key .*mean 'orthogonality_weight'"),
        (with_set(perceptions__lr=0.1), r"unknown key 'perceptions\.lr'\. Did you mean 'perception'"),
        (with_set(perception__perception__regime="crpm"), r"'odd': perception\.perception\.regime: .*crpn"),
        (with_set(perception__perception__n_concepts=0), r"n_concepts: .*than or equal to 1 \(got 0\)"),
        (with_set("concepts", perception__lr=0.1), r"'perception\.lr' belongs to stage 2"),
        (with_set(perception__seed=5), r"arm 'odd': seeds are given once"),
        (with_set(concepts__lr__x=5), r"'concepts\.lr' is a single value"),
        (with_set(concepts__concepts=5), r"'concepts\.concepts' cannot be changed as a whole"),
        (with_set(identity_trunks=["emotional"]), r"identity_trunks\.0: Input should be 'emotion'"),
        ({"published": {"crpm": {"RAF-DB": 1.0}}}, r"published.*'crpm' is not known.*Did you mean 'crpn'"),
        ({"comparators": {"crpn": {"RAF-DB": 1.0}}}, "'crpn' is an arm"),
        ({"reference": "crp"}, "reference='crp' is not known.*Did you mean 'crpn'"),
        ({"seeds": [3, 3]}, "seeds must differ"),
        ({"seeds": []}, "seeds"),
        ({"arms": {}}, "arms"),
        ({"identity": None, "identity_seed": 3}, "identity_seed needs `identity`"),
        ({"identity": None, "identity_stimuli": "x.csv"}, "identity_stimuli needs `identity`"),
        ({"identity_stimuli": {"of": "people", "change": {"sise": 3}}}, "Did you mean 'size'"),
        ({"tests": {"stimuli": "x.csv"}}, "'stimuli' is the name of another set"),
        ({"concepts": {"task": "perception"}}, "concepts: task must be 'concepts'"),
        ({"concepts": {"stimuli": "x.csv"}}, "stimuli are given once"),
        ({"concepts": {"seed": 9}}, "seeds are given once"),
        ({"tests": {"people": {"of": "stimul"}}}, "Did you mean 'stimuli'"),
        ({"tests": {"people": {"of": "people"}}}, "leads back to itself"),
        ({"tests": {"a": {"of": "b"}, "b": {"of": "a"}}}, "leads back to itself"),
        ({"tests": {"mine": "mine.csv", "b": {"of": "mine"}}}, "'mine' is a table"),
        ({"tests": {"people": {"of": "stimuli", "change": {"stile": "drawn"}}}}, "Did you mean 'style'"),
        ({"tests": {"people": {"of": "stimuli", "change": {"size": 3}}}}, r"tests\.people\.change: size"),
        ({"tests": {"people": {"stimuli": "a.csv", "of": "stimuli"}}}, "either `stimuli` or `of`"),
        ({"tests": {"people": {"stimuli": "a.csv", "change": {"size": 32}}}}, "`change` belongs to `of`"),
        ({"metrics": ["acuracy"]}, "accuracy"),
        ({"epoch": "best", "concepts": {"val_share": 0}}, r"arm 'concept': epoch 'best' needs validation"),
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
    assert arm.perception.perception.n_concepts == 3
    assert arm.perception.perception.percentile == 20
    assert arm.concepts.model_options == {"size": 40}
    assert found.perception.perception.n_concepts == 8


def test_runs_are_known_by_what_goes_into_them():
    both = check(arms={"a": {"stage": "perception"}, "b": {"stage": "perception"},
                       "c": {"stage": "perception", "set": {"perception.perception.n_concepts": 4}},
                       "d": {"stage": "perception", "set": {"concepts.lr": 0.5}}})  # fmt: skip
    runs = {name: plan_arm(both, name, 7, "digest") for name in both.arms}
    assert runs["a"].key == runs["b"].key
    assert runs["a"].key != runs["c"].key
    assert runs["a"].inputs["conceptual"].key == runs["c"].inputs["conceptual"].key
    # Another teacher makes another student, though its own settings are the same.
    assert runs["a"].settings == runs["d"].settings
    assert runs["a"].key != runs["d"].key
    assert plan_arm(both, "a", 8, "digest").key == runs["a"].key
    assert plan_arm(both, "a", 7, "other").key != runs["a"].key


@pytest.mark.parametrize("pinned", [None, 1])
def test_seeds_of_an_arm_have_one_key_and_identity_networks_as_the_recipe_says(pinned):
    found = check(identity_seed=pinned, seeds=[0, 1, 2])
    grid = plan_grid(found, "digest")
    assert len({run.key for (arm, _), run in grid.items() if arm == "concept"}) == 1
    used = {
        run.inputs["non_emotion_weights"].settings.seed for (arm, _), run in grid.items() if arm == "concept"
    }
    assert used == ({0, 1, 2} if pinned is None else {1})


def test_trunks_start_where_the_recipe_says():
    found = check(expression={}, identity_trunks=["non_emotion", "perceptual"])
    concept, student = (plan_arm(found, arm, 5, "digest") for arm in ("concept", "crpn"))
    starts = {name: (run.stage, run.settings.seed) for name, run in concept.inputs.items()}
    assert starts == {"emotion_weights": ("expression", 5), "non_emotion_weights": ("identity", 5)}
    assert student.inputs["trunk_weights"].stage == "identity"
    assert concept.inputs["emotion_weights"].inputs == {}
    found = check(expression={}, identity_trunks=["non_emotion", "expression"])
    concept = plan_arm(found, "concept", 5, "digest")
    first = concept.inputs["emotion_weights"].inputs["weights"]
    assert first == concept.inputs["non_emotion_weights"]
    recipe = concept.inputs["emotion_weights"].fill_places(Path("store"))
    assert recipe.weights == str(first.find_place(Path("store")))
    with pytest.raises(ValueError, match="'emotion' is in both identity_trunks and expression_trunks"):
        check(expression={}, identity_trunks=["emotion"])
    arms = {"odd": {"stage": "concepts", "set": {"expression_trunks": ["non_emotion"]}}}
    with pytest.raises(ValueError, match="arm 'odd': 'non_emotion' is in both"):
        check(expression={}, arms=arms)


def test_an_identity_network_may_learn_from_other_people():
    found = check(identity_stimuli={"of": "stimuli", "change": {"first_identity": 700}})
    assert found.find_stimuli("identity_stimuli").first_identity == 700
    run = plan_arm(found, "concept", 0, "digest", "others").inputs["non_emotion_weights"]
    assert run.stimuli == "others"
    assert run.key != plan_arm(found, "concept", 0, "digest").inputs["non_emotion_weights"].key


def test_a_given_trunk_or_teacher_is_not_trained_again():
    changes = with_set(perception__perception__conceptual="teacher", concepts__lr=0.1)
    run = plan_arm(check(**changes), "odd", 0, "digest")
    assert run.inputs == {}
    changes = with_set("concepts", concepts__concepts__non_emotion_weights="vggface2.pkl")
    assert plan_arm(check(**changes), "odd", 0, "digest").inputs == {}


def test_those_that_others_need_come_first():
    runs = list(list_runs(plan_grid(check(), "digest"), Path("store")).values())
    order = {"identity": 0, "expression": 1, "concepts": 2, "perception": 3}
    assert [order[run.stage] for run in runs] == sorted(order[run.stage] for run in runs)


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
    found = read_settings(DualPathwaySettings, f"crpn/{name}")
    assert len(found.arms) == arms
    assert set(found.published) == set(found.arms)
    planned = list_runs(plan_grid(found, "digest"), Path("store")).values()
    assert Counter(run.stage for run in planned) == runs
    train, tests = found.stimuli, [found.find_stimuli(test) for test in found.tests]
    assert train.label_noise > 0
    assert all(test.label_noise == 0 for test in tests)
    assert all(test.first_identity >= train.identities for test in tests)
    weights = train.expression_weights
    assert sum(weights.values()) == 12_271  # RAF-DB's training images


def test_tables_share_their_teachers():
    stores = {}
    for name in ("table1", "table3", "table4"):
        found = read_settings(DualPathwaySettings, f"crpn/{name}")
        runs = list_runs(plan_grid(found, "digest"), Path("store"))
        stores[name] = {place for place, run in runs.items() if run.stage == "concepts"}
    assert stores["table1"] == stores["table3"] > stores["table4"]


def test_the_published_values_of_table_two_are_those_printed():
    found = read_settings(DualPathwaySettings, "crpn/table2")
    printed = [found.published[arm]["RAF-DB"] for arm in found.arms]
    assert printed == [87.06, 87.52, 87.64, 88.02, 88.78, 89.16, 88.25, 90.33]
    for arm in found.arms:
        concepts = found.resolve(arm).concepts.concepts
        terms = (concepts.orthogonality_weight > 0, concepts.contrastive_weight > 0, concepts.confidence)
        named = set(arm.split("-")) if arm not in ("none", "all") else set()
        wanted = {"none": (False,) * 3, "all": (True,) * 3}.get(
            arm, tuple(t in named for t in ("orth", "cc", "rr"))
        )
        assert terms == wanted


def test_the_experiment_is_chosen_by_name(tmp_path):
    (tmp_path / "odd.yaml").write_text("experiment: dual-pathwy\n")
    with pytest.raises(
        ValueError, match=r"experiment='dual-pathwy' is not known.*Did you mean 'dual-pathway'"
    ):
        run_recipe(tmp_path / "odd.yaml", tmp_path / "out")
    (tmp_path / "short.yaml").write_text("experiment: dual-pathway\n")
    with pytest.raises(ValueError, match="'arms' is missing"):
        run_recipe(tmp_path / "short.yaml", tmp_path / "out")
    (tmp_path / "none.yaml").write_text("seeds: [0]\n")
    with pytest.raises(ValueError, match="'networks' is missing"):
        run_recipe(tmp_path / "none.yaml", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert next(iter(EXPERIMENTS)) == "identity-to-expression"
