"""Which stimuli are one and the same picture under several names, whatever their labels say.

What belongs here: the search by content, and what is refused or said of copies that would count as
independent; pictures that are only nearly the same are in `near_copies`.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fernet_neuro._utils.digests import recall_digest
from fernet_neuro._utils.hashing import hash_array
from fernet_neuro.exceptions import FernetWarning, StimulusError
from fernet_neuro.stimuli.images import glance, load_image, read_image_size
from fernet_neuro.stimuli.splits import Fold
from fernet_neuro.stimuli.table import StimulusTable

#: What lists the copies of a table.
_LISTED = "(fernet-neuro stimuli check lists them)"
#: How much less than a picture is looked at before all of it is, as `glance` says.
_PARTS = (16, 4)


def find_copies(*tables: StimulusTable) -> np.ndarray:
    """Return a number per row, equal where two rows are one picture.

    That are files of the same content, and files whose pixels are the same as `load_image` reads them,
    whatever their format, compression, metadata and turn. A file that is no longer there counts by the column
    ``digest``; without it, it stands alone. Another picture is one that was resized, cut or saved anew with
    loss (as JPEG does): its pixels differ. Several photographs of one face in one pose are the business of
    `near_copies`.

    Parameters
    ----------
    *tables : StimulusTable
        The stimuli, of all tables one after the other.

    Returns
    -------
    ndarray of int, shape (n_stimuli,)
        Numbers from 0.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"stimulus_id": ["a", "b", "c"], "path": "gone.png", "digest": ["1", "2", "1"]})
    >>> find_copies(StimulusTable.from_frame(frame)).tolist()
    [0, 1, 0]
    """
    files = [path for table in tables for path in table.paths()]
    recorded = [
        note
        for table in tables
        for note in (table.factor("digest", complete=False) if "digest" in table else [""] * len(table))
    ]
    sizes = [file.stat().st_size if file.is_file() else None for file in files]
    # Files of different sizes differ, so most need not be read.
    shared = {size for size, count in Counter(sizes).items() if count > 1}
    contents = [
        str(note or f"row {row}") if size is None else recall_digest(file) if size in shared else f"row {row}"
        for row, (file, size, note) in enumerate(zip(files, sizes, recorded, strict=True))
    ]
    there = {
        content: file for content, file, size in zip(contents, files, sizes, strict=True) if size is not None
    }
    pixels = _hash_pixels(there)
    first: dict[str, int] = {}
    return np.array(
        [first.setdefault(pixels.get(content, content), len(first)) for content in contents], dtype=int
    )


def _hash_pixels(files: dict[str, Path]) -> dict[str, str]:
    """Return a digest of the pixels of contents that may share them with another.

    To decode all pictures would take most of the time of a short analysis, so that pictures of one size
    whose parts differ are told apart by those.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for content, file in files.items():
        try:
            alike[_say_size(file)].append(content)
        except StimulusError:
            continue  # who decodes it says so
    groups = [names for names in alike.values() if len(names) > 1]
    for part in _PARTS:
        glances = [{name: _hash_glance(files[name], part) for name in names} for names in groups]
        groups = [names for group in glances for names in _split(group)]
    names = [name for group in groups for name in group]
    found = _hash_pictures([files[name] for name in names])
    return {name: digest for name, digest in zip(names, found, strict=True) if digest}


def _hash_pictures(files: Sequence[Path]) -> list[str]:
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        return list(pool.map(_hash_picture, files))


def _split(glances: dict[str, str]) -> list[list[str]]:
    """Return groups of contents that may have the same pixels, by a kind and digest of each.

    Parts of different kinds say nothing of each other.
    """
    if len({seen.partition(" ")[0] for seen in glances.values()}) > 1:
        return [list(glances)]
    groups: dict[str, list[str]] = defaultdict(list)
    for name, seen in glances.items():
        groups[seen].append(name)
    return [names for names in groups.values() if len(names) > 1]


def _say_size(path: Path) -> str:
    """Return the longer and the shorter side of the picture in pixels, as text.

    Raises StimulusError if there is no picture.
    """
    return recall_digest(
        path, "size", lambda file: " ".join(map(str, sorted(read_image_size(file), reverse=True)))
    )


def _hash_glance(path: Path, part: int) -> str:
    """Return what kind of part of the picture can be seen quickly, and its digest; empty if none can."""

    def compute(file: Path) -> str:
        try:
            seen = glance(file, part)
        except StimulusError:
            return ""
        return f"{seen[0]} {hash_array(seen[1])}" if seen else ""

    return recall_digest(path, f"part {part}", compute)


def _hash_picture(path: Path) -> str:
    """Return a digest of the pixels; empty if there is no picture, which others say."""

    def compute(file: Path) -> str:
        try:
            return hash_array(load_image(file))
        except StimulusError:
            return ""

    return recall_digest(path, "pixels", compute) if path.is_file() else ""


def check_copies_apart(table: StimulusTable, folds: Sequence[Fold]) -> None:
    """Raise if a picture that a fold tests is in its training part under another name.

    Raises
    ------
    StimulusError
        Naming two stimuli that are one picture.
    """
    copies = find_copies(table)
    if copies.max(initial=-1) == len(table) - 1:
        return
    for fold in folds:
        both = np.intersect1d(copies[fold.train], copies[fold.test])
        if len(both):
            first, second = (
                str(table.stimulus_ids[rows[copies[rows] == both[0]][0]]) for rows in (fold.train, fold.test)
            )
            raise StimulusError(
                f"{first!r} and {second!r} are the same picture, and fold {fold.name!r} would train on one "
                f"and test on the other ({len(both)} such pictures); leave copies out {_LISTED}."
            )


def check_copies_together(table: StimulusTable, groups: np.ndarray) -> None:
    """Raise if one picture is in two groups, of which each counts as independent of the others.

    `groups`: codes of shape (n_groupings, n_stimuli).

    Raises
    ------
    StimulusError
        Naming two stimuli that are one picture.
    """
    copies = find_copies(table)
    first: dict[int, int] = {}
    for row, code in enumerate(copies):
        other = first.setdefault(int(code), row)
        if (groups[:, other] != groups[:, row]).any():
            one, two = (str(table.stimulus_ids[number]) for number in (other, row))
            raise StimulusError(
                f"{one!r} and {two!r} are the same picture, and would count as neighbours that are "
                f"independent of each other; leave copies out {_LISTED}."
            )


def describe_copies(table: StimulusTable) -> str:
    """Return a sentence on pictures that are in a table more than once, naming the first two, or no text."""
    names: dict[int, list[str]] = defaultdict(list)
    for code, name in zip(find_copies(table), table.stimulus_ids, strict=True):
        names[int(code)].append(str(name))
    repeated = [group for group in names.values() if len(group) > 1]
    if not repeated:
        return ""
    return (
        f"{len(repeated)} of {len(names)} pictures are several stimuli (first: {repeated[0][0]!r} and "
        f"{repeated[0][1]!r}), which count as independent of each other {_LISTED}."
    )


def warn_of_copies(table: StimulusTable) -> None:
    """Warn where pictures are in a table more than once, which analyses of stimuli take for independent.

    Warns
    -----
    FernetWarning
        Naming the first two.
    """
    said = describe_copies(table)
    if said:
        warnings.warn(said, FernetWarning, stacklevel=2)


def describe_shared(train: StimulusTable, test: StimulusTable, use: str) -> str:
    """Return a sentence on pictures that are in both tables, or an empty text; `use` is that of `test`."""
    copies = find_copies(train, test)
    is_shared = np.isin(copies[len(train) :], copies[: len(train)])
    if not is_shared.any():
        return ""
    return (
        f"{is_shared.sum()} of {len(test)} stimuli of {use} are pictures that are trained on too (first: "
        f"{str(test.stimulus_ids[is_shared][0])!r}), so its scores are too good; leave them out."
    )


def list_contents(table: StimulusTable) -> np.ndarray:
    """Return numbers per row that tell its file's content and its pixels from others; 0 where there are none.

    Shape (n_stimuli, 2), of uint64. Decodes every picture.
    """
    digests = list(zip(table.known_digests(), _hash_pictures(table.paths()), strict=True))
    return np.array(
        [[int(digest[:16], 16) if digest else 0 for digest in pair] for pair in digests], dtype=np.uint64
    ).reshape(-1, 2)
