"""Room on a disk, asked for before long work."""

import shutil

from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike


def check_free(folder: PathLike, n_bytes: float, what: str, advice: str, *, n_kept: int = 0) -> None:
    """Raise if the disk of a folder has no room.

    Parameters
    ----------
    folder : path
        It is there.
    n_bytes : float
        What is to be written.
    what : str
        Its name, with which the message begins.
    advice : str
        How to need less, with which the message ends.
    n_kept : int, default=0
        Bytes of it that the disk holds already.

    Raises
    ------
    StoreError
        Saying how much is needed and free.
    """
    free = shutil.disk_usage(folder).free + n_kept
    if n_bytes > free:
        raise StoreError(
            f"{what} needs {n_bytes / 1e9:.2f} GB and {folder} has {free / 1e9:.2f} GB free; {advice}."
        )
