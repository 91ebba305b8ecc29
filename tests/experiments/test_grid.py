"""The whole grid, small: every stage leaves its files, teachers are shared, printed numbers stay apart."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy import stats

from fernet_neuro._utils.config import read_recipe
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.experiments.markup import list_notes
from fernet_neuro.experiments.page_tables import escape_latex
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.experiments.recipes import run_experiment
from fernet_neuro.experiments.results import build_drops
from fernet_neuro.experiments.results_folder import CLAIMS
from fernet_neuro.experiments.tables import ResultFiles
from fernet_neuro.stimuli.table import StimulusTable

STAGE = {"epochs": 1, "val_share": 0, "batch_size": 12, "optimiser": "adam", "lr": 1e-3}
TRUNKS = {"emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim"}
RECIPE = {
    "title": "A small grid",
    "stimuli": {
        "identities": 4, "expressions": ["anger", "happiness", "neutral"], "views": 1, "sessions": 2,
        "size": 24, "seed": 3, "label_noise": 0.2,
    },
    "tests": {
        "people": {"of": "stimuli", "label": "new people",
                   "change": {"identities": 5, "first_identity": 100, "label_noise": 0.0}},
        "drawn": {"of": "people", "change": {"style": "drawn"}},
    },
    "networks": {
        "identity": {
            "task": "identification", "epochs": 1, "batch_size": 12, "model_options": {"size": 24}, "seed": 4,
        },
        "concepts": {
            **STAGE, "task": "concepts", "from": {"non_emotion": "identity"},
            "model_options": {**TRUNKS, "size": 24, "n_features": 20},
        },
        "perception": {
            **STAGE, "task": "perception", "from": {"conceptual": "concepts"},
            "model_options": {"trunk": "resnet10-slim", "size": 24, "n_features": 20},
            "perception": {"n_concepts": 2},
        },
    },
    "arms": {
        "alone": {"tested": "perception", "set": {"perception.perception.regime": "perceptual"}},
        "concept": {"tested": "concepts", "label": "Concept & co"},
        "crpn": {"tested": "perception"},
    },
    "seeds": [0, 1],
    "published": {"crpn": {"RAF-DB": 89.71, "Parameters": "11M"}},
    "comparators": {"SCN": {"RAF-DB": 87.03}},
    "columns": ["accuracy", "mean_class_accuracy", "training_loss", "params", "macs", "time"],
}  # fmt: skip


def settings(**changes) -> GridSettings:
    return GridSettings.model_validate({**RECIPE, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grid") / "results"
    torch.set_num_threads(1)  # as many as each of two processes has
    run_experiment(settings(), folder)
    return folder


def list_weights(folder: Path) -> dict[str, int]:
    files = sorted((folder / "runs").glob("*/*/model/model.safetensors"))
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in files}


@pytest.mark.slow
def test_networks_trained_side_by_side_are_those_trained_one_after_the_other(
    finished, tmp_path, caplog, capfd
):
    both = {name: RECIPE["arms"][name] for name in ("alone", "crpn")}
    part = settings(arms=both, seeds=[1], columns=["accuracy"], tests={"people": RECIPE["tests"]["people"]})
    with caplog.at_level("INFO", logger="fernet_neuro"):
        run_experiment(part, tmp_path, n_jobs=2, verbose=True)
    assert len(list_weights(tmp_path)) == 4
    for name in list_weights(tmp_path):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes(), name
    told = [line.strip().split(" of 4: ")[0] for line in caplog.messages if " of 4: " in line]
    assert sorted(told) == ["1", "2", "3", "4"]
    lines = re.split(r"[\r\n]+", capfd.readouterr().err)
    assert "4/4" in [line for line in lines if "Epochs of 4 networks, 2 at once" in line][-1]
    assert not (tmp_path / CLAIMS).exists()


@pytest.mark.slow
def test_every_stage_leaves_its_files(finished):
    for name in ("runs", "results", "summary", "differences", "published", "cost", "table", "training"):
        assert len(pd.read_csv(finished / f"{name}.csv")) > 0, name
    assert (finished / "table.md").is_file()
    assert (finished / "table.tex").is_file()
    assert (finished / "figures" / "grid.pdf").is_file()
    page = (finished / "index.html").read_text()
    assert "A small grid" in page
    assert "Concept &amp; co" in page


@pytest.mark.slow
def test_arms_with_equal_stage_one_share_its_runs_and_bank(finished):
    runs = pd.read_csv(finished / "runs.csv")
    teachers = runs[(runs["arm"] == "crpn") & (runs["network"] == "concepts")].set_index("seed")["run"]
    tested = runs[(runs["arm"] == "concept") & runs["is_tested"]].set_index("seed")["run"]
    assert teachers.equals(tested)
    assert len(teachers.unique()) == 2
    # One identity network for all; two stage-1 runs; two students of each regime.
    stages = pd.Series([path.split("/")[1].split("-")[0] for path in list_weights(finished)])
    assert stages.value_counts().to_dict() == {"perception": 4, "concepts": 2, "identity": 1}
    assert len(list((finished / "banks").glob("*/*/manifest.json"))) == 2


@pytest.mark.slow
def test_trunks_start_from_the_identity_network_and_pupils_from_their_own_seeds_teacher(finished):
    runs = pd.read_csv(finished / "runs.csv")
    crpn = runs[(runs["arm"] == "crpn") & (runs["seed"] == 1)].set_index("network")["run"]
    record = json.loads((finished / crpn["concepts"] / "record.json").read_text())
    assert crpn["identity"].endswith("seed4")
    assert set(record["train_identities"]) == {f"id{number:03d}" for number in range(4)}
    student = read_recipe(finished / crpn["perception"] / "recipe.yaml")
    assert Path(student["perception"]["conceptual"]) == (finished / crpn["concepts"]).resolve()
    assert student["seed"] == 1
    teacher = read_recipe(finished / crpn["concepts"] / "recipe.yaml")
    assert Path(teacher["concepts"]["non_emotion_weights"]) == (finished / crpn["identity"]).resolve()
    assert teacher["concepts"]["emotion_weights"] is None


@pytest.mark.slow
def test_labels_are_wrong_in_training_alone(finished):
    share = {}
    for name in ("train", "people", "drawn"):
        frame = StimulusTable.read(finished / "stimuli" / f"{name}.csv").frame
        share[name] = (frame["expression"] != frame["expression_true"]).mean()
    assert share["train"] > 0
    assert share["people"] == share["drawn"] == 0


@pytest.mark.slow
def test_the_summary_is_the_mean_over_runs_with_students_t(finished):
    summary = pd.read_csv(finished / "summary.csv").set_index(["arm", "test", "epoch", "metric"])
    for arm in RECIPE["arms"]:
        predictions = pd.read_csv(finished / "evaluation" / "drawn" / arm / "predictions.csv", dtype=str)
        predictions = predictions[predictions["epoch"] == "last"]
        right = (predictions["true"] == predictions["predicted"]).groupby(predictions["seed"]).mean()
        assert summary.loc[arm, "drawn", "last", "accuracy"]["value"] == pytest.approx(right.mean())
        probabilities = [float(row[f"probability_{row['true']}"]) for _, row in predictions.iterrows()]
        losses = pd.Series(-np.log(probabilities)).groupby(predictions["seed"].to_numpy()).mean()
        row = summary.loc[arm, "drawn", "last", "nll"]
        assert row["n_seeds"] == 2
        assert row["value"] == pytest.approx(losses.mean())
        low, high = stats.t.interval(0.95, 1, losses.mean(), stats.sem(losses))
        assert (row["low"], row["high"]) == pytest.approx((max(low, 0), high))


@pytest.mark.slow
def test_the_training_loss_is_that_of_the_last_row_of_each_log(finished):
    runs = pd.read_csv(finished / "runs.csv")
    table = pd.read_csv(finished / "table.csv").query("epoch == 'last'").set_index("arm")
    for arm in RECIPE["arms"]:
        places = runs[(runs["arm"] == arm) & runs["is_tested"]]["run"]
        logs = [pd.read_csv(finished / place / "log.csv").query("split == 'train'") for place in places]
        losses = [log["loss"].iloc[-1] for log in logs]
        assert table.loc[arm, "ours_training_loss"] == pytest.approx(np.mean(losses))
        low, high = stats.t.interval(0.95, 1, np.mean(losses), stats.sem(losses))
        assert table.loc[arm, "ours_training_loss_low"] == pytest.approx(low)
        assert table.loc[arm, "ours_training_loss_high"] == pytest.approx(high)
    assert (
        "| Training loss | Parameters | Multiply-adds | Time ratio |" in (finished / "table.md").read_text()
    )


@pytest.mark.slow
def test_differences_are_paired_by_seed(finished):
    results = pd.read_csv(finished / "results.csv", keep_default_na=False)
    differences = pd.read_csv(finished / "differences.csv")
    pairs = {("concept", "alone"), ("crpn", "alone"), ("crpn", "concept")}
    assert set(zip(differences["arm"], differences["reference"], strict=True)) == pairs
    chosen = results[(results["class"] == "") & (results["metric"] == "nll") & (results["test"] == "people")]
    chosen = chosen[(chosen["epoch"] == "last") & chosen["seed"].isin(("0", "1"))]
    values = {arm: rows.sort_values("seed")["value"].astype(float) for arm, rows in chosen.groupby("arm")}
    rows = differences.set_index(["test", "epoch", "metric", "arm", "reference"])
    # Two comparisons with the reference are planned; another pair is one of three.
    for reference, n_compared in (("alone", 2), ("concept", 3)):
        row = rows.loc["people", "last", "nll", "crpn", reference]
        test = stats.ttest_rel(values["crpn"].to_numpy(), values[reference].to_numpy())
        assert row["p_value"] == pytest.approx(test.pvalue)
        assert row["p_bonferroni"] == pytest.approx(min(1, n_compared * test.pvalue))
        interval = test.confidence_interval(0.95)
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_intervals_of_drops_end_where_scores_and_their_differences_do():
    recalls = {"people": {0: (1.0, 0.9), 1: (0.8, 0.7)}, "drawn": {0: (0.0, 0.1), 1: (0.3, 0.4)}}
    rows = [
        {"epoch": "last", "arm": "crpn", "test": test, "metric": "recall", "seed": str(seed), "class": name,
         "value": value}
        for test, seeds in recalls.items()
        for seed, values in seeds.items()
        for name, value in zip(("anger", "fear"), values, strict=True)
    ]  # fmt: skip
    row = build_drops(settings(drop_from="people"), pd.DataFrame(rows)).iloc[0]
    expected = {"home": ((0.95, 0.75), 0), "away": ((0.05, 0.35), 0), "drop": ((0.9, 0.4), -1)}
    for name, (means, least) in expected.items():
        low, high = stats.t.interval(0.95, 1, np.mean(means), stats.sem(means))
        assert low < least
        assert high > 1
        assert row[name] == pytest.approx(np.mean(means))
        assert (row[f"{name}_low"], row[f"{name}_high"]) == (least, 1)


@pytest.mark.slow
def test_the_tables_show_the_reference_first_and_then_the_other_pairs(finished):
    text = (finished / "table.md").read_text()
    first = text.index("| Network | Test | minus alone (percentage points) | p | p, corrected |")
    rest = text.index("| Network | minus | Test | difference (percentage points) | p | p, corrected |")
    assert first < rest
    assert len([line for line in text.splitlines() if line.startswith("| crpn | Concept & co |")]) > 0
    assert "other pairs, seed by seed" in (finished / "index.html").read_text()
    assert text.count("One identity network (seed 4) serves all seeds") == 1


def unpin(seed: int | None) -> dict:
    """Return the networks with another seed of the identity network."""
    return {**RECIPE["networks"], "identity": {**RECIPE["networks"]["identity"], "seed": seed}}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"networks": unpin(None)}, {"seeds": [0]}])
def test_an_identity_network_per_seed_or_a_single_seed_needs_no_note(finished, changes):
    notes = list_notes(settings(**changes), ResultFiles.read(finished))
    assert not any("One identity network" in note for note in notes)


@pytest.mark.slow
def test_printed_numbers_are_never_in_our_columns(finished):
    table = pd.read_csv(finished / "table.csv")
    ours = [name for name in table if name.startswith("ours_")]
    printed = [name for name in table if name.startswith("published_")]
    assert len(ours) > 10
    assert set(printed) == {"published_RAF-DB", "published_Parameters"}
    numbers = table[ours].to_numpy(dtype=float)
    assert not np.isclose(numbers, 89.71).any()
    assert not np.isclose(numbers, 87.03).any()
    scn = table[table["arm"] == "SCN"].iloc[0]
    assert scn["published_RAF-DB"] == 87.03
    assert scn[ours].isna().all()
    assert table[table["arm"] == "alone"][printed].isna().all(axis=None)
    head, _, *rows = [line for line in (finished / "table.md").read_text().splitlines() if line[:1] == "|"]
    named = [cell.strip() for cell in head.split("|")]
    cells = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")] for row in rows[:4]}
    column = cells["crpn"].index("89.71")
    assert named[column] == "RAF-DB (published, on the paper's data)"
    assert cells["crpn"].count("89.71") == 1
    assert not {"87.03"} & set(cells["SCN"][: column - 1])


@pytest.mark.slow
def test_the_latex_table_has_as_many_columns_in_every_row(finished):
    text = (finished / "table.tex").read_text()
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 3 + 1
    assert len({row.replace(r"\&", "").count("&") for row in rows}) == 1
    assert r"Concept \& co" in text


def test_latex_takes_every_special_letter():
    assert escape_latex("a_b & 5 % {x} ~ ^ # $ \\") == (
        r"a\_b \& 5 \% \{x\} \textasciitilde{} \textasciicircum{} \# \$ \textbackslash{}"
    )


@pytest.mark.slow
def test_cost_is_of_the_network_in_use_and_shared_by_arms_of_one_network(finished):
    cost = pd.read_csv(finished / "cost.csv").set_index("name")
    assert cost.loc["alone", "params"] == cost.loc["crpn", "params"]
    assert cost.loc["alone", "time_ratio"] == 1
    # Without the second encoder: the confidence's 20 weights and its bias are all that is more.
    assert cost.loc["concept", "params"] == cost.loc["alone", "params"] + 21
    assert (cost["time_ratio_low"] <= cost["time_ratio_high"]).all()


@pytest.mark.slow
def test_going_on_after_an_interruption_gives_the_same_results(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    shutil.rmtree(copy / "evaluation" / "drawn" / "crpn")
    (copy / "summary.csv").unlink()
    before = list_weights(copy)
    run_experiment(settings(), copy, resume=True)
    assert list_weights(copy) == before
    for name in ("results", "summary", "differences"):
        assert (copy / f"{name}.csv").read_bytes() == (finished / f"{name}.csv").read_bytes()


@pytest.fixture
def renamed(finished, tmp_path):
    """The test people in a user's own table, where anger is called otherwise."""
    frame = StimulusTable.read(finished / "stimuli" / "people.csv").frame
    names = {"anger": "angry", "happiness": "happiness", "neutral": "neutral"}
    table = frame.assign(expression=frame["expression"].map(names))
    return StimulusTable.from_frame(table, root=finished / "stimuli").write(tmp_path / "theirs.csv")


@pytest.mark.slow
def test_experiments_that_share_a_folder_train_nothing_twice_and_labels_are_mapped_by_name(
    finished, renamed, tmp_path
):
    shared = tmp_path / "shared"
    for name in ("runs", "banks", "rendered"):
        shutil.copytree(finished / name, shared / name)
    before = list_weights(shared)
    # The copies lie elsewhere: what a run is known by is what went into it.
    theirs = {"stimuli": str(renamed), "map": {"angry": "anger"}}
    few = {"arms": {"crpn": {"tested": "perception"}}, "published": {}, "columns": ["accuracy"]}
    tests = {"people": RECIPE["tests"]["people"], "theirs": theirs}
    run_experiment(settings(**few, tests=tests, shared=str(shared)), tmp_path / "other")
    assert list_weights(shared) == before
    assert not (tmp_path / "other" / "runs").exists()
    ours, same = (pd.read_csv(place / "summary.csv") for place in (tmp_path / "other", finished))
    same = same[(same["arm"] == "crpn") & (same["test"] == "people")]
    assert ours[ours["test"] == "people"]["value"].tolist() == same["value"].tolist()
    assert ours[ours["test"] == "theirs"]["value"].tolist() == pytest.approx(same["value"].tolist())


@pytest.mark.slow
def test_labels_of_a_users_table_that_are_no_class_are_refused(renamed, tmp_path):
    with pytest.raises(StimulusError, match=r"tests\.theirs: .*--set tests\.theirs\.map\.angry=anger"):
        run_experiment(settings(tests={"theirs": str(renamed)}), tmp_path / "refused")


@pytest.mark.slow
def test_people_of_training_are_refused_before_anything_is_trained(tmp_path):
    tests = {"same": {"of": "stimuli", "change": {"label_noise": 0.0}}}
    with pytest.raises(StimulusError, match=r"tests\.same: 4 values of identity are in both"):
        run_experiment(settings(tests=tests), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_a_table_that_is_not_there_is_told_before_anything_is_rendered(tmp_path):
    tests = {**RECIPE["tests"], "mine": {"stimuli": str(tmp_path / "photographs.csv")}}
    with pytest.raises(StimulusError, match=r"photographs\.csv"):
        run_experiment(settings(tests=tests), tmp_path / "out")
    assert not (tmp_path / "out" / "rendered").exists()


@pytest.mark.slow
def test_a_network_that_cannot_be_built_is_refused_before_training(tmp_path):
    arms = {"odd": {"tested": "concepts", "set": {"concepts.model_options.emotion_trunk": "resnet10-slimm"}}}
    with pytest.raises(ValueError, match=r"arm 'odd' \(concepts\): .*resnet10-slim"):
        run_experiment(settings(arms=arms, published={}), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_a_mistake_does_not_block_the_folder(finished, tmp_path):
    trained, out = finished / "stimuli" / "train.csv", tmp_path / "out"
    arms = {"alone": RECIPE["arms"]["alone"]}
    validated = {**RECIPE["networks"]["perception"], "val_share": 0.34}
    one = {"arms": arms, "published": {}, "columns": ["accuracy"], "seeds": [0]}
    one["networks"] = {**RECIPE["networks"], "perception": validated}
    with pytest.raises(StimulusError, match=r"tests\.mine: 4 values of identity are in both"):
        run_experiment(settings(**one, tests={"mine": {"stimuli": str(trained)}}), out)
    assert {path.name for path in out.iterdir()} == {"rendered"}
    rendered = {path: path.stat().st_mtime_ns for path in out.rglob("table.csv")}
    assert len(rendered) == 1
    people = finished / "stimuli" / "people.csv"
    run_experiment(settings(**one, tests={"mine": {"stimuli": str(people)}}), out)
    assert {path: path.stat().st_mtime_ns for path in rendered} == rendered
    scores = pd.read_csv(out / "results.csv").query("metric == 'nll'").groupby("epoch")["value"].unique()
    assert scores["best"].tolist() == scores["last"].tolist()  # of one epoch
    with pytest.raises(StoreError, match="was not made by an experiment"):
        shutil.copytree(out / "stimuli", tmp_path / "mine" / "stimuli")
        run_experiment(settings(**one), tmp_path / "mine")


@pytest.mark.slow
def test_a_mistaken_test_leaves_a_folder_that_was_begun_as_it_was(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    before = (folder / "recipe.yaml").read_bytes()
    tests = {**RECIPE["tests"], "mine": {"stimuli": str(finished / "stimuli" / "train.csv")}}
    with pytest.raises(StimulusError, match=r"tests\.mine: "):
        run_experiment(settings(tests=tests), folder, resume=True)
    assert (folder / "recipe.yaml").read_bytes() == before
    assert (folder / "results.csv").is_file()


@pytest.mark.slow
def test_a_folder_of_another_recipe_is_refused(finished):
    with pytest.raises(StoreError, match="--resume"):
        run_experiment(settings(), finished)
    with pytest.raises(StoreError, match=r"another recipe \(different: seeds\)"):
        run_experiment(settings(seeds=[0]), finished, resume=True)


@pytest.mark.slow
def test_a_kill_in_stage_two_changes_nothing(finished, tmp_path):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text(yaml.safe_dump({"experiment": "grid", **RECIPE}, sort_keys=False))
    command = [str(Path(sys.executable).with_name("fernet-neuro")), "run", str(recipe), "--out", str(out)]
    process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("runs/perception-*/*/record.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "results.csv").exists()
    done = subprocess.run([*command, "--resume", "--quiet"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (out / "summary.csv").read_bytes() == (finished / "summary.csv").read_bytes()
