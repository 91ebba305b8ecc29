import json

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.evaluation.metrics import evaluate_predictions
from fernet_neuro.evaluation.result import METRIC_COLUMNS, EvaluationReport
from fernet_neuro.evaluation.seeds import summarise_runs
from fernet_neuro.exceptions import StoreError

NAMES = ("007", "NA", "fear")
FILES = ("calibration.csv", "confusion.csv", "metrics.csv", "predictions.csv", "summary.json")


@pytest.fixture
def results(rng):
    """Two runs on 46 images; class names are what a reader of tables likes to take for numbers or gaps."""
    labels = np.array(NAMES)[rng.integers(0, 3, 46)]
    people = np.char.add("0", (np.arange(46) % 11).astype(str))
    return {
        ("last", str(seed)): evaluate_predictions(
            rng.normal(size=(46, 3)), labels, NAMES, groups=people, n_boot=50
        )
        for seed in (3, 5)
    }


def test_a_report_comes_back_as_it_was_saved(results, tmp_path):
    means = {"last": summarise_runs(list(results.values()))}
    report = EvaluationReport.from_results(results, means=means, settings={"factor": "mood"}, notes=["Said."])
    report.save(tmp_path)
    assert tuple(sorted(path.name for path in tmp_path.iterdir())) == FILES
    again = EvaluationReport.load(tmp_path)
    for name in ("metrics", "confusion", "calibration", "predictions"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(report, name), check_exact=True)
    assert (again.settings, again.notes) == (report.settings, report.notes)
    assert again.notes[0] == "Said."
    assert set(again.metrics["seed"]) == {"3", "5", "mean"}


def test_metrics_are_tidy(results, tmp_path):
    next(iter(results.values())).save(tmp_path)
    frame = pd.read_csv(tmp_path / "metrics.csv", dtype={"class": str}, keep_default_na=False)
    assert list(frame) == ["epoch", "seed", *METRIC_COLUMNS]
    assert not frame.duplicated(["metric", "class"]).any()


def test_predictions_agree_with_the_scores(results, tmp_path):
    result = results["last", "5"]
    result.save(tmp_path)
    frame = EvaluationReport.load(tmp_path).predictions
    assert (frame["true"] == frame["predicted"]).mean() == pytest.approx(result["accuracy"])
    probabilities = frame[[f"probability_{name}" for name in NAMES]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(np.array(NAMES)[probabilities.argmax(axis=1)], frame["predicted"])
    np.testing.assert_array_equal(probabilities.max(axis=1), frame["confidence"])


def test_summary_is_strict_json_without_nan(results, tmp_path):
    EvaluationReport.from_results(results).save(tmp_path)
    content = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert content["settings"]["classes"] == list(NAMES)
    assert {row["metric"] for row in content["metrics"]} >= {"accuracy", "ece", "recall"}


def test_other_files_stay_and_a_damaged_report_is_named(results, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    EvaluationReport.from_results(results).save(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "x"
    (tmp_path / "metrics.csv").write_text("metric,value\naccuracy,1\n")
    with pytest.raises(StoreError, match=r"is damaged .*metrics.csv lacks the column 'epoch'"):
        EvaluationReport.load(tmp_path)


def test_a_missing_report_is_named_with_the_command(tmp_path):
    with pytest.raises(StoreError, match="does not exist; make it with: fernet-neuro evaluate RUN"):
        EvaluationReport.load(tmp_path)


def test_an_unknown_metric_is_no_key(results):
    with pytest.raises(KeyError, match="accurcy"):
        next(iter(results.values()))["accurcy"]
