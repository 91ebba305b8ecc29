"""Checkpoints, complete or absent: weights, optimiser, random states and how far the run has come.

What belongs here: what a killed run needs to go on to the same bits, and nothing that is trained.
"""

import contextlib
import io
import json
import pickle
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from fernet_neuro._utils.atomic import atomic_folder
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import FernetError, StoreError

#: Checkpoints that stay; the second is there for a first that proves damaged.
N_KEPT = 2
#: What reading a file that was cut, removed or tampered with can raise.
_DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError)
_NAME = re.compile(r"step-(\d{8})")


class NonFiniteLossError(FernetError, ValueError):
    """The loss became infinite or not a number."""


@dataclass
class Progress:
    """How far a run has come.

    `step`: optimiser steps taken. `epoch`: epochs finished. `step_in_epoch`: steps taken in the running
    epoch. `loss_sums`: sums over the items of the running epoch of the loss and its parts. `n_items`: number
    of these items. `last`, `best`: epoch number and metrics of the last finished epoch, and of the best on
    the validation share. `seconds`: time spent so far, all attempts together.
    """

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)
    n_items: int = 0
    last: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    seconds: float = 0.0

    def count_step(self, means: dict[str, float], n_items: int) -> None:
        """Count one optimiser step on `n_items` items with these mean losses."""
        self.step += 1
        self.step_in_epoch += 1
        for name, mean in means.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0.0) + mean * n_items
        self.n_items += n_items

    def finish_epoch(self) -> dict[str, float]:
        """Count the epoch as finished and return its mean training losses by name."""
        losses = {name: total / self.n_items for name, total in self.loss_sums.items()}
        self.epoch, self.step_in_epoch, self.loss_sums, self.n_items = self.epoch + 1, 0, {}, 0
        return losses

    def note_epoch(self, loss: float, metrics: dict[str, float], best_metric: str) -> bool:
        """Note the epoch just finished; return whether it is the best so far on the validation share."""
        values = {f"val_{name}": value for name, value in metrics.items()}
        self.last = {"epoch": self.epoch, "step": self.step, "train_loss": loss, **values}
        name = f"val_{best_metric}"
        if name not in values or (self.best is not None and not values[name] > self.best[name]):
            return False
        self.best = {**self.last, "chosen_by": name}
        return True


@dataclass(frozen=True)
class Checkpoint:
    """What `read_checkpoint` found: state dicts on the CPU, a random state per process, and the progress."""

    weights: dict[str, torch.Tensor]
    progress: Progress
    optimiser: dict[str, Any]
    scaler: dict[str, Any] | None
    rng: list[dict[str, Any]]
    loss: dict[str, torch.Tensor]


def write_checkpoint(folder: Path, module: nn.Module, progress: Progress, state: dict[str, Any]) -> Path:
    """Write ``folder/step-<n>``, with what else a `Checkpoint` has as `state`; keep the newest `N_KEPT` only.

    Raises StoreError if it cannot be written, as on a full disk; earlier checkpoints stay.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    files = {"state.pt": buffer.getvalue(), "progress.json": json.dumps(asdict(progress), indent=1).encode()}
    target = _write_folder(folder / f"step-{progress.step:08d}", module, files)
    keep_newest(folder, N_KEPT)
    return target


def keep_newest(folder: Path, n_kept: int = 1) -> None:
    """Remove the checkpoints in `folder` but for the newest `n_kept`."""
    for old in find_checkpoints(folder)[:-n_kept]:
        shutil.rmtree(old)


def write_best(folder: Path, module: nn.Module) -> None:
    """Write the weights of the best epoch so far to ``folder/best``.

    Raises StoreError if they cannot be written; those before them stay.
    """
    _write_folder(folder / "best", module, {})


def read_best(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights that `write_best` wrote; see `read_weights`."""
    return read_weights(folder / "best")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in the checkpoint, or best epoch, at `path`.

    Raises StoreError if the file is missing or damaged.
    """
    try:
        return load_tensors((path / "model.safetensors").read_bytes())
    except (*_DAMAGE, SafetensorError) as error:
        raise StoreError(f"the weights in {path} are missing or damaged ({type(error).__name__}).") from error


def dump_weights(module: nn.Module) -> bytes:
    """Return parameters and buffers as the bytes of a safetensors file."""
    # Serialised in memory, since the library's own writer reports a full disk as an error of its own kind.
    state = module.state_dict()
    return save_tensors({name: value.detach().cpu().contiguous().clone() for name, value in state.items()})


def find_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints in `folder`, oldest first."""
    return sorted(path for path in folder.glob("step-*") if _NAME.fullmatch(path.name) and path.is_dir())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote; nothing in it is ever executed.

    Raises StoreError if a file is missing or damaged.
    """
    try:
        weights = load_tensors((path / "model.safetensors").read_bytes())
        state = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
        progress = Progress(**read_json(path / "progress.json"))
        return Checkpoint(weights, progress, **state)
    except (*_DAMAGE, SafetensorError) as error:
        raise StoreError(
            f"checkpoint {path} is damaged ({type(error).__name__}); remove that folder and resume from the "
            f"one before it."
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what a write that was killed left beside the checkpoints."""
    for path in [*folder.glob(".*.tmp"), *folder.glob(".*.old")]:
        shutil.rmtree(path, ignore_errors=True)


def capture_rng() -> dict[str, Any]:
    """Return the global random states of torch, NumPy and Python, as values that run no code."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 - a user's module may draw from it
    inner = legacy["state"]
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": {
            **legacy,
            "gauss": float(legacy["gauss"]),
            "state": {"key": torch.from_numpy(inner["key"].astype(np.int64)), "pos": int(inner["pos"])},
        },
        "python": random.getstate(),
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Put back what `capture_rng` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    inner = state["numpy"]["state"]
    numpy_state = {**state["numpy"], "state": {**inner, "key": inner["key"].numpy().astype(np.uint32)}}
    np.random.set_state(numpy_state)  # noqa: NPY002 - a user's module may draw from it
    random.setstate(state["python"])


@contextlib.contextmanager
def seeded_rng(seed: int, rank: int = 0) -> Iterator[None]:
    """Seed the global generators (dropout draws from torch's) and put the caller's states back at the end."""
    before = capture_rng()
    first, second, third = (int(value) for value in make_rng(seed, "global", rank).integers(0, 2**32, 3))
    torch.manual_seed(first)
    np.random.seed(second)  # noqa: NPY002 - a user's module may draw from it
    random.seed(third)
    try:
        yield
    finally:
        restore_rng(before)


def _write_folder(target: Path, module: nn.Module, files: dict[str, bytes]) -> Path:
    """Write the weights and `files` to `target`, complete or not at all."""
    try:
        with atomic_folder(target) as temporary:
            for name, content in {"model.safetensors": dump_weights(module), **files}.items():
                (temporary / name).write_bytes(content)
    except OSError as error:
        kept = find_checkpoints(target.parent)
        what = f"the earlier checkpoint {kept[-1].name} is kept" if kept else "there was none before it"
        raise StoreError(
            f"checkpoint {target} could not be written: {error.strerror or error}; {what}. "
            f"Free some space and go on with --resume."
        ) from error
    return target
