"""``fernet-neuro info``: versions, devices, threads, folders, what is built in, and what is missing."""

import os
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._tables import format_table, show

#: Extras that users may want; ``dev`` is for those who change the package.
_EXTRAS = {
    "zoo": "networks of timm, as timm:NAME",
    "clip": "text encoders of CLIP",
    "export": "networks as ONNX",
    "video": "videos to frames, and the face detector YuNet",
    "faces": "the face detector dlib",
}


def info(as_json: opt.Json = False) -> None:
    """Show versions, devices, threads, folders, what comes with the package, and what is not installed.

    Examples
    --------
        fernet-neuro info
        fernet-neuro info --json
    """
    found = _describe_installation()
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    missing = [
        f"Not installed: {item['packages']} ({item['purpose']}); install with: {item['install']}"
        for item in found["missing"]
    ]
    systems = [f"{name} ({title})" for name, title in found["systems"].items()]
    facts = {
        "fernet-neuro": f"{found['version']}, in {found['folder']}",
        "Python": f"{found['python']} on {found['system']}",
        "packages": versions,
        "devices": ", ".join(found["devices"]) + f"; auto is {found['auto']}",
        "threads": f"{found['threads']} for torch, {found['cores']} cores",
        "recipes": f"{len(found['recipes'])} in {found['recipe_folder']} (run --list, train --list)",
        "stimuli": ", ".join(f"{name} ({place})" for name, place in found["stimuli"].items()),
        "systems": f"PROBLEM: {found['problem']}" if found["problem"] else "; ".join(systems),
    }
    lines = [f"{name + ':':<14}{value}" for name, value in facts.items()]
    folders = format_table(found["folders"], {"folder": "{name}", "MB": "{megabytes:,.1f}", "path": "{path}"})
    show([*lines, "", *folders, *([""] if missing else []), *missing], as_json=as_json, values=found)


def _describe_installation() -> dict[str, Any]:
    """Return all facts as plain values."""
    import torch

    from fernet_neuro import __version__, catalogue
    from fernet_neuro._utils.record import describe_surroundings
    from fernet_neuro._utils.shipped import PACKAGE, list_recipes
    from fernet_neuro.models.devices import list_devices, pick_device
    from fernet_neuro.stimuli.shipped import SETS

    around, problem = describe_surroundings(), _find_problem()
    versions = around["versions"]
    return {
        "version": __version__,
        "folder": str(PACKAGE),
        "python": versions.pop("python"),
        "system": " ".join(str(around["platform"][key]) for key in ("system", "release", "machine")),
        "versions": {name: version for name, version in versions.items() if name != "fernet-neuro"},
        "devices": list_devices(),
        "auto": str(pick_device("auto")),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "folders": _list_folders(torch.hub.get_dir()),
        "recipes": [] if problem else list(list_recipes()),
        "recipe_folder": str(PACKAGE / "recipes"),
        "stimuli": {name: str(path) for name, path in SETS.items()},
        "systems": {} if problem else {name: item.title for name, item in catalogue.list_systems().items()},
        "problem": problem,
        "missing": _list_missing(),
    }


def _find_problem() -> str:
    """Return what is wrong with the systems of other packages; empty where nothing is."""
    from fernet_neuro import catalogue
    from fernet_neuro._utils.shipped import list_trained

    try:
        for kind in catalogue.KINDS:
            catalogue.list_places(kind)
        list_trained()
    except ValueError as error:
        return str(error)
    return ""


def _list_folders(hub: str) -> list[dict[str, Any]]:
    """Return the folders outside the package that are read or written, and how much is in them."""
    from fernet_neuro._utils.cache import cache_folder

    caches = {"activations (FERNET_NEURO_CACHE)": str(cache_folder()), "weights (TORCH_HOME)": hub}
    found: list[dict[str, Any]] = [
        {"name": name, "path": path, "megabytes": _measure(Path(path)) / 1e6} for name, path in caches.items()
    ]
    if data := os.environ.get("FERNET_NEURO_DATA"):  # may be large, so it is not measured
        found.append({"name": "data sets (FERNET_NEURO_DATA)", "path": data, "megabytes": None})
    return found


def _measure(folder: Path) -> int:
    """Return the bytes of the files in a folder; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _list_missing() -> list[dict[str, str]]:
    """Return the extras with a package that is not installed, and the line that installs it."""
    found = []
    for extra, purpose in _EXTRAS.items():
        texts = [text for text in metadata.requires("fernet-neuro") or [] if f"extra == '{extra}'" in text]
        names = [re.split(r"[^\w.-]", text)[0] for text in texts]
        missing = [name for name in names if not _is_installed(name)]
        if missing:
            install = f'pip install "fernet-neuro[{extra}]"'
            found.append({"packages": ", ".join(missing), "purpose": purpose, "install": install})
    return found


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
