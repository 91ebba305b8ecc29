"""How alike the geometries of layers and of a brain region are, over the layers of networks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.viz.ceilings import ceiling_legend, draw_ceiling
from fernet_neuro.viz.profiles import name_layers
from fernet_neuro.viz.style import MARKERS, colour_of, label_of

#: How names of untrained twins begin; one that is called so alone is grey.
_TWIN = "untrained"
#: Dashes of models without layers, by turns.
_DASHES = ((0, (1, 1)), (0, (3, 1, 1, 1)), (0, (6, 1.5)), (0, (6, 1, 1, 1, 1, 1)))
#: Strips above the panel that hold peaks: distance of the first and steps, in points.
_FIRST_STRIP, _STRIP = 4.0, 5.5


def plot_rsa_profile(
    frame: pd.DataFrame,
    ax: Axes,
    *,
    names: Sequence[str] | None = None,
    strips: Sequence[str] | None = None,
) -> Axes:
    """Draw one panel: similarity to one ROI over layers, one line per network.

    Parameters
    ----------
    frame : DataFrame
        Rows of one ROI with the columns ``kind`` (``layer``, ``reference``: a model without layers, a
        horizontal line; ``peak``: drawn above the panel), ``network`` (for references their name), ``label``
        and ``position`` (of a layer), ``estimate``, ``low``, ``high``, ``low_position``, ``high_position``
        (of a peak), ``noise_ceiling_lower`` and ``noise_ceiling_upper``. Networks called ``untrained`` or
        ``untrained <name>`` are dashed, the latter in the colour of that network.
    ax : Axes
        Where to draw. Lines are labelled with the network's name (``get_gid``), peaks ``peak:<network>``;
        those of twins are open and dashed.
    names : sequence of str, optional
        All networks of the figure, so that colours agree between panels; those of `frame` by default.
    strips : sequence of str, optional
        Networks that have a strip for their peak above this panel; `names` by default.

    Returns
    -------
    Axes
        The same axes.
    """
    layers = frame[frame["kind"] == "layer"]
    networks = list(names if names is not None else dict.fromkeys(layers["network"]))
    draw_ceiling(ax, *(float(frame[f"noise_ceiling_{side}"].iloc[0]) for side in ("lower", "upper")))
    for network, rows in layers.groupby("network", sort=False):
        _draw_network(ax, rows.sort_values("position"), _colour(str(network), networks), str(network))
    references = frame[frame["kind"] == "reference"]
    for at, row in enumerate(iterate_rows(references)):
        ax.axhline(row.estimate, zorder=2, gid=row.network, **_reference(at))
    for row in iterate_rows(frame[frame["kind"] == "peak"]):
        ranked = list(networks if strips is None else strips)
        rank = ranked.index(row.network) if row.network in ranked else len(ranked)
        _draw_peak(ax, row, _colour(row.network, networks), _FIRST_STRIP + _STRIP * rank)
    name_layers(ax, layers, 6)
    return ax


def rsa_profile_legend(
    networks: Sequence[str], references: Sequence[str], *, interval: str, has_ceiling: bool, has_peaks: bool
) -> list[Line2D | Patch]:
    """Return the legend's handles: networks, models without layers, intervals, peaks, ceiling and zero."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=_colour(name, networks), label=label_of(name), **_line(name))
        for name in networks
    ]
    handles += [Line2D([], [], label=name, **_reference(at)) for at, name in enumerate(references)]
    handles.append(Patch(facecolor=_colour(networks[0], networks), alpha=0.25, lw=0, label=interval))
    if has_peaks:
        handles.append(
            Line2D([], [], color="#333333", lw=1.4, marker="v", ms=4, label="peak layer, its interval")
        )
    return [*handles, *ceiling_legend(is_drawn=has_ceiling)]


def strips_height(n_strips: int) -> float:
    """Return the height of so many strips of peaks above a panel, in points.

    Examples
    --------
    >>> strips_height(0), strips_height(2)
    (0.0, 12.25)
    """
    return _FIRST_STRIP + _STRIP * (n_strips - 0.5) if n_strips else 0.0


def _line(network: str) -> dict[str, Any]:
    dashes = (0, (2.5, 1.2)) if network.startswith(_TWIN) else "-"
    marker = MARKERS.get(network, MARKERS.get(trained_name(network), "o"))
    return {"ls": dashes, "marker": marker, "mfc": "white", "mew": 0.9}


def trained_name(network: str) -> str:
    """Return whose untrained twin a network is by its name, or its name."""
    return network.removeprefix(_TWIN).strip() or network


def _colour(network: str, networks: Sequence[str]) -> str:
    """Return the network's colour; a twin has that of its network."""
    trained = [name for name in networks if trained_name(name) == name]
    own = trained_name(network)
    return colour_of(own, trained) if own in trained or own == network else colour_of(_TWIN)


def _reference(at: int) -> dict[str, Any]:
    return {"color": "#4D4D4D", "lw": 0.9, "ls": _DASHES[at % len(_DASHES)]}


def _draw_network(ax: Axes, rows: pd.DataFrame, colour: str, network: str) -> None:
    x = rows["position"].to_numpy(float)
    low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
    ax.fill_between(x, low, high, color=colour, alpha=0.18, lw=0, zorder=2)
    ax.plot(x, rows["estimate"].to_numpy(float), color=colour, gid=network, zorder=3, **_line(network))


def _draw_peak(ax: Axes, row: Any, colour: str, distance: float) -> None:
    """Draw a bar and a mark `distance` points above the panel, so that bars are apart in low panels too."""
    style: dict[str, Any] = {"color": colour, "clip_on": False, "zorder": 4}
    above = ScaledTranslation(0, distance / 72, ax.figure.dpi_scale_trans)
    style["transform"] = ax.get_xaxis_transform() + above
    line, is_twin = _line(row.network), row.network.startswith(_TWIN)
    if np.isfinite(row.low_position) and np.isfinite(row.high_position):
        # A point's interval of no length still shows as a short bar.
        ends = [row.low_position - 0.12, row.high_position + 0.12]
        ax.plot(ends, [1, 1], lw=1.6, ls=line["ls"], solid_capstyle="butt", **style)
    face = "white" if is_twin else colour
    ax.plot([row.position], [1], ls="", marker="v", ms=4, mfc=face, gid=f"peak:{row.network}", **style)
