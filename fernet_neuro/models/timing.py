"""How long networks take per image, measured side by side.

What belongs here: time of the forward pass; counting of parameters and operations is in `cost`.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import pandas as pd
import torch

from fernet_neuro._utils.atomic import scratch_folder
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.validation import check_range
from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.export import Runner, export_model, open_onnx
from fernet_neuro.models.fuse import fuse
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import make_example

K = TypeVar("K", bound=Hashable)
#: What runs a network: torch as it was trained; with batch normalisation folded in; and the latter as ONNX.
FORMS = ("torch", "torch, fused", "onnxruntime")


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
    _check(models, n_repeats, n_passes)
    passes = {name: _feed(model.module.eval(), model, 1) for name, model in models.items()}
    return _take_turns(passes, n_repeats, n_passes)


def measure_latency(
    models: Mapping[str, LayeredModel],
    *,
    batch_sizes: Sequence[int] = (1, 32),
    n_threads: int = 2,
    onnx: bool = False,
    n_repeats: int = 15,
    n_passes: int = 3,
    verbose: bool = False,
) -> pd.DataFrame:
    """Return a table of times per image on the CPU, with what each network costs.

    All networks, forms and batch sizes take turns in one run.

    Parameters
    ----------
    models : mapping of str to LayeredModel
        Run in eval mode, each at its own size.
    batch_sizes : sequence of int
        Images per forward pass.
    n_threads : int
        Threads of torch and of onnxruntime.
    onnx : bool
        Also through onnxruntime, as `export_model` writes the fused network.
    n_repeats, n_passes : int
        Turns of each, after one that does not count, and forward passes per turn.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    DataFrame
        One row per network, form (of `FORMS`) and batch size: ``network, form, batch_size, size, threads,
        params, macs``, ``milliseconds`` per image (median over turns), its quartiles ``low`` and ``high``,
        and ``n_repeats``.

    Raises
    ------
    ValueError
        If there is no network, a number is below 1, or a network cannot be written as ONNX.
    MissingDependencyError
        For ONNX without the extra ``export``.

    Examples
    --------
    >>> from fernet_neuro.models.registry import build_model
    >>> small = build_model("resnet10-slim", size=32)
    >>> table = measure_latency({"small": small}, batch_sizes=[1], n_threads=1, n_repeats=3)
    >>> table["form"].tolist()
    ['torch', 'torch, fused']
    """
    _check(models, n_repeats, n_passes)
    for number in (n_threads, *batch_sizes):
        check_range("batch sizes and threads", number, 1)
    with scratch_folder() as folder, _use_threads(n_threads):
        passes: dict[tuple[str, str, int], Callable[[], object]] = {}
        for place, (name, model) in enumerate(models.items()):
            model.module.eval()
            forms: dict[str, Runner] = dict(zip(FORMS, (model.module, fuse(model).module), strict=False))
            if onnx:
                file = folder / f"{place}.onnx"
                export_model(model, file, fuse=True)
                forms[FORMS[2]] = open_onnx(file, n_threads)
            for form, run in forms.items():
                passes |= {(name, form, n): _feed(run, model, n) for n in batch_sizes}
        times = _take_turns(passes, n_repeats, n_passes, verbose=verbose)
    costs = {name: compute_cost(model) for name, model in models.items()}
    return pd.DataFrame([_summarise(models, costs, n_threads, *item) for item in times.items()])


def _check(models: Mapping[str, LayeredModel], n_repeats: int, n_passes: int) -> None:
    if not models:
        raise ValueError("models must name at least one network; got none.")
    check_range("n_repeats", n_repeats, 1)
    check_range("n_passes", n_passes, 1)


def _feed(run: Runner, model: LayeredModel, n_images: int) -> Callable[[], object]:
    images = make_example(model.card.preprocessing).repeat(n_images, 1, 1, 1)
    return lambda: run(images)


@torch.inference_mode()
def _take_turns(
    passes: Mapping[K, Callable[[], object]], n_repeats: int, n_passes: int, *, verbose: bool = False
) -> dict[K, np.ndarray]:
    """Return seconds per pass, one value per turn, without each one's first turn."""
    times: dict[K, list[float]] = {key: [] for key in passes}
    turns = [key for _ in range(n_repeats + 1) for key in passes]
    for key in track(turns, "measuring", total=len(turns), verbose=verbose):
        start = time.perf_counter()
        for _ in range(n_passes):
            passes[key]()
        times[key].append((time.perf_counter() - start) / n_passes)
    return {key: np.array(values[1:]) for key, values in times.items()}


@contextmanager
def _use_threads(n_threads: int) -> Iterator[None]:
    """Let torch use so many threads, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _summarise(
    models: Mapping[str, LayeredModel],
    costs: Mapping[str, Mapping[str, int | str]],
    n_threads: int,
    key: tuple[str, str, int],
    seconds: np.ndarray,
) -> dict[str, object]:
    name, form, n_images = key
    low, middle, high = np.quantile(1000 * seconds / n_images, (0.25, 0.5, 0.75))
    return {
        "network": name,
        "form": form,
        "batch_size": n_images,
        "size": models[name].card.preprocessing.size,
        "threads": n_threads,
        "params": costs[name]["params"],
        "macs": costs[name]["macs"],
        "milliseconds": middle,
        "low": low,
        "high": high,
        "n_repeats": len(seconds),
    }
