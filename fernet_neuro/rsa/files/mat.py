"""MATLAB's ``.mat`` files as RDMs: structures with a field ``RDM``, plain arrays, and Meadows' variables.

What belongs here: the layouts, and the labels that the RSA toolbox for MATLAB puts into names.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import io as scipy_io

from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.files import meadows
from fernet_neuro.rsa.files.arrays import (
    ID_NAMES,
    are_rdms,
    choose,
    default_ids,
    find_labels,
    is_label,
    make_set,
    to_vectors,
)
from fernet_neuro.rsa.rdms import RDMSet

#: What the parts of a name such as "hIT | BE | Session: 1" are, in the order of the RSA toolbox for MATLAB.
_NAME_PARTS = ("roi", "subject", "session")
#: Of MATLAB's versions 5 to 7: bytes before the first element, and kinds of elements.
_MAT_HEADER, _MAT_MATRIX, _MAT_COMPRESSED = 128, 14, 15
#: Fields of a structure that say nothing about an RDM.
_IGNORED = ("RDM", "color", "colour")


def read_mat(path: Path, variable: str | None, n_stimuli: int | None = None) -> RDMSet:
    """Read a ``.mat`` file of version 7 or before.

    Of an array of structures, each element is one RDM, squares or vectors alike; its text and numbers become
    columns, and a name such as ``hIT | BE | Session: 1`` also ``roi``, ``subject`` and ``session``.
    """
    content = _load(path)
    if meadows.is_meadows(content):
        return meadows.from_mat(content, path)
    structures = {name: value for name, value in content.items() if _has_rdms(value)}
    arrays = {name: value for name, value in content.items() if are_rdms(value) and not is_label(name)}
    candidates = structures or arrays if variable is None else {**arrays, **structures}
    chosen = choose(candidates, variable, path)
    ids = _find_ids(content)
    if chosen in structures:
        return _from_structures(structures[chosen], ids, f"{chosen!r} of RDM file {path}")
    return make_set(
        arrays[chosen],
        ids,
        f"{chosen!r} of RDM file {path}",
        n_stimuli=n_stimuli,
        labels=find_labels(content),
    )


def write_mat(rdms: RDMSet, path: Path) -> None:
    """Write an array of structures ``RDMs`` with ``RDM``, ``name`` and the table's columns, and the ids."""
    names = rdms.names
    columns = {re.sub(r"\W", "_", str(column)): rdms.table[column].tolist() for column in rdms.table}
    records = np.empty(
        (1, rdms.n_rdms), dtype=[(name, object) for name in dict.fromkeys(["RDM", "name", *columns])]
    )
    for row, square in enumerate(rdms.to_squares()):
        records[0, row]["RDM"] = square
        records[0, row]["name"] = names[row]
        for name, values in columns.items():
            records[0, row][name] = values[row]
    content = {"RDMs": records, "stimulus_ids": rdms.stimulus_ids.astype(object), "distance": rdms.distance}
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        scipy_io.savemat(handle, content, do_compression=True)


def split_name(name: str) -> dict[str, str]:
    """Return the labels in a name of the RSA toolbox for MATLAB; none if it has no parts.

    Examples
    --------
    >>> split_name("hIT | BE | Session: 1")
    {'roi': 'hIT', 'subject': 'BE', 'session': '1'}
    >>> split_name("animacy")
    {}
    """
    parts = [part.strip() for part in name.split("|")]
    if not 2 <= len(parts) <= len(_NAME_PARTS):
        return {}
    labels = {}
    for column, part in zip(_NAME_PARTS, parts, strict=False):
        key, colon, value = part.partition(":")
        labels[key.strip().lower() if colon else column] = value.strip() if colon else part
    return labels


def _check_elements(data: bytes) -> None:
    """Raise ValueError or zlib.error if an element of a file of version 5 to 7 is cut or fails its checksum.

    scipy reads elements before their checksums, and damaged ones can end the whole process.
    """
    start = _MAT_HEADER
    while len(data) > _MAT_HEADER and start < len(data):
        kind, size = (int.from_bytes(data[at : at + 4], "little") for at in (start, start + 4))
        start += 8 + size
        if kind not in (_MAT_MATRIX, _MAT_COMPRESSED) or start > len(data):
            raise ValueError("an element is damaged or cut")
        if kind == _MAT_COMPRESSED:
            zlib.decompress(data[start - size : start])


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as handle:
            if handle.read(_MAT_HEADER)[-2:] == b"IM":  # little-endian, of version 5 to 7
                handle.seek(0)
                _check_elements(handle.read())
            handle.seek(0)
            content = scipy_io.loadmat(handle)
    except NotImplementedError as error:
        raise StoreError(
            f"RDM file {path} is of MATLAB's version 7.3; save it in MATLAB with save(..., '-v7')."
        ) from error
    except Exception as error:  # scipy's reader raises many kinds, MemoryError among them
        raise StoreError(f"RDM file {path} cannot be read as .mat: {error}") from error
    return {name: value for name, value in content.items() if not name.startswith("__")}


def _has_rdms(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.names is not None and "RDM" in value.dtype.names


def _find_ids(content: dict[str, Any]) -> list[str] | None:
    for name in ID_NAMES:
        if name in content:
            return [_text(item) for item in np.asarray(content[name]).ravel()]
    return None


def _from_structures(records: np.ndarray, ids: list[str] | None, origin: str) -> RDMSet:
    vectors: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    for record in _iterate(records):
        try:
            vector, _ = to_vectors(record["RDM"])
        except ValueError as error:
            raise ValueError(f"{origin}: RDM {len(rows)} is no RDM: {error}.") from error
        labels = {name: _label(record[name]) for name in records.dtype.names or () if name not in _IGNORED}
        labels |= split_name(str(labels.get("name", "")))
        vectors.append(vector)
        rows += [labels] * len(vector)
    lengths = {vector.shape[1] for vector in vectors}
    if len(lengths) != 1:
        found = format_options(sorted(map(str, lengths))) or "no"
        raise ValueError(f"{origin} are RDMs of {found} pairs; all must be of the same stimuli.")
    stacked = np.concatenate(vectors)
    names = default_ids(stacked) if ids is None else ids
    table = pd.DataFrame(rows).dropna(axis=1)
    return RDMSet(stacked, np.array(names, dtype=str), table)


def _iterate(records: np.ndarray) -> Iterator[Any]:
    """Yield the elements with a matrix in them, the last axis of the array changing first."""
    for record in records.ravel():
        if np.asarray(record["RDM"]).size:
            yield record


def _label(value: Any) -> Any:
    """Return a field as text or number, or None where it is neither."""
    array = np.asarray(value)
    if array.dtype.kind == "U":
        return _text(array)
    return array.item() if array.size == 1 and array.dtype.kind in "biuf" else None


def _text(value: Any) -> str:
    """Return MATLAB text, which comes as an array of one string, or as that in another array."""
    array = np.asarray(value)
    while array.dtype.kind == "O" and array.size == 1:
        array = np.asarray(array.item())
    return str(array.item()).strip() if array.size == 1 else ""
