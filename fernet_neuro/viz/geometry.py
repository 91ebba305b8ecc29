"""Geometries of stimuli: RDMs as images, and points on a plane."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.viz.maps import Look
from fernet_neuro.viz.thumbnails import draw_framed, spread_places

#: Sequential, even in lightness, and readable without colour vision.
RDM_CMAP = "cividis"
#: Look of stimuli whose label has none.
_GREY = Look("#8A8A8A", "o")
#: Share of a panel's side that is free around points.
_ROOM = 0.23
#: In sides of a picture: what is free around the middles of pictures, their least distance, and that of one
#: from the panel's edge.
_PICTURE_ROOM, _STEP, _EDGE = 1.9, 1.12, 0.15


def plot_rdm(square: np.ndarray, ax: Axes, *, borders: Iterable[float] = ()) -> Axes:
    """Draw one RDM as an image of percentiles; its diagonal and missing pairs are white.

    Parameters
    ----------
    square : ndarray of shape (n_stimuli, n_stimuli)
        In % (0 to 100); NaN where a pair is missing, and on the diagonal.
    ax : Axes
        Where to draw; its image (``ax.images[0]``) serves a colour bar.
    borders : sequence of float
        Where blocks of stimuli end, in stimuli: thin lines across.

    Returns
    -------
    Axes
        The same axes, without ticks.
    """
    # NaN is transparent: the white of the page.
    ax.imshow(square, vmin=0, vmax=100, cmap=RDM_CMAP, interpolation="nearest")
    for border in borders:
        ax.axhline(border - 0.5, color="white", lw=0.6)
        ax.axvline(border - 0.5, color="white", lw=0.6)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def plot_arrangement(
    frame: pd.DataFrame,
    ax: Axes,
    looks: Mapping[str, Look],
    *,
    pictures: Mapping[str, np.ndarray] | None = None,
    size: float = 0.1,
    has_names: bool = False,
) -> Axes:
    """Draw stimuli as points on a plane, or as pictures framed in the colour of their label.

    Pictures that would hide one another are moved apart, as little as that takes; where one does not cover
    its place any more, a point and a line show it.

    Parameters
    ----------
    frame : DataFrame
        One row per stimulus: ``stimulus_id``, ``label``, ``x``, ``y``.
    ax : Axes
        Where to draw. Points of a label are one artist, ``label:<name>``; pictures ``picture:<id>``.
    looks : mapping of str to Look
        Hue and shape by label; stimuli whose label has none are grey.
    pictures : mapping of str to ndarray, optional
        By stimulus id; the others are points.
    size : float, default=0.1
        Longer side of a picture with its frame, as a share of the panel's side.
    has_names : bool, default=False
        Whether points, which are not pictures, are named by their stimulus.

    Returns
    -------
    Axes
        The same axes, square and without ticks: only distances mean anything.
    """
    pictures = pictures or {}
    is_shown = frame["stimulus_id"].isin(list(pictures))
    side = _set_square_limits(
        ax, frame[["x", "y"]].to_numpy(), _PICTURE_ROOM * size if is_shown.any() else _ROOM
    )
    for label, rows in frame[~is_shown].groupby("label", sort=False):
        look = looks.get(str(label), _GREY)
        ax.scatter(
            rows["x"], rows["y"], s=20, marker=look.marker, facecolor=look.colour, edgecolor="white",
            linewidth=0.4, gid=f"label:{label}", zorder=3,
        )  # fmt: skip
    for row in iterate_rows(frame[~is_shown]) if has_names else ():
        ax.annotate(
            row.stimulus_id, (row.x, row.y), (0, 3), textcoords="offset points", ha="center", fontsize=7
        )
    _draw_pictures(ax, frame[is_shown], looks, pictures, size * side)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color="#BDBDBD")
    return ax


def _set_square_limits(ax: Axes, points: np.ndarray, taken: float) -> float:
    """Set limits of one length, with `taken` of it free around the points; return the length."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max() / (1 - taken)) or 1.0
    middle = (low + high) / 2
    ax.set(xlim=middle[0] + np.array([-0.5, 0.5]) * side, ylim=middle[1] + np.array([-0.5, 0.5]) * side)
    ax.set_aspect("equal", adjustable="box")
    return side


def _draw_pictures(
    ax: Axes, rows: pd.DataFrame, looks: Mapping[str, Look], pictures: Mapping[str, np.ndarray], size: float
) -> None:
    """Draw pictures of a size in data units side by side, with a mark where one does not cover its place."""
    points = rows[["x", "y"]].to_numpy()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    edge = _EDGE * size
    places = spread_places(points, _STEP * size, (left + edge, bottom + edge), (right - edge, top - edge))
    for row, point, place in zip(iterate_rows(rows), points, places, strict=True):
        colour = looks.get(str(row.label), _GREY).colour
        name = row.stimulus_id
        draw_framed(ax, pictures[name], tuple(place), size, colour, gid=f"picture:{name}")
        away = point - place
        if np.abs(away).max() > size / 2:
            start = place + away * size / 2 / np.abs(away).max()
            ax.plot(*zip(point, start, strict=True), color=colour, lw=0.8, zorder=5, gid=f"line:{name}")
            look: dict[str, Any] = {"color": colour, "edgecolor": "white", "linewidth": 0.4, "zorder": 6}
            ax.scatter(point[0], point[1], s=7, gid=f"point:{name}", **look)
