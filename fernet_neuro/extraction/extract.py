"""Activations of a network to a set of stimuli, in one pass, streamed to disk.

What belongs here: the pass itself; the request is checked in `plan`, layers are read in `hooks`, files are
written by `activations.writer`.
"""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count
from torch import Tensor, nn

from fernet_neuro._utils.atomic import scratch_folder
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.memory import keeping_memory
from fernet_neuro._utils.paths import lead_to
from fernet_neuro._utils.progress import make_progress
from fernet_neuro._utils.record import list_versions
from fernet_neuro._utils.validation import check_range
from fernet_neuro.activations.known import cache_place, find_store, remember_store
from fernet_neuro.activations.manifest import MANIFEST_NAME, read_manifest
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.activations.writer import StoreWriter, check_target
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.extraction.alone import check_alone, forward, measure_precision
from fernet_neuro.extraction.hooks import LayerRecorder, evaluating, reducing
from fernet_neuro.extraction.pipeline import WriteBehind, map_ahead
from fernet_neuro.extraction.plan import (
    DTYPES,
    N_AHEAD,
    N_BEHIND,
    ExtractionPlan,
    plan_extraction,
)
from fernet_neuro.models.card import UNTRAINED_TWIN
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.typing import PathLike

__all__ = ["estimate_extraction", "extract_activations", "run_extraction"]
logger = logging.getLogger(__name__)
#: Images that tell how long all would take.
N_MEASURED = 64
_VERSIONED = ("fernet-neuro", "torch", "torchvision", "numpy", "pillow")


class _Advance(Protocol):
    def __call__(self, n_stimuli: int, /) -> None: ...


def extract_activations(
    model: LayeredModel | nn.Module | PathLike,
    table: StimulusTable | pd.DataFrame | PathLike,
    layers: Sequence[str] | None = None,
    out: PathLike | None = None,
    *,
    n_jobs: int = 0,
    verbose: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    dtype: str = "float32",
    pool: str = "none",
    precision: str = "float32",
    overwrite: bool = False,
    source: str = "",
) -> ActivationStore:
    """Run every stimulus through a network once and store what its layers answer.

    The store's key is the digest of all that decides its content. If a finished store of that key is at
    `out`, it is returned at once; a run that was killed goes on where it was, to the same numbers; a changed
    image, label, weight, preprocessing or layer is another key and never served from what is there. Peak
    memory does not depend on the number of stimuli.

    Parameters
    ----------
    model : LayeredModel or path
        The network, a run folder or any name that `resolve_model` takes; it is put in evaluation mode and
        afterwards back as it was.
    table : StimulusTable, DataFrame or path
        The stimuli, whose order becomes the order of rows.
    layers : sequence of str, default=None
        Paths as in ``named_modules()``; None takes all that the network lists. They are stored in the
        order in which they run.
    out : path, default=None
        Folder of the store; complete or absent. Without one, a store that was made before is returned, or a
        new one is kept in the user's cache folder.
    n_jobs : int, default=0
        Threads that decode images beside the forward pass; 0 is one.
    verbose : bool, default=False
        Whether to show a progress bar.
    device : str, default="auto"
        ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:0"``.
    batch_size : int, default=64
        Stimuli per forward pass. On a processor it is split, into parts of 8 or more that divide it, where
        the network's largest output would take more than 64 MB, which saves memory and hardly costs time.
    dtype : {"float32", "float16"}, default="float32"
        Type of the stored values.
    pool : {"none", "mean", "mean-last", "srp:K"}, default="none"
        Store all units; means over all axes but the channels, which are the second axis (convolutional
        networks) or the last (transformers); or a fixed random projection to K numbers, such as
        ``"srp:2048"``, which keeps squared distances to about ``sqrt(2 / K)`` of their size.
    precision : {"float32", "tf32", "bf16"}, default="float32"
        Of the forward pass. Below float32, the first batch runs both ways, and the manifest keeps by how much
        each layer differs (``precision_error``).
    overwrite : bool, default=False
        Whether a store of another key at `out` may be replaced, once the new one is complete.
    source : str, default=""
        Where the network came from, for the manifest.

    Returns
    -------
    ActivationStore
        One layer per name, ``(n_stimuli, n_units)`` each.

    Raises
    ------
    LayerNotFoundError
        If the network has no such layer.
    StimulusError
        If an image is missing, cannot be decoded, or changes during the run.
    StoreError
        If the disk is too small or full, or `out` holds something else.
    ValueError
        If there is no such network, it fails, an nn.Module comes without a declared input, a layer does not
        run exactly once or answers by chance or by what else is in the batch, a value is not finite, or an
        argument is out of range.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=2, views=1, sessions=1, size=32)
    >>> store = fn.extract(fn.load_model("resnet10-slim", size=32), faces)
    >>> store["layer4"].values.shape
    (14, 512)
    """
    plan = plan_extraction(
        resolve_model(model),
        read_stimuli(table),
        layers,
        device=device,
        batch_size=batch_size,
        dtype=dtype,
        pool=pool,
        precision=precision,
    )
    source = source or (str(model) if isinstance(model, str | Path) else "")
    if out is None:
        return extract_once(plan, n_jobs=n_jobs, verbose=verbose, source=source)
    return run_extraction(plan, out, n_jobs=n_jobs, verbose=verbose, overwrite=overwrite, source=source)


def extract_once(plan: ExtractionPlan, out: PathLike | None = None, **options: Any) -> ActivationStore:
    """Return the store of `plan` that was made before, wherever it is, or make it at `out`.

    `out`: folder of a new store; without one, it is kept in the user's cache folder. `**options`: ``n_jobs``,
    ``verbose`` and ``source`` of `extract_activations`.
    """
    known = find_store(plan.identity, plan.table)
    if known is not None:
        logger.info("%s already holds these activations", known.path)
        return known
    return run_extraction(plan, out or cache_place(plan.identity, plan.table), overwrite=True, **options)


def run_extraction(
    plan: ExtractionPlan,
    out: PathLike,
    *,
    n_jobs: int = 0,
    verbose: bool = False,
    overwrite: bool = False,
    source: str = "",
) -> ActivationStore:
    """Carry out a plan; see `extract_activations`."""
    check_range("n_jobs", n_jobs, minimum=0)
    finished = find_finished(plan, out, overwrite=overwrite)
    if finished is not None:
        logger.info("%s already holds exactly these activations; nothing to do", finished.path)
        remember_store(finished)
        return finished
    check_target(Path(out).absolute(), plan.key, plan.identity, overwrite=overwrite)
    plan.check_disk(out)
    writer = StoreWriter(
        out,
        plan.table,
        plan.unit_shapes,
        plan.identity,
        dtype=plan.dtype,
        run=plan.run,
        info=_describe(plan, source, Path(out)),
        overwrite=overwrite,
    )
    with writer, _progress(plan, writer.n_done, verbose) as advance:
        _fill(plan, writer, max(n_jobs, 1), advance)
        writer.finish()
    store = ActivationStore.open(out)
    remember_store(store)
    return store


def estimate_extraction(
    model: LayeredModel | nn.Module | PathLike,
    table: StimulusTable | pd.DataFrame | PathLike,
    layers: Sequence[str] | None = None,
    *,
    n_measured: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Return what an extraction would need: bytes as in `ExtractionPlan.estimate`, and ``seconds``.

    No image but those measured (``n_measured``) is opened, so that a million are planned as fast as ten.

    Parameters
    ----------
    model, table, layers
        As in `extract_activations`.
    n_measured : int, default=0
        Images to run through the network and write to a temporary store, of which ``seconds`` are computed
        for the whole table; it is None for 0.
    **options
        ``device``, ``batch_size``, ``dtype``, ``pool`` and ``precision`` of `extract_activations`.
    """
    whole = read_stimuli(table)
    head = whole.select(np.arange(min(len(whole), max(n_measured, 1))))
    plan = plan_extraction(resolve_model(model), head, layers, **options)
    seconds = _measure_seconds(plan) if n_measured else None
    estimate = plan.estimate(len(whole))
    seconds = None if seconds is None else seconds * len(whole)
    return {**estimate, "seconds": seconds, "n_measured": len(head) if n_measured else 0}


def _measure_seconds(plan: ExtractionPlan) -> float:
    """Return seconds for one stimulus of a plan, of a second pass: the first finds memory and kernels."""
    with scratch_folder() as folder:
        for _ in range(2):
            start = time.perf_counter()
            run_extraction(plan, folder / "store")
            seconds = time.perf_counter() - start
            shutil.rmtree(folder / "store")
    return seconds / len(plan.table)


def find_finished(plan: ExtractionPlan, out: PathLike, *, overwrite: bool = False) -> ActivationStore | None:
    """Return the store at `out` if it is exactly what `plan` would make, else None.

    Raises StoreError if the store of this key is damaged, unless `overwrite`.
    """
    folder = Path(out)
    if not (folder / MANIFEST_NAME).is_file():
        return None
    try:
        return ActivationStore.open(folder) if read_manifest(folder)["key"] == plan.key else None
    except StoreError:
        if overwrite:
            return None
        raise


def _fill(plan: ExtractionPlan, writer: StoreWriter, n_threads: int, advance: _Advance) -> None:
    """Run the batches that `writer` does not have yet."""
    module = plan.model.module
    starts = range(writer.n_done, len(plan.table), plan.batch_size)
    overlaps = _has_spare_cores(plan.device)
    # Between forward passes all of torch's cores are free; beside them, each batch has one thread.
    decode = _Decoder(plan, 1 if overlaps else torch.get_num_threads())

    def write(outputs: dict[str, Tensor]) -> None:
        # Rows of units are copies where channels lie last; what they were made of goes one by one.
        arrays = {layer: outputs.pop(layer).flatten(1).cpu().numpy() for layer in list(outputs)}
        writer.write(arrays)
        advance(len(next(iter(arrays.values()))))

    with (
        ExitStack() as later,
        evaluating(module, plan.device),
        LayerRecorder(
            module, list(plan.unit_shapes), pool=plan.identity["pool"], dtype=DTYPES[plan.dtype]
        ) as recorder,
        WriteBehind(write, N_BEHIND) as behind,
    ):
        n_ahead = N_AHEAD + n_threads - 1 if overlaps else 0
        for number, images in enumerate(map_ahead(decode, starts, n_threads=n_threads, n_ahead=n_ahead)):
            if number == 1:  # what the checks of the first batch freed would lie between later blocks
                later.enter_context(keeping_memory())
            # No name keeps answers that are written, or the next batch's would come on top of them.
            behind.put(_answer(plan, recorder, images, writer if number == 0 else None))
            if not overlaps:
                behind.drain()


def _answer(
    plan: ExtractionPlan, recorder: LayerRecorder, images: Tensor, writer: StoreWriter | None
) -> dict[str, Tensor]:
    """Return each layer's answers to a batch; `writer`, of the first one, is told how exact they are."""
    batch = images.to(plan.device, non_blocking=plan.device.type == "cuda")
    if writer is None:
        with reducing(plan.precision, plan.device):
            forward(plan, batch)
        outputs = recorder.take()
    else:
        outputs, errors = measure_precision(plan, recorder, batch, check_alone(plan, recorder, batch))
        writer.info |= errors
    _check_shapes(outputs, plan, len(images))
    return outputs


def _has_spare_cores(device: torch.device) -> bool:
    """Return whether something can run beside the forward pass.

    Where torch's threads fill all cores, a thread beside them delays the others at every barrier: turns
    are then faster (measured on two cores).
    """
    return device.type != "cpu" or cpu_count() > torch.get_num_threads()


def _check_shapes(outputs: dict[str, Tensor], plan: ExtractionPlan, n_stimuli: int) -> None:
    for layer, output in outputs.items():
        if tuple(output.shape) != (n_stimuli, *plan.unit_shapes[layer]):
            raise ValueError(
                f"layer {layer!r} gives {tuple(output.shape)} for {n_stimuli} stimuli and "
                f"{(1, *plan.unit_shapes[layer])} for one; its first axis must be the stimuli."
            )


class _Decoder:
    """Decode one batch by the row it starts at; called from several threads."""

    def __init__(self, plan: ExtractionPlan, n_threads: int) -> None:
        self._n_threads = n_threads
        self._ids = plan.table.stimulus_ids
        self._paths = plan.table.paths()
        self._digests = plan.image_digests
        self._preprocessing = plan.model.card.preprocessing
        self._batch_size = plan.batch_size
        self._is_cuda = plan.device.type == "cuda"

    def __call__(self, start: int) -> Tensor:
        """Return the batch, uint8 of shape (n, 3, size, size)."""
        rows = range(start, min(start + self._batch_size, len(self._ids)))
        with ThreadPoolExecutor(self._n_threads, thread_name_prefix="image") as pool:
            images = torch.stack(list(pool.map(self._decode, rows)))
        # From pinned memory CUDA copies while the pass before goes on.
        return images.pin_memory() if self._is_cuda else images

    def _decode(self, row: int) -> Tensor:
        path, stimulus_id = self._paths[row], str(self._ids[row])
        try:
            image = self._preprocessing.resize_and_crop(load_image(path))
            changed = hash_file(path) != self._digests[row]
        except (StimulusError, OSError) as error:
            raise StimulusError(f"stimulus {stimulus_id!r}: {error}") from error
        if changed:
            raise StimulusError(
                f"stimulus {stimulus_id!r}: {path} was changed during the extraction; start it again."
            )
        return image


def _describe(plan: ExtractionPlan, source: str, out: Path) -> dict[str, Any]:
    """Return where the activations come from, for the manifest in `out`; a path leads there from it."""
    card = plan.model.card
    way = lead_to(source, str(out.resolve())) if Path(source).exists() else source
    return {
        "source": way or card.name,
        "model": card.to_dict(),
        "seed": card.seed,
        "pool": plan.identity["pool"],
        "batch_size": plan.batch_size,
        "device": str(plan.device),
        "versions": list_versions(_VERSIONED),
    }


@contextmanager
def _progress(plan: ExtractionPlan, n_done: int, verbose: bool) -> Iterator[_Advance]:
    """Yield a function that moves the bar on by a number of stimuli; twins are called by their seed."""
    if not verbose:
        yield lambda _: None
        return
    with make_progress() as progress:
        card = plan.model.card
        which = f" twin {card.seed}" if card.training_data == UNTRAINED_TWIN else ""
        task = progress.add_task(f"extract{which}", total=len(plan.table), completed=n_done)
        yield lambda n_stimuli: progress.advance(task, n_stimuli)
