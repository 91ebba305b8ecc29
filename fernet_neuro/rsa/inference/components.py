"""Variance components of an RSA estimate in closed form: subjects, stimuli, and the interaction of both.

What belongs here: what a delete-one jackknife and the contributions of single pairs say of each component;
tests are in `contrasts`, and the bootstrap that says the same by drawing samples in `bootstrap`.
"""

from dataclasses import dataclass

import numpy as np

from fernet_neuro.rsa.compare import iterate_present
from fernet_neuro.rsa.inference.bootstrap import compare_samples
from fernet_neuro.rsa.inference.contributions import (
    Vectors,
    contribute,
    contribute_to_ceiling,
    part_ceiling,
)
from fernet_neuro.rsa.inference.random_effects import Effects
from fernet_neuro.rsa.inference.resample import Compared, code_blocks
from fernet_neuro.rsa.pairs import sum_by_stimulus

_SUBJECTS, _STIMULI = frozenset(["subjects"]), frozenset(["stimuli"])
_BOTH = _SUBJECTS | _STIMULI


@dataclass(frozen=True, eq=False)
class Components:
    """How much of the covariance of estimates varies with subjects, with stimuli, and with both.

    All matrices are (n_models + 2, n_models + 2), the two noise ceilings last; of the upper one nothing is
    known, and it is 0. `shares`: by random effects, what varies with all of them, whatever else it varies
    with: that of subjects holds the interaction, and so does that of stimuli. `pairs`: what of the share of
    stimuli varies with single pairs of them. `twice`: the share of stimuli with `pairs` counted twice, which
    is what the jackknife sees; and so `pairs_both` and `twice_both`, of the interaction.
    """

    shares: dict[Effects, np.ndarray]
    pairs: np.ndarray


def estimate_components(
    subjects: np.ndarray,
    models: np.ndarray,
    n_stimuli: int,
    comparison: str,
    blocks: np.ndarray | None = None,
    *,
    n_jobs: int = 1,
) -> Components:
    codes = code_blocks(blocks, n_stimuli)
    whole, without = _leave_out(subjects, models, codes, comparison, n_jobs)
    n = len(subjects)
    steps = _measure_steps(whole, without, np.bincount(codes))
    mean = steps.mean(axis=1)
    apart = (steps - mean[:, None]).reshape(-1, steps.shape[-1])
    pairs, pairs_both = _measure_pairs(subjects, models, codes, comparison)
    centred = whole - whole.mean(axis=0)
    few = n * max(n - 1, 1)
    shares = {
        _SUBJECTS: centred.T @ centred / few,
        _STIMULI: mean.T @ mean - pairs,
        _BOTH: apart.T @ apart / few - pairs_both,
    }
    return Components(
        {effects: _add_upper(matrix) for effects, matrix in shares.items()}, _add_upper(pairs)
    )


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
    stacked = np.concatenate([models, subjects])
    scores = compare_samples(Compared(subjects, stacked, kept, none, comparison, blocks, n_jobs))[0]
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
    n, n_models = len(subjects), len(models)
    has = ~np.isnan(subjects)
    ceiling = np.zeros(subjects.shape)
    if n > 1:
        filled = np.where(has, subjects, np.nanmean(subjects, axis=1, keepdims=True))
        everywhere = np.ones(subjects.shape[1], dtype=bool)
        ceiling = contribute_to_ceiling(
            Vectors.prepare(filled, everywhere, "spearman" if comparison == "rho_a" else comparison)
        )
    total, square = np.zeros((n_models + 1, subjects.shape[1])), np.zeros((n_models + 1, n_models + 1))
    split = _Split(codes)
    prepared = [
        (rows, columns, present, Vectors.prepare(subjects[rows][:, present], present, comparison),
         Vectors.prepare(models[columns][:, present], present, comparison))
        for rows, columns, present in iterate_present(subjects, models)
    ]
    for subject in range(n):
        found = np.zeros(total.shape)
        found[-1] = ceiling[subject]
        for rows, columns, present, first, second in prepared:
            place = np.flatnonzero(rows == subject)
            if len(place):
                found[np.ix_(columns, present)] = contribute(first, second, int(place[0]))
        total += found
        square += split.measure(found)
    mean = split.measure(total / n)
    return mean, (square - n * mean) / (n * max(n - 1, 1))


class _Split:
    """Pairs of units of stimuli, told apart from the units themselves as in a round-robin design."""

    def __init__(self, codes: np.ndarray) -> None:
        self.n_units = int(codes.max()) + 1
        left, right = np.triu_indices(len(codes), 1)
        low, high = np.minimum(codes[left], codes[right]), np.maximum(codes[left], codes[right])
        self.between = low != high
        self.is_single = self.n_units == len(codes)
        starts = np.concatenate([[0], np.cumsum(np.arange(self.n_units - 1, 0, -1))])
        self.cells = (starts[low] + high - low - 1)[self.between]

    def measure(self, contributions: np.ndarray) -> np.ndarray:
        """Return the variance of the sum of contributions (n_values, n_pairs) by pairs alone."""
        n = self.n_units
        n_cells = n * (n - 1) // 2
        cells = contributions
        if not self.is_single:
            cells = np.zeros((len(contributions), n_cells))
            np.add.at(cells.T, self.cells, contributions[:, self.between].T)
        cells = cells - cells.mean(axis=1, keepdims=True)
        sums = sum_by_stimulus(cells, n)
        squares = cells @ cells.T - sums @ sums.T / (n - 2)
        return squares * n_cells / (n_cells - n)
