"""Activations of many layers on disk: the `ActivationStore` noun.

What belongs here: opening and reading; the format is in `manifest`, writing in `writer`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.hashing import hash_array, hash_json
from fernet_neuro._utils.shown import Shown, name_some
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.manifest import (
    FORMAT_VERSION,
    check_files,
    compute_crc32,
    npy_header,
    read_manifest,
)
from fernet_neuro.activations.network import describe_network, label_network
from fernet_neuro.activations.writer import StoreWriter
from fernet_neuro.exceptions import LayerNotFoundError, StoreError
from fernet_neuro.stimuli.table import StimulusTable, check_same_stimuli
from fernet_neuro.typing import PathLike

__all__ = ["ActivationStore", "StoreWriter", "write_store"]


@dataclass(frozen=True, repr=False)
class ActivationStore(Shown):
    """A folder with one memory-mappable array per layer, the stimulus table and a manifest.

    Get one from `open`, or from ``extract_activations``; a store is complete or absent, and never changes.

    Parameters
    ----------
    path : Path
        The folder.
    manifest : dict
        What it holds and where that came from: ``key``, ``identity`` (the digests and settings behind the
        key), ``dtype``, ``n_stimuli``, ``layers``, ``model`` (the network's card), ``source``, ``seed``,
        ``versions``, ``created``. Never edit it.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=2, views=1, sessions=1, size=32)
    >>> store = fn.extract(fn.load_model("resnet10-slim", size=32), faces)
    >>> "layer4" in store, store["layer4"].values.shape
    (True, (14, 512))
    """

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: PathLike) -> "ActivationStore":
        """Open a store after checking that every file is there and whole (sizes and headers, not values).

        Raises
        ------
        StoreError
            If it is missing, unfinished, cut short, damaged or of another format; the message names the file.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        check_files(folder, manifest)
        return cls(folder, manifest)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in forward order."""
        return tuple(entry["name"] for entry in self.manifest["layers"])

    @property
    def frame(self) -> pd.DataFrame:
        """One row per layer: its name, the shape of one stimulus's answer, and the number of units."""
        shapes = self.unit_shapes
        units = [math.prod(shape) for shape in shapes.values()]
        return pd.DataFrame({"layer": list(shapes), "unit_shape": list(shapes.values()), "n_units": units})

    def describe(self) -> str:
        """Return how much of what it holds, and where it lies."""
        held = f"{self.manifest['n_stimuli']} stimuli, {len(self)} layers ({name_some(self.layers)})"
        name = label_network(self.network["name"] or "no named source", self.manifest.get("model") or {})
        return f"{held} of {name}, in {self.path}"

    @property
    def network(self) -> dict[str, str]:
        """Whose answers these are: ``name``, ``model``, ``weights`` and ``input`` (`describe_network`)."""
        return describe_network(str(self.manifest.get("source") or ""), self.manifest.get("model") or {})

    @property
    def key(self) -> str:
        """SHA-256 of weights, network, preprocessing, stimuli, layers, pooling, dtype and format version."""
        return self.manifest["key"]

    @cached_property
    def stimuli(self) -> StimulusTable:
        """The stimuli, one per row of every layer, in row order."""
        return StimulusTable.read(self.path / self.manifest["stimuli"]["file"], inside=False)

    @property
    def unit_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one stimulus's answer in each layer."""
        return {entry["name"]: tuple(entry["unit_shape"]) for entry in self.manifest["layers"]}

    @property
    def n_bytes(self) -> int:
        """Size of all layers on disk, in bytes."""
        return sum(entry["n_bytes"] for entry in self.manifest["layers"])

    @cached_property
    def shards(self) -> tuple["ActivationStore", ...]:
        """The stores of neighbouring rows that this one is made of; none where each layer is one file."""
        return tuple(ActivationStore.open(self.path / shard["folder"]) for shard in self._shards)

    @property
    def _shards(self) -> list[dict[str, Any]]:
        return self.manifest.get("shards", [])

    def __getitem__(self, layer: str) -> Activations:
        """Return one layer, as `load` does."""
        return self.load(layer)

    def __contains__(self, layer: object) -> bool:
        """Return whether the store holds a layer."""
        return layer in self.layers

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the layers, in forward order."""
        return iter(self.layers)

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    def take(self, layers: Sequence[str]) -> "ActivationStore":
        """Return the same store with some of its layers: what extracting only them gives, key included.

        Raises
        ------
        LayerNotFoundError
            If the store does not have a layer; the message lists those it has.
        """
        wanted = {self._entry(layer)["name"] for layer in layers}
        entries = [entry for entry in self.manifest["layers"] if entry["name"] in wanted]
        names = [entry["name"] for entry in entries]
        identity = dict(self.manifest["identity"])
        if "layers" in identity:
            identity["layers"] = names
        else:
            identity["values"] = {name: identity["values"][name] for name in names}
        changes = {"layers": entries, "identity": identity, "key": hash_json(identity)}
        return ActivationStore(self.path, {**self.manifest, **changes})

    def load(self, layer: str) -> Activations:
        """Return one layer, memory-mapped: values are read from disk when they are used.

        Of a store of shards, the layer is read into memory as a whole.

        Raises
        ------
        LayerNotFoundError
            If the store does not have the layer; the message lists those it has.
        """
        entry = self._entry(layer)
        values = self._read_shards(layer) if self._shards else self.map_values(layer)
        return Activations(values, self.stimuli.stimulus_ids, layer, tuple(entry["unit_shape"]))

    def map_values(self, layer: str) -> np.ndarray:
        """Return the file of one layer as a memory map of shape (n_stimuli, n_units)."""
        path, dtype, shape, offset = self._find_values(layer)
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)

    def _find_values(self, layer: str) -> tuple[Path, np.dtype, tuple[int, int], int]:
        """Return the file of one layer, the type and shape of its values, and the byte where they begin."""
        entry = self._entry(layer)
        shape = (self.manifest["n_stimuli"], math.prod(entry["unit_shape"]))
        dtype = np.dtype(self.manifest["dtype"])
        return self.path / entry["file"], dtype, shape, len(npy_header(dtype, shape))

    def _read_shards(self, layer: str) -> np.ndarray:
        """Return one layer of all shards, read to where it stays: maps would be gone through once more."""
        _, dtype, shape, _ = self._find_values(layer)
        values, first = np.empty(shape, dtype), 0
        for shard in self.shards:
            path, _, (n_rows, _), offset = shard._find_values(layer)
            with path.open("rb") as file:
                file.seek(offset)
                file.readinto(values[first : first + n_rows].view(np.uint8).data)
            first += n_rows
        return values

    def verify(self) -> None:
        """Read every value and compare it with the checksum taken when it was written.

        Raises
        ------
        StoreError
            Naming the first file whose values have changed since.
        """
        for shard in self.shards:
            shard.verify()
        if self.shards:
            return
        dtype, n_stimuli = np.dtype(self.manifest["dtype"]), self.manifest["n_stimuli"]
        for entry in self.manifest["layers"]:
            header = npy_header(dtype, (n_stimuli, math.prod(entry["unit_shape"])))
            if compute_crc32(self.path / entry["file"], len(header)) != entry["crc32"]:
                raise StoreError(
                    f"store {self.path}: values in {entry['file']} (layer {entry['name']!r}) changed after "
                    f"they were written; extract it again with overwrite=True (--overwrite)."
                )

    def _entry(self, layer: str) -> dict[str, Any]:
        for entry in self.manifest["layers"]:
            if entry["name"] == layer:
                return entry
        raise LayerNotFoundError(
            f"store {self.path} has no layer {layer!r}.{suggest(layer, self.layers)} "
            f"It holds: {format_options(self.layers, 30)}."
        )


#: What a folder with a network in it, finished or not, holds; any other folder is taken for a store.
_NETWORK_FILES = ("model", "model.json", "recipe.yaml", "checkpoints")


def is_store(source: PathLike) -> bool:
    """Return whether `source` is a folder that holds, or should hold, activations rather than a network."""
    folder = Path(source)
    return folder.is_dir() and not any((folder / name).exists() for name in _NETWORK_FILES)


def check_stores_differ(stores: Sequence[ActivationStore]) -> None:
    """Raise if two stores are of one network, where each counts as another training or another twin.

    Networks are told apart by their weights; stores that hold no weights by all their values.

    Raises
    ------
    StoreError
        Naming both.
    """
    seen: dict[str, ActivationStore] = {}
    for store in stores:
        identity = store.manifest["identity"]
        own = identity.get("weights") or hash_json(identity.get("values", identity))
        other = seen.setdefault(own, store)
        if other is not store:
            raise StoreError(
                f"{store.path} is of the same network as {other.path}, to the last weight; several networks "
                f"must be trained, or drawn, with other seeds. Give each once."
            )


def write_store(
    out: PathLike,
    table: StimulusTable,
    layers: Sequence[Activations],
    *,
    source: str = "",
    overwrite: bool = False,
) -> ActivationStore:
    """Write activations that are already in memory, such as pixels or those of another toolkit, as a store.

    Parameters
    ----------
    out : PathLike
        Folder of the store.
    table : StimulusTable
        The stimuli, in the order of the rows of every layer.
    layers : sequence of Activations
        In forward order; all become float32.
    source : str, default=""
        Where they come from, for the manifest.
    overwrite : bool, default=False
        Whether a store with other contents at `out` may be replaced.

    Raises
    ------
    AlignmentError
        If a layer's stimuli are not those of `table`, in its order.
    StoreError
        If `out` holds something else, or the disk is full.
    """
    for layer in layers:
        check_same_stimuli(layer.stimulus_ids, table.stimulus_ids, (f"layer {layer.layer!r}", "the table"))
    identity = {
        "format_version": FORMAT_VERSION,
        "stimuli": table.digest(),
        "values": {layer.layer: hash_array(np.asarray(layer.values)) for layer in layers},
    }
    shapes = {layer.layer: layer.unit_shape for layer in layers}
    with StoreWriter(out, table, shapes, identity, info={"source": source}, overwrite=overwrite) as writer:
        if writer.n_done == 0:
            writer.write({layer.layer: layer.values for layer in layers})
        writer.finish()
    return ActivationStore.open(out)
