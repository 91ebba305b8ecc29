"""Shipped recipes on a user's own tables, and what going on does when tables, networks or tests change."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from fernet_neuro._utils import config
from fernet_neuro._utils.config import read_settings
from fernet_neuro.cli.app import app
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.experiments.cost import write_costs
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.experiments.recipes import run_experiment, run_recipe
from fernet_neuro.stimuli.datasets.registry import DATASETS
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.table import StimulusTable

pytestmark = pytest.mark.slow

read_folder = DATASETS["folder"].read

LABELS = ["anger", "happiness", "neutral"]
#: Makes the recipes' networks and identity stimuli small; the tables are never named here.
SMALL = [
    *(f"networks.{stage}.{key}" for stage in ("identity", "expression", "concepts")
      for key in ("epochs=1", "warmup_epochs=0", "batch_size=12", "model_options.size=24")),
    "networks.expression.val_share=0", "networks.concepts.val_share=0",
    "networks.concepts.model_options.n_features=20",
    "sets.identity_stimuli.identities=4", "sets.identity_stimuli.sessions=2", "sets.identity_stimuli.size=24",
    "sets.identity_stimuli.intensity=1.0", "seeds=[0, 1]", "published={}",
    "arms={none: {tested: concepts, set: {concepts.concepts.confidence: false}}, all: {tested: concepts}}",
]  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """``train.csv`` and ``test.csv`` of faces at 24 px, with no column but a user's."""
    folder = tmp_path_factory.mktemp("own")
    for name, first, people in (("train", 0, 7), ("test", 60, 4)):
        faces = RenderSettings(
            identities=people, first_identity=first, expressions=LABELS, views=1, sessions=2, size=24
        )
        frame = render_faces(faces, folder / name).frame
        own = frame[["stimulus_id", "path", "identity", "expression", "view", "session"]]
        StimulusTable.from_frame(own, root=folder / name).write(folder / f"{name}.csv")
    return folder


def invoke(recipe: str, out: Path, *changes: str, resume: bool = False):
    sets = [part for change in changes for part in ("--set", change)]
    options = ["--quiet", "--device", "cpu", "--jobs", "1", *(["--resume"] if resume else [])]
    command = ["run", f"crpn/{recipe}", "--out", str(out), *sets, *options]
    return CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.fixture(scope="module")
def table2(tables, tmp_path_factory) -> Path:
    """Table 2 as a user asks for it."""
    out = tmp_path_factory.mktemp("table2") / "t2"
    asked = [f"stimuli={tables / 'train.csv'}", f"tests={{mine: {{stimuli: {tables / 'test.csv'}}}}}"]
    assert invoke("table2", out, *asked, *SMALL).exit_code == 0
    return out


def read_recipe(folder: Path, **changes) -> GridSettings:
    values = config.read_recipe(folder / "recipe.yaml", ())
    return GridSettings.model_validate({**values, **changes})


def list_times(folder: Path, pattern: str) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.glob(pattern)}


def test_a_recipe_of_a_table_takes_any_stimulus_tables(table2, tables):
    used = StimulusTable.read(table2 / "stimuli" / "train.csv")
    assert used.digest() == StimulusTable.read(tables / "train.csv").digest()
    summary = pd.read_csv(table2 / "summary.csv")
    assert set(summary["test"]) == {"mine"}
    assert set(summary["arm"]) == {"none", "all"}
    text = (table2 / "table.md").read_text()
    # What is said of rendered faces is not said of others; trunks still start from rendered people.
    assert "RAF-DB" not in text
    assert "New people" not in text
    assert "naming other rendered people" in text


def test_tests_of_a_recipe_may_stay_beside_a_users_own(tmp_path):
    """The rendered tests do not depend on the training stimuli."""
    values = ["stimuli=train.csv", "tests.mine=test.csv"]
    with pytest.raises(StimulusError, match=r"train\.csv"):
        run_recipe("crpn/table3", tmp_path / "t3", values)
    assert not (tmp_path / "t3").exists()
    found = read_settings(GridSettings, "crpn/table3", values)
    assert list(found.tests) == ["people", "occluded", "drawn", "mine"]
    people, drawn = (found.find_stimuli(name) for name in ("people", "drawn"))
    assert (people.first_identity, people.label_noise, people.identities) == (1000, 0.0, 40)
    assert drawn == people.model_copy(update={"style": "drawn"})


def move_test(folder: Path, table: StimulusTable, place: Path) -> GridSettings:
    """Let a folder's recipe test on another file, and return its settings."""
    settings = read_recipe(folder, tests={"mine": {"stimuli": str(table.write(place))}})
    (folder / "recipe.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    return settings


def test_going_on_serves_what_is_there_of_the_same_weights_and_stimuli(table2, tables, tmp_path):
    """The same rows lie in another file, and an earlier release began the folder."""
    copy = shutil.copytree(table2, tmp_path / "copy")
    frame = StimulusTable.read(tables / "test.csv").frame
    settings = move_test(copy, StimulusTable.from_frame(frame, root=tables), tmp_path / "test.csv")
    values = yaml.safe_load((copy / "recipe.yaml").read_text())
    assert values.pop("published_chance") == {}
    (copy / "recipe.yaml").write_text(yaml.safe_dump(values))
    before = list_times(copy, "evaluation/*/*/*.csv")
    assert len(before) == 2 * 4
    run_experiment(settings, copy, resume=True, device="cpu")
    assert list_times(copy, "evaluation/*/*/*.csv") == before


def test_a_changed_test_table_is_evaluated_anew(table2, tables, tmp_path):
    """Labels move one on; every prediction stays and is judged by its new label."""
    copy = shutil.copytree(table2, tmp_path / "copy")
    frame = StimulusTable.read(tables / "test.csv").frame
    new = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    moved = StimulusTable.from_frame(frame.assign(expression=frame["expression"].map(new)), root=tables)
    run_experiment(move_test(copy, moved, tmp_path / "test.csv"), copy, resume=True, device="cpu")
    for arm in ("none", "all"):
        old, now = (
            pd.read_csv(place / "evaluation" / "mine" / arm / "predictions.csv") for place in (table2, copy)
        )
        assert now["true"].tolist() == old["true"].map(new).tolist()
        assert now["predicted"].tolist() == old["predicted"].tolist()
    rows = pd.read_csv(copy / "results.csv", keep_default_na=False)
    last = rows[(rows["arm"] == "all") & (rows["metric"] == "accuracy") & (rows["epoch"] == "last")]
    right = (now["true"] == now["predicted"])[now["epoch"] == "last"].groupby(now["seed"]).mean()
    for seed, value in right.items():
        assert float(last[last["seed"] == str(seed)]["value"].iloc[0]) == pytest.approx(value)


def test_a_changed_run_is_evaluated_anew(table2, tmp_path):
    """The network of one seed takes the place of another's: so do its answers, and those of no other arm."""
    copy = shutil.copytree(table2, tmp_path / "copy")
    runs = pd.read_csv(copy / "runs.csv")
    places = runs[(runs["arm"] == "all") & runs["is_tested"]].set_index("seed")["run"]
    for part in ("model", "checkpoints"):
        shutil.rmtree(copy / places[0] / part)
        shutil.copytree(copy / places[1] / part, copy / places[0] / part)
    before = list_times(copy, "evaluation/mine/none/*.csv")
    run_experiment(read_recipe(copy), copy, resume=True, device="cpu")
    assert list_times(copy, "evaluation/mine/none/*.csv") == before
    columns = [f"probability_{name}" for name in LABELS]
    old, now = (
        pd.read_csv(place / "evaluation" / "mine" / "all" / "predictions.csv").query("epoch == 'last'")
        for place in (table2, copy)
    )
    values = {
        (name, seed): frame[frame["seed"] == seed][columns].to_numpy()
        for name, frame in (("old", old), ("now", now))
        for seed in (0, 1)
    }
    assert not np.allclose(values["old", 0], values["old", 1])
    assert np.allclose(values["now", 0], values["old", 1])
    assert np.allclose(values["now", 1], values["old", 1])


def test_costs_are_measured_anew_for_other_networks_alone(table2, tmp_path):
    settings = read_recipe(table2, columns=["accuracy", "params"])
    write_costs(settings, tmp_path, n_classes=3, n_repeats=2)
    place = tmp_path / "cost.csv"
    written, time = place.read_bytes(), place.stat().st_mtime_ns
    write_costs(settings.model_copy(update={"title": "Another"}), tmp_path, n_classes=3, n_repeats=2)
    assert place.stat().st_mtime_ns == time
    write_costs(settings, tmp_path, n_classes=5, n_repeats=2)
    more = pd.read_csv(place)
    before = pd.read_csv(pd.io.common.BytesIO(written))
    # Two classes more, each with the 128 weights of the classifier's hidden layer and a bias.
    assert (more["params"] - before["params"]).tolist() == [2 * 129] * 2
    costed = {"narrow": {"model": "crpn-perceptual", "model_options": {"trunk": "resnet10-slim", "size": 24}}}
    write_costs(
        read_recipe(table2, columns=["accuracy", "params"], costed=costed), tmp_path, n_classes=5, n_repeats=2
    )
    assert pd.read_csv(place)["name"].tolist() == ["none", "all", "narrow"]


@pytest.fixture(scope="module")
def smiles(tables) -> Path:
    """Test faces of two of the three classes, called otherwise, and of one that the networks do not know."""
    table = StimulusTable.read(tables / "test.csv")
    names = {"happiness": "smiling", "neutral": "neutral", "anger": "pain"}
    frame = table.frame.assign(expression=table.frame["expression"].map(names))
    return StimulusTable.from_frame(frame.iloc[:-1], root=tables).write(tables / "smiles.csv")


def test_a_test_is_added_to_trained_arms_and_nothing_is_trained_again(table2, tables, smiles, tmp_path):
    copy = shutil.copytree(table2, tmp_path / "copy")
    kept = {name: list_times(copy, name) for name in ("runs/*/*/model/*", "evaluation/mine/*/*.csv")}
    added = f"tests.smiles={{stimuli: {smiles}, map: {{smiling: happiness}}, only_known: true}}"
    asked = [f"stimuli={tables / 'train.csv'}", f"tests={{mine: {{stimuli: {tables / 'test.csv'}}}}}"]
    with pytest.raises(StimulusError, match=r"tests\.smiles: .*Did you mean 'smiling'"):
        invoke("table2", copy, *asked, *SMALL, added.replace("smiling", "smilling"), resume=True)
    assert invoke("table2", copy, *asked, *SMALL, added, resume=True).exit_code == 0
    for pattern, times in kept.items():
        assert list_times(copy, pattern) == times
    assert list(read_recipe(copy).tests) == ["mine", "smiles"]
    _check_two_classes(copy)
    # From here on the test belongs to the recipe.
    with pytest.raises(StoreError, match=r"another recipe \(different: tests\)"):
        invoke("table2", copy, *asked, *SMALL, resume=True)


def _check_two_classes(folder: Path) -> None:
    """Check that mean class accuracy is the mean of the two recalls, and that the tables say so."""
    predictions = pd.read_csv(folder / "evaluation" / "smiles" / "all" / "predictions.csv")
    assert set(predictions["true"]) == {"happiness", "neutral"}
    results = pd.read_csv(folder / "results.csv", keep_default_na=False)
    mean = results[(results["test"] == "smiles") & (results["metric"] == "mean_class_accuracy")]
    for seed in (0, 1):
        part = predictions[(predictions["seed"] == seed) & (predictions["epoch"] == "last")]
        recalls = (part["true"] == part["predicted"]).groupby(part["true"]).mean()
        row = mean[(mean["arm"] == "all") & (mean["epoch"] == "last") & (mean["seed"] == str(seed))].iloc[0]
        assert float(row["value"]) == pytest.approx(recalls.mean())
        assert float(row["chance_level"]) == 0.5
    summary = pd.read_csv(folder / "summary.csv").set_index("test")
    assert summary.loc["smiles", "n_classes_shown"].unique().tolist() == [2]
    assert summary.loc["mine", "n_classes_shown"].unique().tolist() == [3]
    for name in ("table.md", "index.html"):
        text = (folder / name).read_text()
        assert "smiles: 15 images show 2 of 3 classes; means over classes are over these" in text
        assert "smiles: left out, as no class is called so: pain (" in text
        assert "mine: " not in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tests": {"mine": "elsewhere.csv"}}, "different: tests"),
        ({"tests": {"other": "elsewhere.csv"}}, "different: tests"),
        ({"seeds": [0, 1, 2]}, "different: seeds"),
    ],
)
def test_nothing_but_a_further_test_may_differ(table2, changes, message):
    before = (table2 / "recipe.yaml").read_bytes()
    with pytest.raises(StoreError, match=message):
        run_experiment(read_recipe(table2, **changes), table2, resume=True)
    assert (table2 / "recipe.yaml").read_bytes() == before


@pytest.mark.realdata
def test_photographs_of_smiles_and_other_rendered_faces_test_trained_arms(table2, data_root, tmp_path):
    copy = shutil.copytree(table2, table2.with_name("copy"))  # the recipe's ways lead on from there
    before = list_times(copy, "runs/*/*/model/*")
    london, ict = data_root / "london_faces", data_root / "ict_faces" / "factorial_12x7"
    people = read_folder(london / "images_256", csv=london / "london_faces.csv").table
    people = people.select(identity=sorted(set(people.factor("identity")))[:9])
    people.write(tmp_path / "london.csv")
    rendered = read_folder(ict, pattern="{identity}_{expression}").table
    rendered.select(identity=sorted(set(rendered.factor("identity")))[:4]).write(tmp_path / "ict.csv")
    added = {
        "london": {"stimuli": str(tmp_path / "london.csv"), "map": {"smiling": "happiness"}},
        "ict": {
            "stimuli": str(tmp_path / "ict.csv"),
            "map": {"happy": "happiness"},
            "only_known": True,
        },
    }
    tests = {**read_recipe(copy).model_dump(mode="json")["tests"], **added}
    run_experiment(read_recipe(copy, tests=tests), copy, resume=True, device="cpu")
    assert list_times(copy, "runs/*/*/model/*") == before
    text = (copy / "table.md").read_text()
    assert f"london: {len(people)} images show 2 of 3 classes; means over classes are over these" in text
    summary = pd.read_csv(copy / "summary.csv").drop_duplicates("test").set_index("test")
    assert summary.loc["ict", ["n", "n_classes_shown"]].tolist() == [4 * 3, 3]
    assert "ict: left out, as no class is called so: " in text


#: Makes the figures' networks small.
SMALL_FIGURE = [
    *(f"networks.{stage}.{key}" for stage in ("identity", "concepts")
      for key in ("epochs=1", "warmup_epochs=0", "batch_size=12", "model_options.size=24")),
    "networks.concepts.model_options.n_features=11", "seeds=[0]", "maps.permutations=19", "maps.perplexity=3",
]  # fmt: skip


@pytest.mark.parametrize(
    ("figure", "sets"),
    [
        ("fig2", ["stimuli={train}", "test={test}"]),
        (
            "fig3",
            ["domains={{photo: {{train: {train}, test: {test}}}, anime: {{train: {train}, test: {test}}}}}"],
        ),
        ("fig4", ["stimuli={test}", "people={train}", "networks.readout.epochs=1", "modes=[non_emotion]"]),
    ],
)
def test_recipes_of_the_figures_take_any_stimulus_tables(figure, sets, tables, tmp_path):
    places = {name: tables / f"{name}.csv" for name in ("train", "test")}
    out = tmp_path / figure
    invoke(figure, out, *[text.format(**places) for text in sets], *SMALL_FIGURE)
    assert (out / "figures" / f"crpn-{figure}.pdf").stat().st_size > 0
    caption = (out / "figures" / f"crpn-{figure}.txt").read_text()
    assert "rendered faces" not in caption


def test_tables_that_name_nobody_need_others_for_the_identity_network(tables, tmp_path):
    places = {}
    for name in ("train", "test"):
        frame = StimulusTable.read(tables / f"{name}.csv").frame.drop(columns=["identity", "view", "session"])
        places[name] = StimulusTable.from_frame(frame, root=tables).write(tmp_path / f"{name}.csv")
    asked = [f"stimuli={places['train']}", f"test={places['test']}", *SMALL_FIGURE]
    with pytest.raises(StimulusError, match="42 of 42 stimuli have no 'identity'"):
        invoke("fig2", tmp_path / "alone", *asked)
    others = f"sets.others={tables / 'train.csv'}"
    asked.append("networks.identity.stimuli=others")
    assert invoke("fig2", tmp_path / "others", *asked, others).exit_code == 0
    quality = pd.read_csv(tmp_path / "others" / "maps" / "quality.csv")
    assert set(quality["factor"].dropna()) == {"expression"}
    asked[1] = f"test={tables / 'test.csv'}"
    with pytest.raises(StimulusError, match="4 values of identity are in both"):
        invoke("fig2", tmp_path / "seen", *asked, f"sets.others={tables / 'test.csv'}")
    assert not (tmp_path / "seen" / "runs").exists()


def test_a_table_of_the_grid_takes_stimuli_that_name_nobody(tables, tmp_path):
    for name in ("train", "test"):
        frame = StimulusTable.read(tables / f"{name}.csv").frame.drop(columns=["identity", "view", "session"])
        StimulusTable.from_frame(frame, root=tables).write(tmp_path / f"{name}.csv")
    asked = [
        f"stimuli={tmp_path / 'train.csv'}",
        f"tests={{mine: {tmp_path / 'test.csv'}}}",
        *SMALL,
        "seeds=[0]",
        "arms={none: {tested: concepts}}",
    ]
    assert invoke("table2", tmp_path / "t2", *asked).exit_code == 0
    summary = pd.read_csv(tmp_path / "t2" / "summary.csv")
    assert set(summary["interval"]) <= {"images", np.nan}
    assert set(summary["n"]) == {24}
