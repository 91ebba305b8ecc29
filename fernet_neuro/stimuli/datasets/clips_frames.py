"""Videos to frames: every clip becomes pictures, and all of them a table with a row per frame.

What belongs here: the folder of frames and what is done in it already; labels are in `clips`, decoding in
`clips_video`.
"""

import json
import math
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from pathlib import Path

import pandas as pd

from fernet_neuro._utils.atomic import atomic_folder, is_foreign, write_text
from fernet_neuro._utils.hashing import hash_file, hash_json
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.validation import check_range
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.stimuli._names import make_safe_path
from fernet_neuro.stimuli.datasets.clips import Clip, list_clips
from fernet_neuro.stimuli.datasets.clips_video import ClipFrames, FrameRule, import_cv2, write_frames
from fernet_neuro.stimuli.datasets.report import ImportReport, LeftOut, check_source, explain_left_out
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

FORMAT = 1
_MARKER, _RECORD = "frames.json", "clip.json"


def extract_frames(
    src: PathLike,
    out: PathLike,
    *,
    pattern: str | None = None,
    csv: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    every: int = 1,
    size: int | None = None,
    allow_short: bool = False,
    n_jobs: int = 1,
    verbose: bool = False,
    overwrite: bool = False,
) -> ImportReport:
    """Write the frames of all clips in `src`, at each video's own rate, as PNG files below `out`.

    A clip is complete or absent, so a run that was interrupted goes on where it was. Frames lie in
    ``clips/<clip id>.frames/``; ``table.csv`` has a row per frame with ``clip``, ``frame`` (its number in the
    video, from 0), ``time_s`` and ``fps``. Videos that are empty, corrupt or without frames are left out and
    reported.

    Parameters
    ----------
    src : path
        Folder of the videos; nothing outside it is read.
    out : path
        Folder to write, outside `src`.
    pattern : str, optional
        Labels in the videos' names, as in `list_folder`; by default ``{identity}_{expression}_{clip}``.
    csv : path, optional
        Instead of a pattern: a table with a row per clip, its video under ``path``, ``file``, ``filename`` or
        ``image``, and any labels. With ``start_s`` and ``end_s`` a row is a part of its video, such as the
        seconds in which one of several actors is shown.
    columns : mapping of str to str, optional
        Our names of columns of `csv` that are called otherwise.
    every : int
        Keep one frame of this many.
    size : int, optional
        Largest length of the shorter side in pixels.
    allow_short : bool
        Whether to take videos that hold clearly fewer frames than they state.
    n_jobs : int
        Videos decoded at once; the frames do not depend on it.
    verbose : bool
        Show a progress bar.
    overwrite : bool
        Replace clips that are there and were made otherwise.

    Returns
    -------
    ImportReport
        The table as written, and what was left out with reasons.

    Raises
    ------
    StimulusError
        If pattern or CSV cannot be used, or no clip is left.
    StoreError
        If `out` holds something else, or a clip made from another video or with other options.
    MissingDependencyError
        If OpenCV is not installed.
    ValueError
        If a number is out of range, or both `pattern` and `csv` are given.
    """
    check_range("every", every, 1)
    check_range("size", math.inf if size is None else size, 1)
    check_range("n_jobs", n_jobs, 1)
    import_cv2()
    root, folder = check_source(src), Path(out).resolve()
    clips, left_out = list_clips(root, pattern=pattern, csv=csv, columns=columns)
    _prepare_folder(folder, root)
    rule = FrameRule(every, size, allow_short=allow_short)
    found, faults = _decode_all(root, folder, clips, rule, n_jobs, verbose, overwrite)
    report = pd.DataFrame(sorted(left_out + faults), columns=["path", "reason"], dtype=object)
    if not found:
        raise StimulusError(f"no usable video was found in {root}{explain_left_out(report)}.")
    made = ImportReport(StimulusTable.from_frame(_make_frame(found), root=folder), report)
    made.write_left_out(folder / "table.csv")
    made.table.write(folder / "table.csv")  # last: where it lies, all is there
    return made


def _prepare_folder(folder: Path, root: Path) -> None:
    """Make the folder of the frames, or make sure that it is one; remove what a killed run left half done."""
    if folder.is_relative_to(root):
        raise StoreError(f"{folder} lies inside the folder of the videos; choose another --out.")
    if is_foreign(folder, _MARKER):
        raise StoreError(
            f"{folder} exists and holds no frames of videos; nothing was changed. Choose another --out."
        )
    for half_done in folder.glob("clips/**/.*.tmp"):
        shutil.rmtree(half_done, ignore_errors=True)
    write_text(folder / _MARKER, json.dumps({"format": FORMAT, "content": "frames of videos"}) + "\n")


def _decode_all(
    root: Path, folder: Path, clips: list[Clip], rule: FrameRule, n_jobs: int, verbose: bool, overwrite: bool
) -> tuple[list[tuple[Clip, str, ClipFrames]], list[LeftOut]]:
    """Return (clip, its folder below `folder`, frames) of each usable clip, and the faults of the others."""
    keys, done = {}, {}
    for clip in clips:
        own = replace(rule, start_s=clip.start_s, end_s=clip.end_s)
        keys[clip.clip_id] = hash_json({"video": hash_file(root / clip.video), **asdict(own)})
        done[clip.clip_id] = _find_done(folder / _place(clip), keys[clip.clip_id], overwrite)

    def work(clip: Clip) -> ClipFrames | str:
        finished = done[clip.clip_id]
        if finished is not None:
            return finished
        try:
            return _decode_clip(root, folder, clip, rule, keys[clip.clip_id])
        except StimulusError as error:
            return str(error)

    with ThreadPoolExecutor(n_jobs) as pool:
        results = list(track(pool.map(work, clips), "clips", total=len(clips), verbose=verbose))
    pairs = list(zip(clips, results, strict=True))
    found = [(clip, _place(clip), item) for clip, item in pairs if isinstance(item, ClipFrames)]
    return found, [(clip.video, item) for clip, item in pairs if isinstance(item, str)]


def _place(clip: Clip) -> str:
    # The suffix keeps the clips "a" and "a/b" out of each other's folders.
    return f"clips/{make_safe_path(clip.clip_id)}.frames"


def _decode_clip(root: Path, folder: Path, clip: Clip, rule: FrameRule, key: str) -> ClipFrames:
    own = replace(rule, start_s=clip.start_s, end_s=clip.end_s)
    with atomic_folder(folder / _place(clip)) as temporary:
        frames = write_frames(root / clip.video, temporary, own)
        record = {"format": FORMAT, "key": key, "video": clip.video, **frames.to_dict()}
        (temporary / _RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")
    return frames


def _find_done(place: Path, key: str, overwrite: bool) -> ClipFrames | None:
    """Return what an earlier run wrote of a clip, if it is all there and would be the same again.

    Raises StoreError if it would be another, and `overwrite` is off.
    """
    if not (place / _RECORD).is_file():
        return None
    try:
        record = read_json(place / _RECORD)
        same = record["key"] == key
        frames = ClipFrames(**{item.name: record[item.name] for item in fields(ClipFrames)})
    except (ValueError, KeyError, TypeError):
        return None  # damaged: decoded again
    if not same and not overwrite:
        raise StoreError(
            f"{place} was made from another video or with other options; choose another --out, or replace it "
            f"with --overwrite."
        )
    return frames if same and all((place / file).is_file() for file in frames.files) else None


def _make_frame(found: list[tuple[Clip, str, ClipFrames]]) -> pd.DataFrame:
    rows = []
    for clip, place, item in found:
        labels = {"identity": "", "expression": "", **clip.labels}
        labels["clip"] = labels.get("clip") or clip.clip_id
        for number, time, file, digest in zip(
            item.frames, item.times_s, item.files, item.digests, strict=True
        ):
            own = {"stimulus_id": f"{clip.clip_id}_f{number:06d}", "path": f"{place}/{file}"}
            place_in_time = {"frame": number, "time_s": time, "fps": item.fps, "digest": digest}
            rows.append({**own, **labels, **place_in_time})
    return pd.DataFrame(rows)
