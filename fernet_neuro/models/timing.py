"""How long networks take per image, measured side by side.

What belongs here: time of the forward pass; counting of parameters and operations is in `cost`.
"""

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from fernet_neuro._utils.validation import check_range
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import make_example


@torch.inference_mode()
def measure_run_times(
    models: Mapping[str, LayeredModel], *, n_repeats: int = 15, n_passes: int = 5
) -> dict[str, np.ndarray]:
    """Return seconds per image of each network, on the CPU, one image at a time.

    The networks take turns, so that a machine that slows down slows all of them: ratios within a repeat are
    steadier than the times themselves.

    `models`: run in eval mode, each at its own size. `n_repeats`: turns of each network, after one that does
    not count. `n_passes`: images per turn. Returns an array (n_repeats,). Raises ValueError if there is no
    network, or a number is below 1.
    """
    if not models:
        raise ValueError("models must name at least one network; got none.")
    check_range("n_repeats", n_repeats, 1)
    check_range("n_passes", n_passes, 1)
    examples = {name: make_example(model.card.preprocessing) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(n_repeats + 1):
        for name, model in models.items():
            times[name].append(_time_passes(model.module.eval(), examples[name], n_passes))
    return {name: np.array(values[1:]) for name, values in times.items()}


def _time_passes(module: nn.Module, image: Tensor, n_passes: int) -> float:
    start = time.perf_counter()
    for _ in range(n_passes):
        module(image)
    return (time.perf_counter() - start) / n_passes
