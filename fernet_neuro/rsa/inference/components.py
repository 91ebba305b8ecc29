"""Variance components of an RSA estimate in closed form: subjects, stimuli, and the interaction of both.

What belongs here: what a delete-one jackknife and the contributions of single pairs say of each component;
tests are in `contrasts`, and the bootstrap that says the same by drawing samples in `bootstrap`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fernet_neuro.rsa.compare import iterate_present
from fernet_neuro.rsa.inference.bootstrap import compare_samples
from fernet_neuro.rsa.inference.contributions import (
    Vectors,
    contribute,
    contribute_to_ceiling,
    part_ceiling,
)
from fernet_neuro.rsa.inference.random_effects import (
    Effects,
    combine_shares,
    count_fewest_dof,
    covary_contrasts,
)
from fernet_neuro.rsa.inference.resample import Compared
from fernet_neuro.rsa.weighted import divide

_SUBJECTS, _STIMULI = frozenset(["subjects"]), frozenset(["stimuli"])
_BOTH = _SUBJECTS | _STIMULI
#: Degrees of freedom below which a t distribution has no variance.
_LEAST_DOF = 2.0
#: Numbers that one step holds in memory.
_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class Components:
    """How values vary with random effects: a `Variation` in closed form.

    Matrices are (n_models + 2, n_models + 2), the two noise ceilings last; of the upper one nothing is known,
    and it is 0. `shares`: for every set of random effects, what varies with all of them, whatever else it
    varies with: that of subjects holds the interaction with stimuli, and so does that of stimuli. `pairs`:
    what of the share of stimuli varies with single pairs of them. `sizes`: number of units of each effect.
    `steps` (n_units, n_models + 2): what the jackknife over stimuli squares; empty where they are fixed.
    """

    shares: Mapping[Effects, np.ndarray]
    pairs: np.ndarray
    sizes: Mapping[str, int]
    steps: np.ndarray

    @property
    def joint(self) -> np.ndarray:
        """The covariance by all effects at once, each component counted once."""
        return combine_shares(self.shares, self.sizes)

    def compute_errors(self, contrasts: np.ndarray) -> np.ndarray:
        """Return the standard errors (n_contrasts,) of contrasts (n_contrasts, n_values).

        No variance is smaller than that by subjects or seeds alone, nor than that by pairs of stimuli.
        """
        shares = {effects: covary_contrasts(matrix, contrasts) for effects, matrix in self.shares.items()}
        least = [shares[frozenset([name])] for name in self.sizes if name != "stimuli"]
        least.append(covary_contrasts(self.pairs, contrasts))
        return np.sqrt(np.max([combine_shares(shares, self.sizes), *least], axis=0))

    def compute_dof(self, contrasts: np.ndarray) -> np.ndarray:
        """Return the degrees of freedom (n_contrasts,) of these standard errors, by Satterthwaite [1]_.

        The variance by each effect has one less than the effect has units; that by stimuli has those that
        the kurtosis of what its jackknife squares leaves. Two at least (one of two units), as parts that are
        taken off can leave so few that an interval has no end. Where nothing varies, as many as the effect
        with fewest.

        References
        ----------
        .. [1] Satterthwaite (1946), An approximate distribution of estimates of variance components,
           Biometrics Bulletin 2.
        """
        total = self.compute_errors(contrasts) ** 2
        parts: list[tuple[np.ndarray, np.ndarray | int]] = [
            (covary_contrasts(self.pairs, contrasts), self._count_pairs())
        ]
        for name, size in self.sizes.items():
            dof = _count_dof(self.steps @ contrasts.T) if name == "stimuli" else size - 1
            parts.append((np.maximum(covary_contrasts(self.shares[frozenset([name])], contrasts), 0), dof))
        uncertain = sum(divide(part, total) ** 2 / dof for part, dof in parts)
        fewest = float(count_fewest_dof(self.sizes))
        found = np.divide(1.0, uncertain, out=np.full(len(contrasts), fewest), where=total > 0)
        return np.maximum(found, min(fewest, _LEAST_DOF))

    def _count_pairs(self) -> int:
        """Return the degrees of freedom of what varies with single pairs of stimuli."""
        n = len(self.steps)
        return max(n * (n - 3) // 2, 1)


def estimate_components(
    subjects: np.ndarray,
    models: np.ndarray,
    codes: np.ndarray,
    comparison: str,
    sizes: Mapping[str, int],
    *,
    n_jobs: int = 1,
) -> Components:
    """Return the variance components of mean comparisons over subjects and of the lower noise ceiling.

    `subjects` (n_subjects, n_pairs) and `models` (n_models, n_pairs) are NaN where a pair is missing. `codes`
    (n_stimuli,): the block of each stimulus, from 0. `sizes`: the random effects and their numbers of units.

    Values without each unit of stimuli in turn (a jackknife) count what varies with a stimulus once, and what
    varies with single pairs twice; the latter is taken off, as the contributions of pairs tell it. The same
    of the subjects' deviations from their mean is the interaction.
    """
    n = len(subjects)
    few = n * max(n - 1, 1)
    whole, without = _leave_out(subjects, models, codes, comparison, n_jobs)
    centred = whole - whole.mean(axis=0)
    shares, pairs = {_SUBJECTS: centred.T @ centred / few}, np.zeros((whole.shape[1],) * 2)
    mean = np.zeros((0, whole.shape[1]))
    if "stimuli" in sizes:
        steps = _measure_steps(whole, without, np.bincount(codes))
        mean = steps.mean(axis=1)
        apart = (steps - mean[:, None]).reshape(-1, steps.shape[-1])
        pairs, pairs_both = _measure_pairs(subjects, models, codes, comparison)
        n_units = len(without)
        twice = n_units / (n_units - 2)
        shares[_STIMULI] = mean.T @ mean - twice * pairs
        shares[_BOTH] = apart.T @ apart / few - twice * pairs_both
    wanted = {effects: matrix for effects, matrix in shares.items() if effects <= set(sizes)}
    return Components(
        {effects: _add_upper(matrix) for effects, matrix in wanted.items()},
        _add_upper(pairs),
        sizes,
        np.pad(mean, ((0, 0), (0, 1))),
    )


def estimate_memory(n_subjects: int, n_models: int, n_stimuli: int) -> int:
    """Return about how many bytes `estimate_components` holds at its peak, beside the RDMs themselves.

    Examples
    --------
    >>> estimate_memory(200, 60, 100) < 300e6
    True
    """
    n_pairs = n_stimuli * (n_stimuli - 1) // 2
    left_out = 3 * (n_stimuli + 1) * n_subjects * (n_subjects + n_models)
    vectors = 6 * (n_subjects + n_models) * n_pairs + 4 * n_subjects * n_pairs
    return 8 * (left_out + vectors + 6 * max(_AT_ONCE, (n_models + 1) * n_pairs))


def _count_dof(steps: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom of the sum of squares of each column of `steps` (n_units, n_values).

    The variance of a variance of n values with the excess kurtosis g is 2 / (n - 1) + g / n of its square;
    g is estimated without bias, and never gives more than n - 1.
    """
    n = len(steps)
    square = (steps**2).sum(axis=0)
    excess = n * divide((steps**4).sum(axis=0), square**2) - 3
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess + 6)
    return 2 / (2 / (n - 1) + np.maximum(excess, 0) / n)


def _add_upper(matrix: np.ndarray) -> np.ndarray:
    return np.pad(matrix, (0, 1))


def _leave_out(
    subjects: np.ndarray, models: np.ndarray, codes: np.ndarray, comparison: str, n_jobs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return comparisons, and parts in the lower ceiling last, of all stimuli and without each unit of them.

    Shapes (n_subjects, n_models + 1) and (n_units, n_subjects, n_models + 1).
    """
    n_units = int(codes.max()) + 1
    kept = np.vstack([np.ones(len(codes), dtype=int), codes != np.arange(n_units)[:, None]])
    none = np.empty((len(kept), 0, len(subjects)), dtype=int)
    blocks = None if n_units == len(codes) else codes
    asked = Compared(subjects, models, kept, none, comparison, blocks, n_jobs, among=True)
    scores = compare_samples(asked)[0]
    scores, grams = np.split(scores, [len(models)], axis=2)
    parts = part_ceiling(grams) if len(subjects) > 1 else np.zeros(scores.shape[:2])
    found = np.concatenate([scores, parts[..., None]], axis=2)
    return found[0], found[1:]


def _measure_steps(whole: np.ndarray, without: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return what the jackknife squares and sums over units, of `without` (n_units, ...).

    With units of different sizes it is that of [1]_.

    References
    ----------
    .. [1] Busing, Meijer & van der Leeden (1999), Delete-m jackknife for unequal m, Statistics and Computing
       9, equation 5.
    """
    times = (sizes.sum() / sizes).reshape(-1, *[1] * whole.ndim)
    mean = len(sizes) * whole - ((1 - 1 / times) * without).sum(axis=0)
    return (times * whole - (times - 1) * without - mean) / np.sqrt(len(sizes) * (times - 1))


def _measure_pairs(
    subjects: np.ndarray, models: np.ndarray, codes: np.ndarray, comparison: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance by single pairs of units: of means over subjects, and of the interaction."""
    n, shape = len(subjects), (len(models) + 1, subjects.shape[1])
    ceiling = _contribute_to_ceiling(subjects, comparison)
    split = Split.of_units(codes)
    total, square = np.zeros(shape), np.zeros((shape[0], shape[0]))
    step = max(1, _AT_ONCE // (shape[0] * shape[1]))
    for rows, groups in _prepare(subjects, models, comparison):
        for start in range(0, len(rows), step):
            part = np.arange(start, min(start + step, len(rows)))
            found = np.zeros((len(part), *shape))
            found[:, -1] = ceiling[rows[part]]
            for columns, present, first, second in groups:
                if found[0, :-1].size == second.units.size:  # nothing is missing
                    found[:, :-1] = contribute(first, second, part)
                else:
                    found[np.ix_(np.arange(len(part)), columns, present)] = contribute(first, second, part)
            total += found.sum(axis=0)
            square += split.measure(found)
    mean = split.measure(total[None] / n)
    return mean, (square - n * mean) / (n * max(n - 1, 1))


def _contribute_to_ceiling(subjects: np.ndarray, comparison: str) -> np.ndarray:
    """Return contributions (n_subjects, n_pairs) to parts in the ceiling; missing pairs count as the mean."""
    if len(subjects) == 1:
        return np.zeros(subjects.shape)
    filled = np.where(np.isnan(subjects), np.nanmean(subjects, axis=1, keepdims=True), subjects)
    everywhere = np.ones(subjects.shape[1], dtype=bool)
    space = "spearman" if comparison == "rho_a" else comparison
    return contribute_to_ceiling(Vectors.prepare(filled, everywhere, space))


def _prepare(
    subjects: np.ndarray, models: np.ndarray, comparison: str
) -> list[tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray, Vectors, Vectors]]]]:
    """Return rows of subjects that lack the same pairs, with columns of models that do, both prepared."""
    groups: dict[bytes, tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray, Vectors, Vectors]]]] = {}
    for rows, columns, present in iterate_present(subjects, models):
        sides = (subjects[rows][:, present], models[columns][:, present])
        first, second = (Vectors.prepare(side, present, comparison) for side in sides)
        groups.setdefault(rows.tobytes(), (rows, []))[1].append((columns, present, first, second))
    return list(groups.values())


@dataclass(frozen=True, eq=False)
class Split:
    """Pairs of units of stimuli, told apart from the units themselves as in a round-robin design.

    `cells` (n_cells, n_pairs): which pairs of stimuli are between which two units; None where every stimulus
    is a unit, and they are the same.
    """

    cells: sparse.csr_array | None
    n_units: int

    @classmethod
    def of_units(cls, codes: np.ndarray) -> "Split":
        """Return the split of stimuli in blocks, (n_stimuli,) from 0."""
        n = int(codes.max()) + 1
        if n == len(codes):
            return cls(None, n)
        left, right = np.triu_indices(len(codes), 1)
        low, high = np.minimum(codes[left], codes[right]), np.maximum(codes[left], codes[right])
        one, other = np.triu_indices(n, 1)
        numbers = np.zeros((n, n), dtype=int)
        numbers[one, other] = np.arange(len(one))
        between = np.flatnonzero(low != high)
        entries = (np.ones(len(between)), (numbers[low[between], high[between]], between))
        return cls(sparse.csr_array(entries, shape=(len(one), len(left))), n)

    def measure(self, contributions: np.ndarray) -> np.ndarray:
        """Return the covariance of sums of contributions (n_times, n_values, n_pairs) by pairs, added up."""
        from fernet_neuro.rsa.inference.rank_kernels import add_ends  # numba loads slowly

        n, shape = self.n_units, (*contributions.shape[:2], -1)
        cells = contributions.reshape(-1, contributions.shape[2])
        if self.cells is not None:
            cells = np.ascontiguousarray((self.cells @ cells.T).T)
        cells = cells - cells.mean(axis=1, keepdims=True)
        squares = _add_products(cells.reshape(shape)) - _add_products(add_ends(cells, n).reshape(shape)) / (
            n - 2
        )
        n_cells = cells.shape[1]
        return squares * n_cells / (n_cells - n)


def _add_products(values: np.ndarray) -> np.ndarray:
    """Return the products (n_values, n_values) of values (n_times, n_values, n_cells), added up."""
    return np.sum([part @ part.T for part in values], axis=0)
