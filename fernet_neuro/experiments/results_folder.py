"""The folder of an experiment's results: whose it is, and the stimuli in it.

What belongs here: what all experiments do alike before their own stages begin.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fernet_neuro._utils.config import Settings, keep_ways, write_settings
from fernet_neuro.exceptions import FernetError, StoreError
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.table import StimulusTable

#: The recipe that a results folder was begun with.
RECIPE = "recipe.yaml"
#: Rendered faces, below the digest of what they were rendered from.
RENDERED = "rendered"
#: What processes that share an experiment have each taken for themselves.
CLAIMS = ".claims"
#: Tables of stimuli, and faces that only this recipe uses.
STIMULI = "stimuli"
#: Maps of the networks of arms, with one folder ``seed<k>`` for each seed.
ARM_MAPS = "arm_maps"


def start_results_folder(
    folder: Path, settings: Settings, resume: bool, *, growing: Collection[str] = ()
) -> bool:
    """Take `folder` for this recipe, or refuse: results of two recipes must not mix.

    `settings`: the recipe; written to ``recipe.yaml`` of a new folder. `resume`: take a folder that the same
    recipe began. `growing`: keys of the recipe, mappings, that may have more entries than when the folder was
    begun; the caller writes the recipe again once these are checked. Returns whether the folder was begun
    now. Raises StoreError if it holds something and `resume` is off, or was begun with another recipe.
    """
    recipe = folder / RECIPE
    if not folder.exists() or {item.name for item in folder.iterdir()} <= {RENDERED, CLAIMS}:
        folder.mkdir(parents=True, exist_ok=True)
        write_settings(settings, recipe)
        return True
    if not recipe.is_file():
        raise StoreError(f"{folder} is not empty and was not made by an experiment; choose another --out.")
    if not resume:
        raise StoreError(f"{folder} holds an experiment; go on with --resume, or choose another --out.")
    before = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    with suppress(ValidationError):  # keys that the file lacks were then what they are by default
        before = type(settings).model_validate(before).model_dump(mode="json")
    before, now = (keep_ways(values, folder) for values in (before, settings.model_dump(mode="json")))
    changed = [
        key
        for key in {**now, **before}
        if not _is_same(before.get(key), now.get(key), may_grow=key in growing)
    ]
    if changed:
        raise StoreError(
            f"{folder} was begun with another recipe (different: {', '.join(changed)}); "
            f"choose another --out, or delete it (make clean deletes demo/)."
        )
    return False


@contextmanager
def removing_on_failure(folder: Path, *, is_new: bool) -> Iterator[None]:
    """Leave `folder` to another recipe if a new experiment fails before it trains, as its checks do.

    Recipe and tables of stimuli are removed. Rendered faces stay, as any recipe finds those that it needs.
    """
    try:
        yield
    except (FernetError, ValueError, OSError):
        made = {item.name for item in folder.iterdir() if item.is_dir()}
        if is_new and made <= {STIMULI, RENDERED, CLAIMS}:
            for path in folder.glob("*.*"):
                path.unlink()
            shutil.rmtree(folder / STIMULI, ignore_errors=True)
            with suppress(OSError):  # there are rendered faces
                folder.rmdir()
        raise


def _is_same(before: Any, now: Any, *, may_grow: bool) -> bool:
    """Return whether two values of a key are one, or the later has but further entries where it may."""
    if may_grow and isinstance(before, dict) and isinstance(now, dict):
        return all(key in now and now[key] == value for key, value in before.items())
    return before == now


def open_stimuli(source: RenderSettings | str, place: Path, n_jobs: int, verbose: bool) -> StimulusTable:
    """Return the table at the path `source`, or the faces that it describes, rendered into `place` once."""
    if isinstance(source, str):
        return StimulusTable.read(source)
    if (place / "table.csv").is_file():
        return StimulusTable.read(place / "table.csv")
    return render_faces(source, place, n_jobs=n_jobs, verbose=verbose)
