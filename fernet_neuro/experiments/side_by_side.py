"""Parts of an experiment side by side on one machine, each in a process with its share of the threads.

What belongs here: which part begins when, how many at once, how far they are, and what their processes say.
"""

import csv
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from joblib.externals.loky import ProcessPoolExecutor, process_executor

from fernet_neuro._utils.memory import find_memory
from fernet_neuro._utils.progress import make_progress
from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.workers import begin_worker
from fernet_neuro.training.data import MEMORY_SHARE, ImageSource
from fernet_neuro.training.folder import RunFolder

#: Pixels along an edge that pictures are thought to have when memory is shared out, before any is opened.
_EDGE = 224
#: Seconds between two looks at how far all are.
_WAIT = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """One part of an experiment that a process of its own can do.

    Parameters
    ----------
    do : callable
        Called with the `Work` to do it with: the experiment's, or that of the process.
    needs : frozenset of str
        Names of parts that must be done before; those that are not among the parts to do count as done.
    """

    do: Callable[[Any], None]
    needs: frozenset[str] = frozenset()


def count_at_once(n_jobs: int, n_pictures: int) -> int:
    """Return how many of `n_jobs` networks may hold `n_pictures` in memory each, or 1."""
    most = int(MEMORY_SHARE * find_memory()) // ImageSource.estimate_memory(max(1, n_pictures), _EDGE)
    return max(1, min(n_jobs, most))


def count_widest(parts: Mapping[str, Part]) -> int:
    """Return how many parts can be under way at once, if each takes as long as any other.

    Examples
    --------
    >>> a, b = Part(print), Part(print)
    >>> count_widest({"a": a, "b": b, "c": Part(print, frozenset("ab"))})
    2
    """
    rounds: dict[str, int] = {}
    for name, part in parts.items():
        rounds[name] = max((rounds[need] + 1 for need in part.needs & rounds.keys()), default=0)
    return max((list(rounds.values()).count(number) for number in rounds.values()), default=0)


def _measure_chains(parts: Mapping[str, Part]) -> dict[str, int]:
    """Return how many parts the longest chain has that begins with each and goes on with what needs it."""
    chains = dict.fromkeys(parts, 1)
    for name in reversed(list(parts)):
        for need in parts[name].needs & chains.keys():
            chains[need] = max(chains[need], chains[name] + 1)
    return chains


def do_side_by_side(parts: Mapping[str, Part], work: Any, n_at_once: int) -> Iterator[str]:
    """Do parts, each as soon as those that it needs are done, and yield their names as they are done.

    Of those that can begin, the one begins that the longest chain of others waits for; of equals, the first.
    A process has its share of the threads, so the last digits of weights depend on how many there are, as
    they do on the number of cores. What a process says is told when its part is done.

    Parameters
    ----------
    parts : dict of str to Part
        By name, those that others need first.
    work : Work
        What the parts are done with in their processes.
    n_at_once : int
        Processes.
    """
    n_threads = max(1, torch.get_num_threads() // n_at_once)
    chains = _measure_chains(parts)
    left = dict(sorted(parts.items(), key=lambda item: -chains[item[0]]))
    running = dict[Future[list[tuple[str, int, str]]], str]()
    pool = ProcessPoolExecutor(n_at_once, initializer=_begin, initargs=(os.getpid(), Path.cwd()))
    try:
        while left or running:
            undone = left.keys() | set(running.values())
            ready = [name for name, part in left.items() if not part.needs & undone]
            for name in ready[: n_at_once - len(running)]:
                running[pool.submit(_do_apart, left.pop(name).do, work, n_threads)] = name
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(ended)
                if ended.exception() is not None:
                    logger.error("    %s ended with an error; what else was under way is stopped", name)
                for source, level, text in ended.result():
                    logging.getLogger(source).log(level, "%s", text)
                yield name
    finally:
        pool.shutdown(kill_workers=True)


def _begin(parent: int, folder: Path) -> None:
    """Make a new process one that does parts, and is not replaced because it has grown in one of them."""
    begin_worker(parent, folder)
    # What a part leaves is what the next needs too: libraries, compiled code. A new process loads it again.
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")


def _do_apart(do: Callable[[Any], None], work: Any, n_threads: int) -> list[tuple[str, int, str]]:
    """Do one part in this process and return what was said: logger, level and text."""
    torch.set_num_threads(n_threads)
    heard = _Ear()
    package = logging.getLogger("fernet_neuro")
    package.setLevel(logging.INFO)
    package.addHandler(heard)
    try:
        with warnings.catch_warnings(record=True) as warned, limit_threads(n_threads):
            warnings.simplefilter("default")
            do(work)
    finally:
        package.removeHandler(heard)
    return heard.lines + [(__name__, logging.WARNING, str(item.message)) for item in warned]


class _Ear(logging.Handler):
    """Keeps what is said, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.name, record.levelno, record.getMessage()))


@contextmanager
def showing_progress(
    epochs: Mapping[Path, int], n_parts: int, n_at_once: int, *, verbose: bool
) -> Iterator[Callable[[], None]]:
    """Show how far all are while parts are done, and give what is to be called when one is.

    `epochs`: those that a run is trained for, by its place. `n_parts`: all parts, training among them.
    """
    ended = threading.Event()
    with make_progress(disable=not verbose) as progress:
        more = n_parts > len(epochs)
        parts = progress.add_task(f"Parts, {n_at_once} at once", total=n_parts, visible=more)
        text = f"Epochs of {len(epochs)} networks, {n_at_once} at once"
        training = progress.add_task(text, total=sum(epochs.values()), visible=bool(epochs))

        def look() -> None:
            done = sum(min(_count_epochs(place), total) for place, total in epochs.items())
            progress.update(training, completed=done)

        def watch() -> None:
            while not ended.wait(_WAIT):
                look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield lambda: progress.advance(parts)
        finally:
            ended.set()
            watcher.join()
            look()


def _count_epochs(place: Path) -> int:
    """Return the last epoch in a run's log."""
    try:
        with RunFolder(place).log.open(newline="") as file:
            return max((int(row["epoch"]) for row in csv.DictReader(file)), default=0)
    except (OSError, KeyError, TypeError, ValueError):
        return 0  # not begun, or a line is half written
