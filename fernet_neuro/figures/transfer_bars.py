"""The poster's comparison: what networks trained on one question know about the other.

References
----------
1. Schwartz, E., O'Nell, K., & Anzellotti, S. (2020). Investigating the emergence of expression
   representations in a neural network trained to discriminate identities. Vision Sciences Society.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.figures.results import (
    HOLDOUTS,
    NETWORKS,
    choose_layer,
    choose_readout,
    order_layers,
    read_folds,
    read_summary,
)
from fernet_neuro.figures.spec import FigureSpec
from fernet_neuro.viz.bars import plot_transfer_bars, transfer_legend
from fernet_neuro.viz.style import figure_size, label_of

REFERENCE = "Schwartz et al. 2020; KDEF"
#: Accuracies in % that the poster states, by read-out and network [1].
PUBLISHED = {
    "expression": {"verification": 15.0, "identity": 62.6},
    "identity": {"identity": 98.6},
}
_PANELS = {"expression": "a", "identity": "b"}
_KEEP = ("layer", "readout", "holdout", "n_classes", "interval", "p_value", "p_value_max")


def read_transfer(results: Path) -> pd.DataFrame:
    """Return the source data: means with intervals, folds or seeds, and published values, in %.

    The untrained twin and the pixels are those of the identity network's probe.
    """
    parts = []
    for target in HOLDOUTS:
        for network in NETWORKS:
            parts += _measured(results, network, target, "network", network)
        for control in ("untrained", "pixels"):
            parts += _measured(results, NETWORKS[0], target, control, control)
        parts.append(_published(target))
    return pd.concat(parts, ignore_index=True)[list(_COLUMNS)]


_COLUMNS = (
    "panel",
    "target",
    "holdout",
    "network",
    "layer",
    "readout",
    "kind",
    "fold",
    "seed",
    "accuracy_percent",
    "low_percent",
    "high_percent",
    "interval",
    "chance_percent",
    "n_classes",
    "p_value",
    "p_value_max",
    "reference",
)


def _measured(results: Path, network: str, target: str, source: str, name: str) -> list[pd.DataFrame]:
    """Return the mean and the dots of one bar; nothing if that control was not run."""
    summary = read_summary(results, network, target)
    summary = summary[(summary["source"] == source) & (summary["readout"] == choose_readout(summary))]
    if summary.empty:
        return []
    layer = choose_layer(order_layers(summary))
    row = summary[summary["layer"] == layer].iloc[:1]
    mean = row.assign(
        panel=_PANELS[target],
        network=name,
        kind="mean",
        holdout=HOLDOUTS[target],
        accuracy_percent=100 * row["balanced_accuracy"],
        low_percent=100 * row["balanced_accuracy_low"],
        high_percent=100 * row["balanced_accuracy_high"],
        chance_percent=100 * row["chance_level"],
        fold="",
        seed="",
        reference="",
    )
    folds = read_folds(results, network, target)
    keep = (folds["source"] == source) & (folds["layer"] == layer)
    folds = folds[keep & (folds["readout"] == row["readout"].iloc[0])]
    return [mean, _dots(folds, mean)]


def _dots(folds: pd.DataFrame, mean: pd.DataFrame) -> pd.DataFrame:
    """Return one row per training seed where there are several, else one per fold."""
    by = "seed" if "seed" in folds and folds["seed"].nunique() > 1 else "fold"
    scores = folds.groupby(by, sort=False)["balanced_accuracy"].mean()
    same = {
        name: mean[name].iloc[0] for name in ("panel", "target", "holdout", "network", "layer", "readout")
    }
    dots = pd.DataFrame({"accuracy_percent": 100 * scores.to_numpy(), "kind": by}).assign(
        **same, reference=""
    )
    return dots.assign(**{by: [str(name) for name in scores.index]})


def _published(target: str) -> pd.DataFrame:
    values = PUBLISHED[target]
    return pd.DataFrame(
        {
            "panel": _PANELS[target],
            "target": target,
            "network": list(values),
            "kind": "published",
            "accuracy_percent": list(values.values()),
            "reference": REFERENCE,
        }
    )


def draw_transfer(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw both panels: expression read-out and identity read-out."""
    figure = Figure(figsize=figure_size("double", 78), layout="constrained")
    figure.get_layout_engine().set(wspace=0.04)
    axes = figure.subplots(1, 2)
    for ax, (target, panel) in zip(axes, _PANELS.items(), strict=True):
        rows = source[source["target"] == target]
        plot_transfer_bars(rows, ax)
        n_classes = int(rows["n_classes"].dropna().iloc[0])
        ax.set_title(
            f"$\\bf{{{panel}}}$  {target.capitalize()} read-out ({n_classes} classes), "
            f"new {_PLURALS[HOLDOUTS[target]]}"
        )
    axes[1].set_ylabel("")
    points = "training seeds" if (source["kind"] == "seed").any() else "test folds"
    handles = transfer_legend(points, f"published ({REFERENCE})")
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


_PLURALS = {"identity": "identities", "expression": "expressions"}


def caption_transfer(source: pd.DataFrame) -> str:
    """Say what is shown, which layer was fixed, and what the intervals are over."""
    means = source[source["kind"] == "mean"]
    layers = means.groupby("layer", sort=False)["network"].unique()
    where = "; ".join(
        f"{layer} ({', '.join(label_of(name).lower() for name in names)})" for layer, names in layers.items()
    )
    intervals = " and ".join(dict.fromkeys(str(value) for value in means["interval"]))
    readouts = ", ".join(dict.fromkeys(means["readout"]))
    return (
        f"Linear read-out ({readouts}) of (a) expression with identities held out and (b) identity with "
        f"expressions held out, from frozen networks that were trained to identify faces, to verify them, or "
        f"to name expressions, from the identity network's untrained twin and from pixels. "
        f"Layer fixed beforehand, not chosen by its score: {where}. "
        f"Bars: balanced accuracy, mean over test folds; error bars: 95 % interval over {intervals}; "
        f"dots: {'training seeds' if (source['kind'] == 'seed').any() else 'single test folds'}. "
        f"Asterisks: p < .05, permutation test. Dashed: chance; dotted: the limit of 100 %. "
        f"Hollow diamonds: accuracies published for other networks on photographs ({REFERENCE}; 15 % face "
        f"verification network and 62.6 % ResNet-50 trained on identity, expression; 98.6 % the same "
        f"ResNet-50, identity of 70 people); their train and test split is not stated, so they are "
        f"landmarks and not a test of these results."
    )


SPEC = FigureSpec(
    name="transfer-bars",
    title="Identity to expression, and back: read-out from five sources",
    needs=tuple(
        f"probes/{network}/{target}/{file}"
        for target in HOLDOUTS
        for network in NETWORKS
        for file in ("summary.json", "results.csv")
    ),
    read=read_transfer,
    draw=draw_transfer,
    caption=caption_transfer,
)
