"""Numba, told where to keep what it compiles where neither the installation nor the home can be written.

What belongs here: the choice of that place, before numba is imported; compiled functions take `njit` from
here.
"""

import atexit
import os
import shutil
from pathlib import Path

from fernet_neuro._utils.atomic import make_scratch

_VARIABLE = "NUMBA_CACHE_DIR"


def can_write(folder: Path) -> bool:
    """Return whether files can be made in `folder`, or it in the nearest folder that is there."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def needs_place(package: Path, environment: dict[str, str]) -> bool:
    """Return whether numba would find no place, and so refuse to define functions that are to be kept."""
    if environment.get(_VARIABLE):
        return False
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or "~").expanduser() / ".cache"
    return not (can_write(package) or can_write(Path(home) / "numba"))


if needs_place(Path(__file__).parent, dict(os.environ)):
    # A new folder, since compiled code is run: one that others could foresee, they could fill.
    os.environ[_VARIABLE] = str(make_scratch())
    atexit.register(shutil.rmtree, os.environ[_VARIABLE], ignore_errors=True)

import numba  # noqa: E402  # reads the variable when it is imported
from numba import njit  # noqa: E402

if os.environ.get(_VARIABLE):
    vars(numba.config)["CACHE_DIR"] = os.environ[_VARIABLE]  # where something else imported it first

__all__ = ["can_write", "needs_place", "njit"]
