"""Processes that work for this one, and end when it ends, however it ends."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from joblib import Parallel

#: Seconds between two looks at whether the parent is there.
_WAIT = 0.5


def in_processes(n_jobs: int, **options: Any) -> Parallel:
    """Return a `joblib.Parallel` whose worker processes end within a second of this process.

    They work in its folder: those that worked in another one, for an earlier call, are replaced.
    """
    if n_jobs == 1:
        return Parallel(n_jobs=1, **options)
    return Parallel(n_jobs=n_jobs, initializer=begin_worker, initargs=(os.getpid(), Path.cwd()), **options)


def begin_worker(parent: int, folder: Path) -> None:
    """Make a new process one that works in `folder` and ends with the process `parent`."""
    os.chdir(folder)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WAIT)
    os._exit(1)
