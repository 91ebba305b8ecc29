"""What figures of read-outs share: their panels, and phrases on what they show and intervals are over."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.activations.network import say_layer
from fernet_neuro.figures.results import describe_holdout, shorten_layer
from fernet_neuro.probes.result import FEWEST_TWINS
from fernet_neuro.viz.style import figure_size, label_of, letter


def draw_readouts(
    source: pd.DataFrame,
    height: float,
    plot: Callable[[pd.DataFrame, Axes], Axes],
    *,
    with_classes: bool = False,
) -> Figure:
    """Return a figure with one panel per read-out: above it, what is read out and what was held out."""
    figure = Figure(figsize=figure_size("double", height))
    figure.set_layout_engine("constrained", wspace=0.04)
    panels = list(source.groupby("panel"))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (panel, rows) in zip(axes, panels, strict=True):
        plot(rows, ax)
        target, words = rows["target"].iloc[0], describe_holdout(rows["holdout"].dropna().iloc[0])
        classes = f" ({int(rows['n_classes'].dropna().iloc[0])} classes)" if with_classes else ""
        ax.set_title(f"{letter(str(panel), len(panels))}{target.capitalize()} read-out{classes}, {words}")
        if panel != "a":
            ax.set_ylabel("")
    return figure


def describe_panels(source: pd.DataFrame) -> str:
    """Return ``"(a) expression, tested on new identities, and (b) ..."`` for the panels of `source`."""
    rows = source.dropna(subset=["holdout"]).drop_duplicates("panel")
    panels = [
        f"{f'({row.panel}) ' if len(rows) > 1 else ''}{row.target}, tested on {describe_holdout(row.holdout)}"
        for row in iterate_rows(rows)
    ]
    return " and ".join(panels)


def describe_intervals(source: pd.DataFrame) -> str:
    """Return what the 95 % intervals are over, panel by panel where they differ."""
    rows = source.dropna(subset=["interval"])
    if rows.empty:
        return "nothing (none was computed)"
    words = pd.Series({panel: _name_intervals(part) for panel, part in rows.groupby("panel")})
    if len(set(words)) == 1:
        return str(words.iloc[0])
    return ", ".join(f"{text} ({panel})" for panel, text in words.items())


def _name_intervals(rows: pd.DataFrame) -> str:
    """Return what most intervals of a panel are over, and who is an exception."""
    usual = str(rows["interval"].mode().iloc[0])
    others = rows[rows["interval"] != usual].drop_duplicates("network")
    named = [f"{label_of(row.network).lower()}: {row.interval}" for row in iterate_rows(others)]
    return f"{usual} ({', '.join(named)})" if named else usual


def describe_readouts(source: pd.DataFrame) -> str:
    """Return the names of the linear read-outs of `source`."""
    return ", ".join(dict.fromkeys(source["readout"]))


def list_networks(source: pd.DataFrame) -> list[str]:
    """Return the networks of `source` in order, without the baselines."""
    return [name for name in dict.fromkeys(source["network"]) if name not in ("untrained", "pixels")]


def describe_baselines(source: pd.DataFrame) -> str:
    """Return ``", from the untrained twin of the ... and from pixels"``, of those that are drawn.

    Both baselines are those of the first network's probe.
    """
    first = label_of(list_networks(source)[0]).lower()
    phrases = {"untrained": f"from the untrained twin of the {first}", "pixels": "from pixels"}
    drawn = [phrase for name, phrase in phrases.items() if (source["network"] == name).any()]
    return f", {' and '.join(drawn)}" if drawn else ""


def describe_layers(source: pd.DataFrame) -> str:
    """Return ``"layer (networks)"`` for the layers that were fixed beforehand, without the pixels' own."""
    layered = source[source["network"] != "pixels"]
    used = layered.groupby(layered["layer"].map(shorten_layer), sort=False)["network"].unique()
    return "; ".join(
        f"{say_layer(layer)} ({', '.join(label_of(name).lower() for name in names)})"
        for layer, names in used.items()
    )


def say_twins(source: pd.DataFrame) -> str:
    """Return what the band of the untrained twins is, or the dots of few; nothing where there are none."""
    twins = source.loc[source["network"] == "untrained", "n_twins"]
    if twins.empty:
        return ""
    n_twins = int(twins.max())
    if n_twins == 1:
        return "; grey band: that of the one untrained network"
    if n_twins < FEWEST_TWINS:
        return f"; grey dots: each of {n_twins} untrained networks, too few to tell how such networks vary"
    return f"; grey band: 95 % of untrained networks, known from {n_twins} (one more lies in it)"
