"""One ``.npz`` file of arrays with a JSON header that says what they are.

What belongs here: reading and writing it, never an object; what the header means is known where it is used.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

_HEADER = "header"


def write_archive(path: PathLike, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and their header, complete or not at all.

    `header`: plain values, with ``format`` and ``version``. `arrays`: of numbers or text.
    """
    packed: dict[str, Any] = {_HEADER: np.array(json.dumps(header)), **arrays}
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **packed)


def read_archive(path: PathLike, kind: str) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file by name, the header among them; objects are never opened.

    `kind`: what the file is, for messages. Raises StoreError if it is missing, damaged, no such file, or
    holds objects.
    """
    if not Path(path).is_file():
        raise StoreError(f"{kind} file {path} does not exist.")
    try:
        with Path(path).open("rb") as handle, zipfile.ZipFile(handle) as archive:
            return {
                name.removesuffix(".npy"): np.lib.format.read_array(archive.open(name), allow_pickle=False)
                for name in archive.namelist()
            }
    except Exception as error:  # zip and NumPy headers, damaged, raise many kinds, MemoryError among them
        raise StoreError(f"{kind} file {path} cannot be read: {explain_array(error)}") from error


def explain_array(error: BaseException) -> str:
    """Return why an array cannot be read, in one line, with the way out where it holds objects."""
    said = " ".join(str(error).split()) or type(error).__name__
    if "allow_pickle" not in said:
        return said
    return "it holds Python objects, which could run any program; save numbers: np.stack(list_of_arrays)"


def read_header(arrays: Mapping[str, np.ndarray], form: str, version: int) -> dict[str, Any]:
    """Return the header among the arrays of a file.

    Raises ValueError if there is none, or it is of another format or version.
    """
    try:
        header = json.loads(str(arrays[_HEADER][()])) if _HEADER in arrays else {}
    except RecursionError:
        header = None
    if not isinstance(header, dict) or header.get("format") != form or header.get("version") != version:
        known = header if isinstance(header, dict) and "format" in header else None
        found = f", but of {known['format']!r}, version {known.get('version')}" if known else ""
        raise ValueError(f"it is not of the format {form!r}, version {version}{found}")
    return header
