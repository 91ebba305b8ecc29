import numpy as np
import pytest
from scipy import stats

from fernet_neuro.evaluation.metrics import evaluate_predictions
from fernet_neuro.evaluation.seeds import SEEDS, summarise_runs
from fernet_neuro.exceptions import AlignmentError
from tests.evaluation.conftest import CLASSES


@pytest.fixture
def runs(answers, rng):
    """Four networks that answer the same images, each with its own noise."""
    logits, labels, people = answers
    return [
        evaluate_predictions(
            logits + rng.normal(size=logits.shape), labels, CLASSES, groups=people, n_boot=300
        )
        for _ in range(4)
    ]


def pick(frame, metric, interval):
    return frame[(frame["metric"] == metric) & (frame["class"] == "") & (frame["interval"] == interval)].iloc[
        0
    ]


@pytest.mark.parametrize("metric", ["accuracy", "mean_class_accuracy", "macro_f1", "ece", "nll", "brier"])
def test_mean_and_t_interval_over_runs(runs, metric):
    row = pick(summarise_runs(runs), metric, SEEDS)
    values = np.array([run[metric] for run in runs])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (row["value"], row["n_units"]) == (pytest.approx(values.mean()), 4)
    assert (row["low"], row["high"]) == (pytest.approx(max(low, 0)), pytest.approx(high))


@pytest.mark.parametrize(("metric", "most"), [("accuracy", 1), ("mean_class_accuracy", 1), ("nll", np.inf)])
def test_intervals_over_seeds_end_where_scores_do(runs, answers, metric, most):
    logits, labels, people = answers
    two = [runs[0], evaluate_predictions(-logits, labels, CLASSES, groups=people, n_boot=300)]
    row = pick(summarise_runs(two), metric, SEEDS)
    values = np.array([run[metric] for run in two])
    low, high = stats.t.interval(0.95, 1, values.mean(), stats.sem(values))
    assert high > 1
    assert (row["low"], row["high"]) == pytest.approx((max(low, 0), min(high, most)))


def test_images_and_seeds_are_kept_apart(runs):
    frame = summarise_runs(runs)
    for metric in ("accuracy", "ece", "nll"):
        images, seeds = pick(frame, metric, "identities"), pick(frame, metric, SEEDS)
        assert images["value"] == seeds["value"]
        assert images["n_units"] == 30
        assert images["low"] != seeds["low"]


def test_equal_runs_have_the_interval_of_one_over_people_and_none_over_seeds(answers):
    logits, labels, people = answers
    one = evaluate_predictions(logits, labels, CLASSES, groups=people, n_boot=300)
    frame, alone = summarise_runs([one, one, one]), one.frame
    for metric in ("accuracy", "macro_f1", "ece", "nll"):
        row, wanted = pick(frame, metric, "identities"), pick(alone, metric, "identities")
        assert row["low"] == pytest.approx(wanted["low"], abs=0.002)
        assert row["high"] == pytest.approx(wanted["high"], abs=0.002)
        seeds = pick(frame, metric, SEEDS)
        assert [seeds["low"], seeds["high"]] == pytest.approx([seeds["value"]] * 2)


def test_intervals_over_seeds_cover(answers, rng):
    logits, labels, _ = answers
    noise = rng.normal(size=(600, *logits.shape))
    right = (logits + noise).argmax(axis=2) == np.searchsorted(np.array(CLASSES), labels)
    scores = right.mean(axis=1)
    held = 0
    for start in range(0, 600, 4):
        low, high = stats.t.interval(
            0.95, 3, scores[start : start + 4].mean(), stats.sem(scores[start : start + 4])
        )
        held += low <= scores.mean() <= high
    four = [evaluate_predictions(logits + noise[number], labels, CLASSES, n_boot=20) for number in range(4)]
    row = pick(summarise_runs(four), "accuracy", SEEDS)
    low, high = stats.t.interval(0.95, 3, scores[:4].mean(), stats.sem(scores[:4]))
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    assert 0.90 <= held / 150 <= 0.985


def test_one_run_has_no_interval_over_seeds(runs):
    frame = summarise_runs(runs[:1])
    assert SEEDS not in set(frame["interval"])


def test_nothing_to_summarise_is_refused():
    with pytest.raises(ValueError, match="at least one evaluation"):
        summarise_runs([])


def test_other_images_labels_classes_or_settings_are_refused(answers, runs):
    logits, labels, people = answers
    options = {"groups": people, "n_boot": 300}

    def other(logits=logits, labels=labels, classes=CLASSES, **changes):
        return evaluate_predictions(logits, labels, classes, **{**options, **changes})

    with pytest.raises(AlignmentError, match="differ first at row 0"):
        summarise_runs([runs[0], other(stimulus_ids=[f"s{row}" for row in range(270)])])
    with pytest.raises(AlignmentError, match="differ in their settings"):
        summarise_runs([runs[0], other(n_boot=20)])
    with pytest.raises(AlignmentError, match="differ in their labels"):
        summarise_runs([runs[0], other(labels=labels[::-1])])
    with pytest.raises(AlignmentError, match="differ in their classes"):
        summarise_runs([runs[0], other(logits=logits[:, ::-1], classes=CLASSES[::-1])])
