"""What Figures 5 and 6 share: whose results they draw, under which names, and panels in rows of three."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fernet_neuro.viz.style import figure_size, letter

PER_ROW = 3


def read_labels(results: Path) -> dict[str, str]:
    """Return how a table calls its arms and tests, by name; nothing where the folder is no table's."""
    recipe = results / "recipe.yaml"
    values = yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.is_file() else {}
    entries = {**values.get("tests", {}), **values.get("arms", {})}
    return {name: entry.get("label") or name for name, entry in entries.items()}


def make_panels(
    names: Sequence[str], row_mm: float, *, rest_mm: float = 0.0, share: bool = False
) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure and its axes by name, with letters where there are several; a column is half a page."""
    n_rows, n_columns = -(-len(names) // PER_ROW), min(len(names), PER_ROW)
    size = figure_size("single" if n_columns == 1 else "double", rest_mm + row_mm * n_rows)
    figure = Figure(figsize=size, layout="constrained")
    places = list(figure.subplots(n_rows, n_columns, squeeze=False, sharex=share, sharey=share).flat)
    for place, ax in enumerate(places):
        if place >= len(names):
            ax.set_axis_off()
        else:
            ax.set_title(letter("abcdefghijklmnopqrstuvwxyz"[place % 26], len(names)) + names[place])
    return figure, dict(zip(names, places, strict=False))


def name_side(axes: dict[str, Axes], text: str) -> None:
    """Name the y axis of the panels on the left alone."""
    for place, ax in enumerate(axes.values()):
        ax.set_ylabel("" if place % PER_ROW else text)
