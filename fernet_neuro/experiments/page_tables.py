"""The tables of the page, read from a results folder, and how its numbers are written."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.p_values import format_p, say_p
from fernet_neuro._utils.tables import iterate_rows, read_mixed
from fernet_neuro.activations.network import say_layer
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.figures.results import (
    choose_layer,
    describe_holdout,
    find_networks,
    order_layers,
    read_chosen,
    read_sources,
)
from fernet_neuro.stimuli.table import StimulusTable

_CONTROLS = {"untrained": "Untrained twin", "pixels": "Pixels"}
#: Sources of a read-out, in the order of tables.
_SOURCES = {
    "network": "trained",
    "untrained": "untrained",
    "pixels": "pixels",
    "control-task": "control task",
}
#: Columns of the logs of training, and their headings.
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


def headline_rows(folder: Path, target: str) -> list[dict[str, Any]]:
    """Return the summary of `target` from each network and baseline, at the layer fixed beforehand."""
    found = []
    for name, rows in read_sources(folder, target):
        row: Any = rows[rows["layer"] == choose_layer(order_layers(rows))].iloc[0].to_dict()
        label = _CONTROLS.get(name, f"{name.capitalize()} network")
        found.append({**row, "label": label, "layer": say_layer(row["layer"])})
    return found


def layer_table(folder: Path, target: str) -> pd.DataFrame:
    """Return accuracies as text, one row per source and layer, one column per network."""
    columns = {
        f"{network.capitalize()} network": read_chosen(folder, network, target)
        for network in find_networks(folder, target)
    }
    frame = spread_scores(columns, _SOURCES)
    return frame[["Source", "Layer", *columns]]


def spread_scores(columns: Mapping[str, pd.DataFrame], sources: Mapping[str, str]) -> pd.DataFrame:
    """Return accuracies as text: one row per source (in the order of `sources`) and layer.

    An asterisk marks p values, corrected over layers, below .05.
    """
    cells = {name: {(row.source, say_layer(row.layer)): _mark(row) for row in iterate_rows(frame)}
             for name, frame in columns.items()}  # fmt: skip
    keys = list(dict.fromkeys(key for found in cells.values() for key in found))
    ranks = {source: rank for rank, source in enumerate(sources)}
    keys.sort(key=lambda key: ranks.get(key[0], len(ranks)))
    frame = pd.DataFrame({name: [found.get(key, "–") for key in keys] for name, found in cells.items()})
    return frame.assign(
        Source=[sources.get(source, source) for source, _ in keys], Layer=[layer for _, layer in keys]
    )


def _mark(row: Any) -> str:
    return format_share(row._asdict(), "balanced_accuracy") + ("*" if row.p_value_max < 0.05 else "")


def describe_stimuli(folder: Path) -> pd.DataFrame:
    """Return one row per stimulus table of the folder: how many pictures, identities, expressions, views."""
    rows = []
    places = [*(folder / "stimuli").glob("*.csv"), *(folder / "stimuli").glob("*/table.csv")]
    for path in sorted(places):
        try:
            frame = StimulusTable.read(path).frame
        except StimulusError as error:
            raise StimulusError(f"the page cannot describe the stimuli: {error}") from error
        row = {"Table": path.relative_to(folder / "stimuli").as_posix(), "Pictures": len(frame)}
        for name in ("identity", "expression", "view", "session"):
            heading = "Identities" if name == "identity" else f"{name.capitalize()}s"
            row[heading] = frame[name].replace("", pd.NA).nunique()
        rows.append(row)
    return pd.DataFrame(rows)


def training_table(folder: Path) -> pd.DataFrame:
    """Return the last logged epoch of every run and split, metrics as logged."""
    rows = []
    for path in sorted((folder / "runs").glob("*/*/log.csv")):
        log = read_mixed(path, ("split",), numbers=None)
        if "split" not in log or "epoch" not in log or log.empty:
            continue
        last = log.groupby("split", sort=False).tail(1)
        run = {"Network": path.parent.parent.name, "Run": path.parent.name}
        rows += [{**run, **record} for record in last.to_dict("records")]
    frame = pd.DataFrame(rows)
    frame = frame[[name for name in _LOG_COLUMNS if name in frame and frame[name].notna().any()]]
    return frame.rename(columns=_LOG_COLUMNS)


def format_percent(value: float) -> str:
    """Return a share in %, one decimal."""
    return f"{100 * value:.1f}"


def format_share(row: Mapping[str, Any] | pd.Series, column: str, unit: str = "") -> str:
    """Return a share of a row with its interval where there is one, in %."""
    names = ("low", "high") if column == "value" else (f"{column}_low", f"{column}_high")
    low, high = (row[name] for name in names)
    interval = "" if pd.isna(low) else f" [{format_percent(low)}, {format_percent(high)}]"
    return f"{format_percent(row[column])}{unit}{interval}"


def format_short(value: float) -> str:
    """Return a number with two decimals and no zero before the point."""
    if pd.isna(value):
        return "–"
    text = f"{value:.2f}"
    return "0" if float(text) == 0 else text.replace("0.", ".", 1)


def join_words(words: Sequence[str]) -> str:
    """Return words as a sentence lists them.

    Examples
    --------
    >>> join_words(["OFA", "FFA", "pSTS"])
    'OFA, FFA and pSTS'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$", "–": "--",
    "−": "$-$", "α": r"$\alpha$",
}  # fmt: skip


def escape_latex(text: object) -> str:
    r"""Return `text` with what LaTeX would take for commands as characters.

    Examples
    --------
    >>> escape_latex("50 % of a_b")
    '50 \\% of a\\_b'
    """
    return "".join(_TEX.get(letter, letter) for letter in str(text))


def _escape_markdown(text: object) -> str:
    return str(text).replace("|", r"\|")


def _format_cell(value: object) -> str:
    """Return the text of a cell; numbers get at most four significant digits."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _align_columns(frame: pd.DataFrame) -> list[str]:
    """Return the class of each column: words stand left, accuracies with intervals right."""
    is_text = [frame[name].astype(str).str.match(r"^[^\d–\[-]").any() for name in frame]
    return ["text" if words else "" for words in is_text]


#: What templates may do with values.
FILTERS = {
    "p": format_p,
    "say_p": say_p,
    "percent": format_percent,
    "share": format_share,
    "short": format_short,
    "join_words": join_words,
    "holdout": describe_holdout,
    "the_network": "the {} network".format,
    "cell": _format_cell,
    "alignments": _align_columns,
    "tex": escape_latex,
    "md": _escape_markdown,
}
