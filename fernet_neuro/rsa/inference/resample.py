"""Bootstrap samples of subjects and stimuli, and permutations of condition labels.

What belongs here: drawing them, with stimuli of one identity as a block; what is done with them is elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.validation import check_range

#: A sample with fewer distinct stimuli has too few pairs to compare, and is drawn again.
FEWEST_DISTINCT = 3
#: Samples that are drawn again for want of different units, before it is said that there are too few.
_MOST_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each subject and each stimulus is in each bootstrap sample.

    `subjects` (n_bootstraps, n_subjects): rows add up to the number of subjects. `stimuli` (n_bootstraps,
    n_stimuli): stimuli of one block have equal numbers. How often a pair counts says
    ``weighted.level_blocks``. `n_units`: independent stimuli: as many as there are blocks. `blocks`
    (n_stimuli,): number of each stimulus's block; None where every stimulus is drawn alone.
    """

    subjects: np.ndarray
    stimuli: np.ndarray
    n_units: int
    blocks: np.ndarray | None = None

    @property
    def n_bootstraps(self) -> int:
        """Number of samples."""
        return len(self.stimuli)


@dataclass(frozen=True, eq=False)
class Compared:
    """What is compared in samples, and how often everything counts in each.

    `subjects`, `models` (n_subjects, n_pairs) and (n_models, n_pairs). `multiplicities` (n_samples,
    n_stimuli). `copies` (n_samples, n_draws, n_subjects): how often each subject counts, in several draws for
    each sample of stimuli. `blocks` (n_stimuli,): codes from 0, of stimuli drawn together: see
    ``weighted.level_blocks``. `n_jobs`: threads. `among`: whether subjects are compared with one another as
    well, in columns behind those of models.
    """

    subjects: np.ndarray
    models: np.ndarray
    multiplicities: np.ndarray
    copies: np.ndarray
    comparison: str
    blocks: np.ndarray | None = None
    n_jobs: int = 1
    among: bool = False


def draw_resamples(
    n_bootstraps: int, n_subjects: int, n_stimuli: int, *, blocks: np.ndarray | None = None, seed: int = 0
) -> Resamples:
    """Draw subjects and, independently of them, stimuli with replacement.

    The stimuli drawn do not depend on the number of subjects, nor the subjects on that of stimuli.

    Parameters
    ----------
    n_bootstraps, n_subjects, n_stimuli : int
    blocks : ndarray of shape (n_stimuli,), default=None
        Stimuli with equal labels are drawn together, and as many blocks as there are; None: each alone.
    seed : int, default=0

    Raises
    ------
    ValueError
        If there are fewer than three stimuli, or a number is below 1.

    Examples
    --------
    >>> found = draw_resamples(2, 3, 5, blocks=np.array(["a", "a", "b", "b", "c"]))
    >>> found.subjects.sum(axis=1).tolist(), found.n_units
    ([3, 3], 3)
    >>> bool((found.stimuli[:, 0] == found.stimuli[:, 1]).all())
    True
    """
    check_range("n_bootstraps", n_bootstraps, minimum=1)
    check_range("n_subjects", n_subjects, minimum=1)
    check_range("the number of stimuli", n_stimuli, minimum=FEWEST_DISTINCT)
    codes = code_blocks(blocks, n_stimuli)
    n_units = int(codes.max()) + 1
    stimuli = draw_counts(n_bootstraps, codes, make_rng(seed, "bootstrap", "stimuli"), count_fewest(codes))
    subjects = draw_multiplicities(n_bootstraps, n_subjects, make_rng(seed, "bootstrap", "subjects"))
    return Resamples(subjects, stimuli, n_units, find_shared(codes))


def draw_counts(n_samples: int, blocks: np.ndarray, rng: np.random.Generator, fewest: int = 1) -> np.ndarray:
    """Return how often each unit is in each bootstrap sample, shape (n_samples, n_units).

    `blocks` (n_units,) are codes from 0, of units drawn together; a sample of fewer than `fewest` different
    blocks is drawn again.
    """
    n = int(blocks.max()) + 1
    counts = np.zeros((n_samples, n), dtype=int)
    missing = np.arange(n_samples)
    for _ in range(_MOST_DRAWS):
        counts[missing] = draw_multiplicities(len(missing), n, rng)
        missing = missing[(counts[missing] > 0).sum(axis=1) < fewest]
        if not len(missing):
            return counts[:, blocks]
    raise ValueError(f"samples of {n} units hardly ever have {fewest} different ones; there are too few.")


def count_fewest(blocks: np.ndarray) -> int:
    """Return how many blocks have three stimuli and a pair between two of them, whichever blocks they are."""
    together = np.cumsum(np.sort(np.bincount(blocks)))
    return max(2, int(np.searchsorted(together, FEWEST_DISTINCT)) + 1)


def draw_multiplicities(n_samples: int, n_units: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each unit is drawn in `n_units` draws with replacement, (n_samples, n_units) int."""
    drawn = rng.integers(0, n_units, (n_samples, n_units)) + n_units * np.arange(n_samples)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_samples * n_units).reshape(n_samples, n_units)


def draw_permutations(
    n_permutations: int, n_stimuli: int, *, blocks: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Draw orders of stimuli, (n_permutations, n_stimuli) int.

    With `blocks`, whole blocks of equal size change places and the stimuli inside each are shuffled: two
    stimuli share a block after it if and only if they did before.
    """
    check_range("n_permutations", n_permutations, minimum=1)
    rng = make_rng(seed, "permutations")
    if blocks is None:
        return rng.permuted(np.tile(np.arange(n_stimuli), (n_permutations, 1)), axis=1)
    codes = code_blocks(blocks, n_stimuli)
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    orders = np.empty((n_permutations, n_stimuli), dtype=int)
    for size in sorted({len(part) for part in members}):
        alike = np.stack([part for part in members if len(part) == size])  # (n_blocks, size)
        moved = rng.permuted(np.tile(np.arange(len(alike)), (n_permutations, 1)), axis=1)
        orders[:, alike] = rng.permuted(alike[moved], axis=2)
    return orders


def find_shared(codes: np.ndarray) -> np.ndarray | None:
    """Return the codes of blocks, or None where no two stimuli share one."""
    return None if int(codes.max()) + 1 == len(codes) else codes


def code_blocks(blocks: np.ndarray | None, n_stimuli: int) -> np.ndarray:
    """Return the number of each stimulus's block, (n_stimuli,) int from 0 in order of first occurrence."""
    if blocks is None:
        return np.arange(n_stimuli)
    labels = [str(label) for label in np.asarray(blocks, dtype=object).ravel()]
    if len(labels) != n_stimuli:
        raise ValueError(f"blocks must hold one label per stimulus, {n_stimuli}; got {len(labels)}.")
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels])
