"""Predicted against true values of a quantity."""

import pandas as pd
from matplotlib.axes import Axes

from fernet_neuro.viz.style import colour_of


def plot_predictions(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw a dot per stimulus, and the line on which a prediction is right.

    Parameters
    ----------
    frame : DataFrame
        One row per stimulus: ``true``, ``predicted``, ``target``, ``r2`` and ``rank_correlation``.
    ax : Axes
        Where to draw.

    Returns
    -------
    Axes
        The same axes.
    """
    first = frame.iloc[0]
    low, high = (end(frame["true"].agg(end), frame["predicted"].agg(end)) for end in (min, max))
    ax.plot([low, high], [low, high], color="#333333", lw=0.8, ls="--", zorder=1)
    (dots,) = ax.plot(
        frame["true"], frame["predicted"], ls="", marker="o", ms=3, mew=0, alpha=0.6,
        color=colour_of("trained"), rasterized=len(frame) > 2000, zorder=2,
    )  # fmt: skip
    dots.set_gid("predictions")
    rank = first["rank_correlation"]
    known = f", rank correlation {rank:.2f}" if pd.notna(rank) else ""
    ax.set_title(f"R2 {first['r2']:.2f}{known}")
    ax.set(xlabel=f"True {first['target']}", ylabel=f"Predicted {first['target']}")
    return ax
