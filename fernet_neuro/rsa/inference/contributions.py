"""What each pair of stimuli contributes to a comparison: its derivative by the weight of that pair.

What belongs here: contributions to comparisons with models and to the lower noise ceiling; what of them
varies with whole stimuli, and what with single pairs, is told apart in `components`.
"""

from dataclasses import dataclass

import numpy as np

from fernet_neuro.rsa.compare import INNER_PRODUCTS, sort_ties, whiten
from fernet_neuro.rsa.weighted import divide

#: Comparisons of ranks whose contributions have a closed form.
_RANKS = ("spearman", "rho_a")
#: Numbers that one step takes: few enough to stay in a processor's cache.
_AT_ONCE = 2**16


@dataclass(frozen=True, eq=False)
class Vectors:
    """RDMs in the space of a comparison, over the pairs that all of them have.

    All have the shape (n_rdms, n_present). `units`: vectors of length 1. `duals`: what products with `units`
    are comparisons, the units themselves unless comparisons are whitened. `loads`: what products of single
    pairs are their contributions. `squares`: contributions to the squared length of each. `ties`: of
    ranks, the number of the group of ties of each pair. `steps` (n_rdms,): how much of a unit one rank is.
    """

    units: np.ndarray
    duals: np.ndarray
    loads: np.ndarray
    squares: np.ndarray
    ties: np.ndarray | None = None
    steps: np.ndarray | None = None

    @classmethod
    def prepare(cls, vectors: np.ndarray, present: np.ndarray, comparison: str) -> "Vectors":
        """Return RDMs (n_rdms, n_present) in the space of `comparison`; those that are constant are 0."""
        product = INNER_PRODUCTS["spearman" if comparison == "rho_a" else comparison]
        ready = product.prepare(vectors)
        lengths = product.measure(ready, present)
        if comparison == "rho_a":
            n = vectors.shape[1]
            lengths = np.full(len(vectors), np.sqrt((n**3 - n) / 12))
        steps = divide(1.0, lengths)
        units = ready * steps[:, None]
        if product.is_whitened:
            # Of pairs that weigh w the covariance is 2 / w + B B'; its inverse changes by 2 (V^-1 x)^2.
            duals = whiten(units, present)
            return cls(units, duals, np.sqrt(2) * duals, 2 * duals**2)
        if comparison not in _RANKS:
            return cls(units, units, units, units**2)
        ties = sort_ties(vectors)[2]
        return cls(units, units, units, _square_ranks(units, ties, steps, comparison), ties, steps)

    @property
    def ranked(self) -> tuple[np.ndarray | None, ...]:
        """What `rank_kernels` take."""
        return self.units, self.ties, self.steps


def _square_ranks(units: np.ndarray, ties: np.ndarray, steps: np.ndarray, comparison: str) -> np.ndarray:
    """Return contributions to squared lengths of ranks."""
    if comparison == "rho_a":  # its length depends on the number of pairs alone
        return np.full(units.shape, 3 / units.shape[1])
    from fernet_neuro.rsa.inference.rank_kernels import add_own_lifts  # numba loads slowly

    squares = units**2
    add_own_lifts((units, ties, steps), squares)
    return squares


def contribute(first: Vectors, second: Vectors, rows: np.ndarray) -> np.ndarray:
    """Return what pairs contribute to the comparisons of RDMs of `first` with all of `second`.

    With weights w of the pairs, a comparison is a ratio of weighted sums (of ranks, which depend on w as
    well); this is its derivative by w where all weights are 1. Shape (n_rows, n_second, n_present).
    """
    values = first.units[rows] @ second.duals.T
    found = first.loads[rows][:, None] * second.loads
    if first.ties is not None:
        from fernet_neuro.rsa.inference.rank_kernels import add_lifts  # numba loads slowly

        add_lifts(np.asarray(rows), first.ranked, second.ranked, found)
    found -= values[:, :, None] / 2 * (first.squares[rows][:, None] + second.squares)
    return found


def contribute_to_ceiling(vectors: Vectors) -> np.ndarray:
    """Return what pairs contribute to subjects' parts in the lower noise ceiling, (n_subjects, n_present).

    The part of a subject is its pseudo-value, S times the ceiling less S - 1 times that without the subject
    (`part_ceiling`), and so are its contributions. Ranks, once pooled, are not ranked again here.
    """
    n = len(vectors.units)
    grams = vectors.units @ vectors.duals.T
    drawn = np.vstack([np.ones(n), 1 - np.eye(n)])
    pooled = drawn @ vectors.loads
    ones, squares, whole = _differentiate_ceiling(grams, drawn)
    found = pooled * (ones @ vectors.loads) + squares @ vectors.loads**2 + whole[:, None] * pooled**2
    return n * found[0] - (n - 1) * found[1:]


def part_ceiling(grams: np.ndarray) -> np.ndarray:
    """Return each subject's part in the lower noise ceiling: pseudo-values of the jackknife over subjects.

    `grams` (..., n_subjects, n_subjects): comparisons between subjects. Returns (..., n_subjects), the mean
    of which is the ceiling but for terms of the order of 1 / n_subjects^2.
    """
    n = grams.shape[-1]
    without = 1 - np.eye(n)
    flat = grams.reshape(-1, n, n)
    parts = np.empty(flat.shape[:-1])
    step = max(1, _AT_ONCE // n**2)
    for start in range(0, len(flat), step):
        rows = slice(start, start + step)
        whole = _compare_others(flat[rows], np.ones((1, n)))[1].mean(axis=-1)
        others = (_compare_others(flat[rows], without)[1] * without).sum(axis=-1) / (n - 1)
        parts[rows] = n * whole - (n - 1) * others
    return parts.reshape(grams.shape[:-1])


def _compare_others(grams: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of the sum of the others drawn, and its comparison with each subject.

    `grams` (..., n_subjects, n_subjects); `drawn` (n_draws, n_subjects): 0 or 1. Both (..., n_draws,
    n_subjects).
    """
    own = np.einsum("...ii->...i", grams)[..., None, :]
    with_all = drawn @ grams
    square = (with_all * drawn).sum(axis=-1, keepdims=True)
    with_others = with_all - drawn * own
    lengths = np.sqrt(np.maximum(square - 2 * drawn * with_all + drawn * own, 0))
    return lengths, divide(with_others, lengths * np.sqrt(own))


def _differentiate_ceiling(grams: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return by how much the ceiling of each draw changes with products of loads.

    With the sum of loads p of a draw, and loads u of its subjects, contributions are
    p sum(ones u) + sum(squares u^2) + whole p^2: weights (n_draws, n_subjects) twice, and (n_draws,).
    """
    lengths, ceilings = _compare_others(grams, drawn)
    share = drawn / drawn.sum(axis=1, keepdims=True)
    inverse = divide(1.0, lengths)
    near, far = share * inverse, share * ceilings * inverse**2
    # Every RDM is brought to length 1 before it is pooled: a pair that makes it longer makes it count less.
    with_all = drawn @ grams
    others = 1 - np.eye(len(grams))
    pull = (near + far) @ (grams * others) - far.sum(axis=1, keepdims=True) * with_all + far * with_all
    squares = -near - share * ceilings / 2 - far / 2 - drawn * pull / 2
    return near + far, squares, -far.sum(axis=1) / 2
