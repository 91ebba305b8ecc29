"""Permutations that respect groups, and intervals and paired tests over units.

What belongs here: drawing null labels, signs and resampled units; p values of many tests are in `multiple`.
"""

import numpy as np
from scipy import special

from fernet_neuro._utils.validation import check_between, check_range

#: Below this many units a bootstrap has too few distinct resamples to find its tails; Student's t is used.
FEWEST_FOR_BOOTSTRAP = 10
#: Random signs that are held in memory at once.
_SIGNS_AT_ONCE = 2**22


def permute_within(
    labels: np.ndarray,
    groups: np.ndarray | None,
    rng: np.random.Generator,
    n: int,
    *,
    blocks: np.ndarray | None = None,
) -> np.ndarray:
    """Draw `n` permutations of `labels`, each of which exchanges labels only inside a group.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        Labels of any type.
    groups : ndarray of shape (n_samples,) or None
        Labels never leave their group, such as the identity shown; None exchanges all freely.
    rng : numpy.random.Generator
        Source of the draws.
    n : int
        Number of permutations.
    blocks : ndarray of shape (n_samples,), default=None
        Samples that must keep one common label, such as near-duplicate photographs of one person with one
        expression; labels are then exchanged between whole blocks. Without it the null of data with such
        duplicates is too narrow, because they are not exchangeable one by one.

    Returns
    -------
    ndarray of shape (n, n_samples)
        One permuted copy of `labels` per row.

    Raises
    ------
    ValueError
        If shapes differ, a block holds several labels or spans several groups, or no permutation could
        change any label.
    """
    labels = np.asarray(labels)
    check_range("n", n, minimum=1)
    groups = np.zeros(len(labels), dtype=int) if groups is None else _check_codes("groups", groups, labels)
    if blocks is None:
        return _permute_each_group(labels, groups, rng, n)
    blocks = _check_codes("blocks", blocks, labels)
    _, first, block_of = np.unique(blocks, return_index=True, return_inverse=True)
    _check_constant("label", labels, first, block_of)
    _check_constant("group", groups, first, block_of)
    return _permute_each_group(labels[first], groups[first], rng, n)[:, block_of]


def clopper_pearson(k: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact binomial confidence interval of a proportion of `k` in `n` (unitless).

    Parameters
    ----------
    k, n : float, int
        Number of successes (or its mean over tests) and of trials.
    level : float, default=0.95
        Least probability that the interval covers the true proportion.

    Raises
    ------
    ValueError
        If not ``0 <= k <= n`` and ``n >= 1``, or `level` is outside (0, 1).

    References
    ----------
    .. [1] Clopper, C. J. and Pearson, E. S. (1934). The use of confidence or fiducial limits illustrated in
       the case of the binomial. Biometrika, 26(4), 404-413.
    """
    check_range("n", n, minimum=1)
    check_range("k", k, minimum=0, maximum=n)
    tail = (1 - check_between("level", level)) / 2
    low = special.betaincinv(k, n - k + 1, tail) if k > 0 else 0.0
    high = special.betaincinv(k + 1, n - k, 1 - tail) if k < n else 1.0
    return float(low), float(high)


def bootstrap_mean_interval(
    values: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    level: float = 0.95,
    n_bootstraps: int = 2000,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return a confidence interval of a mean over units.

    From ten units on, the bias-corrected and accelerated bootstrap [1]_, its tails widened for the number of
    units [2]_; with fewer, Student's t.

    Parameters
    ----------
    values : ndarray of shape (n_units,)
        One value per unit, such as a score per fold or per training seed.
    groups : ndarray of shape (n_units,), default=None
        Units that depend on each other, such as those of one identity. Groups are then the units: the mean
        is over group means, so that each group counts once.
    level : float, default=0.95
        Probability that the interval covers the mean.
    n_bootstraps : int, default=2000
        Number of resamples.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    tuple of float
        Lower and upper end, in the unit of `values`; both the mean where all units are equal.

    Raises
    ------
    ValueError
        If there are fewer than two units (or groups), or a value is not finite.

    References
    ----------
    .. [1] Efron, B. (1987). Better bootstrap confidence intervals. Journal of the American Statistical
       Association, 82(397), 171-185.
    .. [2] Hesterberg, T. C. (2015). What teachers should know about the bootstrap. The American Statistician,
       69(4), 371-386.
    """
    units = _unit_means(np.asarray(values, dtype=float), groups)
    check_range("n_bootstraps", n_bootstraps, minimum=1)
    tail = (1 - check_between("level", level)) / 2
    if np.ptp(units) == 0:
        return float(units[0]), float(units[0])
    if len(units) < FEWEST_FOR_BOOTSTRAP:
        margin = special.stdtrit(len(units) - 1, 1 - tail) * units.std(ddof=1) / np.sqrt(len(units))
        return float(units.mean() - margin), float(units.mean() + margin)
    draws = rng.integers(0, len(units), (n_bootstraps, len(units)))
    return bca_interval(units.mean(), units[draws].mean(axis=1), units - units.mean(), level=level)


def bca_interval(
    estimate: float, draws: np.ndarray, influences: np.ndarray, *, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of a bootstrapped statistic that bias, skewness and the number of units ask for.

    The bias-corrected and accelerated bootstrap [1]_, its tails widened for the number of units [2]_.

    Parameters
    ----------
    estimate : float
        The statistic of the data.
    draws : ndarray of shape (n_bootstraps,)
        The statistic of each resample.
    influences : ndarray of shape (n_units,)
        How far each unit moves the statistic, in any common scale; they sum to 0.
    level : float, default=0.95
        Probability that the interval covers.

    Raises
    ------
    ValueError
        If there are fewer than two units, or no unit moves the statistic.

    References
    ----------
    .. [1] Efron, B. (1987). Better bootstrap confidence intervals. Journal of the American Statistical
       Association, 82(397), 171-185.
    .. [2] Hesterberg, T. C. (2015). What teachers should know about the bootstrap. The American Statistician,
       69(4), 371-386.
    """
    n = len(_check_units("influences", influences))
    if n < 2 or not np.any(influences):
        raise ValueError(f"a bootstrap interval needs two or more units that differ; got {n}.")
    tail = (1 - check_between("level", level)) / 2
    # The bootstrap's spread is too small by sqrt((n - 1) / n), and its tails are normal, not Student's [2].
    wide = special.stdtrit(n - 1, 1 - tail) * np.sqrt(n / (n - 1))
    below = np.mean(draws < estimate) + np.mean(draws == estimate) / 2
    bias = special.ndtri(np.clip(below, 1 / len(draws), 1 - 1 / len(draws)))
    acceleration = (influences**3).sum() / (6 * (influences**2).sum() ** 1.5)
    shifted = bias + np.array([-wide, wide])
    quantiles = special.ndtr(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(draws, quantiles)
    return float(low), float(high)


def stratified_t_interval(
    total: float, deviations: np.ndarray, strata: np.ndarray, *, level: float = 0.95
) -> tuple[float, float]:
    """Return a confidence interval of a sum over units that were sampled stratum by stratum.

    Student's t with Satterthwaite's degrees of freedom [1]_, so that a small stratum that carries most of the
    variance widens the interval.

    Parameters
    ----------
    total : float
        The sum.
    deviations : ndarray of shape (n_units,)
        How far each unit moves the sum from what its stratum's mean unit would give, in the unit of `total`.
    strata : ndarray of shape (n_units,)
        Stratum of each unit.
    level : float, default=0.95
        Probability that the interval covers.

    Raises
    ------
    ValueError
        If a stratum has one unit only, or shapes or values are not as said.

    References
    ----------
    .. [1] Satterthwaite, F. E. (1946). An approximate distribution of estimates of variance components.
       Biometrics Bulletin, 2(6), 110-114.
    """
    deviations = _check_units("deviations", deviations)
    codes = np.unique(_check_codes("strata", strata, deviations), return_inverse=True)[1]
    counts = np.bincount(codes)
    if counts.min() < 2:
        raise ValueError("each stratum needs at least two units.")
    variances = np.bincount(codes, deviations**2) * counts / (counts - 1)
    if variances.sum() == 0:
        return float(total), float(total)
    freedom = variances.sum() ** 2 / (variances**2 / (counts - 1)).sum()
    tail = (1 - check_between("level", level)) / 2
    margin = special.stdtrit(freedom, 1 - tail) * np.sqrt(variances.sum())
    return float(total - margin), float(total + margin)


def sign_flip_p_value(values: np.ndarray, *, n_permutations: int = 9999, rng: np.random.Generator) -> float:
    """Return the two-sided p value of the sum of paired differences under random flips of their signs.

    Parameters
    ----------
    values : ndarray of shape (n_units,)
        One difference per independent unit. Without an effect each is as likely as its negative.
    n_permutations : int, default=9999
        Random flips.
    rng : numpy.random.Generator
        Source of the signs.

    Returns
    -------
    float
        ``(1 + flips with a sum at least as far from 0) / (1 + n_permutations)``.

    Raises
    ------
    ValueError
        If there is no value, or one is not finite.
    """
    values = _check_units("values", values)
    check_range("n_permutations", n_permutations, minimum=1)
    # Flips that give the same sum must count although it is added up in another order.
    threshold = abs(values.sum()) - 1e-12 * np.abs(values).sum()
    step = max(1, _SIGNS_AT_ONCE // len(values))
    count = 0
    for start in range(0, n_permutations, step):
        signs = rng.integers(0, 2, (min(step, n_permutations - start), len(values)), dtype=np.int8)
        count += int((np.abs((2.0 * signs - 1.0) @ values) >= threshold).sum())
    return (1 + count) / (1 + n_permutations)


def t_test(difference: float, variance: float, freedom: float) -> tuple[float, float, float | None]:
    """Return the ends of the 95 % interval and the two-sided p value of a difference, by Student's t.

    Parameters
    ----------
    difference, variance : float
        The estimate, and the square of its standard error.
    freedom : float
        Degrees of freedom of the variance.

    Returns
    -------
    tuple
        The p value is None where the variance is 0 and the difference is not: nothing tells their spread.

    Examples
    --------
    >>> low, high, p = t_test(2.0, 1.0, 9)
    >>> round(low, 3), round(high, 3), round(p, 3)
    (-0.262, 4.262, 0.077)
    """
    if variance == 0:
        return difference, difference, None if difference else 1.0
    error = np.sqrt(variance)
    margin = special.stdtrit(freedom, 0.975) * error
    p_value = 2 * special.stdtr(freedom, -abs(difference) / error)
    return float(difference - margin), float(difference + margin), float(p_value)


def one_sample_p_value(values: np.ndarray) -> float | None:
    """Return the two-sided p value of Student's t that the mean of `values` is 0.

    For a handful of units, such as training seeds, of which too few sign flips exist.

    Parameters
    ----------
    values : ndarray of shape (n_units,)
        One value per independent unit.

    Returns
    -------
    float or None
        None with fewer than two units, or where all are equal but not 0: nothing then tells their spread.

    Raises
    ------
    ValueError
        If there is no value, or one is not finite.
    """
    values = _check_units("values", values)
    if not values.any():
        return 1.0
    # Means of equal shares may differ in their last bits.
    if len(values) < 2 or np.ptp(values) <= 1e-12 * np.abs(values).max():
        return None
    t = values.mean() / (values.std(ddof=1) / np.sqrt(len(values)))
    return float(2 * special.stdtr(len(values) - 1, -abs(t)))


def _permute_each_group(
    labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator, n: int
) -> np.ndarray:
    permuted = np.tile(labels, (n, 1))
    changeable = False
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        permuted[:, members] = rng.permuted(permuted[:, members], axis=1)
        changeable |= len(np.unique(labels[members])) > 1
    if not changeable:
        raise ValueError(
            "no group holds two different labels, so permuting within groups changes nothing; "
            "permute freely (groups=None) or over another grouping."
        )
    return permuted


def _check_codes(argument: str, codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    codes = np.asarray(codes)
    if codes.shape != labels.shape:
        raise ValueError(f"{argument} must have the shape of labels, {labels.shape}; got {codes.shape}.")
    return codes


def _check_constant(what: str, values: np.ndarray, first: np.ndarray, block_of: np.ndarray) -> None:
    mixed = np.flatnonzero(values != values[first][block_of])
    if len(mixed):
        raise ValueError(f"each block must have one {what}; sample {int(mixed[0])} differs from its block.")


def _check_units(argument: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"{argument} must be finite, of shape (n_units,); got shape {values.shape}.")
    return values


def _unit_means(values: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"values must be finite, of shape (n_units,); got shape {values.shape}.")
    if groups is not None:
        _, index = np.unique(_check_codes("groups", groups, values), return_inverse=True)
        values = np.bincount(index, weights=values) / np.bincount(index)
    if len(values) < 2:
        raise ValueError(f"an interval of a mean needs at least two units; got {len(values)}.")
    return values
