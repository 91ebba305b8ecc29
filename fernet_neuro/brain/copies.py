"""Copies that would count as independent: one run under two numbers, one participant under two names.

What belongs here: telling that two files, or what was read of them, are the same; whatever a file is called,
how it is packed and what its header says. Everything that compares runs, sessions or participants comes here.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache

import numpy as np

from fernet_neuro._utils.likeness import Seen, Sketch, are_alike, sketch
from fernet_neuro.brain import images
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.brain.surfaces import is_surface, read_maps
from fernet_neuro.exceptions import StimulusError, StoreError

#: Under what values are the same all the same.
_AT_MOST = ", but for offset and scale at most"


def check_new(
    values: np.ndarray, name: str, seen: Seen, group: Hashable = "", *, is_run: bool = False
) -> None:
    """Raise if these values were seen under another name, and remember them; offset and scale do not count.

    Parameters
    ----------
    values : ndarray
    name : str
    seen : Seen
        Those of before; added to.
    group : hashable
        What alone is compared, such as a region.
    is_run : bool, default=False
        Values of shape (n_observations, n_voxels), of which only what varies in a voxel counts.

    Raises
    ------
    StimulusError
        Naming both.
    """
    other = seen.find(values, name, group, by_column=is_run)
    if other is not None:
        raise StimulusError(
            f"{name} holds the same values as {other}{_AT_MOST}; copies are not independent. Take one of "
            f"them out."
        )


def check_runs_differ(
    values: np.ndarray,
    runs: Iterable[str],
    stimulus_ids: Iterable[str],
    name: str,
    seen: Seen | None = None,
    group: Hashable = "",
) -> None:
    """Raise if two runs of a table of patterns hold the same values, in whatever order of rows.

    Runs are compared row by row, whatever the rows are called, and stimulus by stimulus.

    Parameters
    ----------
    values : ndarray of shape (n_observations, n_voxels)
    runs, stimulus_ids : iterable of str
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
    labels, stimuli = (np.asarray(list(items), dtype=str) for items in (runs, stimulus_ids))
    if not len(labels) == len(stimuli) == len(values):
        return  # who uses them says so
    seen = Seen() if seen is None else seen
    for run in dict.fromkeys(labels.tolist()):
        rows, title = values[labels == run], f"run {run} of {name}"
        check_new(rows, title, seen, (group, "rows"), is_run=True)
        names, codes = np.unique(stimuli[labels == run], return_inverse=True)
        if len(names) > 1:
            check_new(_average(rows, codes), title, seen, (group, "stimuli"), is_run=True)


def _average(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the mean of the rows of each code, shape (n_codes, n_columns)."""
    return np.stack([rows[codes == code].mean(axis=0, dtype=np.float64) for code in range(codes.max() + 1)])


def check_patterns_differ(item: BrainPatterns, seen: Seen) -> None:
    """Raise if a run of these patterns is one that was seen, of any session or participant.

    Raises
    ------
    StimulusError
        Naming both.
    """
    session = f", session {item.session}" if item.session else ""
    check_runs_differ(
        item.values, item.runs, item.stimulus_ids, f"{item.roi} of subject {item.subject}{session}", seen,
        item.roi,
    )  # fmt: skip


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
    read_whole: Callable[[str], Sketch] = cache(_sketch_file)
    starts: dict[str, Sketch] = {}
    for path, owner in owners.items():
        start = _sketch_file(path, only_first=True)
        for other, known in starts.items():
            # Volumes of one value, such as those that were blanked, say nothing.
            is_candidate = are_alike(start, known) or (start.is_constant and known.is_constant)
            if is_candidate and are_alike(read_whole(path), read_whole(other)):
                raise StimulusError(
                    f"{path} of {owner} holds the same values as {other} of {owners[other]}{_AT_MOST}; "
                    f"copies are not independent. Take one of them out."
                )
        starts[path] = start


def _sketch_file(path: str, *, only_first: bool = False) -> Sketch:
    """Return the sketch of a file's values, or of its first volume; zeros if its reader will refuse it."""
    try:
        if is_surface(path):
            return sketch(read_maps(path, only_first=only_first), by_column=not only_first)
        image = images.load_image(path)
        if only_first:
            return sketch(images.read_first(image, path))
        values = images.read_array(image, path)
        n_volumes = int(np.prod(values.shape[3:]))
        # Index order of the file, so that nothing is copied.
        return sketch(np.reshape(values, (-1, n_volumes), order="F").T, by_column=True)
    except StoreError:
        return sketch(np.zeros(0))
