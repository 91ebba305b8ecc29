"""Which factors make up the geometry of a region, and with what shares: RDMs as weighted sums of factor RDMs.

What belongs here: the non-negative estimate over a group, and its intervals over subjects.
"""

import numpy as np
import pandas as pd
from scipy import optimize, stats

from fernet_neuro._utils.validation import check_between
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli

#: Columns of the result and their types.
COLUMNS: dict[str, type] = {
    **dict.fromkeys(("roi", "factor"), str),
    **dict.fromkeys(("share", "unconstrained", "low", "high", "weight", "p_value", "constant"), float),
    "n_subjects": int,
}


def estimate_shares(brain: RDMSet, factors: RDMSet, *, level: float = 0.95) -> pd.DataFrame:
    """Return the share of each factor in the geometry of each region.

    Where patterns are sums of independent parts, one per factor, the squared Euclidean (or crossnobis) RDM is
    the sum of the parts' RDMs [1]_. Factor RDMs are scaled to a mean of 1 and fitted together with a
    constant, which takes up what is the same for all pairs, such as differences between single stimuli. The
    share is the factor's weight in the sum of all factors' weights.

    Parameters
    ----------
    brain : RDMSet
        Crossnobis or squared Euclidean, with a column ``subject`` and, where there are several, ``roi``;
        several RDMs of a subject and region (sessions) are averaged.
    factors : RDMSet
        One RDM per factor, of the same stimuli in the same order: labels as 0 and 1, pictures' squared
        Euclidean distances, as ``models.factors.build_model_rdms`` gives them.
    level : float, default=0.95
        Of the intervals.

    Returns
    -------
    DataFrame
        One row per region and factor: ``share`` (of the mean RDM over subjects, non-negative least squares;
        shares of a region add up to 1), ``unconstrained`` (the same by least squares, which may be negative),
        its interval over subjects ``low`` to ``high``, ``weight`` (least squares, in the unit of `brain`),
        ``p_value`` (one-sided t-test over subjects of the weight against 0, not corrected), ``constant``
        (share of the mean distance that is the same for all pairs) and ``n_subjects``. Inference is on
        estimates without the constraint, since those with it are never below 0 and so too high where a factor
        is absent. NaN where one subject, or no signal at all, allows no estimate.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        If `brain` has no column ``subject``, a factor is a weighted sum of others and a constant, or there
        are too few pairs.

    References
    ----------
    .. [1] Diedrichsen & Kriegeskorte (2017), Representational models: a common framework for understanding
       encoding, pattern-component, and representational-similarity analysis, PLoS Computational Biology 13.

    Examples
    --------
    >>> ids = ["a", "b", "c", "d"]
    >>> who = np.array([0.0, 1, 1, 1, 1, 0])
    >>> factors = RDMSet(who[None], ids, pd.DataFrame({"model": ["identity"]}))
    >>> brain = RDMSet(np.stack([3 * who + 1, 2 * who + 1]), ids, pd.DataFrame({"subject": ["01", "02"]}))
    >>> estimate_shares(brain, factors)[["factor", "share"]].values.tolist()
    [['identity', 1.0]]
    """
    check_between("level", level)
    check_same_stimuli(brain, factors, ("the brain's RDMs", "the factors"))
    if "subject" not in brain.table:
        raise ValueError("the brain's RDMs need a column 'subject' that says whose each is.")
    frames = [
        _estimate_region(name, vectors, factors, level) for name, vectors in _gather_subjects(brain).items()
    ]
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)].astype(
        {name: kind for name, kind in COLUMNS.items() if kind is not str}
    )


def _gather_subjects(brain: RDMSet) -> dict[str, np.ndarray]:
    """Return one vector per subject, ndarray of shape (n_subjects, n_pairs), of each region."""
    rois = brain.table["roi"] if "roi" in brain.table else pd.Series([""] * brain.n_rdms)
    rows = pd.DataFrame({"roi": rois.astype(str), "subject": brain.table["subject"].astype(str)})
    found: dict[str, list[np.ndarray]] = {}
    for _, part in rows.groupby(["roi", "subject"], sort=False):
        # A pair that one session lacks is missing: means over different sessions would not compare.
        mean = brain.dissimilarities[part.index.to_numpy()].mean(axis=0)
        found.setdefault(str(part["roi"].iloc[0]), []).append(mean)
    return {roi: np.stack(vectors) for roi, vectors in found.items()}


def _estimate_region(roi: str, vectors: np.ndarray, factors: RDMSet, level: float) -> pd.DataFrame:
    present = ~np.isnan(np.vstack([vectors, factors.dissimilarities])).any(axis=0)
    design = _build_design(factors, present)
    data = vectors[:, present]
    weights = np.linalg.lstsq(design, data.T, rcond=None)[0][:-1].T
    constrained, _ = optimize.nnls(design, data.mean(axis=0))
    parts, constant = constrained[:-1], constrained[-1]
    shares = parts / parts.sum() if parts.sum() > 0 else np.full(len(parts), np.nan)
    ratio, low, high = _find_interval(weights, level)
    return pd.DataFrame(
        {
            "roi": roi,
            "factor": factors.names,
            "share": shares,
            "unconstrained": ratio,
            "low": low,
            "high": high,
            "weight": weights.mean(axis=0),
            "p_value": _test_weights(weights),
            "constant": constant / constrained.sum() if constrained.sum() > 0 else np.nan,
            "n_subjects": len(weights),
        }
    )


def _build_design(factors: RDMSet, present: np.ndarray) -> np.ndarray:
    """Return the factors' RDMs, each with a mean of 1, and a constant: ndarray of shape (n_pairs, n + 1)."""
    n_pairs, n_columns = int(present.sum()), factors.n_rdms + 1
    if n_pairs <= n_columns:
        raise ValueError(
            f"{n_pairs} pairs of stimuli are present in all RDMs; {factors.n_rdms} factors need more."
        )
    vectors = factors.dissimilarities[:, present]
    means = vectors.mean(axis=1, keepdims=True)
    design = np.column_stack([*(vectors / np.where(means > 0, means, 1)), np.ones(n_pairs)])
    for last, name in enumerate(factors.names):
        chosen = [*range(last + 1), factors.n_rdms]
        if np.linalg.matrix_rank(design[:, chosen]) < len(chosen):
            others = ", ".join(factors.names[:last]) or "none"
            raise ValueError(
                f"factor {name!r} is a weighted sum of a constant and those before it ({others}), so their "
                f"shares cannot be told apart; leave one out."
            )
    return design


def _find_interval(weights: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each weight's ratio to their sum, and its interval by linearisation, from Student's t."""
    n_subjects, total = len(weights), weights.mean(axis=0).sum()
    nothing = np.full(weights.shape[1], np.nan)
    ratio = weights.mean(axis=0) / total if total > 0 else nothing
    if n_subjects < 2 or total <= 0:
        return ratio, nothing, nothing
    influence = (weights - weights.sum(axis=1, keepdims=True) * ratio) / total
    spread = influence.std(axis=0, ddof=1) / np.sqrt(n_subjects)
    margin = stats.t.ppf((1 + level) / 2, n_subjects - 1) * spread
    return ratio, ratio - margin, ratio + margin


def _test_weights(weights: np.ndarray) -> np.ndarray:
    n_subjects = len(weights)
    if n_subjects < 2:
        return np.full(weights.shape[1], np.nan)
    error = weights.std(axis=0, ddof=1) / np.sqrt(n_subjects)
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # no variance: infinite t, or none where the mean is 0
        return stats.t.sf(weights.mean(axis=0) / error, n_subjects - 1)
