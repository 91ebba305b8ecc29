"""How well trained networks name what they see: confusions, and confidence against accuracy."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.viz.matrices import plot_confusion
from fernet_neuro.viz.style import colour_of, figure_size

_COLUMNS = (
    "panel", "epoch", "seed", "true", "predicted", "count", "percent", "n", "bin", "confidence_percent",
    "accuracy_percent", "low_percent", "high_percent", "metric", "value", "low", "high", "interval",
    "chance_level",
)  # fmt: skip
_MEASURES = ("accuracy", "mean_class_accuracy", "ece")


def read_evaluation(results: Path) -> pd.DataFrame:
    """Return the source data: confusions summed over runs, bins of each run, and what the caption says.

    Looks for the report in the folder itself, then in its folder ``evaluation``.
    """
    inside = results / "evaluation"
    place = inside if (inside / "summary.json").is_file() else results
    report = EvaluationReport.load(place, tables=("metrics", "confusion", "calibration"))
    parts = [_read_confusion(report.confusion), _read_bins(report.calibration), _read_scores(report.metrics)]
    return pd.concat(parts, ignore_index=True).reindex(columns=list(_COLUMNS))


def _read_confusion(frame: pd.DataFrame) -> pd.DataFrame:
    keys = ["epoch", "true", "predicted"]
    counts = frame.groupby(keys, as_index=False, sort=False)["count"].sum()
    total = counts.groupby(["epoch", "true"])["count"].transform("sum")
    n_runs = frame["seed"].nunique()
    percent = 100 * counts["count"] / total.where(total > 0)
    return counts.assign(panel="confusion", percent=percent, n=total // n_runs)


def _read_bins(frame: pd.DataFrame) -> pd.DataFrame:
    names = {"confidence": "confidence_percent", "accuracy": "accuracy_percent"}
    names |= {"low": "low_percent", "high": "high_percent"}
    bins = frame.rename(columns=names)[["epoch", "seed", "bin", "n", *names.values()]]
    bins[list(names.values())] *= 100
    return bins.assign(panel="reliability")


def _read_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the overall scores of the single run, or the means over runs."""
    seed = "mean" if (frame["seed"] == "mean").any() else frame["seed"].iloc[0]
    wanted = (frame["seed"] == seed) & (frame["class"] == "") & frame["metric"].isin(_MEASURES)
    columns = ["epoch", "seed", "metric", "value", "low", "high", "interval", "n", "chance_level"]
    return frame.loc[wanted, columns].assign(panel="score")


def draw_evaluation(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw one row per epoch: the confusion matrix, and accuracy over confidence."""
    epochs = list(dict.fromkeys(source["epoch"]))
    height = 82 * len(epochs) + (8 if len(epochs) > 1 else 0)
    figure = Figure(figsize=figure_size("double", height), layout="constrained")
    axes = figure.subplots(len(epochs), 2, squeeze=False, width_ratios=(1.25, 1))
    for row, (epoch, (left, right)) in enumerate(zip(epochs, axes, strict=True)):
        rows = source[source["epoch"] == epoch]
        _draw_confusion(left, rows[rows["panel"] == "confusion"])
        _draw_reliability(right, rows[rows["panel"] == "reliability"])
        head = f"  {epoch} epoch" if epoch else ""
        error = _describe_error(rows[rows["panel"] == "score"])
        left.set_title(f"$\\bf{{{'ac'[row]}}}${head}")
        right.set_title(f"$\\bf{{{'bd'[row]}}}${head}\n{error}")
        bar = figure.colorbar(left.collections[0], cax=left.inset_axes((1.05, 0, 0.05, 1)))
        bar.set_label("Share of true label (%)")
        bar.outline.set_linewidth(0.5)
    return figure


def _draw_confusion(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw the matrix with the number of images per class; a class without images has no row."""
    shown = rows[rows["percent"].notna()]
    counts = shown.drop_duplicates("true").set_index("true")["n"].astype(int)
    plot_confusion(rows, ax)
    ax.set_yticklabels([f"{name} ({n})" for name, n in counts.items()])
    ax.set_xlabel("Predicted label")
    ax.set_ylabel("True label (number of images)")


def _draw_reliability(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw accuracy over confidence, bin by bin: intervals for one run, one line per run for several."""
    ax.plot([0, 100], [0, 100], color="#6E6E6E", lw=0.8, ls=(0, (4, 2)), zorder=1)
    seeds = list(dict.fromkeys(rows["seed"]))
    colour = colour_of("expression")
    for seed in seeds:
        run = rows[rows["seed"] == seed].sort_values("confidence_percent")
        x, y = run["confidence_percent"], run["accuracy_percent"]
        if len(seeds) == 1 and run["low_percent"].notna().any():
            ax.vlines(x, run["low_percent"], run["high_percent"], color=colour, lw=0.8, alpha=0.6)
        alpha = 1.0 if len(seeds) == 1 else 0.65
        ax.plot(x, y, color=colour, marker="o", ms=3, lw=1.0, alpha=alpha, gid=f"seed:{seed}", zorder=3)
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 100)
    ax.set_aspect("equal")
    ax.set_xlabel("Mean confidence of a bin (%)")
    ax.set_ylabel("Share of right answers (%)")


def _describe_error(rows: pd.DataFrame) -> str:
    """Return the calibration error with its interval over images."""
    first = rows[rows["metric"] == "ece"].iloc[0]
    text = f"calibration error {100 * first['value']:.1f} %"
    return text if np.isnan(first["low"]) else f"{text} [{100 * first['low']:.1f}, {100 * first['high']:.1f}]"


def caption_evaluation(source: pd.DataFrame) -> str:
    """Say what was tested, what the intervals are over, and what chance is."""
    scores = source[source["panel"] == "score"]
    seeds = source.loc[source["panel"] == "reliability", "seed"].nunique()
    bins = source[source["panel"] == "reliability"]
    several = (
        f" Matrices are summed over {seeds} training seeds, lines are single seeds." if seeds > 1 else ""
    )
    has_bars = seeds == 1 and bins["low_percent"].notna().any()
    bars = f" Bars: 95 % intervals over {scores['interval'].iloc[0]}." if has_bars else ""
    sentences = [_describe_epoch(str(epoch), rows) for epoch, rows in scores.groupby("epoch", sort=False)]
    return (
        f"Confusions (left; each row adds up to 100 % of its true label, with its number of images) and "
        f"reliability (right; bins of equal numbers of images, dashed: as often right as sure; below "
        f"it, surer than right).{several}{bars} {' '.join(sentences)}"
    )


def _describe_epoch(epoch: str, rows: pd.DataFrame) -> str:
    names = {"accuracy": "accuracy", "mean_class_accuracy": "mean class accuracy"}
    parts = []
    for metric, name in names.items():
        found = rows[rows["metric"] == metric]
        ends = [
            f"[{100 * row.low:.1f}, {100 * row.high:.1f}] over {row.interval}"
            for row in iterate_rows(found)
            if row.interval
        ]
        first = found.iloc[0]
        parts.append(
            f"{name} {100 * first['value']:.1f} % ({', '.join([*ends, ''])}"
            f"chance {100 * first['chance_level']:.1f} %)"
        )
    head = f"{epoch.capitalize()} epoch: " if epoch else ""
    text = " and ".join(parts)
    return f"{head}{text if head else text[0].upper() + text[1:]}."
