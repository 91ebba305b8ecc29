"""One store of many: complete stores of neighbouring rows, read as one, or copied into one.

What belongs here: which rows a shard has, and how finished shards become one store.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.disk import check_free
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.shown import name_some
from fernet_neuro.activations.manifest import (
    CONTENTS,
    MANIFEST_NAME,
    SHARD_PREFIX,
    TABLE_NAME,
    build_layer_entry,
    build_manifest,
    format_manifest,
    hash_request,
)
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.activations.writer import StoreWriter
from fernet_neuro.exceptions import StoreError
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

#: Bytes that are copied at a time.
_CHUNK = 1 << 27


def split_rows(n_stimuli: int, n_shards: int, batch_size: int) -> list[tuple[int, int]]:
    """Return the rows (first, one past the last) of at most `n_shards` shards of whole batches.

    Shards that begin where a batch of the whole extraction begins run the same batches, and so give the same
    numbers to the last bit. Raises ValueError if a number is below 1.

    Examples
    --------
    >>> split_rows(100, 3, 16)
    [(0, 48), (48, 80), (80, 100)]
    >>> split_rows(20, 8, 16)
    [(0, 16), (16, 20)]
    """
    if min(n_stimuli, n_shards, batch_size) < 1:
        raise ValueError("the numbers of stimuli, shards and stimuli in a batch must be 1 or more.")
    n_batches = -(-n_stimuli // batch_size)
    parts = np.array_split(np.arange(n_batches), min(n_shards, n_batches))
    return [(int(part[0]) * batch_size, min(int(part[-1] + 1) * batch_size, n_stimuli)) for part in parts]


def name_shard(number: int) -> str:
    """Return the folder of a shard within the store that it is a part of."""
    return f"{SHARD_PREFIX}{number:05d}"


def join_shards(out: PathLike, keys: Sequence[str], table: StimulusTable) -> ActivationStore:
    """Make the shards that lie in the folder `out` one store, without copying a value.

    Its key is that of the store that one process makes, and it is read like that one, but for this: a layer
    comes into memory as a whole (`copy_shards` makes one file a layer).

    Parameters
    ----------
    out : path
        Folder with one complete store in each of ``shard-00000``, ``shard-00001``, ...
    keys : sequence of str
        What each was asked for (`hash_request`), in the order of their rows.
    table : StimulusTable
        All stimuli, in order.

    Raises
    ------
    StoreError
        If a shard is missing, damaged, of another extraction, or made on another kind of device than the
        first.
    """
    folder = Path(out)
    shards = _open_shards(folder, keys)
    first = shards[0].manifest
    ids = np.concatenate([shard.stimuli.stimulus_ids for shard in shards])
    if not np.array_equal(ids, table.stimulus_ids):
        raise StoreError(f"the shards in {folder} do not hold the stimuli of the plan, in its order.")
    written = table.write(folder / TABLE_NAME, inside=False)
    identity = {**first["identity"], "stimuli": table.digest()}
    dtype, shapes = np.dtype(first["dtype"]), shards[0].unit_shapes
    layers = [build_layer_entry(at, layer, shapes[layer], dtype, len(ids)) for at, layer in enumerate(shapes)]
    manifest = build_manifest(identity, first["dtype"], len(ids), written, layers)
    manifest = {**_take_origin(first), **manifest}
    manifest["shards"] = [
        {
            "folder": shard.path.name,
            "n_stimuli": shard.manifest["n_stimuli"],
            "sha256": hash_file(shard.path / MANIFEST_NAME),
        }
        for shard in shards
    ]
    write_text(folder / MANIFEST_NAME, format_manifest(manifest))
    return ActivationStore.open(folder)


def copy_shards(store: ActivationStore) -> ActivationStore:
    """Return a store of shards as one with a file a layer, in the same place; the shards go when it is there.

    A copy that was interrupted goes on where it was. While it is made, the disk holds both.

    Raises
    ------
    StoreError
        If the disk has no room for a copy, or a value has changed since it was written.
    """
    if not store.shards:
        return store
    store.verify()
    manifest = store.manifest
    with StoreWriter(
        store.path, store.stimuli, store.unit_shapes, manifest["identity"], dtype=manifest["dtype"],
        info=_take_origin(manifest),
    ) as writer:  # fmt: skip
        n_left = (1 - writer.n_done / manifest["n_stimuli"]) * store.n_bytes
        check_free(
            store.path, n_left, "a copy of its shards",
            "they can be read as one store where they are (fernet-neuro merge --keep-shards)",
        )  # fmt: skip
        for rows in _list_chunks(store, writer.n_done):
            writer.write(rows)
        writer.finish()
    return ActivationStore.open(store.path)


def _take_origin(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of where the activations came from."""
    return {name: value for name, value in manifest.items() if name not in (*CONTENTS, "shards")}


def _open_shards(folder: Path, keys: Sequence[str]) -> list[ActivationStore]:
    """Return the shards of a folder; raise StoreError naming those that are missing or another's."""
    names = [name_shard(number) for number in range(len(keys))]
    missing = [name for name in names if not (folder / name / MANIFEST_NAME).is_file()]
    if missing:
        raise StoreError(
            f"{len(missing)} of {len(keys)} shards in {folder} are missing: {name_some(missing)}."
        )
    shards = [ActivationStore.open(folder / name) for name in names]
    identities = [shard.manifest["identity"] for shard in shards]
    are_others = [hash_request(own) != key for own, key in zip(identities, keys, strict=True)]
    _refuse(shards, are_others, "are of another extraction")
    kinds = [_find_device_kind(shard.manifest) for shard in shards]
    _refuse(
        shards, [kind != kinds[0] for kind in kinds],
        f"were made on another kind of device than the first ({kinds[0][0]})",
    )  # fmt: skip
    return shards


def _find_device_kind(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a shard was made on, such as ``cuda``, and how its pictures lay in memory."""
    device = str(manifest.get("device", "not recorded")).partition(":")[0]
    return device, str(manifest["identity"].get("memory_format", ""))


def _refuse(shards: Sequence[ActivationStore], are_others: Sequence[bool], what: str) -> None:
    others = [shard.path.name for shard, is_other in zip(shards, are_others, strict=True) if is_other]
    if others:
        raise StoreError(
            f"{len(others)} shards of {shards[0].path.parent} {what}: {name_some(others)}; remove them, and "
            f"make them again."
        )


def _list_chunks(store: ActivationStore, n_done: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield the rows after the first `n_done` of all layers, some at a time, never across two shards."""
    width = sum(entry["n_bytes"] for entry in store.manifest["layers"]) // store.manifest["n_stimuli"]
    step, first = max(1, _CHUNK // max(width, 1)), 0
    for shard in store.shards:
        n_rows = shard.manifest["n_stimuli"]
        layers = {layer: shard.map_values(layer) for layer in shard}
        for start in range(max(n_done - first, 0), n_rows, step):
            yield {layer: values[start : start + step] for layer, values in layers.items()}
        first += n_rows
