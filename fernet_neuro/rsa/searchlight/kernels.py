"""Dissimilarities of many neighbourhoods of voxels, and ranks of many vectors, compiled.

What belongs here: kernels over arrays that know neither stimuli nor images. They use no fast maths, and add
in the order of the voxels.
"""

import numpy as np

from fernet_neuro._utils.compiling import njit


@njit(nogil=True, cache=True)
def _gather(values, nearby, block, sums, low, high):
    """Copy the voxels' values, and note sum, smallest and largest of each stimulus."""
    n_stimuli = values.shape[1]
    sums[:] = 0
    low[:] = np.inf
    high[:] = -np.inf
    for voxel in range(nearby.size):
        source = values[nearby[voxel]]
        target = block[voxel]
        for stimulus in range(n_stimuli):
            value = source[stimulus]
            target[stimulus] = value
            sums[stimulus] += value
            low[stimulus] = value if value < low[stimulus] else low[stimulus]
            high[stimulus] = value if value > high[stimulus] else high[stimulus]


@njit(nogil=True, cache=True)
def _write_cosines(product, lengths, out):
    """Turn inner products (n_stimuli, n_stimuli) into distances (n_pairs,)."""
    n_stimuli = lengths.size
    for stimulus in range(n_stimuli):
        lengths[stimulus] = np.sqrt(product[stimulus, stimulus])
    pair = 0
    for one in range(n_stimuli):
        for other in range(one + 1, n_stimuli):
            cosine = product[one, other] / lengths[one] / lengths[other]
            out[pair] = 1 - min(max(cosine, -1.0), 1.0)
            pair += 1


@njit(nogil=True, cache=True)
def fill_cosines(values, members, starts, first, centred, rdms):
    """Write 1 - cosine of all pairs of patterns, of one neighbourhood per row of `rdms` (n_rows, n_pairs).

    `values` are (n_voxels, n_stimuli), `members` and `starts` as in `Neighbourhoods`, `first` is the
    neighbourhood of the first row; with `centred` each pattern's mean over the voxels is taken off. Return
    row and stimulus of the first pattern without a direction, where the kernel stops, or -1 twice.
    """
    n_stimuli = values.shape[1]
    n_rows = rdms.shape[0]
    widest = 0
    for row in range(n_rows):
        widest = max(widest, starts[first + row + 1] - starts[first + row])
    buffer = np.empty((widest, n_stimuli))
    product = np.empty((n_stimuli, n_stimuli))
    sums = np.empty(n_stimuli)
    low = np.empty(n_stimuli)
    high = np.empty(n_stimuli)
    for row in range(n_rows):
        nearby = members[starts[first + row] : starts[first + row + 1]]
        block = buffer[: nearby.size]
        _gather(values, nearby, block, sums, low, high)
        for stimulus in range(n_stimuli):
            if low[stimulus] == high[stimulus] and (centred or low[stimulus] == 0):
                return row, stimulus
        if centred:
            for voxel in range(nearby.size):
                target = block[voxel]
                for stimulus in range(n_stimuli):
                    target[stimulus] -= sums[stimulus] / nearby.size
        np.dot(block.T, block, product)
        _write_cosines(product, sums, rdms[row])
    return -1, -1


@njit(nogil=True, cache=True)
def tabulate_squares(values, voxels, table):
    """Write each voxel's own squared differences of all pairs of stimuli, across runs where there are more.

    `values` are (n_voxels, n_runs, n_stimuli), `voxels` those of the rows of `table` (n_rows, n_pairs). With
    several runs it is the mean product of the differences in two different runs: the square of their sum less
    their squares.
    """
    n_runs, n_stimuli = values.shape[1], values.shape[2]
    share = 1.0 / (n_runs * (n_runs - 1)) if n_runs > 1 else 1.0
    total = np.empty(n_stimuli)
    for row in range(voxels.size):
        own = values[voxels[row]]
        total[:] = 0
        for run in range(n_runs):
            for stimulus in range(n_stimuli):
                total[stimulus] += own[run, stimulus]
        start = 0
        for one in range(n_stimuli - 1):
            width = n_stimuli - one - 1
            # Slices of one length, indexed from 0, are what the compiler turns into vector instructions.
            out = table[row, start : start + width]
            others = total[one + 1 :]
            for k in range(width):
                difference = total[one] - others[k]
                out[k] = difference * difference
            if n_runs > 1:
                for run in range(n_runs):
                    here = own[run, one]
                    others = own[run, one + 1 :]
                    for k in range(width):
                        difference = here - others[k]
                        out[k] -= difference * difference
                for k in range(width):
                    out[k] *= share
            start += width


@njit(nogil=True, cache=True)
def average_neighbours(table, row_of, members, starts, first, rdms):
    """Write the mean of the table's rows over the voxels of one neighbourhood per row of `rdms`.

    `row_of` (n_voxels,) is the table's row of each voxel; the others are as in `fill_cosines`.
    """
    n_pairs = table.shape[1]
    for row in range(rdms.shape[0]):
        nearby = members[starts[first + row] : starts[first + row + 1]]
        out = rdms[row]
        out[:] = 0
        whole = nearby.size - nearby.size % 4
        # Four rows at a time: the sums are read and written a quarter as often.
        for voxel in range(0, whole, 4):
            a = table[row_of[nearby[voxel]]]
            b = table[row_of[nearby[voxel + 1]]]
            c = table[row_of[nearby[voxel + 2]]]
            d = table[row_of[nearby[voxel + 3]]]
            for pair in range(n_pairs):
                out[pair] += (a[pair] + b[pair]) + (c[pair] + d[pair])
        for voxel in range(whole, nearby.size):
            a = table[row_of[nearby[voxel]]]
            for pair in range(n_pairs):
                out[pair] += a[pair]
        for pair in range(n_pairs):
            out[pair] /= nearby.size


def rank_rows(vectors: np.ndarray) -> np.ndarray:
    """Return the ranks of each row less their mean, ties sharing theirs, shape as given.

    Examples
    --------
    >>> rank_rows(np.array([[0.3, 0.1, 0.3, 0.9]])).tolist()
    [[0.0, -1.5, 0.0, 1.5]]
    """
    ranks = np.empty(vectors.shape)
    _share_ranks(vectors, np.argsort(vectors, axis=1), ranks)
    return ranks


@njit(nogil=True, cache=True)
def _share_ranks(vectors, order, ranks):
    n_rows, n = vectors.shape
    for row in range(n_rows):
        start = 0
        while start < n:
            value = vectors[row, order[row, start]]
            stop = start + 1
            while stop < n and vectors[row, order[row, stop]] == value:
                stop += 1
            for place in range(start, stop):
                ranks[row, order[row, place]] = (start + stop - n) / 2
            start = stop
