"""The RDMs of many neighbourhoods of voxels, block by block.

What belongs here: one class per way to get there. Correlations need one matrix product per neighbourhood;
distances that are sums over voxels need each voxel's own share once, and its mean over the neighbourhood; all
others are computed as `distances.compute_rdms` does, one neighbourhood at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol

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


class Engine(Protocol):
    """A way to compute the RDMs of neighbourhoods."""

    @property
    def bytes_per_voxel(self) -> int:
        """Return how much `open` holds for each voxel that it reaches; 0 for nothing."""
        ...

    def open(self, near: Neighbourhoods, start: int, stop: int, n_jobs: int) -> Fill:
        """Return a function that computes the RDMs of a range between `start` and `stop`."""
        ...


@dataclass(frozen=True, eq=False)
class CosineEngine:
    """Correlation and cosine distances.

    Parameters
    ----------
    values : ndarray of shape (n_voxels, n_stimuli), float64, C order
    stimulus_ids : ndarray of str of shape (n_stimuli,)
        For messages.
    centred : bool
        Whether patterns are centred over the voxels of the neighbourhood.
    """

    values: np.ndarray
    stimulus_ids: np.ndarray
    centred: bool
    bytes_per_voxel: int = 0

    def open(self, near: Neighbourhoods, _start: int, _stop: int, _n_jobs: int) -> Fill:
        """Return a function that computes the RDMs of a range of neighbourhoods."""
        return partial(self._fill, near)

    def _fill(self, near: Neighbourhoods, start: int, stop: int) -> np.ndarray:
        rdms = np.empty((stop - start, _count_pairs(self.values.shape[1])))
        row, stimulus = kernels.fill_cosines(
            self.values, near.members, near.starts, start, self.centred, rdms
        )
        if row >= 0:
            what = "constant" if self.centred else "zero"
            raise ValueError(
                f"the pattern of stimulus {str(self.stimulus_ids[stimulus])!r} is {what} over the "
                f"{near.sizes[start + row]} voxels around voxel {near.centres[start + row]}, so it has no "
                f"{'correlation' if self.centred else 'cosine'}; leave such voxels out of the mask, or use "
                f"squared_euclidean."
            )
        return rdms


@dataclass(frozen=True, eq=False)
class SumEngine:
    """Distances that are means over voxels: squared Euclidean, and crossnobis with one noise level per voxel.

    Parameters
    ----------
    values : ndarray of shape (n_voxels, n_runs, n_stimuli), float64, C order
        Divided by each voxel's noise, where that counts. One run means without cross-validation.
    """

    values: np.ndarray

    @property
    def bytes_per_voxel(self) -> int:
        """Return the bytes of one voxel's dissimilarities."""
        return 8 * _count_pairs(self.values.shape[2])

    def open(self, near: Neighbourhoods, start: int, stop: int, n_jobs: int) -> Fill:
        """Compute the dissimilarities of each voxel in reach, in parallel, and return what averages them."""
        voxels = np.unique(near.members[near.starts[start] : near.starts[stop]])
        row_of = np.zeros(near.n_voxels, dtype=np.int64)
        row_of[voxels] = np.arange(len(voxels))
        table = np.empty((len(voxels), _count_pairs(self.values.shape[2])))
        parts = np.array_split(np.arange(len(voxels)), min(4 * n_jobs, len(voxels)))
        Parallel(n_jobs=n_jobs, backend="threading")(
            delayed(kernels.tabulate_squares)(self.values, voxels[part], table[part[0] : part[-1] + 1])
            for part in parts
        )
        return partial(self._fill, near, table, row_of)

    def _fill(
        self, near: Neighbourhoods, table: np.ndarray, row_of: np.ndarray, start: int, stop: int
    ) -> np.ndarray:
        rdms = np.empty((stop - start, table.shape[1]))
        kernels.average_neighbours(table, row_of, near.members, near.starts, start, rdms)
        return rdms


@dataclass(frozen=True, eq=False)
class MeanPatterns(LabelledPatterns):
    """One row per stimulus and run, run by run and stimuli in order: nothing is left to average."""

    @cached_property
    def stimulus_means(self) -> np.ndarray:
        """One pattern per stimulus: the mean over runs."""
        return self.values.reshape(-1, len(self.stimulus_ids), self.n_channels).mean(axis=0)

    def run_means(self) -> list[np.ndarray]:
        """Return one array (n_stimuli, n_channels) per run: the rows as they are."""
        return list(self.values.reshape(-1, len(self.stimulus_ids), self.n_channels))


@dataclass(frozen=True, eq=False)
class PlainEngine:
    """Any distance, one neighbourhood after the other: those with a noise precision of several voxels.

    Parameters
    ----------
    patterns : MeanPatterns
        Stimuli in the models' order.
    distance : str
    find_precision : callable
        The precision of the voxels of a neighbourhood, or None.
    """

    patterns: MeanPatterns
    distance: str
    find_precision: Callable[[np.ndarray], Precision | None]
    bytes_per_voxel: int = 0

    def open(self, near: Neighbourhoods, _start: int, _stop: int, _n_jobs: int) -> Fill:
        """Return a function that computes the RDMs of a range of neighbourhoods."""
        return partial(self._fill, near)

    def _fill(self, near: Neighbourhoods, start: int, stop: int) -> np.ndarray:
        rdms = np.empty((stop - start, _count_pairs(len(self.patterns.stimulus_ids))))
        compute = DISTANCES[self.distance].compute
        for row, number in enumerate(range(start, stop)):
            voxels = near.get(number)
            here = replace(
                self.patterns,
                values=np.ascontiguousarray(self.patterns.values[:, voxels]),
                name=f"the voxels around voxel {near.centres[number]}",
            )
            rdms[row] = compute(here, self.find_precision(voxels))
        return rdms


def make_covariance_finder(noise: Any) -> Callable[[np.ndarray], Precision]:
    """Return a function from voxel numbers to their precision: the inverse of their block of a covariance.

    Parameters
    ----------
    noise : ndarray of shape (n_voxels, n_voxels), or mapping from run to such an array
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
