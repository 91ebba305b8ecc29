"""The RDMs of many neighbourhoods of voxels, block by block.

What belongs here: one engine per way to get there. Correlations need one matrix product per neighbourhood;
distances that are sums over voxels need each voxel's own share once, and its mean over the neighbourhood; all
others are computed as `distances.compute_rdms` does, one neighbourhood at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from fernet_neuro.brain.noise import compute_precision, invert_covariance
from fernet_neuro.brain.spheres import Neighbourhoods
from fernet_neuro.rsa.distances import DISTANCES, Precision
from fernet_neuro.rsa.labelled import LabelledPatterns
from fernet_neuro.rsa.searchlight import kernels

#: RDMs (stop - start, n_pairs) of the neighbourhoods from `start` to `stop`.
Fill = Callable[[int, int], np.ndarray]
#: Bytes of the voxels' own dissimilarities that are held at a time: a whole brain of 30,000 voxels with 40
#: stimuli (187 MB) fits; larger ones are taken in slabs, whose edges are computed twice.
TABLE_BYTES = 512 << 20


@dataclass(frozen=True, eq=False)
class Engine:
    """A way to compute the RDMs of neighbourhoods.

    `open`: from neighbourhoods, the first and the last of a range of them, and a number of threads, to a
    function that computes the RDMs of any part of that range. `bytes_per_voxel`: how much `open` holds for
    each voxel that the range reaches.
    """

    open: Callable[[Neighbourhoods, int, int, int], Fill]
    bytes_per_voxel: int = 0


def make_cosine_engine(values: np.ndarray, stimulus_ids: np.ndarray, *, centred: bool) -> Engine:
    """Return the engine of correlation (if `centred`) and cosine distances.

    `values` are float64 of shape (n_voxels, n_stimuli), C order.
    """

    def fill(near: Neighbourhoods, start: int, stop: int) -> np.ndarray:
        rdms = np.empty((stop - start, _count_pairs(values.shape[1])))
        row, stimulus = kernels.fill_cosines(values, near.members, near.starts, start, centred, rdms)
        if row >= 0:
            what, name = ("constant", "correlation") if centred else ("zero", "cosine")
            raise ValueError(
                f"the pattern of stimulus {str(stimulus_ids[stimulus])!r} is {what} over the "
                f"{near.sizes[start + row]} voxels around voxel {near.centres[start + row]}, so it has no "
                f"{name}; leave such voxels out of the mask, or use squared_euclidean."
            )
        return rdms

    return Engine(lambda near, *_: partial(fill, near))


def make_sum_engine(values: np.ndarray) -> Engine:
    """Return the engine of means over voxels: squared Euclidean, and crossnobis with each voxel's own noise.

    `values` are float64 of shape (n_voxels, n_runs, n_stimuli), C order, divided by each voxel's noise where
    that counts. One run means without cross-validation. The dissimilarities of each voxel in reach are
    computed once, in parallel, and then averaged.
    """
    n_pairs = _count_pairs(values.shape[2])

    def open_range(near: Neighbourhoods, start: int, stop: int, n_jobs: int) -> Fill:
        voxels = np.unique(near.members[near.starts[start] : near.starts[stop]])
        row_of = np.zeros(near.n_voxels, dtype=np.int64)
        row_of[voxels] = np.arange(len(voxels))
        table = np.empty((len(voxels), n_pairs))
        parts = np.array_split(np.arange(len(voxels)), min(4 * n_jobs, len(voxels)))
        Parallel(n_jobs=n_jobs, backend="threading")(
            delayed(kernels.tabulate_squares)(values, voxels[part], table[part[0] : part[-1] + 1])
            for part in parts
        )

        def fill(first: int, last: int) -> np.ndarray:
            rdms = np.empty((last - first, n_pairs))
            kernels.average_neighbours(table, row_of, near.members, near.starts, first, rdms)
            return rdms

        return fill

    return Engine(open_range, 8 * n_pairs)


@dataclass(frozen=True, eq=False)
class MeanPatterns(LabelledPatterns):
    """One row per stimulus and run, run by run and stimuli in order: nothing is left to average."""

    @cached_property
    def stimulus_means(self) -> np.ndarray:
        """One pattern per stimulus: the mean over runs."""
        return np.mean(self.run_means(), axis=0)

    def run_means(self) -> list[np.ndarray]:
        """Return one array (n_stimuli, n_channels) per run: the rows as they are."""
        return list(self.values.reshape(-1, len(self.stimulus_ids), self.n_channels))


def make_plain_engine(
    patterns: MeanPatterns, distance: str, find_precision: Callable[[np.ndarray], Precision | None]
) -> Engine:
    """Return the engine of any distance, one neighbourhood after the other.

    `find_precision` gives the noise precision of the voxels of a neighbourhood; stimuli are in the models'
    order.
    """
    compute = DISTANCES[distance].compute

    def fill(near: Neighbourhoods, start: int, stop: int) -> np.ndarray:
        rdms = np.empty((stop - start, _count_pairs(len(patterns.stimulus_ids))))
        for row, number in enumerate(range(start, stop)):
            voxels = near.get(number)
            values = np.ascontiguousarray(patterns.values[:, voxels])
            name = f"the voxels around voxel {near.centres[number]}"
            rdms[row] = compute(replace(patterns, values=values, name=name), find_precision(voxels))
        return rdms

    return Engine(lambda near, *_: partial(fill, near))


def make_covariance_finder(noise: Any) -> Callable[[np.ndarray], Precision]:
    """Return a function from voxel numbers to their precision: the inverse of their block of a covariance.

    `noise` (n_voxels, n_voxels).
    """

    def find(voxels: np.ndarray) -> Precision:
        block = np.ix_(voxels, voxels)
        if isinstance(noise, Mapping):
            return {
                run: invert_covariance(matrix[block], f"the noise covariance of run {run!r}")
                for run, matrix in noise.items()
            }
        return invert_covariance(noise[block])

    return find


def make_residual_finder(residuals: np.ndarray, method: str) -> Callable[[np.ndarray], Precision]:
    """Return a function from voxel numbers to the precision that `noise.compute_precision` finds for them."""

    def find(voxels: np.ndarray) -> Precision:
        return compute_precision(residuals[:, voxels], method)

    return find


def plan_parts(near: Neighbourhoods, bytes_per_voxel: int, limit: int) -> list[tuple[int, int]]:
    """Return ranges of neighbourhoods that reach voxels of at most `limit` bytes each, by halving.

    Examples
    --------
    >>> from fernet_neuro.brain.spheres import Neighbourhoods
    >>> near = Neighbourhoods.from_lists([[0, 1], [0, 1], [2], [3]], range(4), 4)
    >>> plan_parts(near, 8, 16)
    [(0, 2), (2, 4)]
    """
    parts, waiting = [], [(0, near.n_centres)]
    while waiting:
        start, stop = waiting.pop()
        reached = len(np.unique(near.members[near.starts[start] : near.starts[stop]]))
        if stop - start > 1 and reached * bytes_per_voxel > limit:
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
        else:
            parts.append((start, stop))
    return parts


def _count_pairs(n_stimuli: int) -> int:
    return n_stimuli * (n_stimuli - 1) // 2
