"""Is a test honest? The realised rate of false positives on data without the effect.

What belongs here: summaries of p values from simulated null data; the simulations belong to what they test.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from fernet_neuro._utils.validation import check_between
from fernet_neuro.stats.resampling import clopper_pearson


@dataclass(frozen=True)
class FalsePositiveRate:
    """How often a test rejected at `level` on data without the effect.

    Parameters
    ----------
    rate : float
        Share of p values at or below `level` (unitless).
    low, high : float
        Clopper-Pearson interval of that share.
    limit : float
        Largest share that a test of exactly `level` shows by chance: the upper end of the central binomial
        interval.
    n_tests : int
        Number of p values.
    level, confidence : float
        Nominal level, and probability of the two intervals.
    """

    rate: float
    low: float
    high: float
    limit: float
    n_tests: int
    level: float
    confidence: float

    @property
    def is_calibrated(self) -> bool:
        """Whether the rate is no larger than chance allows (a cautious test passes)."""
        return self.rate <= self.limit


def false_positive_rate(
    pvalues: np.ndarray, level: float = 0.05, *, confidence: float = 0.99
) -> FalsePositiveRate:
    """Return the realised rate of p values at or below `level`, with its interval.

    Parameters
    ----------
    pvalues : ndarray of shape (n_tests,)
        One p value per data set without the effect.
    level : float, default=0.05
        Nominal level of the test.
    confidence : float, default=0.99
        Probability of the interval and of the limit.

    Raises
    ------
    ValueError
        If there is no p value, one lies outside [0, 1], or a level is outside (0, 1).

    Examples
    --------
    >>> false_positive_rate([0.01, 0.3, 0.8, 0.5]).rate
    0.25
    """
    pvalues = np.asarray(pvalues, dtype=float).ravel()
    if len(pvalues) == 0 or not ((pvalues >= 0) & (pvalues <= 1)).all():
        raise ValueError(f"pvalues must be one or more numbers between 0 and 1; got {len(pvalues)}.")
    for name, value in (("level", level), ("confidence", confidence)):
        check_between(name, value)
    n_tests, count = len(pvalues), int((pvalues <= level).sum())
    low, high = clopper_pearson(count, n_tests, confidence)
    limit = float(stats.binom.ppf((1 + confidence) / 2, n_tests, level)) / n_tests
    return FalsePositiveRate(count / n_tests, low, high, limit, n_tests, level, confidence)
