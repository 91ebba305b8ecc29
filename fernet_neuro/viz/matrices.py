"""Confusion matrices in per cent of the true label."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

_CMAP = "cividis"
#: With more labels than this, numbers do not fit their cells.
_MOST_WRITTEN = 12


def plot_confusion(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one confusion matrix; rows are the true labels and add up to 100 %.

    Parameters
    ----------
    frame : DataFrame
        One row per pair of labels: ``true``, ``predicted``, ``percent`` (of the true label's stimuli; NaN
        where it has none: it has no row then, only a column). Labels stand in order of appearance.
    ax : Axes
        Where to draw; its mesh (``ax.collections[0]``) serves a colour bar from 0 to 100 %.

    Returns
    -------
    Axes
        The same axes.
    """
    labels = list(dict.fromkeys(frame["true"]))
    shown = [name for name in labels if frame.loc[frame["true"] == name, "percent"].notna().any()]
    matrix = frame.pivot_table("percent", "true", "predicted").reindex(shown, columns=labels)
    matrix = matrix.fillna(0.0)
    values = matrix.to_numpy()
    ax.pcolormesh(values, vmin=0, vmax=100, cmap=_CMAP, linewidth=0.4, edgecolor="white")
    if len(labels) <= _MOST_WRITTEN:
        _write_numbers(values, ax)
    ax.set_aspect("equal")
    ax.set_xticks(np.arange(len(labels)) + 0.5, labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(len(shown)) + 0.5, shown)
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, pad=2)
    ax.set(xlabel="Predicted expression", ylabel="True expression")
    return ax


def _write_numbers(values: np.ndarray, ax: Axes) -> None:
    """Write each percentage into its cell, black where black is easier to read than white."""
    for (row, column), value in np.ndenumerate(values):
        red, green, blue = _linearise(mpl.colormaps[_CMAP](value / 100)[:3])
        # Black beats white where relative luminance passes 0.18, by WCAG.
        colour = "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"
        ax.text(column + 0.5, row + 0.5, f"{value:.0f}", color=colour, fontsize=7, ha="center", va="center")


def _linearise(channels: tuple[float, ...]) -> np.ndarray:
    """Return sRGB values (0-1) as intensities of light."""
    values = np.asarray(channels)
    return np.where(values <= 0.03928, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
