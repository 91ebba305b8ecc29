"""Inner products of all pairs of patterns, a band of rows at a time, written straight into a vector of pairs.

What belongs here: the blocked matrix products behind every distance; what a distance is, is in `distances`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fernet_neuro.rsa.pairs import row_slices

#: Bytes of one band of inner products, and of one block of patterns in float64: a few of each stay small
#: beside the 100 MB of one RDM of 5,000 stimuli, and are large enough for matrix products at full speed.
BAND_BYTES = 16 << 20
BLOCK_BYTES = 24 << 20

#: Turns inner products (n_rows, n_columns) into dissimilarities, in place, given the squared lengths of both.
Finish = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


@dataclass(frozen=True, eq=False)
class ShiftedPatterns:
    """Patterns less a shift, converted to float64 only block by block.

    `values` (n_stimuli, n_channels): of any real dtype; may be a memory map. `shift` (n_stimuli, 1): taken
    off, float64.
    """

    values: np.ndarray
    shift: np.ndarray

    def iterate_blocks(self, start: int) -> Iterator[np.ndarray]:
        """Yield all channels of the rows from `start` on, some at a time, in one buffer used again."""
        n_rows, n_channels = self.values[start:].shape
        width = min(max(BLOCK_BYTES // (8 * n_rows), 1), n_channels)
        buffer = np.empty((n_rows, width))
        shift = np.broadcast_to(self.shift, self.values.shape)[start:]
        for left in range(0, n_channels, width):
            columns = slice(left, left + width)
            part = self.values[start:, columns]
            block = buffer if part.shape[1] == width else np.empty(part.shape)
            np.subtract(part, shift[:, columns], out=block)
            yield block


@dataclass(frozen=True, eq=False)
class ProductTerm:
    """A share of the inner products: ``weight * left @ right.T``.

    `left`, `right` (n_stimuli, n_channels).
    """

    left: np.ndarray
    right: np.ndarray
    weight: float


def fill_from_patterns(patterns: ShiftedPatterns, finish: Finish) -> np.ndarray:
    """Return the dissimilarities (n_pairs,) that `finish` makes of the patterns' inner products."""
    n_stimuli = len(patterns.values)
    squares = np.zeros(n_stimuli)

    def multiply(start: int, stop: int) -> np.ndarray:
        band = np.zeros((stop - start, n_stimuli - start))
        product = np.empty_like(band)
        for block in patterns.iterate_blocks(start):
            # With all rows in the band this is block @ block.T, which NumPy does in half the operations.
            top = block if stop == n_stimuli else block[: stop - start]
            band += np.matmul(top, block.T, out=product)
            if start == 0:
                squares[:] += np.einsum("ij,ij->i", block, block)
        return band

    return _fill_bands(n_stimuli, multiply, squares, finish)


def fill_from_terms(terms: list[ProductTerm], finish: Finish) -> np.ndarray:
    """Return the dissimilarities (n_pairs,) that `finish` makes of a sum of products."""
    n_stimuli = len(terms[0].left)
    squares = np.zeros(n_stimuli)
    for term in terms:
        squares += term.weight * np.einsum("ij,ij->i", term.left, term.right)

    def multiply(start: int, stop: int) -> np.ndarray:
        band = np.zeros((stop - start, n_stimuli - start))
        for term in terms:
            band += term.weight * (term.left[start:stop] @ term.right[start:].T)
        return band

    return _fill_bands(n_stimuli, multiply, squares, finish)


def _fill_bands(
    n_stimuli: int, multiply: Callable[[int, int], np.ndarray], squares: np.ndarray, finish: Finish
) -> np.ndarray:
    slices = row_slices(n_stimuli)
    vector = np.empty(slices[-1].stop)
    height = max(BAND_BYTES // (8 * n_stimuli), 1)
    for start in range(0, n_stimuli, height):
        stop = min(start + height, n_stimuli)
        band = multiply(start, stop)
        finish(band, squares[start:stop], squares[start:])
        for row in range(start, stop):
            vector[slices[row]] = band[row - start, row - start + 1 :]
    return vector
