"""From null scores to p values, and their correction for many tests.

What belongs here: arithmetic on scores and p values; drawing the nulls is in `resampling`.
"""

import numpy as np

# Equal scores must count as "as large" although sums in another order differ in the last bits.
_TIE_TOLERANCE = 1e-12


def compute_p_values(scores: np.ndarray, null_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one-sided permutation p values (large scores count), plain and corrected over all tests.

    A p value is ``(1 + number of null scores >= score) / (1 + n_permutations)`` [1]_. The corrected one
    compares each score with the largest null score over the tests of each permutation [2]_; this controls
    the chance of any false positive if each row of `null_scores` comes from one common permutation.

    Parameters
    ----------
    scores : ndarray of shape (n_tests,)
        Observed scores, such as one per layer.
    null_scores : ndarray of shape (n_permutations, n_tests)
        Scores of permuted data, each row from the same permutation.

    Returns
    -------
    p : ndarray of shape (n_tests,)
        Uncorrected p values.
    p_max : ndarray of shape (n_tests,)
        P values corrected by the maximum statistic; never smaller than `p`.

    Raises
    ------
    ValueError
        If shapes do not fit or a score is not finite.

    References
    ----------
    .. [1] Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical
       Applications in Genetics and Molecular Biology, 9(1), 39.
    .. [2] Nichols, T. E. and Holmes, A. P. (2002). Nonparametric permutation tests for functional
       neuroimaging. Human Brain Mapping, 15(1), 1-25.

    Examples
    --------
    >>> p, p_max = compute_p_values([0.9, 0.2], [[0.1, 0.3], [0.4, 0.1], [0.2, 0.2]])
    >>> p.tolist(), p_max.tolist()
    ([0.25, 0.75], [0.25, 1.0])
    """
    scores, null_scores = np.asarray(scores, dtype=float), np.asarray(null_scores, dtype=float)
    if scores.ndim != 1 or null_scores.ndim != 2 or null_scores.shape[1:] != scores.shape:
        raise ValueError(
            f"null_scores must be (n_permutations, n_tests) for scores (n_tests,); "
            f"got {null_scores.shape} for {scores.shape}."
        )
    if len(null_scores) == 0:
        raise ValueError("null_scores holds no permutation.")
    if not (np.isfinite(scores).all() and np.isfinite(null_scores).all()):
        raise ValueError("scores and null_scores must be finite.")
    threshold = scores - _TIE_TOLERANCE * np.maximum(1.0, np.abs(scores))
    largest = null_scores.max(axis=1, keepdims=True)
    total = 1 + len(null_scores)
    p = (1 + (null_scores >= threshold).sum(axis=0)) / total
    return p, (1 + (largest >= threshold).sum(axis=0)) / total


def adjust_fdr(p_values: np.ndarray) -> np.ndarray:
    """Return p values adjusted for the false discovery rate, shape as given [1]_.

    Raises
    ------
    ValueError
        If a p value lies outside [0, 1].

    References
    ----------
    .. [1] Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. Journal of the Royal
       Statistical Society B, 57(1), 289-300.
    """
    from scipy import stats

    return np.asarray(stats.false_discovery_control(_check_p_values(p_values), axis=None))


def adjust_bonferroni(p_values: np.ndarray) -> np.ndarray:
    """Return p values times their number, at most 1, shape as given.

    Raises
    ------
    ValueError
        If a p value lies outside [0, 1].
    """
    p_values = _check_p_values(p_values)
    return np.minimum(p_values * p_values.size, 1.0)


def adjust_holm(p_values: np.ndarray) -> np.ndarray:
    """Return p values adjusted for the chance of any false positive by Holm's steps, shape as given [1]_.

    Raises
    ------
    ValueError
        If a p value lies outside [0, 1].

    References
    ----------
    .. [1] Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
       Statistics, 6(2), 65-70.

    Examples
    --------
    >>> adjust_holm(np.array([0.03, 0.01, 0.5])).tolist()
    [0.06, 0.03, 0.5]
    """
    p_values = _check_p_values(p_values)
    order = np.argsort(p_values, axis=None, kind="stable")
    stepped = np.maximum.accumulate(p_values.ravel()[order] * np.arange(p_values.size, 0, -1))
    adjusted = np.empty(p_values.size)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.reshape(p_values.shape)


def _check_p_values(p_values: np.ndarray) -> np.ndarray:
    p_values = np.asarray(p_values, dtype=float)
    if not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError("p values must lie between 0 and 1.")
    return p_values
