"""Block diagrams of networks, in mm, from a table of blocks."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, figure_size

#: Fill, edge and line style by what happens to a block's weights.
STATES: dict[str, tuple[str, str, str]] = {
    "picture": ("#F2F2F2", "#4D4D4D", "-"),
    "frozen": ("#CFE3F1", "#0072B2", "-"),
    "value": ("#FFFFFF", "#4D4D4D", "-"),
    "removed": ("#FFFFFF", "#8A8A8A", "--"),
    "retrained": ("#F9DECB", "#D55E00", "-"),
    "learnt": ("#F9DECB", "#D55E00", "-"),
    "fixed": ("#CFE3F1", "#0072B2", "-"),
    "memory": ("#D9F0E6", "#00785A", "-"),
    "loss": ("#FFF6D6", "#7A5C00", "-"),
}
#: Hatches of those that must be told apart without colour.
_HATCHES = {"fixed": "/////"}
_STATE_LABELS = {
    "frozen": "trained on faces, then frozen",
    "removed": "used in training, then removed",
    "retrained": "new layer, trained for the read-out",
    "learnt": "learns",
    "fixed": "frozen",
    "value": "feature or score",
    "memory": "kept between the stages",
    "loss": "term of the loss",
}
#: Those of a read-out of a trained network.
READOUT_STATES = ("frozen", "removed", "retrained")


def plot_diagram(blocks: pd.DataFrame, ax: Axes) -> Axes:
    """Draw blocks and the arrows between them.

    Parameters
    ----------
    blocks : DataFrame
        ``block`` (name), ``label`` (inside), ``detail`` (below, smaller), ``state`` (a key of `STATES`),
        ``feeds`` (names of later blocks, separated by semicolons), ``x, y, width, height`` (mm; the
        middle of the block, y upwards).
    ax : Axes
        Where to draw; its data units become mm.

    Returns
    -------
    Axes
        The same axes.
    """
    ax.set_aspect("equal")
    ax.axis("off")
    named = blocks.set_index("block")
    for block in iterate_rows(blocks):
        _draw_block(ax, block)
        for target in filter(None, str(block.feeds).split(";")):
            _draw_arrow(ax, named.loc[block.block], named.loc[target])
    return ax


def draw_panels(
    blocks: pd.DataFrame,
    panels: Mapping[str, tuple[str, float]],
    width: str,
    states: tuple[str, ...],
    foot: float = 7.0,
) -> tuple[Figure, dict[str, Axes]]:
    """Return a page with one diagram below another and the legend at its foot, and the axes by panel.

    Parameters
    ----------
    blocks : DataFrame
        As in `plot_diagram`, and ``panel``.
    panels : mapping of str to (str, float)
        Heading, which may be empty, and height in mm of each panel, from the top.
    width : {"single", "double"}
        The column.
    states : tuple of str
        Keys of `STATES` that the legend explains.
    foot : float
        Height of the legend, in mm.
    """
    total = sum(height for _, height in panels.values()) + foot
    figure = Figure(figsize=figure_size(width, total))
    bottom, axes = total, {}
    for panel, (heading, height) in panels.items():
        bottom -= height
        ax = figure.add_axes((0, bottom / total, 1, height / total))
        plot_diagram(blocks[blocks["panel"] == panel], ax)
        ax.set_xlim(0, COLUMN_WIDTHS_MM[width])
        ax.set_ylim(0, height)
        title = f"$\\bf{{{panel}}}$  {heading}" if heading else ""
        ax.text(2, height - 1.5, title, va="top", fontsize=7.5)
        axes[panel] = ax
    figure.legend(handles=diagram_legend(states), loc="lower center", ncols=len(states))
    return figure, axes


def diagram_legend(states: tuple[str, ...]) -> list[Patch]:
    """Return the legend's handles of `states`: what happens to the weights."""
    return [
        Patch(
            facecolor=STATES[state][0],
            edgecolor=STATES[state][1],
            ls=STATES[state][2],
            hatch=_HATCHES.get(state),
            label=_STATE_LABELS[state],
        )
        for state in states
    ]


def _draw_block(ax: Axes, block: Any) -> None:
    face, edge, dashes = STATES[block.state]
    left, bottom = block.x - block.width / 2, block.y - block.height / 2
    ax.add_patch(
        FancyBboxPatch(
            (left, bottom),
            block.width,
            block.height,
            boxstyle="round,pad=0,rounding_size=0.8",
            facecolor=face,
            edgecolor=edge,
            linestyle=dashes,
            linewidth=0.8,
            hatch=_HATCHES.get(block.state),
            zorder=2,
            gid=f"block:{block.block}",
        )
    )
    colour = "#6B6B6B" if block.state == "removed" else "#111111"
    name = ax.text(
        block.x, block.y, block.label, ha="center", va="center", fontsize=7, color=colour, linespacing=1.15
    )
    if block.state in _HATCHES:
        name.set_bbox({"boxstyle": "square,pad=0.2", "facecolor": face, "edgecolor": "none"})
    ax.text(
        block.x,
        bottom - 1.0,
        block.detail,
        ha="center",
        va="top",
        fontsize=7,
        color="#444444",
        linespacing=1.1,
    )


def _draw_arrow(ax: Axes, start: Any, end: Any) -> None:
    """Draw from the right of `start` to the left of `end`, round two corners where their heights differ."""
    tail = (start["x"] + start["width"] / 2 + 0.3, start["y"])
    head = (end["x"] - end["width"] / 2 - 0.3, end["y"])
    corner = head[0] - _ELBOW_MM
    colour = "#8A8A8A" if end["state"] == "removed" else "#333333"
    ax.add_patch(
        FancyArrowPatch(
            path=Path([tail, (corner, tail[1]), (corner, head[1]), head]),
            arrowstyle="-|>,head_length=2.2,head_width=1.2",
            linestyle="--" if end["state"] == "removed" else "-",
            color=colour,
            linewidth=0.8,
            zorder=0.5 if end["state"] == "removed" else 1,
        )
    )


#: Length of the last, level piece of an arrow.
_ELBOW_MM = 4.0
