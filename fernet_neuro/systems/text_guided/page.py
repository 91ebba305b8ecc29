"""What the page says of a text-guided network, read from a results folder.

What belongs here: the numbers of the section ``texts.html.j2``; nothing is computed anew.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from fernet_neuro._utils.p_values import format_p
from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.experiments.page import Section, render
from fernet_neuro.experiments.page_beside import BESIDE, list_files, named_table, probe_table, read_test
from fernet_neuro.experiments.page_tables import format_share
from fernet_neuro.figures.results import find_targets, read_chosen

_WORDS = {"network": "trained", "untrained": "untrained twins", "pixels": "pixels"}


def show_guided(folder: Path) -> Section:
    """Return the section: what three layers hold, and whether neutral forms find people; empty without."""
    heading = "Classes that are texts, and faces made neutral"
    places = sorted((folder / BESIDE / "examined").glob("*/seed*"))
    if not places:
        return Section("texts", heading, Markup())
    names = list(dict.fromkeys(place.parent.name for place in places))
    matches = [pd.read_csv(path) for path in _list(places, "match.csv")]
    beside = folder / BESIDE
    body = render(
        "texts.html.j2",
        "fernet_neuro.systems.text_guided",
        encoder=_read_encoder(folder, places[0]),
        start=_read_start(folder, names[0]),
        tests={name: read_test(folder, name, "accuracy", "last") for name in names},
        targets={target: _read_layers(beside, names[0], target) for target in find_targets(beside)},
        found=[_read_found(frame) for frame in matches],
        left_out=[path.read_text(encoding="utf-8").strip() for path in _list(places, "left_out.txt")],
        named=named_table(folder, names),
        probes=probe_table(beside, names),
        matches=_match_table(places),
        files=list_files(folder, names),
    )
    return Section("texts", heading, body)


def _list(places: list[Path], name: str) -> list[Path]:
    return [place / name for place in places if (place / name).is_file()]


def _read_encoder(folder: Path, place: Path) -> str:
    record = folder / "runs" / place.parent.name / place.name / "record.json"
    return str(json.loads(record.read_text(encoding="utf-8"))["task"]["texts"]["encoder"])


def _read_start(folder: Path, name: str) -> str:
    """Return the network whose backbone the named one starts from; empty where the recipe names none."""
    place = folder / "recipe.yaml"
    recipe = yaml.safe_load(place.read_text(encoding="utf-8")) if place.is_file() else {}
    network = (recipe.get("networks") or {}).get(name) or {}
    return (network.get("from") or {}).get("trunk_weights") or ""


def _read_layers(place: Path, name: str, target: str) -> dict[str, pd.Series]:
    """Return the rows of the network's layers and of the pixels, by layer."""
    frame = read_chosen(place, name, target)
    frame = frame[frame["source"].isin(("network", "pixels"))]
    return {str(row["layer"]): row for _, row in frame.iterrows()}


def _read_found(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the rows of a match by layer, untrained twins apart."""
    own = frame[frame["source"] != "untrained"]
    return {str(row["layer"]): row for _, row in own.iterrows()}


def _match_table(places: list[Path]) -> pd.DataFrame:
    """Return the matches of all training seeds as text, one row per source and layer."""
    rows: list[dict[str, Any]] = []
    for path in _list(places, "match.csv"):
        for row in iterate_rows(pd.read_csv(path)):
            score = {"value": row.accuracy, "low": row.low, "high": row.high}
            rows.append(
                {
                    "Seed": path.parent.name.removeprefix("seed"),
                    "Face as": row.layer,
                    "Source": _WORDS[row.source],
                    "Finds its person": format_share(score, "value", " %"),
                    "People found": f"{row.n_found:.3g} of {row.n_people}",
                    "p (people shuffled)": format_p(row.p_value),
                }
            )
    return pd.DataFrame(rows)
