"""Which picture each row of FERPlus's votes is of, in each of the owners' layouts.

What belongs here: joining the label files with ``fer2013.csv`` or with pictures in folders; `ferplus` makes
labels of the votes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets._fer2013_pictures import (
    FILES,
    ORIGIN,
    Face,
    check_pictures,
    name_face,
    read_faces,
    write_pictures,
)
from fernet_neuro.stimuli.datasets._ferplus_votes import Ballot, read_ballots, read_folder_ballots
from fernet_neuro.stimuli.datasets.report import LeftOut, find_one
from fernet_neuro.stimuli.images import IMAGE_SUFFIXES
from fernet_neuro.typing import PathLike

#: The two files with votes, which differ: one for all pictures, or one in each folder.
LABELS = ("fer2013new.csv", "label.csv")
FOLDERS = {"train": "FER2013Train", "val": "FER2013Valid", "test": "FER2013Test"}
#: Rows of ``fer2013new.csv``, from 0, that carry the name of another row's picture.
MISNAMED = frozenset({5274, 5348, 15835, 34334})


class Found(NamedTuple):
    """One picture with votes: its stimulus id, its path from the root, and its row of the label file."""

    stimulus_id: str
    path: str
    ballot: Ballot


def find_pictures(
    src: Path, labels: str, pictures: PathLike | None, *, n_jobs: int = 1, verbose: bool = False
) -> tuple[Path, list[Found], list[LeftOut]]:
    """Return the folder of the pictures, those that have votes, and what is left out.

    Parameters and errors as `ferplus.list_ferplus`.
    """
    folders = _find_folders(src) if labels == "label.csv" else {}
    if _hold_pictures(folders):
        return next(iter(folders.values())).parent, *_find_in_folders(folders)
    return _find_by_row(src, folders, pictures, n_jobs, verbose)


def _find_by_row(
    src: Path, folders: Mapping[str, Path], pictures: PathLike | None, n_jobs: int, verbose: bool
) -> tuple[Path, list[Found], list[LeftOut]]:
    """Write the pictures of ``fer2013.csv``, and return as `find_pictures`; votes may be in `folders`."""
    source = find_one(src, FILES, f"fer2013.csv, whose pictures the votes are of (offered at {ORIGIN})")
    votes = find_one(src, LABELS[:1], "file fer2013new.csv, which has a row per row of fer2013.csv")
    root, ballots = check_pictures(pictures), read_ballots(votes)
    rows, left_out = _find_rows(folders, ballots) if folders else (dict(enumerate(ballots)), [])
    faces = read_faces(source)
    _check_rows(source, faces, votes, ballots)
    write_pictures(faces, source, root, n_jobs=n_jobs, verbose=verbose)
    found = []
    for row, ballot in rows.items():
        name = name_face(row, ballot.part)
        fault = faces[row].fault or ("" if ballot.image_name else "no usable face: without a picture name")
        if fault:
            left_out.append((f"{name}.png", fault))
        else:
            found.append(Found(name, f"{name}.png", ballot))
    return root, found, left_out


def _check_rows(source: Path, faces: Sequence[Face], votes: Path, ballots: Sequence[Ballot]) -> None:
    if len(faces) != len(ballots):
        raise StimulusError(
            f"{source} has {len(faces)} rows and {votes} has {len(ballots)}; they are joined row by row, so "
            f"both must be whole and in the owners' order."
        )
    for row, (face, ballot) in enumerate(zip(faces, ballots, strict=True)):
        if face.part != ballot.part:
            raise StimulusError(
                f"row {row} (from 0) is in the part {face.part} of {source} and in {ballot.part} of {votes}; "
                f"they are joined row by row, so both must be in the owners' order."
            )


def _find_folders(src: Path) -> dict[str, Path]:
    """Return the folders that hold a ``label.csv``, by part; raise StimulusError if there are none."""
    found = {}
    for part, folder in FOLDERS.items():
        path = next((src / top / folder for top in (".", "data") if (src / top / folder).is_dir()), None)
        if path is not None and (path / "label.csv").is_file():
            found[part] = path
    if not found:
        raise StimulusError(f"{src} holds no label.csv; looked for: data/{FOLDERS['train']}/label.csv.")
    return found


def _hold_pictures(folders: Mapping[str, Path]) -> bool:
    return any(
        path.suffix.lower() in IMAGE_SUFFIXES for folder in folders.values() for path in folder.iterdir()
    )


def _iterate_folders(folders: Mapping[str, Path]) -> Iterator[tuple[str, Ballot, str]]:
    """Yield (path, row, its fault or "") of each ``label.csv``."""
    for part, folder in folders.items():
        rows = list(read_folder_ballots(folder / "label.csv", part))
        lines: dict[str, int] = {}
        said = defaultdict(set)
        for _, ballot in rows:
            said[ballot.image_name].add(ballot.votes)
        for line, ballot in rows:
            first = lines.setdefault(ballot.image_name, line)
            fault = "" if first == line else f"listed twice: line {line} repeats line {first}"
            if len(said[ballot.image_name]) > 1:
                fault = f"two labels: line {line} has other votes than another line of that name"
            yield f"{folder.name}/{ballot.image_name}", ballot, fault


def _find_in_folders(folders: Mapping[str, Path]) -> tuple[list[Found], list[LeftOut]]:
    found: list[Found] = []
    left_out: list[LeftOut] = []
    listed = set()
    for path, ballot, fault in _iterate_folders(folders):
        listed.add(path)
        is_there = "/" not in ballot.image_name and (folders[ballot.part] / ballot.image_name).is_file()
        if fault or not is_there:
            left_out.append((path, fault or "missing: in label.csv but not on disk"))
        else:
            found.append(Found(f"{ballot.part}/{Path(ballot.image_name).stem}", path, ballot))
    there = (f"{folder.name}/{path.name}" for folder in folders.values() for path in folder.iterdir())
    others = [name for name in there if name not in listed and not name.endswith("/label.csv")]
    return found, left_out + [(name, "not in label.csv") for name in sorted(others)]


def _find_rows(
    folders: Mapping[str, Path], ballots: Sequence[Ballot]
) -> tuple[dict[int, Ballot], list[LeftOut]]:
    """Return rows of ``label.csv`` by the row of ``fer2013.csv`` that has their name, and the others."""
    counts = Counter(ballot.image_name for ballot in ballots)
    rows: dict[tuple[str, str], list[int]] = {}
    for row, ballot in enumerate(ballots):
        if counts[ballot.image_name] == 1 or row not in MISNAMED:
            rows.setdefault((ballot.part, ballot.image_name), []).append(row)
    found: dict[int, Ballot] = {}
    left_out: list[LeftOut] = []
    for path, ballot, fault in _iterate_folders(folders):
        places = rows.get((ballot.part, ballot.image_name), [])
        if not fault and len(places) != 1:
            fault = "two pictures of one name" if places else "missing: fer2013new.csv has no such name"
        if fault:
            left_out.append((path, fault))
        else:
            found[places[0]] = ballot
    return found, left_out
