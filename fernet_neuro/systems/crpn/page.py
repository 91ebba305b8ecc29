"""What the page says of the dual pathway, read from a results folder.

What belongs here: the numbers of the section ``pathways.html.j2``; nothing is computed anew.
"""

from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.experiments.page import Section, read_pictures, render
from fernet_neuro.experiments.page_tables import (
    format_percent,
    format_share,
    spread_scores,
)
from fernet_neuro.figures.results import describe_holdout, find_targets, read_chosen

#: What recipes call the two pathways whose results stand in the section.
CONCEPTUAL, PERCEPTUAL = "conceptual", "perceptual"
#: The folder, in a results folder, whose ``probes`` are those of the two pathways.
PATHWAYS = "beside"
_WORDS = {"emotion": "emotion features", "non_emotion": "non-emotion features"}
_SOURCES = {"network": "trained", "untrained": "untrained twin", "pixels": "pixels"}
#: Which features the network's design expects each factor in.
_DESIGN = {"expression": "emotion", "identity": "non_emotion"}
_PATHWAYS = (CONCEPTUAL, PERCEPTUAL)
#: Figures that stand in the section.
_FIGURES = ("crpn-fig2",)
_EPOCHS = {"last": "Last epoch", "best": "Best epoch on validation"}


def has_pathways(folder: Path) -> bool:
    """Return whether the folder holds read-outs of the dual pathway."""
    return any((folder / PATHWAYS).glob(f"probes/{CONCEPTUAL}/*/summary.json"))


def show_pathways(folder: Path) -> Section:
    """Return the section: what the two pathways are, and what came out, whichever way; empty without them."""
    heading = "The dual pathway: emotion and non-emotion features"
    if not has_pathways(folder):
        return Section("pathways", heading, Markup())
    place = folder / PATHWAYS
    rows = {target: _read_layers(place, CONCEPTUAL, target) for target in find_targets(place)}
    more = {target: order_features(found) for target, found in rows.items()}
    files = sorted([*place.glob("probes/*/*/summary.json"), *folder.glob("evaluation/*/metrics.csv")])
    body = render(
        "pathways.html.j2",
        "fernet_neuro.systems.crpn",
        trunks=_read_trunks(folder),
        tests={name: _read_test(folder, name, "accuracy", "last") for name in _PATHWAYS},
        targets=rows,
        more=more,
        features=_WORDS,
        right=[target for target, name in more.items() if name == _DESIGN[target]],
        against=[target for target, name in more.items() if name not in ("", _DESIGN[target])],
        pictures=read_pictures(folder, _FIGURES),
        named=_test_table(folder),
        probes=probe_table(place),
        files=[path.relative_to(folder).as_posix() for path in files],
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


def probe_table(place: Path) -> pd.DataFrame:
    """Return accuracies as text: one row per source and layer, one column per factor that is read out."""
    columns = {}
    for target in find_targets(place):
        frame = pd.concat([read_chosen(place, name, target) for name in _PATHWAYS])
        what = f"{target.capitalize()}, {describe_holdout(frame['holdout'].iloc[-1])}"
        shown = frame[frame["source"].isin(list(_SOURCES))].drop_duplicates(["source", "layer"])
        columns[f"{what} (chance {format_percent(frame['chance_level'].iloc[-1])} %)"] = shown
    table = spread_scores(columns, _SOURCES)
    features = table["Layer"].where(table["Source"] != _SOURCES["pixels"], "–")
    return table.assign(Features=features)[["Features", "Source", *columns]]


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


def _read_test(folder: Path, name: str, metric: str, epoch: str) -> pd.Series | None:
    """Return a score of a pathway, over several seeds its mean with the interval over them; None without."""
    frame = EvaluationReport.load(folder / "evaluation" / name).metrics
    rows = frame[(frame["metric"] == metric) & (frame["class"] == "") & (frame["epoch"] == epoch)]
    means = rows[rows["seed"] == "mean"]
    chosen = means if len(means) else rows
    # A mean is there twice, with its interval over people and then over seeds.
    return None if chosen.empty else chosen.iloc[-1]


def _test_table(folder: Path) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for (epoch, label), name in product(_EPOCHS.items(), _PATHWAYS):
        score = _read_test(folder, name, "accuracy", epoch)
        mean = _read_test(folder, name, "mean_class_accuracy", epoch)
        if score is None or mean is None:
            continue
        rows.append(
            {
                "Pathway": name,
                "Epoch": label,
                "Accuracy": format_share(score, "value", " %"),
                "Mean class accuracy": format_share(mean, "value", " %"),
                "Chance": f"{format_percent(score['chance_level'])} %",
                "Interval over": score["interval"] or "–",
                "Pictures": int(score["n"]),
            }
        )
    return pd.DataFrame(rows)
