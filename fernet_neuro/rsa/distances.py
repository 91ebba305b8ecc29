"""Distances between patterns, all pairs at once: one RDM from one set of patterns.

What belongs here: what each distance is, and `compute_rdms`; the matrix products are in `products`, averages
over rows and what patterns may not hold in `labelled`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.validation import check_option
from fernet_neuro.activations.array import Activations
from fernet_neuro.rsa.labelled import LabelledPatterns, check_precision, label_patterns
from fernet_neuro.rsa.products import ProductTerm, ShiftedPatterns, fill_from_patterns, fill_from_terms
from fernet_neuro.rsa.rdms import RDMSet

#: One noise precision matrix for all runs, or one for each.
Precision = np.ndarray | Mapping[Any, np.ndarray]


@dataclass(frozen=True)
class Distance:
    """What a distance is and what it needs.

    Parameters
    ----------
    compute : callable
        Dissimilarities (n_pairs,) of labelled patterns and a precision or None.
    unit : str
        Of the dissimilarities.
    needs_runs, takes_precision, needs_precision : bool
    """

    compute: Callable[[LabelledPatterns, Precision | None], np.ndarray]
    unit: str
    needs_runs: bool = False
    takes_precision: bool = False
    needs_precision: bool = False


def compute_rdms(
    patterns: Activations | np.ndarray,
    *,
    distance: str = "correlation",
    stimulus_ids: Iterable[str] | None = None,
    runs: Iterable[Any] | None = None,
    precision: Precision | None = None,
    labels: Mapping[str, object] | None = None,
) -> RDMSet:
    """Return the RDM of patterns, one row of which is one stimulus, or one presentation of it.

    Stimuli are in the order in which they occur first; never sorted. Rows of the same stimulus are averaged,
    for crossnobis inside each run.

    Parameters
    ----------
    patterns : Activations or ndarray of shape (n_rows, n_channels)
        Any real dtype, or a memory map: sums are in float64, and no copy as large as the patterns is made for
        correlation, cosine and squared_euclidean unless stimuli are repeated.
    distance : str, default="correlation"
        A name in `DISTANCES`.
    stimulus_ids : iterable of str of length n_rows
        Needed for an array; `Activations` have their own.
    runs : iterable of length n_rows or None
        Only for crossnobis: the run of each row. Any number of runs from two on, each with all stimuli; a
        stimulus may occur any number of times in each. Every pair of different runs counts the same.
    precision : ndarray of shape (n_channels, n_channels), mapping from run to such an array, or None
        Inverse noise covariance (`noise.compute_precision`), for mahalanobis and crossnobis. With one per
        run, two runs are compared with the inverse of the mean of their covariances. Crossnobis without one
        is the cross-validated squared Euclidean distance.
    labels : mapping from str to value or None
        Columns of the result's one table row; of `Activations`, ``layer`` is set.

    Returns
    -------
    RDMSet of one RDM
        squared_euclidean, mahalanobis and crossnobis are divided by the number of channels, as in [1]_.
        Crossnobis may be negative: without a difference its mean is 0.

    Raises
    ------
    AlignmentError
        If there is not one id, or one run, per row.
    ValueError
        If an argument does not go with the distance, values are not finite, a pattern is constant
        (correlation) or zero (cosine), there are fewer than two stimuli, or a run lacks a stimulus.

    References
    ----------
    .. [1] van den Bosch et al. (2025), A Python toolbox for representational similarity analysis, eLife.
    .. [2] Walther et al. (2016), Reliability of dissimilarity measures for multi-voxel pattern analysis,
       NeuroImage 137, equations 3-7.

    Examples
    --------
    >>> rdms = compute_rdms(np.array([[1.0, 2, 3], [3, 2, 1], [1, 3, 2]]), stimulus_ids=["a", "b", "c"])
    >>> rdms.dissimilarities.round(3).tolist()
    [[2.0, 0.5, 1.5]]
    """
    kind = DISTANCES[check_option("distance", distance, DISTANCES)]
    _check_arguments(distance, kind, runs, precision)
    columns = dict(labels or {})
    if isinstance(patterns, Activations):
        columns = {"layer": patterns.layer, **columns}
        if stimulus_ids is not None:
            raise ValueError("stimulus_ids go with an array of patterns; activations have their own.")
        labelled = label_patterns(patterns.values, patterns.stimulus_ids, runs, f"layer {patterns.layer!r}")
    else:
        if stimulus_ids is None:
            raise ValueError("an array of patterns needs stimulus_ids, one per row.")
        labelled = label_patterns(np.asarray(patterns), stimulus_ids, runs, "patterns")
    vector = kind.compute(labelled, precision)
    unit = kind.unit if precision is None or not kind.takes_precision else "squared noise sd per channel"
    table = pd.DataFrame([columns]) if columns else pd.DataFrame()
    return RDMSet(
        vector[None],
        labelled.stimulus_ids,
        table,
        distance=distance,
        unit=unit,
        n_channels=labelled.n_channels,
    )


def _check_arguments(
    distance: str, kind: Distance, runs: Iterable[Any] | None, precision: Precision | None
) -> None:
    if runs is None and kind.needs_runs:
        raise ValueError(f"distance {distance!r} needs runs, the run of each row of the patterns.")
    if runs is not None and not kind.needs_runs:
        raise ValueError(f"runs are for crossnobis; distance {distance!r} averages all rows of a stimulus.")
    if precision is not None and not kind.takes_precision:
        raise ValueError(f"distance {distance!r} takes no precision; mahalanobis and crossnobis do.")
    if precision is None and kind.needs_precision:
        raise ValueError(
            f"distance {distance!r} needs a precision (noise.compute_precision of residuals); without one "
            f"it is squared_euclidean."
        )
    if isinstance(precision, Mapping) and not kind.needs_runs:
        raise ValueError(f"distance {distance!r} takes one precision matrix; one per run is for crossnobis.")


def _correlation(patterns: LabelledPatterns, _precision: Precision | None) -> np.ndarray:
    means = patterns.row_means()
    patterns.check_varied()
    return fill_from_patterns(ShiftedPatterns(patterns.stimulus_means, means[:, None]), _finish_cosine)


def _cosine(patterns: LabelledPatterns, _precision: Precision | None) -> np.ndarray:
    patterns.row_means()
    patterns.check_nonzero()
    return fill_from_patterns(ShiftedPatterns(patterns.stimulus_means, np.zeros((1, 1))), _finish_cosine)


def _squared_euclidean(patterns: LabelledPatterns, _precision: Precision | None) -> np.ndarray:
    patterns.row_means()
    values = patterns.stimulus_means
    # The mean pattern leaves the distances as they are, and its products would cost digits.
    vector = fill_from_patterns(
        ShiftedPatterns(values, values.mean(axis=0, dtype=np.float64)[None]), _finish_squared
    )
    np.maximum(vector, 0, out=vector)
    return np.divide(vector, patterns.n_channels, out=vector)


def _mahalanobis(patterns: LabelledPatterns, precision: Precision | None) -> np.ndarray:
    patterns.row_means()
    matrix = check_precision(precision, patterns.n_channels)
    values = _centre(patterns.stimulus_means)
    vector = fill_from_terms([ProductTerm(values @ matrix, values, 1.0)], _finish_squared)
    return np.divide(vector, patterns.n_channels, out=vector)


def _crossnobis(patterns: LabelledPatterns, precision: Precision | None) -> np.ndarray:
    patterns.row_means()
    by_run = [_centre(values) for values in patterns.run_means()]
    if isinstance(precision, Mapping):
        terms = _terms_of_pairs(by_run, patterns.check_run_precisions(precision))
    else:
        terms = _terms_of_sum(by_run, check_precision(precision, patterns.n_channels))
    vector = fill_from_terms(terms, _finish_squared)
    return np.divide(vector, patterns.n_channels, out=vector)


def _terms_of_sum(by_run: list[np.ndarray], precision: np.ndarray | None) -> list[ProductTerm]:
    """Return the products of two different runs: that of the sums, less that of each run with itself."""
    total = np.sum(by_run, axis=0)
    weight = 1.0 / (len(by_run) * (len(by_run) - 1))
    parts = [(total, weight), *((values, -weight) for values in by_run)]
    return [
        ProductTerm(values if precision is None else values @ precision, values, share)
        for values, share in parts
    ]


def _terms_of_pairs(by_run: list[np.ndarray], precisions: list[np.ndarray]) -> list[ProductTerm]:
    """Return the products of each two runs, weighted by the inverse of the mean of their covariances."""
    covariances = [np.linalg.inv(precision) for precision in precisions]
    weight = 1.0 / (len(by_run) * (len(by_run) - 1))
    terms = []
    for one in range(len(by_run)):
        for other in range(one + 1, len(by_run)):
            joint = np.linalg.inv((covariances[one] + covariances[other]) / 2)
            terms.append(ProductTerm(by_run[one] @ joint, by_run[other], weight))
            terms.append(ProductTerm(by_run[other] @ joint, by_run[one], weight))
    return terms


def _centre(values: np.ndarray) -> np.ndarray:
    exact = np.asarray(values, dtype=np.float64)
    return exact - exact.mean(axis=0)


def _finish_cosine(band: np.ndarray, top: np.ndarray, all_squares: np.ndarray) -> None:
    band /= np.sqrt(top)[:, None]
    band /= np.sqrt(all_squares)
    np.clip(band, -1, 1, out=band)
    np.subtract(1, band, out=band)


def _finish_squared(band: np.ndarray, top: np.ndarray, all_squares: np.ndarray) -> None:
    band *= -2
    band += top[:, None]
    band += all_squares


#: Distances by name.
DISTANCES: dict[str, Distance] = {
    "correlation": Distance(_correlation, "1 - Pearson correlation"),
    "cosine": Distance(_cosine, "1 - cosine"),
    "squared_euclidean": Distance(_squared_euclidean, "squared pattern unit per channel"),
    "mahalanobis": Distance(
        _mahalanobis, "squared pattern unit per channel", takes_precision=True, needs_precision=True
    ),
    "crossnobis": Distance(
        _crossnobis, "squared pattern unit per channel", needs_runs=True, takes_precision=True
    ),
}
