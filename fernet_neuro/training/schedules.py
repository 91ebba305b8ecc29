"""Learning rates as pure functions of the step, and the optimisers they drive.

What belongs here: everything that says how far a step goes; a rate without state needs no checkpoint.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn, optim

from fernet_neuro.training.config import TrainSettings


def compute_rate(settings: TrainSettings, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of step `step`, counted from 0.

    Over `warmup_epochs` the rate rises linearly to `lr`, or is `warmup_lr`. The cosine then falls from `lr`
    to `min_lr` at the last step [1]_; "cosine-cycle" falls from `lr` to `min_lr` within `cycle_length` and
    rises again in as much, over and over, counted in whole epochs or in steps after the warm-up, as torch's
    CosineAnnealingLR does (so that with "epoch" and no `min_lr` one epoch in twice `cycle_length` learns
    nothing: its rate is 0). "step" multiplies by `step_factor` after each `step_epochs` epochs, "exponential"
    after each epoch, counted from the start.

    References
    ----------
    .. [1] Loshchilov, I., & Hutter, F. (2017). SGDR: Stochastic gradient descent with warm restarts. ICLR.
    """
    epoch = step / steps_per_epoch
    if epoch < settings.warmup_epochs:
        if settings.warmup_lr is not None:
            return settings.warmup_lr
        return settings.lr * (step + 1) / max(1.0, settings.warmup_epochs * steps_per_epoch)
    if settings.schedule == "constant":
        return settings.lr
    if settings.schedule in ("step", "exponential"):
        length = settings.step_epochs if settings.schedule == "step" else 1
        return settings.lr * settings.step_factor ** math.floor(epoch / length)
    done = epoch - settings.warmup_epochs
    if settings.schedule == "cosine":
        angle = math.pi * (done / (settings.epochs - settings.warmup_epochs))
    else:
        # Rounded, as a step after a warm-up of part of an epoch is a whole number but for the last bits.
        count = math.floor(done) if settings.cycle_unit == "epoch" else round(done * steps_per_epoch)
        angle = math.pi * count / settings.cycle_length
    return settings.min_lr + (settings.lr - settings.min_lr) * 0.5 * (1 + math.cos(angle))


def build_optimiser(
    settings: TrainSettings, module: nn.Module, loss_module: nn.Module | None = None
) -> optim.Optimizer:
    """Return the recipe's optimiser over the trainable parameters of `module` and of the loss, if it has any.

    Raises ValueError if no parameter of `module` is trainable.
    """
    parameters = list_trainable(module)
    if not parameters:
        raise ValueError(f"model {settings.model!r} has no trainable parameter; there is nothing to train.")
    groups: list[dict[str, Any]] = [{"params": parameters, "rate_factor": 1.0}]
    if own := list_trainable(loss_module):
        factor = 1.0 if settings.loss_lr is None else settings.loss_lr / settings.lr
        groups.append({"params": own, "rate_factor": factor})
        if settings.loss_weight_decay is not None:
            groups[1]["weight_decay"] = settings.loss_weight_decay
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimiser == "sgd":
        return optim.SGD(groups, momentum=settings.momentum, **common)
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[settings.optimiser]
    return kind(groups, betas=settings.betas, **common)


def list_trainable(module: nn.Module | None) -> list[nn.Parameter]:
    """Return the parameters of `module` that learn."""
    parameters = module.parameters() if module is not None else ()
    return [parameter for parameter in parameters if parameter.requires_grad]


def set_rate(optimiser: optim.Optimizer, rate: float) -> None:
    """Give the network the learning rate `rate`, and a loss that learns its own multiple of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate_factor"]


@contextmanager
@torch.no_grad()
def climbing(optimiser: optim.Optimizer, model: nn.Module, rho: float) -> Iterator[None]:
    """Move the weights by `rho` up the gradient at hand, and back at the end: the first step of SAM [1]_.

    Gradients are 0 on the way up, so that those computed there are what the optimiser's own step takes. What
    the model keeps beside weights, such as batch statistics, stays that of the first pass.

    References
    ----------
    .. [1] Foret, P., et al. (2021). Sharpness-aware minimization for efficiently improving generalization.
       ICLR.
    """
    listed = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    moving = [parameter for parameter in listed if parameter.grad is not None]
    kept = [(value, value.clone()) for value in (*moving, *model.buffers())]
    scale = rho / (nn.utils.get_total_norm([parameter.grad for parameter in moving]) + 1e-12)
    for parameter in moving:
        parameter.addcmul_(parameter.grad, scale)
    optimiser.zero_grad()
    yield
    for value, before in kept:
        value.copy_(before)
