"""Patterns of whole volumes, with the place of each voxel: what a searchlight moves through.

What belongs here: finding and reading images with their labels, and patterns with their mask; what is
computed from them is in ``rsa/searchlight/group.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fernet_neuro._utils.likeness import Seen
from fernet_neuro._utils.validation import check_label, check_option, format_options, suggest
from fernet_neuro.brain import images
from fernet_neuro.brain.bids import parse_entities, strip_suffix
from fernet_neuro.brain.copies import check_runs_differ
from fernet_neuro.brain.observations import observe_volumes
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.brain.tables import read_volume_labels
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

#: How distances may take noise into account: the variance of each voxel, or the covariance of each
#: neighbourhood.
NOISE_KINDS = ("none", "univariate", "local")
_IMAGES = (".nii", ".nii.gz")
_TABLES = (".tsv", ".csv", ".txt")


@dataclass(frozen=True)
class VolumeSource:
    """The files of one participant and session.

    `path`: a 4-D image with one pattern per volume, or a ``.npz`` of `BrainPatterns`. `subject`, `session`,
    `task`: from the file's name or content; session and task may be empty. `labels`: table of stimuli and
    runs, of an image. `mask`: image of the voxels; empty for all voxels of an image that are finite and vary.
    """

    path: str
    subject: str
    session: str
    task: str
    labels: str
    mask: str


@dataclass(frozen=True, eq=False)
class VolumePatterns:
    """Patterns of all voxels of a mask.

    `values` (n_observations, n_voxels): in the order of ``np.nonzero(mask)``. `stimulus_ids`, `runs`
    (n_observations,). `mask` (n_x, n_y, n_z). `affine` (4, 4): from voxel numbers to mm. `residuals`
    (n_residuals, n_voxels): what stimuli leave unexplained. `covariance`: noise covariance, where that is
    known instead. `left_out`: how many voxels of the mask cannot be used, by reason.
    """

    values: np.ndarray
    stimulus_ids: np.ndarray
    runs: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    subject: str
    session: str
    task: str
    residuals: np.ndarray | None
    covariance: Any
    left_out: dict[str, int]

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return self.values.shape[1]

    @property
    def coordinates(self) -> np.ndarray:
        """Where the voxels lie, ndarray of shape (n_voxels, 3), in mm of the image's space."""
        return images.compute_coordinates(self.mask, self.affine)

    def describe_noise(self, kind: str) -> dict[str, Any]:
        """Return the noise as ``rsa.searchlight.search_patterns`` takes it: ``noise`` or ``residuals``.

        `kind`: ``none``; ``univariate``, the variance of each voxel; or ``local``, the covariance of the
        voxels of each neighbourhood. With one covariance per run, the variances are means over runs. Raises
        ValueError if the kind is not known, or nothing is known of the noise.
        """
        check_option("noise", kind, NOISE_KINDS)
        if kind == "none":
            return {}
        if self.residuals is None and self.covariance is None:
            raise ValueError(
                f"the patterns of subject {self.subject} come without noise covariance; use noise none."
            )
        if kind == "local":
            known = {"residuals": self.residuals, "noise": self.covariance}
            return {name: value for name, value in known.items() if value is not None}
        if self.residuals is not None:
            return {"noise": (self.residuals**2).mean(axis=0)}
        several = self.covariance.values() if isinstance(self.covariance, dict) else [self.covariance]
        return {"noise": np.mean([np.diag(matrix) for matrix in several], axis=0)}


def find_sources(
    sources: Sequence[PathLike],
    *,
    labels: PathLike | None = None,
    mask: PathLike | None = None,
    roi: str | None = None,
    subjects: Sequence[str] = (),
) -> dict[str, list[VolumeSource]]:
    """Return the files of each participant, in the order of their names.

    Parameters
    ----------
    sources : sequence of path
        4-D images, pattern files (``.npz``), or folders that ``fernet-neuro brain patterns`` wrote.
    labels : path or None
        One table for all images. None takes the table of the same name beside each.
    mask : path or None
        An image for all; ``{subject}`` and ``{session}`` in it stand for those of the file. None takes the
        mask beside a pattern file, and of an image all voxels that are finite and vary.
    roi : str or None
        Of folders: the patterns of this region; None takes the images of all voxels.
    subjects : sequence of str
        With or without ``sub-``; empty for all. One alone is also whose images are whose names do not say it.

    Raises
    ------
    StoreError
        If a file is missing.
    ValueError
        If a file is of another kind or does not say whose it is, or a subject is not there.
    """
    paths = [path for source in sources for path in _expand(Path(source), roi)]
    names = [name.removeprefix("sub-") for name in subjects]
    found: dict[str, list[VolumeSource]] = {}
    for path in paths:
        item = _describe(path, labels, mask, names[0] if len(names) == 1 else "")
        found.setdefault(item.subject, []).append(item)
    for name in names:
        if name not in found:
            raise ValueError(
                f"there are no patterns of subject {name!r}; there are: {format_options(found)}."
                f"{suggest(name, found)}"
            )
    return {name: items for name, items in found.items() if not names or name in names}


def read_volumes(
    sources: Sequence[VolumeSource],
    *,
    leave_out: Sequence[str] = (),
    detrend: bool = False,
    zscore: bool = False,
    seen: Seen | None = None,
) -> VolumePatterns:
    """Return the patterns of one participant, of all sessions together.

    Runs of several sessions are named ``SESSION-RUN``. Voxels that are not finite or constant in any of them
    are left out.

    `sources`: of one participant. `leave_out`: stimuli of which no pattern is wanted, such as rest.
    `detrend`, `zscore`: of each voxel in each run; of images. `seen`: runs of other participants, of which
    none may be among these. Raises StoreError, StimulusError, ValueError if files are missing, damaged, on
    several grids or do not go together, or two runs hold the same values; the message names the file.
    """
    parts: list[VolumePatterns] = []
    seen = Seen() if seen is None else seen
    for source in sources:
        if source.path.endswith(".npz"):
            if detrend or zscore:
                raise ValueError(f"detrend and zscore are for images; {source.path} holds patterns.")
            parts.append(_read_patterns(source, leave_out))
        else:
            parts.append(_read_image(source, leave_out, detrend=detrend, zscore=zscore))
        part = parts[-1]
        check_runs_differ(part.values, part.runs, part.stimulus_ids, source.path, seen)
    return parts[0] if len(parts) == 1 else _join(parts, sources)


def _expand(source: Path, roi: str | None) -> list[Path]:
    """Return the files of a source."""
    if not source.is_dir():
        if not source.is_file():
            raise StoreError(f"{source} does not exist; name images, pattern files, or a folder of patterns.")
        return [source]
    name = "*_patterns.nii.gz" if roi is None else f"*_roi-{roi}_patterns.npz"
    found = sorted([*source.glob(f"sub-*/func/{name}"), *source.glob(f"sub-*/ses-*/func/{name}")])
    if not found:
        what = "images of patterns" if roi is None else f"patterns of region {roi!r}"
        have = sorted({parse_entities(path.name).get("roi", "") for path in source.rglob("*_patterns.npz")})
        hint = f" It has regions {format_options(have)}; name one with --roi." if roi is None and have else ""
        raise StoreError(
            f"{source} holds no {what} ({name}); make them with: fernet-neuro brain patterns ... --out "
            f"{source}{hint}{suggest(roi or '', have)}"
        )
    return found


def _describe(path: Path, labels: PathLike | None, mask: PathLike | None, usual: str) -> VolumeSource:
    entities = parse_entities(path.name)
    is_patterns = path.suffix == ".npz"
    if not is_patterns and not path.name.endswith(_IMAGES):
        raise ValueError(f"{path} must be a folder, or end in .npz, {' or '.join(_IMAGES)}.")
    if is_patterns:
        header = BrainPatterns.load(path)
        subject, session = header.subject, header.session
    else:
        subject, session = entities.get("sub", usual), entities.get("ses", "")
        if not subject:
            raise ValueError(
                f"the name of {path} does not say whose it is; call it sub-NAME_....nii.gz, or name one "
                f"subject."
            )
    for name, label in (("subject", subject), ("session", session), ("task", entities.get("task", ""))):
        check_label(f"{path}: {name}", label, may_be_empty=True)
    table = "" if is_patterns else str(labels or _find_labels(path))
    where = str(mask or "").replace("{subject}", subject).replace("{session}", session)
    if is_patterns and not where:
        beside = path.with_name(path.name.replace("_patterns.npz", "_mask.nii.gz"))
        if not beside.is_file():
            raise StoreError(
                f"{path} does not say where its voxels lie: there is no {beside.name} beside it; name the "
                f"mask with --mask."
            )
        where = str(beside)
    return VolumeSource(str(path), subject, session, entities.get("task", ""), table, where)


def _find_labels(path: Path) -> Path:
    stem = strip_suffix(path.name)
    for suffix in _TABLES:
        table = path.with_name(f"{stem}{suffix}")
        if table.is_file():
            return table
    raise StoreError(
        f"{path} has no table of stimuli and runs beside it ({stem}.tsv); name one with --labels."
    )


def _read_patterns(source: VolumeSource, leave_out: Sequence[str]) -> VolumePatterns:
    patterns = BrainPatterns.load(source.path)
    if leave_out:
        kept = [name for name in patterns.stimuli if name not in set(leave_out)]
        patterns = patterns.select(stimulus_ids=kept)
    image = images.load_image(source.mask)
    mask = images.load_mask(source.mask)
    if np.count_nonzero(mask) != patterns.n_voxels:
        raise ValueError(
            f"mask {source.mask} has {np.count_nonzero(mask)} voxels, the patterns of {source.path} "
            f"{patterns.n_voxels}; take the mask that they were cut with."
        )
    values = patterns.values.astype(np.float64)
    return VolumePatterns(
        values, patterns.stimulus_ids, patterns.runs, mask, image.affine, source.subject, source.session,
        source.task, None, patterns.noise_covariance, {},
    )  # fmt: skip


def _read_image(
    source: VolumeSource, leave_out: Sequence[str], *, detrend: bool, zscore: bool
) -> VolumePatterns:
    image = images.load_image(source.path)
    if len(image.shape) != 4:
        raise ValueError(f"{source.path} has shape {image.shape}; it must have one volume per pattern.")
    mask = _find_mask(image, source)
    labels = read_volume_labels(source.labels)
    values = images.read_volumes(image, mask, source.path)
    observed = observe_volumes(
        values, labels, detrend=detrend, zscore=zscore, leave_out=leave_out, name=source.path
    )
    usable = observed.usable
    if not usable.any():
        raise StimulusError(f"{source.path}: all {len(usable)} voxels of the mask are NaN or constant.")
    inside = mask.copy()
    inside[mask] = usable
    residuals = np.concatenate(list(observed.residuals.values()))[:, usable]
    return VolumePatterns(
        np.ascontiguousarray(observed.values[:, usable]), observed.stimulus_ids, observed.runs, inside,
        image.affine, source.subject, source.session, source.task, residuals, None,
        {reason: int(bad.sum()) for reason, bad in observed.left_out.items() if bad.any()},
    )  # fmt: skip


def _find_mask(image: "Nifti1Image", source: VolumeSource) -> np.ndarray:
    """Return the mask of a source; without one, all voxels that are finite and vary."""
    if source.mask:
        return images.load_mask(source.mask, image, source.path)
    values = images.read_array(image, source.path)
    varied = np.isfinite(values).all(axis=3) & (values != values[..., :1]).any(axis=3)
    if not varied.any():
        raise StimulusError(f"{source.path}: all voxels are NaN or constant.")
    return varied


def _join(parts: Sequence[VolumePatterns], sources: Sequence[VolumeSource]) -> VolumePatterns:
    """Return sessions as one, over the voxels that can be used in all."""
    first = parts[0]
    for part, source in zip(parts, sources, strict=True):
        if part.mask.shape != first.mask.shape or not np.allclose(
            part.affine, first.affine, rtol=0, atol=images.AFFINE_TOLERANCE
        ):
            raise ValueError(
                f"{source.path} lies in another space than {sources[0].path}; resample one to the other."
            )
    mask = np.logical_and.reduce([part.mask for part in parts])
    if not mask.any():
        raise StimulusError(f"the sessions of subject {first.subject} have no usable voxel in common.")
    cut = [mask[part.mask] for part in parts]
    names = [item.session or str(number) for number, item in enumerate(sources, start=1)]
    runs = [np.array([f"{name}-{run}" for run in part.runs]) for name, part in zip(names, parts, strict=True)]
    residuals = [
        item.residuals[:, keep] for item, keep in zip(parts, cut, strict=True) if item.residuals is not None
    ]
    reasons = sorted({reason for part in parts for reason in part.left_out})
    return replace(
        first,
        values=np.concatenate([part.values[:, keep] for part, keep in zip(parts, cut, strict=True)]),
        stimulus_ids=np.concatenate([part.stimulus_ids for part in parts]),
        runs=np.concatenate(runs),
        mask=mask,
        session="",
        residuals=np.concatenate(residuals) if len(residuals) == len(parts) else None,
        covariance=_join_covariances(parts, cut, names),
        left_out={reason: max(part.left_out.get(reason, 0) for part in parts) for reason in reasons},
    )


def _join_covariances(
    parts: Sequence[VolumePatterns], cut: Sequence[np.ndarray], names: Sequence[str]
) -> dict[str, np.ndarray] | None:
    """Return one covariance per run of all sessions, where each session has one."""
    if any(part.covariance is None for part in parts):
        return None
    found = {}
    for part, keep, name in zip(parts, cut, names, strict=True):
        for run in dict.fromkeys(part.runs.tolist()):
            one = part.covariance[run] if isinstance(part.covariance, dict) else part.covariance
            found[f"{name}-{run}"] = one[np.ix_(keep, keep)]
    return found
