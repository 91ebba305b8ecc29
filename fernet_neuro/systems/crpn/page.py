"""What the page says of the dual pathway, read from a results folder.

What belongs here: the numbers of the section ``pathways.html.j2``; nothing is computed anew.
"""

from pathlib import Path

import pandas as pd
import yaml
from markupsafe import Markup

from fernet_neuro.experiments.page import Section, read_pictures, render
from fernet_neuro.experiments.page_beside import BESIDE, list_files, named_table, probe_table, read_test
from fernet_neuro.figures.results import find_targets, read_chosen

#: What recipes call the two pathways whose results stand in the section.
CONCEPTUAL, PERCEPTUAL = "conceptual", "perceptual"
_WORDS = {"emotion": "emotion features", "non_emotion": "non-emotion features"}
#: Which features the network's design expects each factor in.
_DESIGN = {"expression": "emotion", "identity": "non_emotion"}
_PATHWAYS = (CONCEPTUAL, PERCEPTUAL)
#: Figures that stand in the section.
_FIGURES = ("crpn-fig2",)


def has_pathways(folder: Path) -> bool:
    """Return whether the folder holds read-outs of the dual pathway."""
    return any((folder / BESIDE).glob(f"probes/{CONCEPTUAL}/*/summary.json"))


def show_pathways(folder: Path) -> Section:
    """Return the section: what the two pathways are, and what came out, whichever way; empty without them."""
    heading = "The dual pathway: emotion and non-emotion features"
    if not has_pathways(folder):
        return Section("pathways", heading, Markup())
    place = folder / BESIDE
    rows = {target: _read_layers(place, CONCEPTUAL, target) for target in find_targets(place)}
    more = {target: order_features(found) for target, found in rows.items()}
    body = render(
        "pathways.html.j2",
        "fernet_neuro.systems.crpn",
        trunks=_read_trunks(folder),
        tests={name: read_test(folder, name, "accuracy", "last") for name in _PATHWAYS},
        targets=rows,
        more=more,
        features=_WORDS,
        right=[target for target, name in more.items() if name == _DESIGN[target]],
        against=[target for target, name in more.items() if name not in ("", _DESIGN[target])],
        pictures=read_pictures(folder, _FIGURES),
        named=named_table(folder, _PATHWAYS, "Pathway"),
        probes=probe_table(place, _PATHWAYS),
        files=list_files(folder, _PATHWAYS),
    )
    return Section("pathways", heading, body, _FIGURES)


def order_features(rows: dict[str, pd.Series]) -> str:
    """Return which features carry more of a factor: a layer's name where intervals are apart, else empty."""
    first, second = (rows[name] for name in _WORDS)
    low, high = (
        (first, second) if first["balanced_accuracy"] < second["balanced_accuracy"] else (second, first)
    )
    apart = high["balanced_accuracy_low"] > low["balanced_accuracy_high"]  # False where there is none
    return str(high["layer"]) if apart else ""


def _read_layers(place: Path, name: str, target: str) -> dict[str, pd.Series]:
    """Return the rows of the network's layers and of the pixels, by layer."""
    frame = read_chosen(place, name, target)
    frame = frame[frame["source"].isin(("network", "pixels"))]
    return {str(row["layer"]): row for _, row in frame.iterrows()}


def _read_trunks(folder: Path) -> dict[str, str]:
    """Return the network that each trunk started from, by trunk."""
    place = folder / "recipe.yaml"
    recipe = yaml.safe_load(place.read_text(encoding="utf-8")) if place.is_file() else {}
    networks = recipe.get("networks") or {}
    starts = {name: (networks.get(name) or {}).get("from") or {} for name in _PATHWAYS}
    found = {key.removesuffix("_weights"): source for key, source in starts[CONCEPTUAL].items()}
    if "trunk_weights" in starts[PERCEPTUAL]:
        found["perceptual"] = starts[PERCEPTUAL]["trunk_weights"]
    return found
