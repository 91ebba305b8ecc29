"""What resampling says of one score: its value, its resamples, and the interval that they allow.

What belongs here: one class per kind of score, each with an `interval` and an average over runs; what is
resampled is decided in `resampling`, what is scored in `metrics`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
from scipy import special

from fernet_neuro.stats.resampling import FEWEST_FOR_BOOTSTRAP, bca_interval, clopper_pearson

Ends = tuple[float, float]


class Spread(Protocol):
    """A score with its resamples."""

    bounds: ClassVar[Ends]

    @property
    def value(self) -> float:
        """Return the score."""

    def interval(self, level: float) -> Ends | None:
        """Return the ends of the interval, or None where the units do not tell how they differ."""

    @classmethod
    def average(cls, spreads: Sequence[Self]) -> Self:
        """Return the mean score of several networks on the same units, resampled together."""


def _mean_draws(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.mean(arrays, axis=0)


def widen(level: float, n_units: int) -> float:
    """Return how much wider than a normal bootstrap's an interval over `n_units` must be (a factor).

    Student's t for the normal quantile, and the bootstrap's missing ``sqrt(n / (n - 1))``.
    """
    tail = (1 - level) / 2
    student, normal = special.stdtrit(n_units - 1, 1 - tail), special.ndtri(1 - tail)
    return float(student / normal * np.sqrt(n_units / (n_units - 1)))


@dataclass(frozen=True, eq=False)
class Share:
    """A score between 0 and 1: a proportion of images, or a mean of such.

    The interval is the exact binomial one for as many independent images as would vary like the bootstrap
    [1]_. Unlike quantiles of the bootstrap, it holds for small counts and for scores near 0 or 1.

    Parameters
    ----------
    value : float
    draws : ndarray of shape (n_bootstraps,)
        The score of each resample; NaN where a resample has no such image.
    n_units : int
        Units (images or people) that the score is over.
    n_images : int
        Images that the score is over.
    is_proportion : bool
        A share of independent or grouped images, and no mean of several shares.
    is_grouped : bool
        Whether units are groups of images.
    n_least : int
        Number of images that a score without any variation is taken to rest on.

    References
    ----------
    .. [1] Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected
       number of positive counts estimated from survey data. Survey Methodology, 24(2), 193-201.
    """

    value: float
    draws: np.ndarray
    n_units: int
    n_images: int
    is_proportion: bool
    is_grouped: bool
    n_least: int
    bounds: ClassVar[Ends] = (0.0, 1.0)

    def interval(self, level: float) -> Ends | None:
        """Return the ends, or None without two units (one image will do for a plain proportion)."""
        if self.n_units < 1 or np.isnan(self.value):
            return None
        if self.is_proportion and not self.is_grouped:
            return clopper_pearson(round(self.value * self.n_images), self.n_images, level)
        if self.n_units < 2:
            return None
        variance = float(np.nanvar(self.draws)) * widen(level, self.n_units) ** 2
        n_effective = self.value * (1 - self.value) / variance if variance > 1e-15 else float(self.n_least)
        if self.is_proportion:
            n_effective = min(n_effective, self.n_images)
        return _binomial_ends(self.value, n_effective, level)

    @classmethod
    def average(cls, spreads: Sequence[Self]) -> Self:
        """Return the mean share of several networks on the same images."""
        first = spreads[0]
        return cls(
            float(np.mean([item.value for item in spreads])),
            _mean_draws([item.draws for item in spreads]),
            min(item.n_units for item in spreads),
            min(item.n_images for item in spreads),
            False,
            first.is_grouped,
            min(item.n_least for item in spreads),
        )


def _binomial_ends(share: float, n: float, level: float) -> Ends:
    """Return the Clopper-Pearson ends for a number of images that need not be whole."""
    tail, right = (1 - level) / 2, share * n
    low = special.betaincinv(right, n - right + 1, tail) if share > 0 else 0.0
    high = special.betaincinv(right + 1, n - right, 1 - tail) if share < 1 else 1.0
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Mean:
    """A mean over images of a value without an upper limit, such as the negative log-likelihood.

    `draws` (n_bootstraps,). `influences` (n_units,): how far each unit moves the mean, in any scale.
    """

    value: float
    draws: np.ndarray
    influences: np.ndarray
    bounds: ClassVar[Ends] = (0.0, np.inf)

    def interval(self, level: float) -> Ends | None:
        """Return the ends by the accelerated bootstrap, by Student's t below ten units."""
        n_units = len(self.influences)
        if n_units < 2:
            return None
        # Means of equal values differ in their last bits.
        if np.ptp(self.draws) <= 1e-12 * max(1.0, abs(self.value)):
            return self.value, self.value
        if n_units >= FEWEST_FOR_BOOTSTRAP:
            return bca_interval(self.value, self.draws, self.influences, level=level)
        margin = special.ndtri((1 + level) / 2) * widen(level, n_units) * float(self.draws.std())
        return self.value - margin, self.value + margin

    @classmethod
    def average(cls, spreads: Sequence[Self]) -> Self:
        """Return the mean of several networks on the same images."""
        return cls(
            float(np.mean([item.value for item in spreads])),
            _mean_draws([item.draws for item in spreads]),
            _mean_draws([item.influences for item in spreads]),
        )


@dataclass(frozen=True, eq=False)
class Folded:
    """A sum of absolute values, such as the expected calibration error, which noise can only raise.

    Quantiles of its bootstrap are all too large where terms are near 0. Instead its change under resampling
    is bounded from both sides, term by term: a term surely away from 0 moves with its sign, any other by at
    most the size of its own change, and never less than its sign allows [1]_. The interval is therefore valid
    and a little wide.

    Parameters
    ----------
    value : float
    highest, lowest : ndarray of shape (n_bootstraps,)
        Bounds of the change in each resample.
    n_units : int
    expected : float
        Value that terms of 0 would show through noise alone.

    References
    ----------
    .. [1] Fang, Z. and Santos, A. (2019). Inference on directionally differentiable functions. Review of
       Economic Studies, 86(1), 377-412.
    """

    value: float
    highest: np.ndarray
    lowest: np.ndarray
    n_units: int
    expected: float
    bounds: ClassVar[Ends] = (0.0, 1.0)

    @classmethod
    def from_terms(cls, terms: np.ndarray, draws: np.ndarray, n_units: int, level: float = 0.95) -> Self:
        """Return the spread of the sum of absolute `terms` (n_terms,), resampled in `draws` (n, n_terms)."""
        changes = draws - terms
        if n_units > 1:
            changes = changes * widen(level, n_units)
        # All terms together are called away from 0 wrongly in at most 1 - level of cases.
        limit = special.ndtri(1 - (1 - level) / (2 * len(terms))) * changes.std(axis=0)
        signed = np.sign(terms) * changes
        largest = np.where(np.abs(terms) > limit, signed, np.abs(changes))
        return cls(
            float(np.abs(terms).sum()),
            largest.sum(axis=1),
            signed.sum(axis=1),
            n_units,
            float(np.abs(changes).sum(axis=1).mean()),
        )

    def interval(self, level: float) -> Ends | None:
        """Return the ends, or None with one unit."""
        if self.n_units < 2:
            return None
        tail = (1 - level) / 2
        low = self.value - float(np.quantile(self.highest, 1 - tail))
        high = self.value - float(np.quantile(self.lowest, tail))
        return max(low, 0.0), min(high, 1.0)

    @classmethod
    def average(cls, spreads: Sequence[Self]) -> Self:
        """Return the mean of several networks on the same images."""
        return cls(
            float(np.mean([item.value for item in spreads])),
            _mean_draws([item.highest for item in spreads]),
            _mean_draws([item.lowest for item in spreads]),
            min(item.n_units for item in spreads),
            float(np.mean([item.expected for item in spreads])),
        )
