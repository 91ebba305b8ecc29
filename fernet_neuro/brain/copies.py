"""Copies that would count as independent: one run under two numbers, one participant under two names.

What belongs here: telling that two files, or what was read of them, are the same.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from fernet_neuro._utils.hashing import hash_array, hash_bytes, hash_file
from fernet_neuro.exceptions import StimulusError

#: Arrays with fewer values than this may be equal by chance.
_FEWEST_VALUES = 32
_PIECE = 1 << 20


def check_new(values: np.ndarray, name: str, seen: dict[str, str]) -> None:
    """Raise if these values were seen under another name, and remember them.

    Parameters
    ----------
    values : ndarray
    name : str
    seen : dict
        Digests and the names they were seen under; added to.

    Raises
    ------
    StimulusError
        Naming both.
    """
    if values.size < _FEWEST_VALUES:
        return
    other = seen.setdefault(hash_array(values), name)
    if other != name:
        raise StimulusError(
            f"{name} holds the same values as {other}; copies are not independent. Take one of them out."
        )


def check_runs_differ(values: np.ndarray, runs: Iterable[str], name: str) -> None:
    """Raise if two runs of a table of patterns (n_observations, n_voxels) hold the same values.

    Raises
    ------
    StimulusError
        Naming both.
    """
    labels = np.asarray(list(runs), dtype=str)
    if len(labels) != len(values):
        return  # who uses them says so
    seen: dict[str, str] = {}
    for run in dict.fromkeys(labels.tolist()):
        check_new(values[labels == run], f"run {run} of {name}", seen)


def check_files_differ(owners: Mapping[str, str]) -> None:
    """Raise if two files have the same content; only those of one size are read.

    Parameters
    ----------
    owners : mapping of str to str
        Paths, and whose each is.

    Raises
    ------
    StimulusError
        Naming both.
    """
    alike: dict[tuple[int, str], str] = {}
    for path, owner in owners.items():
        if not Path(path).is_file():
            continue  # its reader says so
        other = alike.setdefault(_describe(Path(path)), path)
        if other != path and hash_file(other) == hash_file(path):
            raise StimulusError(
                f"{path} of {owner} is the same file as {other} of {owners[other]}; copies are not "
                f"independent. Take one of them out."
            )


def _describe(path: Path) -> tuple[int, str]:
    """Return the size of a file and a digest of its ends: what tells nearly all files apart, and fast."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        pieces = [handle.read(_PIECE)]
        for place in (size // 2, max(0, size - _PIECE)):
            handle.seek(place)
            pieces.append(handle.read(_PIECE))
    return size, hash_bytes(b"".join(pieces))
