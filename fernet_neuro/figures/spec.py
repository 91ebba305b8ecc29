"""What a figure is: a name, its source data, how they are drawn and what a reader must be told.

What belongs here: nothing that loads what draws, so that figures can be listed without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fernet_neuro.catalogue import Entries, Later

if TYPE_CHECKING:
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


def place_figure(
    module: str,
    subject: str,
    name: str,
    title: str,
    needs: tuple[str, ...] = (),
    applies: Callable[[Path], bool] | None = None,
) -> FigureSpec:
    """Return a figure whose module is loaded when it is first drawn.

    Parameters
    ----------
    module : str
        It holds the functions ``read_SUBJECT``, ``draw_SUBJECT`` and ``caption_SUBJECT``.
    subject : str
    name, title, needs, applies
        Of the `FigureSpec`.

    Examples
    --------
    >>> place_figure("my_package.maps", "maps", "my-maps", "Maps").read.place
    'my_package.maps:read_maps'
    """
    read, draw, caption = (Later(f"{module}:{verb}_{subject}") for verb in ("read", "draw", "caption"))
    return FigureSpec(name, title, needs, read, draw, caption, applies)


#: All figures, those of systems too.
FIGURES: Mapping[str, FigureSpec] = Entries("figures", FigureSpec)
