"""Read-out accuracy over the layers of networks, in forward order."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fernet_neuro.viz.style import MARKERS, colour_of, label_of

#: Rows of significance marks above the limit, in % of the axis.
_FIRST_MARK, _MARK_STEP = 106.0, 5.0


def plot_layer_profile(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw one panel: accuracy of one read-out over layers, one line per network.

    Parameters
    ----------
    frame : DataFrame
        Rows of one target with the columns ``network``, ``layer``, ``position`` (place on the axis),
        ``accuracy_percent``, ``low_percent``, ``high_percent``, ``chance_percent`` and ``significant``.
        ``untrained`` is dashed; ``pixels``, which has no layers, is a horizontal line.
    ax : Axes
        Where to draw. Lines carry the network's name (``get_gid``).

    Returns
    -------
    Axes
        The same axes.
    """
    networks = list(dict.fromkeys(frame["network"]))
    layered = frame[frame["network"] != "pixels"]
    end = float(layered["position"].max())
    trained = [name for name in networks if name not in ("untrained", "pixels")]
    for network, rows in frame.groupby("network", sort=False):
        _draw_network(ax, str(network), rows.sort_values("position"), colour_of(str(network), networks), end)
    for rank, network in enumerate(trained):
        marked = layered[(layered["network"] == network) & layered["significant"].astype(bool)]
        if marked.empty:
            continue  # An empty line that is not clipped stands at the page's corner and ruins the layout.
        height = _FIRST_MARK + _MARK_STEP * rank
        ax.plot(
            marked["position"],
            np.full(len(marked), height),
            ls="",
            marker="_",
            ms=7,
            mew=1.4,
            color=colour_of(network, networks),
            gid=f"significant:{network}",
            clip_on=False,
        )
    chance = float(frame["chance_percent"].iloc[0])
    ax.axhline(chance, color="#111111", lw=0.8, ls=(0, (4, 2)), zorder=1)
    ax.axhline(100, color="#111111", lw=0.8, ls=(0, (1, 1.5)), zorder=1)
    for value, text in ((chance, f"chance\n{chance:.1f} %"), (100.0, "limit\n100 %")):
        ax.annotate(text, (end + 0.35, value), (3, 0), textcoords="offset points", va="center", fontsize=6)
    _set_axes(ax, layered, len(trained))
    return ax


def profile_legend(networks: list[str]) -> list[Line2D | Patch]:
    """Return the legend's handles for `networks`, the interval band and the significance mark."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour_of(name, networks), label=label_of(name), **_line(name))
        for name in networks
    ]
    handles.append(Patch(facecolor="#8A8A8A", alpha=0.3, lw=0, label="95 % interval"))
    handles.append(
        Line2D([], [], ls="", marker="_", ms=7, mew=1.4, color="#111111", label="p < .05, corrected")
    )
    return handles


def _line(network: str) -> dict[str, Any]:
    if network == "pixels":
        return {"ls": (0, (3, 1, 1, 1)), "marker": ""}
    dashes = (0, (2.5, 1.2)) if network == "untrained" else "-"
    return {"ls": dashes, "marker": MARKERS.get(network, "v"), "mfc": "white", "mew": 0.9}


def _draw_network(ax: Axes, network: str, rows: pd.DataFrame, colour: str, end: float) -> None:
    x, columns = rows["position"].to_numpy(float), ("accuracy_percent", "low_percent", "high_percent")
    mean, low, high = (rows[column].to_numpy(float) for column in columns)
    if network == "pixels":
        x = np.array([-0.35, end + 0.35])
        mean, low, high = (np.full(2, values[0]) for values in (mean, low, high))
    ax.fill_between(x, low, high, color=colour, alpha=0.18, lw=0, zorder=2)
    ax.plot(x, mean, color=colour, gid=network, zorder=3, **_line(network))


def name_layers(ax: Axes, rows: pd.DataFrame, most: int) -> None:
    """Name layers below the axis; turned where more than `most`, or where one has more letters than that."""
    ticks = rows.drop_duplicates("position").sort_values("position")
    turned = ticks["label"].str.len().max() > most or len(ticks) > most
    look: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    ax.set_xticks(ticks["position"], ticks["label"], **look)
    end = float(ticks["position"].max())
    ax.set_xlim(-0.35, end + 0.35)
    ax.set_xlabel("Layer (input to output)")


def _set_axes(ax: Axes, layered: pd.DataFrame, n_rows: int) -> None:
    name_layers(ax, layered, 7)
    ax.set_ylim(0, _FIRST_MARK + _MARK_STEP * n_rows)
    ax.set_yticks(range(0, 101, 20))
    ax.spines["left"].set_bounds(0, 100)
    ax.set_ylabel("Balanced accuracy (%)")
