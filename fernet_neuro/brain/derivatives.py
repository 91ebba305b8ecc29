"""Patterns as BIDS derivatives: one folder per participant, complete or absent, and what was asked for.

What belongs here: names of files, writing, reading, and knowing what is finished.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from fernet_neuro import __version__
from fernet_neuro._utils.atomic import atomic_folder, write_text
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.tables import to_csv
from fernet_neuro._utils.validation import check_jobs, check_label, format_options, suggest
from fernet_neuro._utils.workers import in_processes
from fernet_neuro.brain.bids import read_sidecar
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.brain.pipeline import SubjectPatterns
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

BIDS_VERSION = "1.10.0"
DESCRIPTION = "dataset_description.json"
_NAME = "Patterns of brain activity"


def start_derivatives(
    out: PathLike, settings: dict[str, Any], *, overwrite: bool = False, subjects: Sequence[str] = ()
) -> Path:
    """Return the folder, with its description, ready for participants.

    `settings`: plain values; those of participants that are there already must be the same. `overwrite`:
    replace what is there of `subjects`. `subjects`: who will be written. Raises StoreError if the folder
    holds something else, or patterns that were made in another way.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"--out {folder} is a file; name a folder.")
    plain = json.loads(json.dumps(settings))
    there = _read_settings(folder) if folder.is_dir() and any(folder.iterdir()) else plain
    # What patterns of an older version do not say was not there to be chosen.
    there = {**{key: value for key, value in plain.items() if not value}, **there}
    if there != plain:
        kept = [name for name in list_finished(folder) if not overwrite or name not in subjects]
        if kept:
            changed = [key for key in plain if there.get(key) != plain[key]]
            raise StoreError(
                f"{folder} holds patterns of subject {kept[0]} that were made with other settings (first: "
                f"{changed[0] if changed else 'source'}); name another folder"
                f"{'' if overwrite else ', or add --overwrite'}."
            )
    description = {
        "Name": _NAME,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "fernet-neuro",
                "Version": __version__,
                "Description": "brain patterns",
                "Settings": plain,
            }
        ],
    }
    write_text(folder / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    return folder


def list_finished(out: PathLike) -> list[str]:
    """Return the participants that are there, whole."""
    return sorted(path.name.removeprefix("sub-") for path in Path(out).glob("sub-*") if path.is_dir())


def write_subject(
    out: PathLike, subject: str, task: str, sessions: Iterable[SubjectPatterns], *, images: bool = True
) -> Path:
    """Write the patterns of one participant, complete or not at all.

    For each session and region there are ``..._roi-NAME_patterns.npz``, the same with ``.json`` (what the
    patterns are of), and the mask of the voxels; and, unless not wanted, one image of all patterns with its
    table of labels, which ``fernet-neuro brain patterns`` reads again.

    Returns the participant's folder. Raises ValueError if subject or task have other signs than letters and
    digits.
    """
    check_label("subject", subject)
    check_label("task", task, may_be_empty=True)
    target = Path(out) / f"sub-{subject}"
    with atomic_folder(target) as folder:
        for item in sessions:
            session = item.regions[0].patterns.session
            place = folder / f"ses-{session}" / "func" if session else folder / "func"
            place.mkdir(parents=True, exist_ok=True)
            entities = [f"sub-{subject}", *([f"ses-{session}"] if session else []), f"task-{task}"]
            _write_session(place / "_".join(entities), item, images=images)
    return target


def write_missing_subjects(
    out: PathLike,
    subjects: Iterable[str],
    compute: Callable[[str], list[SubjectPatterns]],
    *,
    task: str,
    images: bool = True,
    overwrite: bool = False,
    n_jobs: int = 1,
    verbose: bool = False,
) -> tuple[list[str], list[str]]:
    """Compute and write each participant that is not there yet; return who was written and who was there.

    `compute`: all sessions of a participant. `images`: write an image of all patterns too. `overwrite`:
    compute those that are there as well. `n_jobs`: participants at a time, in processes; -1 for one per core.
    The files do not depend on it. `verbose`: show a progress bar. Raises ValueError if `n_jobs` is 0, or as
    in `compute`.
    """
    check_jobs("n_jobs", n_jobs)
    names = list(subjects)
    finished = [] if overwrite else list_finished(out)
    missing = [name for name in names if name not in finished]
    run = in_processes(n_jobs, return_as="generator")
    jobs = (delayed(_compute_and_write)(out, name, compute, task, images) for name in missing)
    written = list(track(run(jobs), "patterns", total=len(missing), verbose=verbose))
    return written, [name for name in names if name not in missing]


def _compute_and_write(
    out: PathLike, subject: str, compute: Callable[[str], list[SubjectPatterns]], task: str, images: bool
) -> str:
    write_subject(out, subject, task, compute(subject), images=images)
    return subject


def list_patterns(
    out: PathLike, *, subjects: Sequence[str] = (), rois: Sequence[str] = (), task: str | None = None
) -> list[Path]:
    """Return the pattern files of a folder, in the order of their names.

    Raises StoreError if there are none; ValueError if there is none of a participant, region or task that is
    asked for, or of several tasks.
    """
    folder = Path(out)
    files = sorted(
        [*folder.glob("sub-*/func/*_patterns.npz"), *folder.glob("sub-*/ses-*/func/*_patterns.npz")]
    )
    if not files:
        raise StoreError(
            f"{folder} holds no patterns; make them with: fernet-neuro brain patterns ... --out {folder}"
        )
    for key, wanted, name in (
        ("sub", subjects, "subject"),
        ("roi", rois, "region"),
        ("task", [task] if task else [], "task"),
    ):
        have = {path: _entity(path, key) for path in files}
        for item in wanted:
            if item not in have.values():
                options = sorted(set(have.values()))
                raise ValueError(
                    f"{folder} has no patterns of {name} {item!r}; there are: {format_options(options)}."
                    f"{suggest(item, options)}"
                )
        files = [path for path in files if not wanted or have[path] in wanted]
    tasks = sorted({_entity(path, "task") for path in files})
    if len(tasks) > 1:
        raise ValueError(f"{folder} holds patterns of several tasks: {format_options(tasks)}; name one.")
    return files


def read_patterns(
    out: PathLike, *, subjects: Sequence[str] = (), rois: Sequence[str] = (), task: str | None = None
) -> list[BrainPatterns]:
    """Return the patterns of a folder: see `list_patterns`."""
    return [BrainPatterns.load(path) for path in list_patterns(out, subjects=subjects, rois=rois, task=task)]


def read_reports(out: PathLike, *, subjects: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what the sidecars of patterns say, with ``subject``, ``session`` and ``roi``."""
    reports = []
    for path in list_patterns(out, subjects=subjects):
        labels = {"subject": "sub", "session": "ses", "roi": "roi"}
        report = read_sidecar(path.with_suffix(".json"))
        reports.append({**{name: _entity(path, key) for name, key in labels.items()}, **report})
    return reports


def _entity(path: Path, key: str) -> str:
    match = re.search(rf"(?:^|_){key}-([^_.]+)", path.name)
    return match[1] if match else ""


def _write_session(stem: Path, item: SubjectPatterns, *, images: bool) -> None:
    positions = np.flatnonzero(item.inside)
    for region in item.regions:
        patterns = region.patterns
        name = f"{stem}_roi-{patterns.roi}"
        patterns.save(f"{name}_patterns.npz")
        report = {
            "n_voxels": patterns.n_voxels,
            "n_voxels_left_out": region.left_out,
            "n_observations": patterns.n_observations,
            "n_stimuli": len(patterns.stimuli),
            "runs": patterns.run_names,
            "unit": patterns.unit,
            "noise_covariance": patterns.noise_covariance is not None,
        }
        write_text(f"{name}_patterns.json", json.dumps(report, indent=2) + "\n")
        inside = np.zeros(item.grid.n_points, dtype=bool)
        inside[positions[region.inside]] = True
        item.grid.write(f"{name}_mask", np.ones(patterns.n_voxels), inside)
    if images:
        _write_images(stem, item)


def _write_images(stem: Path, item: SubjectPatterns) -> None:
    observed, usable = item.observations, item.observations.usable
    inside = np.zeros(item.grid.n_points, dtype=bool)
    inside[np.flatnonzero(item.inside)[usable]] = True
    item.grid.write(f"{stem}_patterns", observed.values[:, usable], inside)
    labels = pd.DataFrame({"stimulus_id": observed.stimulus_ids, "run": observed.runs})
    write_text(f"{stem}_patterns.tsv", str(to_csv(labels, sep="\t")))


def find_settings(out: PathLike) -> dict[str, Any] | None:
    """Return what the patterns of a folder were made with; None where it does not say."""
    try:
        known = read_json(Path(out) / DESCRIPTION)
        return known["GeneratedBy"][0]["Settings"] if known["Name"] == _NAME else None
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None


def _read_settings(folder: Path) -> dict[str, Any]:
    settings = find_settings(folder)
    if settings is None:
        raise StoreError(f"--out {folder} holds something else than patterns; name another folder.")
    return settings
