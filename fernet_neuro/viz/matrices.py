"""Confusion matrices in per cent of the true label."""

import matplotlib as mpl
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
    import seaborn as sns

    labels = list(dict.fromkeys(frame["true"]))
    shown = [name for name in labels if frame.loc[frame["true"] == name, "percent"].notna().any()]
    matrix = frame.pivot_table("percent", "true", "predicted").reindex(shown, columns=labels)
    matrix = matrix.fillna(0.0)
    sns.heatmap(
        matrix, vmin=0, vmax=100, cmap=_CMAP, square=True, cbar=False, linewidths=0.4, ax=ax,
        annot=len(labels) <= _MOST_WRITTEN, fmt=".0f", annot_kws={"fontsize": 7},
        xticklabels=True, yticklabels=True,
    )  # fmt: skip
    for text in ax.texts:
        column, row = (int(place) for place in text.get_position())
        shade = mpl.colormaps[_CMAP](matrix.to_numpy()[row, column] / 100)
        # Black beats white where relative luminance passes 0.18, by WCAG; seaborn turns black later.
        text.set_color("black" if sns.utils.relative_luminance(shade) > 0.18 else "white")
    ax.set_xticklabels(labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticklabels(shown, rotation=0)
    ax.tick_params(length=0, pad=2)
    ax.set(xlabel="Predicted expression", ylabel="True expression")
    return ax
