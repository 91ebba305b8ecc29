"""Five points of a face: eyes, nose and corners of the mouth, as pixels and as tables of them.

What belongs here: the `LandmarkTable` noun, reading it row by row, and what makes five points no face.
"""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fernet_neuro._utils.shown import Shown
from fernet_neuro._utils.tables import write_csv
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.typing import PathLike

#: The points in their order everywhere; left and right are the viewer's.
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
#: Columns of a table of landmarks after ``stimulus_id``.
LANDMARK_COLUMNS = tuple(f"{point}_{axis}" for point in POINTS for axis in "xy")
#: Eyes may turn this far past each other, as a share of the face's length, before left and right are swapped.
MOST_TURNED = 0.2
#: Points nearer to each other than this, in pixels, are one point.
SAME_POINT = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class LandmarkTable(Shown):
    """Five points for each of some stimuli, and the rows that could not be read.

    Parameters
    ----------
    stimulus_ids : ndarray of str of shape (n_faces,)
    points : ndarray of shape (n_faces, 5, 2), float64
        Column and row in pixels in the order of `POINTS`; (0, 0) is the centre of the top left pixel.
    left_out : DataFrame of shape (n_left_out, 3)
        Columns ``row`` (line in the file; the heading is line 1), ``stimulus_id`` and ``reason``, which reads
        ``kind: detail``.
    """

    stimulus_ids: np.ndarray
    points: np.ndarray
    left_out: pd.DataFrame

    def describe(self) -> str:
        """Return how many faces there are, and how many rows could not be read."""
        return f"{len(self)} faces, {len(self.left_out)} rows left out"

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.stimulus_ids)

    def write(self, path: PathLike) -> None:
        """Write the points as CSV, complete or not at all."""
        frame = pd.DataFrame(self.points.reshape(len(self), -1), columns=list(LANDMARK_COLUMNS))
        frame.insert(0, "stimulus_id", self.stimulus_ids)
        write_csv(frame, path)


def read_landmarks(path: PathLike) -> LandmarkTable:
    """Read a CSV with ``stimulus_id`` and the ten columns of `LANDMARK_COLUMNS`, in any order.

    A row that cannot be read or shows no face is left out with its reason and never repaired; of an id that
    occurs more than once, all rows are, as nothing says which one is right. Further columns are ignored.

    Raises StimulusError if the file is missing, lacks a column, or no row is left.
    """
    source = Path(path)
    if not source.is_file():
        raise StimulusError(f"table of landmarks {source} does not exist.")
    lines = source.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    heading = _split(lines[0]) if lines else []
    _check_columns(source, heading if isinstance(heading, list) else [heading])
    rows = [
        (number, *_read_row(heading, line)) for number, line in enumerate(lines[1:], start=2) if line.strip()
    ]
    counts = Counter(stimulus_id for _, stimulus_id, _ in rows)
    repeated = "id occurs twice: which row is right is unknown"
    checked = [(line, name, repeated if name and counts[name] > 1 else points) for line, name, points in rows]
    faults = [item for item in checked if isinstance(item[2], str)]
    taken = [item for item in checked if not isinstance(item[2], str)]
    left_out = pd.DataFrame(faults, columns=["row", "stimulus_id", "reason"], dtype=object)
    if not taken:
        first = f" (row {faults[0][0]}: {faults[0][2]})" if faults else ""
        raise StimulusError(f"table of landmarks {source} has no usable row{first}.")
    ids = np.array([name for _, name, _ in taken], dtype=str)
    return LandmarkTable(ids, np.stack([points for _, _, points in taken]), left_out)


def find_face_fault(points: np.ndarray) -> str:
    """Return why five points (5, 2) cannot be a face, as ``kind: detail``, or an empty string.

    Points must be finite and differ, and the eyes must lie left and right of the line to the mouth as the
    viewer sees it: seen from far behind, or with left and right swapped, they do not.

    Examples
    --------
    >>> face = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80.0]])
    >>> find_face_fault(face)
    ''
    >>> find_face_fault(face[[1, 0, 2, 4, 3]]).partition(":")[0]
    'left and right are swapped'
    """
    if not np.isfinite(points).all():
        return "no number: a coordinate is not finite"
    left_eye, right_eye, _, left_mouth, right_mouth = points
    down = (left_mouth + right_mouth) / 2 - (left_eye + right_eye) / 2
    length = float(np.hypot(*down))
    if length < SAME_POINT:
        return "no face: eyes and mouth are at one place"
    turn = [float(a[0] * down[1] - a[1] * down[0]) for a in (right_eye - left_eye, right_mouth - left_mouth)]
    if min(turn) < -MOST_TURNED * length**2:
        return (
            "left and right are swapped: left is the viewer's left, where x is smaller in an upright picture"
        )
    if np.linalg.matrix_rank(points - points.mean(axis=0), tol=SAME_POINT) < 2:
        return "no face: all points lie on one line"
    return ""


def _check_columns(source: Path, found: Sequence[str]) -> None:
    others = [name for name in found if name not in LANDMARK_COLUMNS]
    for column in ("stimulus_id", *LANDMARK_COLUMNS):
        if found.count(column) != 1:
            what = "has no column" if column not in found else "has more than one column"
            raise StimulusError(
                f"table of landmarks {source} {what} {column!r}; it needs stimulus_id, "
                f"{', '.join(LANDMARK_COLUMNS)}; it has: {format_options(found)}.{suggest(column, others)}"
            )


def _split(line: bytes) -> list[str] | str:
    """Return the fields of one line, or why it has none: a bad line must not take others with it."""
    try:
        return next(csv.reader([line.decode("utf-8")], strict=True), [])
    except UnicodeDecodeError:
        return "no text: the row is not UTF-8"
    except csv.Error as error:
        return f"no row: {error}"


def _read_row(heading: Sequence[str], line: bytes) -> tuple[str, np.ndarray | str]:
    """Return (stimulus id, points or why there are none)."""
    fields = _split(line)
    if isinstance(fields, str):
        return "", fields
    record = dict(zip(heading, fields, strict=False))
    name = record.get("stimulus_id", "").strip()
    if len(fields) != len(heading):
        return name, f"wrong number of fields: {len(fields)} instead of {len(heading)}"
    if not name:
        return "", "no id: stimulus_id is empty"
    points = _read_points(record)
    return name, points if isinstance(points, str) else find_face_fault(points) or points


def _read_points(record: Mapping[str, str]) -> np.ndarray | str:
    values = []
    for column in LANDMARK_COLUMNS:
        text = record[column].strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            return f"no number: {column} is {text!r}" if text else f"empty: {column} has no value"
        values.append(value)
    return np.array(values).reshape(len(POINTS), 2)
