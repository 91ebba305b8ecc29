import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.training.folder import RunFolder, load_run
from tests.training.conftest import make_faces

SETTINGS = TrainSettings(
    task="expression",
    model="resnet10-slim",
    model_options={"size": 16},
    epochs=3,
    batch_size=8,
    optimiser="adamw",
    lr=0.003,
    schedule="constant",
    val_share=0.34,
)
FAST = ("--bootstrap", 200, "--no-report")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two seeds of one recipe and a run without validation, trained on six people; a table of four others."""
    folder = tmp_path_factory.mktemp("evaluate")
    faces = make_faces(folder / "faces", n_people=10)
    known = np.isin(faces.factor("identity"), [f"p{person}" for person in range(6)])
    train, test = faces.select(known), faces.select(~known)
    for name, table in (("train", train), ("test", test)):
        table.write(folder / f"{name}.csv")
    for seed in (0, 1):
        fit(SETTINGS.model_copy(update={"seed": seed}), folder / f"seed{seed}", table=train)
    fit(SETTINGS.model_copy(update={"val_share": 0.0, "epochs": 1}), folder / "unvalidated", table=train)
    return folder


@pytest.fixture
def relabel(place, tmp_path):
    """Write the test table with other labels, and return its path."""

    def write(names, **columns):
        table = StimulusTable.read(place / "test.csv")
        frame = table.frame.assign(path=[str(path) for path in table.paths()], **columns)
        frame["expression"] = [names.get(name, name) for name in frame["expression"]]
        return StimulusTable.from_frame(frame).write(tmp_path / "other.csv")

    return write


def change_record(run, out, change):
    """Copy a run and let `change` edit its record."""
    shutil.copytree(run, out)
    record = json.loads((out / "record.json").read_text())
    change(record)
    (out / "record.json").write_text(json.dumps(record))
    return out


def classify(run, epoch, table):
    """Return the share that a run's network tells rightly, by its own forward pass."""
    model = load_run(run, epoch)
    prepare = model.card.preprocessing
    images = torch.stack([prepare.resize_and_crop(load_image(path)) for path in table.paths()])
    with torch.no_grad():
        answers = model.module(prepare.normalise(images)).argmax(dim=1).numpy()
    return float((np.array(["anger", "happiness", "neutral"])[answers] == table.factor("expression")).mean())


def test_seeds_and_epochs_are_reported_side_by_side(run, place, tmp_path):
    code, out, err = run(
        "evaluate", place / "seed0", place / "seed1", "--stimuli", place / "test.csv",
        "--out", tmp_path / "out", *FAST,
    )  # fmt: skip
    assert code == 0, err
    report = EvaluationReport.load(tmp_path / "out")
    metrics, table = report.metrics, StimulusTable.read(place / "test.csv")
    found = metrics[metrics["metric"] == "accuracy"].set_index(["epoch", "seed", "interval"])["value"]
    for epoch in ("last", "best"):
        values = [classify(place / f"seed{seed}", epoch, table) for seed in (0, 1)]
        assert [found[epoch, str(seed), "identities"] for seed in (0, 1)] == pytest.approx(values)
        assert found[epoch, "mean", "identities"] == pytest.approx(np.mean(values))
    assert out.startswith("2 networks name expression of 24 stimuli with a mean class accuracy of ")
    assert "last epoch" in out.splitlines()[4]
    assert "best epoch" in out.splitlines()[4]
    assert "24 stimuli, expression, means over 2 training seeds" in out
    assert "over seeds" in out
    assert "Intervals (95 %) are over 4 identities" in out
    assert [item["seed"] for item in report.settings["runs"]] == ["0", "1"]


def test_json_is_the_summary_and_nothing_else(run, place, tmp_path):
    arguments = (
        "--stimuli",
        place / "test.csv",
        "--out",
        tmp_path / "out",
        "--epoch",
        "best",
        "--json",
        *FAST,
    )
    code, out, err = run("evaluate", place / "seed0", *arguments)
    assert (code, err) == (0, "")
    content = json.loads(out)
    assert content == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {row["epoch"] for row in content["metrics"]} == {"best"}
    assert {row["seed"] for row in content["metrics"]} == {"0"}


def test_logits_are_kept_and_used_again(run, place, tmp_path):
    arguments = (
        "evaluate",
        place / "seed0",
        "--stimuli",
        place / "test.csv",
        "--out",
        tmp_path,
        "--epoch",
        "last",
    )
    assert run(*arguments, *FAST)[0] == 0
    manifest = tmp_path / "stores" / "seed0-last" / "manifest.json"
    before = manifest.stat().st_mtime_ns
    assert run(*arguments, *FAST, "--overwrite")[0] == 0
    assert manifest.stat().st_mtime_ns == before
    code, _, err = run(*arguments, *FAST)
    assert (code, "already holds summary.json; add --overwrite" in err) == (2, True)


def test_people_that_were_trained_on_are_refused_unless_allowed(run, place, tmp_path):
    arguments = (
        "evaluate",
        place / "seed0",
        "--stimuli",
        place / "faces" / "table.csv",
        "--out",
        tmp_path / "out",
    )
    code, _, err = run(*arguments, *FAST)
    assert code == 2
    assert "4 of 10 people were trained on in" in err
    assert "--allow-trained" in err
    code, out, err = run(*arguments, *FAST, "--allow-trained")
    assert code == 0, err
    assert "4 of 10 people were trained on in" in out


def test_the_table_that_was_trained_on_is_refused_without_identities_too(run, place, tmp_path, relabel):
    digest = StimulusTable.read(relabel({}, identity="")).digest()

    def claim(record):
        record["digests"]["stimuli"] = digest

    copy = change_record(place / "seed0", tmp_path / "run", claim)
    arguments = ("--stimuli", tmp_path / "other.csv", "--out", tmp_path / "out")
    code, _, err = run("evaluate", copy, *arguments)
    assert (code, "was trained on this very table" in err) == (2, True)


def test_pictures_that_were_trained_on_are_counted_whatever_they_are_called(run, place, tmp_path):
    test, train = (StimulusTable.read(place / f"{name}.csv") for name in ("test", "train"))
    copied = test.frame.assign(path=[str(path) for path in test.paths()])
    for row, path in enumerate(StimulusTable.read(place / "train.csv").paths()[:3]):
        copied.loc[row, "path"] = str(tmp_path / f"other{row}.png")
        shutil.copy(path, copied.loc[row, "path"])
    with Image.open(copied.loc[2, "path"]) as image:  # the same picture in another file
        image.save(copied.loc[2, "path"], compress_level=1)
    StimulusTable.from_frame(copied).write(tmp_path / "mixed.csv")
    folder = RunFolder(place / "unvalidated")
    assert folder.count_trained(train) == len(train)
    older = RunFolder(tmp_path / "older")  # knows files alone
    older.path.mkdir()
    np.save(older.pictures, np.load(folder.pictures)[:, 0])
    assert older.count_trained(train) == len(train)
    arguments = ("--out", tmp_path / "out", *FAST)
    code, out, err = run("evaluate", place / "unvalidated", "--stimuli", tmp_path / "mixed.csv", *arguments)
    assert code == 0, err
    assert f"3 of {len(test)} stimuli are pictures that" in out


def test_one_picture_that_is_tested_twice_is_noted(run, place, tmp_path):
    test = StimulusTable.read(place / "test.csv")
    copied = test.frame.assign(path=[str(path) for path in test.paths()])
    copied.loc[5, "path"] = str(tmp_path / "again.png")
    with Image.open(copied.loc[2, "path"]) as image:
        image.save(tmp_path / "again.png", compress_level=1)
    StimulusTable.from_frame(copied).write(tmp_path / "twice.csv")
    arguments = ("--out", tmp_path / "out", *FAST)
    code, out, err = run("evaluate", place / "seed0", "--stimuli", tmp_path / "twice.csv", *arguments)
    assert code == 0, err
    first, second = test.stimulus_ids[[2, 5]]
    assert f"1 of {len(test) - 1} pictures are several stimuli (first: '{first}' and '{second}')" in out


def test_a_best_epoch_chosen_on_the_tested_table_is_called_so(run, place, tmp_path):
    def claim(record):
        record["digests"]["val_stimuli"] = StimulusTable.read(place / "test.csv").digest()

    copy = change_record(place / "seed0", tmp_path / "run", claim)
    code, out, _ = run("evaluate", copy, "--stimuli", place / "test.csv", "--out", tmp_path / "out", *FAST)
    assert (code, "best on test" in out) == (0, True)


def test_other_names_are_refused_with_the_option_and_mapped_by_it(run, place, tmp_path, relabel):
    table = relabel({"happiness": "happy", "anger": "cross"})
    arguments = ("evaluate", place / "seed0", "--stimuli", table, "--out", tmp_path / "out", *FAST)
    code, _, err = run(*arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert "--map cross=CLASS --map happy=happiness" in err
    code, _, err = run(*arguments, "--map", "happy=happiness", "--map", "cross=anger")
    assert code == 0, err
    plain = run(
        "evaluate", place / "seed0", "--stimuli", place / "test.csv", "--out", tmp_path / "plain", *FAST
    )
    assert plain[0] == 0
    metrics = [pd.read_csv(tmp_path / name / "metrics.csv") for name in ("out", "plain")]
    pd.testing.assert_frame_equal(*metrics)


def test_only_known_leaves_out_and_counts(run, place, tmp_path, relabel):
    arguments = ("--stimuli", relabel({"anger": "cross"}), "--out", tmp_path / "out", "--only-known", *FAST)
    code, out, err = run("evaluate", place / "seed0", *arguments)
    assert code == 0, err
    assert "8 of 24 stimuli were left out: cross." in out
    assert "No image shows anger: means over classes are over the 2 classes shown." in out


def test_a_part_of_a_table_is_tested(run, place, tmp_path):
    arguments = (
        "evaluate",
        place / "seed0",
        "--stimuli",
        place / "test.csv",
        "--out",
        tmp_path / "out",
        *FAST,
    )
    code, _, err = run(*arguments, "--select", "session=A")
    assert code == 0, err
    tested = pd.read_csv(tmp_path / "out" / "predictions.csv")["stimulus_id"]
    part = StimulusTable.read(place / "test.csv").select(session="A")
    assert set(tested) == set(part.stimulus_ids)
    assert len(part) == 12
    code, _, err = run(*arguments, "--select", "session=C", "--overwrite")
    assert (code, "session='C' is not known; use one of: A, B" in err) == (2, True)


def test_labels_may_stand_in_another_column(run, place, tmp_path):
    table = StimulusTable.read(place / "test.csv")
    frame = table.frame.assign(path=[str(path) for path in table.paths()], mood=table.factor("expression"))
    StimulusTable.from_frame(frame.assign(expression="")).write(tmp_path / "mood.csv")
    arguments = (
        "evaluate",
        place / "seed0",
        "--stimuli",
        tmp_path / "mood.csv",
        "--out",
        tmp_path / "out",
        *FAST,
    )
    assert run(*arguments, "--factor", "mood")[0] == 0
    code, _, err = run(*arguments, "--overwrite")
    assert (code, "24 of 24 stimuli have no 'expression'" in err) == (2, True)


def test_without_validation_there_is_no_best(run, place, tmp_path):
    arguments = ("evaluate", place / "unvalidated", "--stimuli", place / "test.csv", "--out", tmp_path, *FAST)
    code, out, _ = run(*arguments)
    assert (code, "no best epoch: the last one alone" in out) == (0, True)
    assert set(EvaluationReport.load(tmp_path).metrics["epoch"]) == {"last"}
    code, _, err = run(*arguments, "--overwrite", "--epoch", "best")
    assert (code, "trained without validation" in err) == (2, True)


def test_runs_must_be_seeds_of_one_recipe(run, place, tmp_path):
    arguments = ("--stimuli", place / "test.csv", "--out", tmp_path)
    code, _, err = run("evaluate", place / "seed0", place / "seed0", *arguments)
    assert (code, "both have the training seed 0" in err) == (2, True)

    def reseed(record):
        record["seed"] = 7

    other = change_record(place / "unvalidated", tmp_path / "other", reseed)
    code, _, err = run("evaluate", place / "seed0", other, *arguments)
    assert (code, "differ in their recipe (epochs, val_share)" in err) == (2, True)


def test_what_is_no_finished_run_of_a_classifier_is_refused(run, place, tmp_path):
    arguments = ("--stimuli", place / "test.csv", "--out", tmp_path / "out")
    code, _, err = run("evaluate", place / "faces", *arguments)
    assert (code, "is not a run folder (record.json is missing)" in err) == (2, True)

    def unfinish(record):
        record["status"] = "running"

    started = change_record(place / "seed0", tmp_path / "started", unfinish)
    code, _, err = run("evaluate", started, *arguments)
    assert (code, "is not a complete training run; finish it with --resume" in err) == (2, True)

    def verify(record):
        record["settings"]["task"] = "verification"
        record["task"] = {"classes": ["different", "same"]}

    twins = change_record(place / "seed0", tmp_path / "twins", verify)
    code, _, err = run("evaluate", twins, *arguments)
    assert (code, "was not trained to name 'expression'" in err) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--map", "happy"), "--map 'happy' must have the form NAME=VALUE"),
        (("--map", "a=anger", "--map", "a=neutral"), "--map gives 'a' two values"),
        (("--epoch", "lst"), "Did you mean 'last'"),
    ],
)
def test_wrong_options_are_named(run, place, tmp_path, options, message):
    arguments = ("evaluate", place / "seed0", "--stimuli", place / "test.csv", "--out", tmp_path / "out")
    code, _, err = run(*arguments, *options)
    assert (code, message in err) == (2, True)


def test_help_shows_other_data_sets_and_occluded_faces(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "130")
    _, out, _ = run("evaluate", "--help")
    for words in ("fedro/table.csv", "--occluders", "--map happy=happiness"):
        assert words in out
