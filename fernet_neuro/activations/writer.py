"""Writing an activation store batch by batch, so that it is complete or absent and a killed run can go on.

What belongs here: the working folder beside the target and its journal; the finished format is in `manifest`.
"""

import contextlib
import json
import logging
import math
import os
import shutil
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Self

import numpy as np

from fernet_neuro._utils.atomic import replace_folder
from fernet_neuro._utils.hashing import hash_json
from fernet_neuro.activations.manifest import (
    MANIFEST_NAME,
    TABLE_NAME,
    build_layer_entry,
    build_manifest,
    format_manifest,
    is_store_like,
    npy_header,
    partial_folders,
    read_manifest,
    working_folder,
)
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows: two runs to one target are not caught there

logger = logging.getLogger(__name__)
_JOURNAL_NAME = "journal.jsonl"


class StoreWriter:
    """Append rows to all layers of a store that appears at `out` when `finish` is called.

    Use it as a context manager. Until `finish`, everything lies in a hidden working folder beside `out`, with
    a journal of finished batches and their checksums. A later writer with the same `identity` and `run` goes
    on from `n_done`, after checking what is there.

    Parameters
    ----------
    out : PathLike
        Folder of the store to be.
    table : StimulusTable
        The stimuli, in the order of the rows.
    unit_shapes : dict of str to tuple of int
        Layers in forward order with the shape of one stimulus's answer.
    identity : dict
        JSON values that decide the content; their SHA-256 is the store's key.
    dtype : {"float32", "float16"}, default="float32"
        Type of the stored values.
    run : dict, default=None
        JSON values that change the last bits, such as the batch size: only a run with the same is resumed.
    info : dict, default=None
        Further JSON values for the manifest.
    overwrite : bool, default=False
        Whether a store of another key at `out` may be replaced, once the new one is complete.

    Raises
    ------
    StimulusError
        If the table is empty.
    StoreError
        If `out` holds something else, another process writes the same store, or the disk is full.
    """

    def __init__(
        self,
        out: PathLike,
        table: StimulusTable,
        unit_shapes: Mapping[str, tuple[int, ...]],
        identity: Mapping[str, Any],
        *,
        dtype: str = "float32",
        run: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        if len(table) == 0:
            raise StimulusError("the stimulus table is empty, so there is nothing to write.")
        self.target = Path(out).absolute()
        self.table = table
        self.dtype = np.dtype(dtype)
        self.unit_shapes = dict(unit_shapes)
        self.identity, self.info = dict(identity), dict(info or {})
        self.key = hash_json(self.identity)
        self.n_done = 0
        check_target(self.target, self.key, self.identity, overwrite=overwrite)
        self.folder = working_folder(self.target, self.key, run or {})
        self._entries = [
            build_layer_entry(index, layer, shape, self.dtype, len(table))
            for index, (layer, shape) in enumerate(self.unit_shapes.items())
        ]
        self._crcs = dict.fromkeys(self.unit_shapes, 0)
        self._files: dict[str, BinaryIO] = {}
        self._is_owner = False
        self._has_failed = False

    def __enter__(self) -> Self:
        """Create or take up the working folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._journal = (self.folder / _JOURNAL_NAME).open("a+", encoding="utf-8")
        except OSError as error:
            raise self._explain(error) from error
        try:
            self._lock()
            self._is_owner = True
            for entry in self._entries:
                self._open_layer(entry)
            self._recover()
        except OSError as error:
            self._close()
            raise self._explain(error) from error
        for other in partial_folders(self.target) if self.n_done == 0 else ():
            if other != self.folder:
                logger.warning(
                    "%s was begun with other pictures or settings, or by another version, and is not gone on "
                    "with; remove it for its room, or it goes when this store is complete.",
                    other,
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all files; a working folder without a finished batch is removed."""
        self._close()

    def write(self, values: Mapping[str, np.ndarray]) -> None:
        """Append one batch, arrays of shape (n, ...) per layer, after the `n_done` rows already there.

        Raises ValueError if a value is not finite in the store's dtype; StoreError if the disk is full; what
        was finished is kept for the next run.
        """
        if self._has_failed:
            raise StoreError(f"store {self.target}: an earlier batch failed, so later ones have no place.")
        self._has_failed = True
        n = {len(item) for item in values.values()}
        if set(values) != set(self.unit_shapes) or len(n) != 1:
            raise ValueError(f"a batch needs all layers with as many rows each; got {sorted(values)}, {n}.")
        with np.errstate(over="ignore"):  # an overflow becomes infinite, and is reported below
            arrays = {layer: np.ascontiguousarray(item, dtype=self.dtype) for layer, item in values.items()}
        # Checks, copies and checksums release the interpreter, so two layers go at a time.
        with ThreadPoolExecutor(2, thread_name_prefix="store") as pool:
            list(pool.map(self._check_finite, arrays, arrays.values()))
            try:
                self._crcs.update(pool.map(self._append, arrays, arrays.values()))
            except OSError as error:
                raise self._explain(error) from error
        try:
            self.n_done += n.pop()
            self._note_progress()
            self._has_failed = False
        except OSError as error:
            raise self._explain(error) from error

    def _append(self, layer: str, array: np.ndarray) -> tuple[str, int]:
        data = array.reshape(-1).view(np.uint8).data
        self._files[layer].write(data)
        self._files[layer].flush()
        return layer, zlib.crc32(data, self._crcs[layer])

    def finish(self) -> None:
        """Write table and manifest, and put the complete folder at the target.

        Raises StoreError if rows are missing or the disk is full.
        """
        if self.n_done != len(self.table):
            raise StoreError(f"store {self.target}: {self.n_done} of {len(self.table)} stimuli were written.")
        try:
            self._write_manifest()
            for handle in self._files.values():
                os.fsync(handle.fileno())
                handle.close()
            (self.folder / _JOURNAL_NAME).unlink()
            replace_folder(self.folder, self.target)
            self._is_owner = False
        except OSError as error:
            raise self._explain(error) from error
        for leftover in partial_folders(self.target):
            shutil.rmtree(leftover, ignore_errors=True)

    def _open_layer(self, entry: Mapping[str, Any]) -> None:
        """Open a layer's file, reserving its whole size on disk if it is new."""
        path = self.folder / entry["file"]
        if path.is_file() and path.stat().st_size == entry["n_bytes"]:
            self._files[entry["name"]] = path.open("r+b")
            return
        # Not a memory map: a full disk is then an error that can be explained, not a bus error.
        handle = self._files[entry["name"]] = path.open("w+b")
        shape = (len(self.table), math.prod(entry["unit_shape"]))
        handle.write(npy_header(self.dtype, shape))
        handle.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle.fileno(), 0, entry["n_bytes"])
        else:
            handle.truncate(entry["n_bytes"])

    def _recover(self) -> None:
        """Take up the batches whose values still fit the journal, and forget the rest."""
        self._journal.seek(0)
        lines = self._journal.read().splitlines()
        for entry in self._entries:
            shape = (len(self.table), math.prod(entry["unit_shape"]))
            self._files[entry["name"]].seek(len(npy_header(self.dtype, shape)))
        good = []
        for line in lines:
            if not self._take_up(line):
                break
            good.append(line)
        self._journal.truncate(0)
        self._journal.write("".join(f"{line}\n" for line in good))
        self._journal.flush()
        if self.n_done:
            logger.info("going on after %d of %d stimuli in %s", self.n_done, len(self.table), self.target)

    def _take_up(self, line: str) -> bool:
        """Return whether one journal line holds, and if so count its rows as done."""
        try:
            noted = json.loads(line)
            n_done, crcs = int(noted["n_done"]), dict(noted["crc32"])
        except (ValueError, KeyError, TypeError):
            return False  # the line that was being written when the run was killed
        starts = {layer: handle.tell() for layer, handle in self._files.items()}
        found = {}
        for layer, handle in self._files.items():
            n_bytes = (n_done - self.n_done) * math.prod(self.unit_shapes[layer]) * self.dtype.itemsize
            found[layer] = zlib.crc32(handle.read(n_bytes), self._crcs[layer])
        if found != crcs:
            for layer, start in starts.items():
                self._files[layer].seek(start)
            return False
        self.n_done, self._crcs = n_done, found
        return True

    def _note_progress(self) -> None:
        self._journal.write(json.dumps({"n_done": self.n_done, "crc32": self._crcs}) + "\n")
        self._journal.flush()

    def _write_manifest(self) -> None:
        table = self.table.write(self.folder / TABLE_NAME, inside=False)
        layers = [{**entry, "crc32": self._crcs[entry["name"]]} for entry in self._entries]
        manifest = build_manifest(self.identity, self.dtype.name, len(self.table), table, layers)
        path = self.folder / MANIFEST_NAME
        path.write_text(format_manifest({**manifest, **self.info}), encoding="utf-8")

    def _check_finite(self, layer: str, array: np.ndarray) -> None:
        # Both ends, since a NaN or an overflow shows in one of them and a mask of all values costs more.
        if array.size == 0 or (np.isfinite(array.max()) and np.isfinite(array.min())):
            return
        row = int(np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0])
        hint = " (float16 ends at 65504: use dtype float32)" if self.dtype == np.float16 else ""
        name = str(self.table.stimulus_ids[self.n_done + row])
        raise ValueError(f"layer {layer!r} answers stimulus {name!r} with values that are not finite{hint}.")

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._journal.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another process is extracting to {self.target}; wait for it or choose another name."
            ) from None

    def _close(self) -> None:
        handles: tuple[IO[Any], ...] = (*self._files.values(), self._journal)
        for handle in handles:
            # A full disk was reported by the write itself; what is still buffered is not in the journal.
            with contextlib.suppress(OSError):
                handle.close()
        if self._is_owner and (self.folder / _JOURNAL_NAME).stat().st_size == 0:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _explain(self, error: OSError) -> StoreError:
        if isinstance(error, StoreError):
            return error
        kept = (
            f" The {self.n_done} finished stimuli are kept: run the same command again."
            if self.n_done
            else ""
        )
        return StoreError(
            f"store {self.target} cannot be written: {error.strerror or error} "
            f"(needs {sum(entry['n_bytes'] for entry in self._entries) / 1e6:.1f} MB); "
            f"free space or choose another disk.{kept}"
        )


def check_target(target: Path, key: str, identity: Mapping[str, Any], *, overwrite: bool) -> None:
    """Raise if a new store of `key` may not be put at `target`.

    Raises StoreError if something other than a store is there, or, without `overwrite`, a store of another
    key.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not is_store_like(target):
        raise StoreError(f"{target} exists and is not an activation store; choose another name.")
    if overwrite:
        return
    manifest = read_manifest(target)
    if manifest["key"] != key:
        old = manifest["identity"]
        changed = [name for name in {**old, **identity} if old.get(name) != identity.get(name)]
        raise StoreError(
            f"store {target} holds another extraction (different: {', '.join(changed)}); "
            f"choose another name, or pass overwrite=True (--overwrite) to replace it."
        )
