"""The files of an activation store: their names, ``manifest.json``, and the checks on them.

What belongs here: the format on disk; reading and writing values is in `store`.
"""

import json
import math
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fernet_neuro._utils.hashing import hash_file, hash_json
from fernet_neuro._utils.json_files import read_json
from fernet_neuro.exceptions import StoreError

FORMAT = "fernet-neuro activations"
#: Part of every key: raise it whenever decoding, pooling or layout change what a store holds.
FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
TABLE_NAME = "stimuli.parquet"
#: Folders of complete stores of neighbouring rows, in the store that they make up.
SHARD_PREFIX = "shard-"
_AGAIN = "extract it again with overwrite=True (--overwrite), or restore it from a copy"
#: What every manifest says.
CONTENTS = (
    "format", "format_version", "key", "identity", "dtype", "n_stimuli", "stimuli", "layers", "created",
)  # fmt: skip
#: What every manifest needs, and each part of it: names, and the kinds of their values.
_NEEDED: dict[str, type] = {
    "key": str, "identity": dict, "dtype": str, "n_stimuli": int, "layers": list, "stimuli": dict,
}  # fmt: skip
_TABLE: dict[str, type] = {"file": object, "sha256": str}
_LAYER: dict[str, type] = {"name": str, "file": object, "unit_shape": list, "n_bytes": int}
_SHARD: dict[str, type] = {"folder": object, "sha256": str}


def layer_file(index: int, layer: str) -> str:
    """Return the file name of the layer at place `index` in forward order."""
    return f"{index:02d}_{re.sub(r'[^A-Za-z0-9._-]', '_', layer)}.npy"


def npy_header(dtype: np.dtype, shape: Sequence[int]) -> bytes:
    """Return the header of a C-ordered ``.npy`` file, version 1.0, padded to 64 bytes."""
    text = repr({"descr": dtype.str, "fortran_order": False, "shape": tuple(int(side) for side in shape)})
    length = -(-(10 + len(text) + 1) // 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + (text.ljust(length - 1) + "\n").encode("latin1")


def build_layer_entry(
    index: int, layer: str, unit_shape: Sequence[int], dtype: np.dtype, n_stimuli: int
) -> dict:
    """Return what the manifest says of one layer's file."""
    n_units = math.prod(unit_shape)
    n_bytes = len(npy_header(dtype, (n_stimuli, n_units))) + n_stimuli * n_units * dtype.itemsize
    return {
        "name": layer,
        "file": layer_file(index, layer),
        "unit_shape": list(unit_shape),
        "n_bytes": n_bytes,
    }


def build_manifest(
    identity: Mapping[str, Any], dtype: str, n_stimuli: int, table: Path, layers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what every manifest says: contents and their key, the written table, and the layers' files."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "key": hash_json(dict(identity)),
        "identity": dict(identity),
        "dtype": dtype,
        "n_stimuli": n_stimuli,
        "stimuli": {"file": TABLE_NAME, "sha256": hash_file(table)},
        "layers": [dict(entry) for entry in layers],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def hash_request(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what an identity asks for, which is the same on every kind of device.

    How pictures lie in memory belongs to where a network runs, which may not be where that is planned.
    """
    return hash_json({name: value for name, value in identity.items() if name != "memory_format"})


def format_manifest(manifest: Mapping[str, Any]) -> str:
    """Return a manifest as the text of its file."""
    return json.dumps(manifest, indent=1, ensure_ascii=False)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a store.

    Raises StoreError if `folder` is not a store, or its manifest is damaged, of another version, or names
    files elsewhere.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise StoreError(_explain_absence(folder))
    try:
        manifest = read_json(path)
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}); {_AGAIN}.") from None
    if not isinstance(manifest, Mapping) or manifest.get("format") != FORMAT:
        raise StoreError(f"{path} does not describe an activation store; got another kind of folder.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise StoreError(
            f"{folder} is an activation store of format {manifest.get('format_version')}; this version reads "
            f"format {FORMAT_VERSION}: {_AGAIN}."
        )
    flaw = _find_flaw(manifest)
    if flaw:
        raise StoreError(f"{path} is damaged (it {flaw}); {_AGAIN}.")
    for entry in (manifest["stimuli"], *manifest["layers"]):
        _check_name(path, entry["file"])
    for shard in manifest.get("shards", ()):
        _check_name(path, shard["folder"])
    return dict(manifest)


def _find_flaw(manifest: Mapping[str, Any]) -> str:
    """Return what a manifest lacks, or an empty text."""
    flaw = _find_absent(manifest, _NEEDED)
    if flaw:
        return flaw
    if not _is_numeric(manifest["dtype"]):
        return "has no valid 'dtype'"
    layers = _LAYER if "shards" in manifest else {**_LAYER, "crc32": int}
    parts = [(manifest["stimuli"], _TABLE), *((entry, layers) for entry in manifest["layers"])]
    shards = manifest.get("shards", [])
    if not isinstance(shards, list):
        return "has no valid 'shards'"
    parts += [(entry, _SHARD) for entry in shards]
    flaw = next((flaw for entry, wanted in parts if (flaw := _find_absent(entry, wanted))), "")
    sides = [side for entry in manifest["layers"] if not flaw for side in entry["unit_shape"]]
    if not all(isinstance(side, int) for side in sides):
        return "has no valid 'unit_shape'"
    if not flaw and hash_json(manifest["identity"]) != manifest["key"]:
        return "has a key that does not fit its contents"
    return flaw


def _is_numeric(dtype: str) -> bool:
    try:
        return np.dtype(dtype).kind in "fiu"
    except Exception:  # NumPy takes its text for one of many forms
        return False


def _find_absent(entry: object, wanted: Mapping[str, type]) -> str:
    """Return which name an entry lacks, or has with another kind of value; an empty text for none."""
    if not isinstance(entry, Mapping):
        return "has a part without names"
    absent = [name for name in wanted if name not in entry]
    if absent:
        return f"lacks {absent[0]!r}"
    wrong = [name for name, kind in wanted.items() if not isinstance(entry[name], kind)]
    return f"has no valid {wrong[0]!r}" if wrong else ""


def check_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise unless every file that the manifest names is there, whole, and of the right shape.

    Raises StoreError naming the first file that is not.
    """
    table = folder / manifest["stimuli"]["file"]
    if not table.is_file():
        raise StoreError(f"store {folder} is incomplete: {table.name} is missing; {_AGAIN}.")
    if hash_file(table) != manifest["stimuli"]["sha256"]:
        raise StoreError(f"store {folder}: {table.name} is not the table it was written with; {_AGAIN}.")
    if "shards" in manifest:
        for shard in manifest["shards"]:
            _check_shard(folder, shard)
        return
    for entry in manifest["layers"]:
        _check_layer_file(folder, entry, np.dtype(manifest["dtype"]), manifest["n_stimuli"])


def compute_crc32(path: Path, n_skip: int, chunk: int = 1 << 22) -> int:
    """Return the CRC-32 of a file's content after its first `n_skip` bytes."""
    crc = 0
    with path.open("rb") as handle:
        handle.seek(n_skip)
        while block := handle.read(chunk):
            crc = zlib.crc32(block, crc)
    return crc


def is_store_like(folder: Path) -> bool:
    """Return whether `folder` is empty or holds a manifest and nothing that a store does not write."""
    names = {item.name for item in folder.iterdir()} if folder.is_dir() else {""}
    others = {
        name
        for name in names
        if not name.endswith(".npy")
        and not name.startswith(SHARD_PREFIX)
        and name not in (MANIFEST_NAME, TABLE_NAME)
    }
    return not names or (MANIFEST_NAME in names and not others)


def working_folder(target: Path, key: str, run: Mapping[str, Any]) -> Path:
    """Return where a store of this key is made that is to stand at `target`; see `StoreWriter` for `run`."""
    name = hash_json({"key": key, "run": dict(run)})[:12]
    return target.parent / f".{target.name}.{name}.partial"


def partial_folders(target: Path) -> list[Path]:
    """Return the working folders of unfinished extractions towards `target`."""
    return sorted(target.parent.glob(f".{target.name}.*.partial"))


def _explain_absence(folder: Path) -> str:
    if partial_folders(folder):
        return f"store {folder} is not finished; run the same extraction again, and it goes on where it was."
    if any(folder.glob(f"{SHARD_PREFIX}*")):
        return (
            f"store {folder} is not finished: it holds shards that are not merged; see fernet-neuro jobs and "
            f"fernet-neuro merge."
        )
    if folder.is_dir():
        return (
            f"{folder} is not an activation store (no {MANIFEST_NAME}); make one with fernet-neuro extract."
        )
    return f"activation store {folder} does not exist; make one with fernet-neuro extract."


def _check_name(path: Path, file: object) -> None:
    """Raise unless a file that a manifest names lies in the manifest's own folder."""
    if not isinstance(file, str) or Path(file).name != file or file == "..":
        raise StoreError(
            f"{path} is damaged (it names the file {str(file)!r}, and a store reads files of its own folder "
            f"alone); {_AGAIN}."
        )


def _check_shard(folder: Path, shard: Mapping[str, Any]) -> None:
    place = folder / shard["folder"]
    if not (place / MANIFEST_NAME).is_file():
        raise StoreError(f"store {folder} is incomplete: {place.name} is missing; {_AGAIN}.")
    if hash_file(place / MANIFEST_NAME) != shard["sha256"]:
        raise StoreError(f"store {folder}: {place.name} is not the shard that was merged; {_AGAIN}.")
    check_files(place, read_manifest(place))


def _check_layer_file(folder: Path, entry: Mapping[str, Any], dtype: np.dtype, n_stimuli: int) -> None:
    path = folder / entry["file"]
    if not path.is_file():
        raise StoreError(
            f"store {folder} is incomplete: {path.name} (layer {entry['name']!r}) is missing; {_AGAIN}."
        )
    size = path.stat().st_size
    if size != entry["n_bytes"]:
        raise StoreError(
            f"store {folder} was cut short: {path.name} (layer {entry['name']!r}) has {size} bytes "
            f"instead of {entry['n_bytes']}; {_AGAIN}."
        )
    header = npy_header(dtype, (n_stimuli, math.prod(entry["unit_shape"])))
    with path.open("rb") as handle:
        if handle.read(len(header)) != header:
            raise StoreError(f"store {folder}: the header of {path.name} is damaged; {_AGAIN}.")
