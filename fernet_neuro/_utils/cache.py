"""Where things are kept that can be made again: the user's cache folder."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder ``FERNET_NEURO_CACHE``, or ``fernet-neuro`` in the user's cache folder.

    It may be deleted at any time: what was in it is then made again.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("FERNET_NEURO_CACHE") or Path(base) / "fernet-neuro").expanduser().absolute()
