"""Searchlight maps in files: what they are of, how they are called, writing and reading.

What belongs here: plain holders of settings and maps, and the folder; nothing is computed.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fernet_neuro import __version__
from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.validation import check_label
from fernet_neuro.activations.network import say_model
from fernet_neuro.brain import images
from fernet_neuro.brain.group import GroupMap
from fernet_neuro.brain.spheres import FEWEST_VOXELS
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

KIND = "searchlight"
#: Maps of the group by name: what they hold.
GROUP_STATISTICS: dict[str, str] = {
    "mean": "mean over subjects, unit of the comparison",
    "t": "t of the mean against 0",
    "logp": "-log10 of the corrected p-value",
}


@dataclass(frozen=True)
class SearchlightSettings:
    """What is computed around each voxel.

    Parameters
    ----------
    radius : float or None, default=10
        In mm; None for a number of voxels.
    n_nearest : int or None
        As many voxels.
    fewest : int, default=10
        Voxels with fewer around them are not centres.
    distance, comparison : str
        As in ``search.search_patterns``.
    noise : str, default="univariate"
        As in ``VolumePatterns.describe_noise``; only for crossnobis and mahalanobis.
    """

    radius: float | None = 10.0
    n_nearest: int | None = None
    fewest: int = FEWEST_VOXELS
    distance: str = "crossnobis"
    comparison: str = "spearman"
    noise: str = "univariate"


@dataclass(frozen=True, eq=False)
class SubjectMaps:
    """The maps of one participant.

    `values` (n_models, n_centres): unitless, in the order of ``np.nonzero(mask)``. `mask` (n_x, n_y, n_z):
    where the centres are. `affine` (4, 4). `report`: counts of stimuli, runs and voxels, and of voxels left
    out by reason.
    """

    values: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    subject: str
    task: str
    report: dict[str, Any]


def label_models(names: Iterable[str]) -> list[str]:
    """Return names for files: only letters and digits, as BIDS wants them, and all different.

    Capitals make no difference, since some disks know none.

    Examples
    --------
    >>> label_models(["conv1.2", "conv12", "pixels"])
    ['conv12', 'conv12x2', 'pixels']
    """
    labels: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^0-9A-Za-z]", "", name) or "model"
        label, number = plain, 2
        while label.lower() in labels:
            label, number = f"{plain}x{number}", number + 1
        labels[label.lower()] = label
    return list(labels.values())


def name_in_words(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the models of ``settings.json`` as a reader is told of them, by name: layers in words."""
    return {item["name"]: say_model(item["name"], item.get("layer", "")) for item in settings["models"]}


def write_description(out: PathLike) -> None:
    """Write the description that makes the folder a BIDS derivative."""
    description = {
        "Name": "Searchlight maps",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fernet-neuro", "Version": __version__, "Description": "brain searchlight"}],
    }
    write_text(Path(out) / "dataset_description.json", json.dumps(description, indent=2) + "\n")


def write_subject_maps(
    out: PathLike, maps: SubjectMaps, models: Sequence[str], settings: SearchlightSettings
) -> list[Path]:
    """Write one image per model with its sidecar, ``sub-*/func/..._statmap.nii.gz``; NaN outside."""
    check_label("subject", maps.subject)
    check_label("task", maps.task, may_be_empty=True)
    entities = [f"sub-{maps.subject}", *([f"task-{maps.task}"] if maps.task else [])]
    statistic = re.sub("[^a-z]", "", settings.comparison)
    written = []
    for name, label, values in zip(models, label_models(models), maps.values, strict=True):
        stem = "_".join([*entities, f"stat-{statistic}", f"desc-{label}", "statmap"])
        path = Path(out) / f"sub-{maps.subject}" / "func" / f"{stem}.nii.gz"
        images.write_map(path, values, maps.mask, maps.affine, fill=np.nan)
        sidecar = {"Model": name, "Units": "arbitrary", **asdict(settings), **maps.report}
        write_text(path.with_name(f"{stem}.json"), json.dumps(sidecar, indent=2) + "\n")
        written.append(path)
    return written


def write_group_maps(
    out: PathLike, groups: Sequence[GroupMap], mask: np.ndarray, affine: np.ndarray, models: Sequence[str]
) -> None:
    """Write mean, t and -log10 of the corrected p-value of each model, and the mask, into ``group``."""
    folder = Path(out) / "group"
    for label, group in zip(label_models(models), groups, strict=True):
        values = {"mean": group.mean, "t": group.t, "logp": -np.log10(group.p_values)}
        for statistic in GROUP_STATISTICS:
            path = folder / name_group_map(label, statistic)
            images.write_map(path, values[statistic], mask, affine)
    images.write_map(folder / "group_mask.nii.gz", np.ones(int(mask.sum())), mask, affine)


def name_group_map(label: str, statistic: str) -> str:
    """Return the name of the file of one model's map; `label` as from `label_models`."""
    return f"group_stat-{statistic}_desc-{label}_statmap.nii.gz"


def is_searchlight(folder: PathLike) -> bool:
    """Return whether a folder holds searchlight maps."""
    try:
        return bool(read_settings(folder))
    except StoreError:
        return False


def read_settings(folder: PathLike) -> dict[str, Any]:
    """Return what the maps of a folder are of."""
    path = Path(folder) / "settings.json"
    if not path.is_file():
        raise StoreError(
            f"{path} does not exist; make it with: fernet-neuro brain searchlight PATTERNS --models FILE "
            f"--out {folder}"
        )
    try:
        settings = read_json(path)
        is_ours = settings["kind"] == KIND
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}); make the maps again.") from error
    if not is_ours:
        raise StoreError(f"{path} is of {settings['kind']!r}, not of searchlight maps.")
    return settings
