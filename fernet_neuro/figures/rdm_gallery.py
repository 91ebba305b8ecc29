"""RDMs of brain regions and models side by side, with the stimuli along their axes."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.figures.rsa_results import list_rdms, read_pictures
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.viz.geometry import plot_rdm
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, figure_size
from fernet_neuro.viz.thumbnails import draw_axis_thumbnails

#: What stays readable on a page.
MOST_RDMS, MOST_THUMBNAILS = 12, 28
#: Of more stimuli without labels, about so many are named.
_SOME = 10
#: Bands of the page in mm: title of a panel, gaps between panels (with pictures, the wide one), colour
#: bar, edge; a letter of a label, a line of them, and a letter of a title.
_TITLE, _GAP, _WIDE_GAP, _BAR, _EDGE, _LETTER, _LINE = 5.0, 3.0, 4.5, 12.0, 2.5, 1.35, 2.7
_TITLE_LETTER = 1.45
#: Thumbnails in mm: of single stimuli in staggered rows, and of the first stimulus of a label.
_SMALL, _LARGE = 5.0, 7.0
_COLUMNS = (
    "panel", "rdm", "shown", "kind", "distance", "unit", "row", "column", "stimulus_1", "stimulus_2",
    "label_1", "label_2", "factor", "dissimilarity", "percentile", "n_rdms", "n_averaged",
)  # fmt: skip


def read_gallery(results: Path) -> pd.DataFrame:
    """Return the source data, one row per RDM and pair of stimuli, stimuli in the order that is drawn.

    RDMs are the mean of each ROI and then the models, those without layers first; twelve at most.
    Percentiles are ranks within an RDM, in %, since units differ.
    """
    order, named, n_averaged = list_rdms(results)
    parts = [
        _read_rdm(order, item.rdms).assign(panel=letter, rdm=item.name, shown=item.shown, kind=item.kind)
        for letter, item in zip("abcdefghijkl", named, strict=False)
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(n_rdms=len(named), n_averaged=n_averaged)[list(_COLUMNS)]


def _read_rdm(order: pd.DataFrame, rdms: RDMSet) -> pd.DataFrame:
    rows, columns = np.triu_indices(rdms.n_stimuli, 1)
    values, table = rdms.dissimilarities[0], rdms.table.iloc[0]
    return pd.DataFrame(
        {
            "distance": table.get("distance") or rdms.distance,
            "unit": rdms.unit,
            "row": rows,
            "column": columns,
            "stimulus_1": order["stimulus_id"].to_numpy()[rows],
            "stimulus_2": order["stimulus_id"].to_numpy()[columns],
            "label_1": order["label"].to_numpy()[rows],
            "label_2": order["label"].to_numpy()[columns],
            "factor": order["factor"].iloc[0],
            "dissimilarity": values,
            "percentile": _percentiles(values),
        }
    )


def _percentiles(values: np.ndarray) -> np.ndarray:
    """Return ranks of the present values from 0 to 100 %, ties at their mean."""
    present = ~np.isnan(values)
    ranks = np.full(len(values), np.nan)
    n_present = int(present.sum())
    if n_present > 1:
        ranks[present] = 100 * (rankdata(values[present]) - 1) / (n_present - 1)
    return ranks


def draw_gallery(source: pd.DataFrame, results: Path) -> Figure:
    """Draw the RDMs on a grid; stimuli stand left of its first column and below its last row, in mm."""
    panels = [rows for _, rows in source.groupby("panel")]
    stimuli = _list_stimuli(panels[0])
    wanted = _choose_marks(stimuli)
    pictures = read_pictures(results, set(wanted["stimulus_id"]))
    blocks = _find_blocks(stimuli)
    page = _Page(len(panels), len(stimuli), wanted, blocks, bool(pictures))
    figure = Figure(figsize=figure_size(page.width_name, page.height))
    borders = _find_borders(stimuli["label"])
    for at, rows in enumerate(panels):
        ax = figure.add_axes(page.place(at))
        plot_rdm(_to_square(rows, len(stimuli)), ax, borders=borders)
        ax.set_title(f"$\\bf{{{rows['panel'].iloc[0]}}}$  {page.fit_title(rows['shown'].iloc[0])}", pad=3)
        if page.is_first(at):
            _mark_stimuli(ax, "y", wanted, blocks, pictures, page)
        if page.is_last(at):
            _mark_stimuli(ax, "x", wanted, blocks, pictures, page)
    bar = figure.add_axes(page.bar())
    figure.colorbar(figure.axes[0].images[0], cax=bar, orientation="horizontal")
    bar.set_xlabel("Dissimilarity (percentile within an RDM, %)", labelpad=1)
    bar.tick_params(pad=1)
    return figure


def _list_stimuli(rows: pd.DataFrame) -> pd.DataFrame:
    """Return id and label of each stimulus, in the order that is drawn."""
    first = rows[rows["row"] == 0].sort_values("column")
    return pd.DataFrame(
        {
            "stimulus_id": [rows["stimulus_1"].iloc[0], *first["stimulus_2"]],
            "label": [rows["label_1"].iloc[0], *first["label_2"]],
            "factor": rows["factor"].iloc[0],
        }
    ).fillna("")


def _choose_marks(stimuli: pd.DataFrame) -> pd.DataFrame:
    """Return what stands along an axis: each stimulus, the first of each label, or some of many.

    Columns: ``stimulus_id``, ``text``, ``place`` (its middle, in stimuli) and ``is_block``.
    """
    n_stimuli = len(stimuli)
    if n_stimuli > MOST_THUMBNAILS and stimuli["factor"].iloc[0]:
        return _find_blocks(stimuli)
    step = 1
    if n_stimuli > MOST_THUMBNAILS:
        step = next(nice for nice in (5, 10, 20, 50, 100, 200, 500, n_stimuli) if n_stimuli <= nice * _SOME)
    kept = np.arange(0, n_stimuli, step)
    ids = stimuli["stimulus_id"].to_numpy()[kept]
    return pd.DataFrame({"stimulus_id": ids, "text": ids, "place": kept.astype(float), "is_block": False})


def _find_blocks(stimuli: pd.DataFrame) -> pd.DataFrame:
    """Return the same columns for the labels of the factor; no rows where there is none."""
    labelled = stimuli[stimuli["factor"] != ""].reset_index(names="at")
    blocks = labelled.groupby("label", sort=False).agg(
        stimulus_id=("stimulus_id", "first"), low=("at", "min"), high=("at", "max")
    )
    return pd.DataFrame(
        {
            "stimulus_id": blocks["stimulus_id"],
            "text": blocks.index.astype(str),
            "place": (blocks["low"] + blocks["high"]) / 2,
            "is_block": True,
        }
    ).reset_index(drop=True)


class _Page:
    """Places of panels on the page, in mm."""

    def __init__(
        self, n_panels: int, n_stimuli: int, marks: pd.DataFrame, blocks: pd.DataFrame, has_pictures: bool
    ) -> None:
        self.n_panels, self.n_stimuli = n_panels, n_stimuli
        self.n_columns = {1: 1, 2: 2, 4: 2}.get(n_panels, 3 if n_panels <= 9 else 4)
        self.width_name = {1: "single", 2: "one-and-half"}.get(self.n_columns, "double")
        self.width = COLUMN_WIDTHS_MM[self.width_name]
        is_block = bool(marks["is_block"].iloc[0])
        # Pictures of single stimuli lie in staggered rows.
        self.n_rows = 1 if is_block else 3
        self.shows_text = is_block or not has_pictures
        self.gap = _WIDE_GAP if has_pictures else _GAP
        text = 1.5 + _LETTER * int(marks["text"].str.len().max()) if self.shows_text else 0.0
        # Names of labels, written once beside the pictures of single stimuli.
        names = 1.5 + _LETTER * blocks["text"].str.len().max() if has_pictures and len(blocks) else 0.0
        self.thumbnail = _LARGE if is_block else _SMALL
        for _ in range(
            2
        ):  # Narrower pictures leave room for wider panels, which changes little the second time.
            self.text_at = 0.8 + self.n_rows * (self.thumbnail + 0.3) if has_pictures else 0.0
            self.margin = self.text_at + text + 1.0
            self.left = max(self.margin, self.text_at + names + 1.0)
            room = self.width - self.left - _EDGE - self.gap * (self.n_columns - 1)
            self.side = room / self.n_columns
            # Pictures of one row never touch.
            self.thumbnail = min(self.thumbnail, 0.96 * self.n_rows * self.side / len(marks))
        self.n_lines = -(-n_panels // self.n_columns)
        self.height = self.n_lines * (self.side + _TITLE + 1.0) + self.margin + _BAR

    def place(self, at: int) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a panel as shares of the page."""
        line, column = divmod(at, self.n_columns)
        left = self.left + column * (self.side + self.gap)
        bottom = self.height - (line + 1) * (self.side + _TITLE + 1.0)
        return left / self.width, bottom / self.height, self.side / self.width, self.side / self.height

    def fit_title(self, name: str) -> str:
        """Return a name no wider than a panel; its start is kept, and its end, which says the layer."""
        most = max(int(self.side / _TITLE_LETTER) - 4, 8)
        return name if len(name) <= most else f"{name[: most // 2]}…{name[most // 2 + 1 - most :]}"

    def fit_names(self, named: pd.DataFrame) -> pd.DataFrame:
        """Return the names that have room for a line each; others are left out."""
        apart = _LINE * self.n_stimuli / self.side
        kept: list[int] = []
        for at, place in enumerate(named["place"]):
            if not kept or place - named["place"].iloc[kept[-1]] >= apart:
                kept.append(at)
        return named.iloc[kept]

    def is_first(self, at: int) -> bool:
        """Return whether a panel is the first of its line."""
        return at % self.n_columns == 0

    def is_last(self, at: int) -> bool:
        """Return whether no panel lies below."""
        return at + self.n_columns >= self.n_panels

    def bar(self) -> tuple[float, float, float, float]:
        """Return the place of the colour bar."""
        length = min(60.0, self.width - self.left - 8)
        left = (self.left + (self.width - self.left - length) / 2) / self.width
        return left, 7.0 / self.height, length / self.width, 2.2 / self.height


def _mark_stimuli(
    ax: Axes,
    axis: Literal["x", "y"],
    marks: pd.DataFrame,
    blocks: pd.DataFrame,
    pictures: dict[str, np.ndarray],
    page: _Page,
) -> None:
    draw_axis_thumbnails(
        ax,
        pictures,
        marks["stimulus_id"],
        marks["place"],
        axis=axis,
        size_mm=page.thumbnail,
        n_rows=page.n_rows,
    )
    if not page.shows_text and axis == "x":
        return
    named = page.fit_names(marks if page.shows_text else blocks)
    if axis == "x":
        ax.set_xticks(named["place"], named["text"], rotation=90)
    else:
        ax.set_yticks(named["place"], named["text"])
    has_ticks = page.shows_text and not (pictures or marks["is_block"].iloc[0])
    ax.tick_params(axis=axis, length=1.5 if has_ticks else 0, pad=page.text_at * 72 / 25.4 + 1.5)


def _find_borders(labels: pd.Series) -> np.ndarray:
    values = labels.to_numpy()
    return np.flatnonzero(values[1:] != values[:-1]) + 1


def _to_square(rows: pd.DataFrame, n_stimuli: int) -> np.ndarray:
    square = np.full((n_stimuli, n_stimuli), np.nan)
    square[rows["row"], rows["column"]] = rows["percentile"]
    square[rows["column"], rows["row"]] = rows["percentile"]
    return square


def caption_gallery(source: pd.DataFrame) -> str:
    """Say which RDMs are shown, the scale that they share, and the order of the stimuli."""
    first = source.drop_duplicates("panel")
    brains, models = first[first["kind"] == "brain"], first[first["kind"] == "model"]
    names = ", ".join(f"({row.panel}) {row.shown}" for row in iterate_rows(brains))
    n_stimuli = int(source["column"].max()) + 1
    distances = [name for name in dict.fromkeys(brains["distance"].fillna("")) if name]
    said = f" ({', '.join(distances).replace('_', ' ')})" if distances else ""
    text = (
        f"Representational dissimilarity matrices of {n_stimuli} stimuli{said}. Regions of the brain, "
        f"mean over {int(source['n_averaged'].iloc[0])} RDMs each: {names}."
    )
    if len(models):
        text += f" Models: {', '.join(f'({row.panel}) {row.shown}' for row in iterate_rows(models))}."
    text += (
        " All share one colour scale, the percentile of a pair's dissimilarity among all pairs of that RDM, "
        "since units differ; white: the diagonal, and missing pairs."
    )
    factor = source["factor"].fillna("").iloc[0]
    text += f" Stimuli are ordered by {factor}." if factor else " Stimuli stand in the order of the files."
    if int(first["n_rdms"].iloc[0]) > MOST_RDMS:
        text += f" The first {MOST_RDMS} of {int(first['n_rdms'].iloc[0])} RDMs are drawn."
    return text
