"""What the networks saw at the test: people by expressions, and one person by views."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from fernet_neuro.figures.results import find_probe_table
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.viz.sheets import plot_stimulus_sheet
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, figure_size

_N_IDENTITIES, _N_COLUMNS, _PIXELS = 4, 8, 256
#: Frontal views by the names of our renderer and of KDEF; else the first view of the table.
_FRONTAL = ("straight", "frontal", "S")
_VIEW_ORDER = ("full_left", "half_left", "straight", "half_right", "full_right")
_COLUMNS = (
    "panel", "row", "column", "row_label", "column_label", "stimulus_id", "path", "identity", "expression",
    "view", "session", "n_identities", "n_stimuli",
)  # fmt: skip


def read_sheet(results: Path) -> pd.DataFrame:
    """Return which stimulus stands in which cell; people are taken in the order of the table."""
    table = StimulusTable.read(find_probe_table(results))
    frame = table.frame
    view = next((name for name in _FRONTAL if (frame["view"] == name).any()), frame["view"].iloc[0])
    people = list(dict.fromkeys(frame["identity"]))[:_N_IDENTITIES]
    front = frame[frame["identity"].isin(people) & (frame["view"] == view)]
    cells = _cells(front, "a", "identity", people, "expression", sorted(front["expression"].unique()))
    calm = "neutral" if (frame["expression"] == "neutral").any() else frame["expression"].iloc[0]
    turned = frame[(frame["identity"] == people[0]) & (frame["expression"] == calm)]
    views = [name for name in _VIEW_ORDER if (turned["view"] == name).any()]
    views += [name for name in dict.fromkeys(turned["view"]) if name not in views]
    if len(views) > 1:
        cells += _cells(turned, "b", "identity", people[:1], "view", views)
    chosen = pd.DataFrame(cells)
    known = frame.set_index("stimulus_id").loc[chosen["stimulus_id"]].reset_index(drop=True)
    chosen = pd.concat([chosen, known[["path", "identity", "expression", "view", "session"]]], axis=1)
    return chosen.assign(n_identities=frame["identity"].nunique(), n_stimuli=len(frame))[list(_COLUMNS)]


def _cells(
    frame: pd.DataFrame, panel: str, by_row: str, rows: list[str], by_column: str, columns: list[str]
) -> list[dict]:
    """Return the first stimulus of each combination of a row and a column label."""
    first = frame.drop_duplicates([by_row, by_column]).set_index([by_row, by_column])["stimulus_id"]
    return [
        {
            "panel": panel,
            "row": row,
            "column": column,
            "row_label": row_label,
            "column_label": column_label,
            "stimulus_id": first[row_label, column_label],
        }
        for row, row_label in enumerate(rows)
        for column, column_label in enumerate(columns[:_N_COLUMNS])
        if (row_label, column_label) in first.index
    ]


def draw_sheet(source: pd.DataFrame, results: Path) -> Figure:
    """Draw the panels below one another, with cells of one size; places are computed in mm."""
    panels = [panel for _, panel in source.groupby("panel")]
    images = _read_images(source, find_probe_table(results).parent)
    aspect = max(image.shape[0] / image.shape[1] for image in images.values())
    left = 2.5 + _MM_PER_LETTER * source["row_label"].astype(str).str.len().max()
    cell = min((_WIDTH_MM - left - 1) / (source["column"].max() + 1), _MAX_CELL_MM)
    heights = [(panel["row"].max() + 1) * aspect * cell for panel in panels]
    total = sum(heights) + _HEAD_MM * len(panels) + 1
    figure = Figure(figsize=figure_size("one-and-half", total))
    top = total
    for panel, height in zip(panels, heights, strict=True):
        top -= _HEAD_MM + height
        width = (panel["column"].max() + 1) * cell
        ax = figure.add_axes((left / _WIDTH_MM, top / total, width / _WIDTH_MM, height / total))
        plot_stimulus_sheet(panel, images, ax)
        name = panel["panel"].iloc[0]
        ax.set_title(f"$\\bf{{{name}}}$  {_TITLES[name]}", pad=4)
    return figure


#: The page, the room for a title and column labels, the widest cell, and an upper bound for a letter of 7 pt.
_WIDTH_MM, _HEAD_MM, _MAX_CELL_MM, _MM_PER_LETTER = COLUMN_WIDTHS_MM["one-and-half"], 10.0, 22.0, 1.45
_TITLES = {"a": "Identities by expressions", "b": "One identity by views"}


def _read_images(source: pd.DataFrame, root: Path) -> dict[str, np.ndarray]:
    """Return the pictures by stimulus id, no larger than print needs."""
    images = {}
    for stimulus_id, path in zip(source["stimulus_id"], source["path"], strict=True):
        image = Image.fromarray(load_image(root / path))
        image.thumbnail((_PIXELS, _PIXELS), Image.Resampling.LANCZOS)
        images[stimulus_id] = np.asarray(image)
    return images


def caption_sheet(source: pd.DataFrame) -> str:
    """Say what is sampled, and how."""
    first = source[source["panel"] == "a"]
    views = f", view {first['view'].iloc[0]}" if first["view"].iloc[0] else ""
    text = (
        f"Sample of the probe stimuli ({source['n_stimuli'].iloc[0]} pictures of "
        f"{source['n_identities'].iloc[0]} identities). (a) The first {first['row'].max() + 1} identities of "
        f"the table (rows) by expression (columns){views}."
    )
    turned = source[source["panel"] == "b"]
    if len(turned):
        text += f" (b) Views of identity {turned['identity'].iloc[0]}, {turned['expression'].iloc[0]}."
    return text + " Pictures are the first of each combination in the table, not chosen by hand."
