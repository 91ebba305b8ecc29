"""Scores in groups: means with their intervals over people and over training seeds, and single seeds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fernet_neuro._utils.tables import iterate_rows

#: Interval of a mean over training runs, as `evaluation.seeds` calls it, and the seed of such a mean.
SEEDS, MEAN = "training seeds", "mean"
#: Scores by their names in tables, as axes and captions say them.
SCORE_NAMES = {"accuracy": "Accuracy", "mean_class_accuracy": "Mean class accuracy", "macro_f1": "Macro F1"}


class Mark(NamedTuple):
    """How a series of scores looks."""

    label: str
    marker: str
    filled: bool


def pick_means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the means over seeds, or the single seed."""
    return frame[frame["seed"] == MEAN] if (frame["seed"] == MEAN).any() else frame


def plot_scores(
    ax: Axes,
    frame: pd.DataFrame,
    group: str,
    series: str,
    groups: Mapping[str, str],
    marks: Mapping[str, Mark],
    ylabel: str = "Mean class accuracy (%)",
) -> Axes:
    """Draw scores in groups: a mark with its intervals over people and over seeds, single seeds as dots.

    `ax`: where to draw. Marks carry ``<group>:<series>`` (``get_gid``). `frame`: ``seed`` (text; "mean" once
    for each ``interval``), and ``value``, ``low``, ``high`` and ``chance`` in % as ``*_percent``. `group`,
    `series`: columns that tell groups, and marks within a group. `groups`: labels of the groups, in order.
    `marks`: in order. Returns the same axes, in %.
    """
    for place, name in enumerate(groups):
        present = [key for key in marks if ((frame[group] == name) & (frame[series] == key)).any()]
        for number, key in enumerate(present):
            x = place + (number - (len(present) - 1) / 2) * _STEP
            rows = frame[(frame[group] == name) & (frame[series] == key)]
            _draw_score(ax, rows, x, marks[key], f"{name}:{key}")
    chance = frame["chance_percent"].iloc[0]
    ax.axhline(chance, color="#111111", lw=0.8, ls=(0, (4, 2)), zorder=1)
    ax.axhline(100, color="#111111", lw=0.6, ls=(0, (1, 1.5)), zorder=1)
    ax.set_xticks(range(len(groups)), list(groups.values()))
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.55, len(groups) - 0.45)
    ax.set_ylim(0, 106)
    ax.set_yticks(range(0, 101, 20))
    ax.spines["left"].set_bounds(0, 100)
    ax.set_ylabel(ylabel)
    return ax


#: Distance of marks of one group, and of the interval over seeds and of single seeds from their mark.
_STEP, _SEEDS_AT, _DOTS_AT = 0.4, 0.08, 0.15
_INK, _PEOPLE = "#333333", "#8FB8D6"


def _draw_score(ax: Axes, rows: pd.DataFrame, x: float, mark: Mark, gid: str) -> None:
    means = pick_means(rows)
    for row in iterate_rows(means[means["low_percent"].notna()]):
        over_seeds = row.interval == SEEDS
        ax.vlines(
            x + _SEEDS_AT * over_seeds, row.low_percent, row.high_percent,
            color=_INK if over_seeds else _PEOPLE, lw=0.9 if over_seeds else 3.2, zorder=2,
        )  # fmt: skip
    ax.plot([x], [means["value_percent"].iloc[0]], ls="", zorder=4, gid=gid, **_look(mark))
    single = rows[rows["seed"] != MEAN]["value_percent"].to_numpy()
    if len(single) > 1:
        at = np.full(len(single), x + _DOTS_AT)
        ax.scatter(at, single, s=4, facecolor="white", edgecolor=_INK, linewidth=0.5, zorder=3)


def _look(mark: Mark) -> dict[str, Any]:
    face = _INK if mark.filled else "white"
    return {"marker": mark.marker, "ms": 4.2, "mew": 0.9, "mec": _INK, "mfc": face}


def scores_legend(frame: pd.DataFrame, marks: Mapping[str, Mark]) -> list[Line2D]:
    """Return the legend's handles of `plot_scores`."""
    handles = [Line2D([], [], ls="", label=mark.label, **_look(mark)) for mark in marks.values()]
    over = [name for name in dict.fromkeys(pick_means(frame)["interval"]) if name and name != SEEDS]
    handles += [Line2D([], [], color=_PEOPLE, lw=3.2, label=f"95 % interval over {name}") for name in over]
    if (frame["seed"] == MEAN).any():
        handles.append(Line2D([], [], color=_INK, lw=0.9, label=f"95 % interval over {SEEDS}"))
        handles.append(
            Line2D([], [], ls="", marker="o", ms=2.2, mfc="white", mec=_INK, mew=0.5, label="single seeds")
        )
    return handles
