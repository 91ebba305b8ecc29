"""Contact sheets: pictures in labelled rows and columns."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fernet_neuro._utils.tables import iterate_rows


def plot_stimulus_sheet(frame: pd.DataFrame, images: Mapping[str, np.ndarray], ax: Axes) -> Axes:
    """Draw pictures on a grid; a cell without a picture stays empty.

    Parameters
    ----------
    frame : DataFrame
        One row per picture: ``row`` and ``column`` (places on the grid), ``row_label``,
        ``column_label`` and ``stimulus_id``.
    images : mapping of str to ndarray of shape (height, width, 3), uint8
        Pictures by stimulus id; they are drawn square cells' width, heights keep their aspect.
    ax : Axes
        Where to draw.

    Returns
    -------
    Axes
        The same axes.
    """
    aspect = max(image.shape[0] / image.shape[1] for image in images.values())
    for cell in iterate_rows(frame):
        image = images[cell.stimulus_id]
        height = image.shape[0] / image.shape[1]
        left, top = cell.column + _GAP / 2, cell.row * aspect + _GAP / 2
        extent = (left, left + 1 - _GAP, top + height * (1 - _GAP), top)
        ax.imshow(image, extent=extent, interpolation="antialiased", aspect="equal")
    rows = frame.drop_duplicates("row")
    columns = frame.drop_duplicates("column")
    ax.set_yticks((rows["row"] + 0.5) * aspect, rows["row_label"])
    ax.set_xticks(columns["column"] + 0.5, columns["column_label"].str.replace("_", " "))
    ax.set_xlim(0, frame["column"].max() + 1)
    ax.set_ylim((frame["row"].max() + 1) * aspect, 0)
    ax.tick_params(length=0, pad=2, top=False, bottom=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    return ax


#: Space between pictures, as a share of a cell.
_GAP = 0.05
