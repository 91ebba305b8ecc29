"""Copies that would count as independent: one run under two numbers, one participant under two names.

What belongs here: telling that two files, or what was read of them, are the same; whatever a file is called,
how it is packed and what its header says. Everything that compares runs, sessions or participants comes here.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache

import numpy as np

from fernet_neuro._utils.likeness import Seen, are_alike, sketch
from fernet_neuro.brain import images
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.brain.surfaces import is_surface, read_maps
from fernet_neuro.exceptions import StimulusError, StoreError


def check_new(values: np.ndarray, name: str, seen: Seen, group: Hashable = "") -> None:
    """Raise if these values were seen under another name, and remember them.

    Parameters
    ----------
    values : ndarray
    name : str
    seen : Seen
        Those of before; added to.
    group : hashable
        What alone is compared, such as a region.

    Raises
    ------
    StimulusError
        Naming both.
    """
    other = seen.find(values, name, group)
    if other is not None:
        raise StimulusError(
            f"{name} holds the same values as {other}; copies are not independent. Take one of them out."
        )


def check_runs_differ(
    values: np.ndarray, runs: Iterable[str], name: str, seen: Seen | None = None, group: Hashable = ""
) -> None:
    """Raise if two runs of a table of patterns (n_observations, n_voxels) hold the same values.

    Parameters
    ----------
    values : ndarray of shape (n_observations, n_voxels)
    runs : iterable of str
        Of each row.
    name : str
        What the table is called.
    seen, group
        As in `check_new`, where runs of other tables count too.

    Raises
    ------
    StimulusError
        Naming both.
    """
    labels = np.asarray(list(runs), dtype=str)
    if len(labels) != len(values):
        return  # who uses them says so
    seen = Seen() if seen is None else seen
    for run in dict.fromkeys(labels.tolist()):
        check_new(values[labels == run], f"run {run} of {name}", seen, group)


def check_patterns_differ(item: BrainPatterns, seen: Seen) -> None:
    """Raise if a run of these patterns is one that was seen, of any session or participant.

    Raises
    ------
    StimulusError
        Naming both.
    """
    session = f", session {item.session}" if item.session else ""
    check_runs_differ(
        item.values, item.runs, f"{item.roi} of subject {item.subject}{session}", seen, item.roi
    )


def check_files_differ(owners: Mapping[str, str]) -> None:
    """Raise if two images have the same values; only those that begin alike are read to their end.

    Parameters
    ----------
    owners : mapping of str to str
        Paths of NIfTI or GIFTI files, and whose each is.

    Raises
    ------
    StimulusError
        Naming both.
    """
    read_whole: Callable[[str], np.ndarray] = cache(_sketch_file)
    starts: dict[str, np.ndarray] = {}
    for path, owner in owners.items():
        start = _sketch_file(path, only_first=True)
        for other, known in starts.items():
            # Volumes of one value, such as those that were blanked, say nothing.
            is_candidate = are_alike(start, known) or not (start.any() or known.any())
            if is_candidate and are_alike(read_whole(path), read_whole(other)):
                raise StimulusError(
                    f"{path} of {owner} holds the same values as {other} of {owners[other]}; copies are not "
                    f"independent. Take one of them out."
                )
        starts[path] = start


def _sketch_file(path: str, *, only_first: bool = False) -> np.ndarray:
    """Return the sketch of a file's values, or of its first volume; zeros if its reader will refuse it."""
    try:
        if is_surface(path):
            return sketch(read_maps(path, only_first=only_first))
        image = images.load_image(path)
        return sketch(images.read_first(image, path) if only_first else images.read_array(image, path))
    except StoreError:
        return sketch(np.zeros(0))
