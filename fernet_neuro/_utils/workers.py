"""Processes that work for this one, and end when it ends, however it ends."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from joblib import Parallel, parallel_config

from fernet_neuro._utils.optional import import_optional
from fernet_neuro._utils.validation import check_option
from fernet_neuro.exceptions import FernetError

#: What may do the work of loops: joblib's own processes, threads, or the workers of a Dask cluster.
BACKENDS = ("loky", "threading", "dask")
#: A Dask cluster on this machine: a worker has one thread, as its share of BLAS is one.
_LOCAL = {"threads_per_worker": 1, "dashboard_address": None}
#: How long a scheduler may take to answer.
_PATIENCE = "10s"
#: Seconds between two looks at whether the parent is there.
_WAIT = 0.5


def in_processes(n_jobs: int, **options: Any) -> Parallel:
    """Return a `joblib.Parallel` whose worker processes end within a second of this process.

    They work in its folder: those that worked in another one, for an earlier call, are replaced.
    """
    if n_jobs == 1:
        return Parallel(n_jobs=1, **options)
    return Parallel(n_jobs=n_jobs, initializer=begin_worker, initargs=(os.getpid(), Path.cwd()), **options)


@contextmanager
def using_backend(backend: str) -> Iterator[None]:
    """Hand the loops inside to a backend of joblib.

    `backend`: one of `BACKENDS`; ``dask`` begins workers here, ``dask=ADDRESS`` takes those of a scheduler.

    Raises ValueError if there is no such backend, MissingDependencyError without Dask, FernetError if no
    scheduler answers.
    """
    name, _, address = backend.partition("=")
    check_option("backend", name, BACKENDS)
    if address and name != "dask":
        raise ValueError(f"backend={backend!r}: only dask has an address; give backend={name!r}.")
    with _begin_dask(address) if name == "dask" else nullcontext(), parallel_config(name):
        yield


def _begin_dask(address: str) -> Any:
    distributed = import_optional("distributed", "backend='dask'", "distributed")
    try:
        return distributed.Client(address or None, timeout=_PATIENCE, **({} if address else _LOCAL))
    except (OSError, ValueError) as error:
        raise FernetError(f"backend='dask': no scheduler answers at {address}: {error}") from error


def begin_worker(parent: int, folder: Path) -> None:
    """Make a new process one that works in `folder` and ends with the process `parent`."""
    os.chdir(folder)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WAIT)
    os._exit(1)
