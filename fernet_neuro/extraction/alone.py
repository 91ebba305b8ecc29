"""Whether a layer answers to a stimulus alone, not by chance nor by what else is in the batch.

What belongs here: forward passes over the first batch of a plan and what they show; the pass over all stimuli
is in `extract`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fernet_neuro.extraction.hooks import PRECISIONS, LayerRecorder, explaining, reducing
from fernet_neuro.extraction.plan import ExtractionPlan

#: Answers to one picture may differ by this share of the largest: rounding is far below, chance far above.
TOLERANCE = 0.01
#: Differences by rounding are smaller in float64 by 2**29; what remains more than this is none.
_ROUNDING = 1e-3


class _Gaps(NamedTuple):
    """How far apart a layer's answers to one picture are: given again, and among others; and the largest."""

    again: float
    together: float
    largest: float


def forward(plan: ExtractionPlan, images: Tensor, dtype: torch.dtype = torch.float32) -> None:
    """Run pictures, uint8 of shape (n, 3, size, size), through the network of a plan.

    Raises
    ------
    ValueError
        If they do not fit into memory, or the network fails on them, whatever it raises.
    """
    with explaining(plan.model.card.name, len(images)):
        pictures = plan.model.card.preprocessing.normalise(images).to(dtype)
        pictures = pictures.contiguous(memory_format=plan.memory_format)
        plan.model.module(pictures)


def check_alone(plan: ExtractionPlan, recorder: LayerRecorder, images: Tensor) -> dict[str, Tensor]:
    """Return each layer's answers to a batch, and raise unless it gives them to each picture alone too.

    The first picture is given alone, again, and beside its negative; the last alone. A difference counts
    unless it is rounding: that of a layer whose true answer is 0 may be as large as the answer, and shrinks
    by orders of magnitude in float64.

    Parameters
    ----------
    plan : ExtractionPlan
        Its network is in evaluation mode.
    recorder : LayerRecorder
        Open on the layers of the plan.
    images : Tensor of uint8, shape (n, 3, size, size)
        The first batch.

    Raises
    ------
    ValueError
        Naming the first layer that answers by chance, or by what else is in the batch; or as `forward`.
    """
    found, answers = _compare(plan, recorder, images)
    odd = [layer for layer, gaps in found.items() if max(gaps[:2]) > TOLERANCE * gaps.largest]
    exact = _compare_exactly(plan, recorder, images) if odd else {}
    for layer in odd:
        rounded, gaps = exact.get(layer, found[layer]), found[layer]
        if gaps.again > TOLERANCE * gaps.largest and rounded.again > _ROUNDING * gaps.again:
            raise ValueError(
                f"layer {layer!r} answers differently each time to the same picture: a part of it draws by "
                f"chance in evaluation too (such as torch.nn.functional.dropout without training=False)."
            )
        if gaps.together > TOLERANCE * gaps.largest and rounded.together > _ROUNDING * gaps.together:
            raise ValueError(
                f"layer {layer!r} answers to a picture by what else is in the batch (such as batch "
                f"normalisation without running statistics), so its values are not the stimulus's own; give "
                f"the part its statistics, or take batches of one (--batch-size 1)."
            )
    return answers


def measure_precision(
    plan: ExtractionPlan, recorder: LayerRecorder, images: Tensor, exact: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, dict[str, float]]]:
    """Return each layer's answers to a batch in the plan's precision, and how far they are from `exact`.

    The latter, under ``precision_error``, is the largest difference as a share of the largest answer; there
    is none for a pass in float32, whose answers `exact` are.
    """
    if plan.precision == PRECISIONS[0]:
        return exact, {}
    with reducing(plan.precision, plan.device):
        forward(plan, images)
    answers, errors = recorder.take(), {}
    for layer, answer in answers.items():
        size = exact[layer].float().abs().max().clamp_min(torch.finfo(torch.float32).tiny)
        errors[layer] = float((answer.float() - exact[layer].float()).abs().max() / size)
    return answers, {"precision_error": errors}


def _compare(
    plan: ExtractionPlan, recorder: LayerRecorder, images: Tensor, dtype: torch.dtype = torch.float32
) -> tuple[dict[str, _Gaps], dict[str, Tensor]]:
    """Return how far apart each layer's answers to a picture are, and its answers to all."""

    def answer(pictures: Tensor) -> dict[str, Tensor]:
        forward(plan, pictures, dtype)
        return recorder.take()

    first, last = images[:1], images[-1:]
    alone, again = answer(first), answer(first)
    if plan.batch_size == 1:
        return {
            layer: _Gaps(_gap(alone[layer], again[layer]), 0.0, _size(alone[layer])) for layer in alone
        }, again
    pair, end, answers = answer(torch.cat([first, 255 - first])), answer(last), answer(images)
    found = {}
    for layer, own in alone.items():
        whole = answers[layer]
        if len(whole) != len(images):  # no axis of stimuli, as its shape will show
            continue
        together = (_gap(own, pair[layer][:1]), _gap(own, whole[:1]), _gap(end[layer], whole[-1:]))
        largest = max(_size(own), _size(end[layer]))
        found[layer] = _Gaps(_gap(own, again[layer]), max(together), largest)
    return found, answers


def _compare_exactly(plan: ExtractionPlan, recorder: LayerRecorder, images: Tensor) -> dict[str, _Gaps]:
    """Return as `_compare` what is found in float64; nothing where the network cannot be run so."""
    try:
        with _doubled(plan.model.module):
            return _compare(plan, recorder, images, torch.float64)[0]
    except (ValueError, TypeError, RuntimeError):  # a part with numbers of its own kind, or no such device
        return {}


@contextmanager
def _doubled(module: nn.Module) -> Iterator[None]:
    """Hold a network's numbers in float64."""
    tensors = [item for item in (*module.parameters(), *module.buffers()) if item.is_floating_point()]
    kept = [item.data for item in tensors]
    try:
        for item in tensors:
            item.data = item.data.double()
        yield
    finally:
        for item, before in zip(tensors, kept, strict=True):
            item.data = before


def _gap(one: Tensor, other: Tensor) -> float:
    """Return the largest difference; what is not finite is told with its stimulus when it is written."""
    apart = (one.float() - other.float()).abs()
    return _size(apart)


def _size(answer: Tensor) -> float:
    values = answer.float().abs()
    return float(torch.where(torch.isfinite(values), values, torch.zeros_like(values)).max())
