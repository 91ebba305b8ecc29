"""Small pictures in a plot: along axes, and at points."""

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Rectangle

_POINTS_PER_MM = 72 / 25.4
#: Rounds in which squares push one another; of 40 in one place, some hundreds are needed.
_MOST_ROUNDS = 2000
#: How much farther than needed they go, in sides: or each round would leave a part of what is left.
_EXCESS = 0.02
#: White between a picture and its frame, as a share of the frame's side.
_FRAME = 0.06


def draw_thumbnail(
    ax: Axes,
    picture: np.ndarray,
    place: tuple[float, float],
    size_mm: float,
    *,
    offset_mm: tuple[float, float] = (0.0, 0.0),
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
    gid : str, optional
        Label of the artist.
    """
    # One pixel is a point at zoom 1 where the canvas has 72 dots an inch, which `dpi_cor` makes true of all.
    image = OffsetImage(picture, zoom=size_mm * _POINTS_PER_MM / max(picture.shape[:2]), dpi_cor=True)
    box = AnnotationBbox(
        image,
        place,
        xybox=(offset_mm[0] * _POINTS_PER_MM, offset_mm[1] * _POINTS_PER_MM),
        boxcoords="offset points",
        pad=0.0,
        frameon=False,
        annotation_clip=False,
    )
    if gid:
        box.set_gid(gid)
    ax.add_artist(box)


def draw_framed(
    ax: Axes, picture: np.ndarray, place: tuple[float, float], size: float, edge: str, *, gid: str
) -> None:
    """Draw a picture in a thin frame, as large as the axes' limits say.

    Parameters
    ----------
    ax : Axes
        Where to draw; of equal units on both axes. Limits must be set before.
    picture : ndarray of shape (height, width, 3), uint8
    place : (float, float)
        Its middle in data units.
    size : float
        Longer side of the frame in data units.
    edge : str
        Colour of the frame.
    gid : str
        Label of the picture; the frame's is ``frame:`` and this.
    """
    height, width = np.array(picture.shape[:2]) * size / max(picture.shape[:2])
    left, bottom, gap = place[0] - width / 2, place[1] - height / 2, _FRAME * size
    limits = ax.get_xlim(), ax.get_ylim()
    ax.add_patch(
        Rectangle((left, bottom), width, height, fc="white", ec=edge, lw=1.1, zorder=4, gid=f"frame:{gid}")
    )
    inside = (left + gap, left + width - gap, bottom + gap, bottom + height - gap)
    ax.imshow(picture, extent=inside, zorder=4, gid=gid, aspect="equal")
    ax.set(xlim=limits[0], ylim=limits[1])


def spread_places(
    places: np.ndarray, size: float, low: tuple[float, float], high: tuple[float, float]
) -> np.ndarray:
    """Return places near those given at which squares lie side by side, inside a rectangle.

    Squares that overlap push each other, in the direction in which less is needed, until none does; where
    there is no room for all, some still overlap.

    Parameters
    ----------
    places : ndarray of shape (n_places, 2)
        Middles of the squares.
    size : float
        Side of a square.
    low, high : (float, float)
        Corners of the rectangle.

    Returns
    -------
    ndarray of shape (n_places, 2)
        Middles; those of squares that overlap none and lie inside are the same.

    Examples
    --------
    >>> spread_places(np.array([[1.0, 1.0], [1.5, 1.0], [4.0, 4.0]]), 1.0, (0, 0), (5, 5)).round(2).tolist()
    [[0.74, 1.0], [1.76, 1.0], [4.0, 4.0]]
    """
    inner = np.add(low, size / 2), np.subtract(high, size / 2)
    spread = np.clip(np.asarray(places, dtype=float), *inner)
    # Squares at one place have no direction of their own: they get one by their order.
    order = np.arange(len(spread))
    ahead = np.sign(order[:, None] - order)
    for _ in range(_MOST_ROUNDS):
        apart = spread[:, None] - spread
        needed = size - np.abs(apart)
        overlaps = (needed > 1e-6 * size).all(axis=2) & (ahead != 0)
        if not overlaps.any():
            break
        along = needed.argmin(axis=2)[..., None] == np.arange(2)
        direction = np.where(apart == 0, ahead[..., None], np.sign(apart))
        push = np.where(overlaps[..., None] & along, direction * (needed + _EXCESS * size) / 2, 0.0)
        # The mean of what the neighbours ask for: their sum would overshoot and swing.
        spread = np.clip(spread + push.sum(axis=1) / np.maximum(overlaps.sum(axis=1), 1)[:, None], *inner)
    return spread


def draw_axis_thumbnails(
    ax: Axes,
    pictures: Mapping[str, np.ndarray],
    stimulus_ids: Iterable[str],
    places: Iterable[float],
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
