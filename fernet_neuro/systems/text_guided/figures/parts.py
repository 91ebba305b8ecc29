"""What the figures of text-guided grids share: the recipe of a results folder, and its scores.

What belongs here: reading; each figure is in a module of its own.
"""

from collections.abc import Mapping
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fernet_neuro._utils.config import read_settings
from fernet_neuro._utils.tables import read_mixed
from fernet_neuro.exceptions import StoreError
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.figures.network_maps import missing
from fernet_neuro.systems.text_guided.settings import TextGuidedSettings
from fernet_neuro.viz.scores import SEEDS, Mark, pick_means, scores_legend
from fernet_neuro.viz.style import figure_size, letter

_TEXT = ("arm", "network", "variant", "test", "epoch", "seed", "metric", "class", "interval")


def read_arms(results: Path, recipe: str) -> tuple[GridSettings, dict[str, TextGuidedSettings]]:
    """Return the recipe of a results folder, and what the task of each text-guided arm adds to it.

    `recipe`: the name of one that makes such results, which the error for a missing folder tells.

    Raises StoreError if there is none, or none of its arms is text-guided.
    """
    place = results / "recipe.yaml"
    if not place.is_file():
        raise missing(place, f"fernet-neuro run text_guided/{recipe} --out {results}")
    settings = read_settings(GridSettings, place)
    tested = {name: settings.find_tested(name).section for name in settings.arms}
    guided = {name: own for name, own in tested.items() if isinstance(own, TextGuidedSettings)}
    if not guided:
        raise StoreError(f"no arm of {place} is text-guided; run text_guided/{recipe}, or one like it.")
    return settings, guided


def read_scores(
    results: Path, settings: GridSettings, metric: str | None = None, recipe: str = "ablation"
) -> pd.DataFrame:
    """Return every score of a grid's main epoch, in %: each seed, and means with their intervals.

    `metric`: the first of the recipe by default. Columns are those of ``results.csv``, with
    ``value``, ``low`` and ``high`` as ``*_percent``, and ``chance_percent`` and ``test_label``.

    Raises StoreError if there are no results, or they are of folds.
    """
    place = results / "results.csv"
    if not place.is_file():
        raise missing(place, f"fernet-neuro run text_guided/{recipe} --out {results} --resume")
    if settings.folds:
        raise StoreError(f"{results} is cross-validated; its folds are shown by `figures build grid`.")
    frame = read_mixed(place, _TEXT, None)
    wanted = (frame["metric"] == (metric or settings.metrics[0])) & (frame["epoch"] == settings.epoch)
    frame = frame[wanted].reset_index(drop=True)
    scaled: dict[str, Any] = {f"{name}_percent": 100 * frame[name] for name in ("value", "low", "high")}
    labels = {name: test.label or name for name, test in settings.shown_tests.items()}
    return frame.drop(columns=["value", "low", "high"]).assign(
        **scaled, chance_percent=100 * frame["chance_level"], test_label=frame["test"].map(labels)
    )


def letter_panels(frame: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Return scores with the letter of their ``panel``: one for each set of values of the columns `keys`."""
    codes, _ = pd.factorize(pd.MultiIndex.from_frame(frame[list(keys)]))
    return frame.assign(panel=[ascii_lowercase[code] for code in codes])


def start_panels(
    source: pd.DataFrame, marks: Mapping[str, Mark]
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Return a figure with its legend, and the axes and scores of each panel, two in a row."""
    panels = [rows for _, rows in source.groupby("panel")]
    n_rows, n_columns = -(-len(panels) // 2), min(len(panels), 2)
    width, foot = ("single", 26) if n_columns == 1 else ("double", 14)
    figure = Figure(figsize=figure_size(width, 58 * n_rows + foot), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    n_entries = 1 if n_columns == 1 else 3
    figure.legend(handles=make_legend(source, marks), loc="outside lower center", ncols=n_entries)
    return figure, list(zip(axes.flat, panels, strict=False))


def title_panel(ax: Axes, rows: pd.DataFrame, text: str) -> None:
    """Write a panel's letter, where there are several, and what it shows."""
    ax.set_title(letter(rows["panel"].iloc[0], len(ax.figure.axes)) + text)


def make_legend(source: pd.DataFrame, marks: Mapping[str, Mark]) -> list[Line2D]:
    """Return the legend's handles of scores and of the line of chance."""
    return [
        *scores_legend(source, marks),
        Line2D([], [], color="#111111", lw=0.8, ls=(0, (4, 2)), label="chance"),
    ]


def say_scores(source: pd.DataFrame) -> str:
    """Return what marks, intervals and dots are."""
    n_seeds = source.loc[source["seed"] != "mean", "seed"].nunique()
    over = [name for name in dict.fromkeys(pick_means(source)["interval"]) if name and name != SEEDS]
    intervals = [*over, *([SEEDS] if n_seeds > 1 else [])]
    mean = (
        f"mean of {n_seeds} training seeds, small dots: single seeds" if n_seeds > 1 else "one training seed"
    )
    return f"Marks: {mean}; 95 % intervals over {' and, apart, over '.join(intervals) or 'nothing'}."
