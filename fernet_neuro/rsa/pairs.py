"""Pairs of stimuli: where the upper triangle of a square lies in a vector, and back.

What belongs here: the one order of pairs that all of `rsa` uses, that of ``np.triu_indices(n, 1)``.
"""

import math
from itertools import pairwise

import numpy as np


def count_stimuli(n_pairs: int) -> int | None:
    """Return n with n (n - 1) / 2 == `n_pairs`, n >= 2, or None if there is none.

    Examples
    --------
    >>> count_stimuli(4186), count_stimuli(4187)
    (92, None)
    """
    n = (1 + math.isqrt(1 + 8 * n_pairs)) // 2
    return n if n >= 2 and n * (n - 1) // 2 == n_pairs else None


def row_slices(n_stimuli: int) -> list[slice]:
    """Return where the pairs of each stimulus with all later ones lie; the last slice is empty."""
    starts = np.concatenate([[0], np.cumsum(np.arange(n_stimuli - 1, -1, -1))]).tolist()
    return [slice(start, stop) for start, stop in pairwise(starts)]


def vectors_to_squares(vectors: np.ndarray, n_stimuli: int) -> np.ndarray:
    """Return (n_rdms, n_stimuli, n_stimuli) of vectors (n_rdms, n_pairs), with 0 on the diagonal."""
    squares = np.zeros((len(vectors), n_stimuli, n_stimuli), dtype=vectors.dtype)
    for row, part in enumerate(row_slices(n_stimuli)):
        squares[:, row, row + 1 :] = vectors[:, part]
        squares[:, row + 1 :, row] = vectors[:, part]
    return squares


def squares_to_vectors(squares: np.ndarray) -> np.ndarray:
    """Return (n_rdms, n_pairs) of symmetric matrices (n_rdms, n_stimuli, n_stimuli)."""
    if squares.ndim != 3 or squares.shape[1] != squares.shape[2] or squares.shape[1] < 2:
        raise ValueError(
            f"square RDMs must have shape (n_rdms, n_stimuli, n_stimuli), two or more stimuli; got "
            f"{squares.shape}."
        )
    for number, square in enumerate(squares):
        _check_square(square, number)
    n_stimuli = squares.shape[1]
    vectors = np.empty((len(squares), n_stimuli * (n_stimuli - 1) // 2))
    for row, part in enumerate(row_slices(n_stimuli)):
        vectors[:, part] = squares[:, row, row + 1 :]
    return vectors


def take_pairs(vectors: np.ndarray, n_stimuli: int, order: np.ndarray) -> np.ndarray:
    """Return the vectors over the stimuli numbered `order`, which names none twice."""
    starts = np.array([part.start for part in row_slices(n_stimuli)])
    taken = np.empty((len(vectors), len(order) * (len(order) - 1) // 2))
    for row, part in enumerate(row_slices(len(order))):
        low = np.minimum(order[row], order[row + 1 :])
        high = np.maximum(order[row], order[row + 1 :])
        taken[:, part] = vectors[:, starts[low] + high - low - 1]
    return taken


def sum_by_stimulus(vectors: np.ndarray, n_stimuli: int) -> np.ndarray:
    """Return (n_rdms, n_stimuli): for each stimulus the sum over the pairs that it is in."""
    sums = np.zeros((len(vectors), n_stimuli))
    for row, part in enumerate(row_slices(n_stimuli)):
        block = vectors[:, part]
        sums[:, row] += block.sum(axis=1)
        sums[:, row + 1 :] += block
    return sums


def add_to_pairs(vectors: np.ndarray, amounts: np.ndarray) -> None:
    """Add to each pair of `vectors`, in place, what `amounts` (n_rdms, n_stimuli) has for its two stimuli."""
    for row, part in enumerate(row_slices(amounts.shape[1])):
        vectors[:, part] += amounts[:, [row]] + amounts[:, row + 1 :]


def _check_square(square: np.ndarray, number: int) -> None:
    diagonal = np.diagonal(square)
    scale = np.nanmax(np.abs(square), initial=0.0, where=~np.isnan(square))
    # Single-precision files and other toolkits' round-off leave this much where there should be nothing.
    tolerance = 1e-6 * scale
    if (np.abs(diagonal[~np.isnan(diagonal)]) > tolerance).any():
        worst = int(np.nanargmax(np.abs(diagonal)))
        raise ValueError(
            f"square RDM {number} has {diagonal[worst]:g} on its diagonal (stimulus {worst}); the "
            f"dissimilarity of a stimulus to itself is 0."
        )
    unequal = ~np.isclose(square, square.T, rtol=0, atol=tolerance, equal_nan=True)
    np.fill_diagonal(unequal, False)
    if unequal.any():
        row, column = np.argwhere(unequal)[0]
        raise ValueError(
            f"square RDM {number} is not symmetric: {square[row, column]:g} at ({row}, {column}) and "
            f"{square[column, row]:g} at ({column}, {row})."
        )
