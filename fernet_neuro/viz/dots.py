"""Dots with intervals, one row per arm of a grid, and printed values as hollow marks on axes of their own."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fernet_neuro._utils.tables import iterate_rows

#: Colours of arms by the network that is tested: hues that read at 3:1 on white.
_COLOURS = ("#0072B2", "#D55E00", "#00785A", "#A8518A")
_HOLLOW: dict[str, Any] = {"ls": "", "marker": "D", "ms": 4.0, "mfc": "white", "mec": "#111111", "mew": 0.9}
#: Training seeds stand below the mean, so that neither hides the other; in rows.
_SEEDS_AT = 0.27
#: Ground of the panels that show other people's numbers.
_PRINTED_GROUND = "#F3F3F0"


def plot_arm_dots(frame: pd.DataFrame, ax: Axes, *, limits: tuple[float, float] | None = None) -> Axes:
    """Draw one panel of our own scores.

    Parameters
    ----------
    frame : DataFrame
        Rows of one test with the columns ``row`` (place from the top), ``arm``, ``network``, ``kind``
        (``mean`` or ``seed``), ``value_percent``, and for means ``low_percent``, ``high_percent`` and
        ``chance_percent``.
    ax : Axes
        Where to draw. Means are labelled ``arm:<name>`` (``get_gid``).
    limits : (float, float), optional
        Of the axis, in %; around what is drawn by default.

    Returns
    -------
    Axes
        The same axes.
    """
    means = frame[frame["kind"] == "mean"]
    colours = _choose_colours(means["network"])
    for row in iterate_rows(means):
        colour = colours[row.network]
        ax.hlines(row.row, row.low_percent, row.high_percent, color=colour, lw=1.4, zorder=3)
        ax.plot([row.value_percent], [row.row], "o", ms=4.2, color=colour, zorder=4, gid=f"arm:{row.arm}")
    seeds = frame[frame["kind"] == "seed"]
    ax.scatter(
        seeds["value_percent"], seeds["row"] + _SEEDS_AT, s=4, facecolor="white", edgecolor="#444444",
        linewidth=0.5, zorder=3,
    )  # fmt: skip
    chance = float(means["chance_percent"].iloc[0])
    ax.axvline(chance, color="#111111", lw=0.8, ls=(0, (4, 2)), zorder=1, gid="chance")
    ax.annotate(
        f"chance {chance:.1f}", (chance, 1.0), (-1, 1.5), xycoords=ax.get_xaxis_transform(),
        textcoords="offset points", ha="left", va="bottom", fontsize=7,
    )  # fmt: skip
    ax.set_xlim(*(limits or pad_limits(frame[["value_percent", "low_percent", "high_percent"]], chance)))
    return ax


def plot_printed_dots(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one panel of printed values: hollow marks with their numbers, on ground and axis of their own.

    Parameters
    ----------
    frame : DataFrame
        Rows of one printed column with ``row`` and ``value_percent``.
    ax : Axes
        Where to draw.
    """
    ax.set_facecolor(_PRINTED_GROUND)
    for row in iterate_rows(frame):
        ax.plot([row.value_percent], [row.row], zorder=4, gid=f"printed:{row.arm}", **_HOLLOW)
        ax.annotate(
            f"{row.value_percent:.2f}", (row.value_percent, row.row), (0, 3.2), textcoords="offset points",
            ha="center", va="bottom", fontsize=7,
        )  # fmt: skip
    ax.set_xlim(*pad_limits(frame[["value_percent"]], share=0.25))
    return ax


def pad_limits(values: pd.DataFrame, *others: float, share: float = 0.08) -> tuple[float, float]:
    """Return ends of an axis in % that hold all finite values with some room, within 0 to 100."""
    numbers = np.concatenate([values.to_numpy(dtype=float).ravel(), np.array(others, dtype=float)])
    numbers = numbers[np.isfinite(numbers)]
    room = max(share * float(np.ptp(numbers)), 1.0)
    return max(0.0, float(numbers.min()) - room), min(100.0, float(numbers.max()) + room)


def list_arms(ax: Axes, labels: list[str], *, named: bool) -> None:
    """Give each row its line, from the top, and its name where `named`."""
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_yticks(range(len(labels)), labels if named else [""] * len(labels))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="#DDDDDD", lw=0.5, zorder=0)
    ax.set_axisbelow(True)


def _choose_colours(networks: Iterable[str]) -> dict[str, str]:
    """Return a colour by network, the same whatever their order."""
    return {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(sorted(set(networks)))}


def dots_legend(
    networks: list[str], interval: str, n_seeds: int, printed: str | None, runs: str = "training seeds"
) -> list[Line2D]:
    """Return the legend's handles: means by stage, single runs (called `runs`), printed values."""
    handles = [
        Line2D(
            [],
            [],
            marker="o",
            ms=4.2,
            lw=1.4,
            color=colour,
            label=f"{name} network, {interval}",
        )
        for name, colour in _choose_colours(networks).items()
    ]
    if n_seeds > 1:
        seeds: dict[str, Any] = {"marker": "o", "ms": 2.2, "mfc": "white", "mec": "#444444", "mew": 0.5}
        handles.append(Line2D([], [], ls="", label=runs, **seeds))
    if printed:
        handles.append(Line2D([], [], label=printed, **_HOLLOW))
    return handles
