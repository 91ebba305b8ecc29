"""How often faces of an expression that training never showed are named right, from its text."""

from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.exceptions import StoreError
from fernet_neuro.systems.text_guided.figures.parts import (
    letter_panels,
    read_arms,
    read_scores,
    say_scores,
    start_panels,
    title_panel,
)
from fernet_neuro.systems.text_guided.settings import ZeroShotSettings
from fernet_neuro.viz.scores import Mark, plot_scores

_RECIPE = "zero_shot"
_MARKS = {
    "left out": Mark("expression never shown", "o", True),
    "shown": Mark("shown in training", "s", False),
}


def read_left_out(results: Path) -> pd.DataFrame:
    """Return recall and precision of the expressions left out, by arm and test; ``panel`` is one of each.

    Chance is that of guessing among all classes.

    Raises StoreError if no arm leaves out an expression.
    """
    settings, arms = read_arms(results, _RECIPE)
    left_out = {name: own.left_out for name, own in arms.items() if isinstance(own, ZeroShotSettings)}
    if not left_out:
        raise StoreError(
            f"no arm of {results / 'recipe.yaml'} leaves out an expression; run text_guided/zero_shot."
        )
    wanted = {name for names in left_out.values() for name in names}
    parts = [read_scores(results, settings, metric, _RECIPE) for metric in ("recall", "precision")]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame[frame["class"].isin(wanted)].sort_values(["class", "test"], kind="stable")
    if frame.empty:
        raise StoreError(
            f"no test of {results / 'recipe.yaml'} shows {' or '.join(sorted(wanted))}, which training "
            "leaves out; add one that does, or leave out another expression with "
            "--set 'networks.unseen.text.left_out=[NAME]'."
        )
    frame = frame.assign(
        arm_label=frame["arm"].map(settings.label_of),
        series=[
            "left out" if shown in left_out.get(arm, ()) else "shown"
            for arm, shown in zip(frame["arm"], frame["class"], strict=True)
        ],
        chance_percent=np.where(
            frame["metric"] == "recall", 100 / frame["n_classes"], frame["chance_percent"]
        ),
    )
    return letter_panels(frame, "class", "test", "metric")


def draw_left_out(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw a panel for each expression, test and measure: one mark per arm."""
    figure, panels = start_panels(source, _MARKS)
    for ax, rows in panels:
        names = dict(zip(rows["arm"], rows["arm_label"], strict=True))
        plot_scores(ax, rows, "arm", "series", {name: fill(text, 12) for name, text in names.items()}, _MARKS)
        first = rows.iloc[0]
        is_recall = first["metric"] == "recall"
        ax.set_ylabel("Named right (%)" if is_recall else "Right of those named so (%)")
        title_panel(ax, rows, f"{first['class']}, {first['test_label']}")
    return figure


def caption_left_out(source: pd.DataFrame) -> str:
    """Say what is shown, and what chance is."""
    classes = ", ".join(dict.fromkeys(source["class"]))
    return (
        f"Faces of an expression that training never showed ({classes}), named among all "
        f"{source['n_classes'].iloc[0]:.0f} classes from its text alone. Left: how often such faces are "
        f"named right; dashed: chance, 1 over the number of classes. Right: how often faces that are named "
        f"so show it; dashed: its share of the images. {say_scores(source)} Shuffled: each class has the "
        f"vector of another, which keeps the geometry of the texts without their meaning. Random: "
        f"directions without any geometry."
    )
