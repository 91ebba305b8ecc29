"""The tables of the page, read from a results folder; no HTML but that of a table."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.figures.results import (
    choose_layer,
    choose_readout,
    find_networks,
    order_layers,
    read_summary,
    shorten_layer,
)
from fernet_neuro.stimuli.table import StimulusTable

_LABELS = {"untrained": "Untrained twin", "pixels": "Pixels"}
_HELD_OUT = {
    "identity": "new identities",
    "expression": "new expressions",
    "view": "new views",
    "kdef10": "new identities",
}


@dataclass(frozen=True)
class HeadlineRow:
    """One number of the headline; accuracies in %."""

    network: str
    label: str
    layer: str
    n_classes: int
    chance: float
    value: float
    low: float
    high: float
    p_value: float
    interval: str
    holdout: str

    @property
    def is_control(self) -> bool:
        """Whether this is a baseline and not a trained network."""
        return self.network in _LABELS

    @property
    def p_text(self) -> str:
        """The p-value as "p = .003", or nothing where none was computed."""
        if math.isnan(self.p_value):
            return ""
        return "p < .001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}".replace("0.", ".")


def headline_rows(folder: Path, target: str) -> list[HeadlineRow]:
    """Return the accuracy of `target` from each network and baseline, at the layer fixed beforehand."""
    networks = find_networks(folder, target)
    wanted = [(name, "network", name) for name in networks]
    wanted += [(networks[0], control, control) for control in _LABELS]
    rows = []
    for network, source, name in wanted:
        summary = read_summary(folder, network, target)
        summary = summary[(summary["source"] == source) & (summary["readout"] == choose_readout(summary))]
        if len(summary):
            row = summary[summary["layer"] == choose_layer(order_layers(summary))].iloc[0]
            rows.append(_headline_row(row, name))
    return rows


def _headline_row(row: pd.Series, name: str) -> HeadlineRow:
    return HeadlineRow(
        network=name,
        label=_LABELS.get(name, f"{name.capitalize()} network"),
        layer=shorten_layer(row["layer"]),
        n_classes=int(row["n_classes"]),
        chance=100 * row["chance_level"],
        value=100 * row["balanced_accuracy"],
        low=100 * row["balanced_accuracy_low"],
        high=100 * row["balanced_accuracy_high"],
        p_value=float(row["p_value"]),
        interval=str(row["interval"]),
        holdout=name_holdout(row["holdout"]),
    )


def name_holdout(holdout: str) -> str:
    """Return what a hold-out means for the stimuli that are tested, such as "new identities"."""
    return _HELD_OUT.get(str(holdout), f"held out: {holdout}")


def layer_table(folder: Path, target: str) -> pd.DataFrame:
    """Return accuracies as text, one row per source and layer, one column per network."""
    columns: dict[str, dict[tuple[str, str], str]] = {}
    for network in find_networks(folder, target):
        summary = read_summary(folder, network, target)
        summary = summary[summary["readout"] == choose_readout(summary)].sort_values("layer_index")
        cells = {(row.source, shorten_layer(row.layer)): format_cell(row) for row in summary.itertuples()}
        columns[f"{network.capitalize()} network"] = cells
    keys = list(dict.fromkeys(key for cells in columns.values() for key in cells))
    keys.sort(key=lambda key: _SOURCE_ORDER.get(key[0], len(_SOURCE_ORDER)))
    frame = pd.DataFrame({name: [cells.get(key, "–") for key in keys] for name, cells in columns.items()})
    frame.insert(0, "Layer", [layer for _, layer in keys])
    frame.insert(0, "Source", [_SOURCE_NAMES.get(source, source) for source, _ in keys])
    return frame


_SOURCE_NAMES = {
    "network": "trained",
    "untrained": "untrained",
    "pixels": "pixels",
    "control-task": "control task",
}
_SOURCE_ORDER = {name: rank for rank, name in enumerate(_SOURCE_NAMES)}


def format_cell(row: Any) -> str:
    """Return a row of a probe's summary as text: accuracy in %, its interval, an asterisk if p < .05."""
    mark = "*" if row.p_value_max < 0.05 else ""
    low, high = row.balanced_accuracy_low, row.balanced_accuracy_high
    interval = "" if pd.isna(low) else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * row.balanced_accuracy:.1f}{interval}{mark}"


def describe_stimuli(folder: Path) -> pd.DataFrame:
    """Return one row per stimulus table of the folder: how many pictures, identities, expressions, views."""
    rows = []
    places = [*(folder / "stimuli").glob("*.csv"), *(folder / "stimuli").glob("*/table.csv")]
    for path in sorted(places):
        try:
            frame = StimulusTable.read(path).frame
        except StimulusError as error:
            raise StimulusError(f"the page cannot describe the stimuli: {error}") from error
        counts = {
            f"{name.capitalize()}s" if name != "identity" else "Identities": frame[name]
            .replace("", pd.NA)
            .nunique()
            for name in ("identity", "expression", "view", "session")
        }
        rows.append(
            {"Table": path.relative_to(folder / "stimuli").as_posix(), "Pictures": len(frame), **counts}
        )
    return pd.DataFrame(rows)


def training_table(folder: Path) -> pd.DataFrame:
    """Return the last logged epoch of every run and split, metrics as logged."""
    rows = []
    for path in sorted((folder / "runs").glob("*/*/log.csv")):
        log = pd.read_csv(path)
        if "split" not in log or "epoch" not in log or log.empty:
            continue
        last = log.groupby("split", sort=False).tail(1)
        run = {"Network": path.parent.parent.name, "Run": path.parent.name}
        rows += [{**run, **record} for record in last.to_dict("records")]
    frame = pd.DataFrame(rows)
    frame = frame[[name for name in _LOG_COLUMNS if name in frame and frame[name].notna().any()]]
    return frame.rename(columns=_LOG_COLUMNS)


_LOG_COLUMNS = {
    "Network": "Network",
    "Run": "Run",
    "epoch": "Epoch",
    "split": "Split",
    "loss": "Loss",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "eer": "Equal error rate",
    "auc": "Area under ROC",
    "seconds": "Time (s)",
}


def format_table(frame: pd.DataFrame, caption: str) -> str:
    """Return `frame` as an HTML table; numbers get at most four significant digits."""
    head = "".join(f"<th{_text_class(frame[name])} scope=col>{escape(str(name))}</th>" for name in frame)
    classes = [_text_class(frame[name]) for name in frame]
    body = "".join(f"<tr>{_row(values, classes)}</tr>" for values in frame.itertuples(index=False))
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(values: Iterable[object], classes: list[str]) -> str:
    return "".join(
        f"<td{kind}>{escape(_format(value))}</td>" for value, kind in zip(values, classes, strict=True)
    )


def _format(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _text_class(column: pd.Series) -> str:
    """Return a class for columns of words, which stand left; accuracies with intervals stand right."""
    words = column.astype(str).str.match(r"^[^\d–\[-]").any()
    return ' class="text"' if words else ""
