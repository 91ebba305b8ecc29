"""A reader of pickled dicts of NumPy arrays that can build nothing else.

What belongs here: the allow-list; the VGGFace2 weights are such a file, written by Python 2.
"""

import codecs
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fernet_neuro.exceptions import StoreError


def _reconstruct(kind: type, shape: tuple[int, ...], _dtype: Any) -> np.ndarray:
    """Return the empty array that NumPy's pickles start from; its content follows as state."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"array of type {kind!r}")
    return np.ndarray(shape, np.int8)


def _scalar(dtype: np.dtype, data: bytes | str) -> Any:
    """Return a NumPy number from its bytes; object scalars are refused."""
    if dtype.hasobject:
        raise pickle.UnpicklingError("an object scalar")
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Return bytes that Python 2 wrote as text; other codecs could expand without bound."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {encoding!r}")
    return codecs.encode(text, encoding)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows arrays, numbers and containers, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed constructor, or raise without importing anything."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse references to things outside the file, such as torch's storages."""
        raise pickle.UnpicklingError(f"an outside reference ({pid!r:.40})")


def read_array_pickle(path: Path) -> dict[str, np.ndarray]:
    """Return the numeric arrays in a pickled dict by name.

    Raises StoreError if the file is damaged, or would build anything but a dict of numeric arrays.
    """
    try:
        with path.open("rb") as handle:
            # latin1 is how NumPy arrays pickled by Python 2 come back byte for byte.
            content = ArrayUnpickler(handle, encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise StoreError(
            f"weight file {path} is not a pickled dict of arrays, or is damaged ({error}); "
            "nothing in it was run. Save the weights alone: torch.save(net.state_dict(), 'weights.pth')."
        ) from None
    except Exception:  # the opcodes of a damaged pickle raise many kinds, MemoryError among them
        raise StoreError(f"weight file {path} is damaged or cut short.") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise StoreError(f"weight file {path} holds a {type(content).__name__}, not a dict of arrays.")
    return {str(name): _check_array(path, name, array) for name, array in content.items()}


def _check_array(path: Path, name: object, array: object) -> np.ndarray:
    dtype = np.asarray(array).dtype if isinstance(array, np.ndarray | np.generic) else np.dtype(object)
    if dtype.kind not in "fiub" or dtype.itemsize > 8:  # torch has no longer ones
        raise StoreError(f"weight file {path}: {name!r} is not a numeric array that torch can hold.")
    # A copy in native byte order and C order that torch may own.
    values = np.asarray(array)
    return np.array(values, dtype=values.dtype.newbyteorder("="), order="C")
