"""What every panel of an RSA shows beside its scores: the noise ceiling as a band, and zero as a line."""

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

_BAND = "#D9D9D9"


def draw_ceiling(ax: Axes, lower: float, upper: float, *, vertical: bool = False) -> None:
    """Draw the noise ceiling from `lower` to `upper` as a band over the whole panel, and a line at 0.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    lower, upper : float
        In the unit of the score; NaN where no ceiling exists, and then no band is drawn.
    vertical : bool, default=False
        Whether scores run along x.
    """
    span, line = (ax.axvspan, ax.axvline) if vertical else (ax.axhspan, ax.axhline)
    if lower == lower and upper == upper:
        span(lower, upper, facecolor=_BAND, lw=0, zorder=0, gid="ceiling")
    line(0, color="#111111", lw=0.7, zorder=1, gid="zero")


def ceiling_legend(*, is_drawn: bool = True) -> list[Line2D | Patch]:
    """Return the legend's handles of the ceiling, where one is drawn, and of zero."""
    handles: list[Line2D | Patch] = [Patch(facecolor=_BAND, lw=0, label="noise ceiling")] if is_drawn else []
    handles.append(Line2D([], [], color="#111111", lw=0.7, label="no relation (0)"))
    return handles
