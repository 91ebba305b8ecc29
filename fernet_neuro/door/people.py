"""Whom networks were trained on, among the people of a stimulus table.

What belongs here: from sources to the records of their runs.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fernet_neuro.activations.manifest import read_manifest
from fernet_neuro.activations.store import ActivationStore, is_store
from fernet_neuro.stimuli.table import StimulusTable

if TYPE_CHECKING:
    from fernet_neuro.extraction.sources import Source


def count_trained_people(
    sources: "Sequence[Source]", table: StimulusTable
) -> dict[str, dict[str, int | None]]:
    """Return, by training run, how many people of a table it was trained on: ``n_trained``, ``n_people``.

    People are told by their label. A store counts as the run that it was extracted from, where that is still
    there; networks that are not runs are left out. ``n_trained`` is None where the run does not record it.
    """
    from fernet_neuro.training.folder import find_run, find_trained_people

    counts: dict[str, dict[str, int | None]] = {}
    for place in filter(None, map(_find_origin, sources)):
        found = find_trained_people(place, table.factor("identity", complete=False))
        if found.people and find_run(place) is not None:
            n_trained = None if found.trained is None else len(found.trained)
            counts[place] = {"n_trained": n_trained, "n_people": len(found.people)}
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


def _find_origin(source: "Source") -> str:
    """Return the path that a source is or was extracted from; empty where there is none."""
    if isinstance(source, ActivationStore):
        return _follow(source.path, source.manifest)
    if not isinstance(source, str | Path):
        return ""
    return _follow(Path(source), read_manifest(Path(source))) if is_store(source) else str(source)


def _follow(store: Path, manifest: Mapping[str, Any]) -> str:
    """Return where a store says that its network is: from its own folder, or from here."""
    said = str(manifest.get("source") or "")
    return os.path.normpath(store / said) if said.startswith("../") and (store / said).exists() else said
