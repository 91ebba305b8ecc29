"""One training recipe, fold by fold: what is printed, what goes on after a break, and what is refused."""

import json

import pandas as pd
import pytest
import yaml

from fernet_neuro._utils.config import read_recipe
from fernet_neuro.experiments.crossval import cross_validate
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.table import StimulusTable

pytestmark = pytest.mark.slow

RECIPE = {
    "task": "expression",
    "model_options": {"size": 16},
    "epochs": 1,
    "batch_size": 8,
    "lr": 0.01,
    "seed": 5,
    "select": {"split": "train"},
    "val_select": {"split": "test"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crossval")
    faces = RenderSettings(
        identities=4, expressions=["anger", "fear", "sadness"], views=1, sessions=2, size=16
    )
    render_faces(faces, folder / "faces")
    (folder / "mine.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


@pytest.fixture(scope="module")
def done(place):
    cross_validate(place / "mine.yaml", place / "faces" / "table.csv", place / "out", folds=2)
    return place / "out"


def test_each_stimulus_is_tested_once_by_a_network_that_saw_nobody_of_its_fold(place, done):
    table = StimulusTable.read(place / "faces" / "table.csv")
    predictions = pd.concat([pd.read_csv(path) for path in done.rglob("predictions.csv")])
    assert sorted(predictions["stimulus_id"]) == sorted(table.stimulus_ids)
    for path in done.glob("runs/*/seed5/record.json"):
        record = json.loads(path.read_text())
        assert len(record["train_identities"]) == 2
        assert record["best"] is None  # the recipe validates on stimuli of its own, which are left out


def test_the_command_goes_on_and_gives_mean_and_spread(run, place, done):
    before = {path: path.stat().st_mtime_ns for path in done.rglob("record.json")}
    folds = ("--folds", 2, "--stimuli", place / "faces" / "table.csv", "--out", done, "--quiet")
    code, out, err = run("crossval", place / "mine.yaml", *folds)
    assert (code, out) == (2, "")
    assert "go on with --resume" in err
    code, out, _ = run("crossval", place / "mine.yaml", *folds, "--resume", "--json")
    assert code == 0
    assert {path: path.stat().st_mtime_ns for path in done.rglob("record.json")} == before
    results = pd.read_csv(done / "results.csv", keep_default_na=False)
    results = results[(results["metric"] == "accuracy") & (results["class"] == "")]
    values = results.astype({"value": float}).groupby("fold")["value"].first()
    row = next(row for row in json.loads(out) if row["metric"] == "accuracy")
    assert row["value"] == pytest.approx(values.mean())
    assert row["sd"] == pytest.approx(values.std())


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("mine.yaml", ("--folds", "5"), "5 folds by identity need at least 5 of them"),
        ("mine.yaml", ("--set", "task=identification"), "tests the naming of expressions.*'identification'"),
        ("mine.yaml", ("--set", "keep=best"), "keep='best' needs validation"),
        ("mine.yaml", ("--set", "model=resnet81"), "resnet81"),
        ("crpn/table3", (), "unknown key|for `run`|experiment"),
    ],
)
def test_what_cannot_be_cross_validated_is_one_line_before_anything_is_trained(
    run, place, tmp_path, recipe, changes, message
):
    given = place / recipe if recipe.endswith("yaml") else recipe
    code, out, err = run(
        "crossval", given, "--stimuli", place / "faces" / "table.csv", "--out", tmp_path / "out", *changes
    )
    assert (code, out) == (2, "")
    assert len([line for line in err.splitlines() if line.startswith("Error")]) == 1
    assert pd.Series([err.replace("\n", " ")]).str.contains(message).all(), err
    assert not (tmp_path / "out" / "runs").exists()


def test_it_goes_on_from_another_working_folder_and_by_the_recipe_that_was_kept(run, place, monkeypatch):
    others = RenderSettings(
        identities=3, first_identity=50, expressions=["happiness", "neutral"], views=1, sessions=2, size=16
    )
    render_faces(others, place / "others")
    monkeypatch.chdir(place)
    (place / "elsewhere").mkdir()
    train = ("train", "mine.yaml", "--set", "select=null", "--set", "val_select=null", "--quiet")
    assert run(*train, "--stimuli", "others/table.csv", "--out", "runs/start")[0] == 0

    def crossval(here, *more):
        names = ("--stimuli", f"{here}faces/table.csv", "--set", f"weights={here}runs/start")
        options = ("--out", f"{here}moved", "--folds", 2, "--quiet", "--resume")
        return run("crossval", f"{here}mine.yaml", *names, *options, *more)

    code, said, _ = crossval("", "--json")
    assert code == 0
    kept, runs = place / "moved" / "recipe.yaml", list_runs(place / "moved")
    assert str(place) not in kept.read_text()
    monkeypatch.chdir(place / "elsewhere")
    assert crossval("../", "--json")[:2] == (0, said)
    assert run("run", "../moved/recipe.yaml", "--out", "../moved", "--resume", "--quiet")[0] == 0
    assert list_runs(place / "moved") == runs
    kept.write_text(yaml.safe_dump(read_recipe(kept)))  # as it was kept in former times
    before = (place / "moved" / "summary.csv").read_bytes()
    code, table, _ = crossval("../")
    assert code == 0
    assert (place / "moved" / "summary.csv").read_bytes() == before
    assert table.split()[:4] == ["metric", "epoch", "mean", "%"]
    row = next(row for row in json.loads(said) if row["metric"] == "accuracy")
    assert f"{100 * row['value']:.1f}" in table


def list_runs(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*/record.json")}
