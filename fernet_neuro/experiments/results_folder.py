"""The folder of an experiment's results: whose it is, and the stimuli in it.

What belongs here: what all experiments do alike before their own stages begin.
"""

from pathlib import Path

import yaml

from fernet_neuro._utils.config import Settings, write_settings
from fernet_neuro.exceptions import StoreError
from fernet_neuro.stimuli.rendering.design import RenderSettings
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.table import StimulusTable


def claim_folder(folder: Path, settings: Settings, resume: bool) -> None:
    """Take `folder` for this recipe, or refuse: results of two recipes must not mix.

    Raises
    ------
    StoreError
        If it holds something and `resume` is off, or was begun with another recipe.
    """
    recipe = folder / "recipe.yaml"
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        write_settings(settings, recipe)
        return
    if not recipe.is_file():
        raise StoreError(f"{folder} is not empty and was not made by an experiment; choose another --out.")
    if not resume:
        raise StoreError(f"{folder} holds an experiment; go on with --resume, or choose another --out.")
    before = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    now = settings.model_dump(mode="json")
    changed = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    if changed:
        raise StoreError(
            f"{folder} was begun with another recipe (different: {', '.join(changed)}); "
            f"choose another --out, or delete it (make clean deletes demo/)."
        )


def open_stimuli(source: RenderSettings | str, place: Path, n_jobs: int, verbose: bool) -> StimulusTable:
    """Return the table at the path `source`, or the faces that it describes, rendered into `place` once."""
    if isinstance(source, str):
        return StimulusTable.read(source)
    if (place / "table.csv").is_file():
        return StimulusTable.read(place / "table.csv")
    return render_faces(source, place, n_jobs=n_jobs, verbose=verbose)
