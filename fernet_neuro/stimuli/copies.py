"""Which stimuli are one and the same picture under several names, whatever their labels say.

What belongs here: the search by content, and what is refused or said of copies that would count as
independent; pictures that are only nearly the same are in `near_copies`.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fernet_neuro._utils.hashing import hash_array, hash_file
from fernet_neuro.exceptions import FernetWarning, StimulusError
from fernet_neuro.stimuli.images import load_image, read_image_size
from fernet_neuro.stimuli.splits import Fold
from fernet_neuro.stimuli.table import StimulusTable

#: What lists the copies of a table.
_LISTED = "(fernet-neuro stimuli check lists them)"


def find_copies(*tables: StimulusTable) -> np.ndarray:
    """Return a number per row, equal where two rows are one picture.

    That are files of the same content, and files of two formats whose pixels are the same. A file that is no
    longer there counts by the column ``digest``; without it, it stands alone. A picture that was saved anew
    in its own format, or in another size, is another.

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
    paths = [path for table in tables for path in table.paths()]
    recorded = [
        note
        for table in tables
        for note in (table.factor("digest", complete=False) if "digest" in table else [""] * len(table))
    ]
    sizes = [path.stat().st_size if path.is_file() else None for path in paths]
    # Files of different sizes differ, so most need not be read.
    shared = {size for size, count in Counter(sizes).items() if count > 1}
    contents = [
        str(note or f"row {row}") if size is None else hash_file(path) if size in shared else f"row {row}"
        for row, (path, size, note) in enumerate(zip(paths, sizes, recorded, strict=True))
    ]
    pixels = _hash_pixels(dict(zip(contents, paths, strict=True)))
    first: dict[str, int] = {}
    return np.array(
        [first.setdefault(pixels.get(content, content), len(first)) for content in contents], dtype=int
    )


def _hash_pixels(files: dict[str, Path]) -> dict[str, str]:
    """Return a digest of the pixels of contents that have a file of another format and the same size."""
    kinds = {content: path.suffix.lower().replace("jpeg", "jpg") for content, path in files.items()}
    if len(set(kinds.values())) < 2:
        return {}
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for content, path in files.items():
        try:
            alike[tuple(sorted(read_image_size(path)))].append(content)
        except StimulusError:
            continue  # who decodes it says so
    mixed = [names for names in alike.values() if len({kinds[name] for name in names}) > 1]
    return {name: digest for names in mixed for name in names if (digest := _hash_picture(files[name]))}


def _hash_picture(path: Path) -> str:
    """Return a digest of a picture's pixels; empty if it cannot be decoded, which others say."""
    try:
        return hash_array(load_image(path))
    except StimulusError:
        return ""


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


def warn_of_copies(table: StimulusTable) -> None:
    """Warn where pictures are in a table more than once, which analyses of stimuli take for independent.

    Warns
    -----
    FernetWarning
        Naming the first two.
    """
    names: dict[int, list[str]] = defaultdict(list)
    for code, name in zip(find_copies(table), table.stimulus_ids, strict=True):
        names[int(code)].append(str(name))
    repeated = [group for group in names.values() if len(group) > 1]
    if repeated:
        warnings.warn(
            f"{len(repeated)} of {len(names)} pictures are several stimuli (first: {repeated[0][0]!r} and "
            f"{repeated[0][1]!r}), which count as independent of each other {_LISTED}.",
            FernetWarning,
            stacklevel=2,
        )


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
    """Return a number per row that tells contents of files apart, shape (n_stimuli,); 0 where none is."""
    digests = table.known_digests()
    return np.array([int(digest[:16], 16) if digest else 0 for digest in digests], dtype=np.uint64)
