"""Scores of one fitted read-out under many labellings at once, compiled.

What belongs here: balanced accuracy of labellings from a hat matrix, and nothing that knows stimuli.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import sparse

from fernet_neuro._utils.compiling import njit
from fernet_neuro._utils.threads import do_in_threads

# Test stimuli per block: decisions of 100 classes x 128 stimuli fit the first-level cache.
_BLOCK = 128


@dataclass(frozen=True, eq=False)
class Labellings:
    """Labellings to which a read-out is refitted in one fold.

    `unit_of` (n_train,): unit of each training stimulus; those of one share a label under every labelling.
    `train` (n_labellings, n_units): class of each unit. `test` (n_labellings, n_test): class of each test
    stimulus. `n_classes`: number of classes.
    """

    unit_of: np.ndarray
    train: np.ndarray
    test: np.ndarray
    n_classes: int

    def __len__(self) -> int:
        return len(self.train)

    @cached_property
    def members(self) -> sparse.csc_array:
        """Which training stimuli each unit has: ones in a matrix (n_units, n_train)."""
        n = len(self.unit_of)
        return sparse.csc_array((np.ones(n), self.unit_of, np.arange(n + 1)))


@njit(nogil=True, cache=True)
def _find_largest(decisions, width, best, guess):
    """Write the largest decision (n_classes, width or more) of each of `width` columns, and its class."""
    best[:width] = decisions[0, :width]
    guess[:width] = 0
    for label in range(1, len(decisions)):
        row = decisions[label, :width]
        for column in range(row.size):
            larger = row[column] > best[column]
            best[column] = row[column] if larger else best[column]
            guess[column] = label if larger else guess[column]


@njit(nogil=True, cache=True)
def _score(weights, train_labels, test_labels, n_classes, block, out):
    n_units, n_test = weights.shape
    decisions = np.empty((n_classes, block), np.float32)
    best = np.empty(block, np.float32)
    guess = np.empty(block, np.int32)
    hits = np.empty(n_classes, np.int64)
    shown = np.empty(n_classes, np.int64)
    for draw in range(train_labels.shape[0]):
        hits[:] = 0
        shown[:] = 0
        for start in range(0, n_test, block):
            width = min(block, n_test - start)
            decisions[:, :width] = 0
            for unit in range(n_units):
                # Slices of one length, indexed from 0, are what the compiler turns into vector instructions.
                row = decisions[train_labels[draw, unit], :width]
                addend = weights[unit, start : start + width]
                for column in range(addend.size):
                    row[column] += addend[column]
            _find_largest(decisions, width, best, guess)
            for column in range(width):
                label = test_labels[draw, start + column]
                shown[label] += 1
                hits[label] += guess[column] == label
        total, present = 0.0, 0
        for label in range(n_classes):
            if shown[label] > 0:
                total += hits[label] / shown[label]
                present += 1
        out[draw] = total / present


def score_labellings(weights: np.ndarray, labellings: Labellings, *, n_jobs: int = 1) -> np.ndarray:
    """Return the balanced accuracy of the ridge read-out refitted to each labelling, shape (n_labellings,).

    With targets of +1 for a stimulus's class and -1 for the others, the decision for class c is, up to a term
    common to all classes, the sum of the weights of the training units labelled c: no multiplication is left.

    `weights` (n_units, n_test): transposed hat matrix, rows of stimuli that share a label summed.
    `n_jobs`: threads; they do not change a single bit of the result.
    """
    train_labels, test_labels, n_classes = labellings.train, labellings.test, labellings.n_classes
    # Rows that lie together are what makes the sums quick; a transposed array takes several times as long.
    weights = np.ascontiguousarray(weights, dtype=np.float32)
    out = np.empty(len(train_labels))
    edges = np.linspace(0, len(out), max(1, n_jobs) + 1).astype(int)
    pieces = [slice(start, stop) for start, stop in pairwise(edges) if stop > start]
    block = min(_BLOCK, weights.shape[1])

    def run(piece: slice) -> None:
        _score(weights, train_labels[piece], test_labels[piece], n_classes, block, out[piece])

    do_in_threads(run, pieces, n_jobs)
    return out


@njit(nogil=True, cache=True)
def _guess(decisions, out):
    n_test = out.shape[1]
    best = np.empty(n_test, decisions.dtype)
    for draw in range(len(decisions)):
        _find_largest(decisions[draw], n_test, best, out[draw])


def guess_classes(decisions: np.ndarray) -> np.ndarray:
    """Return the class of the largest of `decisions` (n_labellings, n_classes, n_test), as `argmax` does.

    Of finite numbers alone. Several times as fast, as that goes through the classes of each test stimulus
    by itself.
    """
    out = np.empty((len(decisions), decisions.shape[2]), dtype=np.int32)
    _guess(decisions, out)
    return out


def score_guesses(guesses: np.ndarray, shown: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the balanced accuracy of each row of `guesses` against `shown`, both (n_rows, n_test)."""
    places = shown + n_classes * np.arange(len(shown))[:, None]
    size = (len(shown), n_classes)
    counts = np.bincount(places.ravel(), minlength=size[0] * size[1]).reshape(size)
    hits = np.bincount(places[guesses == shown], minlength=size[0] * size[1]).reshape(size)
    return (hits / np.maximum(counts, 1)).sum(axis=1) / (counts > 0).sum(axis=1)


def balanced_accuracy(true: np.ndarray, predicted: np.ndarray, n_classes: int) -> float:
    """Return the mean, over the classes that occur in `true`, of the share predicted rightly (unitless)."""
    shown = np.bincount(true, minlength=n_classes)
    hits = np.bincount(true[true == predicted], minlength=n_classes)
    present = shown > 0
    return float((hits[present] / shown[present]).mean())
