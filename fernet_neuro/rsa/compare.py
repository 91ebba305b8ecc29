"""How alike RDMs are: every RDM of one set with every RDM of another.

What belongs here: the comparisons and what missing pairs do to them; partial comparisons are in `partition`,
inference is in the folder `inference`, comparisons of patterns themselves in `cka`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fernet_neuro._utils.validation import check_option
from fernet_neuro.rsa.pairs import add_to_pairs, count_stimuli, sum_by_stimulus, vectors_to_squares
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli

#: Fewer shared pairs than three always correlate perfectly, or not at all.
FEWEST_PAIRS = 3
#: A vector of which centring leaves no more than this share anywhere is constant but for round-off.
_CONSTANT = 1e-12


@dataclass(frozen=True)
class InnerProduct:
    """A comparison that is the cosine of two vectors in some space.

    Parameters
    ----------
    prepare : callable
        Vectors (n_rdms, n_present) to vectors of that space, of the same shape.
    is_whitened : bool, default=False
        Whether the space's inner product is that of the inverse of the RDM entries' covariance.
    """

    prepare: Callable[[np.ndarray], np.ndarray]
    is_whitened: bool = False

    def multiply(self, first: np.ndarray, second: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Return the inner products (n_first, n_second) of prepared vectors over the `present` pairs."""
        return first @ (whiten(second, present) if self.is_whitened else second).T

    def measure(self, vectors: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Return the lengths (n_rdms,) of prepared vectors."""
        other = whiten(vectors, present) if self.is_whitened else vectors
        return np.sqrt(np.einsum("ij,ij->i", vectors, other))

    def compare(self, first: np.ndarray, second: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Return the cosines (n_first, n_second) of vectors (n_first, n_present) and (n_second, n_present).

        NaN where a vector has no direction in this space.
        """
        left, right = self.prepare(first), self.prepare(second)
        lengths = [
            np.where(ready.any(axis=1), self.measure(ready, present), np.nan) for ready in (left, right)
        ]
        return np.clip(self.multiply(left, right, present) / lengths[0][:, None] / lengths[1], -1, 1)


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """How alike the RDMs of two sets are.

    Parameters
    ----------
    values : ndarray of shape (n_first, n_second)
        Unitless.
    n_pairs : ndarray of int of shape (n_first, n_second)
        How many pairs of stimuli both RDMs have; others were left out.
    comparison : str
    first_table, second_table : DataFrame
        What the rows and the columns of `values` are of.
    """

    values: np.ndarray
    n_pairs: np.ndarray
    comparison: str
    first_table: pd.DataFrame
    second_table: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return one row per pair of RDMs: the columns of both tables, comparison, value and n_pairs.

        A column that both tables have is named with ``_2`` for the second.
        """
        n_first, n_second = self.values.shape
        left = self.first_table.iloc[np.repeat(np.arange(n_first), n_second)].reset_index(drop=True)
        right = self.second_table.iloc[np.tile(np.arange(n_second), n_first)].reset_index(drop=True)
        right = right.rename(columns={name: f"{name}_2" for name in right if name in left})
        return pd.concat([left, right], axis=1).assign(
            comparison=self.comparison, value=self.values.ravel(), n_pairs=self.n_pairs.ravel()
        )


def compare_rdms(first: RDMSet, second: RDMSet, comparison: str = "rho_a") -> ComparisonResult:
    """Compare every RDM of one set with every RDM of another.

    Where an RDM lacks a pair of stimuli, both are compared over the pairs that both have; ranks, means and
    covariances are those of these pairs.

    Parameters
    ----------
    first, second : RDMSet
        Of the same stimuli in the same order.
    comparison : str, default="rho_a"
        A name in `COMPARISONS`: ``pearson``, ``spearman``, ``cosine``; ``rho_a``, Spearman's correlation
        averaged over random orders of ties, and ``kendall_tau_a``, neither of which favours models with ties
        [1]_; ``whitened_pearson`` and ``whitened_cosine``, which take into account that entries that share a
        stimulus vary together [2]_.

    Raises
    ------
    AlignmentError
        If the sets are of different stimuli or of another order; the message names the first that differ.
    ValueError
        If the comparison is not known, two RDMs share fewer than three pairs, or an RDM is constant and the
        comparison therefore not defined.

    References
    ----------
    .. [1] Schuett et al. (2023), Statistical inference on representational geometries, eLife 12.
    .. [2] Diedrichsen et al. (2021), Comparing representational geometries using whitened unbiased-distance-
       matrix similarity, Neurons, Behavior, Data analysis, and Theory 5(3), equations 8-15.

    Examples
    --------
    >>> rdms = RDMSet(np.array([[1.0, 2, 3], [1, 3, 2]]), np.array(["a", "b", "c"]))
    >>> compare_rdms(rdms, rdms, "spearman").values.round(3)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    compare = COMPARISONS[check_option("comparison", comparison, COMPARISONS)]
    check_same_stimuli(first, second)
    values = np.full((first.n_rdms, second.n_rdms), np.nan)
    n_pairs = np.zeros(values.shape, dtype=int)
    for rows, columns, present in iterate_present(first.dissimilarities, second.dissimilarities):
        where = np.ix_(rows, columns)
        n_pairs[where] = present.sum()
        if present.sum() < FEWEST_PAIRS:
            raise ValueError(
                f"{first.names[rows[0]]!r} and {second.names[columns[0]]!r} share {int(present.sum())} pairs "
                f"of stimuli; a comparison needs {FEWEST_PAIRS} or more, so three stimuli at least."
            )
        values[where] = compare(
            first.dissimilarities[rows][:, present], second.dissimilarities[columns][:, present], present
        )
    _check_defined(values, first, second, comparison)
    return ComparisonResult(values, n_pairs, comparison, first.table, second.table)


def find_attainable(vectors: np.ndarray, comparison: str) -> np.ndarray:
    """Return the largest comparison of each RDM with any RDM without ties, shape (n_rdms,).

    Ranks that average over ties cannot order what a model leaves tied: of a model with two values, rho-a is
    3 p (1 - p) at best, p the share of pairs with one of them. Noise ceilings are of brains with brains, and
    do not know this. Other comparisons reach 1.

    Parameters
    ----------
    vectors : ndarray of shape (n_rdms, n_pairs)
        Missing pairs are NaN.
    comparison : str
        A name in `COMPARISONS`.

    Examples
    --------
    >>> find_attainable(np.array([[0.0, 1, 1, 0, 0, 1], [1, 2, 3, 4, 5, 6]]), "rho_a").round(3)
    array([0.771, 1.   ])
    """
    if comparison not in LIMITED_BY_TIES:
        return np.ones(len(vectors))
    present = [vector[~np.isnan(vector)] for vector in vectors]
    if comparison == "kendall_tau_a":
        return np.array([_count_untied(vector) / (len(vector) * (len(vector) - 1) / 2) for vector in present])
    # The best order of ties adds nothing: inside each, its ranks sum to what the tied ranks sum to.
    return np.array([compare_rho_a(vector[None], vector[None], vector)[0, 0] for vector in present])


def default_comparison(brain: RDMSet) -> str:
    """Return ``whitened_pearson`` for crossnobis distances, whose covariance it knows; else ``rho_a``."""
    return "whitened_pearson" if brain.distance == "crossnobis" else "rho_a"


def iterate_present(
    first: np.ndarray, second: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows of `first`, rows of `second`, and the mask (n_pairs,) of the pairs that all of them have.

    RDMs that lack the same pairs come together, so that without gaps there is one step.
    """
    for rows, one in _group_by_gaps(first):
        for columns, other in _group_by_gaps(second):
            yield rows, columns, one & other


def whiten(vectors: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return vectors (n_rdms, n_present) times the inverse covariance of RDM entries, up to a factor.

    With independent noise of equal variance two entries have covariance 4, 1 or 0, as they share two, one or
    no stimuli: V = 2 I + B B', B the incidence matrix of present pairs and stimuli. By Woodbury's identity
    V^-1 x = (x - B (2 I + B'B)^-1 B'x) / 2, a system as large as there are stimuli instead of pairs.
    Differs from [1]: their closed form needs all pairs; this one does not.

    Parameters
    ----------
    vectors : ndarray of shape (n_rdms, n_present)
    present : ndarray of bool of shape (n_pairs,)

    References
    ----------
    .. [1] Diedrichsen et al. (2021), Comparing representational geometries using whitened unbiased-distance-
       matrix similarity, Neurons, Behavior, Data analysis, and Theory 5(3), equation 15.
    """
    n_stimuli = count_stimuli(len(present)) or 0
    full = np.zeros((len(vectors), len(present)))
    full[:, present] = vectors
    system = vectors_to_squares(present[None].astype(float), n_stimuli)[0]  # B'B but for its diagonal
    np.fill_diagonal(system, 2 + system.sum(axis=1))
    solved = np.linalg.solve(system, sum_by_stimulus(full, n_stimuli).T).T
    add_to_pairs(full, -solved)
    return full[:, present] / 2


def _group_by_gaps(vectors: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (rows, mask of present pairs) for each set of rows that lack the same pairs."""
    groups: dict[bytes, tuple[list[int], np.ndarray]] = {}
    for row, vector in enumerate(vectors):
        present = ~np.isnan(vector)
        groups.setdefault(present.tobytes(), ([], present))[0].append(row)
    return [(np.array(rows), present) for rows, present in groups.values()]


def _check_defined(values: np.ndarray, first: RDMSet, second: RDMSet, comparison: str) -> None:
    undefined = np.isnan(values)
    if not undefined.any():
        return
    for rdms, where in ((first, undefined.all(axis=1)), (second, undefined.all(axis=0))):
        if where.any():
            name = rdms.names[int(np.flatnonzero(where)[0])]
            break
    else:
        row, column = np.argwhere(undefined)[0]
        name = f"{first.names[row]} (or {second.names[column]}), over the pairs that both have"
    what = "zero" if "cosine" in comparison else "the same"
    raise ValueError(
        f"all dissimilarities of RDM {name!r} are {what}, so {comparison} is not defined; leave it out, or "
        f"compare by rho_a, which is 0 for it."
    )


def _centre(vectors: np.ndarray) -> np.ndarray:
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    constant = np.abs(centred).max(axis=1) <= _CONSTANT * np.abs(vectors).max(axis=1)
    centred[constant] = 0
    return centred


def sort_ties(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return orders, starts and ties of vectors, each of their shape (n_vectors, n_values).

    `orders`: places in ascending order; `starts`: which of these are above the one before; `ties`: number of
    the group of equal values that each value is in, from 0 for the lowest.

    Examples
    --------
    >>> sort_ties(np.array([[0.3, 0.1, 0.3]]))[2].tolist()
    [[1, 0, 1]]
    """
    orders = np.argsort(vectors, axis=1)
    ordered = np.take_along_axis(vectors, orders, axis=1)
    starts = np.ones(vectors.shape, dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ties = np.empty(vectors.shape, dtype=np.int32)
    np.put_along_axis(ties, orders, (np.cumsum(starts, axis=1) - 1).astype(np.int32), axis=1)
    return orders, starts, ties


def _rank(vectors: np.ndarray) -> np.ndarray:
    """Return ranks less their mean, of ties the mean of theirs; as scipy's rankdata in half its time."""
    n = vectors.shape[1]
    orders, starts, _ = sort_ties(vectors)
    places = np.flatnonzero(starts)
    sizes = np.diff(places, append=vectors.size)
    means = np.repeat(places % n + (sizes - n) / 2, sizes).reshape(vectors.shape)
    ranks = np.empty(vectors.shape)
    np.put_along_axis(ranks, orders, means, axis=1)
    return ranks


def _keep(vectors: np.ndarray) -> np.ndarray:
    return vectors


def compare_rho_a(
    first: np.ndarray, second: np.ndarray, _present: np.ndarray, rank: Callable[..., np.ndarray] = _rank
) -> np.ndarray:
    """Return Spearman's correlation averaged over random orders of ties, by any way to rank rows."""
    n = first.shape[1]
    return 12 * (rank(first) @ rank(second).T) / (n**3 - n)


def _compare_tau_a(first: np.ndarray, second: np.ndarray, _present: np.ndarray) -> np.ndarray:
    untied = [np.array([_count_untied(vector) for vector in vectors]) for vectors in (first, second)]
    found = np.array([[_tau_b(one, other) for other in second] for one in first])
    total = first.shape[1] * (first.shape[1] - 1) / 2
    # tau-b is (concordant - discordant) over the root of both numbers of untied pairs; tau-a over all pairs.
    return found * np.sqrt(np.outer(*untied)) / total


def _tau_b(first: np.ndarray, second: np.ndarray) -> float:
    from scipy import stats  # loads slowly

    if (first == first[0]).all() or (second == second[0]).all():
        return 0.0
    return float(stats.kendalltau(first, second, method="asymptotic").statistic)


def _count_untied(vector: np.ndarray) -> float:
    counts = np.unique(vector, return_counts=True)[1]
    return len(vector) * (len(vector) - 1) / 2 - float((counts * (counts - 1) / 2).sum())


#: Comparisons that no model with ties can bring to 1.
LIMITED_BY_TIES = ("rho_a", "kendall_tau_a")
#: Comparisons that are cosines in some space, by name.
INNER_PRODUCTS: dict[str, InnerProduct] = {
    "pearson": InnerProduct(_centre),
    "spearman": InnerProduct(_rank),
    "cosine": InnerProduct(_keep),
    "whitened_pearson": InnerProduct(_centre, is_whitened=True),
    "whitened_cosine": InnerProduct(_keep, is_whitened=True),
}
#: All comparisons by name: of vectors (n_first, n_present), (n_second, n_present) and the mask of present
#: pairs, shape (n_pairs,).
COMPARISONS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    **{name: product.compare for name, product in INNER_PRODUCTS.items()},
    "rho_a": compare_rho_a,
    "kendall_tau_a": _compare_tau_a,
}
