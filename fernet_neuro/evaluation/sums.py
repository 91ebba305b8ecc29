"""Scores as functions of sums over images, so that the data and all resamples go the same way.

What belongs here: which sums a score needs, and the score from them; intervals are in `intervals`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fernet_neuro.evaluation.calibration import Certainty
from fernet_neuro.evaluation.resampling import Units


@dataclass(frozen=True, eq=False)
class Case:
    """One network's answers.

    `classes`: names of the network's classes. `targets`, `bins` (n_images,): true class, and bin of
    confidence. `certainty`: answers and how sure they are. `units`: what is resampled.
    """

    classes: tuple[str, ...]
    targets: np.ndarray
    certainty: Certainty
    bins: np.ndarray
    units: Units

    @property
    def right(self) -> np.ndarray:
        """Whether each answer is right, (n_images,)."""
        return self.targets == self.certainty.predicted

    def features(self) -> sparse.csr_array:
        """Return per image what is summed, (n_images, 3 n_classes + 3 n_bins + 3), in the order of `Sums`."""
        right, certain = self.right.astype(float), self.certainty
        ones, one = np.ones(len(right)), np.zeros(len(right), dtype=int)
        k, b = len(self.classes), int(self.bins.max()) + 1
        # How many columns, which of them the image adds to, and what.
        blocks = [
            (k, self.targets, ones),
            (k, certain.predicted, ones),
            (k, self.targets, right),
            (b, self.bins, ones),
            (b, self.bins, right),
            (b, self.bins, right - certain.confidence),
            (1, one, ones),
            (1, one, certain.log_loss),
            (1, one, certain.brier),
        ]
        widths, columns, values = zip(*blocks, strict=True)
        starts = np.cumsum([0, *widths])
        place = np.concatenate([start + column for start, column in zip(starts, columns, strict=False)])
        rows = np.tile(np.arange(len(right)), len(blocks))
        return sparse.csr_array((np.concatenate(values), (rows, place)), shape=(len(right), starts[-1]))


class Sums:
    """Sums over images, named: of the data, shape (1, ...), or of all resamples, shape (n_boot, ...)."""

    def __init__(self, sums: np.ndarray, n_classes: int, n_bins: int) -> None:
        k, b = n_classes, n_bins
        parts = np.split(sums, np.cumsum([k, k, k, b, b, b, 1, 1]), axis=1)
        self.true, self.predicted, self.hits, self.in_bin, self.bin_hits, self.bin_gaps = parts[:6]
        self.n, self.log_loss, self.brier = (part[:, 0] for part in parts[6:])

    def accuracy(self) -> np.ndarray:
        """Return the share of right answers, (n,)."""
        return self.hits.sum(axis=1) / self.n

    def recall(self) -> np.ndarray:
        """Return the share of right answers of each true class, (n, n_classes); NaN without images."""
        return divide(self.hits, self.true)

    def precision(self) -> np.ndarray:
        """Return the share of right answers of each answered class, (n, n_classes); NaN without answers."""
        return divide(self.hits, self.predicted)

    def f1(self) -> np.ndarray:
        """Return the harmonic mean of both, (n, n_classes); NaN where no image shows the class."""
        return np.where(self.true > 0, divide(2 * self.hits, self.true + self.predicted), np.nan)


def divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return the quotient, NaN over 0."""
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def average_known(values: np.ndarray) -> np.ndarray:
    """Return the mean of each row over what is not NaN."""
    known = ~np.isnan(values)
    return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
