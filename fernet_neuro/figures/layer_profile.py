"""Where in a network identity and expression can be read out: accuracy over layers."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.figures.captions import (
    describe_baselines,
    describe_intervals,
    describe_panels,
    describe_readouts,
    draw_readouts,
    say_twins,
)
from fernet_neuro.figures.results import (
    find_targets,
    order_layers,
    read_sources,
    shorten_layer,
)
from fernet_neuro.probes.result import spread_twins
from fernet_neuro.viz.profiles import list_twin_columns, plot_layer_profile, profile_legend

_COLUMNS = (
    "panel", "target", "holdout", "network", "layer", "label", "layer_index", "position", "readout",
    "accuracy_percent", "low_percent", "high_percent", "interval", "chance_percent", "p_value",
    "p_value_max", "significant", "n_twins",
)  # fmt: skip


def read_profile(results: Path) -> pd.DataFrame:
    """Return the source data, one row per target, network and layer, in %.

    The untrained twin and the pixels are those of the first network.
    """
    frame = pd.concat(
        [
            _read_target(results, target).assign(panel=panel)
            for panel, target in zip("ab", find_targets(results), strict=False)
        ],
        ignore_index=True,
    )
    frame["label"] = [shorten_layer(layer) for layer in frame["layer"]]
    layered = frame[frame["network"] != "pixels"]
    runs = [
        [shorten_layer(layer) for layer in order_layers(rows)]
        for _, rows in layered.groupby(["target", "network"])
    ]
    place = {label: at for at, label in enumerate(merge_orders(runs))}
    frame["position"] = [place.get(label, 0) for label in frame["label"]]
    return frame[[*_COLUMNS, *list_twin_columns(frame)]]


def merge_orders(orders: list[list[str]]) -> list[str]:
    """Return one order of all names that keeps every given order.

    Raises
    ------
    ValueError
        If two orders contradict one another.

    Examples
    --------
    >>> merge_orders([["stem", "layer1", "fc"], ["stem", "layer1", "avgpool", "fc"]])
    ['stem', 'layer1', 'avgpool', 'fc']
    """
    graph: TopologicalSorter[str] = TopologicalSorter()
    for order in sorted(orders, key=len, reverse=True):
        for at, name in enumerate(order):
            graph.add(name, *order[at - 1 : at] if at else ())
    try:
        return list(graph.static_order())
    except CycleError as error:
        raise ValueError(
            f"the networks name layers {error.args[1][0]!r} and {error.args[1][1]!r} in different orders; "
            f"draw them from separate results folders."
        ) from error


def _read_target(results: Path, target: str) -> pd.DataFrame:
    parts = [rows.assign(network=name) for name, rows in read_sources(results, target)]
    frame = pd.concat(parts, ignore_index=True)
    spread = spread_twins(frame.to_dict("records"), "balanced_accuracy")
    each = list_twin_columns(spread)
    return frame.assign(
        accuracy_percent=100 * frame["balanced_accuracy"],
        low_percent=100 * spread["low"],
        high_percent=100 * spread["high"],
        n_twins=spread["n_twins"],
        **{name: 100 * spread[name] for name in each},
        chance_percent=100 * frame["chance_level"],
        significant=frame["p_value_max"] < 0.05,
    )


def draw_profile(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw one panel per read-out."""
    figure = draw_readouts(source, 82, plot_layer_profile)
    figure.legend(handles=profile_legend(source), loc="outside lower center", ncols=4)
    return figure


def caption_profile(source: pd.DataFrame) -> str:
    """Say what is shown, what bars and band are over and what the marks mean."""
    band = say_twins(source)
    return (
        f"Linear read-out ({describe_readouts(source)}) of {describe_panels(source)}, over the layers in "
        f"forward order{describe_baselines(source)}. Lines: balanced accuracy; bars: 95 % interval over "
        f"{describe_intervals(source)}{band}. Marks above the panels: p < .05 for that network and layer, "
        f"permutation test corrected for the number of layers by the maximum statistic. Dashed: chance; "
        f"dotted: the limit of 100 %."
    )
