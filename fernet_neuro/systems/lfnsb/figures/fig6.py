"""Confusion matrices over whole test sets, in the order of classes of the paper.

References
----------
1. Chen & Huang (2024). A lightweight model enhancing facial expression recognition with spatial bias and
   Cosine-Harmony loss. Preprints 115488, Figure 6.
"""

import re
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.exceptions import StoreError
from fernet_neuro.systems.lfnsb.figures.panels import make_panels, name_side, read_labels
from fernet_neuro.viz.matrices import plot_confusion

#: AffectNet's order; labels of other names follow in alphabetical order.
ORDER = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")


def read_matrices(results: Path) -> pd.DataFrame:
    """Return one row per panel and pair of labels, summed over runs, of the last epoch.

    A panel is a report of `evaluate`: the folder itself, or each report below it.

    Raises
    ------
    StoreError
        If there is none.
    """
    places = sorted(path.parent for path in results.rglob("confusion.csv") if _is_report(path.parent))
    if not places:
        raise StoreError(
            f"{results / 'confusion.csv'} does not exist; make it with: fernet-neuro evaluate RUN --stimuli "
            f"TABLE --out {results}"
        )
    labels = read_labels(results)
    parts = [_read_report(place).assign(panel=_name_panel(place, results, labels)) for place in places]
    return pd.concat([_share(rows) for _, rows in pd.concat(parts).groupby("panel", sort=False)])


def _is_report(place: Path) -> bool:
    return all((place / name).is_file() for name in ("summary.json", "metrics.csv"))


def _name_panel(place: Path, results: Path, labels: dict[str, str]) -> str:
    """Return what a report is of: its folders, less those of folds, which are summed."""
    parts = place.relative_to(results).parts
    kept = [part for part in parts if part != "evaluation" and not re.fullmatch(r"fold\d+", part)]
    return ", ".join(labels.get(part, part) for part in kept)


def _read_report(place: Path) -> pd.DataFrame:
    frame = EvaluationReport.load(place, tables=("confusion",)).confusion
    epochs = list(frame["epoch"])
    return frame[frame["epoch"] == ("last" if "last" in epochs else epochs[0])]


def _share(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per pair of labels of a panel, summed over runs and folds, in order."""
    n_seeds = frame["seed"].nunique()
    counts = frame.groupby(["panel", "true", "predicted"], as_index=False)["count"].sum()
    total = counts.groupby("true")["count"].transform("sum")
    counts = counts.assign(percent=100 * counts["count"] / total.where(total > 0), n=total // n_seeds)
    ranks = {name: rank for rank, name in enumerate((*ORDER, *sorted(set(counts["true"]) - set(ORDER))))}
    return counts.sort_values(["true", "predicted"], key=lambda column: column.map(ranks))


def draw_matrices(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw one matrix per report, with the number of images of each true label, and one colour bar."""
    panels = list(dict.fromkeys(source["panel"]))
    figure, axes = make_panels(panels, 74 if len(panels) == 1 else 54)
    for panel, ax in axes.items():
        rows = source[source["panel"] == panel]
        plot_confusion(rows, ax)
        shown = rows[rows["percent"].notna()]  # a class without images has no row
        counts = shown.drop_duplicates("true").set_index("true")["n"].astype(int)
        ax.set_yticklabels([f"{name} ({n})" for name, n in counts.items()])
    name_side(axes, "True expression (images)")
    bar = figure.colorbar(axes[panels[0]].collections[0], ax=list(axes.values()), shrink=0.6, aspect=25)
    bar.set_label("Share of true expression (%)")
    bar.outline.set_linewidth(0.5)
    return figure


def caption_matrices(source: pd.DataFrame) -> str:
    """Say what a row adds up to and which epoch is shown."""
    low, high = int(source["n"].min()), int(source["n"].max())
    return (
        f"Confusions over every image of each test set (not the last batch, as the released code plots "
        f"them); rows add up to 100 % of the true expression ({low} to {high} images), summed over training "
        f"runs and folds where there are several. The last epoch, or the single one that was evaluated. "
        f"Classes in AffectNet's order, as in the paper."
    )
