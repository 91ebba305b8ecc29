"""What a BIDS data set says of itself beside its images: descriptions, sidecars, tables.

What belongs here: names and texts of files, as the Brain Imaging Data Structure has them.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro import __version__
from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.tables import to_csv
from fernet_neuro.brain.simulation.geometry import PlantedGeometry
from fernet_neuro.brain.simulation.settings import SimulationSettings
from fernet_neuro.exceptions import StoreError
from fernet_neuro.stimuli.table import StimulusTable

BIDS_VERSION = "1.10.0"
#: Where a data set says how it was made and what was planted; BIDS leaves the content of `code` open.
SETTINGS, PLANTED = Path("code", "settings.yaml"), Path("code", "planted.json")
#: Columns that events take from a stimulus table where it has them, and what they hold.
LABELS = {
    "identity": "Who is shown.",
    "expression": "What the face expresses.",
    "view": "From where the face is seen.",
    "session": "Which photograph of the same person and expression.",
}
_GENERATED_BY = [{"Name": "fernet-neuro", "Version": __version__}]
_NAME = "Simulated participants who look at faces"


def name_run(settings: SimulationSettings, subject: int, run: int) -> str:
    """Return where the files of a run lie, up to their suffix.

    Examples
    --------
    >>> name_run(SimulationSettings(), 3, 1)
    'sub-03/func/sub-03_task-faces_run-01'
    """
    label = name_subject(settings, subject)
    return f"{label}/func/{label}_task-{settings.task}_run-{run:02d}"


def name_brain_mask(settings: SimulationSettings, subject: int) -> str:
    """Return where the brain mask of a person lies among the masks, up to its suffix.

    Examples
    --------
    >>> name_brain_mask(SimulationSettings(), 3)
    'sub-03/func/sub-03_task-faces_desc-brain_mask'
    """
    label = name_subject(settings, subject)
    return f"{label}/func/{label}_task-{settings.task}_desc-brain_mask"


def name_subject(settings: SimulationSettings, subject: int) -> str:
    """Return the label of a person, such as ``sub-03``."""
    return f"sub-{subject:0{max(2, len(str(settings.subjects)))}d}"


def find_labels(table: StimulusTable) -> list[str]:
    """Return which columns of a table events have."""
    return [name for name in LABELS if (table.frame[name].astype(str) != "").any()]


def write_tsv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as BIDS has them: tabs between columns."""
    write_text(path, str(to_csv(frame, sep="\t")))


def write_texts(
    folder: Path, settings: SimulationSettings, geometry: PlantedGeometry, n_stimuli: int, labels: list[str]
) -> None:
    """Write all files of a data set but images, events and settings.

    `labels`: columns that events have.
    """
    _write_json(folder / "dataset_description.json", _describe(_NAME, "raw"))
    write_text(folder / "README.md", _write_readme(settings, geometry, n_stimuli))
    people = [name_subject(settings, number) for number in range(1, settings.subjects + 1)]
    write_tsv(folder / "participants.tsv", pd.DataFrame({"participant_id": people}))
    label = {"Description": "Label of a simulated participant; no person was scanned."}
    _write_json(folder / "participants.json", {"participant_id": label})
    _write_json(folder / f"task-{settings.task}_bold.json", _describe_scans(settings))
    _write_json(folder / f"task-{settings.task}_events.json", _describe_events(labels))
    rois = folder / "derivatives" / "rois"
    title = "Regions and brains of the simulated participants"
    _write_json(rois / "dataset_description.json", _describe(title, "derivative"))
    _write_json(
        rois / f"task-{settings.task}_desc-brain_mask.json",
        {"Type": "Brain", "Description": "All voxels that hold signal, in the space of the raw images."},
    )
    planted = {
        "shares": geometry.shares,
        "notices": list(geometry.notices),
        "individual": settings.individual,
    }
    _write_json(folder / PLANTED, planted)


def read_planted(folder: Path) -> dict[str, dict[str, float]]:
    """Return the shares that were planted in a simulated data set, by region and factor.

    Raises StoreError if they are not there, as where an earlier version simulated the data.
    """
    try:
        return dict(read_json(folder / PLANTED)["shares"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise StoreError(
            f"{folder / PLANTED}, which says what was planted, is missing or damaged (earlier versions kept "
            f"it elsewhere); remove {folder} and the patterns made of it, and run the same command again."
        ) from None


def _describe(name: str, kind: str) -> dict[str, Any]:
    return {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": kind,
        "License": "CC0",
        "Authors": ["The fernet-neuro developers"],
        "GeneratedBy": _GENERATED_BY,
    }


def _describe_scans(settings: SimulationSettings) -> dict[str, Any]:
    return {
        "TaskName": settings.task,
        "TaskDescription": "Faces are shown one by one; every run shows each of them once.",
        "RepetitionTime": settings.t_r,
        "Manufacturer": "simulated",
        "MagneticFieldStrength": 3,
        "Instructions": "Look at the faces.",
    }


def _describe_events(labels: list[str]) -> dict[str, Any]:
    return {
        "trial_type": {
            "LongName": "Kind of event",
            "Description": "What was shown.",
            "Levels": {"face": "A face."},
        },
        "stimulus_id": {
            "LongName": "Stimulus",
            "Description": "The id of the picture in the table of stimuli.",
        },
        **{name: {"Description": LABELS[name]} for name in labels},
    }


def _write_readme(settings: SimulationSettings, geometry: PlantedGeometry, n_stimuli: int) -> str:
    lines = [
        f"# {_NAME}",
        "",
        f"{settings.subjects} people, {settings.runs} runs each, {n_stimuli} stimuli once in every run. All "
        "of it is simulated (fernet-neuro brain simulate): no person was scanned. Volumes already lie in MNI "
        "space, without head motion, so that no preprocessing is needed.",
        "",
        "What the regions tell apart, as shares of the variance of their patterns:",
        "",
    ]
    for name, shares in geometry.shares.items():
        lines.append(f"- {name}: {', '.join(f'{factor} {share:.2f}' for factor, share in shares.items())}")
    if geometry.notices:
        lines += ["", *geometry.notices]
    lines += [
        "",
        f"A share of {settings.individual:.2f} of the variance is each person's own on top of these. "
        "derivatives/rois holds the masks of the regions and of the brain; code holds all settings and what "
        "was planted.",
        "",
    ]
    return "\n".join(lines)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
