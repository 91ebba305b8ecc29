"""What a figure is: a name, its source data, how they are drawn and what a reader must be told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureSpec:
    """A figure or table of a paper, made from a results folder in two steps.

    The source data are read first and then drawn, so that the CSV beside the figure is by construction
    what the figure shows.

    Parameters
    ----------
    name : str
        The name on the command line and of the files.
    title : str
        One line for lists and headings.
    needs : tuple of str
        Files and folders that it reads, relative to the results folder (``*`` stands for any network).
    read : callable
        ``read(results) -> DataFrame``, the tidy source data.
    draw : callable
        ``draw(source, results) -> Figure``, called inside ``viz.style()``.
    caption : callable
        ``caption(source) -> str``: what is shown, what the intervals are over, which choices were fixed.
    applies : callable, optional
        ``applies(results) -> bool``, where having the files does not yet mean having what is drawn: RSA
        results may be of models that are not layers.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    read: Callable[[Path], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Path], Figure]
    caption: Callable[[pd.DataFrame], str]
    applies: Callable[[Path], bool] | None = None
