"""The poster's comparison: what networks trained on one question know about the other.

References
----------
1. Schwartz, E., O'Nell, K., & Anzellotti, S. (2020). Investigating the emergence of expression
   representations in a neural network trained to discriminate identities. Vision Sciences Society.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.figures.captions import (
    describe_baselines,
    describe_intervals,
    describe_layers,
    describe_panels,
    describe_readouts,
    draw_readouts,
    list_networks,
)
from fernet_neuro.figures.results import (
    NETWORKS,
    choose_layer,
    find_networks,
    find_targets,
    order_layers,
    read_folds,
    read_sources,
)
from fernet_neuro.viz.bars import plot_transfer_bars, transfer_legend
from fernet_neuro.viz.style import label_of

REFERENCE = "Schwartz et al. 2020; KDEF"
#: Accuracies in % that the poster states, by read-out and network [1].
PUBLISHED = {"expression": {"verification": 15.0, "identity": 62.6}, "identity": {"identity": 98.6}}


def read_transfer(results: Path) -> pd.DataFrame:
    """Return the source data: means with intervals, folds or seeds, and published values, in %.

    The untrained twin and the pixels are those of the first network's probe.
    """
    parts = []
    for panel, target in zip("ab", find_targets(results), strict=False):
        rows = [
            part for name, found in read_sources(results, target) for part in _measured(results, name, found)
        ]
        published = _published(target, find_networks(results, target))
        parts += [part.assign(panel=panel) for part in (*rows, published)]
    return pd.concat(parts, ignore_index=True).reindex(columns=list(_COLUMNS))


_COLUMNS = (
    "panel", "target", "holdout", "network", "layer", "readout", "kind", "fold", "seed",
    "accuracy_percent", "low_percent", "high_percent", "interval", "chance_percent", "n_classes",
    "p_value", "p_value_max", "difference_untrained", "difference_untrained_p", "reference",
)  # fmt: skip


def _measured(results: Path, name: str, summary: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the mean and the dots of one bar."""
    layer = choose_layer(order_layers(summary))
    row = summary[summary["layer"] == layer].iloc[:1]
    mean = row.assign(
        network=name,
        kind="mean",
        accuracy_percent=100 * row["balanced_accuracy"],
        low_percent=100 * row["balanced_accuracy_low"],
        high_percent=100 * row["balanced_accuracy_high"],
        chance_percent=100 * row["chance_level"],
        fold="",
        seed="",
        reference="",
    )
    folds = read_folds(results, row["network"].iloc[0], row["target"].iloc[0])
    for column in ("source", "layer", "readout"):
        folds = folds[folds[column] == row[column].iloc[0]]
    return [mean, _dots(folds, mean)]


def _dots(folds: pd.DataFrame, mean: pd.DataFrame) -> pd.DataFrame:
    """Return one row per training seed where there are several, else one per fold."""
    by = "seed" if "seed" in folds and len(folds["seed"].unique()) > 1 else "fold"
    if by == "seed" and folds["source"].iloc[0] == "pixels":
        folds = folds.iloc[:0]  # Pixels know no training: every seed's row is the same.
    scores = folds.groupby(by, sort=False)["balanced_accuracy"].mean()
    same = {name: mean[name].iloc[0] for name in ("target", "holdout", "network", "layer", "readout")}
    dots = pd.DataFrame({"accuracy_percent": 100 * scores.to_numpy(), "kind": by}).assign(
        **same, reference=""
    )
    return dots.assign(**{by: [str(name) for name in scores.index]})


def _published(target: str, networks: list[str]) -> pd.DataFrame:
    """Return the poster's accuracies of those networks that are drawn."""
    values = {name: value for name, value in PUBLISHED[target].items() if name in networks}
    return pd.DataFrame(
        {
            "target": target,
            "network": list(values),
            "kind": "published",
            "accuracy_percent": list(values.values()),
            "reference": REFERENCE,
        }
    )


def draw_transfer(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw both panels: expression read-out and identity read-out."""
    figure = draw_readouts(source, 78, plot_transfer_bars, with_classes=True)
    *handles, above, below, diamond = transfer_legend(_describe_dots(source), f"published ({REFERENCE})")
    found = source[source["difference_untrained_p"] < 0.05]
    if (found["difference_untrained"] > 0).any():
        handles.append(above)
    if (found["difference_untrained"] <= 0).any():
        handles.append(below)
    if (source["kind"] == "published").any():
        handles.append(diamond)
    ncols = len(handles) if len(handles) < 5 else 3
    figure.legend(handles=handles, loc="outside lower center", ncols=ncols)
    return figure


def _describe_dots(source: pd.DataFrame) -> str:
    return "training seeds" if (source["kind"] == "seed").any() else "test folds"


def caption_transfer(source: pd.DataFrame) -> str:
    """Say what is shown, which layer was fixed, and what the intervals are over."""
    means = source[source["kind"] == "mean"]
    absent = [label_of(name).lower() for name in NETWORKS if name not in list_networks(means)]
    sentences = [
        f"Linear read-out ({describe_readouts(means)}) of {describe_panels(means)}, from frozen networks "
        f"named by what they were trained on{describe_baselines(means)}.",
        f"Layer fixed beforehand, not chosen by its score: {describe_layers(means)}.",
        f"Bars: balanced accuracy, mean over test folds; error bars: 95 % interval over "
        f"{describe_intervals(means)}; dots: {_describe_dots(source)}.",
        _MARKS if means["difference_untrained_p"].notna().any() else "",
        "Dashed: chance; dotted: the limit of 100 %.",
        _PUBLISHED_NOTE if (source["kind"] == "published").any() else "",
        f"Not in these results: {', '.join(absent)}." if absent else "",
    ]
    return " ".join(filter(None, sentences))


_MARKS = (
    "Asterisks and hollow triangles: the trained network lies above or below its untrained twins, p < .05."
)
_PUBLISHED_NOTE = (
    f"Hollow diamonds: accuracies in % published for other networks and photographs ({REFERENCE}): "
    "expression from a face verification network (15) and from a ResNet-50 trained on identity (62.6), "
    "identity of 70 people from the same ResNet-50 (98.6); how these were split into training and test is "
    "not stated, so they are landmarks, not a test of the bars."
)
