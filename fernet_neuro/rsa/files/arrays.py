"""Plain arrays as RDMs: ``.npz``, ``.npy``, square ``.csv``, and what shapes mean.

What belongs here: from an array of any accepted shape to an `RDMSet`, and the files that hold nothing else.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.archives import explain_array, read_archive
from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro._utils.foreign import read_rows
from fernet_neuro._utils.tables import escape_formulas, unescape_formulas
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.pairs import count_stimuli, squares_to_vectors
from fernet_neuro.rsa.rdms import RDMSet, from_archive

#: Names that arrays beside RDMs go by, or with an s: whose they are.
LABEL_NAMES = ("subject", "roi", "session")
#: And those with the stimuli.
ID_NAMES = ("stimulus_ids", "stimulus_id", "stimuli", "conditions")


#: What to do with a table that has a row per pair.
_LONG = (
    "; of a long table, with a row per pair, make a square of each RDM (DataFrame.pivot), stack them, and "
    "save .npz with subject"
)
#: RDMs of fewer stimuli are no reading where there is another.
_FEWEST_STIMULI = 4


class TwoReadingsError(ValueError):
    """An array can be read as RDMs in two ways."""


def to_vectors(array: np.ndarray, n_stimuli: int | None = None) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return vectors (n_rdms, n_pairs) of an array of RDMs, and the shape of its leading axes.

    Raises
    ------
    TwoReadingsError
        If its shape allows two readings, and `n_stimuli` does not say which.
    ValueError
        If it is no array of RDMs.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"it holds {values.dtype}, not real numbers")
    squeezed = np.squeeze(values)  # MATLAB has no array of one axis
    readings = _read_as_squares(squeezed) or _read_as_pairs(squeezed)
    large = [item for item in readings if (count_stimuli(item[0].shape[1]) or 0) >= _FEWEST_STIMULI]
    readings = large or readings
    if n_stimuli is not None and len(readings) > 1:
        readings = [item for item in readings if count_stimuli(item[0].shape[1]) == n_stimuli] or readings
    if len(readings) > 1:
        both = " or ".join(
            f"{len(item)} RDMs of {count_stimuli(item.shape[1])} stimuli" for item, _ in readings
        )
        raise TwoReadingsError(
            f"its shape {values.shape} may mean {both}; put the names of the stimuli beside it (stimulus_ids "
            f"in .npz or .mat), give stimulus_ids=, or write squares (n_rdms, n_stimuli, n_stimuli)"
        )
    if not readings:
        raise ValueError(f"its shape {values.shape} is neither that of squares nor of vectors of pairs")
    return readings[0]


def _read_as_squares(array: np.ndarray) -> list[tuple[np.ndarray, tuple[int, ...]]]:
    """Return an array of squares as vectors: stacked before them, or behind them, as MATLAB does."""
    found = []
    if _is_square(array, -2, -1):
        found.append((array.reshape(-1, *array.shape[-2:]), array.shape[:-2]))
    if array.ndim == 3 and _is_square(array, 0, 1):
        found.append((np.moveaxis(array, -1, 0), array.shape[2:]))
    if len(found) > 1:  # n x n x n: slices across the stack are not symmetric
        found = [item for item in found if _are_symmetric(item[0])] or found[:1]
    return [(squares_to_vectors(item.astype(np.float64)), leading) for item, leading in found]


def _read_as_pairs(array: np.ndarray) -> list[tuple[np.ndarray, tuple[int, ...]]]:
    """Return an array of vectors of pairs: along its last axis, or its first, as MATLAB has columns."""
    found = []
    if array.ndim >= 1 and count_stimuli(array.shape[-1]) is not None:
        found.append((array.reshape(-1, array.shape[-1]), array.shape[:-1]))
    if array.ndim >= 2 and count_stimuli(array.shape[0]) is not None:
        found.append((np.moveaxis(array, 0, -1).reshape(-1, array.shape[0]), array.shape[1:]))
    return [(item.astype(np.float64), leading) for item, leading in found]


def _are_symmetric(squares: np.ndarray) -> bool:
    return bool(np.allclose(squares, squares.swapaxes(1, 2), equal_nan=True))


def make_set(
    array: np.ndarray,
    stimulus_ids: Iterable[str] | None,
    origin: str,
    *,
    n_stimuli: int | None = None,
    labels: Mapping[str, list[Any]] | None = None,
) -> RDMSet:
    """Return the set of an array, its leading axes as columns ``index`` or ``index_0``, ``index_1``...

    Parameters
    ----------
    array : ndarray
    stimulus_ids : iterable of str or None
    origin : str
        What errors call it.
    n_stimuli : int or None
        Where that is known and there are no ids.
    labels : mapping of str to list
        Columns of the table: a value per RDM, or per place on one of the leading axes.
    """
    try:
        given = None if stimulus_ids is None else [str(item) for item in stimulus_ids]
        vectors, leading = to_vectors(array, n_stimuli if given is None else len(given))
        table = _number_axes(leading).assign(**_spread_labels(labels or {}, leading))
        return RDMSet(vectors, np.array(given or default_ids(vectors), dtype=str), table)
    except ValueError as error:
        raise ValueError(f"{origin} is no RDM: {error}") from error


def find_labels(content: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return whose RDMs the arrays beside them say they are: ``subject``, ``roi`` and ``session``."""
    found = {}
    for column in LABEL_NAMES:
        for name in (column, f"{column}s"):
            if name in content:
                found[column] = [_plain_label(item) for item in np.asarray(content[name]).ravel()]
    return found


def _plain_label(item: Any) -> Any:
    while isinstance(item, np.ndarray) and item.size == 1:  # MATLAB's cells
        item = item.item()
    return item.strip() if isinstance(item, str) else item


def _spread_labels(labels: Mapping[str, list[Any]], leading: tuple[int, ...]) -> dict[str, list[Any]]:
    """Return one label per RDM, of labels of each RDM or of each place on one leading axis."""
    n_rdms = int(np.prod(leading, dtype=int))
    spread = {}
    for name, values in labels.items():
        if len(values) == n_rdms:
            spread[name] = values
        elif leading.count(len(values)) == 1:
            places = np.indices(leading)[leading.index(len(values))].ravel()
            spread[name] = [values[place] for place in places]
        else:
            raise ValueError(f"there are {len(values)} values of {name!r} for {n_rdms} RDMs")
    return spread


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


def read_npz(path: Path, variable: str | None, n_stimuli: int | None = None) -> RDMSet:
    """Read our own format, or the one array of RDMs of any other ``.npz`` file."""
    archive = read_archive(path, "RDM")
    if "header" in archive:
        try:
            return from_archive(archive)
        except (KeyError, ValueError) as error:
            raise StoreError(f"RDM file {path} cannot be read: {error}") from error
    found = {name: array for name, array in archive.items() if are_rdms(array) and not is_label(name)}
    chosen = choose(found, variable, path)
    ids = next((archive[name] for name in ID_NAMES if name in archive), None)
    return make_set(
        found[chosen], ids, f"{chosen!r} of RDM file {path}", n_stimuli=n_stimuli, labels=find_labels(archive)
    )


def read_npy(path: Path, _variable: str | None, n_stimuli: int | None = None) -> RDMSet:
    """Read one array of RDMs."""
    try:
        with path.open("rb") as handle:
            array = np.lib.format.read_array(handle, allow_pickle=False)
    except Exception as error:  # damaged headers are parsed as Python, with errors of many kinds
        raise StoreError(f"RDM file {path} cannot be read: {explain_array(error)}") from error
    return make_set(array, None, f"RDM file {path}", n_stimuli=n_stimuli)


def read_csv(path: Path, _variable: str | None, _n_stimuli: int | None = None) -> RDMSet:
    """Read one square RDM with a heading of stimulus ids; a first column may repeat them."""
    try:
        rows = read_rows(path)
    except (ValueError, OSError) as error:
        raise StoreError(f"RDM file {path} cannot be read: {error}") from error
    if rows and all(len(row) == len(rows[0]) + 1 for row in rows[1:]):
        rows[0] = ["", *rows[0]]  # as R writes names of rows
    if len(rows) < 3 or any(len(row) != len(rows[0]) for row in rows[1:]):
        raise ValueError(f"RDM file {path} is not a square table with a heading of stimulus ids{_LONG}.")
    heading, body = unescape_formulas(pd.Series(rows[0], dtype=object)).tolist(), rows[1:]
    if len(heading) == len(body) + 1:
        heading = heading[1:]
        named = unescape_formulas(pd.Series([row[0] for row in body], dtype=object)).tolist()
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
    names = escape_formulas(pd.Series(ids)).to_numpy()
    frame = pd.DataFrame(rdms.to_squares()[0], index=pd.Index(names, name="stimulus_id"), columns=names)
    with atomic_file(path) as temporary:
        frame.to_csv(temporary)


def _from_csv(path: Path, heading: list[str], body: list[list[str]]) -> RDMSet:
    if len(heading) != len(body):
        raise ValueError(
            f"RDM file {path} is not square: {len(heading)} stimuli in its heading, {len(body)} rows{_LONG}."
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
    except TwoReadingsError:
        return True
    except ValueError:
        return False
    return True


def is_label(name: str) -> bool:
    """Return whether an array is called like labels of RDMs, and is none itself."""
    return name.rstrip("s") in LABEL_NAMES or name in ID_NAMES


def _number_axes(leading: tuple[int, ...]) -> pd.DataFrame:
    if not leading:
        return pd.DataFrame()
    indices = np.indices(leading).reshape(len(leading), -1)
    names = ["index"] if len(leading) == 1 else [f"index_{axis}" for axis in range(len(leading))]
    return pd.DataFrame(dict(zip(names, indices, strict=True)))
