"""Published weights of face networks: where they lie, what they learnt, and how their files are read.

What belongs here: the entries of the zoo, and face-api's packing of weights into bytes.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fernet_neuro._utils.json_files import read_json
from fernet_neuro.exceptions import StoreError

#: Names of face-api's tensors, and of ours.
_RENAMED = {
    "filters": "conv.weight",
    "bias": "conv.bias",
    "scale.weights": "scale.weight",
    "scale.biases": "scale.bias",
    "depthwise_filter": "depthwise.weight",
    "pointwise_filter": "conv.weight",
}


def read_face_api(files: list[Path]) -> dict[str, Tensor]:
    """Return the weights of a binary file and its manifest, in torch's order of axes.

    Tensors lie one after the other in the order of the manifest, as bytes (value = byte * scale + min) or as
    32-bit numbers. Filters are (height, width, in, out), depthwise ones (height, width, in, 1).

    Raises
    ------
    StoreError
        If the two files do not belong together.
    """
    data, manifest = (next(path for path in files if path.suffix == suffix) for suffix in (".bin", ".json"))
    raw, place, state = data.read_bytes(), 0, {}
    try:
        entries = [item for group in read_json(manifest) for item in group["weights"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{manifest} is damaged ({error}); get it again.") from None
    for entry in entries:
        packed, count = entry.get("quantization"), int(np.prod(entry["shape"]))
        kind = np.dtype(packed["dtype"] if packed else entry["dtype"]).newbyteorder("<")
        end = place + count * kind.itemsize
        if end > len(raw):
            raise StoreError(f"{data} is shorter than {manifest.name} says; get both again.")
        values = np.frombuffer(raw[place:end], kind).astype(np.float32).reshape(entry["shape"])
        if packed:
            values = values * np.float32(packed["scale"]) + np.float32(packed["min"])
        name = _rename(entry["name"])
        state[name], place = torch.from_numpy(_turn(values, name)), end
    if place != len(raw):
        raise StoreError(f"{data} is longer than {manifest.name} says; get both again.")
    return state


def _rename(name: str) -> str:
    """Return our name of a tensor.

    Examples
    --------
    >>> _rename("conv32_1/conv2/scale/weights"), _rename("dense0/conv0/bias"), _rename("fc")
    ('conv32_1.conv2.scale.weight', 'dense0.conv0.conv.bias', 'fc.weight')
    """
    if name.partition("/")[0] == "fc":
        return "fc.bias" if name.endswith("bias") else "fc.weight"
    plain = name.replace("/conv/", "/").replace("/", ".")
    theirs = next(key for key in _RENAMED if plain.endswith(f".{key}"))
    return f"{plain.removesuffix(theirs)}{_RENAMED[theirs]}"


def _turn(values: np.ndarray, name: str) -> np.ndarray:
    axes = {1: (0,), 2: (1, 0), 4: (2, 3, 0, 1) if "depthwise" in name else (3, 2, 0, 1)}[values.ndim]
    return np.ascontiguousarray(values.transpose(axes))
