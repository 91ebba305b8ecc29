"""`fit`: from a recipe and a stimulus table to a run folder with a trained network in it.

What belongs here: reading, building and finishing; what happens between is in `loop`.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors import SafetensorError
from torch import nn

from fernet_neuro._utils.config import fill_settings
from fernet_neuro._utils.memory import keeping_memory
from fernet_neuro._utils.record import describe_surroundings
from fernet_neuro._utils.shipped import find_trained
from fernet_neuro._utils.validation import check_range
from fernet_neuro.catalogue import load
from fernet_neuro.exceptions import FernetError, StoreError
from fernet_neuro.models.devices import pick_device
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.weights import load_model, load_weights, save_model
from fernet_neuro.stimuli.copies import describe_shared
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.training.config import TASKS, TrainSettings
from fernet_neuro.training.data import ImageSource, split_batches
from fernet_neuro.training.folder import RunFolder, find_run
from fernet_neuro.training.held_out import select_tables
from fernet_neuro.training.log import RunLog, show_steps
from fernet_neuro.training.loop import Run, train
from fernet_neuro.training.schedules import build_optimiser, list_trainable
from fernet_neuro.training.state import (
    Checkpoint,
    Progress,
    find_checkpoints,
    keep_newest,
    read_best,
    read_checkpoint,
    remove_leftovers,
    restore_rng,
    seeded_rng,
)
from fernet_neuro.training.task import TrainingTask
from fernet_neuro.typing import PathLike

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Inputs:
    """What a run starts from, checked, and the digests that tie the run to it."""

    task: TrainingTask
    model: LayeredModel
    digests: dict[str, str | None]


def fit(
    settings: TrainSettings | Mapping[str, Any] | PathLike,
    out: PathLike,
    *,
    table: StimulusTable | pd.DataFrame | PathLike | None = None,
    resume: bool = False,
    n_jobs: int = 0,
    verbose: bool = False,
    device: str = "auto",
    **changes: Any,
) -> LayeredModel:
    """Train a network by a recipe and return it, on the CPU and in eval mode.

    `out` becomes a run folder: ``recipe.yaml``, ``record.json``, ``log.csv``, ``checkpoints/`` and, once
    complete, ``model/``. An error before the first checkpoint leaves none, so that the next run there may be
    another; a concept bank is kept. On the CPU the same recipe gives the same bits, also after a kill at any
    moment and a resume, as long as the number of threads and processes, the machine's kind and the package
    versions stay the same.

    Parameters
    ----------
    settings : TrainSettings, mapping or path
        The recipe; a path is of a YAML file.
    out : path
    table : StimulusTable, DataFrame, path or None
        To train on, in place of ``settings.stimuli``.
    resume : bool
        Go on with the run in `out` if there is one; a complete one is returned as it is.
    n_jobs : int
        Worker processes that decode images; 0 decodes in this one.
    verbose : bool
        Show a progress bar.
    device : str
        "auto", "cpu" or an accelerator's name such as "cuda".
    **changes
        Keys of the recipe by name, such as ``epochs=3``, in place of its own.

    Raises
    ------
    StoreError
        If `out` holds something and `resume` is not asked for, or a checkpoint is damaged or cannot be
        written.
    StimulusError
        If images or labels are missing or unfit for the task.
    ValueError
        If the recipe does not fit table, model or device, or differs from the one that the run was started
        with.
    NonFiniteLossError
        If the loss is no longer finite.

    Notes
    -----
    Several processes (``torchrun`` or ``accelerate launch``) share each batch, and average gradients, so that
    losses that are means over images are those of one process. Terms that relate the images of a batch to
    each other (L_orth, L_RR and L_CC of the dual-pathway network), or are over some of them (L_D), are those
    of each process's share. Batch normalisation sees only its own process's share, except on CUDA, where it
    is synchronised; on several CPU processes set ``freeze_batchnorm`` or expect small differences.

    Examples
    --------
    >>> import tempfile
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=2, views=1, sessions=1, size=32)
    >>> recipe = {"task": "expression", "model": "resnet10-slim", "model_options": {"size": 32}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = fn.train(recipe, f"{folder}/run", table=faces, epochs=1, batch_size=7, val_share=0)
    >>> model.card.training_data.split()[0]
    'expression'
    """
    check_range("n_jobs", n_jobs, 0)
    settings = fill_settings(TrainSettings, settings, changes)
    if table is not None:
        table = read_stimuli(table)
    folder = RunFolder(Path(out))
    state = folder.check_start(resume)
    inputs = _gather_inputs(settings, table)
    if state != "absent":
        folder.check_same(settings, inputs.digests)
    if state == "complete":
        _logger.info("%s is complete; its network is returned as it is.", folder.path)
        return load_model(folder.model, code=settings.model)
    _warn_of_known_people(settings, inputs.task)
    _warn_of_known_pictures(inputs.task)
    with _start_accelerator(settings, device) as accelerator, folder.hold(accelerator.is_main_process, state):
        with _removing_on_failure(folder, accelerator):
            if accelerator.is_main_process and state == "absent":
                folder.write_start(
                    settings, inputs.task.train_table, _describe(settings, inputs, accelerator)
                )
            accelerator.wait_for_everyone()
            with accelerator.main_process_first():
                is_shown = verbose and accelerator.is_main_process
                inputs.task.prepare_run(folder.path, accelerator.device, n_jobs=n_jobs, verbose=is_shown)
            with seeded_rng(settings.seed, accelerator.process_index):
                progress = _train(settings, inputs, folder, accelerator, n_jobs, verbose)
        if accelerator.is_main_process:
            _finish(settings, inputs, folder, progress, accelerator)
        accelerator.wait_for_everyone()
    return load_model(folder.model, code=settings.model)


def _gather_inputs(settings: TrainSettings, table: StimulusTable | None) -> _Inputs:
    if table is None:
        if settings.stimuli is None:
            raise ValueError("there is nothing to train on: give the recipe `stimuli`, or --stimuli TABLE.")
        table = StimulusTable.read(settings.stimuli)
    val_table = StimulusTable.read(settings.val_stimuli) if settings.val_stimuli else None
    table, val_table = select_tables(settings, table, val_table)
    task: TrainingTask = load(TASKS[settings.task].make)(settings, table, val_table)
    model = _build_model(settings, task)
    _check_asked(settings, task, model)
    digests = {
        "stimuli": table.digest(),
        "val_stimuli": val_table.digest() if val_table is not None else None,
        "initial_weights": model.weight_digest(),
        **task.input_digests(),
    }
    return _Inputs(task, model, digests)


def _check_asked(settings: TrainSettings, task: TrainingTask, model: LayeredModel) -> None:
    """Raise if the recipe asks for what its task or network does not have."""
    asks_rate = settings.loss_lr is not None or settings.loss_weight_decay is not None
    if asks_rate and not list_trainable(task.loss_module):
        raise ValueError(
            f"the loss of task {settings.task!r} has no trainable parameters; leave loss_lr and "
            f"loss_weight_decay out."
        )
    prepared = model.card.preprocessing
    if "random-crop" in settings.augment and (prepared.resize or 0) <= prepared.size:
        raise ValueError(
            f"random-crop needs a larger image to cut from, and model {model.card.name!r} resizes to its "
            f"input size of {prepared.size} pixels; use 'crop' or a warp with pad_crop."
        )


def _find_known_people(settings: TrainSettings) -> set[str]:
    """Return whom the runs that weights come from were trained on, as far as they say."""
    runs = [find_run(source) for source in settings.list_weight_sources()]
    return set().union(*((run.read_train_identities() if run else None) or set() for run in runs))


def _warn_of_known_people(settings: TrainSettings, task: TrainingTask) -> None:
    """Say if people are held out whom the weights that training starts from have seen."""
    if task.val_table is None:
        return
    held_out = set(task.val_table.factor("identity", complete=False).tolist()) - {""}
    known = held_out & _find_known_people(settings)
    if known and not held_out & task.train_identities():
        _logger.warning(
            "%d of the %d people who validate were trained on in runs that weights come from (first: %r); "
            "their validation is not a test on new people. The same seed and val_share hold out the "
            "same ones.",
            len(known),
            len(held_out),
            min(known),
        )


def _warn_of_known_pictures(task: TrainingTask) -> None:
    """Say if pictures are both trained and validated on, under whatever names."""
    if task.val_table is None or task.val_table is task.train_table:
        return  # a task of pairs holds out people or pairs of one table
    said = describe_shared(task.train_table, task.val_table, "validation")
    if said:
        _logger.warning("%s", said)


def _build_model(settings: TrainSettings, task: TrainingTask) -> LayeredModel:
    """Return the network with its initial weights.

    Raises
    ------
    ValueError
        If its outputs are not those of the task.
    """
    wanted = task.model_options()
    for key, value in wanted.items():
        if settings.model_options.get(key, value) != value:
            raise ValueError(
                f"model_options.{key}={settings.model_options[key]!r}, but this training needs {value}; "
                f"leave it out, and it will be."
            )
    options = {**settings.model_options, **wanted}
    model = build_model(settings.model, seed=settings.seed, variant=settings.variant, **options)
    model = task.prepare_model(model)
    if settings.weights is None:
        return model
    source = find_trained(settings.weights) or settings.weights
    saved = [Path(source, *parts, "model.safetensors") for parts in ((), ("model",))]
    place = next((path for path in saved if path.is_file()), Path(settings.weights))
    return load_weights(model, place, head="replace")


@contextmanager
def _start_accelerator(settings: TrainSettings, device: str) -> Iterator[Accelerator]:
    """Yield an Accelerator, and leave no trace of it: its state is global and would bind the next run."""
    place = pick_device(device)
    if settings.precision == "fp16" and place.type == "cpu":
        raise ValueError("precision='fp16' needs an accelerator; on the CPU use 'bf16' or 'no'.")
    if place.index is not None and "LOCAL_RANK" in os.environ:
        raise ValueError(
            f"device={device!r} is one device, but each process of torchrun takes its own; "
            f"use device={place.type!r}."
        )
    accelerator = Accelerator(mixed_precision=settings.precision, cpu=place.type == "cpu")
    try:
        with torch.accelerator.device_index(place.index):  # Accelerate means the current one
            yield accelerator
    finally:
        accelerator.end_training()
        if place.type != "cpu":  # the search for garbage takes as long as many a small training
            accelerator.free_memory()
        AcceleratorState._reset_state(reset_partial_state=True)


@contextmanager
def _removing_on_failure(folder: RunFolder, accelerator: Accelerator) -> Iterator[None]:
    """Free the folder if the run fails before its first checkpoint, so that a mistake can be mended."""
    try:
        yield
    except (FernetError, ValueError, OSError):
        if accelerator.is_main_process and not find_checkpoints(folder.checkpoints):
            folder.withdraw_start()
        raise


def _train(
    settings: TrainSettings,
    inputs: _Inputs,
    folder: RunFolder,
    accelerator: Accelerator,
    n_jobs: int,
    verbose: bool,
) -> Progress:
    """Build the run, bring it to where its last checkpoint stood, and train to the end."""
    task, model = inputs.task, inputs.model
    is_main = accelerator.is_main_process
    if is_main:
        remove_leftovers(folder.checkpoints)
    checkpoint = _read_last(folder, accelerator)
    progress = checkpoint.progress if checkpoint else Progress()
    verbose = verbose and is_main
    sources = _open_images(settings, inputs, accelerator, n_jobs, verbose)
    module = _prepare_module(model.module, settings, accelerator, checkpoint)
    if task.loss_module is not None:
        task.loss_module.to(accelerator.device)
    optimiser = build_optimiser(settings, module, task.loss_module)
    wrapped, optimiser = accelerator.prepare(module, optimiser)
    log = RunLog(folder.log if is_main else None, settings.log_every, task.loss_parts)
    log.open(progress)
    n_processes, last = accelerator.num_processes, settings.last_batch
    n_steps = len(split_batches(task.plan_epoch(0).targets, settings.batch_size, n_processes, last=last))
    with show_steps(
        f"Training {settings.task}",
        n_steps * settings.epochs,
        progress.step,
        task.best_metric,
        verbose=verbose,
    ) as bar:
        run = Run(
            settings, task, accelerator, wrapped, optimiser, model.card.preprocessing, *sources, progress,
            folder.checkpoints, log, bar,
        )  # fmt: skip
        if checkpoint is not None:
            _restore(run, checkpoint)
        with keeping_memory():
            train(run)
    module = accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)
    inputs.model.module.load_state_dict(module.state_dict())
    progress.seconds = log.count_seconds()
    return progress


def _read_last(folder: RunFolder, accelerator: Accelerator) -> Checkpoint | None:
    """Return the last checkpoint, if there is one.

    Raises
    ------
    ValueError
        If it was written by another number of processes.
    """
    found = find_checkpoints(folder.checkpoints)
    if not found:
        return None
    checkpoint = read_checkpoint(found[-1])
    if len(checkpoint.rng) != accelerator.num_processes:
        raise ValueError(
            f"{folder.path} was trained by {len(checkpoint.rng)} processes and can be resumed by as many "
            f"alone; got {accelerator.num_processes}."
        )
    return checkpoint


def _open_images(
    settings: TrainSettings, inputs: _Inputs, accelerator: Accelerator, n_jobs: int, verbose: bool
) -> tuple[ImageSource, ImageSource | None]:
    task, preprocessing = inputs.task, inputs.model.card.preprocessing
    crops = "random-crop" in settings.augment
    wide = replace(preprocessing, size=preprocessing.resize or preprocessing.size) if crops else preprocessing
    common = {
        "cache": settings.cache,
        "n_jobs": n_jobs,
        "n_sharing": accelerator.num_processes,
        "verbose": verbose,
    }
    train_images = ImageSource(task.train_table, wide, **common)
    if task.val_table is None or (task.val_table is task.train_table and not crops):
        return train_images, None if task.val_table is None else train_images
    return train_images, ImageSource(task.val_table, preprocessing, **common)


def _prepare_module(
    module: nn.Module, settings: TrainSettings, accelerator: Accelerator, checkpoint: Checkpoint | None
) -> nn.Module:
    if checkpoint is not None:
        module.load_state_dict(checkpoint.weights)
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    return module.to(memory_format=torch.channels_last) if settings.channels_last else module


def _restore(run: Run, checkpoint: Checkpoint) -> None:
    """Put back what is not in the weights."""
    run.optimiser.load_state_dict(checkpoint.optimiser)
    if run.task.loss_module is not None:
        run.task.loss_module.load_state_dict(checkpoint.loss)
    if checkpoint.scaler is not None and run.accelerator.scaler is not None:
        run.accelerator.scaler.load_state_dict(checkpoint.scaler)
    restore_rng(checkpoint.rng[run.accelerator.process_index])


def _finish(
    settings: TrainSettings, inputs: _Inputs, folder: RunFolder, progress: Progress, accelerator: Accelerator
) -> None:
    """Write the network, then the record that calls the run complete; of the checkpoints the newest stays."""
    keeps_best = settings.keep == "best" and progress.best is not None
    if keeps_best:
        inputs.model.module.load_state_dict(read_best(folder.checkpoints))
    chosen = progress.best if keeps_best else progress.last
    model = inputs.model.with_card(training_data=_describe_training(settings, inputs, chosen or {}))
    try:
        save_model(model, folder.model)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"the trained network could not be written to {folder.model}: {error}; checkpoints are kept. "
            f"Free some space and go on with --resume."
        ) from error
    record = {
        **_describe(settings, inputs, accelerator),
        "status": "complete",
        "steps": progress.step,
        "duration_s": round(progress.seconds, 2),
        "kept": "best" if keeps_best else "last",
        "last": progress.last,
        "best": progress.best,
    }
    record["digests"] = {**inputs.digests, "weights": model.weight_digest()}
    folder.write_record(settings, record)
    keep_newest(folder.checkpoints)


def _describe(settings: TrainSettings, inputs: _Inputs, accelerator: Accelerator) -> dict[str, Any]:
    parameters = inputs.model.module.parameters()
    return {
        "task": inputs.task.describe(),
        # With those of the runs that weights came from: a test on any of them would be on known people.
        "train_identities": sorted(inputs.task.train_identities() | _find_known_people(settings)),
        "digests": inputs.digests,
        "n_parameters": sum(parameter.numel() for parameter in parameters),
        "n_processes": accelerator.num_processes,
        "n_threads": torch.get_num_threads(),
        "device": accelerator.device.type,
        **describe_surroundings(),
    }


def _describe_training(settings: TrainSettings, inputs: _Inputs, chosen: dict[str, Any]) -> str:
    table = inputs.task.train_table
    n_people = len(inputs.task.train_identities())
    people = f"of {n_people} identities" if n_people else "without identities"
    names = [Path(source).name for source in settings.list_weight_sources()]
    start = f"weights {', '.join(names)}" if names else "random weights"
    return (
        f"{settings.task} on {len(table)} stimuli {people} (table sha256 "
        f"{(inputs.digests['stimuli'] or '')[:12]}), {chosen.get('epoch')} of {settings.epochs} epochs "
        f"from {start}, seed {settings.seed}"
    )
