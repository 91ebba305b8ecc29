"""Which expressions are taken for which: confusion matrices of the expression read-out."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.captions import describe_holdout, describe_layers
from fernet_neuro.figures.results import (
    choose_layer,
    choose_readout,
    find_networks,
    order_layers,
    probe_folder,
    read_confusion,
    read_summary,
)
from fernet_neuro.viz.matrices import plot_confusion
from fernet_neuro.viz.style import figure_size, label_of, letter

_COLUMNS = ("network", "layer", "readout", "holdout", "true", "predicted", "count", "percent", "n_true")


def read_confusions(results: Path) -> pd.DataFrame:
    """Return the source data: one row per network and pair of labels, in % of the true label's stimuli."""
    parts = [_read_network(results, network) for network in find_networks(results, "expression")]
    return pd.concat(parts, ignore_index=True)[list(_COLUMNS)]


def _read_network(results: Path, network: str) -> pd.DataFrame:
    summary = read_summary(results, network, "expression")
    layer = choose_layer(order_layers(summary[summary["source"] == "network"]))
    frame = read_confusion(results, network, "expression")
    keep = (frame["source"] == "network") & (frame["layer"] == layer)
    frame = frame[keep & (frame["readout"] == choose_readout(summary))]
    if frame.empty:
        path = probe_folder(results, network, "expression") / "confusion.csv"
        raise StoreError(f"{path} has no confusions of layer {layer!r}. Delete it and make it again.")
    counts = frame.groupby(["true", "predicted"], as_index=False)["count"].sum()
    total = counts.groupby("true")["count"].transform("sum")
    return counts.assign(
        network=network,
        layer=layer,
        readout=choose_readout(summary),
        holdout=summary["holdout"].iloc[0],
        n_true=total,
        percent=100 * counts["count"] / total,
    )


def draw_confusions(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw one matrix per network and one colour bar."""
    networks = list(dict.fromkeys(source["network"]))
    figure = Figure(figsize=figure_size("double", 62 if len(networks) > 1 else 110), layout="constrained")
    axes = figure.subplots(1, len(networks), squeeze=False, sharey=True)[0]
    for panel, (ax, network) in enumerate(zip(axes, networks, strict=True)):
        plot_confusion(source[source["network"] == network], ax)
        ax.set_title(f"{letter(chr(ord('a') + panel), len(networks))}{label_of(network)}")
        if panel:
            ax.set_ylabel("")
    bar = figure.colorbar(axes[-1].collections[0], cax=axes[-1].inset_axes((1.05, 0, 0.05, 1)))
    bar.set_label("Share of true label (%)")
    bar.outline.set_linewidth(0.5)
    return figure


def caption_confusions(source: pd.DataFrame) -> str:
    """Say which layer, which normalisation and how many stimuli."""
    low, high = int(source["n_true"].min()), int(source["n_true"].max())
    amount = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"Confusions of the linear expression read-out ({source['readout'].iloc[0]}), tested on "
        f"{describe_holdout(source['holdout'].iloc[0])}, summed over test folds. Each row adds up to 100 % "
        f"of its true label ({amount} predictions each); chance is {100 / source['true'].nunique():.1f} % in "
        f"every cell. Layer fixed beforehand, not chosen by its score: {describe_layers(source)}."
    )
