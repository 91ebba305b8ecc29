"""Maps of several layers, coloured by several factors, each with how far its neighbours share labels."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fernet_neuro.activations.network import say_layer
from fernet_neuro.embedding.result import METHOD_NAMES, EmbeddingResult
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.embedding_caption import list_perplexities, name_k
from fernet_neuro.figures.results import shorten_layer
from fernet_neuro.viz.maps import (
    MOST_LABELS,
    choose_looks,
    map_legend,
    plot_map,
    plot_map_quality,
    quality_legend,
)
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, figure_size

#: As many maps as stay readable on one page: layers are rows, factors columns.
MOST_LAYERS, MOST_FACTORS = 4, 3
#: Page, and bands of it, in mm: left margin, title, a line of a legend, quality panel, its tick labels.
_WIDTH, _TALLEST = COLUMN_WIDTHS_MM["double"], 218.0
_LEFT, _TITLE, _LINE, _QUALITY, _FOOT = 9.0, 5.5, 3.4, 33.0, 6.0
#: In mm: widest map, gap between columns, widths of a letter and of the rest of a legend's entry, and room
#: for the tick labels of a quality panel.
_WIDEST, _GAP, _LETTER, _HANDLE, _TICKS = 78.0, 5.0, 1.3, 5.5, 3.0
_POINT_COLUMNS = (
    "kind", "panel", "layer", "method", "perplexity", "factor", "label", "stimulus_id", "x", "y",
)  # fmt: skip
_SCORE_COLUMNS = (
    "space", "across", "permuted_within", "measure", "n_neighbours", "n_stimuli", "n_classes",
    "value_percent", "chance_percent", "chance_corrected", "low_percent", "high_percent", "interval",
    "null_q95_percent", "p_value", "p_value_max", "n_permutations", "n_layers", "n_pca", "seed",
)  # fmt: skip


def find_maps(results: Path) -> Path:
    """Return the folder of the maps: `results` itself, or ``maps`` in it.

    Raises StoreError if there are none.
    """
    places = [Path(results), Path(results) / "maps"]
    found = next((place for place in places if (place / "settings.json").is_file()), None)
    if found is None:
        raise StoreError(
            f"{places[1] / 'settings.json'} does not exist; make it with: "
            f"fernet-neuro embed STORE --layer LAYER --out {places[1]}"
        )
    return found


def read_maps(results: Path) -> pd.DataFrame:
    """Return points and scores as one tidy frame; ``kind`` tells them apart.

    Maps are those of the first perplexity asked for, of the first four layers and three factors; scores
    are those of all layers and perplexities.
    """
    result = EmbeddingResult.load(find_maps(results))
    factors = result.factors[:MOST_FACTORS]
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    parts = []
    for layer in result.layers[:MOST_LAYERS]:
        for factor in factors:
            points = result.select_map(layer).assign(kind="point", panel=next(letters), factor=factor)
            parts.append(points.assign(label=points[factor])[list(_POINT_COLUMNS)])
    parts += [_read_scores(result, factor).assign(kind="score", panel=next(letters)) for factor in factors]
    parts.append(_read_trust(result).assign(kind="trust", panel=""))
    frame = pd.concat(parts, ignore_index=True)
    frame["n_layers"] = len(result.layers)
    frame["n_pca"] = max(item["n_pca"] for item in result.settings["maps"])
    frame["seed"] = result.settings["seed"]
    return frame[[*_POINT_COLUMNS, *_SCORE_COLUMNS]]


def draw_maps(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw maps by layer (rows) and factor (columns), legends, and a quality panel per factor."""
    points, scores = source[source["kind"] == "point"], source[source["kind"] == "score"]
    layers, factors = (list(dict.fromkeys(points[name])) for name in ("layer", "factor"))
    page = _Page(len(layers), len(factors), _count_lines(points, factors))
    figure = Figure(figsize=figure_size("double", page.height))
    for (panel, layer, factor), rows in points.groupby(["panel", "layer", "factor"], sort=False):
        ax = page.add_map(figure, layers.index(layer), factors.index(factor))
        plot_map(ax, rows, "label")
        ax.set_title(f"$\\bf{{{panel}}}$  {say_layer(layer)}, by {factor}", pad=3.5)
        if factor == factors[0]:
            ax.set_ylabel(f"{METHOD_NAMES[rows['method'].iloc[0]]}, no unit", fontsize=7)
        numbers = scores[(scores["layer"] == layer) & (scores["factor"] == factor)]
        _write_numbers(ax, numbers, rows["perplexity"].iloc[0], n_lines=page.n_numbers)
    for column, factor in enumerate(factors):
        labels = points.loc[points["factor"] == factor, "label"]
        page.add_legend(figure, column, labels)
        rows = scores[scores["factor"] == factor]
        ax = page.add_quality(figure, column)
        plot_map_quality(ax, rows.assign(layer=[shorten_layer(name) for name in rows["layer"]]))
        ax.set_title(f"$\\bf{{{rows['panel'].iloc[0]}}}$  Neighbours alike in {factor}", pad=3.5)
        if column:
            ax.set_ylabel("")
    handles = quality_legend(name_k(scores), with_sweep=len(list_perplexities(scores)) > 1)
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=7, borderaxespad=0.2)
    return figure


class _Page:
    """Places of the panels in mm, from the upper left corner."""

    def __init__(self, n_rows: int, n_columns: int, n_lines: int) -> None:
        self._n_lines = n_lines
        # In three columns the chance level has a line of its own.
        self.n_numbers = 2 if n_columns < 3 else 3
        numbers = 2.0 + 3.0 * self.n_numbers
        self._slot = (_WIDTH - _LEFT) / n_columns
        below = n_lines * _LINE + 2 + _TITLE + _QUALITY + _FOOT + 2 * _LINE + 5
        room = (_TALLEST - below) / n_rows - _TITLE - numbers
        self._side = min(self._slot - _GAP, room, _WIDEST)
        self._row = self._side + _TITLE + numbers
        self._maps = n_rows * self._row
        self.height = self._maps + below

    def add_map(self, figure: Figure, row: int, column: int) -> Axes:
        """Return the axes of one map: as wide as its column, as high as the page allows."""
        return self._add(figure, column, row * self._row + _TITLE, self._slot - _GAP, self._side)

    def add_quality(self, figure: Figure, column: int) -> Axes:
        """Return the axes of one quality panel."""
        top = self._maps + self._n_lines * _LINE + 2 + _TITLE
        return self._add(figure, column, top, self._slot - _GAP, _QUALITY, indent=_TICKS)

    def add_legend(self, figure: Figure, column: int, labels: pd.Series) -> None:
        """Draw the legend of one column of maps below it."""
        looks = choose_looks(labels)
        handles = map_legend(looks, labels.nunique() - len(looks))
        place = ((_LEFT + column * self._slot) / _WIDTH, 1 - (self._maps + 0.5) / self.height)
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=place,
            ncols=_count_columns(labels, self._slot),
            fontsize=7,
            handlelength=1.2,
            handletextpad=0.2,
            columnspacing=0.8,
            labelspacing=0.25,
            borderpad=0,
            borderaxespad=0,
        )

    def _add(
        self, figure: Figure, column: int, top: float, width: float, height: float, indent: float = 0.0
    ) -> Axes:
        left = (_LEFT + column * self._slot + indent) / _WIDTH
        bottom = 1 - (top + height) / self.height
        return figure.add_axes((left, bottom, (width - indent) / _WIDTH, height / self.height))


def _read_scores(result: EmbeddingResult, factor: str) -> pd.DataFrame:
    frame = result.quality[result.quality["factor"] == factor].reset_index(drop=True)
    within = result.settings["factors"][factor]["permute_within"]
    return frame.assign(
        permuted_within=within or "",
        value_percent=100 * frame["value"],
        chance_percent=100 * frame["chance_level"],
        low_percent=100 * frame["low"],
        high_percent=100 * frame["high"],
        null_q95_percent=100 * frame["null_q95"],
    )


def _read_trust(result: EmbeddingResult) -> pd.DataFrame:
    frame = result.quality[result.quality["measure"] == "trustworthiness"].reset_index(drop=True)
    return frame.assign(value_percent=100 * frame["value"])


def _count_columns(labels: pd.Series, slot: float) -> int:
    looks = choose_looks(labels)
    names = [str(handle.get_label()) for handle in map_legend(looks, labels.nunique() - len(looks))]
    return int(np.clip((slot - _GAP) // (_HANDLE + _LETTER * max(map(len, names))), 1, len(names)))


def _count_lines(points: pd.DataFrame, factors: list[str]) -> int:
    """Return the lines of the tallest legend below the maps."""
    slot = (_WIDTH - _LEFT) / len(factors)
    lines = []
    for factor in factors:
        labels = points.loc[points["factor"] == factor, "label"]
        n_entries = len(choose_looks(labels)) + (labels.nunique() > MOST_LABELS)
        lines.append(-(-n_entries // _count_columns(labels, slot)))
    return max(lines)


def _write_numbers(ax: Axes, scores: pd.DataFrame, perplexity: float, n_lines: int) -> None:
    """Write purity and accuracy below a map; an asterisk marks p < .05, corrected."""
    lines = []
    for space in ("map", "features"):
        rows = scores[(scores["space"] == space) & scores["perplexity"].isin([perplexity, np.nan])]
        purity, accuracy = (
            _number(rows, measure) for measure in ("neighbour_purity", "knn_balanced_accuracy")
        )
        lines.append(f"{space}: purity {purity}, {rows['n_neighbours'].iloc[0]:.0f}-NN {accuracy}")
    chances = dict.fromkeys(f"{value:.0f}" for value in rows["chance_percent"])
    chance = f"chance {' and '.join(chances)} %"
    lines = [*lines, chance] if n_lines > len(lines) else [lines[0], f"{lines[1]}; {chance}"]
    ax.annotate(
        "\n".join(lines),
        (0, 0),
        (0, -2.5),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top",
        fontsize=7,
        linespacing=1.25,
    )


def _number(rows: pd.DataFrame, measure: str) -> str:
    row = rows[rows["measure"] == measure].iloc[0]
    return f"{row['value_percent']:.0f} %{'*' if row['p_value_max'] < 0.05 else ''}"
