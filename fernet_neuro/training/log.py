"""What a run says while it goes: ``log.csv`` and the progress bar.

What belongs here: numbers on their way to a reader; nothing that training depends on.
"""

import csv
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.progress import make_progress
from fernet_neuro.exceptions import StoreError
from fernet_neuro.training.state import Progress

#: Columns of log.csv: `step` counts optimiser steps, `seconds` the time spent on the run, and `images_per_s`
#: is of training alone, without validation. The terms of a loss that has several stand after `loss`.
LOG_COLUMNS = (
    "epoch", "step", "split", "loss", "accuracy", "balanced_accuracy", "eer", "auc",
    "lr", "images_per_s", "seconds",
)  # fmt: skip


class RunLog:
    """A tidy table of a run: one row per epoch and split ("train", "val"), and of batches if asked for.

    Rows of the split "batch" have the loss of one; those of "gradient" have, in the columns of the loss and
    its terms, the Euclidean norms of their gradients, each term times its weight.

    Parameters
    ----------
    path : Path or None
        None writes nothing, as in all processes but the main one.
    log_every : int
        Steps between rows of the split "batch"; 0 for none.
    loss_parts : tuple of str
        Columns for the terms of the loss.
    """

    def __init__(self, path: Path | None, log_every: int = 0, loss_parts: tuple[str, ...] = ()) -> None:
        self._path = path
        after = LOG_COLUMNS.index("loss") + 1
        self._columns = (*LOG_COLUMNS[:after], *loss_parts, *LOG_COLUMNS[after:])
        self._log_every = log_every
        self._seconds_before = 0.0
        self._started = time.monotonic()
        self.start_epoch()

    def open(self, progress: Progress) -> None:
        """Write the header, or drop the rows that a killed run left behind its last checkpoint."""
        self._seconds_before, self._started = progress.seconds, time.monotonic()
        if self._path is None:
            return
        rows = read_log(self._path) if self._path.exists() else []
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if int(row["step"]) <= progress.step)
        write_text(self._path, text.getvalue())

    def count_seconds(self) -> float:
        """Return the time spent on the run, all attempts together, in seconds."""
        return self._seconds_before + time.monotonic() - self._started

    def start_epoch(self) -> None:
        """Start to measure images per second."""
        self._n_images, self._epoch_started = 0, time.monotonic()

    def measure_rate(self) -> float:
        """Return images per second since `start_epoch`."""
        return self._n_images / max(time.monotonic() - self._epoch_started, 1e-9)

    def count_batch(self, progress: Progress, loss: float, n_images: int, lr: float) -> None:
        """Count a batch of `n_images` images, and write its row if one is due."""
        self._n_images += n_images
        if self._log_every and progress.step % self._log_every == 0:
            place = {"epoch": progress.epoch + 1, "step": progress.step, "split": "batch"}
            self._append([{**place, "loss": loss, "lr": lr}])

    def write_gradients(self, progress: Progress, norms: dict[str, float], lr: float) -> None:
        """Write how long the gradients of the loss and its terms are, before the step about to be taken."""
        place = {"epoch": progress.epoch + 1, "step": progress.step + 1, "split": "gradient"}
        self._append([{**place, **norms, "lr": lr}])

    def write_epoch(
        self, progress: Progress, losses: dict[str, float], metrics: dict[str, float], lr: float, rate: float
    ) -> None:
        """Write the rows of the epoch just finished."""
        common = {"epoch": progress.epoch, "step": progress.step, "seconds": round(self.count_seconds(), 3)}
        rows: list[dict[str, Any]] = [
            {**common, "split": "train", **losses, "lr": lr, "images_per_s": round(rate, 1)}
        ]
        if metrics:
            rows.append({**common, "split": "val", **metrics})
        self._append(rows)

    def _append(self, rows: list[dict[str, Any]]) -> None:
        if self._path is None:
            return
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        try:
            with self._path.open("a", encoding="utf-8") as handle:
                handle.write(text.getvalue())
        except OSError as error:
            raise StoreError(
                f"{self._path} could not be written: {error.strerror or error}; checkpoints are kept. "
                f"Free some space and go on with --resume."
            ) from error


def read_log(path: Path) -> list[dict[str, str]]:
    """Return the whole rows of a log; a last line that was cut short is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n") and line.count(",") == lines[0].count(",")]
    return list(csv.DictReader(whole))


class StepBar:
    """Losses, images/s and time left on standard error."""

    def __init__(self, progress: Any, task_id: Any) -> None:
        self._progress, self._task = progress, task_id
        self._last = time.monotonic()
        self._loss: float | None = None
        self._rate: float | None = None

    def advance(self, loss: float, n_images: int) -> None:
        """Show one more step; loss and rate are smoothed over some twenty steps."""
        now = time.monotonic()
        rate = n_images / max(now - self._last, 1e-9)
        self._last = now
        self._loss = loss if self._loss is None else 0.95 * self._loss + 0.05 * loss
        self._rate = rate if self._rate is None else 0.95 * self._rate + 0.05 * rate
        self._progress.update(self._task, advance=1, loss=f"{self._loss:.3f}", rate=f"{self._rate:.0f}")

    def show_validation(self, value: float | None) -> None:
        """Show the validation metric of the epoch just finished."""
        self._last = time.monotonic()
        if value is not None:
            self._progress.update(self._task, val=f"{value:.3f}")


@contextmanager
def show_steps(description: str, total: int, done: int, metric: str, *, verbose: bool) -> Iterator[StepBar]:
    """Yield a bar of `total` steps of which `done` are done."""
    validation = f"val {metric.replace('_', ' ')} {{task.fields[val]}}"
    columns = ("loss {task.fields[loss]}", validation, "{task.fields[rate]} images/s")
    with make_progress(*columns, disable=not verbose) as progress:
        task_id = progress.add_task(description, total=total, completed=done, loss="-", val="-", rate="-")
        yield StepBar(progress, task_id)
