"""Accuracy of a grid's arms against their parameters, multiply-adds and time per image."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import read_mixed
from fernet_neuro.exceptions import StoreError
from fernet_neuro.viz.cost import cost_legend, plot_accuracy_cost
from fernet_neuro.viz.scores import SCORE_NAMES
from fernet_neuro.viz.style import figure_size

#: Height of a row of panels and of everything else, in mm.
_ROW_MM, _REST_MM = 52.0, 16.0
#: What costs are called on their axes, and what is 1 there.
_COSTS = {
    "params": ("Parameters (millions)", 1e6),
    "macs": ("Multiply-adds per image (millions)", 1e6),
    "milliseconds": ("Time per image (ms)", 1.0),
}
_TEXT = ("arm", "label", "test", "test_label", "epoch", "metric")


def has_costs(results: Path) -> bool:
    """Return whether both files are there, and the costs are of arms."""
    files = [results / f"{name}.csv" for name in ("summary", "cost")]
    return all(file.is_file() for file in files) and "arm" in set(pd.read_csv(files[1])["group"])


def read_costs(results: Path) -> pd.DataFrame:
    """Return the source data: one row per arm and test, accuracy in %, with what the network costs.

    Raises
    ------
    StoreError
        If a file is missing, or no arm has both.
    """
    for name in ("summary", "cost"):
        if not (results / f"{name}.csv").is_file():
            raise StoreError(
                f"{results / name}.csv does not exist; make it with: fernet-neuro run crpn/table1 --out "
                f"{results}, or another grid whose columns name params, macs or time."
            )
    summary = read_mixed(results / "summary.csv", _TEXT, ("value", "low", "high", "chance_level"))
    costs = read_mixed(results / "cost.csv", ("name", "group"), tuple(_COSTS))
    costs = costs[costs["group"] == "arm"].rename(columns={"name": "arm"})[["arm", "size", *_COSTS]]
    source = summary[summary["headline"]].merge(costs, on="arm", how="inner")
    if source.empty:
        raise StoreError(
            f"{results} has no arm with an accuracy and a cost; run the recipe again (--resume)."
        )
    percent = {name: 100 * source[name] for name in ("value", "low", "high")}
    rows = {arm: row for row, arm in enumerate(dict.fromkeys(source["arm"]))}
    return source.assign(
        row=source["arm"].map(rows),
        chance_percent=100 * source["chance_level"],
        **{f"{name}_percent": values for name, values in percent.items()},
    ).drop(columns=["value", "low", "high", "chance_level", "headline"])


def draw_costs(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw a row of panels per test, one panel per cost."""
    tests = list(source.groupby("test_label", sort=False))
    figure = Figure(figsize=figure_size("double", _REST_MM + _ROW_MM * len(tests)), layout="constrained")
    panels = figure.subplots(len(tests), len(_COSTS), squeeze=False, sharey="row")
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    for (test, rows), line in zip(tests, panels, strict=True):
        for ax, (cost, (words, unit)) in zip(line, _COSTS.items(), strict=True):
            plot_accuracy_cost(rows, ax, cost=cost, unit=unit)
            ax.set_title(f"$\\bf{{{next(letters)}}}$  {test}")
            ax.set_xlabel(words)
        line[0].set_ylabel(f"{SCORE_NAMES[str(rows['metric'].iloc[0])]} (%)")
    labels = source.drop_duplicates("row").sort_values("row")["label"].astype(str).tolist()
    figure.legend(handles=cost_legend(labels), loc="outside lower center", ncols=min(len(labels) + 1, 5))
    return figure


def caption_costs(source: pd.DataFrame) -> str:
    """Say what is shown, what the intervals are over, and how time was measured."""
    first = source.iloc[0]
    sizes = ", ".join(f"{size} px" for size in sorted(set(source["size"])))
    return (
        f"{SCORE_NAMES[str(first['metric'])]} of {source['arm'].nunique()} networks against what an image "
        f"costs ({sizes}). Lines: 95 % interval over {first['interval']}; training runs: {first['n_seeds']}. "
        f"Time: median of the forward pass on a CPU, networks in turns, batch of one; it holds for the "
        f"machine that measured it. Dashed: chance. Horizontal axes are logarithmic."
    )
