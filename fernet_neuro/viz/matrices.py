"""Confusion matrices in per cent of the true label."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap

_CMAP = "cividis"


def plot_confusion(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one confusion matrix; rows are the true labels and add up to 100 %.

    Parameters
    ----------
    frame : DataFrame
        One row per pair of labels: ``true``, ``predicted``, ``percent`` (of the true label's stimuli).
        Labels stand in order of appearance.
    ax : Axes
        Where to draw; its image (``ax.images[0]``) serves a colour bar from 0 to 100 %.

    Returns
    -------
    Axes
        The same axes.
    """
    labels = list(dict.fromkeys(frame["true"]))
    cells = frame.set_index(["true", "predicted"])["percent"].to_dict()
    matrix = np.array([[cells.get((true, name), 0.0) for name in labels] for true in labels])
    image = ax.imshow(matrix, vmin=0, vmax=100, cmap=_CMAP)
    if len(labels) <= 12:
        _write_numbers(ax, matrix, image.norm(matrix), image.cmap)
    ax.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(length=0, pad=2)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", lw=0.5)
    ax.tick_params(which="minor", length=0)
    ax.set_xlabel("Predicted expression")
    ax.set_ylabel("True expression")
    return ax


def _write_numbers(ax: Axes, matrix: np.ndarray, shade: np.ndarray, cmap: Colormap) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        # Black beats white where relative luminance passes 0.18, by the contrast formula of WCAG.
        red, green, blue, _ = cmap(shade[row, column])
        light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
        colour = "black" if light > 0.18 else "white"
        ax.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=6, color=colour)
