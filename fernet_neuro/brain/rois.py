"""Regions of interest: masks, labels of an atlas, and spheres, all as masks of one grid.

What belongs here: what ``--roi`` may say and what it means on a grid.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fernet_neuro._utils.foreign import read_foreign
from fernet_neuro._utils.validation import check_label, format_options, suggest
from fernet_neuro.brain.grids import Grid
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

#: Columns of an atlas's table that name a region, and those that hold its number.
_NAME_COLUMNS = ("name", "label", "region", "ROI Name")
_NUMBER_COLUMNS = ("index", "value", "id", "label")
_SUFFIXES = (".nii.gz", ".nii", ".gii")


@dataclass(frozen=True)
class RoiSpec:
    """One region, as it was asked for.

    `name`: letters and digits, as in file names of BIDS. `source`: a mask, an atlas, or empty for a sphere;
    ``{subject}`` and ``{session}`` stand for those of the data. `labels`: numbers or names of regions of the
    atlas, joined. `sphere`: x, y, z and radius, mm.
    """

    name: str
    source: str = ""
    labels: tuple[str, ...] = ()
    sphere: tuple[float, float, float, float] | None = None


def parse_roi(text: str) -> list[RoiSpec]:
    """Return the regions that a text names.

    ========================= ==========================================================================
    text                      region
    ========================= ==========================================================================
    ``OFA=40,-80,-8,8``       a sphere: x, y, z and radius in mm of the image's space
    ``FFA=masks/ffa.nii.gz``  a mask
    ``V1=atlas.nii.gz:1+2``   labels of an atlas, by number, or by name where it has a table
    ``masks/ffa.nii.gz``      a mask that is called like its file
    ``masks``                 all masks of a folder
    ========================= ==========================================================================

    Raises
    ------
    ValueError
        If the text is none of these, or the name has other signs than letters and digits.
    StoreError
        If a folder has no mask.

    Examples
    --------
    >>> parse_roi("OFA=40,-80,-8,8")[0].sphere
    (40.0, -80.0, -8.0, 8.0)
    """
    name, equals, rest = text.partition("=")
    if not equals:
        return _parse_files(text)
    check_label(f"region {text!r}: the name", name)
    parts = rest.split(",")
    if len(parts) > 1 and all(map(_is_number, parts)):
        return [RoiSpec(name, sphere=_parse_sphere(text, [float(part) for part in parts]))]
    # A drive letter of Windows is not an atlas: labels stand behind the suffix.
    match = re.fullmatch(r"(.*(?:\.nii\.gz|\.nii|\.gii)):(.+)", rest)
    if match:
        return [RoiSpec(name, match[1], tuple(label.strip() for label in match[2].split("+")))]
    return [RoiSpec(name, rest)]


def build_rois(
    grid: Grid,
    specs: Sequence[RoiSpec],
    *,
    subject: str = "",
    session: str = "",
    atlas_table: PathLike | None = None,
) -> dict[str, np.ndarray]:
    """Return the mask of each region, ndarray of bool of shape (n_points,), in the order asked for.

    Parameters
    ----------
    grid : Grid
        Where the data lie.
    specs : sequence of RoiSpec
    subject, session : str
        Stand in for ``{subject}`` and ``{session}`` in names of files.
    atlas_table : path or None
        Names of an atlas's numbers (``.tsv`` or ``.csv``); None takes the ``.tsv`` beside the atlas.

    Raises
    ------
    ValueError
        If there is no region, two have one name or names that differ in capitals alone (which are one file
        on some disks), one is empty or on another grid.
    StoreError
        If a file is missing.
    """
    if not specs:
        raise ValueError("name a region: OFA=x,y,z,r, a mask, NAME=ATLAS:LABEL, or a folder of masks.")
    _check_different([spec.name for spec in specs])
    return {
        spec.name: _build(grid, spec, subject=subject, session=session, table=atlas_table) for spec in specs
    }


def _build(grid: Grid, spec: RoiSpec, *, subject: str, session: str, table: PathLike | None) -> np.ndarray:
    if spec.sphere is not None:
        *centre, radius = spec.sphere
        # A hair more than the radius: a voxel at that distance belongs to it whatever the rounding.
        inside = np.linalg.norm(grid.coordinates - centre, axis=1) <= radius * (1 + 1e-9)
        if not inside.any():
            raise ValueError(
                f"region {spec.name} is empty: no voxel lies within {radius:g} mm of ({centre[0]:g}, "
                f"{centre[1]:g}, {centre[2]:g}); are these mm of the image's space?"
            )
        return inside
    source = spec.source.replace("{subject}", subject).replace("{session}", session)
    if not spec.labels:
        return grid.read_mask(source)
    values = grid.read_labels(source)
    numbers = [_find_number(label, source, table) for label in spec.labels]
    inside = np.isin(values, numbers)
    if not inside.any():
        have = [str(number) for number in np.unique(values[values != 0])]
        raise ValueError(
            f"region {spec.name} is empty: atlas {source} has no voxel with "
            f"{' or '.join(map(str, numbers))}; it has: {format_options(have)}."
        )
    return inside


def _find_number(label: str, source: str, table: PathLike | None) -> int:
    """Return the number of a label, by the table where it is a name."""
    if re.fullmatch(r"\d+", label):
        return int(label)
    path = Path(_strip_suffix(source.split(",")[0]) + ".tsv") if table is None else Path(table)
    if not path.is_file():
        raise StoreError(
            f"label {label!r} of atlas {source} is a name, and table {path} does not exist; name the "
            f"table, or give a number."
        )
    try:
        frame = read_foreign(path)
    except (ValueError, OSError) as error:
        raise StoreError(
            f"table {path} of the atlas cannot be read: {' '.join(str(error).split())}"
        ) from error
    names = next((name for name in _NAME_COLUMNS if name in frame), None)
    numbers = next((name for name in _NUMBER_COLUMNS if name in frame and name != names), None)
    if names is None or numbers is None:
        raise ValueError(
            f"table {path} of the atlas needs a column name and a column index; it has: "
            f"{format_options(map(str, frame))}."
        )
    rows = np.flatnonzero(frame[names] == label)
    if len(rows) != 1 or not re.fullmatch(r"\d+", frame[numbers].iloc[rows[0]]):
        raise ValueError(
            f"table {path} has no one number for label {label!r}; it has: {format_options(frame[names])}."
            f"{suggest(label, frame[names])}"
        )
    return int(frame[numbers].iloc[rows[0]])


def _parse_files(text: str) -> list[RoiSpec]:
    folder = Path(text)
    if folder.is_dir():
        files = sorted(file for file in folder.iterdir() if file.name.endswith(_SUFFIXES[:2]))
        if not files:
            raise StoreError(f"folder {folder} has no mask (.nii.gz or .nii).")
        return [RoiSpec(_name_of(file.name), str(file)) for file in files]
    if not text.endswith(_SUFFIXES):
        raise ValueError(
            f"region {text!r} must read NAME=x,y,z,r, NAME=MASK, NAME=ATLAS:LABEL, or be a mask or a "
            f"folder of masks."
        )
    return [RoiSpec(_name_of(Path(text).name), text)]


def _name_of(file: str) -> str:
    """Return what a mask is called: its entity roi, label or desc, or else its name's letters and digits."""
    stem = _strip_suffix(file)
    for entity in ("roi", "label", "desc"):
        match = re.search(rf"(?:^|_){entity}-([A-Za-z0-9]+)", stem)
        if match:
            return match[1]
    return re.sub(r"[^A-Za-z0-9]", "", re.sub(r"[_-]mask$", "", stem)) or "roi"


def _strip_suffix(name: str) -> str:
    return next((name[: -len(suffix)] for suffix in _SUFFIXES if name.endswith(suffix)), name)


def _check_different(names: Sequence[str]) -> None:
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(
                f"regions {other!r} and {name!r} differ only in capitals, so that some disks take their "
                f"files for one; rename one of them."
            )
        if names.count(name) > 1:
            raise ValueError(f"region {name!r} is named twice.")


def _parse_sphere(text: str, numbers: list[float]) -> tuple[float, float, float, float]:
    if len(numbers) != 4 or numbers[3] <= 0:
        raise ValueError(f"region {text!r}: a sphere is x,y,z and a radius above 0, in mm.")
    x, y, z, radius = numbers
    return x, y, z, radius


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
