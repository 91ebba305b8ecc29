"""The shipped recipes of tables and figures, tiny: each is one command, with its figure and its tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.table import StimulusTable

pytestmark = pytest.mark.slow

FACES = (
    "{identities: %d, first_identity: %d, views: 1, sessions: 2, size: 24,"
    " expressions: [anger, fear, neutral]}"
)
TINY = [
    f"stimuli={FACES % (6, 0)}", f"tests={{people: {{stimuli: {FACES % (5, 100)}}}}}", "seeds=[0,1]",
    f"sets.identity_stimuli={FACES % (4, 200)}",
    *(f"networks.{name}.{key}" for name in ("identity", "guided")
      for key in ("epochs=1", "batch_size=18", "warmup_epochs=0", "model_options={size: 24}")),
]  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where recipes share faces and networks."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def make(run: Callable[..., tuple[int, str, str]], shared: Path, tmp_path: Path) -> Callable[..., Path]:
    def call(recipe: str, *changes: str) -> Path:
        out = tmp_path / recipe
        sets = [text for change in (*TINY, f"shared={shared}", *changes) for text in ("--set", change)]
        code, _, err = run("run", f"text_guided/{recipe}", "--out", out, "--quiet", "--jobs", 1, *sets)
        assert code == 0, err
        return out

    return call


@pytest.mark.parametrize(
    ("recipe", "arms", "seeds"),
    [("fig1", ["labels", "texts"], [0, 1]), ("fig3", ["semantic", "all"], [0])],
)
def test_maps_of_two_arms_are_one_command(make, recipe, arms, seeds):
    out = make(recipe, "maps.permutations=1", "maps.perplexity=5", f"seeds={seeds}")
    for seed in seeds:
        maps = EmbeddingResult.load(out / "arm_maps" / f"seed{seed}")
        assert list(maps.layers) == arms
        assert {item["seed"] for item in maps.settings["networks"].values()} == {seed}
    source = pd.read_csv(out / "figures" / f"text-guided-{recipe}.csv")
    assert len(source.query("kind == 'point'")) == 2 * 5 * 3 * 2
    assert set(source.query("kind == 'score'")["measure"]) == {"neighbour_purity", "knn_balanced_accuracy"}
    assert f"text-guided-{recipe}" in (out / "index.html").read_text()


def test_another_set_is_compared_over_the_classes_that_both_show(make, tmp_path):
    faces = render_faces(
        out=tmp_path / "theirs", identities=4, first_identity=300, views=1, sessions=1, size=24,
        expressions=["anger", "happiness", "neutral"],
    )  # fmt: skip
    frame = faces.frame.assign(expression=faces.frame["expression"].replace({"anger": "angry"}))
    theirs = StimulusTable.from_frame(frame, root=faces.root).write(tmp_path / "theirs.csv")
    added = f"tests.theirs={{stimuli: {theirs}, map: {{angry: anger}}, only_known: true}}"
    out = make("across", added)
    left_out = pd.read_csv(out / "left_out.csv")
    assert left_out.to_numpy().tolist() == [["theirs", "happiness", 4]]
    for name in ("table.md", "table.tex", "index.html"):
        said = "theirs: left out, as no class is called so: happiness (4 images)."
        assert said in (out / name).read_text(), name
    drops = pd.read_csv(out / "drops.csv").query("epoch == 'last'")
    assert list(drops["arm"]) == ["labels", "semantic", "all"]
    assert set(drops["classes"]) == {"anger, neutral"}
    for row in drops.itertuples():
        means = {test: _average_recalls(out, test, row.arm) for test in ("people", "theirs")}
        assert row.home == pytest.approx(means["people"].mean())
        assert row.away == pytest.approx(means["theirs"].mean())
        assert row.drop == pytest.approx((means["people"] - means["theirs"]).mean())


def _average_recalls(out: Path, test: str, arm: str) -> np.ndarray:
    """Return the mean share of anger and neutral named right, of each seed."""
    frame = pd.read_csv(out / "evaluation" / test / arm / "predictions.csv")
    frame = frame[(frame["epoch"] == "last") & frame["true"].isin(["anger", "neutral"])]
    right = (frame["true"] == frame["predicted"]).groupby([frame["seed"].astype(str), frame["true"]]).mean()
    return right.groupby(level=0).mean().to_numpy()


#: A tiny network of the recipe of an expression that training never shows.
UNSEEN = [
    change.replace("networks.guided.", "networks.unseen.")
    for change in TINY
    if change.startswith("networks.guided.")
]


def test_an_expression_never_shown_is_named_and_drawn(make):
    out = make("zero_shot", *UNSEEN, "networks.unseen.text.left_out=[fear]")
    drawn = pd.read_csv(out / "figures" / "text-guided-zero-shot.csv")
    recalls = drawn.query("metric == 'recall' and seed not in ('mean',)")
    assert set(recalls["class"]) == {"fear"}
    assert recalls.groupby("arm")["series"].first().to_dict() == {
        "prompts": "left out", "shuffled": "left out", "shuffled_again": "left out", "random": "left out",
        "shown": "shown",
    }  # fmt: skip
    assert drawn.query("metric == 'recall'")["chance_percent"].unique() == pytest.approx([100 / 3])
    predictions = pd.read_csv(out / "evaluation" / "people" / "prompts" / "predictions.csv", dtype=str)
    fear = predictions.query("epoch == 'last' and true == 'fear' and seed == '0'")
    found = recalls.query("arm == 'prompts' and seed == '0'")["value_percent"].item()
    assert found == pytest.approx(100 * (fear["predicted"] == "fear").mean())


def test_an_expression_that_no_test_shows_is_told_in_one_line(run, make, tmp_path):
    """The networks are those of the test before this one; people of its test show no fear."""
    others = f"tests={{people: {{stimuli: {FACES % (5, 100)}}}}}".replace(
        "anger, fear, neutral", "anger, neutral"
    )
    out = make(
        "zero_shot", *UNSEEN, "networks.unseen.text.left_out=[fear]", others, "figures=[]", "seeds=[0]"
    )
    places = ("--results", out, "--out", tmp_path / "figures")
    code, _, err = run("figures", "build", "text-guided-zero-shot", *places)
    assert code == 2
    assert "shows fear" in err
    assert "left_out=[NAME]" in err
