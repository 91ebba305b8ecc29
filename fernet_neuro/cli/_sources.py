"""What a command's SOURCE is: an activation store, a network on disk, or a network by name.

What belongs here: questions about a SOURCE that several commands ask.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fernet_neuro.stimuli.table import StimulusTable

#: What a folder with a network in it, finished or not, holds; any other folder is taken for a store.
_NETWORK_FILES = ("model", "model.json", "recipe.yaml", "checkpoints")


def is_store(source: str) -> bool:
    """Return whether `source` is a folder that holds, or should hold, activations rather than a network."""
    folder = Path(source)
    return folder.is_dir() and not any((folder / name).exists() for name in _NETWORK_FILES)


def check_source_exists(source: str) -> None:
    """Refuse a mistyped path here, or the search for a network of that name blames the wrong thing."""
    names_function = ":" in Path(source).name or "@" in source
    if "/" in source and not names_function and not Path(source).exists():
        raise FileNotFoundError(
            f"SOURCE {source!r}: no such folder. Name an activation store, a run folder or a known network."
        )


def missing_stimuli(source: str) -> ValueError:
    """Return the error of a SOURCE that is no store where no stimuli are given to show a network."""
    what = "is a network" if Path(source).exists() else "is no store here, so it must be a network's name"
    return ValueError(f"SOURCE {source!r} {what}; a network needs the pictures to see: add --stimuli TABLE.")


def count_trained_people(sources: Sequence[str], table: "StimulusTable") -> dict[str, dict[str, int | None]]:
    """Return, by training run, how many people of a table it was trained on: ``n_trained``, ``n_people``.

    People are told by their label. A store counts as the run that it was extracted from, where that is still
    there; networks that are no runs are left out. ``n_trained`` is None where the run does not record it.
    """
    from fernet_neuro.training.folder import find_run

    people = set(table.factor("identity", complete=False).tolist()) - {""}
    counts: dict[str, dict[str, int | None]] = {}
    for source in sources:
        place = _read_origin(source) if is_store(source) else source
        run = find_run(place) if place else None
        if run is None or not people:
            continue
        trained = run.read_train_identities()
        n_trained = None if trained is None else len(trained & people)
        counts[place] = {"n_trained": n_trained, "n_people": len(people)}
    return counts


def describe_trained_people(counts: Mapping[str, Mapping[str, int | None]]) -> list[str]:
    """Return a line per run that was trained on people of the stimuli, or does not say on whom."""
    lines = []
    for source, found in counts.items():
        if found["n_trained"] is None:
            lines.append(f"{source} does not record whom it was trained on, so that was not checked.")
        elif found["n_trained"]:
            lines.append(
                f"{found['n_trained']} of {found['n_people']} people were trained on in {source}: unless "
                f"equal labels mean different people, scores say nothing of new ones."
            )
    return lines


def _read_origin(store: str) -> str:
    manifest = json.loads((Path(store) / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest.get("source") or "")
