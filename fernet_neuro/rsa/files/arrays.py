"""Plain arrays as RDMs: ``.npz``, ``.npy``, square ``.csv``, and what shapes mean.

What belongs here: from an array of any accepted shape to an `RDMSet`, and the files that hold nothing else.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fernet_neuro._utils.archives import read_archive
from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.pairs import count_stimuli, squares_to_vectors
from fernet_neuro.rsa.rdms import RDMSet, from_archive

#: Names that arrays with the stimulus ids of a file go by.
ID_NAMES = ("stimulus_ids", "stimulus_id", "stimuli", "conditions")


def to_vectors(array: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return vectors (n_rdms, n_pairs) of an array of RDMs, and the shape of its leading axes."""
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"it holds {values.dtype}, not real numbers")
    squeezed = np.squeeze(values)  # MATLAB has no array of one axis
    if _is_square(squeezed, -2, -1):
        matrices = squeezed.reshape(-1, *squeezed.shape[-2:])
        return squares_to_vectors(matrices.astype(np.float64)), squeezed.shape[:-2]
    if squeezed.ndim == 3 and _is_square(squeezed, 0, 1):  # as MATLAB stacks them
        return squares_to_vectors(np.moveaxis(squeezed, -1, 0).astype(np.float64)), squeezed.shape[2:]
    if squeezed.ndim >= 1 and count_stimuli(squeezed.shape[-1]) is not None:
        return squeezed.reshape(-1, squeezed.shape[-1]).astype(np.float64), squeezed.shape[:-1]
    if squeezed.ndim == 2 and count_stimuli(squeezed.shape[0]) is not None:
        return squeezed.T.astype(np.float64), squeezed.shape[1:]
    raise ValueError(f"its shape {values.shape} is neither that of squares nor of vectors of pairs")


def make_set(array: np.ndarray, stimulus_ids: Iterable[str] | None, origin: str) -> RDMSet:
    """Return the set of an array, its leading axes as columns ``index`` or ``index_0``, ``index_1``..."""
    try:
        vectors, leading = to_vectors(array)
        ids = default_ids(vectors) if stimulus_ids is None else [str(item) for item in stimulus_ids]
        return RDMSet(vectors, np.array(ids, dtype=str), _number_axes(leading))
    except ValueError as error:
        raise ValueError(f"{origin} is no RDM: {error}") from error


def default_ids(vectors: np.ndarray) -> list[str]:
    """Return ``stimulus001`` and so on for stimuli without names."""
    n_stimuli = count_stimuli(vectors.shape[1]) or 0
    width = max(3, len(str(n_stimuli)))
    return [f"stimulus{number:0{width}d}" for number in range(1, n_stimuli + 1)]


def choose(found: Mapping[str, np.ndarray], variable: str | None, path: Path) -> str:
    """Return the name of the only array, or of the `variable` asked for."""
    if variable is not None:
        if variable not in found:
            raise ValueError(
                f"RDM file {path} has no RDMs called {variable!r}; it has: {format_options(found) or 'none'}."
                f"{suggest(variable, found)}"
            )
        return variable
    if len(found) != 1:
        several = f"several ({format_options(found)}); name one with variable= (--variable)"
        raise ValueError(f"RDM file {path} holds {several if found else 'no RDMs'}.")
    return next(iter(found))


def read_npz(path: Path, variable: str | None) -> RDMSet:
    """Read our own format, or the one array of RDMs of any other ``.npz`` file."""
    archive = read_archive(path, "RDM")
    if "header" in archive:
        try:
            return from_archive(archive)
        except (KeyError, ValueError) as error:
            raise StoreError(f"RDM file {path} cannot be read: {error}") from error
    found = {name: array for name, array in archive.items() if are_rdms(array)}
    chosen = choose(found, variable, path)
    ids = next((archive[name] for name in ID_NAMES if name in archive), None)
    return make_set(found[chosen], ids, f"{chosen!r} of RDM file {path}")


def read_npy(path: Path, _variable: str | None) -> RDMSet:
    """Read one array of RDMs."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise StoreError(f"RDM file {path} cannot be read: {error}") from error
    return make_set(array, None, f"RDM file {path}")


def read_csv(path: Path, _variable: str | None) -> RDMSet:
    """Read one square RDM with a heading of stimulus ids; a first column may repeat them."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = [row for row in csv.reader(handle, strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"RDM file {path} cannot be read: {error}") from error
    if len(rows) < 3 or any(len(row) != len(rows[0]) for row in rows[1:]):
        raise ValueError(f"RDM file {path} is not a square table with a heading of stimulus ids.")
    heading, body = rows[0], rows[1:]
    if len(heading) == len(body) + 1:
        heading = heading[1:]
        named = [row[0] for row in body]
        if named != heading:
            place = next(row for row, name in enumerate(named) if name != heading[row])
            raise ValueError(
                f"RDM file {path}: row {place + 1} is {named[place]!r}, but column {place + 1} is "
                f"{heading[place]!r}; rows and columns must be of the same stimuli in the same order."
            )
        body = [row[1:] for row in body]
    return _from_csv(path, heading, body)


def write_csv(rdms: RDMSet, path: Path) -> None:
    """Write one square RDM with a heading and the ids in the first column."""
    if rdms.n_rdms != 1:
        raise ValueError(f"a .csv file holds one RDM; there are {rdms.n_rdms}. Choose one, or write .npz.")
    ids = rdms.stimulus_ids
    frame = pd.DataFrame(rdms.to_squares()[0], index=pd.Index(ids, name="stimulus_id"), columns=ids)
    with atomic_file(path) as temporary:
        frame.to_csv(temporary)


def _from_csv(path: Path, heading: list[str], body: list[list[str]]) -> RDMSet:
    if len(heading) != len(body):
        raise ValueError(
            f"RDM file {path} is not square: {len(heading)} stimuli in its heading, {len(body)} rows."
        )
    square = np.empty((len(body), len(body)))
    for row, column in np.ndindex(square.shape):
        text = body[row][column].strip()
        try:
            square[row, column] = float(text) if text else np.nan
        except ValueError:
            raise ValueError(
                f"RDM file {path} has {text!r} for {heading[row]!r} and {heading[column]!r}: no number."
            ) from None
    return make_set(square, heading, f"RDM file {path}")


def _is_square(array: np.ndarray, one: int, other: int) -> bool:
    return array.ndim >= 2 and array.shape[one] == array.shape[other] >= 2


def are_rdms(value: object) -> bool:
    """Return whether a value is an array of the shape of RDMs, and not of one number per stimulus."""
    if (
        not isinstance(value, np.ndarray)
        or value.dtype.kind not in "biuf"
        or not value.ndim
        or not value.size
    ):
        return False
    try:
        to_vectors(value)
    except ValueError:
        return False
    return True


def _number_axes(leading: tuple[int, ...]) -> pd.DataFrame:
    if not leading:
        return pd.DataFrame()
    indices = np.indices(leading).reshape(len(leading), -1)
    names = ["index"] if len(leading) == 1 else [f"index_{axis}" for axis in range(len(leading))]
    return pd.DataFrame(dict(zip(names, indices, strict=True)))
