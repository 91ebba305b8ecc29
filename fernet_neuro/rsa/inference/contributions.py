"""What each pair of stimuli contributes to a comparison: its derivative by the weight of that pair.

What belongs here: contributions to comparisons with models and to the lower noise ceiling; what of them
varies with whole stimuli, and what with single pairs, is told apart in `components`.
"""

from dataclasses import dataclass

import numpy as np

from fernet_neuro.rsa.compare import INNER_PRODUCTS, whiten
from fernet_neuro.rsa.weighted import divide

#: Comparisons of ranks whose contributions have a closed form.
_RANKS = ("spearman", "rho_a")


@dataclass(frozen=True, eq=False)
class Vectors:
    """RDMs in the space of a comparison, over the pairs that all of them have.

    All have the shape (n_rdms, n_present). `units`: vectors of length 1. `duals`: what products with `units`
    are comparisons, the units themselves unless comparisons are whitened. `loads`: what products of single
    pairs are their contributions. `squares`: contributions to the squared length of each. `orders`, `ties`:
    of ranks, the pairs in ascending order and the number of the group of ties that each of these is in.
    `steps` (n_rdms,): how much of a unit one rank is.
    """

    units: np.ndarray
    duals: np.ndarray
    loads: np.ndarray
    squares: np.ndarray
    orders: np.ndarray | None = None
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
        orders = np.argsort(vectors, axis=1, kind="stable")
        ordered = np.take_along_axis(vectors, orders, axis=1)
        ties = np.zeros(orders.shape, dtype=np.int64)
        ties[:, 1:] = np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1)
        found = cls(units, units, units, units**2, orders, ties, steps)
        return found._settle_ranks(comparison)

    def _settle_ranks(self, comparison: str) -> "Vectors":
        if comparison == "rho_a":  # its length depends on the number of pairs alone
            squares = np.full(self.units.shape, 3 / self.units.shape[1])
        else:
            squares = self.squares.copy()
            for row, unit in enumerate(self.units):
                self.lift(row, unit, squares[row], 2.0)
        return Vectors(self.units, self.duals, self.loads, squares, self.orders, self.ties, self.steps)

    def lift(self, row: int, values: np.ndarray, out: np.ndarray, times: float = 1.0) -> None:
        """Add to `out` (n_present,) what each pair adds to the sum of `values` times ranks by counting more.

        It lifts the ranks of all pairs above it by as much, and those of its ties by half.
        """
        from fernet_neuro.rsa.inference.rank_kernels import add_lifts  # numba loads slowly

        assert self.orders is not None
        assert self.ties is not None
        assert self.steps is not None
        add_lifts(self.orders[row], self.ties[row], values, times * self.steps[row], out)


def contribute(first: Vectors, second: Vectors, row: int) -> np.ndarray:
    """Return what pairs contribute to the comparisons of one RDM of `first` with all of `second`.

    With weights w of the pairs, a comparison is a ratio of weighted sums (of ranks, which depend on w as
    well); this is its derivative by w where all weights are 1. Shape (n_second, n_present).
    """
    values = second.duals @ first.units[row]
    found = second.loads * first.loads[row]
    if first.orders is not None:
        for other in range(len(found)):
            first.lift(row, second.units[other], found[other])
            second.lift(other, first.units[row], found[other])
    found -= values[:, None] / 2 * (first.squares[row] + second.squares)
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
    whole = _compare_others(grams, np.ones((1, n)))[1].mean(axis=-1)
    drawn = 1 - np.eye(n)
    without = (_compare_others(grams, drawn)[1] * drawn).sum(axis=-1) / (n - 1)
    return n * whole - (n - 1) * without


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
