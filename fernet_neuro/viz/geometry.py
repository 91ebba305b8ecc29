"""Geometries of stimuli: RDMs as images, and points on a plane."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fernet_neuro.viz.maps import Look
from fernet_neuro.viz.thumbnails import draw_thumbnail

#: Sequential, even in lightness, and readable without colour vision.
RDM_CMAP = "cividis"


def plot_rdm(square: np.ndarray, ax: Axes, *, borders: Sequence[float] = ()) -> Axes:
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
    size_mm: float = 5.0,
    has_names: bool = False,
) -> Axes:
    """Draw stimuli as points on a plane, or as pictures framed in the colour of their label.

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
    size_mm : float
        Longer side of a picture.
    has_names : bool, default=False
        Whether points, which are no pictures, are named by their stimulus.

    Returns
    -------
    Axes
        The same axes, square and without ticks: only distances mean anything.
    """
    pictures = pictures or {}
    is_shown = frame["stimulus_id"].isin(list(pictures))
    for label, rows in frame[~is_shown].groupby("label", sort=False):
        look = looks.get(str(label), Look("#8A8A8A", "o"))
        ax.scatter(
            rows["x"], rows["y"], s=20, marker=look.marker, facecolor=look.colour, edgecolor="white",
            linewidth=0.4, gid=f"label:{label}", zorder=3,
        )  # fmt: skip
    for row in frame[~is_shown].itertuples() if has_names else ():
        ax.annotate(
            row.stimulus_id, (row.x, row.y), (0, 3), textcoords="offset points", ha="center", fontsize=5
        )
    # Invisible points make the limits right before pictures, which the axes do not know of, are laid on top.
    ax.scatter(frame["x"], frame["y"], s=0)
    for row in frame[is_shown].itertuples():
        edge = looks.get(str(row.label), Look("#8A8A8A", "o")).colour
        draw_thumbnail(
            ax,
            pictures[row.stimulus_id],
            (row.x, row.y),
            size_mm,
            edge=edge,
            gid=f"picture:{row.stimulus_id}",
        )
    ax.set(xticks=[], yticks=[])
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.15)
    for spine in ax.spines.values():
        spine.set(visible=True, color="#BDBDBD")
    return ax
