"""Linear read-outs in the dual: all they need of (n, p) features is one (n, n) matrix of inner products.

What belongs here: computing that matrix from long rows, and ridge regression inside its blocks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from fernet_neuro.probes._null import Labellings, score_labellings
from fernet_neuro.probes._primal import RANK_TOLERANCE, Rows

#: Bytes of one float64 block of columns while inner products are summed.
_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Gram:
    """Inner products of feature rows, kept around the mean row so that a large common offset costs no digits.

    `centred` (n_stimuli, n_stimuli): inner products of rows minus the mean row. `cross` (n_stimuli,): inner
    products of rows minus the mean row with the mean row. `offset`: squared length of the mean row.
    `n_units`: how many features the rows have.
    """

    centred: np.ndarray
    cross: np.ndarray
    offset: float
    n_units: int

    def raw(self) -> np.ndarray:
        """Return the inner products of the rows as they were, shape (n_stimuli, n_stimuli)."""
        return self.centred + self.cross[:, None] + self.cross[None, :] + self.offset

    def rotate(self, *, centre: bool) -> np.ndarray:
        """Return features of shape (n_stimuli, rank) with the same inner products, around the mean or raw.

        They are the original rows in an orthonormal basis of their span, so a rotation-invariant read-out
        gives the same predictions on them.
        """
        values, vectors = linalg.eigh(self.centred if centre else self.raw(), check_finite=False)
        keep = values > RANK_TOLERANCE * max(float(values[-1]), 0.0)
        if not keep.any():
            return np.zeros((len(values), 1))
        return np.ascontiguousarray(vectors[:, keep] * np.sqrt(values[keep]))

    def fold(self, train: np.ndarray, test: np.ndarray) -> "FoldKernel":
        """Return the inner products of one fold, centred on the mean of its training rows alone."""
        inner, cross = (self.centred[rows].take(train, axis=1) for rows in (train, test))
        mean = inner.mean(axis=0)
        inner -= mean[:, None]
        cross -= cross.mean(axis=1, keepdims=True)
        for part in (inner, cross):
            part -= mean
            part += mean.mean()
        return FoldKernel(np.asfortranarray(inner), cross)


def arrange(values: np.ndarray) -> Gram | Rows:
    """Return what read-outs need of activations (n_stimuli, n_units), in the smaller of two forms.

    Rows where units are fewer than half of the stimuli, else inner products. Raises as `compute_gram`.
    """
    if values.ndim != 2 or not 0 < 2 * values.shape[1] < len(values):
        return compute_gram(values)
    rows = np.asarray(values, dtype=np.float64)
    mean = _check_finite(rows)
    return Rows(rows - mean, mean)


def compute_gram(values: np.ndarray) -> Gram:
    """Return the inner products of the rows of `values`, summed in float64 over blocks of columns.

    `values` (n_stimuli, n_units): activations of any real type; a memory-mapped array is read once and never
    copied whole. Raises ValueError if `values` is not two-dimensional or holds a value that is not finite;
    the message names its row.
    """
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"activations must have shape (n_stimuli, n_units); got {values.shape}.")
    n, n_units = values.shape
    centred, cross, offset = np.zeros((n, n)), np.zeros(n), 0.0
    width = max(64, _BLOCK_BYTES // (8 * n))
    for start in range(0, n_units, width):
        block = np.asarray(values[:, start : start + width], dtype=np.float64)
        mean = _check_finite(block)
        block = block - mean
        centred += block @ block.T
        cross += block @ mean
        offset += float(mean @ mean)
    return Gram(centred, cross, offset, n_units)


def _check_finite(rows: np.ndarray) -> np.ndarray:
    """Return the mean row, if all values are finite."""
    mean = rows.mean(axis=0)
    if not np.isfinite(mean).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ValueError(f"activations hold a value that is not finite (first in row {row}).")
    return mean


@dataclass(frozen=True, eq=False)
class FoldKernel:
    """Inner products of one fold, centred on the mean of its training rows.

    `train` (n_train, n_train): among training rows, columns side by side, as LAPACK takes them. `test`
    (n_test, n_train): of test rows with training rows.
    """

    train: np.ndarray
    test: np.ndarray

    @property
    def scale(self) -> float:
        """Mean squared length of a centred training row; 1 where all rows are equal."""
        return float(np.trace(self.train)) / len(self.train) or 1.0

    def weigh(self, penalty: float, columns: np.ndarray) -> np.ndarray:
        """Return ``columns.T @ H`` with H the transposed ridge hat matrix (n_train, n_test).

        With indicator columns these are the sums of weights over the training rows that each column marks:
        decisions for one-hot labels, or what any labelling of units can be scored from. The intercept is not
        penalised, as in `sklearn.linear_model.RidgeClassifier`.

        `penalty`: absolute penalty. `columns` (n_train, n_columns). Returns an array (n_columns, n_test).
        Raises ValueError if the penalty is too small for the rounding error of the inner products.
        """
        penalised = self.train.copy(order="F")
        penalised.ravel(order="K")[:: len(penalised) + 1] += penalty
        is_narrow = columns.shape[1] < len(self.test)
        right = columns if is_narrow else self.test.T
        # One call of LAPACK: on small folds the checks of `scipy.linalg.cho_factor` take as long as the work.
        _, solved, failed = lapack.dposv(penalised, right, lower=1, overwrite_a=1)
        if failed:
            raise ValueError(
                f"penalty {penalty:g} is too small for features of mean squared length {self.scale:g}; "
                f"use a larger one or a relative grid."
            )
        sums = (self.test @ solved).T if is_narrow else columns.T @ solved
        # Rows of `test` are orthogonal to the constant vector, so Y need not be centred: its mean is added.
        return sums + columns.mean(axis=0)[:, None]

    def regress(self, penalties: Sequence[float], columns: np.ndarray) -> Iterator[np.ndarray]:
        """Yield predictions (n_columns, n_test) of columns of numbers (n_train, n_columns), by penalty."""
        for penalty in penalties:
            yield self.weigh(penalty, columns)

    def refit(
        self,
        penalties: Sequence[float],
        classes: np.ndarray,
        labellings: Labellings | None = None,
        *,
        n_jobs: int = 1,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return predicted classes and the balanced accuracy under other labellings, for each penalty.

        `penalties`: absolute. `classes` (n_train, n_classes): one-hot labels. Returns arrays (n_penalties,
        n_test) and (n_penalties, n_labellings). `n_jobs`: threads, which change nothing.
        """
        n_units = labellings.train.shape[1] if labellings else 0
        columns = np.hstack([np.eye(n_units)[labellings.unit_of], classes]) if labellings else classes
        predicted, scores = [], []
        for penalty in penalties:
            weights = self.weigh(penalty, columns)
            predicted.append(weights[n_units:].argmax(axis=0))
            scores.append(
                score_labellings(weights[:n_units], labellings, n_jobs=n_jobs) if labellings else np.empty(0)
            )
        return np.array(predicted), np.array(scores)


def inner_folds(groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (train, test) positions that leave out one of the `groups` at a time."""
    for group in np.unique(groups):
        yield np.flatnonzero(groups != group), np.flatnonzero(groups == group)


def pick_penalty(scores: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
    """Return the index of the best penalty along the last axis of `scores`; of equals, the largest penalty.

    Scores closer than 1e-9 are equal: their order would hang on the order of summation.
    """
    order = np.argsort(penalties)[::-1]
    ranked = np.round(scores[..., order], 9)
    return order[ranked.argmax(axis=-1)]
