"""Networks as files that run without this package, ONNX or TorchScript, compared with torch when written.

What belongs here: writing such a file and what must be known to use it; names and runs are turned into
networks elsewhere.
"""

import copy
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fernet_neuro._utils.atomic import atomic_files, write_text
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.optional import import_optional
from fernet_neuro._utils.record import list_versions
from fernet_neuro._utils.validation import check_option
from fernet_neuro.exceptions import StoreError
from fernet_neuro.models.fuse import fuse as fuse_batchnorm
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.models.registry import make_example
from fernet_neuro.models.siamese import SiameseNet
from fernet_neuro.typing import PathLike

#: Version of the ONNX operators: the newest that onnxruntime has read for years, and has kernels for.
OPSET = 18
#: File formats, what their files may be called, and how far their answers may be from torch's, as a share of
#: the largest answer where that is above 1.
SUFFIXES = {"onnx": (".onnx",), "torchscript": (".pt", ".ts")}
TOLERANCES = {"onnx": 1e-4, "torchscript": 1e-5}
EXTRA = '"fernet-neuro[export]"'
#: Names in the file; softmax of the logits gives probabilities.
INPUT, OUTPUT = "images", "logits"
#: Numbers of images with which the file is compared; it is written with another.
_COMPARED, _WRITTEN_WITH = (1, 3), 2

#: From images (n, n_channels, size, size), normalised, to logits (n, n_outputs).
Runner = Callable[[Tensor], Tensor]


class OneInput(nn.Module):
    """A network that takes images and nothing else, so that no option of its `forward` becomes an input."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, n_outputs)."""
        return self.module(images)


class TwoSlopes(nn.Module):
    """A PReLU of one slope per channel in operations that onnxruntime is quick at; its own PReLU is slow.

    Parameters
    ----------
    prelu : nn.PReLU
    """

    slope: Tensor

    def __init__(self, prelu: nn.PReLU) -> None:
        super().__init__()
        self.register_buffer("slope", prelu.weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` (n, n_channels, ...) where it is positive, and the slope times `x` elsewhere."""
        slope = self.slope.reshape(-1, *[1] * (x.ndim - 2))
        return torch.relu(x) * (1 - slope) + x * slope


def export_model(
    model: LayeredModel,
    out: PathLike,
    *,
    format: str = "onnx",
    fuse: bool = False,
    classes: Sequence[str] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a network as a file for other programs, with a JSON of what its input must be beside it.

    The number of images is free; their size is the card's. The file is run, and its answers to random images
    are compared with torch's, before it takes its name.

    Parameters
    ----------
    model : LayeredModel
        On the CPU; put in evaluation mode.
    out : path
        ``.onnx``, or ``.pt`` or ``.ts`` for TorchScript; the JSON has the same name with ``.json``.
    format : {"onnx", "torchscript"}
    fuse : bool
        Write the network that `models.fuse.fuse` makes of it.
    classes : sequence of str
        Names of the outputs, where they are known.
    overwrite : bool
        Whether files that are there may be replaced.

    Returns
    -------
    dict
        What the JSON holds; ``largest_difference`` is that from torch, over all logits.

    Raises
    ------
    ValueError
        If the network takes two images, cannot be written in this format, or the file's answers differ from
        torch's by more than `TOLERANCES`.
    StoreError
        If a file is there already.
    MissingDependencyError
        For ONNX without the extra ``export``.

    Examples
    --------
    >>> import tempfile
    >>> from fernet_neuro.models.registry import build_model
    >>> model = build_model("resnet10-slim", n_classes=7, size=32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     about = export_model(model, f"{folder}/net.pt", format="torchscript")
    >>> about["largest_difference"] <= 1e-5, about["input"]["shape"]
    (True, ['n', 3, 32, 32])
    """
    path = check_export(model, out, format=format, overwrite=overwrite)
    about = {"format": format, "fused": fuse, **_describe(model, classes)}
    if format == "onnx":
        about["opset"] = OPSET
    model.module.eval()
    model = fuse_batchnorm(model) if fuse else model
    module = OneInput(model.module).eval()
    description = path.with_suffix(".json").name
    with atomic_files(path.parent, [description, path.name]) as places:
        network = places[path.name]
        _write(module, model, network, format)
        about |= {
            "largest_difference": _compare(_open(network, format), module, model, format),
            "sha256": hash_file(network),
        }
        write_text(places[description], json.dumps(about, indent=2) + "\n")
    return about


def check_export(model: LayeredModel, out: PathLike, *, format: str, overwrite: bool) -> Path:
    """Return the path to write to, if the network can be exported there; raises as `export_model`."""
    path = Path(out)
    endings = SUFFIXES[check_option("format", format, SUFFIXES)]
    if path.suffix not in endings:
        raise ValueError(f"{path} must end in {' or '.join(endings)} for format {format!r}.")
    if isinstance(model.module, SiameseNet):
        raise ValueError(
            f"network {model.card.name!r} compares two images, and a file takes one; export the network that "
            f"its trunk is from."
        )
    for file in (path, path.with_suffix(".json")):
        if file.exists() and not overwrite and not _is_left_over(path):
            raise StoreError(f"{file} is already there; add --overwrite (overwrite=True), or name another.")
    if format == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            import_optional(package, "ONNX", EXTRA)
    return path


def _is_left_over(path: Path) -> bool:
    """Return whether the JSON is of an export that was killed before its network was there."""
    about = path.with_suffix(".json")
    try:
        return not path.exists() and "sha256" in json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def open_onnx(path: PathLike, n_threads: int = 0) -> Runner:
    """Return what runs an ONNX file on the CPU.

    Parameters
    ----------
    path : path
    n_threads : int
        Threads of onnxruntime; 0 leaves it to onnxruntime.
    """
    onnxruntime = import_optional("onnxruntime", "ONNX", EXTRA)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    # Threads that wait in a loop would take their cores from whatever runs between two calls.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def _write(module: nn.Module, model: LayeredModel, path: Path, format: str) -> None:
    example = make_example(model.card.preprocessing).repeat(_WRITTEN_WITH, 1, 1, 1)
    try:
        with torch.no_grad(), _quiet():
            if format == "onnx":
                torch.onnx.export(
                    _split_slopes(module), (example,), path, dynamo=True, external_data=False, verbose=False,
                    opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT],
                    dynamic_shapes=({0: torch.export.Dim("n")},),
                )  # fmt: skip
            else:
                torch.jit.save(torch.jit.trace(module, example, check_trace=False), path)
    except OSError:
        raise
    except Exception as error:  # whatever torch raises of code that it cannot follow
        reason = str(error).strip().splitlines()[:1] or [""]
        raise ValueError(
            f"network {model.card.name!r} cannot be written as {format}: {type(error).__name__}: {reason[0]}"
        ) from error


def _split_slopes(module: nn.Module) -> nn.Module:
    """Return a copy whose PReLUs are `TwoSlopes`."""
    module = copy.deepcopy(module)
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.PReLU):
            module.set_submodule(name, TwoSlopes(part))
    return module


def _open(path: Path, format: str) -> Runner:
    if format == "onnx":
        return open_onnx(path)
    with _quiet():
        return torch.jit.load(path)


@torch.no_grad()
def _compare(run: Runner, module: nn.Module, model: LayeredModel, format: str) -> float:
    """Return the largest difference of the file's answers from torch's."""
    example, largest = make_example(model.card.preprocessing), 0.0
    generator = torch.Generator().manual_seed(0)
    for n_images in _COMPARED:
        images = torch.randn((n_images, *example.shape[1:]), generator=generator)
        wanted = module(images)
        difference = float((run(images) - wanted).abs().max())
        if not difference <= TOLERANCES[format] * max(1.0, float(wanted.abs().max())):
            raise ValueError(
                f"network {model.card.name!r} as {format} differs from torch by {difference:.2g} for "
                f"{n_images} images, more than {TOLERANCES[format]:g}; it was not written."
            )
        largest = max(largest, difference)
    return largest


def _describe(model: LayeredModel, classes: Sequence[str]) -> dict[str, Any]:
    """Return what must be known to use the file."""
    wanted = model.card.preprocessing
    return {
        "input": {
            "name": INPUT,
            "shape": ["n", *make_example(wanted).shape[1:]],
            "type": "float32",
            "steps": _list_steps(wanted),
        },
        "output": {
            "name": OUTPUT,
            "meaning": "logits; softmax gives probabilities",
            "classes": list(classes),
        },
        "card": model.card.to_dict(),
        "weight_digest": model.weight_digest(),
        "versions": list_versions(),
    }


def _list_steps(wanted: Preprocessing) -> list[str]:
    """Return in words what is done to a picture before the network sees it."""
    return [
        "decode to 8-bit RGB, upright",
        f"resize the shorter side to {wanted.resize or wanted.size} pixels, bilinear with antialiasing",
        f"cut {wanted.size} x {wanted.size} pixels out of the centre",
        f"channels {wanted.channels}; divide by 255, multiply by {wanted.scale:g}",
        f"subtract {list(wanted.mean)} and divide by {list(wanted.std)}, per channel",
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's exporters from talking: they warn of their own insides, and TorchScript of its age."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
