"""Accuracy against what a network costs: one mark per network, with the interval of its accuracy.

What belongs here: marks, axes and legend; which networks and which costs is up to the figure.
"""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fernet_neuro._utils.tables import iterate_rows

#: Hues of Okabe and Ito that read on white, and marks: networks are told by either.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC6699", "#7A5C00", "#56439A", "#000000")
_MARKERS = "osD^vPX<>p*h"


def plot_accuracy_cost(frame: pd.DataFrame, ax: Axes, *, cost: str, unit: float = 1.0) -> Axes:
    """Draw one panel.

    Parameters
    ----------
    frame : DataFrame
        A row per network: ``arm``, ``row`` (its place in the legend), ``value_percent``, ``low_percent``,
        ``high_percent``, ``chance_percent``, and the column `cost`.
    ax : Axes
        Where to draw. Marks are labelled ``arm:<name>`` (``get_gid``).
    cost : str
        Column that the horizontal axis shows, on a logarithmic scale.
    unit : float
        What numbers on that axis are multiples of, such as 1e6.

    Returns
    -------
    Axes
        The same axes.
    """
    for row in iterate_rows(frame):
        place, look = getattr(row, cost), _look(row.row)
        ax.vlines(place, row.low_percent, row.high_percent, color=look["color"], lw=1.0, zorder=3)
        ax.plot([place], [row.value_percent], ms=4.5, ls="", zorder=4, gid=f"arm:{row.arm}", **look)
    chance = float(frame["chance_percent"].iloc[0])
    ax.axhline(chance, color="#111111", lw=0.8, ls=(0, (4, 2)), zorder=1, gid="chance")
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value / unit:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.15)
    ax.grid(color="#DDDDDD", lw=0.5, zorder=0)
    ax.set_axisbelow(True)
    return ax


def cost_legend(labels: list[str]) -> list[Line2D]:
    """Return the legend's handles: networks in the order of their rows, then chance."""
    marks = [Line2D([], [], ls="", ms=4.5, label=label, **_look(row)) for row, label in enumerate(labels)]
    return [*marks, Line2D([], [], color="#111111", lw=0.8, ls=(0, (4, 2)), label="chance")]


def _look(row: int) -> dict[str, Any]:
    return {"color": _COLOURS[row % len(_COLOURS)], "marker": _MARKERS[row % len(_MARKERS)]}
