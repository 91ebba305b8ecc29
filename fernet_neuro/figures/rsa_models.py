"""How well models account for brain regions, against zero, the noise ceiling and one another."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.figures.rsa_results import (
    COMPARISON_LABELS,
    NAMELESS,
    Analysis,
    list_panels,
    read_analyses,
    read_estimates,
)
from fernet_neuro.viz.model_dots import model_dots_legend, plot_model_dots, plot_pairwise
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, figure_size

#: More models than this are not drawn: neither rows nor cells could be read.
MOST_MODELS = 16
#: Longer names are cut in the middle.
MOST_LETTERS = 26
#: What stands for "untrained" in them.
_UNTRAINED = "untr. "
#: The level of every test that is drawn.
ALPHA = 0.05
#: As many panels as a page holds.
MOST_PANELS = 8
#: The tallest page in mm.
_TALLEST = 222.0
#: Bands of the page in mm: a row, a panel's title and axis, the gap between panels, a line of the legend.
_WIDEST_ROW, _HEAD, _FOOT, _GAP, _LINE = 4.6, 8.0, 10.0, 3.0, 4.4
#: Least width of names, a matrix's least and widest, and the least that dots need to be read, in mm.
_LEAST_NAMES, _LEAST_MATRIX, _WIDEST_MATRIX, _LEAST_DOTS = 14.0, 6.0, 42.0, 24.0
#: Size of the rows' names in points.
_NAME_SIZE = 7.0
_COLUMNS = (
    "panel", "kind", "roi", "analysis", "row", "model", "shown", "column", "model_2", "subject", "comparison",
    "value", "low", "high", "level_percent", "difference", "p_value", "p_max", "p_permutation",
    "p_ceiling", "p_ceiling_max", "significant", "noise_ceiling_lower", "noise_ceiling_upper",
    "attainable", "n_subjects", "n_stimuli", "n_models", "interval",
)  # fmt: skip


def read_models(results: Path) -> pd.DataFrame:
    """Return the source data: means, subjects and pairs (``kind``) of each ROI and analysis.

    Models are those that are no layers of a network, or all where there are no others; the first 16,
    in the first eight panels.
    """
    parts = []
    letters = iter("abcdefgh"[:MOST_PANELS])
    for analysis in read_analyses(results):
        estimates = _choose_models(read_estimates(analysis))
        for roi, rows in estimates.groupby("roi", sort=False):
            panel = next(letters, "")
            if panel:
                parts.append(_read_roi(analysis, str(roi), rows).assign(panel=panel))
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(roi=frame["roi"].replace("", NAMELESS))[list(_COLUMNS)]


def _choose_models(frame: pd.DataFrame) -> pd.DataFrame:
    plain = frame[frame["layer"] == ""]
    chosen = plain if len(set(plain["model"])) > 1 else frame
    names = list(dict.fromkeys(chosen["model"]))
    return chosen[chosen["model"].isin(names[:MOST_MODELS])].assign(n_models=len(names))


def _read_roi(analysis: Analysis, roi: str, estimates: pd.DataFrame) -> pd.DataFrame:
    place = {model: at for at, model in enumerate(dict.fromkeys(estimates["model"]))}
    means = estimates.assign(kind="mean", value=estimates["estimate"], significant=estimates["p_max"] < ALPHA)
    attainable = analysis.settings.get("attainable", {})
    means = means.assign(attainable=[attainable.get(name, np.nan) for name in means["model"]])
    subjects = analysis.read("subjects")
    subjects = subjects[(subjects["roi"] == roi) & subjects["model"].isin(place)].assign(kind="subject")
    pairs = analysis.read("pairwise")
    pairs = pairs[(pairs["roi"] == roi) & pairs["model_1"].isin(place) & pairs["model_2"].isin(place)]
    pairs = pairs.assign(
        kind="pair", model=pairs["model_1"], column=pairs["model_2"].map(place),
        significant=pairs["p_max"] < ALPHA,
    )  # fmt: skip
    frame = pd.concat([means, subjects, pairs], ignore_index=True)
    known = {
        name: estimates[name].iloc[0]
        for name in ("comparison", "level_percent", "n_subjects", "n_stimuli", "n_models")
    }
    return frame.assign(
        roi=roi,
        analysis=analysis.name,
        row=frame["model"].map(place),
        shown=frame["model"].map(analysis.words),
        interval=analysis.describe_intervals(),
        **known,
    )


def draw_models(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw per ROI the models' dots and, right of them, the matrix of pairs; places are computed in mm."""
    panels = [rows for _, rows in source.groupby("panel")]
    page = _Page(source, len(panels))
    figure = Figure(figsize=figure_size(page.width_name, page.height))
    limits = _limits(source)
    for at, rows in enumerate(panels):
        _draw_panel(figure, page, rows, at, limits)
    handles = model_dots_legend(
        interval=f"{source['level_percent'].iloc[0]:g} % interval",
        has_ceiling=bool(source["noise_ceiling_lower"].notna().any()),
    )
    figure.legend(
        handles=handles, loc="lower center", ncols=page.legend_columns, fontsize=7, borderaxespad=0.3
    )
    return figure


class _Page:
    """Places of panels on the page, in mm."""

    def __init__(self, source: pd.DataFrame, n_panels: int) -> None:
        means = source[source["kind"] == "mean"]
        self.n_rows = means.groupby("panel")["row"].max().add(1)
        self.n_columns = 1 if n_panels == 1 else 2
        self.width_name = "one-and-half" if n_panels == 1 else "double"
        self.width = COLUMN_WIDTHS_MM[self.width_name]
        widest = max(_measure(_name_row(row)) for row in iterate_rows(means))
        self.legend_columns = 4 if n_panels > 1 else 3
        self.legend = _LINE * -(-7 // self.legend_columns) + 1
        most, n_lines = int(self.n_rows.max()), -(-n_panels // self.n_columns)
        self.row = min(_WIDEST_ROW, ((_TALLEST - self.legend) / n_lines - _HEAD - _FOOT) / most)
        self.block = (self.width - 2) / self.n_columns
        room = self.block - 2 * _GAP - _LEAST_DOTS
        self.names = min(max(widest + _GAP, _LEAST_NAMES), room - _LEAST_MATRIX)
        room -= self.names
        self.matrix = min(self.row * most, _WIDEST_MATRIX, room) if most > 1 else 0.0
        self.panel_height = _HEAD + self.row * most + _FOOT
        self.height = n_lines * self.panel_height + self.legend

    def places(self, at: int) -> list[tuple[float, float, float, float]]:
        """Return left, bottom, width and height of the dots and of the matrix of a panel, as shares."""
        line, column = divmod(at, self.n_columns)
        rows = self.row * int(self.n_rows.iloc[at])
        bottom = self.height - line * self.panel_height - _HEAD - rows
        # All panels name their rows: ROIs of several analyses need not have the same models.
        left = column * self.block + self.names
        matrix = self.matrix * int(self.n_rows.iloc[at]) / int(self.n_rows.max())
        dots = self.block - self.names - self.matrix - 2 * _GAP
        return [
            (left / self.width, bottom / self.height, dots / self.width, rows / self.height),
            (
                (left + dots + _GAP) / self.width,
                bottom / self.height,
                matrix / self.width,
                rows / self.height,
            ),
        ]


def _draw_panel(
    figure: Figure, page: _Page, rows: pd.DataFrame, at: int, limits: tuple[float, float]
) -> None:
    means = rows[rows["kind"] == "mean"]
    dots, matrix = page.places(at)
    ax: Axes = figure.add_axes(dots)
    plot_model_dots(rows[rows["kind"] != "pair"], ax)
    ax.set_yticks(means["row"], [_name_row(row) for row in iterate_rows(means)])
    ax.set_xlim(*limits)
    ax.tick_params(axis="y", pad=1.5, labelsize=_NAME_SIZE)
    ax.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
    comparison = rows["comparison"].iloc[0]
    ax.set_xlabel(f"{COMPARISON_LABELS.get(comparison, comparison)} (unitless)")
    title = " | ".join(part for part in (rows["analysis"].iloc[0], rows["roi"].iloc[0]) if part)
    ax.set_title(f"$\\bf{{{rows['panel'].iloc[0]}}}$  {title}", pad=5)
    pairs = rows[rows["kind"] == "pair"]
    if len(pairs):
        plot_pairwise(pairs, figure.add_axes(matrix), len(means))


def _name_row(row: Any) -> str:
    return f"{_shorten(str(row.shown))}  {int(row.row) + 1}"


def _measure(text: str) -> float:
    """Return how wide the name of a row is, in mm."""
    return float(TextPath((0, 0), text, size=_NAME_SIZE).get_extents().width) * 25.4 / 72


def _shorten(name: str) -> str:
    """Return a name that fits: its ends say the network and the layer."""
    if len(name) > MOST_LETTERS:
        name = name.replace("untrained ", _UNTRAINED)
    return name if len(name) <= MOST_LETTERS else f"{name[:8]}…{name[9 - MOST_LETTERS :]}"


def _limits(source: pd.DataFrame) -> tuple[float, float]:
    """Return one range of scores for all panels."""
    columns = ["value", "low", "high", "noise_ceiling_lower", "noise_ceiling_upper", "attainable"]
    drawn = source.loc[source["kind"] != "pair", columns].to_numpy(dtype=float)
    low, high = min(0.0, float(np.nanmin(drawn))), float(np.nanmax(drawn))
    room = 0.04 * (high - low)
    return low - room, high + room


def caption_models(source: pd.DataFrame) -> str:
    """Say what dots, intervals and cells are, which tests were made, and how they were corrected."""
    means = source[source["kind"] == "mean"]
    first = means.iloc[0]
    text = (
        f"Models against regions of the brain: {list_panels(means)}. {int(first['n_subjects'])} subjects, "
        f"{int(first['n_stimuli'])} stimuli; {str(first['comparison']).replace('_', ' ')} (unitless). Large "
        f"dots: mean over subjects, with {first['interval']}; filled where above 0 (p < .05, one-sided, "
        f"maximum statistic over all models of a region); small dots: subjects. "
    )
    if means["noise_ceiling_lower"].notna().any():
        text += f"Grey: noise ceiling. {_say_ceiling(means)}"
    if means["attainable"].notna().any():
        text += (
            "Upright strokes: the most that a model with ties can reach, which the ceiling does not know. "
        )
    if (source["kind"] == "pair").any():
        text += (
            "Right: pairs of models, numbered as the rows: + where the row's model is above the column's, − "
            "where it is below, empty where they do not differ (p < .05, two-sided, maximum statistic "
            "over all pairs of a region). "
        )
    if any(_UNTRAINED in _shorten(str(name)) for name in means["shown"]):
        text += "untr.: untrained. "
    if int(first["n_models"]) > MOST_MODELS:
        text += f"The first {MOST_MODELS} of {int(first['n_models'])} models are drawn. "
    return text + "Thin line at 0: no relation."


def _say_ceiling(means: pd.DataFrame) -> str:
    tested = means[means["p_ceiling_max"].notna()]
    if tested.empty:
        return ""
    reaching = tested[tested["p_ceiling_max"] >= ALPHA]
    names = [f"{row.shown} ({row.panel})" for row in iterate_rows(reaching)]
    how = "one-sided, maximum statistic over all models of a region"
    if not names:
        return f"All models stay below its lower end (p < .05, {how}). "
    return f"Not below its lower end (p >= .05, {how}): {', '.join(names)}. "
