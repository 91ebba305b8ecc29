"""Which clips of actors a folder of videos holds, and their labels.

What belongs here: labels from file names or a CSV; taking frames is in `clips_frames`.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.folder import compile_pattern, find_path_fault, load_csv, strip_suffix
from fernet_neuro.stimuli.datasets.report import LeftOut, lies_inside, list_files
from fernet_neuro.stimuli.images import VIDEO_SUFFIXES
from fernet_neuro.typing import PathLike

#: Labels in the names of videos unless said otherwise.
DEFAULT_PATTERN = "{identity}_{expression}_{clip}"
#: Columns of every table of frames, which are not names for labels.
OWN_COLUMNS = ("stimulus_id", "path", "frame", "time_s", "fps", "digest")


@dataclass(frozen=True)
class Clip:
    """One video, or a part of one, and its labels.

    `clip_id`: unique; frames are called ``<clip_id>_f000012``. `video`: path below the source folder.
    `labels`: such as identity, expression and clip. `start_s`, `end_s`: part of the video, in seconds.
    """

    clip_id: str
    video: str
    labels: dict[str, str] = field(default_factory=dict)
    start_s: float | None = None
    end_s: float | None = None


def list_clips(
    root: Path,
    *,
    pattern: str | None = None,
    csv: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Clip], list[LeftOut]]:
    """Return the clips below `root` with their labels, and what is left out; parameters as `extract_frames`.

    Raises StimulusError if pattern or CSV cannot be used; ValueError if both are given, or `columns` without
    `csv`.
    """
    if pattern is not None and csv is not None:
        raise ValueError("give either pattern or csv, not both.")
    if columns and csv is None:
        raise ValueError("columns renames columns of a CSV; give csv too.")
    if csv is None:
        clips, left_out = _list_by_pattern(root, pattern or DEFAULT_PATTERN)
    else:
        clips, left_out = _list_by_csv(root, Path(csv), dict(columns or {}))
    kept: dict[str, Clip] = {}
    for clip in clips:
        # Some disks do not tell upper from lower case.
        first = kept.setdefault(clip.clip_id.casefold(), clip)
        if first is not clip:
            left_out.append((clip.video, f"id occurs twice: {clip.clip_id!r} is already {first.video}"))
    return list(kept.values()), left_out


def _list_by_pattern(root: Path, pattern: str) -> tuple[list[Clip], list[LeftOut]]:
    compiled = compile_pattern(pattern)
    _check_labels(list(compiled.groupindex), f"pattern {pattern!r}")
    videos, left_out = _sort_out_videos(root, list_files(root))
    clips = []
    for name in videos:
        plain = strip_suffix(name)
        match = compiled.fullmatch(plain if "/" in pattern else plain.rpartition("/")[2])
        if match is None:
            left_out.append((name, f"no match: the name does not fit the pattern {pattern}"))
            continue
        clips.append(Clip(plain, name, {label: match[label] or "" for label in compiled.groupindex}))
    return clips, left_out


def _list_by_csv(root: Path, path: Path, columns: dict[str, str]) -> tuple[list[Clip], list[LeftOut]]:
    frame = load_csv(path, columns)
    labels = [str(name) for name in frame if name not in ("stimulus_id", "path", "start_s", "end_s")]
    _check_labels(labels, f"CSV {path}")
    clips, left_out, listed = [], [], set()
    for record in frame.to_dict("records"):
        name = str(record["path"]).replace("\\", "/")
        listed.add(Path(name).as_posix())
        try:
            clips.append(_read_csv_row(root, name, record, labels))
        except StimulusError as error:
            left_out.append((name, str(error)))
    others, _ = _sort_out_videos(root, (name for name in list_files(root) if name not in listed))
    return clips, left_out + [(name, "not in the CSV") for name in others]


def _read_csv_row(root: Path, name: str, record: Mapping[Hashable, str], labels: Sequence[str]) -> Clip:
    fault = find_path_fault(root, name)
    if fault:
        raise StimulusError(fault)
    start, end = (_read_seconds(key, record.get(key, "")) for key in ("start_s", "end_s"))
    if start is not None and end is not None and end <= start:
        raise StimulusError(f"empty part: end_s {end:g} is not after start_s {start:g}")
    part = "" if start is None and end is None else f"_{start or 0:g}s"
    clip_id = record.get("stimulus_id") or strip_suffix(name) + part
    return Clip(clip_id, name, {label: record[label] for label in labels}, start, end)


def _read_seconds(key: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise StimulusError(f"unreadable time: {key} must be seconds from 0 on; got {text!r}")
    return value


def _sort_out_videos(root: Path, names: Iterable[str]) -> tuple[list[str], list[LeftOut]]:
    videos: list[str] = []
    left_out: list[LeftOut] = []
    for name in names:
        if Path(name).suffix.lower() not in VIDEO_SUFFIXES:
            left_out.append((name, "not a video"))
        elif not lies_inside(root, name):
            left_out.append((name, "outside the source folder: the path or link leaves it"))
        else:
            videos.append(name)
    return videos, left_out


def _check_labels(labels: Sequence[str], source: str) -> None:
    taken = [name for name in labels if name in OWN_COLUMNS]
    if taken:
        raise StimulusError(
            f"{source} has a label {taken[0]!r}, which is a column of every table of frames; call it "
            f"otherwise (taken: {format_options(OWN_COLUMNS)})."
        )
