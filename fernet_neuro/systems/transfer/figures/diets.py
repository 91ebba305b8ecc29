"""What networks of every diet tell of new people, beside untrained ones: one panel per read-out and test."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.results import describe_holdout
from fernet_neuro.systems.transfer.diets.tables import READOUTS, read_readouts
from fernet_neuro.viz.bars import spread_dots
from fernet_neuro.viz.style import colour_of, figure_size

_INK, _BAND = "#111111", "#D9D9D9"
#: Small and large sets of people stand left and right of the place of their diet.
_APART = 0.2


def read_diets(results: Path) -> pd.DataFrame:
    """Return the read-outs of the layer fixed beforehand, in %: means with intervals, and single seeds."""
    if not (results / READOUTS).is_file():
        command = f"fernet-neuro run transfer/diets --out {results}"
        raise StoreError(f"{results / READOUTS} does not exist; make it with: {command}")
    frame = read_readouts(results)
    return frame[frame["headline"].astype(bool)].reset_index(drop=True)


def draw_diets(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw tests in rows and read-outs in columns."""
    tests = list(dict.fromkeys(source["test"]))
    asked = list(dict.fromkeys(zip(source["target"], source["holdout"], strict=True)))
    figure = Figure(figsize=figure_size("double", 28 + 44 * len(tests)), layout="constrained")
    axes = figure.subplots(len(tests), len(asked), squeeze=False, sharex=True)
    for row, test in enumerate(tests):
        for column, (target, holdout) in enumerate(asked):
            rows = source[
                (source["test"] == test) & (source["target"] == target) & (source["holdout"] == holdout)
            ]
            _draw_panel(axes[row, column], rows)
            if row == 0:
                axes[row, column].set_title(f"{target.capitalize()},\n{describe_holdout(holdout)}")
            if column == 0:
                label = str(rows["test_label"].iloc[0]).capitalize()
                axes[row, column].set_ylabel(f"{label}:\nbalanced accuracy (%)")
    figure.legend(handles=_list_handles(source), loc="outside lower center", ncols=4)
    return figure


def _draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
    groups, sizes = list(dict.fromkeys(rows["group"])), sorted(set(rows["size"]))
    first = rows.iloc[0]
    if first["n_twins"] > 1:
        ax.axhspan(
            first["untrained_low_percent"], first["untrained_high_percent"], color=_BAND, lw=0, zorder=0
        )
    ax.axhline(first["untrained_percent"], color="#6E6E6E", lw=0.8, zorder=1)
    ax.axhline(first["pixels_percent"], color="#333333", lw=0.8, ls=":", zorder=1)
    ax.axhline(first["chance_percent"], color="#333333", lw=0.8, ls="--", zorder=1)
    offsets = {
        size: _APART * (2 * at - len(sizes) + 1) / max(len(sizes) - 1, 1) for at, size in enumerate(sizes)
    }
    for mean in iterate_rows(rows[rows["seed"] == "mean"]):
        x = groups.index(mean.group) + offsets[mean.size]
        seeds = rows[(rows["group"] == mean.group) & (rows["size"] == mean.size) & (rows["seed"] != "mean")]
        _draw_mean(ax, mean, x, filled=mean.size == sizes[-1])
        values = seeds["accuracy_percent"].to_numpy()
        if len(values) > 1:
            ax.scatter(x + spread_dots(values), values, s=3, color=_INK, linewidth=0, zorder=4)
    ax.set_xticks(range(len(groups)), groups, rotation=55, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.6, len(groups) - 0.4)
    ax.margins(y=0.12)


def _draw_mean(ax: Axes, mean: Any, x: float, *, filled: bool) -> None:
    colour = colour_of(mean.network)
    ax.vlines(x, mean.low_percent, mean.high_percent, color=colour, lw=1.0, zorder=2)
    face = colour if filled else "white"
    (mark,) = ax.plot([x], [mean.accuracy_percent], marker="o", ms=4.2, mec=colour, mfc=face, ls="", zorder=3)
    mark.set_gid(f"{mean.group}:{mean.size}")
    if mean.difference_untrained_p_holm < 0.05:
        top = max(mean.accuracy_percent, mean.high_percent if mean.high_percent == mean.high_percent else 0)
        ax.annotate("*", (x, top), (0, 0), textcoords="offset points", ha="center", fontsize=8)


def _list_handles(source: pd.DataFrame) -> list[Line2D | Patch]:
    sizes = sorted(set(source["size"]))
    look: dict[str, Any] = {"ls": "", "marker": "o", "ms": 4.2, "mec": _INK}
    people = [
        Line2D([], [], label=f"{size} people", mfc=_INK if size == sizes[-1] else "white", **look)
        for size in sizes
    ]
    return [
        *people,
        Line2D([], [], ls="", marker="o", ms=2, color=_INK, label="training seeds"),
        Patch(color=_BAND, label="95 % of untrained networks"),
        Line2D([], [], color="#333333", lw=0.8, ls=":", label="pixels"),
        Line2D([], [], color="#333333", lw=0.8, ls="--", label="chance"),
        Line2D([], [], color=_INK, ls="", marker="$*$", ms=4, label="p < .05 against untrained (Holm)"),
    ]


def caption_diets(source: pd.DataFrame) -> str:
    """Say what is shown, which layer was fixed, and what intervals and tests are over."""
    means = source[source["seed"] == "mean"]
    n_seeds = source.loc[source["seed"] != "mean", "seed"].nunique()
    over = next(iter(means["interval"]), "") or "none"
    return (
        f"Linear read-out from layer {means['layer'].iloc[0]}, fixed beforehand, of new people. "
        f"Names of diets: what the people showed from whom an identity network learned who is who; every "
        f"person had equally many pictures in each. Marks: balanced accuracy, mean of {n_seeds} training "
        f"seed{'s' if n_seeds > 1 else ''}, with the 95 % interval over {over}. Grey band: 95 % of further "
        f"untrained networks would lie there ({int(means['n_twins'].iloc[0])} were drawn), line: their mean. "
        f"Asterisks: p < .05 against untrained networks, corrected over the marks of a panel (Holm)."
    )
