"""Where a result comes from: package versions, commit and platform, as plain values for JSON.

What belongs here: facts about the surroundings that may explain different numbers; never names of hosts,
users or folders.
"""

import os
import platform
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from fernet_neuro._utils.programs import ask_program

#: Packages whose version can change a number.
RECORDED_PACKAGES = (
    "fernet-neuro", "numpy", "scipy", "pandas", "scikit-learn", "numba", "pillow", "torch", "torchvision",
    "accelerate", "safetensors", "openTSNE", "umap-learn", "nibabel", "nilearn", "rsatoolbox",
)  # fmt: skip


def describe_surroundings() -> dict[str, Any]:
    """Return versions, commit (None outside a git checkout) and platform."""
    return {
        "versions": list_versions(),
        "commit": find_commit(),
        "platform": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "n_cpus": os.cpu_count(),
        },
    }


@cache
def find_commit() -> str | None:
    """Return the commit of the checkout that this package runs from, with ``+changes`` where files differ.

    It is asked for once a process, which goes on with the code that it has loaded: a commit made meanwhile,
    as beside an open notebook, is not what runs. Restart the notebook to run and record it.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    commit = _ask_git(folder, "rev-parse", "HEAD")
    changed = _ask_git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if commit and changed else commit


def _ask_git(folder: Path, *arguments: str) -> str | None:
    return ask_program(["git", *arguments], seconds=10, folder=folder).strip() or None


def list_versions(packages: Sequence[str] = RECORDED_PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of those `packages` that are installed."""
    found = {package: _find_version(package) for package in packages}
    return {"python": platform.python_version(), **{name: item for name, item in found.items() if item}}


@cache
def _find_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
