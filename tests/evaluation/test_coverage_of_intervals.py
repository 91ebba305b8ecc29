"""Does the 95 % interval hold the truth in about 95 % of made-up data sets?"""

import numpy as np
import pytest

from fernet_neuro.evaluation.calibration import compute_certainty
from fernet_neuro.evaluation.intervals import Folded
from fernet_neuro.evaluation.metrics import evaluate_predictions
from fernet_neuro.evaluation.result import build_rows
from tests.evaluation.conftest import CLASSES, draw_answers

pytestmark = pytest.mark.slow

N_SETS = 200
OVERALL = ("accuracy", "mean_class_accuracy", "macro_f1", "nll", "brier")


def measure_truth(**options):
    """Return the scores of a very large data set, its confidences in order, and sums of what was right.

    The sums are of right answers less confidence, over all images up to each.
    """
    logits, targets, _ = draw_answers(np.random.default_rng(99), 50_000, 2, **options)
    certain = compute_certainty(logits, targets)
    right = certain.predicted == targets
    counts = np.bincount(targets, minlength=5), np.bincount(certain.predicted, minlength=5)
    hits = np.bincount(targets[right], minlength=5)
    scores = {
        "accuracy": right.mean(),
        "mean_class_accuracy": (hits / counts[0]).mean(),
        "macro_f1": (2 * hits / (counts[0] + counts[1])).mean(),
        "nll": certain.log_loss.mean(),
        "brier": certain.brier.mean(),
        "recall": (hits / counts[0])[0],
    }
    order = np.argsort(certain.confidence)
    sums = np.cumsum((right - certain.confidence)[order])
    return scores, certain.confidence[order], np.concatenate([[0], sums])


def measure_coverage(n_people, n_each, *, grouped, n_sets=N_SETS, **options):
    """Return the share of data sets whose interval holds the truth, by metric."""
    truth, confidence, sums = measure_truth(**options)
    scores, truths = [], []
    for number in range(n_sets):
        logits, targets, people = draw_answers(np.random.default_rng(number), n_people, n_each, **options)
        groups = people.astype(str) if grouped else None
        result = evaluate_predictions(
            logits, np.array(CLASSES)[targets], CLASSES, groups=groups, n_boot=200, seed=number
        )
        # What the network is off by in each bin, up to its highest confidence and in the last without end.
        ends = np.searchsorted(confidence, result.calibration["confidence_high"][:-1], side="right")
        truth["ece"] = np.abs(np.diff(sums[[0, *ends, -1]])).sum() / len(confidence)
        wanted = [s for s in result.scores if s.metric in truth and s.label in ("", "anger")]
        scores += wanted
        truths += [truth[score.metric] for score in wanted]
    rows = build_rows(scores, result.settings)
    return (
        rows.assign(held=(rows["low"] <= truths) & (truths <= rows["high"])).groupby("metric")["held"].mean()
    )


@pytest.fixture(scope="module")
def of_people():
    options = {"spread": 1.0}
    return {grouped: measure_coverage(40, 15, grouped=grouped, **options) for grouped in (True, False)}


def test_intervals_over_independent_images_cover():
    coverage = measure_coverage(500, 1, grouped=False, n_sets=300)
    for metric in (*OVERALL, "recall"):
        assert 0.90 <= coverage[metric] <= 0.985, (metric, coverage)
    # The calibration error's interval is bounded from both sides and may be a little wide.
    assert coverage["ece"] >= 0.95


def test_calibration_error_of_nearly_true_probabilities_is_covered():
    # Noise alone raises the calibration error here.
    coverage = measure_coverage(500, 1, grouped=False, temperature=2.0)
    assert 0.90 <= coverage["ece"] <= 0.995


def test_a_calibration_error_that_is_there_is_found():
    truth, lows = 0.188, []  # what 100,000 answers of this network show
    for number in range(20):
        logits, targets, _ = draw_answers(np.random.default_rng(number), 500, 1)
        result = evaluate_predictions(logits, np.array(CLASSES)[targets], CLASSES, n_boot=300)
        row = result.frame.set_index("metric").loc["ece"]
        lows.append(row["low"])
        assert row["low"] > row["chance_level"]
        assert row["high"] - row["low"] < 2 / 3 * truth
    assert 0.12 < np.mean(lows) < truth


def test_intervals_over_people_cover(of_people):
    for metric in OVERALL:
        assert 0.90 <= of_people[True][metric] <= 0.985, (metric, of_people[True])
    assert of_people[True]["ece"] >= 0.90


def test_intervals_over_images_of_few_people_fail(of_people):
    for metric in ("accuracy", "macro_f1", "nll", "brier"):
        assert of_people[False][metric] < 0.85, (metric, of_people[False])


def test_quantiles_of_a_folded_bootstrap_would_miss_where_ours_covers():
    rng = np.random.default_rng(4)
    ours = quantiles = 0
    for _ in range(300):
        terms = rng.normal(0, 0.01, 15)
        draws = terms + rng.normal(0, 0.01, (400, 15))
        low, high = np.quantile(np.abs(draws).sum(axis=1), [0.025, 0.975])
        quantiles += low <= 0 <= high
        low, high = Folded.from_terms(terms, draws, 500).interval(0.95)
        ours += low <= 0 <= high
    assert quantiles == 0
    assert ours / 300 >= 0.95
