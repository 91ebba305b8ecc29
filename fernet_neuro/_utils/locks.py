"""One process at a time in a folder of work.

What belongs here: a lock that ends with its process, however that ends, and leaves no file behind.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fernet_neuro.exceptions import StoreError

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]  # Windows: two runs in one folder are not caught there


@contextmanager
def holding(folder: Path, doing: str) -> Iterator[None]:
    """Keep all other processes that ask for it out of `folder`, which is made if it is not there.

    Parameters
    ----------
    folder : Path
    doing : str
        What the others are told is going on, such as ``"training"``.

    Raises
    ------
    StoreError
        If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)  # the folder itself: a file would have to be removed again
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise StoreError(
            f"another process is {doing} in {folder}; wait for it, or choose another folder."
        ) from None
    try:
        yield
    finally:
        os.close(handle)
