"""From files to the patterns of one participant: labelled volumes, or runs of BOLD with their events.

What belongs here: reading in the right order and joining runs; models are in `glm`, files found in `bids`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fernet_neuro._utils.likeness import Seen
from fernet_neuro.brain.bids import RunFiles, find_runs, read_sidecar_of
from fernet_neuro.brain.confounds import check_patterns, read_run_confounds
from fernet_neuro.brain.copies import check_files_differ, check_new, check_runs_differ
from fernet_neuro.brain.glm import Design, GlmSettings, RunEstimates, build_design, estimate_run
from fernet_neuro.brain.grids import Grid, VolumeGrid
from fernet_neuro.brain.observations import (
    Observations,
    RegionPatterns,
    check_complete,
    check_stimuli_to_leave_out,
    cut_region,
    observe_volumes,
)
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.brain.rois import RoiSpec, build_rois, parse_roi
from fernet_neuro.brain.surfaces import SurfaceGrid, is_surface
from fernet_neuro.brain.tables import (
    check_events,
    describe_realignment,
    read_events,
    read_unlabelled_events,
    read_volume_labels,
)
from fernet_neuro.brain.times import find_t_r, first_of_each, list_doubts, read_times
from fernet_neuro.exceptions import FernetError, FernetWarning, StimulusError
from fernet_neuro.typing import PathLike

#: Stands for the brain mask of the images.
BRAIN = "brain"


@dataclass(frozen=True)
class PatternSettings:
    """What is made of the files of each participant.

    Parameters
    ----------
    rois : tuple of RoiSpec
        Regions.
    atlas_table : str, default=""
        Names of an atlas's labels.
    mask : str, default=""
        A mask, or ``brain`` for that of the images (see `bids.RunFiles`): patterns of all its voxels are
        written as an image; empty for only those of the regions.
    mesh : str, default=""
        ``LEFT,RIGHT`` mesh files, for surface data.
    leave_out : tuple of str
        Stimuli of which no pattern is wanted.
    stimulus_column, run_column : str or None
        Columns of events and labels.
    noise : str, default="shrinkage_eye"
        Estimate of the noise covariance, or ``none``.
    noise_by_run : bool, default=False
    allow_missing : bool, default=False
        Accept a run that lacks a stimulus.
    detrend, zscore, average : bool, default=False
        Of labelled volumes.
    baseline : str, default=""
        Stimulus whose volumes z-scores go by.
    unit : str, default=""
        Of labelled volumes.
    glm : GlmSettings
        Of BOLD.
    confounds : tuple of str or None
        Columns; None takes the six of head motion where there is a table of confounds.
    strategy : str, default=""
        A name in ``confounds.STRATEGIES`` in place of columns.
    skip_unlabelled : bool, default=False
        Leave events without a stimulus, such as button presses, out of the model.
    t_r, start_time : float or None
        Seconds; None takes them from the sidecar or the header.
    duration : float or None
        Seconds that every event lasts; None takes it from the file.
    """

    rois: tuple[RoiSpec, ...]
    atlas_table: str = ""
    mask: str = ""
    mesh: str = ""
    leave_out: tuple[str, ...] = ()
    stimulus_column: str | None = None
    run_column: str | None = None
    noise: str = "shrinkage_eye"
    noise_by_run: bool = False
    allow_missing: bool = False
    detrend: bool = False
    zscore: bool = False
    average: bool = False
    baseline: str = ""
    unit: str = ""
    glm: GlmSettings = field(default_factory=GlmSettings)
    confounds: tuple[str, ...] | None = None
    strategy: str = ""
    skip_unlabelled: bool = False
    t_r: float | None = None
    start_time: float | None = None
    duration: float | None = None

    def describe(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class SubjectPatterns:
    """All patterns of one participant and session.

    Parameters
    ----------
    regions : list of RegionPatterns
    observations : Observations
        At all points of `inside`.
    grid : Grid
    inside : ndarray of bool of shape (n_points,)
        Regions and mask together.
    """

    regions: list[RegionPatterns]
    observations: Observations
    grid: Grid
    inside: np.ndarray


def compute_labelled_patterns(
    sources: Sequence[str], labels: str, settings: PatternSettings, *, subject: str, session: str = ""
) -> SubjectPatterns:
    """Return the patterns of volumes whose stimuli a table names.

    Parameters
    ----------
    sources : sequence of str
        4-D images, one after the other, or GIFTI files ``LEFT,RIGHT``.
    labels : str
        Table with one row per volume of all.
    settings : PatternSettings
    subject, session : str

    Raises
    ------
    ValueError, StoreError, StimulusError
        If files are missing, damaged, of several grids or do not go together.
    """
    grid = open_grid(sources[0], settings.mesh)
    rois, inside = _find_points(grid, settings, subject, session, settings.mask)
    table = read_volume_labels(
        labels, stimulus_column=settings.stimulus_column, run_column=settings.run_column
    )
    values = np.concatenate([grid.read(source, inside) for source in sources])
    name = f"{', '.join(sources)} in {'the mask and ' if settings.mask else ''}the regions"
    observed = observe_volumes(
        values, table, detrend=settings.detrend, zscore=settings.zscore, baseline=settings.baseline,
        leave_out=settings.leave_out, average=settings.average, name=name,
    )  # fmt: skip
    check_runs_differ(values, table["run"], table["stimulus_id"], ", ".join(sources))
    unit = settings.unit or ("z" if settings.zscore else "")
    return _cut(observed, grid, rois, inside, settings, subject=subject, session=session, unit=unit)


def compute_run_patterns(files: Sequence[RunFiles], settings: PatternSettings) -> SubjectPatterns:
    """Return the patterns of the runs of one participant and session.

    Parameters
    ----------
    files : sequence of RunFiles
    settings : PatternSettings

    Raises
    ------
    ValueError, StoreError, StimulusError
        If files are missing, damaged, of several grids or do not go together; the message names the file.
    """
    first = files[0]
    grid = open_grid(first.bold, settings.mesh)
    _check_left_out(files, settings)
    mask = _find_brain_mask(first) if settings.mask == BRAIN else settings.mask
    rois, inside = _find_points(grid, settings, first.subject, first.session, mask)
    noise_points = np.logical_or.reduce(list(rois.values()))
    parts = []
    seen = Seen()
    for item in files:
        volumes = grid.read(item.bold, inside)
        check_new(volumes, item.bold, seen, is_run=True)
        parts.append(_observe_run(item, volumes, noise_points, settings))
    observed = _join(parts, files, noise_points)
    return _cut(
        observed, grid, rois, inside, settings,
        subject=first.subject, session=first.session, unit=settings.glm.statistic,
    )  # fmt: skip


def compute_dataset_patterns(
    dataset: PathLike, settings: PatternSettings | None = None, *, raw: bool = False, **files: Any
) -> list[BrainPatterns]:
    """Return the patterns of all regions of all participants of a BIDS data set, in memory.

    Parameters
    ----------
    dataset : path
    settings : PatternSettings, default=None
        None for the defaults, with the regions in ``derivatives/rois``.
    raw : bool, default=False
        Take the data set's own images, not fMRIPrep's.
    **files
        Which files, as in `bids.find_runs`.

    Raises
    ------
    ValueError, StoreError, StimulusError
        As `bids.find_runs` and `compute_run_patterns`.
    """
    chosen = settings or PatternSettings(tuple(parse_roi(str(Path(dataset) / "derivatives" / "rois"))))
    found = find_runs(dataset, raw=raw, **files)
    check_runs(found, chosen)
    people = list_sessions(found)
    return [
        region.patterns
        for sessions in people.values()
        for runs in sessions.values()
        for region in compute_run_patterns(runs, chosen).regions
    ]


def check_runs(files: Sequence[RunFiles], settings: PatternSettings) -> None:
    """Refuse images that are there twice, confounds that no run has and times that disagree; warn of doubts.

    Raises
    ------
    StimulusError, ValueError
        As `copies.check_files_differ`, `confounds.check_patterns` and `times.find_t_r`.
    """
    check_files_differ({path: _describe_run(item) for item in files for path in item.bold.split(",")})
    tables = [item.confounds for item in files if item.confounds and settings.confounds != ()]
    check_patterns(tables, settings.confounds or ())
    for item in files:
        if item.times.t_r is not None:  # here, and not after the work of all participants before
            find_t_r(item.bold, item.times.t_r, settings.t_r)
    doubts = [
        (item.bold, text)
        for item in files
        for text in list_doubts(item.bold, item.times, settings.start_time)
    ]
    if settings.strategy in ("", "motion"):
        doubts += [(table, text) for table in tables if (text := describe_realignment(table))]
    for text in first_of_each(doubts):
        warnings.warn(text, FernetWarning, stacklevel=2)


def _describe_run(item: RunFiles) -> str:
    session = f", session {item.session}" if item.session else ""
    return f"run {item.run} of subject {item.subject}{session}"


def open_grid(source: str, mesh: str = "") -> Grid:
    """Return where the data of a source lie.

    Raises
    ------
    ValueError
        If surface data come without a mesh, or an image with one.
    """
    if is_surface(source) != bool(mesh):
        raise ValueError(
            f"{source} is surface data and needs --mesh LEFT,RIGHT."
            if is_surface(source)
            else f"--mesh goes with surface data; {source} is an image."
        )
    return SurfaceGrid.of(mesh) if mesh else VolumeGrid.of(source)


def _find_points(
    grid: Grid, settings: PatternSettings, subject: str, session: str, mask: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the regions, as masks of the points that are read, and which those are."""
    rois = build_rois(
        grid, settings.rois, subject=subject, session=session, atlas_table=settings.atlas_table or None
    )
    inside = np.logical_or.reduce(list(rois.values()))
    if mask:
        inside = inside | grid.read_mask(mask.replace("{subject}", subject).replace("{session}", session))
    return {name: region[inside] for name, region in rois.items()}, inside


def _observe_run(
    item: RunFiles, volumes: np.ndarray, noise_points: np.ndarray, settings: PatternSettings
) -> tuple[RunEstimates, dict[str, np.ndarray]]:
    """Return the estimates of one run, NaN at points that cannot be used, and those points by reason."""
    design, pooled = _build_designs(item, len(volumes), settings)
    finite = np.isfinite(volumes).all(axis=0)
    constant = finite & (volumes == volumes[0]).all(axis=0)
    usable = finite & ~constant
    if not usable.any():
        raise StimulusError(
            f"{item.bold}: all {volumes.shape[1]} voxels of the regions are NaN or constant; do the regions "
            f"lie inside the scanned volume?"
        )
    found = estimate_run(volumes[:, usable], design, settings.glm, pooled=pooled)
    values = np.full((len(found.values), len(usable)), np.nan)
    values[:, usable] = found.values
    residuals = np.full((len(volumes), int(noise_points.sum())), np.nan)
    residuals[:, usable[noise_points]] = found.residuals[:, noise_points[usable]]
    estimates = RunEstimates(values, found.stimulus_ids, residuals, found.dof)
    return estimates, {"not_finite": ~finite, "constant": constant}


def _build_designs(item: RunFiles, n_scans: int, settings: PatternSettings) -> tuple[Design, Design | None]:
    """Return the design of a run and, where presentations have models of their own, that of its noise."""
    t_r = find_t_r(item.bold, item.times.t_r, settings.t_r)
    column, duration = settings.stimulus_column, settings.duration
    events = read_events(item.events, stimulus_column=column, duration=duration)
    check_events(events, n_scans, t_r, item.events)
    others = None
    if not settings.skip_unlabelled:
        others = read_unlabelled_events(item.events, stimulus_column=column, duration=duration)
    confounds = read_run_confounds(item, settings.confounds, settings.strategy, n_scans)
    start = item.times.start_time if settings.start_time is None else settings.start_time
    build = partial(
        build_design, events, n_scans, t_r, settings.glm, confounds=confounds,
        leave_out=settings.leave_out, start_time=start or 0.0, others=others,
    )  # fmt: skip
    try:
        return build(), build(by_presentation=False) if settings.glm.estimate == "lss" else None
    except FernetError as error:
        raise StimulusError(f"{item.events}: {error}") from error


def _check_left_out(files: Sequence[RunFiles], settings: PatternSettings) -> None:
    if settings.leave_out:
        tables = [
            read_events(item.events, stimulus_column=settings.stimulus_column, duration=settings.duration)
            for item in files
        ]
        check_stimuli_to_leave_out(
            settings.leave_out, [name for table in tables for name in table["stimulus_id"]]
        )


def _find_brain_mask(item: RunFiles) -> str:
    if not item.mask:
        raise StimulusError(f"{item.bold} has no brain mask beside it; name one with --mask FILE.")
    return item.mask


def _join(
    parts: Sequence[tuple[RunEstimates, dict[str, np.ndarray]]],
    files: Sequence[RunFiles],
    noise_points: np.ndarray,
) -> Observations:
    estimates = [part for part, _ in parts]
    runs = np.concatenate(
        [np.full(len(part.values), item.run) for part, item in zip(estimates, files, strict=True)]
    )
    reasons = {
        reason: np.logical_or.reduce([bad[reason] for _, bad in parts])
        for reason in ("not_finite", "constant")
    }
    return Observations(
        np.concatenate([part.values for part in estimates]),
        np.concatenate([part.stimulus_ids for part in estimates]),
        runs,
        {item.run: part.residuals for part, item in zip(estimates, files, strict=True)},
        {item.run: part.dof for part, item in zip(estimates, files, strict=True)},
        reasons,
        noise_points,
    )


def _cut(
    observed: Observations,
    grid: Grid,
    rois: dict[str, np.ndarray],
    inside: np.ndarray,
    settings: PatternSettings,
    *,
    subject: str,
    session: str,
    unit: str,
) -> SubjectPatterns:
    if not settings.allow_missing:
        check_complete(observed.stimulus_ids, observed.runs, f"subject {subject}")
    regions = [
        cut_region(
            observed, region, name, subject=subject, session=session, unit=unit, noise=settings.noise,
            noise_by_run=settings.noise_by_run,
        )
        for name, region in rois.items()
    ]  # fmt: skip
    return SubjectPatterns(regions, observed, grid, inside)


def list_sessions(files: Sequence[RunFiles]) -> dict[str, dict[str, list[RunFiles]]]:
    """Return the runs by participant and session, in their order."""
    found: dict[str, dict[str, list[RunFiles]]] = {}
    for item in files:
        found.setdefault(item.subject, {}).setdefault(item.session, []).append(item)
    return found


def pair_runs(
    bold: Sequence[str],
    events: Sequence[str],
    confounds: Sequence[str],
    *,
    subject: str,
    session: str = "",
    task: str = "",
    runs: Sequence[str] = (),
) -> list[RunFiles]:
    """Return the files of runs that were named one by one, in order.

    Raises
    ------
    ValueError
        If there are not as many events as images, or, if any, as many confounds or names of runs.
    """
    for name, items, needed in (
        ("events", events, True),
        ("confounds", confounds, False),
        ("run", runs, False),
    ):
        if len(items) != len(bold) and (items or needed):
            raise ValueError(
                f"there are {len(bold)} images and {len(items)} times --{name}; give one for each."
            )
    names = list(runs) or [f"{number:02d}" for number in range(1, len(bold) + 1)]
    tables = list(confounds) or [""] * len(bold)
    return [
        RunFiles(
            subject, session, task, run, image, table, extra, times=read_times(read_sidecar_of(image), image)
        )
        for image, table, extra, run in zip(bold, events, tables, names, strict=True)
    ]
