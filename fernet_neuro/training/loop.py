"""The training loop, on one page: batches in, steps, validation, log and checkpoints out.

What belongs here: the order in which things happen; each thing itself is in its own file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object
from torch import Tensor, nn, optim

from fernet_neuro._utils.validation import format_options
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.training.augmentation import augment, draw_augmentation
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.data import (
    Batch,
    ImageSource,
    balance_items,
    iterate_batches,
    order_epoch,
    split_batches,
)
from fernet_neuro.training.log import RunLog, StepBar
from fernet_neuro.training.schedules import climbing, compute_rate, list_trainable, set_rate
from fernet_neuro.training.state import (
    NonFiniteLossError,
    Progress,
    capture_rng,
    write_best,
    write_checkpoint,
)
from fernet_neuro.training.task import TrainingTask


@dataclass
class Run:
    """Everything that the loop works on; `model` and `optimiser` are Accelerate's wrapped ones."""

    settings: TrainSettings
    task: TrainingTask
    accelerator: Accelerator
    model: nn.Module
    optimiser: optim.Optimizer
    preprocessing: Preprocessing
    train_images: ImageSource
    val_images: ImageSource | None
    progress: Progress
    checkpoints: Path
    log: RunLog
    bar: StepBar

    @property
    def is_measured(self) -> bool:
        """Whether the gradients of the terms of the next batch are measured."""
        every = self.settings.log_gradients
        return every > 0 and self.progress.step % every == 0


def train(run: Run) -> None:
    """Train to the end of the last epoch, from wherever `run.progress` stands.

    Raises NonFiniteLossError if a loss is not finite, naming the stimuli of its batch; the last checkpoint
    stays; StoreError if a checkpoint cannot be written; the one before it stays.
    """
    settings, task, accelerator, progress = run.settings, run.task, run.accelerator, run.progress
    rank, n_processes = accelerator.process_index, accelerator.num_processes
    for epoch in range(progress.epoch, settings.epochs):
        items = task.plan_epoch(epoch)
        if settings.sampling == "balanced":
            items = balance_items(items, settings.seed, epoch)
        order = order_epoch(len(items), settings.seed, epoch)
        batches = split_batches(order, settings.batch_size, n_processes, last=settings.last_batch)
        draws = draw_augmentation(settings.seed, epoch, items.rows.size, len(settings.warps))
        draws = draws.reshape(*items.rows.shape, -1)
        targets = torch.from_numpy(items.targets).to(accelerator.device)
        extras = {name: torch.from_numpy(v).to(accelerator.device) for name, v in items.extras.items()}
        set_train_mode(run.model, settings)
        run.log.start_epoch()
        remaining = batches[progress.step_in_epoch :]
        for batch in iterate_batches(run.train_images, items.rows, remaining, rank, n_processes):
            rate = compute_rate(settings, progress.step, len(batches))
            set_rate(run.optimiser, rate)
            pixels = prepare_pixels(run, batch, draws)
            local = torch.from_numpy(batch.local).to(accelerator.device)
            known = {name: values[local] for name, values in extras.items()} | task.observe(pixels)
            shown = items.rows[batch.items]
            means = take_step(run, normalise(run, pixels), targets[local], known, shown)
            progress.count_step(means, len(batch.items))
            run.log.count_batch(progress, means["loss"], shown.size, rate)
            run.bar.advance(means["loss"], shown.size)
            if _is_checkpoint_due(settings, progress, len(batches)):
                save_checkpoint(run)
        finish_epoch(run)


def take_step(
    run: Run, images: Tensor, targets: Tensor, known: dict[str, Tensor], shown: np.ndarray
) -> dict[str, float]:
    """Take one optimiser step on a batch that shows the rows `shown`; return its mean losses before it."""
    means = compute_gradients(run, images, targets, known, shown, measured=run.is_measured)
    if run.settings.sam_rho is not None:
        with climbing(run.optimiser, run.model, run.settings.sam_rho):
            compute_gradients(run, images, targets, known, shown)
    run.optimiser.step()
    run.optimiser.zero_grad()
    return means


def compute_gradients(
    run: Run,
    images: Tensor,
    targets: Tensor,
    known: dict[str, Tensor],
    shown: np.ndarray,
    *,
    measured: bool = False,
) -> dict[str, float]:
    """Compute the gradients of what is minimised; return the mean of each named loss over all processes.

    `measured`: also log how long the gradient of each term is.
    """
    task, level = run.task, run.settings.flooding
    losses = task.compute_loss(task.forward(run.model, images), targets, known)
    means = reduce_losses(run.accelerator, losses)
    _check_loss(run, means["loss"], shown)
    if measured:
        run.log.write_gradients(run.progress, measure_terms(run, losses), run.optimiser.param_groups[0]["lr"])
    # |loss - level| + level, of the mean over processes: below the level only the gradient's sign differs.
    sign = -1 if level is not None and means["loss"] < level else 1
    run.accelerator.backward(sign * losses["loss"])
    for parameter in list_trainable(task.loss_module):  # Accelerate averages those of the network
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.grad = run.accelerator.reduce(gradient, "mean")
    return means


def measure_terms(run: Run, losses: dict[str, Tensor]) -> dict[str, float]:
    """Return the Euclidean norm of the gradient of each weighted term, and of ``loss``, their sum.

    Over all weights of the network that learn, for the share of the batch that this process has.
    """
    learning, weights = list_trainable(run.model), {"loss": 1.0, **run.task.part_weights}
    norms = {}
    for name, weight in weights.items():
        found = torch.autograd.grad(weight * losses[name], learning, retain_graph=True, allow_unused=True)
        squares = [part.double().square().sum() for part in found if part is not None]
        norms[name] = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    return norms


def finish_epoch(run: Run) -> None:
    """Validate, log, note the best epoch, and write the checkpoint that ends an epoch."""
    progress, best_metric = run.progress, run.task.best_metric
    losses, images_per_s = progress.finish_epoch(), run.log.measure_rate()
    metrics = validate(run)
    run.log.write_epoch(progress, losses, metrics, run.optimiser.param_groups[0]["lr"], images_per_s)
    is_best = progress.note_epoch(losses["loss"], metrics, best_metric)
    if is_best and run.accelerator.is_main_process:
        write_best(run.checkpoints, run.accelerator.unwrap_model(run.model))
    run.bar.show_validation(metrics.get(best_metric))
    save_checkpoint(run)


@torch.no_grad()
def validate(run: Run) -> dict[str, float]:
    """Return loss and metrics on the validation items; each process takes its share, all get the result."""
    if run.val_images is None:
        return {}
    accelerator, task, items = run.accelerator, run.task, run.task.plan_validation()
    network = accelerator.unwrap_model(run.model).eval()
    if accelerator.num_processes > 1:  # each has batch statistics of its own; those of the first count
        for buffer in network.buffers():
            buffer.copy_(broadcast(buffer.clone()))
    mine = np.arange(len(items))[accelerator.process_index :: accelerator.num_processes]
    size = run.settings.batch_size
    chunks = [mine[first : first + size] for first in range(0, len(mine), size)]
    parts = [
        task.predict(network, normalise(run, prepare_pixels(run, batch))).float()
        for batch in iterate_batches(run.val_images, items.rows, chunks)
    ]
    logits = torch.cat(parts) if parts else torch.empty(0)
    shares = gather_object([(mine, logits.cpu())])
    order = np.argsort(np.concatenate([rows for rows, _ in shares]))
    everything = torch.cat([part for _, part in shares])[torch.from_numpy(order)]
    return task.compute_metrics(everything, torch.from_numpy(items.targets))


def prepare_pixels(run: Run, batch: Batch, draws: np.ndarray | None = None) -> Tensor:
    """Return the batch's pixels (0..255) on the run's device, augmented where there are `draws`."""
    images = batch.images.to(run.accelerator.device, non_blocking=True)
    if draws is None:
        return images
    local = torch.from_numpy(draws[batch.local].reshape(len(images), -1)).to(images.device)
    return augment(images, local, run.settings, run.preprocessing.size)


def normalise(run: Run, pixels: Tensor) -> Tensor:
    """Return the network's input."""
    values = run.preprocessing.normalise(pixels)
    return values.contiguous(memory_format=torch.channels_last) if run.settings.channels_last else values


def reduce_losses(accelerator: Accelerator, losses: dict[str, Tensor]) -> dict[str, float]:
    """Return each named loss as its mean over the processes."""
    together = torch.stack([value.detach().float() for value in losses.values()])
    means = accelerator.reduce(together, reduction="mean").tolist()
    return dict(zip(losses, means, strict=True))


def set_train_mode(model: nn.Module, settings: TrainSettings) -> None:
    """Put `model` in train mode, except batch normalisation where the recipe freezes it."""
    model.train()
    if settings.freeze_batchnorm:
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()


def save_checkpoint(run: Run) -> None:
    """Write a checkpoint from the main process; the others hand over their random states and wait."""
    rng: list[dict[str, Any]] = gather_object([capture_rng()])
    if run.accelerator.is_main_process:
        scaler, loss = run.accelerator.scaler, run.task.loss_module
        run.progress.seconds = run.log.count_seconds()
        state = {
            "optimiser": run.optimiser.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "rng": rng,
            "loss": loss.state_dict() if loss is not None else {},
        }
        write_checkpoint(run.checkpoints, run.accelerator.unwrap_model(run.model), run.progress, state)
    run.accelerator.wait_for_everyone()


def _is_checkpoint_due(settings: TrainSettings, progress: Progress, steps_per_epoch: int) -> bool:
    """Return whether to write one now; the last step of an epoch leaves it to the end of the epoch."""
    every = settings.checkpoint_every
    return every is not None and progress.step % every == 0 and progress.step_in_epoch < steps_per_epoch


def _check_loss(run: Run, loss: float, rows: np.ndarray) -> None:
    if not np.isfinite(loss):
        ids = run.task.train_table.stimulus_ids[rows.reshape(-1)]
        raise NonFiniteLossError(
            f"the loss became {loss} at step {run.progress.step + 1} (epoch {run.progress.epoch + 1}); "
            f"stimuli of that batch: {format_options(ids, 512)}. Look at these images, or lower lr "
            f"({run.settings.lr}); the last checkpoint is kept."
        )
