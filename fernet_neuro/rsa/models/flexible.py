"""Models of an RDM with and without parameters: fixed, selected, weighted and interpolated.

What belongs here: what a model is and how its parameters are fitted to data; scores on data that the fit has
not seen are in `inference.fitted`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from fernet_neuro._utils.validation import check_option
from fernet_neuro.rsa.compare import COMPARISONS, FEWEST_PAIRS
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli
from fernet_neuro.rsa.weighted import RANK_COMPARISONS, compute_grams, divide

#: Directions of less than this share of the largest are none: RDMs that are sums of one another.
_FLAT = 1e-12


@dataclass(frozen=True, eq=False)
class FlexibleModel:
    """A model of an RDM that is made of one or several RDMs.

    Parameters
    ----------
    rdms : RDMSet
        One RDM for ``fixed``; one or more for ``selected`` and ``weighted``; two or more, in an order in
        which neighbours are alike, for ``interpolated``.
    kind : str, default="fixed"
        A name in `MODEL_KINDS`. ``fixed``: the RDM itself. ``selected``: the best of them. ``weighted``:
        their sum with non-negative weights (feature-reweighted RSA [1]_). ``interpolated``: between two
        neighbours, w times the one and 1 - w times the next [2]_.

    Raises
    ------
    ValueError
        If the kind is not known or asks for another number of RDMs.

    References
    ----------
    .. [1] Khaligh-Razavi & Kriegeskorte (2014), Deep supervised, but not unsupervised, models may explain IT
       cortical representation, PLoS Computational Biology 10(11).
    .. [2] Schuett et al. (2023), Statistical inference on representational geometries, eLife 12.

    Examples
    --------
    >>> rdms = RDMSet(np.array([[1.0, 2, 4], [0, 1, 0]]), np.array(["a", "b", "c"]))
    >>> FlexibleModel(rdms, "weighted").n_rdms
    2
    """

    rdms: RDMSet
    kind: str = "fixed"

    def __post_init__(self) -> None:
        check_option("kind", self.kind, MODEL_KINDS)
        fewest, most = _NUMBERS[self.kind]
        if not fewest <= self.n_rdms <= (self.n_rdms if most is None else most):
            wanted = f"{fewest} RDM" if most == fewest else f"{fewest} or more RDMs"
            raise ValueError(f"a model of kind {self.kind!r} takes {wanted}; got {self.n_rdms}.")

    @property
    def n_rdms(self) -> int:
        """Number of RDMs that the model is made of."""
        return self.rdms.n_rdms

    def predict(self, weights: np.ndarray) -> np.ndarray:
        """Return the predicted dissimilarities (n_pairs,) of `weights` (n_rdms,)."""
        values = np.asarray(weights, dtype=float)
        if values.shape != (self.n_rdms,):
            raise ValueError(f"weights must have shape ({self.n_rdms},), one per RDM; got {values.shape}.")
        return values @ self.rdms.dissimilarities


def fit_model(model: FlexibleModel, data: RDMSet, comparison: str = "pearson") -> np.ndarray:
    """Return the weights with which a model is most like data, over all stimuli.

    The mean comparison with the RDMs of `data` is largest at the result: among the candidates of a selected
    model, in the cone of a weighted one, on the polygon of an interpolated one. A sum of RDMs is fitted by
    non-negative least squares to the mean of the data's vectors of length 1, in the space of the comparison
    (centred, whitened); where no such sum goes along with the data, the best RDM alone is taken. Ranks of
    sums have no such solution: for ``spearman``, ``rho_a`` and ``kendall_tau_a`` weighted and interpolated
    models are fitted with ``pearson``. A model is always selected by the comparison itself.

    Parameters
    ----------
    model : FlexibleModel
    data : RDMSet
        Of the same stimuli in the same order. Pairs that any RDM lacks are left out.
    comparison : str, default="pearson"
        A name in ``compare.COMPARISONS``.

    Returns
    -------
    ndarray of shape (n_rdms,)
        Unitless, not negative. Weights of a ``weighted`` model have length 1; the others sum to 1.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        If the comparison is not known or too few pairs are shared.

    Examples
    --------
    >>> ids = np.array(["a", "b", "c", "d"])
    >>> parts = RDMSet(np.array([[1.0, 0, 0, 1, 2, 0], [0, 1, 0, 0, 1, 3]]), ids)
    >>> data = RDMSet(np.array([[3.0, 4, 0, 3, 10, 12]]), ids)
    >>> fit_model(FlexibleModel(parts, "weighted"), data, "cosine").round(3)
    array([0.6, 0.8])
    """
    check_option("comparison", comparison, COMPARISONS)
    check_same_stimuli(model.rdms, data, ("the model", "the data"))
    vectors = np.vstack([model.rdms.dissimilarities, data.dissimilarities])
    present = find_present(vectors)
    ones = np.ones((1, data.n_stimuli))
    gram = compute_grams(vectors, ones, present, comparison)
    n = model.n_rdms
    squares = np.einsum("bii->bi", gram)
    shares = 1 / data.n_rdms * divide(1.0, np.sqrt(squares[:, n:]))  # of the data's vectors of length 1
    cross = (gram[:, :n, n:] @ shares[..., None])[..., 0]
    scores = divide(cross, np.sqrt(squares[:, :n]))
    if model.kind == "selected" and comparison in RANK_COMPARISONS:
        shared = vectors[:, present]
        scores = COMPARISONS[comparison](shared[:n], shared[n:], present).mean(axis=1)[None]
    return MODEL_KINDS[model.kind](gram[:, :n, :n], cross, scores)[0]


def find_present(vectors: np.ndarray) -> np.ndarray:
    """Return the mask (n_pairs,) of the pairs that all RDMs have."""
    present = ~np.isnan(vectors).any(axis=0)
    if present.sum() < FEWEST_PAIRS:
        raise ValueError(
            f"the RDMs share {int(present.sum())} pairs of stimuli; a comparison needs {FEWEST_PAIRS}, so "
            f"three stimuli at least."
        )
    return present


def _fit_fixed(gram: np.ndarray, _cross: np.ndarray, _scores: np.ndarray) -> np.ndarray:
    return np.ones(gram.shape[:2])


def _fit_selected(_gram: np.ndarray, _cross: np.ndarray, scores: np.ndarray) -> np.ndarray:
    weights = np.zeros(scores.shape)
    weights[np.arange(len(scores)), scores.argmax(axis=1)] = 1
    return weights


def _fit_weighted(gram: np.ndarray, cross: np.ndarray, scores: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("bii->bi", gram))
    shares = divide(1.0, lengths)
    # Least squares depend on the RDMs through their inner products alone: a root of these, of as many rows
    # as there are RDMs, stands for vectors of as many as there are pairs.
    values, axes = np.linalg.eigh(gram * shares[:, :, None] * shares[:, None, :])
    values = np.where(values > _FLAT * values[:, -1:], values, 0.0)
    roots = np.sqrt(values)
    matrices = roots[:, :, None] * axes.transpose(0, 2, 1)
    targets = divide((axes.transpose(0, 2, 1) @ (cross * shares)[:, :, None])[:, :, 0], roots)
    weights = np.stack([nnls(*item)[0] for item in zip(matrices, targets, strict=True)]) * shares
    # A cone that lies behind the data altogether is nearest to it at one of its edges.
    lost = ~weights.any(axis=1)
    weights[lost] = _fit_selected(gram, cross, scores)[lost]
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def _fit_interpolated(gram: np.ndarray, cross: np.ndarray, _scores: np.ndarray) -> np.ndarray:
    one, other = np.arange(gram.shape[1] - 1), np.arange(1, gram.shape[1])
    squares = np.einsum("bii->bi", gram)
    across = gram[:, one, other]
    # The sum of two RDMs that is most like the data, by Cramer's rule; its determinant only scales it.
    shares = np.stack(
        [
            squares[:, other] * cross[:, one] - across * cross[:, other],
            squares[:, one] * cross[:, other] - across * cross[:, one],
        ],
        axis=-1,
    )
    shares /= np.maximum(np.abs(shares).sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    is_inside = np.all(shares > 0, axis=-1, keepdims=True)
    alone = divide(cross, np.sqrt(squares))
    first = np.asarray(alone[:, one] >= alone[:, other], dtype=float)
    shares = np.where(is_inside, shares, np.stack([first, 1 - first], axis=-1))
    along = shares[..., 0] * cross[:, one] + shares[..., 1] * cross[:, other]
    lengths = (
        shares[..., 0] ** 2 * squares[:, one]
        + shares[..., 1] ** 2 * squares[:, other]
        + 2 * shares[..., 0] * shares[..., 1] * across
    )
    best = divide(along, np.sqrt(np.maximum(lengths, 0))).argmax(axis=1)
    weights = np.zeros(cross.shape)
    rows = np.arange(len(cross))
    weights[rows, best] = shares[rows, best, 0]
    weights[rows, best + 1] = shares[rows, best, 1]
    return weights


#: How the weights (n_samples, n_rdms) of a kind of model are fitted, by name: from the inner products
#: (n_samples, n_rdms, n_rdms) of its RDMs, those with the data (n_samples, n_rdms), and the comparisons of
#: each RDM with the data (n_samples, n_rdms).
MODEL_KINDS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "fixed": _fit_fixed,
    "selected": _fit_selected,
    "weighted": _fit_weighted,
    "interpolated": _fit_interpolated,
}
#: The least and the largest number of RDMs of a kind; None where there is no limit.
_NUMBERS: dict[str, tuple[int, int | None]] = {
    "fixed": (1, 1),
    "selected": (1, None),
    "weighted": (1, None),
    "interpolated": (2, None),
}
