"""What an extraction will do and cost, found out before any long work.

What belongs here: checks of the request, its content key, and the estimate; doing it is in `extract`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fernet_neuro._utils.disk import check_free
from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.activations.manifest import FORMAT_VERSION, build_layer_entry, working_folder
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.extraction.hooks import (
    PRECISIONS,
    LayerRecorder,
    evaluating,
    explaining,
    network_digest,
)
from fernet_neuro.models.devices import pick_device
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

#: Types in which activations are stored.
DTYPES = {"float32": torch.float32, "float16": torch.float16}
#: Batches that may be decoded ahead of the forward pass, and outputs that may wait to be written.
N_AHEAD, N_BEHIND = 2, 2
#: On a processor, how large the largest output of a forward pass may be, and how few stimuli it may be split
#: into for that: fewer at a time are slower, more are no faster and fill memory.
_IN_WORK, _FEWEST = 64 << 20, 8


@dataclass(frozen=True, eq=False)
class ExtractionPlan:
    """A checked request: what is extracted from what, and everything that decides the numbers.

    Parameters
    ----------
    model : LayeredModel
        The network.
    table : StimulusTable
        The stimuli, in order.
    image_digests : tuple of str
        SHA-256 of each image file when the plan was made.
    unit_shapes : dict of str to tuple of int
        Layers in the order in which they run, and the shape of one stimulus's answer in each.
    identity : dict
        The content key's parts: digests of weights, network and stimuli; preprocessing, layers, pool, dtype,
        and how pictures lie in memory, which is in the last digits of the values.
    device : torch.device
        Where the network runs.
    batch_size : int
        Stimuli per forward pass, as `fit_batch` has it.
    widest : int
        Units of the largest output of any part of the network for one stimulus; for the memory estimate.
    """

    model: LayeredModel
    table: StimulusTable
    image_digests: tuple[str, ...]
    unit_shapes: dict[str, tuple[int, ...]]
    identity: dict[str, Any]
    device: torch.device
    batch_size: int
    widest: int

    @property
    def key(self) -> str:
        """SHA-256 of `identity`: the key of the store that this plan makes."""
        return hash_json(self.identity)

    @property
    def run(self) -> dict[str, Any]:
        """What beside the key is in the last bits of the values: with another, an extraction begins anew."""
        return {"batch_size": self.batch_size, "device": self.device.type}

    @property
    def dtype(self) -> str:
        """Type of the stored values."""
        return self.identity["dtype"]

    @property
    def precision(self) -> str:
        """Of the forward pass: one of ``hooks.PRECISIONS``."""
        return str(self.identity.get("precision", PRECISIONS[0]))

    @property
    def memory_format(self) -> torch.memory_format:
        """How pictures lie in memory in the forward pass."""
        return torch.channels_last if "memory_format" in self.identity else torch.contiguous_format

    def estimate(self, n_stimuli: int | None = None) -> dict[str, Any]:
        """Return sizes in bytes: ``disk_bytes``, ``memory_bytes``, and both per layer under ``layers``.

        Memory is the network, the batches in work and the outputs waiting to be written; it does not depend
        on the number of stimuli. It leaves out what Python and torch themselves take (about 400 MB).

        `n_stimuli`: for as many stimuli; None for those of the table.
        """
        dtype = np.dtype(self.dtype)
        n_stimuli = len(self.table) if n_stimuli is None else n_stimuli
        layers = []
        for index, (layer, shape) in enumerate(self.unit_shapes.items()):
            entry = build_layer_entry(index, layer, shape, dtype, n_stimuli)
            layers.append(
                {
                    "layer": layer,
                    "unit_shape": list(shape),
                    "n_units": math.prod(shape),
                    "disk_bytes": entry["n_bytes"],
                }
            )
        outputs = sum(item["n_units"] for item in layers) * dtype.itemsize
        tensors = (*self.model.module.parameters(), *self.model.module.buffers())
        weights = sum(item.numel() * item.element_size() for item in tensors)
        pixels = 3 * self.model.card.preprocessing.size**2
        # Waiting images are 8-bit, those in work float32; of the network's outputs about three live at once.
        per_stimulus = pixels * (N_AHEAD + 1 + 8) + outputs * (N_BEHIND + 2) + 3 * 4 * self.widest
        return {
            "n_stimuli": n_stimuli,
            "batch_size": self.batch_size,
            "device": str(self.device),
            "dtype": self.dtype,
            "disk_bytes": sum(item["disk_bytes"] for item in layers),
            "memory_bytes": weights + per_stimulus * min(self.batch_size, n_stimuli),
            "layers": layers,
        }

    def check_disk(self, out: PathLike) -> None:
        """Raise if the disk of `out` has not enough room.

        Raises StoreError saying how much is needed and free.
        """
        target = Path(out).absolute()
        folder = next(parent for parent in target.parents if parent.is_dir())
        working = working_folder(target, self.key, self.run)
        reserved = sum(file.stat().st_size for file in working.glob("*.npy"))
        advice = "free space, or take fewer layers, --pool mean, --pool srp:2048 or --dtype float16"
        check_free(folder, self.estimate()["disk_bytes"], f"store {out}", advice, n_kept=reserved)


def plan_extraction(
    model: LayeredModel,
    table: StimulusTable,
    layers: Sequence[str] | None = None,
    *,
    device: str = "auto",
    batch_size: int = 64,
    dtype: str = "float32",
    pool: str = "none",
    precision: str = "float32",
) -> ExtractionPlan:
    """Check a request, run one image of noise through the network, and return the plan.

    Parameters are those of `extract_activations`.

    Raises LayerNotFoundError if the network has no such layer; StimulusError if the table is empty or an
    image file is missing; ValueError if a layer does not run exactly once, or an argument is out of range.
    """
    check_option("dtype", dtype, DTYPES)
    check_option("precision", precision, PRECISIONS)
    check_range("batch_size", batch_size, minimum=1)
    wanted = model.check_layers(list(model.layers if layers is None else layers))
    if not wanted or len(set(wanted)) != len(wanted):
        raise ValueError(f"layers must name one or more layers, each once; got {list(wanted)}.")
    if len(table) == 0:
        raise StimulusError("the stimulus table is empty; there is nothing to extract.")
    place = pick_device(device)
    if precision == "tf32" and place.type != "cuda":
        raise ValueError(f"precision tf32 is of CUDA devices alone; this runs on {place}.")
    image = _make_noise(model).to(place)
    outputs, widest = _trace(model, wanted, pool, image)
    unit_shapes = {layer: tuple(output.shape[1:]) for layer, output in outputs.items()}
    identity = {
        "format_version": FORMAT_VERSION,
        "weights": model.weight_digest(),
        "network": network_digest(model.module),
        "preprocessing": model.card.preprocessing.to_dict(),
        "stimuli": table.digest(),
        "layers": list(unit_shapes),
        "pool": pool,
        "dtype": dtype,
        **({} if precision == PRECISIONS[0] else {"precision": precision}),
        **({"memory_format": "channels_last"} if _takes_channels_last(model, pool, image, outputs) else {}),
    }
    n_at_once = fit_batch(batch_size, widest) if place.type == "cpu" else batch_size
    return ExtractionPlan(model, table, table.image_digests, unit_shapes, identity, place, n_at_once, widest)


def fit_batch(batch_size: int, widest: int) -> int:
    """Return how many stimuli of a batch go through a network at once on a processor: a part of all, or all.

    The number divides `batch_size`, so that shards, which end where batches do, are cut in the same places:
    the largest of at least 8 whose outputs fit, or the least above where none does. `widest`: units of the
    network's largest output for one stimulus.
    """
    halves = [n for n in range(1, math.isqrt(batch_size) + 1) if batch_size % n == 0]
    parts = [n for n in {*halves, *(batch_size // n for n in halves)} if n >= _FEWEST]
    fitting = [n for n in parts if 4 * n * widest <= _IN_WORK]
    return max(fitting, default=min(parts, default=batch_size))


def _make_noise(model: LayeredModel) -> Tensor:
    """Return one picture of noise as the network takes it, always the same."""
    size, noise = model.card.preprocessing.size, torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8, generator=noise)
    return model.card.preprocessing.normalise(picture)


def _trace(
    model: LayeredModel, layers: tuple[str, ...], pool: str, image: Tensor
) -> tuple[dict[str, Tensor], int]:
    """Return what layers make of an image, in the order in which they ran, and the widest's units."""
    sizes = [0]

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        parts = list(output.values()) if isinstance(output, dict) else output
        parts = parts if isinstance(parts, tuple | list) else [parts]
        sizes.extend(part.numel() for part in parts if isinstance(part, Tensor))

    handles = [part.register_forward_hook(note) for part in model.module.modules()]
    try:
        with (
            evaluating(model.module, image.device),
            LayerRecorder(model.module, layers, pool=pool) as recorder,
            explaining(model.card.name, 1),
        ):
            model.module(image)
            outputs = recorder.take()
    finally:
        for handle in handles:
            handle.remove()
    return outputs, max(sizes)


def _takes_channels_last(model: LayeredModel, pool: str, image: Tensor, plain: dict[str, Tensor]) -> bool:
    """Return whether pictures go through with channels last, at which convolutions are faster on processors.

    Not where most of the work is not theirs, as in transformers, which become slower. Nor where a part of the
    network needs another order (such as ``x.view(len(x), -1)``), which is tried out: the layers must make of
    the image what they made of it before (`plain`).
    """
    parts = list(model.module.modules())
    n_convolutions = sum(isinstance(part, nn.Conv2d) for part in parts)
    n_full = sum(isinstance(part, nn.Linear) for part in parts)
    if image.device.type != "cpu" or not n_convolutions or n_convolutions < n_full:
        return False
    recorder = LayerRecorder(model.module, tuple(plain), pool=pool)
    with evaluating(model.module, image.device), recorder:
        try:
            model.module(image.contiguous(memory_format=torch.channels_last))
        except Exception:  # whatever a network raises; the pass itself says it
            return False
        found = recorder.take()
    return all(torch.allclose(found[name], plain[name], rtol=1e-3, atol=1e-4) for name in plain)
