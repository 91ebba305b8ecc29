"""Loss over epochs: one panel per arm of a table, or a single training run; one line per run.

References
----------
1. Chen & Huang (2024). A lightweight model enhancing facial expression recognition with spatial bias and
   Cosine-Harmony loss. Preprints 115488, Figure 5.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.spec import FigureSpec
from fernet_neuro.viz.style import figure_size

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
_PER_ROW = 3


def is_of_lightweight(results: Path) -> bool:
    """Return whether a folder's recipe trains by the task of these networks."""
    recipe = results / "recipe.yaml"
    return recipe.is_file() and "task: lightweight" in recipe.read_text(encoding="utf-8")


def read_labels(results: Path) -> dict[str, str]:
    """Return how a table calls its arms and tests, by name; nothing where the folder is no table's."""
    recipe = results / "recipe.yaml"
    values = yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.is_file() else {}
    entries = {**values.get("tests", {}), **values.get("arms", {})}
    return {name: entry.get("label") or name for name, entry in entries.items()}


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
    recipe = yaml.safe_load((results / "recipe.yaml").read_text(encoding="utf-8"))
    store = Path(recipe.get("shared") or results)
    runs = pd.read_csv(results / "runs.csv", dtype=str).query("is_tested == 'True'")
    labels = read_labels(results)
    return {
        labels[str(arm)]: [store / run for run in dict.fromkeys(rows["run"])]
        for arm, rows in runs.groupby("arm", sort=False)
    }


def _read_run(place: Path) -> pd.DataFrame:
    log = pd.read_csv(place / "log.csv")
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
    panels = list(dict.fromkeys(source["panel"]))
    n_rows, n_columns = -(-len(panels) // _PER_ROW), min(len(panels), _PER_ROW)
    size = figure_size("single" if len(panels) == 1 else "double", 14 + 46 * n_rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for place, ax in enumerate(axes.flat):
        if place >= len(panels):
            ax.set_axis_off()
            continue
        rows = source[source["panel"] == panels[place]]
        for (curve, _), line in rows.groupby(["curve", "run"], sort=False):
            ax.plot(
                line["epoch"],
                line["value"],
                lw=1.0,
                marker=".",
                ms=3,
                label=curve,
                **_LINES[list(_CURVES).index(curve)],
            )
        ax.set_title(panels[place])
        ax.set_xlabel("Epoch")
        ax.set_ylabel("Loss (cross-entropy in nats)" if place % n_columns == 0 else "")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles = {
        text: line for ax in axes.flat for line, text in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=1 if len(panels) == 1 else len(handles)
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


SPEC = FigureSpec(
    name="lfnsb-fig5",
    title="Loss over epochs of a training run, or of each arm of a table",
    needs=("log.csv", "runs.csv"),
    read=read_losses,
    draw=draw_losses,
    caption=caption_losses,
    applies=is_of_lightweight,
)
