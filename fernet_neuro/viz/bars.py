"""Bars of read-out accuracy, one per network, with chance, limit, intervals and published values."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.viz.style import colour_of, label_of

_BAR_WIDTH = 0.66
#: Dots stand left of the interval and published values right of it, so that none hides another.
_DOTS_AT, _PUBLISHED_AT = -0.19, 0.2
_HATCHES = {"pixels": "////"}
#: Stands over a bar that lies below its untrained twins.
_BELOW = "\N{WHITE DOWN-POINTING SMALL TRIANGLE}"


def plot_transfer_bars(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one panel: accuracy of one read-out from each network.

    Parameters
    ----------
    frame : DataFrame
        Rows of one target with the columns ``network``, ``kind`` (``mean``: the bar; ``fold`` or
        ``seed``: a dot; ``published``: a hollow diamond), ``accuracy_percent``, and for the bars
        ``low_percent``, ``high_percent``, ``chance_percent``, and ``difference_untrained`` and its
        ``difference_untrained_p``, by which bars are marked. Accuracies in %.
    ax : Axes
        Where to draw. Bars are labelled ``bar:<network>`` (``get_gid``).

    Returns
    -------
    Axes
        The same axes.
    """
    bars = frame[frame["kind"] == "mean"].reset_index(drop=True)
    place = {network: at for at, network in enumerate(bars["network"])}
    for row in iterate_rows(bars):
        _draw_bar(ax, row, place[row.network])
    dots = frame[frame["kind"].isin(("fold", "seed"))]
    for network, group in dots.groupby("network", sort=False):
        _draw_dots(ax, group["accuracy_percent"].to_numpy(), place[network])
    for row in iterate_rows(frame[frame["kind"] == "published"]):
        _draw_published(ax, row.accuracy_percent, place[row.network])
    _draw_limits(ax, float(bars["chance_percent"].iloc[0]), len(bars))
    _set_axes(ax, list(place))
    return ax


def transfer_legend(point_label: str, published_label: str) -> list[Line2D]:
    """Return the legend's handles: interval, dots, marks, published value; lines have labels of their own."""
    interval = Line2D([], [], color="#111111", marker="|", markersize=6, lw=1.0, label="95 % interval")
    dots = Line2D([], [], ls="", marker="o", ms=2.2, mfc="white", mec="#333333", mew=0.5, label=point_label)
    diamond = Line2D([], [], label=published_label, **_DIAMOND)
    above, below = (
        Line2D([], [], ls="", marker=marker, ms=4, mfc="none", mec="#111111", mew=0.9, label=label)
        for marker, label in (("$*$", "above untrained twins, p < .05"), ("v", "below them, p < .05"))
    )
    return [interval, dots, above, below, diamond]


_DIAMOND: dict[str, Any] = {"ls": "", "marker": "D", "ms": 4.5, "mfc": "none", "mec": "#111111", "mew": 0.9}


def _draw_bar(ax: Axes, row: Any, at: int) -> None:
    (patch,) = ax.bar(
        [at],
        [row.accuracy_percent],
        width=_BAR_WIDTH,
        color="white" if row.network in _HATCHES else colour_of(row.network),
        edgecolor=colour_of(row.network),
        hatch=_HATCHES.get(row.network),
        zorder=2,
    )
    patch.set_gid(f"bar:{row.network}")
    ax.vlines(at, row.low_percent, row.high_percent, color="#111111", lw=1.0, zorder=5)
    if row.difference_untrained_p < 0.05:
        top = row.accuracy_percent if np.isnan(row.high_percent) else row.high_percent
        mark, rise = ("*", -1.5) if row.difference_untrained > 0 else (_BELOW, 1)
        ax.annotate(mark, (at, top), (0, rise), textcoords="offset points", ha="center", fontsize=8)


def _draw_dots(ax: Axes, values: np.ndarray, at: int) -> None:
    x = at + _DOTS_AT + spread_dots(values)
    ax.scatter(x, values, s=5, facecolor="white", edgecolor="#333333", linewidth=0.5, zorder=4)


def spread_dots(values: np.ndarray, step: float = 0.07, reach: float = 0.24) -> np.ndarray:
    """Return offsets that put values of about one height side by side, without random numbers.

    Parameters
    ----------
    values : ndarray of shape (n_dots,)
        Heights in %; those in one bin of 2.5 % share a row.
    step, reach : float
        Distance between neighbours, and the widest row (in bars; a crowded row gets a smaller step).

    Returns
    -------
    ndarray of shape (n_dots,)
        Offsets around zero, in bars.

    Examples
    --------
    >>> spread_dots(np.array([50.0, 100.0, 100.0])).round(3).tolist()
    [0.0, -0.035, 0.035]
    """
    rows = np.round(np.asarray(values) / 2.5)
    offsets = np.zeros(len(rows))
    for row in np.unique(rows):
        members = np.flatnonzero(rows == row)
        width = min(step * (len(members) - 1), reach)
        offsets[members] = np.linspace(-width / 2, width / 2, len(members)) if len(members) > 1 else 0.0
    return offsets


def _draw_published(ax: Axes, value: float, at: int) -> None:
    x = at + _PUBLISHED_AT
    ax.plot([x], [value], zorder=6, gid="published", **{**_DIAMOND, "mfc": "white"})
    ax.annotate(
        f"{value:g}",
        (x, value),
        (3.5, -0.5),
        textcoords="offset points",
        # The limit's dotted line must not cross the number.
        va="top" if value > 95 else "center",
        fontsize=7,
        zorder=5.5,
        bbox={"boxstyle": "square,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.85},
    )


def _draw_limits(ax: Axes, chance: float, n_bars: int) -> None:
    lines = ((chance, (0, (4, 2)), f"chance\n{chance:.1f} %"), (100.0, (0, (1, 1.5)), "limit\n100 %"))
    for value, dashes, text in lines:
        ax.axhline(value, color="#111111", lw=0.8, ls=dashes, zorder=3)
        ax.annotate(
            text,
            (n_bars - 0.45, value),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            annotation_clip=False,
        )


def _tick_label(network: str) -> str:
    return label_of(network).removesuffix(" network")


def _set_axes(ax: Axes, networks: list[str]) -> None:
    turned: dict[str, Any] = (
        {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if len(networks) > 3 else {}
    )
    ax.set_xticks(range(len(networks)), [_tick_label(network) for network in networks], **turned)
    ax.tick_params(axis="x", length=0)
    ax.set_xlabel("What the network was trained on, and baselines")
    ax.set_xlim(-0.55, len(networks) - 0.45)
    ax.set_ylim(0, 106)
    ax.set_yticks(range(0, 101, 20))
    ax.spines["left"].set_bounds(0, 100)
    ax.set_ylabel("Balanced accuracy (%)")
