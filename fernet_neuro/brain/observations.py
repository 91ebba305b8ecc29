"""Rows of values at many points before they are cut into regions: from runs, or from labelled volumes.

What belongs here: `Observations`, how labelled volumes become them, and how regions are cut out of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fernet_neuro._utils.validation import check_option, format_options, suggest
from fernet_neuro.brain.images import check_constant_voxels
from fernet_neuro.brain.noise import COVARIANCES, compute_covariance
from fernet_neuro.brain.patterns import BrainPatterns, Covariance
from fernet_neuro.exceptions import StimulusError

#: Voxels of which the covariance would take more than 2 GiB.
_MOST_VOXELS = 16384
#: What noise is estimated from besides the methods of `noise`.
NOISE_CHOICES = (*COVARIANCES, "none")


@dataclass(frozen=True, eq=False)
class Observations:
    """Labelled rows at the points of one mask.

    Parameters
    ----------
    values : ndarray of shape (n_observations, n_points)
        NaN at points that cannot be used.
    stimulus_ids, runs : ndarray of str of shape (n_observations,)
    residuals : mapping from run to ndarray of shape (n_residuals, n_noise_points)
        What the stimuli leave unexplained, at the points of `noise_points`.
    dof : mapping from run to int
        Degrees of freedom of the residuals.
    left_out : dict from reason to ndarray of bool of shape (n_points,)
        Points that cannot be used, ``not_finite`` and ``constant``.
    noise_points : ndarray of bool of shape (n_points,)
        Where there are residuals: those of a whole brain would not fit in memory.
    """

    values: np.ndarray
    stimulus_ids: np.ndarray
    runs: np.ndarray
    residuals: Mapping[str, np.ndarray]
    dof: Mapping[str, int]
    left_out: Mapping[str, np.ndarray]
    noise_points: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """Points that can be used, ndarray of bool of shape (n_points,)."""
        return ~np.logical_or.reduce(list(self.left_out.values()))


@dataclass(frozen=True, eq=False)
class RegionPatterns:
    """The patterns of one region, and which voxels they are of.

    `inside` (n_points,): of all points of the observations, those that are used. `left_out`: how many voxels
    of the region are not, by reason.
    """

    patterns: BrainPatterns
    inside: np.ndarray
    left_out: dict[str, int]


def observe_volumes(
    values: np.ndarray,
    labels: pd.DataFrame,
    *,
    detrend: bool = False,
    zscore: bool = False,
    baseline: str = "",
    leave_out: Sequence[str] = (),
    average: bool = False,
    name: str = "the images",
) -> Observations:
    """Return labelled volumes as observations.

    Noise is what is left of each volume less the mean of its stimulus in its run; where no stimulus has two
    volumes in a run, less the means of its stimulus and of its run.

    Parameters
    ----------
    values : ndarray of shape (n_volumes, n_points)
    labels : DataFrame of shape (n_volumes, 2)
        Columns ``stimulus_id`` and ``run``.
    detrend : bool, default=False
        Take a line off each voxel's values in each run, of all volumes.
    zscore : bool, default=False
        Then make each voxel's mean 0 and its variance 1 in each run, over all volumes.
    baseline : str, default=""
        A stimulus such as rest: mean and variance are then those of its volumes in the run, not of all.
    leave_out : sequence of str
        Stimuli whose volumes are then left out, such as rest.
    average : bool, default=False
        Return the mean over the volumes of each stimulus in each run.

    Raises
    ------
    ValueError
        If there is not one row of labels per volume, or a name to leave out is not a stimulus.
    StimulusError
        If no voxel can be used, a run is too short to be z-scored, or nothing is left.
    """
    if len(labels) != len(values):
        raise ValueError(f"{name} have {len(values)} volumes, the table of labels {len(labels)} rows.")
    check_stimuli_to_leave_out(leave_out, labels["stimulus_id"])
    if baseline and not zscore:
        raise ValueError("a baseline is for z-scores; ask for zscore too.")
    reference = labels["stimulus_id"].to_numpy() == baseline if baseline else np.ones(len(labels), dtype=bool)
    left_out = _find_unusable(values, labels["run"].to_numpy(), name)
    usable = ~np.logical_or.reduce(list(left_out.values()))
    cleaned = np.full(values.shape, np.nan)
    cleaned[:, usable] = _clean(
        values[:, usable], labels["run"].to_numpy(), reference, detrend=detrend, zscore=zscore
    )
    keep = ~labels["stimulus_id"].isin(list(leave_out)).to_numpy()
    if not keep.any():
        raise StimulusError(f"{name}: no volume is left; all are of stimuli to leave out.")
    kept, rows = cleaned[keep], labels[keep].reset_index(drop=True)
    residuals, dof = _find_residuals(kept, rows)
    if average:
        kept, rows = _average(kept, rows)
    ids, runs = (rows[column].to_numpy(dtype=str) for column in ("stimulus_id", "run"))
    return Observations(kept, ids, runs, residuals, dof, left_out, np.ones(values.shape[1], dtype=bool))


def cut_region(
    observations: Observations,
    inside: np.ndarray,
    roi: str,
    *,
    subject: str,
    session: str = "",
    unit: str = "",
    noise: str = "shrinkage_eye",
    noise_by_run: bool = False,
) -> RegionPatterns:
    """Return the patterns of one region.

    `inside` (n_points,): the region. `noise`: a method of `noise.compute_covariance`, or ``none``.
    `noise_by_run`: one covariance for each run, not one for all. Raises StimulusError if no voxel of the
    region can be used; ValueError if noise cannot be estimated.
    """
    check_option("noise", noise, NOISE_CHOICES)
    counts = {reason: int((bad & inside).sum()) for reason, bad in observations.left_out.items()}
    used = inside & observations.usable
    if not used.any():
        raise StimulusError(
            f"region {roi} of subject {subject}: all {int(inside.sum())} voxels are NaN or constant; does "
            f"the region lie inside the scanned volume?"
        )
    covariance = None
    if noise != "none":
        covariance = _estimate_noise(observations, used, roi, noise, noise_by_run)
    patterns = BrainPatterns(
        observations.values[:, used],
        observations.stimulus_ids,
        observations.runs,
        roi,
        subject,
        session,
        unit,
        covariance,
    )
    return RegionPatterns(patterns, used, counts)


def check_complete(stimulus_ids: np.ndarray, runs: np.ndarray, name: str) -> None:
    """Raise unless every run has every stimulus.

    Raises StimulusError naming the first run that lacks one.
    """
    everything = list(dict.fromkeys(stimulus_ids.tolist()))
    for run in dict.fromkeys(runs.tolist()):
        shown = set(stimulus_ids[runs == run].tolist())
        absent = [item for item in everything if item not in shown]
        if absent:
            raise StimulusError(
                f"run {run} of {name} lacks {len(absent)} of {len(everything)} stimuli (first: "
                f"{absent[0]!r}); leave out that run or those stimuli, or allow it (--allow-missing; "
                f"crossnobis will refuse such patterns)."
            )


def check_stimuli_to_leave_out(leave_out: Iterable[str], stimulus_ids: Iterable[str]) -> None:
    """Raise unless every name is a stimulus.

    Raises ValueError naming the first that is not.
    """
    have = list(dict.fromkeys(stimulus_ids))
    for name in leave_out:
        if name not in have:
            raise ValueError(
                f"there is no stimulus {name!r} to leave out; there are: {format_options(have)}."
                f"{suggest(name, have)}"
            )


def _find_unusable(values: np.ndarray, runs: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Return which points are not finite somewhere, and which are constant in a run."""
    check_constant_voxels(values, name)
    bad = {"not_finite": ~np.isfinite(values).all(axis=0), "constant": np.zeros(values.shape[1], dtype=bool)}
    for run in dict.fromkeys(runs.tolist()):
        rows = values[runs == run]
        bad["constant"] |= (rows == rows[0]).all(axis=0) & (len(rows) > 1) & ~bad["not_finite"]
    return bad


def _clean(
    values: np.ndarray, runs: np.ndarray, reference: np.ndarray, *, detrend: bool, zscore: bool
) -> np.ndarray:
    """Return the values without lines, and in units of the reference volumes of each run."""
    if not detrend and not zscore:
        return values
    from nilearn.signal import clean

    cleaned = np.empty_like(values)
    for run in dict.fromkeys(runs.tolist()):
        rows = np.flatnonzero(runs == run)
        own = reference[rows]
        if own.sum() < 3:
            raise StimulusError(
                f"run {run} has {int(own.sum())} volumes to go by; detrending and z-scoring need three "
                f"or more."
            )
        part = values[rows]
        if detrend:
            part = clean(part, detrend=True, standardize=None, filter=False)
        if zscore:
            part = (part - part[own].mean(axis=0)) / _spread(part[own], run)
        cleaned[rows] = part
    return cleaned


def _spread(values: np.ndarray, run: str) -> np.ndarray:
    spread = values.std(axis=0, ddof=1)
    flat = int((spread == 0).sum())
    if flat:
        raise StimulusError(
            f"{flat} of {len(spread)} voxels do not vary in the volumes that z-scores go by in run {run}; "
            f"go by all volumes, or use a mask without them."
        )
    return spread


def _find_residuals(values: np.ndarray, labels: pd.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Return the residuals of each run and their degrees of freedom."""
    runs = labels["run"].to_numpy()
    cells = labels.groupby(["run", "stimulus_id"], sort=False).ngroup().to_numpy()
    n_cells = int(cells.max()) + 1
    if n_cells < len(labels):
        left = values - _means(values, cells)[cells]
        dof = {run: int((runs == run).sum()) - len(set(cells[runs == run])) for run in dict.fromkeys(runs)}
        return {run: left[runs == run] for run in dof}, dof
    return _find_residuals_over_runs(values, labels)


def _find_residuals_over_runs(
    values: np.ndarray, labels: pd.DataFrame
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Return what the means of stimuli and runs leave, where each stimulus occurs once in a run."""
    coded = [pd.factorize(labels[name])[0] for name in ("run", "stimulus_id")]
    # Dummies of both factors: also right where a run lacks a stimulus.
    design = np.hstack([np.eye(codes.max() + 1)[codes] for codes in coded])
    basis, singular, _ = np.linalg.svd(design, full_matrices=False)
    basis = basis[:, singular > 1e-9 * singular[0]]
    left = values - basis @ (basis.T @ values)
    total, runs = len(values) - basis.shape[1], labels["run"].to_numpy()
    names = list(dict.fromkeys(runs))
    shares = {run: (runs == run).sum() * total / len(values) for run in names}
    dof = {run: int(np.floor(share)) for run, share in shares.items()}
    dof[names[-1]] += total - sum(dof.values())
    return {run: left[runs == run] for run in names}, dof


def _estimate_noise(
    observations: Observations, used: np.ndarray, roi: str, method: str, by_run: bool
) -> Covariance:
    n_voxels = int(used.sum())
    if n_voxels > _MOST_VOXELS:
        raise ValueError(
            f"region {roi} has {n_voxels} voxels; their noise covariance would take "
            f"{n_voxels**2 * 8 / 2**30:.1f} GiB. Use smaller regions, or noise none."
        )
    columns = used[observations.noise_points]
    parts = {run: part[:, columns] for run, part in observations.residuals.items()}
    try:
        if by_run:
            return {
                run: compute_covariance(part, method, dof=observations.dof[run])
                for run, part in parts.items()
            }
        return compute_covariance(
            np.concatenate(list(parts.values())), method, dof=sum(observations.dof.values())
        )
    except ValueError as error:
        raise ValueError(
            f"the noise of region {roi} cannot be estimated: {error} (noise none leaves it out.)"
        ) from error


def _average(values: np.ndarray, labels: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    cells = labels.groupby(["run", "stimulus_id"], sort=False).ngroup().to_numpy()
    return _means(values, cells), labels.drop_duplicates(["run", "stimulus_id"]).reset_index(drop=True)


def _means(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    sums = np.zeros((int(cells.max()) + 1, values.shape[1]))
    np.add.at(sums, cells, values)
    return sums / np.bincount(cells)[:, None]
