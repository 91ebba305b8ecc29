"""Pieces of work that several machines share: each is done by one process at a time.

What belongs here: claims as folders, since making one either succeeds or finds it there on every file system,
and locks do not work on all. A claim whose process has ended, or that nobody has touched for ten minutes, is
free again.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fernet_neuro._utils.atomic import is_alive, name_host

#: Seconds between two signs of life, and after which a claim without one is free.
_BEAT, _STALE = 30.0, 600.0
_OWNER = "owner.json"


@contextmanager
def claiming(place: Path) -> Iterator[bool]:
    """Yield whether the claim `place`, a folder to be, is ours; it is given back at the end.

    A claim of this process itself is not given twice.
    """
    if not _take(place):
        yield False
        return
    end = threading.Event()
    beat = threading.Thread(target=_beat, args=(place / _OWNER, end), daemon=True)
    beat.start()
    try:
        yield True
    finally:
        end.set()
        beat.join()
        if _is_ours(place):  # a process that was halted for long may have lost it
            shutil.rmtree(place, ignore_errors=True)


def is_claimed(place: Path) -> bool:
    """Return whether a living process holds the claim `place`."""
    return place.is_dir() and not _is_free(place)


def _is_ours(place: Path) -> bool:
    with suppress(OSError, ValueError):
        owner = json.loads((place / _OWNER).read_text(encoding="utf-8"))
        return bool((owner["host"], owner["pid"]) == (name_host(), os.getpid()))
    return False


def _take(place: Path) -> bool:
    place.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        with suppress(FileExistsError):
            place.mkdir()
            owner = {"host": name_host(), "pid": os.getpid(), "job": name_task()}
            (place / _OWNER).write_text(json.dumps(owner), encoding="utf-8")
            return True
        if not _is_free(place):
            return False
        # Renaming succeeds for one process alone; the others find nothing, and try to make it.
        gone = place.with_name(f".{place.name}.{name_host()}-{os.getpid()}.free")
        with suppress(OSError):
            place.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    return False


def _is_free(place: Path) -> bool:
    try:
        touched = max(path.stat().st_mtime for path in (place, *place.glob(_OWNER)))
        owner = json.loads((place / _OWNER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return not place.is_dir() or time.time() - place.stat().st_mtime > _BEAT
    except ValueError:
        return time.time() - touched > _BEAT  # being written
    is_here = owner["host"] == name_host()
    if is_here and not is_alive(owner["pid"]):
        return True
    # Elsewhere, a task that was queued again has ended; here, it may be one of several of one task.
    is_requeued = not is_here and owner["job"] is not None and owner["job"] == name_task()
    return is_requeued or time.time() - touched > _STALE


def _beat(owner: Path, end: threading.Event) -> None:
    while not end.wait(_BEAT):
        with suppress(OSError):
            owner.touch()


def name_task() -> str | None:
    """Return the task of SLURM that this process is, such as ``77_3``: number of the array, and in it.

    A requeued task keeps its name on another machine. None where this process is no task of an array.
    """
    job, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{job}_{task}" if job and task else None
