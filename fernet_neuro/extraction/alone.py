"""Whether a layer answers to a stimulus alone, not by chance nor by what else is in the batch.

What belongs here: single forward passes of a plan and what they show; the pass over all stimuli is in
`extract`.
"""

import torch
from torch import Tensor

from fernet_neuro.extraction.hooks import PRECISIONS, LayerRecorder, explaining, reducing
from fernet_neuro.extraction.plan import ExtractionPlan

#: Answers to one picture may differ by this share of the largest: rounding is far below, chance far above.
TOLERANCE = 0.01


def forward(plan: ExtractionPlan, images: Tensor) -> None:
    """Run pictures, uint8 of shape (n, 3, size, size), through the network of a plan.

    Raises
    ------
    ValueError
        If they do not fit into memory, or the network fails on them, whatever it raises.
    """
    with explaining(plan.model.card.name, len(images)):
        pictures = plan.model.card.preprocessing.normalise(images)
        plan.model.module(pictures.contiguous(memory_format=plan.memory_format))


def check_alone(plan: ExtractionPlan, recorder: LayerRecorder, image: Tensor) -> None:
    """Raise unless each layer answers alike to a picture alone, again, and beside its negative.

    Parameters
    ----------
    plan : ExtractionPlan
        Its network is in evaluation mode.
    recorder : LayerRecorder
        Open on the layers of the plan.
    image : Tensor of uint8, shape (1, 3, size, size)

    Raises
    ------
    ValueError
        Naming the first layer that answers by chance, or by what else is in the batch.
    """
    batches = [image, image] if plan.batch_size == 1 else [image, image, torch.cat([image, 255 - image])]
    answers = []
    for batch in batches:
        forward(plan, batch)
        answers.append(recorder.take())
    for layer, alone in answers[0].items():
        if not _agree(alone, answers[1][layer]):
            raise ValueError(
                f"layer {layer!r} answers differently each time to the same picture: a part of it draws by "
                f"chance in evaluation too (such as torch.nn.functional.dropout without training=False)."
            )
        if not _agree(alone, answers[-1][layer][:1]):
            raise ValueError(
                f"layer {layer!r} answers to a picture by what else is in the batch (such as batch "
                f"normalisation without running statistics), so its values are not the stimulus's own; give "
                f"the part its statistics, or take batches of one (--batch-size 1)."
            )


def measure_precision(
    plan: ExtractionPlan, recorder: LayerRecorder, images: Tensor
) -> dict[str, dict[str, float]]:
    """Return by how much each layer's answers differ from those in float32, under ``precision_error``.

    The largest difference, as a share of the largest answer; nothing for a pass in float32.
    """
    if plan.precision == PRECISIONS[0]:
        return {}
    forward(plan, images)
    exact = recorder.take()
    with reducing(plan.precision, plan.device):
        forward(plan, images)
    errors = {}
    for layer, answer in recorder.take().items():
        size = exact[layer].float().abs().max().clamp_min(torch.finfo(torch.float32).tiny)
        errors[layer] = float((answer.float() - exact[layer].float()).abs().max() / size)
    return {"precision_error": errors}


def _agree(first: Tensor, second: Tensor) -> bool:
    one, other = first.float(), second.float()
    # What is not finite is told with its stimulus when it is written.
    is_finite = torch.isfinite(one) & torch.isfinite(other)
    apart = torch.where(is_finite, (one - other).abs(), torch.zeros_like(one))
    return bool(apart.max() <= TOLERANCE * torch.where(is_finite, one.abs(), torch.zeros_like(one)).max())
