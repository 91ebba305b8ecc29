"""Shares of variance that models explain alone, together and in all, as dots with intervals."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.viz.ceilings import ceiling_legend, draw_ceiling

#: Colour and shape by component, so that neither alone must be told apart.
_LOOKS = {"unique": ("#0072B2", "o"), "common": ("#D55E00", "s"), "total": ("#111111", "D")}
_LABELS = {"unique": "one model alone", "common": "shared by models", "total": "all models"}


def plot_shares(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one panel: what the models explain of one ROI.

    Parameters
    ----------
    frame : DataFrame
        Rows of one ROI with the columns ``row`` (place from the top), ``models``, ``component`` (``unique``,
        ``common`` or ``total``), ``share_percent``, ``low_percent``, ``high_percent`` (of variance; NaN where
        no interval is known), ``ceiling_lower_percent`` and ``ceiling_upper_percent``.
    ax : Axes
        Where to draw. Dots are labelled ``share:<models>`` (``get_gid``).

    Returns
    -------
    Axes
        The same axes.
    """
    ends = (float(frame[f"ceiling_{side}_percent"].iloc[0]) for side in ("lower", "upper"))
    draw_ceiling(ax, *ends, vertical=True)
    for row in iterate_rows(frame):
        colour, marker = _LOOKS[row.component]
        ax.barh(row.row, row.share_percent, height=0.62, color=colour, alpha=0.25, lw=0, zorder=2)
        ax.hlines(row.row, row.low_percent, row.high_percent, color=colour, lw=1.4, zorder=3)
        ax.plot(
            [row.share_percent], [row.row], marker, ms=4.2, color=colour, zorder=4, gid=f"share:{row.models}"
        )
    n_rows = int(frame["row"].max()) + 1
    borders = np.flatnonzero(
        frame.sort_values("row")["component"].to_numpy()[1:]
        != frame.sort_values("row")["component"].to_numpy()[:-1]
    )
    for border in borders:
        ax.axhline(border + 0.5, color="#BDBDBD", lw=0.5, zorder=0)
    ax.set_ylim(n_rows - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    return ax


def shares_legend(interval: str, *, has_ceiling: bool) -> list[Line2D | Patch]:
    """Return the legend's handles: components, interval, ceiling and zero."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], ls="", marker=marker, ms=4.2, color=colour, label=_LABELS[name])
        for name, (colour, marker) in _LOOKS.items()
    ]
    handles.append(Line2D([], [], color="#555555", lw=1.4, label=interval))
    zero = ceiling_legend(is_drawn=has_ceiling)
    zero[-1].set_label("nothing (0)")
    return [*handles, *zero]
