"""Maps of the brain: through a glass brain, and on slices of the MNI template.

What belongs here: nilearn's plots inside our axes. No other module beside those of ``brain`` imports nilearn.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize

#: Letters of nilearn's glass brain: from the left, from behind, from the right, from above.
GLASS_VIEWS = "lyrz"


def map_colours() -> Colormap:
    """Return the colours of values above 0, dark enough on white from the smallest on."""
    # The lightest sixth of the scale would vanish on white.
    return LinearSegmentedColormap.from_list("map", mpl.colormaps["YlOrRd"](np.linspace(0.35, 1, 128)))


def plot_glass_map(image: Any, ax: Axes, *, vmax: float, threshold: float = 0.0) -> Axes:
    """Draw the largest values along each line of sight, above a threshold.

    Parameters
    ----------
    image : Nifti1Image
        In MNI space; values of 0 or more.
    ax : Axes
        Its place is divided into four views.
    vmax : float
        Value of the darkest colour.
    threshold : float, default=0
        Values no larger are not drawn.

    Returns
    -------
    Axes
        The same axes.
    """
    from nilearn import plotting

    with _allowing_empty_maps():
        display = plotting.plot_glass_brain(
            image,
            axes=ax,
            display_mode=GLASS_VIEWS,
            plot_abs=False,
            alpha=0.6,
            **_colour_options(vmax, threshold),
        )
    display.annotate(size=7)
    return ax


def plot_map_slices(
    image: Any, ax: Axes, place: Sequence[float], *, vmax: float, threshold: float = 0.0
) -> Axes:
    """Draw three slices through a place on the MNI template, values above a threshold in colour.

    Parameters
    ----------
    image : Nifti1Image
        In MNI space; values of 0 or more.
    ax : Axes
        Its place is divided into a coronal, a sagittal and a horizontal slice.
    place : sequence of three floats
        In mm.
    vmax, threshold : float
        As in `plot_glass_map`.

    Returns
    -------
    Axes
        The same axes.
    """
    from nilearn import plotting

    with _allowing_empty_maps():
        display = plotting.plot_stat_map(
            image,
            axes=ax,
            display_mode="ortho",
            cut_coords=tuple(place),
            black_bg=False,
            draw_cross=False,
            **_colour_options(vmax, threshold),
        )
    display.annotate(size=7)
    return ax


def map_scale(vmax: float) -> tuple[Normalize, Colormap]:
    """Return scale and colours of both plots, for a colour bar."""
    return Normalize(0, vmax), map_colours()


def _colour_options(vmax: float, threshold: float) -> dict[str, Any]:
    return {
        "cmap": map_colours(),
        "vmin": 0,
        "vmax": vmax,
        "symmetric_cbar": False,
        "colorbar": False,
        "annotate": False,
        # nilearn shows values at the threshold; single-precision maps hold the threshold itself.
        "threshold": float(np.nextafter(np.float32(threshold), np.float32(np.inf))),
    }


@contextmanager
def _allowing_empty_maps() -> Iterator[None]:
    """Let a map without any significant voxel be drawn: nilearn warns of it, the title says it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "empty mask", UserWarning)
        yield
