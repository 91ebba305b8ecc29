import numpy as np
import pytest
from scipy import stats

from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stats.multiple import adjust_bonferroni, adjust_fdr, adjust_holm, compute_p_values


def _scores(X, labels):
    """Difference of two group means per column, for labels of shape (n, n_samples)."""
    signs = np.where(labels, 1.0, -1.0)
    return signs @ X / X.shape[0]


def _p_of_one_data_set(rng, effect, n_samples=26, n_tests=7, n_permutations=99):
    labels = np.arange(n_samples) % 2 == 0
    X = rng.normal(size=(n_samples, n_tests)) + effect * labels[:, None] * (np.arange(n_tests) == 3)
    null = np.array([rng.permutation(labels) for _ in range(n_permutations)])
    return compute_p_values(_scores(X, labels), _scores(X, null))


def test_p_values_equal_a_count_by_hand(rng):
    scores, null = rng.normal(size=5), rng.normal(size=(19, 5))
    p, p_max = compute_p_values(scores, null)
    for test in range(5):
        assert p[test] == (1 + sum(row[test] >= scores[test] for row in null)) / 20
        assert p_max[test] == (1 + sum(max(row) >= scores[test] for row in null)) / 20


def test_ties_count_against_the_effect():
    p, _ = compute_p_values([0.1 + 0.2], np.full((9, 1), 0.3))
    assert p[0] == 1.0


def test_corrected_p_is_never_smaller(rng):
    p, p_max = compute_p_values(rng.normal(size=11), rng.normal(size=(50, 11)))
    assert (p_max >= p).all()
    assert (p_max > p).any()


def test_maximum_statistic_is_calibrated_over_tests(rng):
    smallest = [_p_of_one_data_set(rng, effect=0.0) for _ in range(300)]
    assert false_positive_rate([p_max.min() for _, p_max in smallest]).is_calibrated
    # Without the correction the smallest of seven p values is not: the check can fail.
    assert not false_positive_rate([p.min() for p, _ in smallest]).is_calibrated


def test_planted_effect_is_found(rng):
    found = [_p_of_one_data_set(rng, effect=2.5)[1] for _ in range(40)]
    assert np.mean([p_max[3] <= 0.05 for p_max in found]) > 0.9
    assert all(p_max.argmin() == 3 for p_max in found)


@pytest.mark.parametrize(
    ("scores", "null", "message"),
    [
        ([1.0, 2.0], np.zeros((4, 3)), "null_scores must be"),
        ([1.0], np.zeros((0, 1)), "no permutation"),
        ([np.nan], np.zeros((4, 1)), "finite"),
    ],
)
def test_compute_p_values_refuses(scores, null, message):
    with pytest.raises(ValueError, match=message):
        compute_p_values(scores, null)


def test_adjustments_equal_statsmodels(rng):
    from statsmodels.stats.multitest import multipletests

    p = rng.uniform(0, 0.3, 13)
    np.testing.assert_allclose(adjust_fdr(p), multipletests(p, method="fdr_bh")[1])
    np.testing.assert_allclose(adjust_bonferroni(p), multipletests(p, method="bonferroni")[1])
    np.testing.assert_allclose(adjust_holm(p), multipletests(p, method="holm")[1])
    square = np.append(p, p[:3]).reshape(4, 4)  # equal p values too
    np.testing.assert_allclose(adjust_holm(square).ravel(), multipletests(square.ravel(), method="holm")[1])
    assert adjust_holm(np.array([])).size == 0


@pytest.mark.parametrize("adjust", [adjust_fdr, adjust_bonferroni, adjust_holm])
def test_adjustments_refuse(adjust):
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjust([0.2, 1.2])


def test_false_positive_rate_of_uniform_p_values(rng):
    result = false_positive_rate(rng.uniform(size=2000))
    assert result.low < 0.05 < result.high
    assert result.is_calibrated
    assert not false_positive_rate(rng.uniform(size=2000) ** 1.6).is_calibrated


def test_limit_is_the_binomial_interval_s_upper_end():
    result = false_positive_rate(np.ones(200))
    assert (result.rate, result.low) == (0.0, 0.0)
    assert result.limit == stats.binom(200, 0.05).interval(0.99)[1] / 200


@pytest.mark.parametrize(
    ("pvalues", "level", "message"),
    [([], 0.05, "one or more"), ([1.5], 0.05, "one or more"), ([0.5], 0.0, "level must lie")],
)
def test_false_positive_rate_refuses(pvalues, level, message):
    with pytest.raises(ValueError, match=message):
        false_positive_rate(pvalues, level)
