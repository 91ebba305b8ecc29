"""Patterns of brain activity, labelled by stimulus, run, region and participant: `BrainPatterns`.

What belongs here: the noun, its selections and its file; where patterns come from is in `glm` and `images`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fernet_neuro._utils.archives import read_archive, read_header, write_archive
from fernet_neuro._utils.shown import Compared, Shown
from fernet_neuro._utils.validation import check_label, format_options, suggest
from fernet_neuro.brain.noise import invert_covariance
from fernet_neuro.exceptions import AlignmentError, StoreError
from fernet_neuro.typing import PathLike

FORMAT = "fernet-neuro brain patterns"
FORMAT_VERSION = 1
#: Relative difference from its transpose that a covariance may have by round-off.
_ASYMMETRY = 1e-6

#: One noise covariance for all runs, or one for each.
Covariance = np.ndarray | Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class BrainPatterns(Compared, Shown):
    """What the voxels (or vertices) of one region answer to stimuli, one row per observation.

    Parameters
    ----------
    values : ndarray of shape (n_observations, n_voxels), float
        Finite. Never edit it.
    stimulus_ids : ndarray of str of shape (n_observations,)
        A stimulus may occur in any number of rows.
    runs : ndarray of str of shape (n_observations,)
        The run of the scanner that each row comes from.
    roi : str
        Name of the region, such as ``"FFA"``: letters (A to Z) and digits, as are subject and session, for
        names of files are made of them.
    subject : str
        Who was scanned, such as ``"01"``.
    session : str, default=""
        Empty where there is one session only.
    unit : str, default=""
        Of the values, such as ``"beta"`` or ``"t"``; empty where unknown.
    noise_covariance : ndarray of shape (n_voxels, n_voxels), mapping from run to such an array, or None
        Covariance of the voxels when the stimulus stays the same, in the squared unit of the noise that it
        was estimated from (`noise.compute_covariance` of the residuals of a model).

    Raises
    ------
    ValueError
        If shapes do not fit together, a value is not finite, there is no voxel, roi or subject is empty, one
        of these or session has other signs than letters and digits, or a run has no noise covariance where
        they are by run.

    Examples
    --------
    >>> patterns = BrainPatterns(
    ...     np.arange(8.0).reshape(4, 2), ["a", "b", "a", "b"], ["1", "1", "2", "2"], "FFA", "01"
    ... )
    >>> patterns.select(runs=["2"]).values
    array([[4., 5.],
           [6., 7.]])
    """

    values: np.ndarray
    stimulus_ids: np.ndarray
    runs: np.ndarray
    roi: str
    subject: str
    session: str = ""
    unit: str = ""
    noise_covariance: Covariance | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.dtype.kind in "biu":
            values = values.astype(np.float64)
        for name in ("roi", "subject", "session", "unit"):
            object.__setattr__(self, name, str(getattr(self, name)))
        ids, runs = (np.asarray(labels, dtype=str) for labels in (self.stimulus_ids, self.runs))
        if values.dtype.kind != "f" or values.ndim != 2 or not values.size:
            raise ValueError(
                f"values must be real numbers of shape (n_observations, n_voxels), one or more of both; got "
                f"{values.dtype} {values.shape}."
            )
        for name, labels in (("stimulus_ids", ids), ("runs", runs)):
            if labels.shape != values.shape[:1]:
                raise ValueError(
                    f"{name} must have one entry per row of values, {len(values)}; got {labels.shape}."
                )
        for name in ("roi", "subject"):
            if not getattr(self, name):
                raise ValueError(f"patterns need a {name}; got an empty one.")
        for name in ("roi", "subject", "session"):
            check_label(name, getattr(self, name), may_be_empty=True)
        _check_finite(values, ids, self.roi)
        noise = _check_noise(self.noise_covariance, values.shape[1], runs)
        for name, value in (
            ("values", values),
            ("stimulus_ids", ids),
            ("runs", runs),
            ("noise_covariance", noise),
        ):
            object.__setattr__(self, name, value)

    def describe(self) -> str:
        """Return whose region this is, and its shape."""
        session = f", session {self.session}" if self.session else ""
        return (
            f"{self.roi} of subject {self.subject}{session}: {self.n_observations} observations of "
            f"{len(np.unique(self.stimulus_ids))} stimuli in {len(np.unique(self.runs))} runs, "
            f"{self.n_voxels} voxels"
        )

    @property
    def n_observations(self) -> int:
        """Number of rows."""
        return self.values.shape[0]

    @property
    def n_voxels(self) -> int:
        """Number of columns."""
        return self.values.shape[1]

    @property
    def stimuli(self) -> list[str]:
        """The different stimuli, in the order in which they occur first."""
        return list(dict.fromkeys(self.stimulus_ids.tolist()))

    @property
    def run_names(self) -> list[str]:
        """The different runs, in the order in which they occur first."""
        return list(dict.fromkeys(self.runs.tolist()))

    def take(self, rows: Sequence[int] | Sequence[bool] | np.ndarray) -> "BrainPatterns":
        """Return the observations of a mask or of row numbers, in their order."""
        index = np.arange(self.n_observations)[np.asarray(rows)]
        runs, noise = self.runs[index], self.noise_covariance
        if isinstance(noise, Mapping):
            noise = {name: noise[name] for name in noise if name in set(runs.tolist())}
        return replace(
            self,
            values=self.values[index],
            stimulus_ids=self.stimulus_ids[index],
            runs=runs,
            noise_covariance=noise,
        )

    def select(
        self, *, stimulus_ids: Iterable[str] | None = None, runs: Iterable[str] | None = None
    ) -> "BrainPatterns":
        """Return the observations of some stimuli, some runs or both, in the order that they have.

        Raises
        ------
        ValueError
            If a name is not among the stimuli or runs, or no observation has both.
        """
        keep = np.ones(self.n_observations, dtype=bool)
        for what, wanted, labels in (("stimulus", stimulus_ids, self.stimulus_ids), ("run", runs, self.runs)):
            if wanted is None:
                continue
            names, have = [str(name) for name in wanted], list(dict.fromkeys(labels.tolist()))
            for name in names:
                if name not in have:
                    raise ValueError(
                        f"{self.roi} of subject {self.subject} has no {what} {name!r}; there are: "
                        f"{format_options(have)}.{suggest(name, have)}"
                    )
            keep &= np.isin(labels, names)
        if not keep.any():
            raise ValueError("no observation is of both the stimuli and the runs asked for.")
        return self.take(keep)

    def align_to(self, stimulus_ids: Iterable[str]) -> "BrainPatterns":
        """Return the observations grouped by `stimulus_ids`, in that order: the one explicit way to reorder.

        Those of one stimulus keep their order; other stimuli are left out.

        Raises
        ------
        AlignmentError
            If there is no observation of an id.
        """
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.stimulus_ids.tolist()):
            rows.setdefault(name, []).append(row)
        wanted = [str(name) for name in stimulus_ids]
        absent = [name for name in wanted if name not in rows]
        if absent:
            raise AlignmentError(
                f"{self.roi} of subject {self.subject} has no patterns of {len(absent)} of the stimulus ids "
                f"(first: {absent[0]!r}).{suggest(absent[0], rows)}"
            )
        return self.take(np.array([row for name in wanted for row in rows[name]], dtype=int))

    def compute_precision(self) -> Covariance | None:
        """Return the inverse of the noise covariance, by run where that is by run; None without one.

        Raises
        ------
        ValueError
            If a covariance has no inverse.
        """
        noise, name = self.noise_covariance, f"the noise covariance of {self.roi} of subject {self.subject}"
        if noise is None:
            return None
        if isinstance(noise, Mapping):
            return {run: invert_covariance(matrix, f"{name} in run {run}") for run, matrix in noise.items()}
        return invert_covariance(noise, name)

    def save(self, path: PathLike) -> None:
        """Write the patterns as one ``.npz`` file, complete or not at all; `load` gives equal ones."""
        labels = {name: getattr(self, name) for name in ("roi", "subject", "session", "unit")}
        noise = self.noise_covariance
        matrices = list(noise.values()) if isinstance(noise, Mapping) else [] if noise is None else [noise]
        arrays = {"values": self.values, "stimulus_ids": self.stimulus_ids, "runs": self.runs}
        arrays |= {f"noise_{number}": matrix for number, matrix in enumerate(matrices)}
        header = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            **labels,
            "noise_runs": list(noise) if isinstance(noise, Mapping) else None,
        }
        write_archive(path, header, arrays)

    @classmethod
    def load(cls, path: PathLike) -> "BrainPatterns":
        """Read a file that `save` wrote.

        Raises
        ------
        StoreError
            If it is missing, damaged or of another format.
        """
        arrays = read_archive(path, "pattern")
        try:
            return _from_archive(arrays)
        except (KeyError, ValueError) as error:
            raise StoreError(
                f"pattern file {path} cannot be read ({error}); write it again with: "
                f"fernet-neuro brain patterns."
            ) from error


def _from_archive(arrays: dict[str, np.ndarray]) -> BrainPatterns:
    header = read_header(arrays, FORMAT, FORMAT_VERSION)
    runs = header["noise_runs"]
    noise: Covariance | None = arrays.get("noise_0")
    if runs is not None:
        noise = {run: arrays[f"noise_{number}"] for number, run in enumerate(runs)}
    labels = {name: header[name] for name in ("roi", "subject", "session", "unit")}
    return BrainPatterns(
        arrays["values"], arrays["stimulus_ids"], arrays["runs"], noise_covariance=noise, **labels
    )


def _check_finite(values: np.ndarray, ids: np.ndarray, roi: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, voxel = np.argwhere(~finite)[0]
        raise ValueError(
            f"patterns of {roi} hold {int((~finite).sum())} values that are not finite (first: "
            f"{values[row, voxel]} for stimulus {str(ids[row])!r} in voxel {voxel}); leave those voxels out."
        )


def _check_noise(noise: Covariance | None, n_voxels: int, runs: np.ndarray) -> Covariance | None:
    if noise is None:
        return None
    if not isinstance(noise, Mapping):
        return _check_covariance(noise, n_voxels, "noise_covariance")
    by_run = {str(run): matrix for run, matrix in noise.items()}
    absent = [run for run in dict.fromkeys(runs.tolist()) if run not in by_run]
    if absent:
        raise ValueError(
            f"there is no noise covariance for run {absent[0]!r}; there are: {format_options(by_run)}."
        )
    return {
        run: _check_covariance(matrix, n_voxels, f"noise_covariance of run {run!r}")
        for run, matrix in by_run.items()
    }


def _check_covariance(matrix: Any, n_voxels: int, name: str) -> np.ndarray:
    covariance = np.asarray(matrix, dtype=np.float64)
    if covariance.shape != (n_voxels, n_voxels):
        raise ValueError(f"{name} must have shape ({n_voxels}, {n_voxels}); got {covariance.shape}.")
    if not np.isfinite(covariance).all():
        raise ValueError(f"{name} holds values that are not finite.")
    if np.abs(covariance - covariance.T).max() > _ASYMMETRY * np.abs(covariance).max():
        raise ValueError(f"{name} must be symmetric.")
    return covariance
