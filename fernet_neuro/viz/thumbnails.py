"""Small pictures in a plot: along axes, and at points."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

_POINTS_PER_MM = 72 / 25.4


def draw_thumbnail(
    ax: Axes,
    picture: np.ndarray,
    place: tuple[float, float],
    size_mm: float,
    *,
    offset_mm: tuple[float, float] = (0.0, 0.0),
    edge: str | None = None,
    gid: str | None = None,
) -> None:
    """Draw a picture of a given size, moved from a place of the data.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    picture : ndarray of shape (height, width, 3), uint8
    place : (float, float)
        Data coordinates.
    size_mm : float
        Its longer side on paper.
    offset_mm : (float, float)
        From the place to the picture's middle, y upwards.
    edge : str, optional
        Colour of a frame.
    gid : str, optional
        Label of the artist.
    """
    # One pixel is a point at zoom 1 where the canvas has 72 dots an inch, which `dpi_cor` makes true of all.
    image = OffsetImage(picture, zoom=size_mm * _POINTS_PER_MM / max(picture.shape[:2]), dpi_cor=True)
    box = AnnotationBbox(
        image,
        place,
        xybox=tuple(step * _POINTS_PER_MM for step in offset_mm),
        boxcoords="offset points",
        pad=0.2 if edge else 0.0,
        frameon=edge is not None,
        bboxprops={"edgecolor": edge, "linewidth": 1.2, "facecolor": "white"} if edge else None,
        annotation_clip=False,
    )
    if gid:
        box.set_gid(gid)
    ax.add_artist(box)


def draw_axis_thumbnails(
    ax: Axes,
    pictures: Mapping[str, np.ndarray],
    stimulus_ids: Sequence[str],
    places: Sequence[float],
    *,
    axis: str,
    size_mm: float,
    n_rows: int = 1,
) -> None:
    """Draw pictures beside an axis, in `n_rows` staggered rows with a thin line to their place.

    Parameters
    ----------
    ax : Axes
        Where to draw: an image whose y axis runs downwards.
    pictures : mapping of str to ndarray
        By stimulus id; a stimulus without one gets none.
    stimulus_ids : sequence of str
    places : sequence of float
        Their middles along the axis, in data units.
    axis : {"x", "y"}
        Below the panel, or left of it.
    size_mm : float
        Longer side of a picture.
    n_rows : int
        Neighbours lie in different rows.
    """
    ends = (ax.get_xlim()[0], max(ax.get_ylim()))
    for at, (stimulus_id, place) in enumerate(zip(stimulus_ids, places, strict=True)):
        if stimulus_id not in pictures:
            continue
        away = 0.8 + size_mm / 2 + (at % n_rows) * (size_mm + 0.3)
        spot, offset = ((place, ends[1]), (0, -away)) if axis == "x" else ((ends[0], place), (-away, 0))
        _draw_leader(ax, spot, offset, size_mm)
        draw_thumbnail(
            ax, pictures[stimulus_id], spot, size_mm, offset_mm=offset, gid=f"thumbnail:{axis}:{stimulus_id}"
        )


def _draw_leader(ax: Axes, spot: tuple[float, float], offset: tuple[float, float], size_mm: float) -> None:
    length = np.hypot(*offset) - size_mm / 2
    tip = tuple(step * length / np.hypot(*offset) * _POINTS_PER_MM for step in offset)
    ax.annotate(
        "", xy=spot, xytext=tip, textcoords="offset points", annotation_clip=False,
        arrowprops={"arrowstyle": "-", "lw": 0.35, "color": "#8A8A8A", "shrinkA": 0, "shrinkB": 0},
        zorder=0,
    )  # fmt: skip
