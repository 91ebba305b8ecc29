"""SHA-256 digests of files, arrays and settings: names may lie, contents cannot."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    import numpy as np


def hash_bytes(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: PathLike) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hash_array(array: np.ndarray) -> str:
    """Return the hexadecimal SHA-256 of an array's dtype, shape and values."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.tobytes())
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no white space; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def hash_json(value: Any) -> str:
    """Return the hexadecimal SHA-256 of `value`'s canonical JSON."""
    return hash_bytes(canonical_json(value).encode())
