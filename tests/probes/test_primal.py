"""Read-outs of narrow layers work on rows, and find what the inner products of the same rows find."""

import numpy as np
import pytest
from pandas.testing import assert_frame_equal
from sklearn.linear_model import RidgeClassifier

from fernet_neuro.activations.array import Activations
from fernet_neuro.probes import _primal, evaluate
from fernet_neuro.probes._dual import Gram, arrange, compute_gram
from fernet_neuro.probes._null import Labellings, balanced_accuracy, score_guesses
from fernet_neuro.probes._primal import Rows
from fernet_neuro.stimuli.splits import make_folds

TRAIN, TEST = np.arange(12, 60), np.arange(12)


def make_rows(rng, kind: str) -> np.ndarray:
    values = rng.standard_normal((60, 9)) + 100
    values[:20, :3] += 1.5
    if kind == "copied units":
        values[:, 4:] = values[:, :5]
    if kind == "dead":
        values[:] = 3.0
    return values


def make_labellings(rng, n_classes: int, n_draws: int) -> Labellings:
    """Return labels of 24 units of training, of some stimuli each, and of pairs of the test."""
    unit_of = rng.permutation(np.repeat(np.arange(24), 1 + rng.multinomial(24, np.full(24, 1 / 24))))
    draws = rng.integers(0, n_classes, (n_draws, 30)).astype(np.int16)
    return Labellings(unit_of, draws[:, :24], np.repeat(draws[:, 24:], 2, axis=1), n_classes)


@pytest.mark.parametrize("kind", ["plain", "copied units", "dead"])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_rows_and_inner_products_agree(rng, kind, n_classes, monkeypatch):
    monkeypatch.setattr(_primal, "_BLOCK", 300)  # a few labellings in each block
    values = make_rows(rng, kind)
    rows, gram = arrange(values), compute_gram(values)
    assert isinstance(rows, Rows)
    classes = np.eye(n_classes)[rng.integers(0, n_classes, 48)]
    labellings = make_labellings(rng, n_classes, 23)
    held, wide = rows.fold(TRAIN, TEST), gram.fold(TRAIN, TEST)
    assert held.scale == pytest.approx(wide.scale, rel=1e-9)
    penalties = [0.01 * wide.scale, 3 * wide.scale]
    found = [held.refit(penalties, classes, labellings, n_jobs=jobs) for jobs in (1, 3)]
    expected = wide.refit(penalties, classes, labellings)
    for guesses, scores in found:
        np.testing.assert_array_equal(guesses, expected[0])
        np.testing.assert_allclose(scores, expected[1], atol=1e-12)
    assert scores.shape == (2, 23)


def test_predictions_are_those_of_ridge_classification(rng):
    values, codes = make_rows(rng, "plain"), rng.integers(0, 4, 60)
    guesses, scores = arrange(values).fold(TRAIN, TEST).refit([2.5], np.eye(4)[codes[TRAIN]])
    oracle = RidgeClassifier(alpha=2.5).fit(values[TRAIN], codes[TRAIN]).predict(values[TEST])
    np.testing.assert_array_equal(guesses[0], oracle)
    assert scores.shape == (1, 0)


@pytest.mark.parametrize("n_units", [1, 29, 30, 90])
def test_rows_are_kept_where_units_are_fewer_than_half_of_the_stimuli(rng, n_units):
    values = rng.standard_normal((60, n_units))
    assert isinstance(arrange(values), Rows if n_units < 30 else Gram)
    for centre in (True, False):
        rows = arrange(values).rotate(centre=centre)
        wanted = values - values.mean(axis=0) if centre else values
        np.testing.assert_allclose(rows @ rows.T, wanted @ wanted.T, atol=1e-9)


def test_guesses_are_scored_row_by_row(rng):
    guesses, shown = rng.integers(0, 6, (2, 40, 9))
    expected = [balanced_accuracy(*pair, 6) for pair in zip(shown, guesses, strict=True)]
    np.testing.assert_allclose(score_guesses(guesses, shown, 6), expected, atol=1e-12)


@pytest.mark.parametrize("readout", ["ridge", "logistic", "sgd"])
def test_a_probe_does_not_depend_on_the_form(table_of, simulated, rng, readout, monkeypatch):
    table = table_of(n_people=24)
    loud = simulated(table, rng, noise=1.0, expression=0.2)
    # Long rows make steps of SGD so large that its path is chaotic, and rounding decides where it ends.
    activations = Activations(loud.values / 50, loud.stimulus_ids, loud.layer)
    folds = make_folds(table, "identity", n_folds=4)
    n_permutations = 99 if readout == "ridge" else 0

    def probe():
        return evaluate.evaluate_probe(
            activations, table, target="expression", folds=folds, holdout="identity", readout=readout,
            n_permutations=n_permutations,
        )  # fmt: skip

    narrow = probe()
    monkeypatch.setattr(evaluate, "arrange", compute_gram)
    wide = probe()
    assert_frame_equal(narrow.predictions, wide.predictions)
    np.testing.assert_allclose(narrow.null_scores, wide.null_scores, atol=1e-8)
