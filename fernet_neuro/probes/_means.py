"""Read-outs from class means, without a penalty: nearest mean, and linear discriminant analysis.

What belongs here: their guesses under many labellings at once, from rows in the basis of their own scatter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from fernet_neuro.probes._null import Labellings, balanced_accuracy, score_guesses

#: Numbers of one block of labellings that are held in memory at once.
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class _Scatter:
    """Rows of one fold in the basis of the training rows' scatter, around their mean.

    `train` (n_train, rank), `test` (n_test, rank); `values` (rank,): eigenvalues of ``train.T @ train``.
    """

    train: np.ndarray
    test: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, train: np.ndarray, test: np.ndarray) -> "_Scatter":
        mean = train.mean(axis=0)
        train, test = train - mean, test - mean
        values, vectors = linalg.eigh(train.T @ train, check_finite=False)
        keep = values > 1e-12 * max(float(values[-1]), np.finfo(float).tiny)
        if not keep.any():
            return cls(np.zeros((len(train), 1)), np.zeros((len(test), 1)), np.ones(1))
        return cls(train @ vectors[:, keep], test @ vectors[:, keep], values[keep])


def score_means(
    name: str,
    train: np.ndarray,
    test: np.ndarray,
    n_units: int,
    codes: np.ndarray,
    shown: np.ndarray,
    labellings: Labellings,
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return guesses of the test rows, their balanced accuracy, and that under each further labelling.

    "nearest-mean" takes the class with the nearest mean. "lda" takes it in the metric of the scatter inside
    classes, shrunk towards a sphere as Ledoit and Wolf [1]_ estimate from the `n_units` units, so that it is
    defined where units outnumber stimuli. Classes count alike, as they do in balanced accuracy.

    `train` (n_train, n_features), `test` (n_test, n_features): rows, up to a rotation of the units. `codes`,
    `shown`: classes of both. All classes of `codes` are guessed from.

    References
    ----------
    .. [1] Ledoit, O. and Wolf, M. (2004). A well-conditioned estimator for large-dimensional covariance
       matrices. Journal of Multivariate Analysis, 88(2), 365-411.
    """
    scatter, n_classes = _Scatter.of(train, test), labellings.n_classes
    own = Labellings(np.arange(len(codes)), codes[None], shown[None], n_classes)
    guesses = next(_guess(name, scatter, own, n_units))[1][0]
    null_scores = np.empty(len(labellings))
    for rows, found in _guess(name, scatter, labellings, n_units):
        null_scores[rows] = score_guesses(found, labellings.test[rows], n_classes)
    return guesses, balanced_accuracy(shown, guesses, n_classes), null_scores


def _guess(
    name: str, scatter: _Scatter, labellings: Labellings, n_units: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield rows of the labellings and the classes guessed under them, (n_rows, n_test)."""
    n, rank = scatter.train.shape
    step = max(1, _BLOCK // (labellings.n_classes * max(n, len(scatter.test), rank)))
    for start in range(0, len(labellings), step):
        rows = slice(start, start + step)
        marks = labellings.train[rows, None, :] == np.arange(labellings.n_classes)[:, None]
        marks = (marks.reshape(-1, marks.shape[2]).astype(float) @ labellings.members).reshape(
            len(marks), labellings.n_classes, n
        )
        sizes = marks.sum(axis=2)
        means = (marks @ scatter.train) / np.maximum(sizes, 1)[:, :, None]
        rule = _aim_lda(scatter, marks, means, sizes, n_units) if name == "lda" else means
        decisions = rule @ scatter.test.T - (rule * means).sum(axis=2)[:, :, None] / 2
        decisions[sizes == 0] = -np.inf
        yield rows, decisions.argmax(axis=1)


def _aim_lda(
    scatter: _Scatter, marks: np.ndarray, means: np.ndarray, sizes: np.ndarray, n_units: int
) -> np.ndarray:
    """Return the class means times the inverse of the shrunk scatter inside classes, (n, n_classes, rank).

    The scatter inside classes is all scatter, diagonal here, minus that of the weighted means (Woodbury).
    """
    shrinkage, level = _shrink(scatter, marks, means, sizes, n_units)
    scales = np.sqrt((1 - shrinkage)[:, None] * sizes / len(scatter.train))
    between = means * scales[:, :, None]
    diagonal = (1 - shrinkage)[:, None] * scatter.values / len(scatter.train) + (shrinkage * level)[:, None]
    scaled = between / diagonal[:, None, :]
    inner = np.eye(means.shape[1]) - scaled @ between.transpose(0, 2, 1)
    products = means @ scaled.transpose(0, 2, 1)
    return means / diagonal[:, None, :] + products @ np.linalg.pinv(inner, hermitian=True) @ scaled


def _shrink(
    scatter: _Scatter, marks: np.ndarray, means: np.ndarray, sizes: np.ndarray, n_units: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the shrinkage and the mean variance of a unit inside classes, each (n,)."""
    n = len(scatter.train)
    squares = np.square(means).sum(axis=2)
    lengths = np.square(scatter.train).sum(axis=1) - 2 * (marks * (means @ scatter.train.T)).sum(axis=1)
    lengths = np.maximum(lengths + (marks * squares[:, :, None]).sum(axis=1), 0)
    weighted = means * np.sqrt(sizes)[:, :, None]
    between = weighted @ weighted.transpose(0, 2, 1)
    size = np.square(scatter.values).sum() - 2 * (np.square(weighted) @ scatter.values).sum(axis=1)
    size = (size + np.square(between).sum(axis=(1, 2))) / n**2
    level = lengths.sum(axis=1) / n / n_units
    spread = size - n_units * level**2
    noise = (np.square(lengths).sum(axis=1) / n - size) / n
    shrinkage = np.where(spread > 0, np.minimum(noise, spread) / np.where(spread > 0, spread, 1), 1.0)
    return np.clip(shrinkage, 0, 1), np.where(level > 0, level, 1.0)
