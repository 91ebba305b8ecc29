"""Patterns with the stimulus and the run of each row, and what they may not hold.

What belongs here: labels, averages over rows, and the checks that name the stimulus, the channel or the run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import AlignmentError

#: Relative difference from its transpose that a precision matrix may have by round-off.
_ASYMMETRY = 1e-6


@dataclass(frozen=True, eq=False)
class LabelledPatterns:
    """Rows of patterns, each with its stimulus and perhaps its run.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_channels)
    stimulus_ids : ndarray of str of shape (n_stimuli,)
        In the order in which they occur first.
    stimulus_of : ndarray of int of shape (n_rows,)
    runs : list
        The runs, in the order in which they occur first; empty without.
    run_of : ndarray of int of shape (n_rows,)
    name : str
        What errors call the patterns.
    """

    values: np.ndarray
    stimulus_ids: np.ndarray
    stimulus_of: np.ndarray
    runs: list[Any]
    run_of: np.ndarray
    name: str

    @property
    def n_channels(self) -> int:
        """Number of columns."""
        return self.values.shape[1]

    def row_means(self) -> np.ndarray:
        """Return each stimulus's mean over channels, shape (n_stimuli,); all must be finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            means = self.stimulus_means.mean(axis=1, dtype=np.float64)
        if not np.isfinite(means).all():
            self._raise_not_finite()
        return means

    @cached_property
    def stimulus_means(self) -> np.ndarray:
        """One pattern per stimulus; the values as they are where no stimulus is repeated."""
        if len(self.stimulus_ids) == len(self.values):
            return self.values
        return _average(self.values, self.stimulus_of, len(self.stimulus_ids))

    def run_means(self) -> list[np.ndarray]:
        """Return one array (n_stimuli, n_channels) per run."""
        if len(self.runs) < 2:
            raise ValueError(f"crossnobis needs two or more runs; {self.name} have {len(self.runs)}.")
        means = []
        for number, run in enumerate(self.runs):
            rows = np.flatnonzero(self.run_of == number)
            absent = np.setdiff1d(np.arange(len(self.stimulus_ids)), self.stimulus_of[rows])
            if len(absent):
                raise ValueError(
                    f"run {run!r} of {self.name} has no pattern of {len(absent)} of {len(self.stimulus_ids)} "
                    f"stimuli (first: {str(self.stimulus_ids[absent[0]])!r}); leave out that run, or those "
                    f"stimuli."
                )
            means.append(_average(self.values[rows], self.stimulus_of[rows], len(self.stimulus_ids)))
        return means

    def check_varied(self) -> None:
        """Refuse patterns that are constant over channels: they correlate with nothing."""
        if self.n_channels < 2:
            raise ValueError(f"correlation needs two or more channels; {self.name} have {self.n_channels}.")
        values = self.stimulus_means
        constant = [row for row, pattern in enumerate(values) if _is_constant(pattern)]
        self._raise_for(constant, "constant over channels", "correlation", "squared_euclidean")

    def check_nonzero(self) -> None:
        """Refuse patterns that are zero everywhere: they have no direction."""
        empty = [row for row, pattern in enumerate(self.stimulus_means) if not pattern.any()]
        self._raise_for(empty, "zero in every channel", "cosine", "squared_euclidean")

    def check_run_precisions(self, precisions: Mapping[Any, np.ndarray]) -> list[np.ndarray]:
        """Return the precision of each run, in the order of `runs`."""
        absent = [run for run in self.runs if run not in precisions]
        if absent:
            raise ValueError(
                f"there is no precision for run {absent[0]!r}; there are: {format_options(precisions)}."
            )
        return [check_precision(precisions[run], self.n_channels) for run in self.runs]

    def _raise_for(self, rows: list[int], what: str, distance: str, instead: str) -> None:
        if rows:
            first = str(self.stimulus_ids[rows[0]])
            raise ValueError(
                f"{self.name}: {len(rows)} of {len(self.stimulus_ids)} patterns are {what} (first: stimulus "
                f"{first!r}), so their {distance} distance is not defined; leave those stimuli out, or use "
                f"{instead}."
            )

    def _raise_not_finite(self) -> None:
        count, first = 0, ""
        for row, pattern in enumerate(self.values):
            bad = np.flatnonzero(~np.isfinite(pattern))
            if len(bad) and not first:
                stimulus = str(self.stimulus_ids[self.stimulus_of[row]])
                first = f"{pattern[bad[0]]} for stimulus {stimulus!r} in channel {bad[0]}"
            count += len(bad)
        if not count:
            raise ValueError(f"{self.name} hold values too large to add up in float64.")
        raise ValueError(f"{self.name} hold {count} values that are not finite (first: {first}).")


def label_patterns(
    values: np.ndarray, stimulus_ids: Iterable[str], runs: Iterable[Any] | None, name: str
) -> LabelledPatterns:
    """Return labelled patterns, checked."""
    if values.ndim != 2 or values.shape[1] < 1 or values.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be real numbers of shape (n_rows, n_channels); got {values.dtype} {values.shape}."
        )
    ids = [str(item) for item in stimulus_ids]
    run_labels = [] if runs is None else np.asarray(list(runs)).tolist()
    for what, items in (("stimulus_ids", ids), ("runs", run_labels)):
        if (what == "stimulus_ids" or runs is not None) and len(items) != len(values):
            raise AlignmentError(f"{name} have {len(values)} rows but {len(items)} {what}.")
    names, stimulus_of = _number_items(ids)
    run_names, run_of = _number_items(run_labels)
    if len(names) < 2:
        raise ValueError(f"an RDM needs two or more stimuli; {name} have {len(names)}.")
    return LabelledPatterns(values, np.array(names, dtype=str), stimulus_of, run_names, run_of, name)


def check_precision(precision: Any, n_channels: int) -> Any:
    """Return a precision matrix as float64, or None as it is."""
    if precision is None:
        return None
    matrix = np.asarray(precision, dtype=np.float64)
    if matrix.shape != (n_channels, n_channels):
        raise ValueError(
            f"precision must have shape ({n_channels}, {n_channels}), as the patterns have channels; "
            f"got {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(
            f"precision is {matrix[row, column]} for channels {row} and {column}; it must be finite."
        )
    if np.abs(matrix - matrix.T).max() > _ASYMMETRY * np.abs(matrix).max():
        raise ValueError("precision must be symmetric; it is an inverse covariance.")
    return (matrix + matrix.T) / 2


def _number_items(items: list[Any]) -> tuple[list[Any], np.ndarray]:
    """Return the different items in the order of their first occurrence, and the number of each item's."""
    numbers = {item: number for number, item in enumerate(dict.fromkeys(items))}
    return list(numbers), np.array([numbers[item] for item in items], dtype=int)


def _average(values: np.ndarray, group_of: np.ndarray, n_groups: int) -> np.ndarray:
    sums = np.zeros((n_groups, values.shape[1]))
    with np.errstate(invalid="ignore"):  # infinities are named by whoever asks for finite means
        np.add.at(sums, group_of, values)
    return sums / np.bincount(group_of, minlength=n_groups)[:, None]


def _is_constant(pattern: np.ndarray) -> bool:
    # Most patterns differ already in their first values; only others are read to the end.
    return bool(pattern[0] == pattern[1]) and bool((pattern == pattern[0]).all())
