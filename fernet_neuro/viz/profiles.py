"""Read-out accuracy over the layers of networks, in forward order."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fernet_neuro.activations.network import say_layer
from fernet_neuro.viz.style import MARKERS, colour_of, label_of

#: Rows of significance marks above the limit, as shares of it.
_FIRST_MARK, _MARK_STEP = 1.06, 0.05
#: Layers apart of the bars of networks that stand side by side.
_DODGE = 0.11
#: The dot of one of few twins.
_DOTS: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.2, "alpha": 0.7, "mew": 0}
#: Columns of shares by what they are called here.
_SHARES = {f"{name}_percent": name for name in ("low", "high", "chance")} | {"accuracy_percent": "value"}


def plot_layer_profile(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one panel: the score of one read-out over layers, one line per network.

    Parameters
    ----------
    frame : DataFrame
        Rows of one target with the columns ``network``, ``layer``, ``position`` (place on the axis),
        ``accuracy_percent``, ``low_percent``, ``high_percent``, ``chance_percent`` and ``significant``; or,
        where ``measure`` is "r2", ``value``, ``low``, ``high`` and ``chance``. ``untrained`` is a dashed
        line in a band, or with a dot for each of few twins (``twin_1`` ...); ``pixels``, which has no
        layers, a horizontal line; other networks have bars. ``n_twins`` counts untrained twins.
    ax : Axes
        Where to draw. Lines carry the network's name (``get_gid``).

    Returns
    -------
    Axes
        The same axes.
    """
    frame = frame.rename(columns=_SHARES)
    is_quantity = "measure" in frame and frame["measure"].iloc[0] == "r2"
    limit = 1.0 if is_quantity else 100.0
    networks = list(dict.fromkeys(frame["network"]))
    layered = frame[frame["network"] != "pixels"]
    end = float(layered["position"].max())
    trained = [name for name in networks if name not in ("untrained", "pixels")]
    for network, rows in frame.groupby("network", sort=False):
        name = str(network)
        shift = _DODGE * (trained.index(name) - (len(trained) - 1) / 2) if name in trained else 0.0
        _draw_network(ax, name, rows.sort_values("position"), colour_of(name, networks), end, shift)
    for rank, network in enumerate(trained):
        marked = layered[(layered["network"] == network) & layered["significant"].astype(bool)]
        if marked.empty:
            continue  # An empty line that is not clipped stands at the page's corner and ruins the layout.
        ax.plot(
            marked["position"], np.full(len(marked), limit * (_FIRST_MARK + _MARK_STEP * rank)), ls="",
            marker="_", ms=7, mew=1.4, color=colour_of(network, networks), gid=f"significant:{network}",
            clip_on=False,
        )  # fmt: skip
    chance = float(frame["chance"].iloc[0])
    ax.axhline(chance, color="#111111", lw=0.8, ls=(0, (4, 2)), zorder=1)
    ax.axhline(limit, color="#111111", lw=0.8, ls=(0, (1, 1.5)), zorder=1)
    names = ("mean\n0", "limit\n1") if is_quantity else (f"chance\n{chance:.1f} %", "limit\n100 %")
    for value, text in zip((chance, limit), names, strict=True):
        ax.annotate(text, (end + 0.35, value), (3, 0), textcoords="offset points", va="center")
    lowest = min(0.0, float(layered["low"].min(skipna=True))) if is_quantity else 0.0
    floor = max(np.floor(5 * lowest) / 5, -1.0)
    _set_axes(ax, layered, len(trained), (floor, limit))
    return ax


def list_twin_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns with the scores of single twins, ``twin_1`` and so on; none for a band."""
    return [str(name) for name in frame if str(name).removeprefix("twin_").isdigit()]


def profile_legend(rows: pd.DataFrame) -> list[Line2D | Patch]:
    """Return the legend's handles for what `plot_layer_profile` draws of `rows`, and for nothing else."""
    networks = list(dict.fromkeys(rows["network"]))
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour_of(name, networks), label=label_of(name), **_line(name, rows))
        for name in networks
    ]
    if set(networks) - {"untrained", "pixels"}:
        handles.append(
            Line2D([], [], ls="", marker="|", ms=7, mew=0.9, color="#111111", label="95 % interval")
        )
    if "untrained" in networks and list_twin_columns(rows):
        colour = colour_of("untrained", networks)
        handles.append(Line2D([], [], **_DOTS, color=colour, label="Each twin"))
    elif "untrained" in networks:
        n_twins = rows.loc[rows["network"] == "untrained", "n_twins"].max() if "n_twins" in rows else 1
        said = "95 % of twins" if n_twins > 1 else "95 % interval of the twin"
        handles.append(Patch(facecolor="#8A8A8A", alpha=0.3, lw=0, label=said))
    if rows["significant"].any():
        handles.append(
            Line2D([], [], ls="", marker="_", ms=7, mew=1.4, color="#111111", label="p < .05, corrected")
        )
    return handles


def _line(network: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the look of a line; the mean of few twins has no marker, which would hide theirs."""
    if network == "pixels":
        return {"ls": (0, (3, 1, 1, 1)), "marker": ""}
    if network == "untrained":
        marker = "" if list_twin_columns(rows) else MARKERS[network]
        return {"ls": (0, (2.5, 1.2)), "marker": marker, "mfc": "white", "mew": 0.9}
    return {"ls": "-", "marker": MARKERS.get(network, "v"), "mfc": "white", "mew": 0.9}


def _draw_network(ax: Axes, network: str, rows: pd.DataFrame, colour: str, end: float, shift: float) -> None:
    """Draw one line: the untrained twins in a band, a trained network with bars, the pixels without."""
    x = rows["position"].to_numpy(float) + shift
    mean, low, high = (rows[column].to_numpy(float) for column in ("value", "low", "high"))
    if network == "pixels":
        x, mean = np.array([-0.35, end + 0.35]), np.full(2, mean[0])
    elif network == "untrained":
        ax.fill_between(x, low, high, color=colour, alpha=0.22, lw=0, zorder=2)
        for name in list_twin_columns(rows):
            ax.plot(x, rows[name], **_DOTS, color=colour, gid=name, zorder=2)
    else:
        ax.vlines(x, low, high, color=colour, lw=0.9, alpha=0.8, zorder=2)
    ax.plot(x, mean, color=colour, gid=network, zorder=3, **_line(network, rows))


def name_layers(ax: Axes, rows: pd.DataFrame, most: int) -> None:
    """Name layers below the axis; turned where they need more room than `most` names of `most` letters."""
    ticks = rows.drop_duplicates("position").sort_values("position")
    names = [say_layer(label) for label in ticks["label"]]
    turned = max(map(len, names)) * len(names) > most**2
    look: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    ax.set_xticks(ticks["position"], names, **look)
    end = float(ticks["position"].max())
    ax.set_xlim(-0.35, end + 0.35)
    ax.set_xlabel("Layer (input to output)")


def _set_axes(ax: Axes, layered: pd.DataFrame, n_rows: int, ends: tuple[float, float]) -> None:
    floor, limit = ends
    name_layers(ax, layered, 7)
    ax.set_ylim(floor, limit * (_FIRST_MARK + _MARK_STEP * n_rows))
    ax.set_yticks(np.arange(floor, 1.1 * limit, limit / 5))
    ax.spines["left"].set_bounds(floor, limit)
    ax.set_ylabel("Balanced accuracy (%)" if limit > 1 else "Variance explained ($R^2$)")
