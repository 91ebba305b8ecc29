"""Sets of aligned faces: the pictures of a table, each with its five points at the template's.

What belongs here: the folder that `align_stimuli` writes, and where its points come from.
"""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fernet_neuro._utils.atomic import atomic_folder, check_empty
from fernet_neuro._utils.hashing import hash_bytes
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.validation import check_range
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.faces.align import align_face, make_template
from fernet_neuro.faces.detect import Detector
from fernet_neuro.faces.landmarks import POINTS, LandmarkTable, find_face_fault
from fernet_neuro.faces.overview import draw_overview
from fernet_neuro.stimuli._names import make_safe_path
from fernet_neuro.stimuli.datasets.report import ImportReport, lies_inside
from fernet_neuro.stimuli.images import load_image, say_fault
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

#: Returns the five points (5, 2) of a stimulus, given its id and picture, or why there are none.
Locate = Callable[[str, np.ndarray], np.ndarray | str]
#: Points may lie outside their picture by this share of its sides, as those of a cropped face do.
MOST_OUTSIDE = 0.5


@dataclass(frozen=True, eq=False)
class _Aligned:
    """What became of one picture."""

    path: str
    points: np.ndarray
    values: dict[str, str | float]


def align_stimuli(
    table: StimulusTable,
    out: PathLike,
    locate: Locate,
    *,
    size: int = 112,
    n_jobs: int = 1,
    verbose: bool = False,
    overwrite: bool = False,
    unread: pd.DataFrame | None = None,
) -> ImportReport:
    """Align every picture of `table` into the folder `out`, complete or not at all.

    The folder holds ``images/``, ``table.csv`` (all columns of `table`, and ``align_scale``, ``align_angle``
    in degrees and ``align_residual`` in pixels of the result), ``landmarks.csv``, the points used in the
    pictures as they were, and ``sheet.png``, which shows what was done. Pictures without usable points are
    left out and reported.

    Parameters
    ----------
    table : StimulusTable
    out : path
    locate : callable
        From `locate_by_table` or `locate_by_detector`.
    size : {112, 150, 224}
        Side of the results in pixels.
    n_jobs : int
        Threads; the pictures do not depend on it.
    verbose : bool
        Show a progress bar.
    overwrite : bool
        Replace a folder that is there and not empty.
    unread : DataFrame, default=None
        What had been left out before (columns ``path`` and ``reason``), for the list in the folder.

    Raises
    ------
    StimulusError
        If no picture could be aligned.
    StoreError
        If `out` is not empty and `overwrite` is off, or holds pictures of `table`.
    ValueError
        If `size` is another.
    """
    make_template(size)
    check_range("n_jobs", n_jobs, 1)
    sources = table.paths()
    _check_sources(Path(out), sources)
    check_empty(out, overwrite)
    ids = table.stimulus_ids.tolist()
    with atomic_folder(out) as folder:
        work = partial(_align_one, locate=locate, size=size, folder=folder)
        with ThreadPoolExecutor(n_jobs) as pool:
            jobs = pool.map(work, ids, sources)
            results = list(track(jobs, "aligning", total=len(ids), verbose=verbose))
        faults = [
            (way, item) for way, item in zip(table.ways(), results, strict=True) if isinstance(item, str)
        ]
        kept = [row for row, item in enumerate(results) if isinstance(item, _Aligned)]
        if not kept:
            detail = f" (first of {len(faults)}: {faults[0][0]}: {faults[0][1]})" if faults else ""
            raise StimulusError(f"no picture could be aligned{detail}.")
        done = [item for item in results if isinstance(item, _Aligned)]
        _make_table(table, kept, done, folder).write(folder / "table.csv")
        points = np.stack([item.points for item in done])
        LandmarkTable(table.stimulus_ids[kept], points, pd.DataFrame()).write(folder / "landmarks.csv")
        rows = list(zip(ids, sources, results, strict=True))
        shown = [
            (name, source, item.points, folder / item.path)
            for name, source, item in rows
            if isinstance(item, _Aligned)
        ]
        refused = [(name, source, item) for name, source, item in rows if isinstance(item, str)]
        refused += _list_unread(table.root or Path(), unread)
        draw_overview(shown, refused).save(folder / "sheet.png")
        report = pd.DataFrame(sorted(faults), columns=["path", "reason"], dtype=object)
        report = report if unread is None else pd.concat([unread, report], ignore_index=True)
        ImportReport(table, report).write_left_out(folder / "table.csv")
    return ImportReport(StimulusTable.read(Path(out) / "table.csv"), report)


def _list_unread(root: Path, unread: pd.DataFrame | None) -> list[tuple[str, Path, str]]:
    """Return the name, place and reason of what never became a row; of links that lead outside, no place."""
    rows = () if unread is None else unread[["path", "reason"]].itertuples(index=False)
    return [(name, root / name if lies_inside(root, name) else Path(), reason) for name, reason in rows]


def locate_by_table(landmarks: LandmarkTable) -> Locate:
    """Return a function that looks a stimulus's points up in a table."""
    points = dict(zip(landmarks.stimulus_ids.tolist(), landmarks.points, strict=True))
    faults: dict[str, str] = {}
    for item in landmarks.left_out.to_dict("records"):
        faults.setdefault(item["stimulus_id"], f"unreadable landmarks: row {item['row']}: {item['reason']}")

    def locate(stimulus_id: str, _picture: np.ndarray) -> np.ndarray | str:
        if stimulus_id in points:
            return points[stimulus_id]
        return faults.get(stimulus_id, "no landmarks: their table has no row of this stimulus")

    return locate


def locate_by_detector(detector: Detector, *, largest: bool = False) -> Locate:
    """Return a function that searches a stimulus's picture for its one face, or its `largest`."""
    return lambda _stimulus_id, picture: detector.locate(picture, largest=largest)


def _check_sources(out: Path, sources: list[Path]) -> None:
    inside = [path for path in sources if path.resolve().is_relative_to(out.resolve())]
    if inside:
        raise StoreError(
            f"{out} holds pictures to be aligned (such as {inside[0].name}); choose another --out."
        )


def _align_one(stimulus_id: str, source: Path, *, locate: Locate, size: int, folder: Path) -> _Aligned | str:
    try:
        picture = load_image(source)
    except StimulusError as error:
        return f"unreadable: {say_fault(error, source)}"
    points = locate(stimulus_id, picture)
    fault = points if isinstance(points, str) else find_face_fault(points) or _find_outside(points, picture)
    if fault or isinstance(points, str):
        return fault
    face, similarity = align_face(picture, points, size)
    path = f"images/{make_safe_path(stimulus_id)}.png"
    data = _encode(face)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)
    values: dict[str, str | float] = {
        "digest": hash_bytes(data),
        "align_scale": round(similarity.scale, 6),
        "align_angle": round(similarity.angle, 4),
        "align_residual": round(similarity.residual, 4),
    }
    return _Aligned(path, points, values)


def _find_outside(points: np.ndarray, picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    sides = np.array([width, height])
    far = ((points < -MOST_OUTSIDE * sides) | (points > (1 + MOST_OUTSIDE) * sides)).any(axis=1)
    if not far.any():
        return ""
    first = int(np.flatnonzero(far)[0])
    x, y = points[first]
    return f"far outside: {POINTS[first]} is at ({x:g}, {y:g}) in a picture of {width} x {height} pixels"


def _encode(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def _make_table(table: StimulusTable, kept: list[int], done: list[_Aligned], folder: Path) -> StimulusTable:
    frame = table.frame.iloc[kept].reset_index(drop=True)
    columns = {name: [item.values[name] for item in done] for name in done[0].values}
    frame = frame.assign(path=[item.path for item in done], **columns)
    return StimulusTable.from_frame(frame, root=folder)
