import numpy as np
import pytest
from scipy import stats

from fernet_neuro.stats.resampling import bca_interval, bootstrap_mean_interval


@pytest.fixture
def skewed(rng):
    return rng.exponential(size=400)


def draw_means(values, rng, n=4000):
    return values[rng.integers(0, len(values), (n, len(values)))].mean(axis=1)


def test_interval_of_a_mean_is_that_of_the_general_function(skewed):
    wanted = bootstrap_mean_interval(skewed, n_bootstraps=4000, rng=np.random.default_rng(3))
    draws = draw_means(skewed, np.random.default_rng(3))
    assert bca_interval(skewed.mean(), draws, skewed - skewed.mean()) == wanted


def test_interval_of_many_units_is_scipys(skewed, rng):
    ends = bca_interval(skewed.mean(), draw_means(skewed, rng, 40_000), skewed - skewed.mean(), level=0.9)
    wanted = stats.bootstrap(
        (skewed,),
        np.mean,
        method="BCa",
        confidence_level=0.9,
        n_resamples=40_000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert ends == pytest.approx((wanted.low, wanted.high), abs=0.004)


def test_scale_of_the_influences_does_not_matter(skewed, rng):
    draws = draw_means(skewed, rng)
    influences = skewed - skewed.mean()
    first, second = (bca_interval(skewed.mean(), draws, factor * influences) for factor in (1, 1000))
    assert first == pytest.approx(second)


@pytest.mark.parametrize(
    ("influences", "level", "message"),
    [
        ([1.0], 0.95, "two or more units that differ"),
        ([0.0, 0.0, 0.0], 0.95, "two or more units that differ"),
        ([np.nan, 1.0], 0.95, "influences must be finite"),
        ([-1.0, 1.0], 1.5, "level must lie between 0 and 1"),
    ],
)
def test_wrong_input_is_named(influences, level, message):
    with pytest.raises(ValueError, match=message):
        bca_interval(0.0, np.linspace(-1, 1, 9), np.array(influences), level=level)
