import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score

from fernet_neuro.probes import _dual
from fernet_neuro.probes._dual import arrange, compute_gram, pick_penalty
from fernet_neuro.probes._null import Labellings, balanced_accuracy, score_labellings


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gram_holds_all_inner_products_summed_over_blocks(rng, monkeypatch, dtype):
    monkeypatch.setattr(_dual, "_BLOCK_BYTES", 8 * 7 * 70)
    values = (rng.standard_normal((7, 301)) + 2).astype(dtype)
    gram, exact = compute_gram(values), values.astype(float)
    np.testing.assert_allclose(gram.raw(), exact @ exact.T, atol=1e-9)
    centred = exact - exact.mean(axis=0)
    np.testing.assert_allclose(gram.centred, centred @ centred.T, atol=1e-9)


def test_gram_reads_memory_maps(rng, tmp_path):
    values = rng.standard_normal((5, 31)).astype(np.float32)
    np.save(tmp_path / "layer.npy", values)
    mapped = compute_gram(np.load(tmp_path / "layer.npy", mmap_mode="r"))
    np.testing.assert_array_equal(mapped.centred, compute_gram(values).centred)


def test_large_common_offset_costs_no_digits(rng):
    values = rng.standard_normal((7, 31))
    np.testing.assert_allclose(compute_gram(values + 1e6).centred, compute_gram(values).centred, atol=1e-7)


@pytest.mark.parametrize("centre", [True, False])
def test_rotated_rows_have_the_same_inner_products(rng, centre):
    values = rng.standard_normal((11, 5)) + 4
    rows = compute_gram(values).rotate(centre=centre)
    wanted = values - values.mean(axis=0) if centre else values
    assert rows.shape[1] == 5
    np.testing.assert_allclose(rows @ rows.T, wanted @ wanted.T, atol=1e-9)


@pytest.mark.parametrize("n_units", [5, 53])
def test_hat_matrix_gives_the_predictions_of_ridge_regression(rng, n_units):
    X, Y = rng.standard_normal((19, n_units)) + 3, rng.standard_normal((19, 3))
    train, test = np.arange(3, 19), np.array([2, 0, 1])
    kernel = compute_gram(X).fold(train, test)
    oracle = Ridge(alpha=0.7).fit(X[train], Y[train]).predict(X[test])
    for columns in (slice(0, 2), slice(0, 3)):  # fewer columns than test rows, and not fewer
        decisions = kernel.weigh(0.7, Y[train][:, columns]).T
        np.testing.assert_allclose(decisions, oracle[:, columns], atol=1e-9)


def test_fold_kernel_is_centred_on_training_rows_alone(rng):
    X = rng.standard_normal((19, 31))
    train, test = np.arange(4, 19), np.arange(4)
    kernel = compute_gram(X).fold(train, test)
    mean = X[train].mean(axis=0)
    np.testing.assert_allclose(kernel.train, (X[train] - mean) @ (X[train] - mean).T, atol=1e-10)
    np.testing.assert_allclose(kernel.test, (X[test] - mean) @ (X[train] - mean).T, atol=1e-10)
    assert kernel.scale == pytest.approx(X[train].var(axis=0).sum())


def test_a_dead_layer_still_has_a_scale():
    kernel = compute_gram(np.ones((7, 11))).fold(np.arange(5), np.arange(5, 7))
    assert kernel.scale == 1.0
    np.testing.assert_allclose(kernel.weigh(1.0, np.eye(5)), 1 / 5)


def test_penalty_below_rounding_is_refused(rng):
    gram = compute_gram(1e9 * rng.standard_normal((13, 2)))
    with pytest.raises(ValueError, match="penalty 1e-12 is too small"):
        gram.fold(np.arange(11), np.arange(11, 13)).weigh(1e-12, np.eye(11))


def test_values_that_are_not_finite_are_named(rng):
    values = rng.standard_normal((7, 301))
    values[4, 200] = np.nan
    with pytest.raises(ValueError, match=r"not finite \(first in row 4\)"):
        compute_gram(values)
    with pytest.raises(ValueError, match=r"not finite \(first in row 4\)"):
        arrange(values[:, 199:202])


def test_gram_needs_rows_of_units(rng):
    with pytest.raises(ValueError, match=r"\(n_stimuli, n_units\); got \(7, 3, 2\)"):
        compute_gram(rng.standard_normal((7, 3, 2)))


def test_of_equal_penalties_the_largest_is_picked():
    scores = np.array([[0.5, 0.7, 0.7, 0.2], [0.9, 0.1, 0.1, 0.9 - 1e-12]])
    assert pick_penalty(scores, (0.1, 1.0, 10.0, 100.0)).tolist() == [2, 3]


@pytest.mark.parametrize("n_classes", [2, 3, 11])
@pytest.mark.parametrize("n_test", [5, 300])
def test_labellings_are_scored_as_one_by_one(rng, n_classes, n_test):
    weights = rng.standard_normal((17, n_test)).astype(np.float32)
    train_labels = rng.integers(0, n_classes, (23, 17)).astype(np.int16)
    test_labels = rng.integers(0, n_classes, (23, n_test)).astype(np.int16)
    scores = score_labellings(weights, Labellings(np.arange(17), train_labels, test_labels, n_classes))
    for draw in range(23):
        targets = np.where(np.arange(n_classes) == train_labels[draw][:, None], 1.0, -1.0)
        guess = (weights.T.astype(float) @ targets).argmax(axis=1)
        shown = np.unique(test_labels[draw])
        recalls = [(guess[test_labels[draw] == label] == label).mean() for label in shown]
        assert scores[draw] == pytest.approx(np.mean(recalls), abs=1e-12)


def test_threads_change_no_bit(rng):
    weights = rng.standard_normal((17, 41)).astype(np.float32)
    draws = rng.integers(0, 3, (29, 58)).astype(np.int16)
    labellings = Labellings(np.arange(17), draws[:, :17], draws[:, 17:], 3)
    one, many = (score_labellings(weights, labellings, n_jobs=jobs) for jobs in (1, 4))
    np.testing.assert_array_equal(one, many)


def test_balanced_accuracy_is_that_of_scikit_learn(rng):
    true, guess = rng.integers(0, 5, (2, 200))
    assert balanced_accuracy(true, guess, 5) == pytest.approx(balanced_accuracy_score(true, guess))
    assert balanced_accuracy(np.array([2, 2]), np.array([2, 0]), 5) == 0.5
