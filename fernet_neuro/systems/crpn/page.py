"""What the page says of the dual pathway: what came out in sentences and tables, read from a results folder.

What belongs here: words and numbers, no pictures; nothing is computed anew.
"""

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.experiments.page_tables import format_cell, format_table, name_holdout
from fernet_neuro.experiments.settings import CONCEPTUAL, PERCEPTUAL
from fernet_neuro.figures.results import choose_readout, find_targets, read_summary

#: The folder, in a results folder, whose ``probes`` are those of the two pathways.
PATHWAYS = "pathways"
_WORDS = {"emotion": "emotion features", "non_emotion": "non-emotion features"}
_SOURCES = {"network": "trained", "untrained": "untrained twin", "pixels": "pixels"}
#: Which features the network's design expects each factor in.
_DESIGN = {"expression": "emotion", "identity": "non_emotion"}
_SCORE = "balanced_accuracy"
_EPOCHS = {"last": "Last epoch", "best": "Best epoch on validation"}


def has_pathways(folder: Path) -> bool:
    """Return whether the folder holds read-outs of the dual pathway."""
    return any((folder / PATHWAYS).glob(f"probes/{CONCEPTUAL}/*/summary.json"))


def describe_pathways(folder: Path) -> str:
    """Return paragraphs that say what the two pathways are, and what came out, whichever way (HTML)."""
    place = folder / PATHWAYS
    targets = find_targets(place)
    found = {target: _read_layers(place, CONCEPTUAL, target) for target in targets}
    sentences = [_say_target(target, rows) for target, rows in found.items()]
    sentences.append(_say_design({target: order_features(rows) for target, rows in found.items()}))
    return (
        f'<p class="soft">{escape(_say_network(folder))}</p>\n'
        f"<p>{escape(_say_tests(folder))}</p>\n<p>{escape(' '.join(sentences))}</p>"
    )


def pathway_tables(folder: Path) -> str:
    """Return the tables: how well both pathways name expressions, and what is read out of their features."""
    place = folder / PATHWAYS
    links = " · ".join(
        f'<a href="{path.relative_to(folder).as_posix()}">{path.relative_to(folder).as_posix()}</a>'
        for path in sorted([*place.glob("probes/*/*/summary.json"), *folder.glob("evaluation/*/metrics.csv")])
    )
    return (
        format_table(_test_table(folder), "Expressions of new people, named by the pathways themselves")
        + format_table(probe_table(place), "Balanced accuracy (%) of a linear read-out [95 % interval]")
        + '<p class="soft">* p &lt; .05 against exchanged labels, corrected for the number of layers of the '
        "pathway. Untrained twin: the same network with random weights, the frozen trunk too.</p>"
        + f"<p>{links}</p>"
    )


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
    columns: dict[str, dict[tuple[str, str], str]] = {}
    for target in find_targets(place):
        cells: dict[tuple[str, str], str] = {}
        for name in (CONCEPTUAL, PERCEPTUAL):
            frame = _read_chosen(place, name, target)
            for row in frame[frame["source"].isin(list(_SOURCES))].itertuples():
                cells.setdefault((row.source, row.layer), format_cell(row))
        what = f"{target.capitalize()}, {name_holdout(frame['holdout'].iloc[0])}"
        columns[f"{what} (chance {100 * frame['chance_level'].iloc[0]:.1f} %)"] = cells
    keys = list(dict.fromkeys(key for cells in columns.values() for key in cells))
    keys.sort(key=lambda key: list(_SOURCES).index(key[0]))
    frame = pd.DataFrame({name: [cells.get(key, "–") for key in keys] for name, cells in columns.items()})
    frame.insert(0, "Source", [_SOURCES[source] for source, _ in keys])
    frame.insert(0, "Features", ["–" if source == "pixels" else layer for source, layer in keys])
    return frame


def _read_chosen(place: Path, name: str, target: str) -> pd.DataFrame:
    summary = read_summary(place, name, target)
    return summary[summary["readout"] == choose_readout(summary)].sort_values("layer_index")


def _read_layers(place: Path, name: str, target: str) -> dict[str, pd.Series]:
    """Return the rows of the network's layers and of the pixels, by layer."""
    frame = _read_chosen(place, name, target)
    frame = frame[frame["source"].isin(("network", "pixels"))]
    return {str(row["layer"]): row for _, row in frame.iterrows()}


def _say_network(folder: Path) -> str:
    """Say what was trained and where the trunks started."""
    place = folder / "recipe.yaml"
    recipe = yaml.safe_load(place.read_text(encoding="utf-8")) if place.is_file() else {}
    trunks = (recipe.get("dual_pathway") or {}).get("trunks", {})
    starts = "; ".join(
        f"{key.replace('_', '-')} trunk from the {name} network" for key, name in sorted(trunks.items())
    )
    return (
        "The dual-pathway network (Lu, Zhuang & Luo, AAAI 2024), small. In its conceptual pathway an emotion "
        "encoder learns expressions and is kept apart from a non-emotion encoder, whose trunk is frozen; its "
        "perceptual pathway, a single encoder, then learns from that. Starting points: "
        f"{starts or 'random weights'}. What a starting point has already, this training did not make: "
        "compare with that network's own read-outs. Both pathways learnt from the training people "
        "alone; all numbers here are of the probe people."
    )


def _say_tests(folder: Path) -> str:
    rows = {name: _read_test(folder, name, "accuracy", "last") for name in (CONCEPTUAL, PERCEPTUAL)}
    found = " and ".join(f"{_percent(row, 'value')} ({name} pathway)" for name, row in rows.items())
    row = rows[PERCEPTUAL]
    over = f"; 95 % intervals over {row['interval']}" if row["interval"] else ""
    return (
        f"Of the probe pictures, {found} are given the right expression by the pathways themselves (last "
        f"epoch; {100 * row['chance_level']:.1f} % by always naming the most frequent one{over})."
    )


def _say_target(target: str, rows: dict[str, pd.Series]) -> str:
    first, second = (f"{_percent(rows[name], _SCORE)}{_say_null(rows[name])}" for name in _WORDS)
    more = order_features(rows)
    verdict = (
        f"the {_WORDS[more]} carry more of it"
        if more
        else "the intervals overlap, so this run does not order them"
    )
    row = rows["emotion"]
    beside = [f"chance {100 * row['chance_level']:.1f} %"]
    if "pixels" in rows:
        beside.append(f"pixels {100 * rows['pixels'][_SCORE]:.1f} %")
    return (
        f"{target.capitalize()} ({name_holdout(row['holdout'])}; {', '.join(beside)}) is read out of the "
        f"emotion features with {first} and of the non-emotion features with {second}: {verdict}."
    )


def _say_null(row: pd.Series) -> str:
    if pd.isna(row["p_value_max"]):
        return ""
    return "" if row["p_value_max"] < 0.05 else " (not above exchanged labels)"


def _say_design(found: dict[str, str]) -> str:
    """Say in which read-outs the features divide the factors as the network is designed to."""
    wanted = {target: _DESIGN[target] for target in found}
    right = [target for target in found if found[target] == wanted[target]]
    against = [target for target in found if found[target] not in ("", wanted[target])]
    aim = (
        "The division that the network is designed for (expression in the emotion, identity in the "
        "non-emotion features)"
    )
    if len(right) == len(found):
        text = f"{aim} appears in {'both read-outs' if len(found) > 1 else f'the read-out of {right[0]}'}."
    elif right:
        text = f"{aim} appears for {right[0]} alone."
    else:
        text = f"{aim} does not appear."
    return text + "".join(f" For {target} it is the other way round." for target in against)


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
    for epoch, label in _EPOCHS.items():
        for name in (CONCEPTUAL, PERCEPTUAL):
            score = _read_test(folder, name, "accuracy", epoch)
            mean = _read_test(folder, name, "mean_class_accuracy", epoch)
            if score is None or mean is None:
                continue
            rows.append(
                {
                    "Pathway": name,
                    "Epoch": label,
                    "Accuracy": _percent(score, "value"),
                    "Mean class accuracy": _percent(mean, "value"),
                    "Chance": f"{100 * score['chance_level']:.1f} %",
                    "Interval over": score["interval"] or "–",
                    "Pictures": int(score["n"]),
                }
            )
    return pd.DataFrame(rows)


def _percent(row: pd.Series, column: str) -> str:
    """Return a share with its interval, in %."""
    names = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    low, high = (row[name] for name in names)
    interval = "" if pd.isna(low) else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * row[column]:.1f} %{interval}"
