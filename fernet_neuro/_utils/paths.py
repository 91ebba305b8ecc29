"""Ways from one place to another: what results say of files elsewhere, without absolute paths."""

import os
from pathlib import Path


def lead_to(path: str, folder: str) -> str:
    """Return the way from `folder` to an absolute path, where there is one; other paths stay as they are.

    Examples
    --------
    >>> lead_to("/data/faces/a.png", "/data/results/store"), lead_to("a.png", "/data")
    ('../../faces/a.png', 'a.png')
    """
    try:
        way = os.path.relpath(path, folder) if Path(path).is_absolute() else path
    except ValueError:
        return path  # on another drive
    return way.replace(os.sep, "/")
