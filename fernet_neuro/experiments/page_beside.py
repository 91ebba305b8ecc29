"""What pages say of networks beside those that are compared: read-outs and tests, from a results folder.

What belongs here: tables that sections of several systems show; nothing is computed anew.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.experiments.page_tables import format_percent, format_share, spread_scores
from fernet_neuro.figures.results import describe_holdout, find_targets, read_chosen

#: The folder, in a results folder, whose ``probes`` are those of these networks.
BESIDE = "beside"
_SOURCES = {"network": "trained", "untrained": "untrained twin", "pixels": "pixels"}
_EPOCHS = {"last": "Last epoch", "best": "Best epoch on validation"}


def probe_table(place: Path, names: Sequence[str]) -> pd.DataFrame:
    """Return accuracies as text: one row per source and layer, one column per factor that is read out.

    `place`: the folder ``beside`` of a results folder. `names`: of the networks.
    """
    columns = {}
    for target in find_targets(place):
        frame = pd.concat([read_chosen(place, name, target) for name in names])
        what = f"{target.capitalize()}, {describe_holdout(frame['holdout'].iloc[-1])}"
        shown = frame[frame["source"].isin(list(_SOURCES))].drop_duplicates(["source", "layer"])
        columns[f"{what} (chance {format_percent(frame['chance_level'].iloc[-1])} %)"] = shown
    table = spread_scores(columns, _SOURCES)
    features = table["Layer"].where(table["Source"] != _SOURCES["pixels"], "–")
    return table.assign(Features=features)[["Features", "Source", *columns]]


def read_test(folder: Path, name: str, metric: str, epoch: str) -> pd.Series | None:
    """Return a score of a network, over several seeds its mean with the interval over them; None without."""
    return _choose_score(_read_metrics(folder, name), metric, epoch)


def _read_metrics(folder: Path, name: str) -> pd.DataFrame:
    return EvaluationReport.load(folder / "evaluation" / name, tables=("metrics",)).metrics


def _choose_score(frame: pd.DataFrame, metric: str, epoch: str) -> pd.Series | None:
    rows = frame[(frame["metric"] == metric) & (frame["class"] == "") & (frame["epoch"] == epoch)]
    means = rows[rows["seed"] == "mean"]
    chosen = means if len(means) else rows
    # A mean is there twice, with its interval over people and then over seeds.
    return None if chosen.empty else chosen.iloc[-1]


def named_table(folder: Path, names: Sequence[str], heading: str = "Network") -> pd.DataFrame:
    """Return how often networks name the expression themselves, as text; `heading`: what they are called."""
    tables = {name: _read_metrics(folder, name) for name in names}
    rows: list[dict[str, Any]] = []
    for (epoch, label), name in product(_EPOCHS.items(), names):
        score = _choose_score(tables[name], "accuracy", epoch)
        mean = _choose_score(tables[name], "mean_class_accuracy", epoch)
        if score is None or mean is None:
            continue
        rows.append(
            {
                heading: name,
                "Epoch": label,
                "Accuracy": format_share(score, "value", " %"),
                "Mean class accuracy": format_share(mean, "value", " %"),
                "Chance": f"{format_percent(score['chance_level'])} %",
                "Interval over": score["interval"] or "–",
                "Pictures": int(score["n"]),
            }
        )
    return pd.DataFrame(rows)


def list_files(folder: Path, names: Sequence[str]) -> list[str]:
    """Return the files of read-outs, tests and what else is asked of these networks, to be linked."""
    forms = ("beside/probes/{}/*/summary.json", "beside/examined/{}/*/*", "evaluation/{}/metrics.csv")
    found = [path for name in names for form in forms for path in folder.glob(form.format(name))]
    return [path.relative_to(folder).as_posix() for path in sorted(found)]
