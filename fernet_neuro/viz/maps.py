"""Two-dimensional maps of stimuli, coloured by a factor, and how far their neighbours share labels."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.activations.network import say_layer


class Look(NamedTuple):
    """Hue and shape of one label: a reader who cannot tell the hues can tell the shapes."""

    colour: str
    marker: str


#: Fixed looks of the expressions, so that they are the same in every figure. All reach 3:1 on white.
EXPRESSION_LOOKS: dict[str, Look] = {
    "anger": Look("#D55E00", "s"),
    "contempt": Look("#111111", "P"),
    "disgust": Look("#009E73", "D"),
    "fear": Look("#56439A", "^"),
    "happiness": Look("#7A5C00", "o"),
    "neutral": Look("#7F7F7F", "X"),
    "sadness": Look("#0072B2", "v"),
    "surprise": Look("#CC5C93", "*"),
}
#: Labels of other factors get a hue and a shape by turns; the pairs repeat after 56 labels.
_HUES = ("#0072B2", "#D55E00", "#009E73", "#CC5C93", "#7A5C00", "#56439A", "#111111", "#7F7F7F")
_SHAPES = ("o", "s", "^", "D", "v", "P", "X")
#: With more labels than this, the first few are highlighted and all others are grey dots.
MOST_LABELS, N_HIGHLIGHTED = 14, 12
#: The look of labels that are not highlighted; their entry in the legend.
OTHERS = Look("#BDBDBD", "o")
#: Some shapes look larger than others at one size.
_RELATIVE_SIZE = {"*": 1.7, "D": 0.75, "s": 0.85}
#: Grey dots are this much smaller.
_OTHERS_SIZE = 0.5
#: Points are drawn in so many turns of all labels.
_N_TURNS = 6
#: Above so many points, those in a PDF become a picture of 300 dpi.
_MOST_VECTOR = 5000

#: Shape of each measure in the quality panel; filled: in the map, hollow: in the features.
_MEASURES = {"neighbour_purity": "o", "knn_balanced_accuracy": "s"}
_MEASURE_COLOURS = {"neighbour_purity": "#0072B2", "knn_balanced_accuracy": "#D55E00"}


def choose_looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return a hue and shape for each label that is highlighted, in sorted order.

    Expressions have fixed ones. Of more than 14 labels, the first 12 in sorted order are returned.

    Examples
    --------
    >>> choose_looks(["sadness", "anger"])["sadness"].marker
    'v'
    >>> len(choose_looks(str(number) for number in range(70)))
    12
    """
    names = sorted({str(label) for label in labels})
    if all(name in EXPRESSION_LOOKS for name in names):
        return {name: EXPRESSION_LOOKS[name] for name in names}
    if len(names) > MOST_LABELS:
        names = names[:N_HIGHLIGHTED]
    n_hues, n_shapes = len(_HUES), len(_SHAPES)
    return {
        # A second round of hues starts at another shape, so that a pair does not come back at once.
        name: Look(_HUES[at % n_hues], _SHAPES[(at + at // n_hues) % n_shapes])
        for at, name in enumerate(names)
    }


def plot_map(
    ax: Axes,
    frame: pd.DataFrame,
    color_by: str,
    *,
    looks: Mapping[str, Look] | None = None,
    size: float | None = None,
) -> Axes:
    """Draw one map, one hue and shape per value of a factor.

    Parameters
    ----------
    ax : Axes
        Where to draw. The points of a label carry its name (``get_gid``): ``label:<name>``, ``others``;
        they are drawn in turns, so that no label covers all others.
    frame : DataFrame
        One row per stimulus with the columns ``x``, ``y`` (unitless) and `color_by`.
    color_by : str
        The factor.
    looks : mapping of str to Look, optional
        By `choose_looks` of the labels by default; labels without one are grey dots.
    size : float, optional
        Area of a point in square points; by default smaller where there are more.

    Returns
    -------
    Axes
        The same axes, square, without ticks: only who is near whom means anything.
    """
    labels = frame[color_by].astype(str).to_numpy()
    looks = choose_looks(labels) if looks is None else looks
    area = float(np.clip(8000 / len(frame), 4.0, 18.0)) if size is None else size
    points = frame[["x", "y"]].to_numpy(dtype=float)
    hidden = points[~np.isin(labels, list(looks))]
    _scatter(ax, hidden, OTHERS, _OTHERS_SIZE * area, "others", zorder=2)
    # A share of each label at a time, or the last label would cover all others where they meet.
    turns = np.random.default_rng(0).permutation(len(frame)) % _N_TURNS
    for turn in range(_N_TURNS):
        for name, look in looks.items():
            part = points[(labels == name) & (turns == turn)]
            _scatter(ax, part, look, area, f"label:{name}", zorder=3)
    ax.set(xticks=[], yticks=[])
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.05)
    for spine in ax.spines.values():
        spine.set(visible=True, color="#BDBDBD")
    return ax


def map_legend(looks: Mapping[str, Look], n_others: int = 0) -> list[Line2D]:
    """Return the legend's handles; `n_others` labels that are grey share one."""
    entries = [(name, look) for name, look in looks.items()]
    if n_others:
        entries.append((f"{n_others} others", OTHERS))
    return [
        Line2D(
            [],
            [],
            ls="",
            marker=look.marker,
            ms=3.6 * np.sqrt(_OTHERS_SIZE if look is OTHERS else _RELATIVE_SIZE.get(look.marker, 1.0)),
            mfc=look.colour,
            mec="white",
            mew=0.2,
            label=name,
        )
        for name, look in entries
    ]


def plot_map_quality(ax: Axes, frame: pd.DataFrame) -> Axes:
    """Draw one panel: purity and held-out k-NN accuracy of one factor, in features and maps, layer by layer.

    Parameters
    ----------
    ax : Axes
        Where to draw. Points carry ``<layer>:<measure>:<space>`` (``get_gid``).
    frame : DataFrame
        Rows of one factor with the columns ``layer``, ``space``, ``perplexity``, ``measure``,
        ``value_percent``, ``low_percent``, ``high_percent``, ``chance_percent`` and ``null_q95_percent``.
        The order of rows is that of layers and perplexities.

    Returns
    -------
    Axes
        The same axes, in %.
    """
    layers = list(dict.fromkeys(frame["layer"]))
    perplexities = list(dict.fromkeys(frame.loc[frame["space"] == "map", "perplexity"]))
    spaces = [("features", np.nan), *(("map", value) for value in perplexities)]
    offsets = _spread(len(spaces))
    for row in iterate_rows(frame):
        column = 0 if row.space == "features" else 1 + perplexities.index(row.perplexity)
        side = list(_MEASURES).index(row.measure)
        x = layers.index(row.layer) + offsets[side][column]
        _draw_score(ax, row, x, is_first=column <= 1)
    ax.axhline(100, color="#111111", lw=0.6, ls=(0, (1, 1.5)), zorder=1)
    ax.axhline(frame["chance_percent"].iloc[-1], color="#111111", lw=0.6, ls=(0, (4, 2)), zorder=1)
    ax.set_xticks(range(len(layers)), [say_layer(layer) for layer in layers])
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.55, len(layers) - 0.45)
    ax.set_ylim(0, 106)
    ax.set_yticks(range(0, 101, 20))
    ax.spines["left"].set_bounds(0, 100)
    ax.set_ylabel("Neighbours (%)")
    return ax


def quality_legend(n_neighbours: str, *, with_sweep: bool) -> list[Line2D | Patch]:
    """Return the legend's handles of `plot_map_quality`; `n_neighbours` is k in words."""
    names = {"neighbour_purity": "purity", "knn_balanced_accuracy": f"held-out {n_neighbours}-NN"}
    handles: list[Line2D | Patch] = [
        Line2D([], [], ls="", label=f"{names[measure]}, {space}", **_marker(measure, space, True))
        for measure in _MEASURES
        for space in ("features", "map")
    ]
    if with_sweep:
        handles.append(
            Line2D(
                [],
                [],
                ls="",
                label="map, other perplexities",
                marker="o",
                ms=2.2,
                mfc="#6E6E6E",
                mec="#6E6E6E",
            )
        )
    handles.append(Line2D([], [], color="#333333", marker="|", ms=6, lw=0.8, label="95 % interval"))
    handles.append(Patch(facecolor=_NULL_COLOUR, lw=0, label="chance to the null's 95 % quantile"))
    handles.append(Line2D([], [], color="#111111", lw=0.6, ls=(0, (4, 2)), label="chance, k-NN"))
    return handles


_NULL_COLOUR = "#C9C9C9"


def _scatter(ax: Axes, points: np.ndarray, look: Look, area: float, gid: str, zorder: float) -> None:
    if len(points) == 0:
        return
    ax.scatter(
        points[:, 0],
        points[:, 1],
        s=area * _RELATIVE_SIZE.get(look.marker, 1.0),
        marker=look.marker,
        facecolor=look.colour,
        edgecolor="white",
        linewidth=0.2 if area > 8 else 0.05,
        zorder=zorder,
        gid=gid,
        rasterized=len(points) * _N_TURNS > _MOST_VECTOR,
    )


def _spread(n_spaces: int) -> list[np.ndarray]:
    """Return places in a layer's column for each measure: purity left, k-NN right, a gap between."""
    step = min(0.11, 0.38 / n_spaces)
    places = (np.arange(n_spaces) + 0.5) * step
    return [places - places[-1] - step, places + step * 0.5]


def _marker(measure: str, space: str, is_first: bool) -> dict[str, Any]:
    colour = _MEASURE_COLOURS[measure]
    filled = space == "map"
    return {
        "marker": _MEASURES[measure],
        "ms": 4.0 if is_first else 2.2,
        "mfc": colour if filled else "white",
        "mec": colour,
        "mew": 0.9,
    }


def _draw_score(ax: Axes, row: Any, x: float, is_first: bool) -> None:
    if np.isfinite(row.null_q95_percent):
        ends = sorted((row.chance_percent, row.null_q95_percent))
        ax.vlines(x, *ends, color=_NULL_COLOUR, lw=4.0, zorder=2)
    if np.isfinite(row.low_percent):
        ax.vlines(x, row.low_percent, row.high_percent, color="#333333", lw=0.8, zorder=3)
    gid = f"{row.layer}:{row.measure}:{row.space}"
    ax.plot([x], [row.value_percent], ls="", gid=gid, zorder=4, **_marker(row.measure, row.space, is_first))
