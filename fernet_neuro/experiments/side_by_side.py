"""Networks that are trained side by side on one machine, each by a process with its part of the threads.

What belongs here: how many at once and in which order, how far they are, and what their processes say.
"""

import csv
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from joblib import delayed

from fernet_neuro._utils.memory import find_memory
from fernet_neuro._utils.progress import make_progress
from fernet_neuro._utils.workers import in_processes
from fernet_neuro.experiments.plan import PlannedRun
from fernet_neuro.training.data import MEMORY_SHARE, ImageSource
from fernet_neuro.training.folder import RunFolder

#: Pixels along an edge that pictures are thought to have when memory is shared out, before any is opened.
_EDGE = 224
#: Seconds between two looks at how far all are.
_WAIT = 1.0


def count_at_once(n_jobs: int, n_pictures: int) -> int:
    """Return how many of `n_jobs` networks may hold `n_pictures` in memory each, or 1."""
    most = int(MEMORY_SHARE * find_memory()) // ImageSource.estimate_memory(max(1, n_pictures), _EDGE)
    return max(1, min(n_jobs, most))


def list_waves(runs: Mapping[Path, PlannedRun], store: Path) -> Iterator[dict[Path, PlannedRun]]:
    """Yield runs, by place below `store`, that can be trained at once: none of them starts from another."""
    left = dict(runs)
    while left:
        wave = {place: run for place, run in left.items() if not _find_needed(run, store) & left.keys()}
        yield wave
        left = {place: run for place, run in left.items() if place not in wave}


def _find_needed(run: PlannedRun, store: Path) -> set[Path]:
    return {needed.find_place(store) for needed in run.list_all() if needed is not run}


def train_side_by_side(
    runs: Mapping[Path, PlannedRun],
    train: Callable[[Path, PlannedRun], None],
    n_at_once: int,
    *,
    verbose: bool = False,
) -> None:
    """Train runs that do not start from each other, `n_at_once` at a time; `train` trains one.

    A process has its part of torch's threads, so the last digits of weights depend on how many there are, as
    they do on the number of cores. What the processes say is told when all have ended.
    """
    n_threads = max(1, torch.get_num_threads() // n_at_once)
    with _showing_epochs(runs, n_at_once, verbose):
        said = in_processes(n_at_once)(
            delayed(_train_apart)(train, *item, n_threads) for item in runs.items()
        )
    for name, level, text in (line for lines in said for line in lines):
        logging.getLogger(name).log(level, "%s", text)


def _train_apart(
    train: Callable[[Path, PlannedRun], None], place: Path, run: PlannedRun, n_threads: int
) -> list[tuple[str, int, str]]:
    """Train one run in this process and return what was said: logger, level and text."""
    torch.set_num_threads(n_threads)
    heard = _Ear()
    logger = logging.getLogger("fernet_neuro")
    logger.setLevel(logging.INFO)
    logger.addHandler(heard)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("default")
            train(place, run)
    finally:
        logger.removeHandler(heard)
    return heard.lines + [(__name__, logging.WARNING, str(item.message)) for item in warned]


class _Ear(logging.Handler):
    """Keeps what is said, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.name, record.levelno, record.getMessage()))


@contextmanager
def _showing_epochs(runs: Mapping[Path, PlannedRun], n_now: int, verbose: bool) -> Iterator[None]:
    """Show a bar of the epochs of all runs while they are trained."""
    total = sum(run.settings.epochs for run in runs.values())
    ended = threading.Event()

    def count() -> int:
        return sum(min(_count_epochs(place), run.settings.epochs) for place, run in runs.items())

    with make_progress(disable=not verbose) as progress:
        bar = progress.add_task(f"Epochs of {len(runs)} networks, {n_now} at once", total=total)

        def look() -> None:
            while not ended.wait(_WAIT):
                progress.update(bar, completed=count())

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            progress.update(bar, completed=count())


def _count_epochs(place: Path) -> int:
    """Return the last epoch in a run's log."""
    try:
        with RunFolder(place).log.open(newline="") as file:
            return max((int(row["epoch"]) for row in csv.DictReader(file)), default=0)
    except (OSError, KeyError, TypeError, ValueError):
        return 0  # not begun, or a line is half written
