"""Models against a brain region: one row each, with subjects, interval, ceiling and who beats whom."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.viz.ceilings import ceiling_legend, draw_ceiling

_COLOUR, _HIGHER, _LOWER = "#0072B2", "#0072B2", "#D55E00"
#: Subjects stand below the mean, so that neither hides the other; in rows.
_SUBJECTS_AT = 0.27
#: Largest sign in a cell, and the room that the number of a column needs, in points.
_SIGN_SIZE, _NUMBER_WIDTH = 4.5, 8.5


def plot_model_dots(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one panel: how well each model accounts for one ROI.

    Parameters
    ----------
    frame : DataFrame
        Rows of one ROI with the columns ``row`` (place from the top), ``model``, ``kind`` (``mean`` or
        ``subject``), ``value``, and for means ``low``, ``high``, ``significant`` (above 0),
        ``noise_ceiling_lower`` and ``noise_ceiling_upper``; ``attainable``, the most that a model with ties
        can reach, is drawn where it is there.
    ax : Axes
        Where to draw. Means are labelled ``model:<name>`` (``get_gid``); those not above 0 are hollow.

    Returns
    -------
    Axes
        The same axes; rows have no labels yet.
    """
    means, subjects = (frame[frame["kind"] == kind] for kind in ("mean", "subject"))
    draw_ceiling(
        ax, *(float(means[f"noise_ceiling_{side}"].iloc[0]) for side in ("lower", "upper")), vertical=True
    )
    ax.scatter(
        subjects["value"], subjects["row"] + _SUBJECTS_AT, s=5, facecolor="none", edgecolor="#555555",
        linewidth=0.5, zorder=3,
    )  # fmt: skip
    for row in iterate_rows(means):
        ax.hlines(row.row, row.low, row.high, color=_COLOUR, lw=1.5, zorder=4)
        if np.isfinite(getattr(row, "attainable", np.nan)):
            ax.vlines(row.attainable, row.row - 0.3, row.row + 0.3, color="black", lw=1.0, zorder=4.5)
        face = _COLOUR if row.significant else "white"
        ax.plot(
            [row.value], [row.row], "o", ms=4.4, mfc=face, mec=_COLOUR, mew=1.0, zorder=5,
            gid=f"model:{row.model}",
        )  # fmt: skip
    n_rows = int(means["row"].max()) + 1
    ax.set_ylim(n_rows - 0.4, -0.6)
    ax.hlines(
        np.arange(n_rows), 0, 1, transform=ax.get_yaxis_transform(), color="#E8E8E8", lw=0.5, zorder=0.5
    )
    ax.tick_params(axis="y", length=0)
    return ax


def plot_pairwise(frame: pd.DataFrame, ax: Axes, n_models: int) -> Axes:
    """Draw who beats whom: the model of a row against the model of a column.

    Parameters
    ----------
    frame : DataFrame
        Pairs of one ROI with the columns ``row`` and ``column`` (places), ``difference`` (of the row's model
        less the column's) and ``significant``. Each pair is drawn in both directions.
    ax : Axes
        Where to draw; its y axis agrees with that of `plot_model_dots`.
    n_models : int

    Returns
    -------
    Axes
        The same axes. Columns are numbered as rows are, from 1.
    """
    width = 72 * ax.get_window_extent().width / ax.figure.dpi / n_models  # of a cell, in points
    size = min(_SIGN_SIZE, 0.7 * width)
    for row in iterate_rows(frame[frame["significant"].astype(bool)]):
        for at, across, sign in ((row.row, int(row.column), 1), (int(row.column), row.row, -1)):
            _draw_cell(ax, at, across, size, is_higher=sign * row.difference > 0)
    if not frame["significant"].astype(bool).any():
        ax.text(
            (n_models - 1) / 2, (n_models - 1) / 2, "no pair differs", ha="center", va="center", fontsize=7,
            bbox={"boxstyle": "square,pad=0.3", "facecolor": "white", "edgecolor": "none"}, zorder=3,
        )  # fmt: skip
    for at in range(n_models):
        ax.plot([at - 0.5, at + 0.5], [at - 0.5, at + 0.5], color="#BDBDBD", lw=0.6)
    ax.set_xlim(-0.5, n_models - 0.5)
    ax.set_ylim(n_models - 0.4, -0.6)
    shown = range(0, n_models, int(np.ceil(_NUMBER_WIDTH / width)))
    ax.set_xticks(shown, [str(at + 1) for at in shown])
    ax.set_yticks([])
    edges = np.arange(n_models + 1) - 0.5
    ax.hlines(edges, -0.5, n_models - 0.5, color="#DDDDDD", lw=0.5, zorder=0)
    ax.vlines(edges, -0.5, n_models - 0.5, color="#DDDDDD", lw=0.5, zorder=0)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, pad=1.5, labelsize=7)
    return ax


def model_dots_legend(*, interval: str, has_ceiling: bool) -> list[Line2D | Patch]:
    """Return the legend's handles: means, subjects, ceiling, zero, and the cells of pairs."""
    dot: dict[str, Any] = {"marker": "o", "ms": 4.4, "mec": _COLOUR, "mew": 1.0}
    return [
        Line2D([], [], color=_COLOUR, lw=1.5, mfc=_COLOUR, label=f"estimate above 0, {interval}", **dot),
        Line2D([], [], ls="", mfc="white", label="not above 0", **dot),
        Line2D([], [], ls="", marker="o", ms=2.4, mfc="none", mec="#555555", mew=0.5, label="subjects"),
        *ceiling_legend(is_drawn=has_ceiling),
        Line2D([], [], ls="", marker=r"$+$", ms=4.5, color=_HIGHER, label="row above column"),
        Line2D([], [], ls="", marker=r"$-$", ms=4.5, color=_LOWER, label="row below column"),
    ]


def _draw_cell(ax: Axes, row: int, column: int, size: float, *, is_higher: bool) -> None:
    colour = _HIGHER if is_higher else _LOWER
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, alpha=0.22, lw=0, zorder=1))
    ax.plot(
        [column], [row], ls="", marker="$+$" if is_higher else "$-$", ms=size, color=colour, zorder=2,
        gid=f"pair:{row}:{column}",
    )  # fmt: skip
