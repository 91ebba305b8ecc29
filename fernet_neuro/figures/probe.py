"""What `probe` found, from its folder: scores over layers, and which classes are taken for which."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.activations.network import say_layer
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.captions import describe_intervals, say_twins
from fernet_neuro.figures.results import choose_layer, choose_readout, describe_holdout, order_layers
from fernet_neuro.probes.result import ProbeReport, measure_of
from fernet_neuro.viz.matrices import plot_confusion
from fernet_neuro.viz.predictions import plot_predictions
from fernet_neuro.viz.results import list_profile, plot_probe
from fernet_neuro.viz.style import figure_size

_FILES = ("summary.json", "results.csv", "null.npz")
_PREDICTIONS = "predictions.csv"
#: With more classes than this no one reads a matrix.
_MOST_CLASSES = 40


def is_probe(results: Path) -> bool:
    """Return whether a folder holds the report of a probe."""
    return _find(results) is not None


def has_classes(results: Path) -> bool:
    """Return whether a folder holds the report of a probe of classes, not of a quantity."""
    return is_probe(results) and measure_of(_load(results).layers[0]) != "r2"


def has_predictions(results: Path) -> bool:
    """Return whether a folder holds the report of a probe of a quantity, with what it predicted."""
    return _find_predictions(results) is not None


def _find(results: Path) -> Path | None:
    places = (results, results / "probe")
    return next((place for place in places if all((place / name).is_file() for name in _FILES)), None)


def _find_predictions(results: Path) -> Path | None:
    """Return the first folder of a quantity: `results` itself, ``probe`` in it, or a folder in that."""
    places = (results, results / "probe", *sorted((results / "probe").glob("*")))
    return next((place for place in places if is_probe(place) and (place / _PREDICTIONS).is_file()), None)


def _load(results: Path, *tables: str) -> ProbeReport:
    """Return what a figure needs of a report: its summary, and the `tables` that it names."""
    return ProbeReport.load(_find(results) or results, tables=tables)


def read_layers(results: Path) -> pd.DataFrame:
    """Return the source data: one row per source and layer of the read-out that is reported."""
    report = _load(results)
    frame = list_profile(report, choose_readout(report.frame))
    return frame.assign(panel="a", over=report.settings["holdout"])


def draw_layers(source: pd.DataFrame, results: Path) -> Figure:
    """Draw the scores over layers, with their controls."""
    figure = Figure(figsize=figure_size("one-and-half", 75), layout="constrained")
    plot_probe(_load(results), figure.add_subplot(), readout=source["readout"].iloc[0])
    return figure


def caption_layers(source: pd.DataFrame) -> str:
    """Say what is shown, what intervals are over and what the marks mean."""
    first = source.iloc[0]
    if source["measure"].iloc[0] == "r2":
        what, base = "R2 over all test stimuli", "dashed: 0, the mean of the training part"
    else:
        what, base = "balanced accuracy", f"dashed: chance, {first['chance']:.1f} %"
    band = say_twins(source)
    return (
        f"Linear read-out ({first['readout']}) of {first['target']} over the layers in forward order, "
        "tested on "
        f"{describe_holdout(first['holdout'])}: {what}. Bars: 95 % interval over "
        f"{describe_intervals(source)}{band}. Marks above: p < .05, permutation test corrected for the "
        "number of "
        f"layers by the maximum statistic; {base}."
    )


def read_confusion(results: Path) -> pd.DataFrame:
    """Return the source data: the counts at the layer fixed beforehand, in % of the true class."""
    report = _load(results, "confusion")
    frame, readout = report.confusion, choose_readout(report.frame)
    rows = report.frame[report.frame["source"] == "network"]
    layer = choose_layer(order_layers(rows))
    frame = frame[(frame["source"] == "network") & (frame["layer"] == layer) & (frame["readout"] == readout)]
    if frame.empty or frame["true"].nunique() > _MOST_CLASSES:
        raise StoreError(f"{results} has no confusions of up to {_MOST_CLASSES} classes to show.")
    counts = frame.groupby(["true", "predicted"], as_index=False, sort=False)["count"].sum()
    total = counts.groupby("true")["count"].transform("sum")
    shown = counts.assign(n_true=total, percent=100 * counts["count"] / total)[total > 0]
    settings = report.settings
    return shown.assign(layer=layer, readout=readout, target=settings["target"], holdout=settings["holdout"])


def draw_confusion(source: pd.DataFrame, _results: Path) -> Figure:
    """Draw the matrix with its colour bar."""
    n_classes = source["predicted"].nunique()
    width = "single" if n_classes <= 10 else "double"
    figure = Figure(figsize=figure_size(width, 80 if n_classes <= 10 else 150), layout="constrained")
    ax = figure.add_subplot()
    plot_confusion(source, ax)
    target = source["target"].iloc[0]
    ax.set(xlabel=f"Predicted {target}", ylabel=f"True {target}")
    bar = figure.colorbar(ax.collections[0], cax=ax.inset_axes((1.05, 0, 0.05, 1)))
    bar.set_label("Share of true class (%)")
    bar.outline.set_linewidth(0.5)
    return figure


def caption_confusion(source: pd.DataFrame) -> str:
    """Say which layer, which normalisation and how many stimuli."""
    first = source.iloc[0]
    low, high = int(source["n_true"].min()), int(source["n_true"].max())
    amount = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"Confusions of the read-out ({first['readout']}) of {first['target']} from "
        f"{say_layer(first['layer'])}, tested on {describe_holdout(first['holdout'])}, summed over test "
        "folds. Each row adds up to 100 % of its true "
        f"class ({amount} predictions each); chance is {100 / source['predicted'].nunique():.1f} % in "
        "every cell. "
        f"The layer was fixed beforehand, not chosen by its score."
    )


def read_predictions(results: Path) -> pd.DataFrame:
    """Return the source data: each test stimulus at the layer fixed beforehand, and how well it is met."""
    place = _find_predictions(results)
    if place is None:
        raise StoreError(
            f"{results / _PREDICTIONS} does not exist; make it with: fernet-neuro probe RUN --stimuli TABLE "
            f"--target QUANTITY --out {results}"
        )
    report = ProbeReport.load(place, tables=("predictions",))
    settings, readout = report.settings, choose_readout(report.frame)
    own = report.frame[(report.frame["source"] == "network") & (report.frame["readout"] == readout)]
    layer = choose_layer(order_layers(own))
    frame = report.predictions
    rows = frame[(frame["source"] == "network") & (frame["layer"] == layer) & (frame["readout"] == readout)]
    score = own.set_index("layer").loc[layer]
    return rows.assign(
        panel="a", target=settings["target"], holdout=settings["holdout"], r2=score["r2"],
        rank_correlation=score["rank_correlation"], n_seeds=len(settings["training_seeds"]),
    )  # fmt: skip


def draw_predictions(source: pd.DataFrame, _results: Path) -> Figure:
    """Draw predicted against true values, and where both are the same."""
    figure = Figure(figsize=figure_size("single", 85), layout="constrained")
    plot_predictions(source, figure.add_subplot())
    return figure


def caption_predictions(source: pd.DataFrame) -> str:
    """Say whose values, from which layer, and what the numbers are."""
    first = source.iloc[0]
    n_seeds = int(first["n_seeds"])
    seeds = f" by {n_seeds} training seeds" if n_seeds > 1 else ""
    return (
        f"Predicted against true {first['target']} of {source['stimulus_id'].nunique()} stimuli{seeds}: "
        f"linear read-out ({first['readout']}) from {say_layer(first['layer'])}, each stimulus predicted "
        f"by the fold that was trained without it ({describe_holdout(first['holdout'])}). R2 is over all of "
        f"them, against the mean of each training part; the rank correlation is Spearman's, the mean over "
        f"folds. "
        f"Dashed: predicted as shown. The layer was fixed beforehand, not chosen by its score."
    )
