import itertools

import numpy as np
import pytest
from scipy import stats

from fernet_neuro.stats.resampling import one_sample_p_value, sign_flip_p_value, stratified_t_interval


def test_sign_flips_agree_with_all_of_them(rng):
    values = rng.normal(0.4, 1.0, 9)
    sums = np.array([np.dot(signs, values) for signs in itertools.product((-1, 1), repeat=9)])
    exact = np.mean(np.abs(sums) >= abs(values.sum()) - 1e-12)
    found = sign_flip_p_value(values, rng=rng)
    assert found == pytest.approx(exact, abs=0.02)
    assert sign_flip_p_value(np.zeros(4), n_permutations=9, rng=rng) == 1.0


def test_strata_of_equal_size_and_spread_are_welch(rng):
    first, second = rng.normal(0, 1, 8), rng.normal(0, 3, 5)
    parts = np.concatenate([(first - first.mean()) / 8, (second - second.mean()) / 5])
    low, high = stratified_t_interval(first.mean() + second.mean(), parts, np.repeat([0, 1], [8, 5]))
    oracle = stats.ttest_ind(first, -second, equal_var=False).confidence_interval()
    assert (low, high) == pytest.approx((oracle.low, oracle.high))
    assert stratified_t_interval(0.5, np.zeros(4), np.zeros(4)) == (0.5, 0.5)


def test_one_sample_is_students_t_where_there_is_a_spread(rng):
    values = rng.normal(1, 1, 5)
    assert one_sample_p_value(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert one_sample_p_value(np.zeros(3)) == 1.0
    assert one_sample_p_value(np.full(3, 0.7)) is None
    assert one_sample_p_value(np.array([0.7])) is None


def test_units_that_cannot_be_used_are_refused(rng):
    with pytest.raises(ValueError, match="at least two units"):
        stratified_t_interval(0.0, np.zeros(3), np.array([0, 0, 1]))
    with pytest.raises(ValueError, match="values must be finite"):
        sign_flip_p_value(np.array([np.nan]), rng=rng)
