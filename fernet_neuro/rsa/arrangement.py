"""Stimuli as points on a plane, as far apart as an RDM says and as far as a plane allows.

What belongs here: metric multidimensional scaling of RDMs; drawing is in `viz`.
"""

from dataclasses import dataclass

import numpy as np

from fernet_neuro._utils.validation import check_range
from fernet_neuro.rsa.pairs import vectors_to_squares
from fernet_neuro.rsa.rdms import RDMSet

#: Distances that are squares: their roots are lengths, and are what the plane shows.
SQUARED = ("squared_euclidean", "mahalanobis", "crossnobis")


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Points of stimuli on a plane, one arrangement per RDM.

    Parameters
    ----------
    points : ndarray of shape (n_rdms, n_stimuli, 2)
        In the unit of the dissimilarities, or of their roots where these are squares; centred, first axis the
        longest.
    stress : ndarray of shape (n_rdms,)
        Kruskal's stress 1, unitless: root of the squared misfit over the squared distances on the plane; 0 is
        a perfect fit.
    is_root : bool
        Whether roots of the dissimilarities were arranged.
    """

    points: np.ndarray
    stress: np.ndarray
    is_root: bool


def arrange_stimuli(rdms: RDMSet, *, n_iterations: int = 500, tolerance: float = 1e-8) -> Arrangement:
    """Arrange the stimuli of each RDM on a plane by metric multidimensional scaling.

    Classical scaling [1]_ gives the start, and majorisation of the raw stress (SMACOF [2]_) refines it;
    both are without random numbers. Squared distances are replaced by their roots, where negative ones, which
    cross-validation gives, count as 0. Missing pairs have no weight.

    Parameters
    ----------
    rdms : RDMSet
        Of three stimuli or more.
    n_iterations : int, default=500
        At most.
    tolerance : float, default=1e-8
        Relative decrease of the stress below which the refinement ends.

    Returns
    -------
    Arrangement

    Raises
    ------
    ValueError
        If there are fewer than three stimuli, a stimulus has no pair, or an RDM is 0 everywhere.

    References
    ----------
    .. [1] Torgerson (1952), Multidimensional scaling: I. Theory and method, Psychometrika 17:401-419.
    .. [2] De Leeuw & Mair (2009), Multidimensional scaling using majorization: SMACOF in R, Journal of
       Statistical Software 31(3).

    Examples
    --------
    >>> from fernet_neuro.rsa.rdms import RDMSet
    >>> triangle = RDMSet(np.array([[3.0, 4.0, 5.0]]), np.array(["a", "b", "c"]))
    >>> bool(arrange_stimuli(triangle).stress[0] < 1e-6)
    True
    """
    check_range("number of stimuli", rdms.n_stimuli, minimum=3)
    is_root = rdms.distance in SQUARED
    vectors = np.sqrt(np.maximum(rdms.dissimilarities, 0)) if is_root else rdms.dissimilarities
    found = []
    for name, square in zip(rdms.names, vectors_to_squares(vectors, rdms.n_stimuli), strict=True):
        _check_arrangeable(square, name)
        found.append(_refine(square, n_iterations, tolerance))
    return Arrangement(np.stack([points for points, _ in found]), np.array([s for _, s in found]), is_root)


def match_points(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Turn and mirror `points` (n_stimuli, 2) to lie as near to `target` as they can; sizes stay.

    Directions on such a plane mean nothing, so arrangements may be turned to be compared by eye.
    """
    left, _, right = np.linalg.svd((points - points.mean(axis=0)).T @ (target - target.mean(axis=0)))
    return (points - points.mean(axis=0)) @ (left @ right)


def _check_arrangeable(square: np.ndarray, name: str) -> None:
    others = square[~np.eye(len(square), dtype=bool)].reshape(len(square), -1)
    if np.isnan(others).all(axis=1).any():
        raise ValueError(f"RDM {name!r} has a stimulus without any pair; it cannot be arranged.")
    if not np.nansum(np.maximum(others, 0)) > 0:
        raise ValueError(f"RDM {name!r} is 0 everywhere; there is nothing to arrange.")


def _scale_classically(square: np.ndarray) -> np.ndarray:
    """Return classical scaling's points; a missing pair counts as the mean of the others here."""
    filled = np.where(np.isnan(square), np.nanmean(square), square)
    inner = filled**2
    inner = -(inner - inner.mean(axis=0) - inner.mean(axis=1)[:, None] + inner.mean()) / 2
    values, vectors = np.linalg.eigh(inner)
    points = vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 0))
    # An eigenvector's sign is arbitrary: the entry that is largest in size is made positive.
    return points * np.sign(points[np.abs(points).argmax(axis=0), [0, 1]] + 1e-300)


def _refine(square: np.ndarray, n_iterations: int, tolerance: float) -> tuple[np.ndarray, float]:
    weights = 1.0 - np.isnan(square)
    np.fill_diagonal(weights, 0)
    wanted = np.nan_to_num(square)
    inverse = np.linalg.pinv(np.diag(weights.sum(axis=0)) - weights)
    points = _scale_classically(square)
    loss = np.inf
    for _ in range(n_iterations):
        lengths = _measure_lengths(points)
        before, loss = loss, float((weights * (wanted - lengths) ** 2).sum())
        if before - loss <= tolerance * before and np.isfinite(before):
            break
        pull = -weights * np.divide(wanted, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        np.fill_diagonal(pull, -pull.sum(axis=1))
        points = inverse @ pull @ points
    lengths = _measure_lengths(points)
    misfit = (weights * (wanted - lengths) ** 2).sum() / (weights * lengths**2).sum()
    return points - points.mean(axis=0), float(np.sqrt(misfit))


def _measure_lengths(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=-1)
