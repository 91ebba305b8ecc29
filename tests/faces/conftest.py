"""A network of YuNet's form that can be written by hand: it takes green squares for faces."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

#: Side of the squares that the network sees.
CELL = 16
#: Where it puts the five points of a square, in squares from its corner.
OFFSETS = np.array([[0.25, 0.125], [0.75, 0.1875], [0.5, 0.5], [0.3125, 0.875], [0.6875, 0.9375]])


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, value: int | bytes | str) -> bytes:
    """Return one field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name: str, values: np.ndarray) -> bytes:
    kind = {"f": 1, "i": 7}[values.dtype.kind]
    dims = b"".join(_field(1, side) for side in values.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Sequence[int]) -> bytes:
    parts = b"".join(
        _field(5, _field(1, name) + b"".join(_field(8, item) for item in items) + _field(20, 7))
        for name, items in attributes.items()
    )
    ends = b"".join(_field(1, name) for name in inputs) + _field(2, output)
    return ends + _field(3, output) + _field(4, kind) + parts


def _value(name: str, sides: Sequence[int | str]) -> bytes:
    dims = b"".join(_field(1, _field(1 if isinstance(side, int) else 2, side)) for side in sides)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _head(name: str, stride: int, weights: np.ndarray, biases: np.ndarray) -> tuple[list[bytes], list[bytes]]:
    """Return nodes and constants of an output (1, n_cells, n_values): channel means of a cell, and a bias."""
    kernel = np.broadcast_to(weights[:, :, None, None] / stride**2, (*weights.shape, stride, stride))
    shape = np.array([1, -1, len(weights)], dtype=np.int64)
    constants = [
        _tensor(f"{name}_w", np.ascontiguousarray(kernel, dtype=np.float32)),
        _tensor(f"{name}_b", biases.astype(np.float32)),
        _tensor(f"{name}_s", shape),
    ]
    square = [stride, stride]
    nodes = [
        _node(
            "Conv", ["input", f"{name}_w", f"{name}_b"], f"{name}_c", kernel_shape=square, strides=square,
            pads=[0, 0, 0, 0], dilations=[1, 1],
        ),
        _node("Transpose", [f"{name}_c"], f"{name}_t", perm=[0, 2, 3, 1]),
        _node("Reshape", [f"{name}_t", f"{name}_s"], name),
    ]  # fmt: skip
    return nodes, constants


def make_square_detector() -> bytes:
    """Return an ONNX file with YuNet's outputs: a square's score is its green, its size e ** (2 red).

    Channels are blue, green, red from 0 to 255, as YuNet has them.
    """
    nodes, constants, outputs = [], [], []
    for stride in (8, 16, 32):
        on = 1 / 255 if stride == CELL else 0.0
        green, red = np.array([[0, on, 0]]), np.array([0, 0, 2 * on])
        none = np.zeros(3)
        heads = {
            "cls": (green, np.zeros(1)),
            "obj": (green, np.zeros(1)),
            "bbox": (np.array([none, none, red, red]), np.array([0.5, 0.5, 0, 0])),
            "kps": (np.zeros((10, 3)), OFFSETS.ravel()),
        }
        for kind, (weights, biases) in heads.items():
            made = _head(f"{kind}_{stride}", stride, weights, biases)
            nodes += made[0]
            constants += made[1]
            outputs.append(_value(f"{kind}_{stride}", [1, "n", len(weights)]))
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "squares")
    graph += b"".join(_field(5, item) for item in constants)
    graph += _field(11, _value("input", [1, 3, "height", "width"]))
    graph += b"".join(_field(12, item) for item in outputs)
    return _field(1, 8) + _field(7, graph) + _field(8, _field(2, 13))


@pytest.fixture(scope="session")
def square_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a detector that takes green squares of 16 pixels for faces."""
    path = tmp_path_factory.mktemp("detector") / "squares.onnx"
    path.write_bytes(make_square_detector())
    return path


@pytest.fixture(scope="session")
def other_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a network that OpenCV can run and that is no YuNet."""
    nodes, constants = _head("answer", CELL, np.ones((1, 3)), np.zeros(1))
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "other")
    graph += b"".join(_field(5, item) for item in constants)
    graph += _field(11, _value("input", [1, 3, 64, 64])) + _field(12, _value("answer", [1, CELL, 1]))
    path = tmp_path_factory.mktemp("other") / "other.onnx"
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(2, 13)))
    return path
