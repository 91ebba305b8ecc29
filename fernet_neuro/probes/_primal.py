"""Linear read-outs where units are far fewer than stimuli: no array has stimuli on both sides.

What belongs here: ridge regression on rows, with one eigendecomposition per fold for all penalties.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from fernet_neuro._utils.threads import do_in_threads
from fernet_neuro.probes._null import Labellings, guess_classes, score_guesses

#: Eigenvalues below this share of the largest are rounding noise of inner products (float64, n <= 1e5).
RANK_TOLERANCE = 1e-12
#: Decisions of one block of labellings, in float32 values.
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Rows:
    """Activations around their mean row: `centred` (n_stimuli, n_units), float64, and `mean` (n_units,)."""

    centred: np.ndarray
    mean: np.ndarray

    @property
    def n_units(self) -> int:
        """How many features the rows have."""
        return len(self.mean)

    def rotate(self, *, centre: bool) -> np.ndarray:
        """Return the rows, around the mean or raw; see `_dual.Gram.rotate`."""
        return self.centred if centre else self.centred + self.mean

    def fold(self, train: np.ndarray, test: np.ndarray) -> "FoldRows":
        """Return the rows of one fold, centred on the mean of its training rows and nothing else."""
        inner = self.centred[train]
        mean = inner.mean(axis=0)
        return FoldRows(inner - mean, self.centred[test] - mean)


@dataclass(frozen=True, eq=False)
class FoldRows:
    """Rows of one fold: `train` (n_train, n_units) and `test` (n_test, n_units); see `_dual.FoldKernel`."""

    train: np.ndarray
    test: np.ndarray

    @property
    def scale(self) -> float:
        """Mean squared length of a centred training row; 1 where all rows are equal."""
        return float(np.square(self.train).sum()) / len(self.train) or 1.0

    @cached_property
    def _scatter(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of the training rows' scatter that are not rounding noise, and vectors."""
        values, vectors = linalg.eigh(self.train.T @ self.train, check_finite=False)
        keep = values > RANK_TOLERANCE * max(float(values[-1]), 0.0)
        return values[keep], vectors[:, keep]

    def regress(self, penalties: Sequence[float], columns: np.ndarray) -> Iterator[np.ndarray]:
        """Yield predictions of columns of numbers; see `_dual.FoldKernel.regress`."""
        values, vectors = self._scatter
        sums, test = (columns.T @ self.train) @ vectors, self.test @ vectors
        for penalty in penalties:
            yield sums @ (test / (values + penalty)).T + columns.mean(axis=0)[:, None]

    def refit(
        self,
        penalties: Sequence[float],
        classes: np.ndarray,
        labellings: Labellings | None = None,
        *,
        n_jobs: int = 1,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return predicted classes and scores of the labellings; see `_dual.FoldKernel.refit`."""
        values, vectors = self._scatter
        test = self.test @ vectors
        shrunk = [test / (values + penalty) for penalty in penalties]
        sums = (classes.T @ self.train) @ vectors
        decisions = [sums @ part.T + classes.mean(axis=0)[:, None] for part in shrunk]
        predicted = np.array([part.argmax(axis=0) for part in decisions])
        if not labellings:
            return predicted, np.empty((len(penalties), 0))
        units = ((labellings.members @ self.train) @ vectors).astype(np.float32)
        tests = [part.astype(np.float32) for part in shrunk]
        shares = np.bincount(labellings.unit_of) / len(self.train)
        return predicted, _score_blocks(units, shares, tests, labellings, n_jobs)


def _score_blocks(
    units: np.ndarray,
    sizes: np.ndarray,
    tests: Sequence[np.ndarray],
    labellings: Labellings,
    n_jobs: int,
) -> np.ndarray:
    """Return scores (n_penalties, n_labellings), labellings side by side in blocks of bounded memory."""
    per_draw = labellings.n_classes * max(len(tests[0]), units.shape[1], len(units))
    step = max(1, _BLOCK // per_draw)
    blocks = [slice(start, start + step) for start in range(0, len(labellings), step)]
    out = np.empty((len(tests), len(labellings)))

    def run(block: slice) -> None:
        draws = labellings.train[block]
        # Compared in the type of the labels: numbers of another type would all be converted first.
        classes = np.arange(labellings.n_classes, dtype=draws.dtype)
        marks = (draws[:, None, :] == classes[None, :, None]).astype(np.float32)
        shares = marks @ sizes.astype(np.float32)
        sums = marks.reshape(-1, len(units)) @ units
        for index, test in enumerate(tests):
            decisions = (sums @ test.T).reshape(*shares.shape, len(test)) + shares[:, :, None]
            out[index, block] = score_guesses(
                guess_classes(decisions), labellings.test[block], labellings.n_classes
            )

    do_in_threads(run, blocks, n_jobs)
    return out
