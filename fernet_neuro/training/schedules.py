"""Learning rates as pure functions of the step, and the optimisers they drive.

What belongs here: everything that says how far a step goes; a rate without state needs no checkpoint.
"""

import math

from torch import nn, optim

from fernet_neuro.training.config import TrainSettings


def compute_rate(settings: TrainSettings, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of step `step`, counted from 0.

    Warm-up rises linearly to `lr` over `warmup_epochs`. The cosine then falls from `lr` to 0 at the last step
    [1]_; "cosine-cycle" falls from `lr` to 0 within `cycle_length` and rises again in as much, over and over,
    counted in whole epochs or in steps after the warm-up, as torch's CosineAnnealingLR does (so that with
    "epoch" one epoch in twice `cycle_length` learns nothing: its rate is 0). "step" multiplies by
    `step_factor` after each `step_epochs` epochs, counted from the start.

    References
    ----------
    .. [1] Loshchilov, I., & Hutter, F. (2017). SGDR: Stochastic gradient descent with warm restarts. ICLR.
    """
    epoch = step / steps_per_epoch
    if epoch < settings.warmup_epochs:
        return settings.lr * (step + 1) / max(1.0, settings.warmup_epochs * steps_per_epoch)
    if settings.schedule == "cosine":
        share = (epoch - settings.warmup_epochs) / (settings.epochs - settings.warmup_epochs)
        return settings.lr * 0.5 * (1 + math.cos(math.pi * share))
    if settings.schedule == "cosine-cycle":
        done = epoch - settings.warmup_epochs
        # Rounded, as a step after a warm-up of part of an epoch is a whole number but for the last bits.
        count = math.floor(done) if settings.cycle_unit == "epoch" else round(done * steps_per_epoch)
        return settings.lr * 0.5 * (1 + math.cos(math.pi * count / settings.cycle_length))
    if settings.schedule == "step":
        return settings.lr * settings.step_factor ** math.floor(epoch / settings.step_epochs)
    return settings.lr


def build_optimiser(settings: TrainSettings, module: nn.Module) -> optim.Optimizer:
    """Return the recipe's optimiser over the trainable parameters of `module`.

    Raises
    ------
    ValueError
        If no parameter is trainable.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"model {settings.model!r} has no trainable parameter; there is nothing to train.")
    common = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimiser == "sgd":
        return optim.SGD(parameters, momentum=settings.momentum, **common)
    kind = {"adam": optim.Adam, "adamw": optim.AdamW}[settings.optimiser]
    return kind(parameters, betas=settings.betas, **common)


def set_rate(optimiser: optim.Optimizer, rate: float) -> None:
    """Give every parameter group the learning rate `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate
