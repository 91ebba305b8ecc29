import json
import shutil

import numpy as np
import pytest

from fernet_neuro._utils.config import write_settings
from fernet_neuro.training.pairs import make_pairs, write_pairs
from tests.training.conftest import make_settings


@pytest.fixture(scope="module")
def twin_recipe(tmp_path_factory):
    twin = {"task": "verification", "model": "siamese", "model_options": {"size": 16}, "val_share": 0.4}
    path = tmp_path_factory.mktemp("recipe") / "twin.yaml"
    write_settings(make_settings(path).model_copy(update=twin), path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run, faces, twin_recipe):
    """Run folder of one epoch, and the errors and bars that were shown."""
    out = tmp_path_factory.mktemp("trained") / "run"
    table = faces.root / "table.csv"
    code, _, shown = run("train", twin_recipe, "--stimuli", table, "--out", out, "--set", "epochs=1")
    assert code == 0, shown
    return out, shown


def test_train_then_verify(tmp_path, run, faces, twin_recipe, trained):
    table, out, pairs = faces.root / "table.csv", tmp_path / "run", tmp_path / "pairs.csv"
    shutil.copytree(trained[0], out)
    train = ("train", twin_recipe, "--stimuli", table, "--out", out, "--set", "epochs=1")
    code, said, _ = run(*train, "--resume")
    assert (code, "was complete already; nothing was trained" in said) == (0, True)
    verify = ("verify", out, "--stimuli", table, "--pairs", pairs, "--json")
    code, _, error = run(*verify, "--make", "--folds", 3, "--per-fold", 10)
    known = json.loads((out / "record.json").read_text())["train_identities"]
    assert (code, error.count("\n"), len(known)) == (2, 1, 4)
    assert f"4 of 6 people were trained on in {out} (first: {known[0]!r})" in error
    assert "4 of 6 people" in run("verify", out / "model", *verify[2:])[2]
    verify += ("--allow-trained",)
    code, said, _ = run(*verify)
    result = json.loads(said)
    assert (code, result["n_pairs"], result["n_folds"]) == (0, 30, 3)
    assert json.loads(run(*verify)[1]) == result
    code, _, error = run(*verify, "--make")
    assert (code, "exists already" in error) == (2, True)
    before = pairs.read_bytes()  # an interrupted command that is given again
    code, said, _ = run(*verify, "--make", "--folds", 3, "--per-fold", 10)
    assert (code, json.loads(said)) == (0, result)
    assert pairs.read_bytes() == before


def test_a_run_names_no_folder_of_the_owners_machine(tmp_path, run, faces, twin_recipe):
    table, out = faces.root / "table.csv", tmp_path / "ann" / "run"
    train = ("train", twin_recipe, "--stimuli", table, "--out", out, "--set", "epochs=1", "--quiet")
    code, said, shown = run(*train)
    assert (code, shown) == (0, "")
    assert "run is complete." in said
    assert "last epoch 1: train loss" in said
    for path in out.rglob("*.*"):
        assert str(tmp_path).encode() not in path.read_bytes(), path
    assert run(*train, "--resume")[0] == 0
    assert run("train", out / "recipe.yaml", "--out", tmp_path / "again", "--quiet")[0] == 0


def test_the_progress_bar_names_loss_rate_and_validation(trained):
    shown = trained[1]
    assert "Training" in shown
    assert "loss" in shown


def test_verify_takes_people_that_were_not_trained_on(tmp_path, run, faces, trained):
    table, out = faces.root / "table.csv", trained[0]
    known = json.loads((out / "record.json").read_text())["train_identities"]
    others = faces.select(~np.isin(faces.factor("identity"), known))
    write_pairs(make_pairs(others, n_folds=1, n_per_fold=8), tmp_path / "pairs.csv")
    code, said, _ = run("verify", out, "--stimuli", table, "--pairs", tmp_path / "pairs.csv", "--json")
    assert (code, json.loads(said)["n_pairs"]) == (0, 8)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--set", "epocs=1"), "unknown key 'epocs'. Did you mean 'epochs'"),
        (("--set", "epochs"), "must have the form key=value"),
        (("--device", "tpu"), "--device tpu is not known; use 'auto', 'cpu'"),
        (("--stimuli", "nowhere.csv"), "nowhere.csv does not exist"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(tmp_path, run, faces, twin_recipe, extra, message):
    code, _, error = run(
        "train",
        twin_recipe,
        "--out",
        tmp_path / "run",
        "--stimuli",
        faces.root / "table.csv",
        "--quiet",
        *extra,
    )
    assert code == 2
    assert error.count("\n") == 1
    assert message in error


def test_a_missing_recipe_is_one_line(tmp_path, run):
    code, _, error = run("train", tmp_path / "absent.yaml", "--out", tmp_path / "run")
    assert (code, "absent.yaml does not exist" in error) == (2, True)
