"""Cross-validation of a small grid: each stimulus is tested once, by networks that saw nobody of its fold."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.experiments.recipes import run_experiment
from fernet_neuro.experiments.results import build_summary
from fernet_neuro.stimuli.table import StimulusTable

SMALL = {"epochs": 1, "batch_size": 12, "model": "resnet10-slim", "model_options": {"size": 16}}
FACES = {"identities": 6, "expressions": ["anger", "happiness"], "views": 1, "sessions": 2, "size": 16}
OTHERS = {**FACES, "first_identity": 100}
RECIPE = {
    "stimuli": FACES,
    "folds": 3,
    "sets": {"others": {"stimuli": OTHERS}},
    "networks": {
        "identity": {**SMALL, "task": "identification", "seed": 4},
        "elsewhere": {**SMALL, "task": "identification", "seed": 4, "stimuli": "others"},
        "naming": {**SMALL, "task": "expression", "val_share": 0, "from": {"weights": "identity"}},
    },
    "arms": {
        "faces": {"tested": "naming"},
        "further": {"tested": "naming", "set": {"naming.from.weights": "elsewhere"}},
    },
    "seeds": [0, 1],
    "columns": ["accuracy", "training_loss"],
}


def settings(**changes) -> GridSettings:
    return GridSettings.model_validate({**RECIPE, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("folds") / "results"
    run_experiment(settings(), folder)
    return folder


def read_predictions(folder: Path, arm: str) -> pd.DataFrame:
    places = {fold: folder / "evaluation" / f"fold{fold}" / "held_out" / arm for fold in (1, 2, 3)}
    frames = [
        pd.read_csv(place / "predictions.csv", dtype=str).assign(fold=fold) for fold, place in places.items()
    ]
    return pd.concat(frames).query("epoch == 'last'")


def list_runs(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*/record.json")}


@pytest.mark.slow
@pytest.mark.parametrize("arm", RECIPE["arms"])
def test_every_stimulus_is_tested_once_by_each_seed(finished, arm):
    ids = StimulusTable.read(finished / "stimuli" / "train.csv").stimulus_ids
    for _, rows in read_predictions(finished, arm).groupby("seed"):
        assert sorted(rows["stimulus_id"]) == sorted(ids)
        assert rows["true"].value_counts().tolist() == [12, 12]
    folds = pd.read_csv(finished / "folds.csv")
    assert sorted(folds["stimulus_id"]) == sorted(ids)


@pytest.mark.slow
def test_no_network_of_a_fold_was_trained_on_people_of_it(finished):
    runs = pd.read_csv(finished / "runs.csv")
    tested = read_predictions(finished, "faces").groupby("fold")["identity"].unique()
    trained = runs[(runs["arm"] == "faces")].groupby("fold")["run"].unique()
    for fold, places in trained.items():
        assert len(places) == 3  # one teacher and two seeds
        for place in places:
            record = json.loads((finished / place / "record.json").read_text())
            assert len(record["train_identities"]) == 4
            assert not set(record["train_identities"]) & set(tested[fold])
    # The teacher is of each fold; that of another set is one for all.
    names = pd.Series([path.parts[-3].split("-")[0] for path in list_runs(finished)])
    assert names.value_counts().to_dict() == {"naming": 12, "identity": 3, "elsewhere": 1}


@pytest.mark.slow
def test_means_and_differences_are_over_folds(finished):
    scores = {}
    for arm in RECIPE["arms"]:
        rows = read_predictions(finished, arm)
        # Of every fold, each seed names as many stimuli.
        scores[arm] = (rows["true"] == rows["predicted"]).groupby(rows["fold"]).mean().to_numpy()
    factor = np.sqrt(1 / 3 + 1 / 2)
    summary = pd.read_csv(finished / "summary.csv").query("epoch == 'last' and metric == 'accuracy'")
    for arm, row in summary.set_index("arm").iterrows():
        reach = stats.t.ppf(0.975, 2) * scores[arm].std(ddof=1) * factor
        assert row["value"] == pytest.approx(scores[arm].mean())
        assert row["sd"] == pytest.approx(scores[arm].std(ddof=1))
        assert row["low"] == pytest.approx(max(0, row["value"] - reach))
        assert row["high"] == pytest.approx(min(1, row["value"] + reach))
        assert (row["n"], row["n_folds"], row["n_seeds"], row["interval"]) == (24, 3, 2, "folds")
    results = pd.read_csv(finished / "results.csv", keep_default_na=False)
    values = results[(results["metric"] == "nll") & results["seed"].isin(("0", "1"))]
    values = values.astype({"value": float}).pivot_table(index="fold", columns="arm", values="value")
    apart = (values["further"] - values["faces"]).to_numpy()
    row = pd.read_csv(finished / "differences.csv").query("metric == 'nll'").iloc[0]
    t = apart.mean() / (apart.std(ddof=1) * factor)
    assert row["difference"] == pytest.approx(apart.mean())
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(t), 2))
    assert row["high"] - row["difference"] == pytest.approx(
        stats.t.ppf(0.975, 2) * apart.std(ddof=1) * factor
    )


@pytest.mark.parametrize(("metric", "limits"), [("accuracy", (0, 1)), ("nll", (-np.inf, np.inf))])
@pytest.mark.parametrize("values", [(0.5, 0.52, 0.51), (0.5, 1.0, 0.9)])
def test_intervals_over_folds_end_where_scores_do(metric, limits, values):
    rows = [
        {"arm": "faces", "network": "", "variant": "", "test": "held_out", "epoch": "last", "metric": metric,
         "class": "", "seed": "0", "fold": fold, "value": value, "n": 8, "n_classes_shown": 2, "n_classes": 2,
         "chance_level": 0.5}
        for fold, value in enumerate(values, 1)
    ]  # fmt: skip
    row = build_summary(settings(seeds=[0]), pd.DataFrame(rows)).iloc[0]
    reach = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) * np.sqrt(1 / 3 + 1 / 2)
    ends = np.array([np.mean(values) - reach, np.mean(values) + reach])
    assert ((ends < 0) | (ends > 1)).all() == (max(values) == 1)
    assert [row["low"], row["high"]] == pytest.approx(np.clip(ends, *limits))


@pytest.mark.slow
def test_tables_say_what_the_intervals_are_over(finished):
    text = (finished / "table.md").read_text()
    assert "held-out fold, accuracy (%)" in text
    assert "One identity network (seed 4) serves all seeds of a fold" in text
    assert "differences, fold by fold" in (finished / "index.html").read_text()
    assert "they are not over independent replications" in text
    assert "mean of 6 training runs" in (finished / "figures" / "grid.txt").read_text()


@pytest.mark.slow
def test_a_run_that_is_gone_is_the_only_one_trained_again(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    runs = pd.read_csv(copy / "runs.csv")
    gone = runs[(runs["fold"] == 2) & runs["is_tested"] & (runs["seed"] == 1)]["run"].iloc[0]
    before = list_runs(copy)
    shutil.rmtree(copy / gone)
    run_experiment(settings(), copy, resume=True)
    after = list_runs(copy)
    assert {path for path in after if after[path] != before[path]} == {copy / gone / "record.json"}
    assert after.keys() == before.keys()
    assert (copy / "summary.csv").read_bytes() == (finished / "summary.csv").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 1}, "greater than or equal to 2"),
        ({"folds": None}, "tests: give one set"),
        ({"tests": {"held_out": {"stimuli": OTHERS}}}, "'held_out' is the name of another set"),
    ],
)
def test_mistakes_are_found_in_the_recipe(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 7}, "7 folds by identity need at least 7 of them"),
        ({"folds": 13}, "13 folds need at least 13 stimuli of each class"),
        (
            {"sets": {"others": {"of": "stimuli", "change": {"style": "drawn"}}}},
            "from 'others': 6 values",
        ),
    ],
)
def test_folds_that_cannot_be_are_refused_before_training(finished, changes, message, tmp_path):
    shared, before = finished, list_runs(finished)  # faces that were rendered there
    with pytest.raises(StimulusError, match=message):
        run_experiment(settings(**changes, shared=str(shared)), tmp_path / "out")
    assert list_runs(shared) == before
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_the_best_epoch_may_not_be_chosen_on_the_folds(finished, tmp_path):
    frame = StimulusTable.read(finished / "stimuli" / "train.csv").frame.assign(identity="")
    nameless = StimulusTable.from_frame(frame, root=finished / "stimuli").write(tmp_path / "nameless.csv")
    naming = {**RECIPE["networks"]["naming"], "val_stimuli": str(nameless)}
    with pytest.raises(StimulusError, match=r"nameless\.csv': 24 values of picture"):
        run_experiment(settings(networks={**RECIPE["networks"], "naming": naming}), tmp_path / "out")
    assert {item.name for item in (tmp_path / "out").iterdir()} == {"rendered"}


@pytest.mark.slow
def test_a_start_that_has_seen_people_of_a_fold_is_refused_before_training(finished, tmp_path):
    seen = next(finished.glob("runs/identity-*/seed4"))
    naming = {**RECIPE["networks"]["naming"], "from": {}, "weights": str(seen)}
    with pytest.raises(StimulusError, match=r"4 of 6 people were trained on in .*start from another network"):
        run_experiment(settings(networks={**RECIPE["networks"], "naming": naming}), tmp_path / "out")
    assert {item.name for item in (tmp_path / "out").iterdir()} == {"rendered"}
