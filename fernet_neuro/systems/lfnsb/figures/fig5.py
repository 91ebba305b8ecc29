"""Loss over epochs: one panel per arm of a table, or a single training run; one line per run.

References
----------
1. Chen & Huang (2024). A lightweight model enhancing facial expression recognition with spatial bias and
   Cosine-Harmony loss. Preprints 115488, Figure 5.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fernet_neuro._utils.config import read_recipe
from fernet_neuro._utils.tables import read_mixed, read_text
from fernet_neuro.exceptions import StoreError
from fernet_neuro.systems.lfnsb.figures.panels import make_panels, name_side, read_labels

#: What is drawn: the split and the column of log.csv, by curve; and the lines.
_CURVES = {
    "training, whole loss": ("train", "loss"),
    "training, cross-entropy alone": ("train", "cross_entropy"),
    "validation, cross-entropy": ("val", "loss"),
}
_LINES: list[dict[str, Any]] = [
    {"color": "#0072B2", "ls": "-"},
    {"color": "#56439A", "ls": ":"},
    {"color": "#D55E00", "ls": (0, (4, 2))},
]


def read_losses(results: Path) -> pd.DataFrame:
    """Return one row per panel, run, curve and epoch.

    Raises
    ------
    StoreError
        If the folder is neither a run nor the results of a table.
    """
    parts = [
        _read_run(place).assign(panel=panel, run=place.name)
        for panel, places in _find_runs(results).items()
        for place in places
    ]
    return pd.concat(parts, ignore_index=True)[["panel", "run", "curve", "epoch", "value"]]


def _find_runs(results: Path) -> dict[str, list[Path]]:
    """Return the run folders of each panel: that of the folder itself, or the tested runs of each arm."""
    if (results / "log.csv").is_file():
        return {"": [results]}
    if not (results / "runs.csv").is_file():
        raise StoreError(
            f"{results / 'log.csv'} does not exist; make it with: fernet-neuro train lfnsb/rafdb --out "
            f"{results} (or run lfnsb/table3, which leaves runs.csv)"
        )
    store = Path(read_recipe(results / "recipe.yaml").get("shared") or results)
    runs = read_text(results / "runs.csv").query("is_tested == 'True'")
    labels = read_labels(results)
    return {
        labels[str(arm)]: [store / run for run in dict.fromkeys(rows["run"])]
        for arm, rows in runs.groupby("arm", sort=False)
    }


def _read_run(place: Path) -> pd.DataFrame:
    log = read_mixed(place / "log.csv", ["split"], None)
    parts = []
    for curve, (split, column) in _CURVES.items():
        rows = log[log["split"] == split]
        is_part = column != "loss"
        if rows.empty or (is_part and (column not in log or (rows[column] == rows["loss"]).all())):
            continue
        parts.append(rows[["epoch"]].assign(curve=curve, value=rows[column]))
    return pd.concat(parts)


def draw_losses(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw one panel per arm, on one scale."""
    figure, axes = make_panels(list(dict.fromkeys(source["panel"])), 46, rest_mm=14, share=True)
    for _, line in source.groupby(["panel", "curve", "run"], sort=False):
        panel, curve = line[["panel", "curve"]].iloc[0]
        look = _LINES[list(_CURVES).index(curve)]
        axes[panel].plot(line["epoch"], line["value"], lw=1.0, marker=".", ms=3, label=curve, **look)
    for ax in axes.values():
        ax.set_xlabel("Epoch")
        ax.tick_params(labelbottom=True)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    name_side(axes, "Loss (cross-entropy in nats)")
    handles = {
        text: line for ax in axes.values() for line, text in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=1 if len(axes) == 1 else len(handles)
    )
    return figure


def caption_losses(source: pd.DataFrame) -> str:
    """Say which curves there are and what they can be compared with."""
    runs = source.groupby("panel")["run"].nunique().max()
    each = f"One line per training run (at most {runs} in a panel). " if runs > 1 else ""
    validation = "validation, cross-entropy" in set(source["curve"])
    shown = (
        "The validation loss is cross-entropy alone and can be compared with that part of training only."
        if validation
        else "Nothing was held out for validation."
    )
    return (
        f"Mean loss of each epoch while the weights change, over training images as augmented. {each}{shown} "
        f"The paper's Figure 5 shows one curve at alpha 0.1."
    )
