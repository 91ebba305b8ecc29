"""From variances of several random effects to standard errors, intervals and p values.

What belongs here: arithmetic on variances of subjects, stimuli and seeds; drawing and scoring are elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
from scipy import stats

from fernet_neuro.stats.multiple import adjust_bonferroni, adjust_fdr

#: Effects that a bootstrap resamples together.
Effects = frozenset[str]
#: Draws of the maximum statistic; p_max is known to 1 / 20000.
N_MAXIMA = 20_000
#: Numbers that one step holds in memory.
_AT_ONCE = 2**22
#: What round-off leaves of a variance that is 0, as a share of the squared value.
_NO_VARIANCE = 1e-24


def list_effect_sets(effects: Sequence[str]) -> list[Effects]:
    """Return all sets of one or more of the effects, small ones first.

    Examples
    --------
    >>> [sorted(chosen) for chosen in list_effect_sets(["subjects", "stimuli"])]
    [['subjects'], ['stimuli'], ['stimuli', 'subjects']]
    """
    sizes = range(1, len(effects) + 1)
    return [frozenset(chosen) for size in sizes for chosen in combinations(effects, size)]


def combine_effects(moments: Mapping[Effects, np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    """Return what bootstraps over single effects and over several together say of all effects at once.

    Resampling a set of effects at once counts what varies with several of them more than once, up to 2^k - 1
    times for k effects. What a bootstrap over W has beyond those over parts of W, times n / (n - 1) for each
    effect of W, is the share of all components that vary with every effect of W; the alternating sum of
    these over all W counts each component once. With two effects this is the corrected bootstrap of [1]_.

    Parameters
    ----------
    moments : mapping of frozenset of str to ndarray
        For every set of effects, the variance (or any moment of second order) over samples of these effects.
    sizes : mapping of str to int
        Number of units of each effect.

    References
    ----------
    .. [1] Schuett et al. (2023), Statistical inference on representational geometries, eLife 12.

    Examples
    --------
    >>> one, other, both = frozenset(["a"]), frozenset(["b"]), frozenset(["a", "b"])
    >>> float(combine_effects({one: 1.0, other: 2.0, both: 3.0}, {"a": 2, "b": 3}))
    5.0
    """
    return combine_shares(
        {chosen: _scale_up(moments, chosen, sizes) for chosen in list_effect_sets(list(sizes))}, sizes
    )


def combine_shares(shares: Mapping[Effects, np.ndarray], effects: Iterable[str]) -> np.ndarray:
    """Return what varies with any of the effects, of what varies with all effects of each set of them."""
    return sum((-1) ** (len(chosen) + 1) * shares[chosen] for chosen in list_effect_sets(list(effects)))


def combine_variances(variances: Mapping[Effects, np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    """Return `combine_effects` of variances, within the limits that hold for them.

    No more than the uncorrected bootstrap over all effects, and no less than any single effect has.
    Differs from rsatoolbox in the order: the lower limit goes first, so that few units never narrow it.
    """
    most = variances[frozenset(sizes)]
    least = np.max([_scale_up(variances, frozenset([name]), sizes) for name in sizes], axis=0)
    return np.maximum(np.minimum(combine_effects(variances, sizes), most), np.maximum(least, 0))


def covary_contrasts(covariance: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    """Return the variances (n_contrasts,) of contrasts (n_contrasts, n_values)."""
    return ((contrasts @ covariance) * contrasts).sum(axis=1)


class Variation(Protocol):
    """How values vary: what tests and intervals need to know, however it was found out."""

    @property
    def joint(self) -> np.ndarray:
        """A covariance (n_values, n_values) that says how values vary together."""

    def compute_errors(self, contrasts: np.ndarray) -> np.ndarray:
        """Return the standard errors (n_contrasts,) of contrasts (n_contrasts, n_values)."""

    def compute_dof(self, contrasts: np.ndarray) -> np.ndarray:
        """Return the degrees of freedom (n_contrasts,) of these standard errors."""


@dataclass(frozen=True, eq=False)
class BootstrapVariation:
    """How values vary over bootstrap samples.

    `covariances` (n_values, n_values): over samples of each set of effects. `sizes`: number of units of each
    effect. `resolution` (n_values, n_values): covariance that so few samples cannot tell from none: no
    variance is taken to be smaller.
    """

    covariances: Mapping[Effects, np.ndarray]
    sizes: Mapping[str, int]
    resolution: np.ndarray | float = 0.0

    @property
    def joint(self) -> np.ndarray:
        """The covariance over samples of all effects."""
        return self.covariances[frozenset(self.sizes)]

    def compute_errors(self, contrasts: np.ndarray) -> np.ndarray:
        """Return the standard errors (n_contrasts,) of contrasts (n_contrasts, n_values)."""
        found = {name: covary_contrasts(matrix, contrasts) for name, matrix in self.covariances.items()}
        least = np.zeros(len(contrasts))
        if np.ndim(self.resolution):
            least = covary_contrasts(np.asarray(self.resolution), contrasts)
        return np.sqrt(np.maximum(combine_variances(found, self.sizes), least))

    def compute_dof(self, contrasts: np.ndarray) -> np.ndarray:
        """Return degrees of freedom (n_contrasts,): one less than the smallest effect has units."""
        return np.full(len(contrasts), float(count_fewest_dof(self.sizes)))


def count_fewest_dof(sizes: Mapping[str, int]) -> int:
    """Return one less than the smallest effect has units.

    Examples
    --------
    >>> count_fewest_dof({"subjects": 5, "stimuli": 12})
    4
    """
    return min(sizes.values()) - 1


def compute_t(values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return values over their standard errors; where nothing varies 0 for 0, and else NaN."""
    values, errors = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    varies = errors**2 > _NO_VARIANCE * np.maximum(values**2, 1e-12)
    otherwise = np.where(np.abs(values) <= 1e-12, 0.0, np.nan)
    return np.divide(values, errors, out=otherwise, where=varies)


def compute_interval(
    values: np.ndarray, errors: np.ndarray, dof: np.ndarray | float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return Student's t intervals; `dof` are one number or those of each value."""
    margin = stats.t.ppf((1 + level) / 2, dof) * errors
    return values - margin, values + margin


def compute_p_values(
    t_values: np.ndarray,
    loadings: np.ndarray,
    dof: np.ndarray,
    rng: np.random.Generator,
    *,
    two_sided: bool = False,
) -> dict[str, np.ndarray]:
    """Return p values of Student's t, plain and corrected over all of them.

    ``p_max`` is the probability that the largest of as many t values, with the correlations of `loadings`
    (n_tests, n_axes) of `load_contrasts`, reaches each. All are NaN where `t_values` (n_tests,) are. Where
    degrees of freedom `dof` (n_tests,) differ, that largest value has the most of them, and each t value
    is taken to the one with as many that is as rare: tests then share less by chance, and p is no smaller.
    """
    found = {name: np.full(t_values.shape, np.nan) for name in ("p_value", "p_fdr", "p_bonferroni", "p_max")}
    known = np.flatnonzero(np.isfinite(t_values))
    if not len(known):
        return found
    t = np.abs(t_values[known]) if two_sided else t_values[known]
    above, most = stats.t.sf(t, dof[known]), float(dof[known].max())
    p = above * (2 if two_sided else 1)
    bonferroni = adjust_bonferroni(p)
    largest = _draw_maxima(loadings[known], most, rng, two_sided)
    as_rare = np.where(dof[known] == most, t, stats.t.isf(above, most))
    reached = N_MAXIMA - np.searchsorted(largest, as_rare - 1e-12, side="left")
    # So many draws do not tell smaller values apart; but none can be larger than Bonferroni's.
    p_max = np.clip((1 + reached) / (1 + N_MAXIMA), p, bonferroni)
    for name, values in zip(found, (p, adjust_fdr(p), bonferroni, p_max), strict=True):
        found[name][known] = values
    return found


def load_contrasts(covariance: np.ndarray, contrasts: np.ndarray) -> np.ndarray:
    """Return loadings (n_contrasts, n_values) on independent axes; their products are correlations.

    Pairs of many values are many more than the values; so nothing as large as pairs times pairs is made. A
    contrast that does not vary has loadings of 0.
    """
    values, axes = np.linalg.eigh(covariance)
    loadings = contrasts @ (axes * np.sqrt(np.maximum(values, 0)))
    spread = np.sqrt((loadings**2).sum(axis=1, keepdims=True))
    return np.divide(loadings, spread, out=np.zeros_like(loadings), where=spread > 0)


def _scale_up(moments: Mapping[Effects, np.ndarray], chosen: Effects, sizes: Mapping[str, int]) -> np.ndarray:
    """Return the share of all components that vary with every effect of a set."""
    beyond = sum(
        (-1) ** (len(chosen) - len(part)) * moments[part] for part in list_effect_sets(sorted(chosen))
    )
    return beyond * _product(sizes[name] / (sizes[name] - 1) for name in chosen)


def _product(values: Iterable[float]) -> float:
    return float(np.prod(list(values)))


def _draw_maxima(loadings: np.ndarray, dof: float, rng: np.random.Generator, two_sided: bool) -> np.ndarray:
    """Return the sorted maxima of correlated t values."""
    largest = np.empty(N_MAXIMA)
    step = max(1, _AT_ONCE // len(loadings))
    for start in range(0, N_MAXIMA, step):
        size = min(step, N_MAXIMA - start)
        normal = loadings @ rng.standard_normal((size, loadings.shape[1])).T
        tops = normal.max(axis=0)
        if two_sided:
            tops = np.maximum(tops, -normal.min(axis=0))
        largest[start : start + size] = tops / np.sqrt(rng.chisquare(dof, size) / dof)
    return np.sort(largest)
