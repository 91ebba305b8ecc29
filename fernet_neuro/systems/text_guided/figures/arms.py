"""The paper's Figures 4 and 5: two kinds of contrast with each backbone, and the weights of two terms.

References
----------
1. Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024).
   arXiv:2409.08598.
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fernet_neuro.systems.text_guided.figures.parts import (
    letter_panels,
    read_arms,
    read_scores,
    say_scores,
    start_panels,
    title_panel,
)
from fernet_neuro.systems.text_guided.settings import TextGuidedSettings
from fernet_neuro.viz.scores import SCORE_NAMES, Mark, pick_means, plot_scores

_CONTRASTS = {"prompt": Mark("contrast (CL)", "s", False), "self": Mark("self-contrast (SC)", "o", True)}
_WEIGHTS = {"other": Mark("other weights", "o", False), "default": Mark("default, 1 : 1", "o", True)}
_BACKBONES = {
    "resnet10-slim": "ResNet-10",
    "resnet18": "ResNet-18",
    "swin_t": "Swin-T",
    "vit_b_16": "ViT-B/16",
}


def read_contrasts(results: Path) -> pd.DataFrame:
    """Return scores by ``group``, the backbone, and ``series``, the contrast, of arms with one."""
    settings, arms = read_arms(results, "fig4")
    frame = read_scores(results, settings, recipe="fig4")
    own = {name: arm for name, arm in arms.items() if arm.contrast_weight > 0}
    frame = frame[(frame["class"] == "") & frame["arm"].isin(own)]
    backbones = {name: settings.find_tested(name).model.removeprefix("e2n-") for name in own}
    series = {name: arm.contrast for name, arm in own.items()}
    frame = frame.assign(group=frame["arm"].map(backbones), series=frame["arm"].map(series))
    return letter_panels(frame, "test")


def read_weights(results: Path) -> pd.DataFrame:
    """Return scores by ``group``, the ratio of lambda_t to lambda_c, from the smallest to the largest."""
    settings, arms = read_arms(results, "fig5")
    frame = read_scores(results, settings, recipe="fig5")
    frame = frame[(frame["class"] == "") & frame["arm"].isin(arms)]
    ratios = {name: say_ratio(arm) for name, arm in arms.items()}
    own = sorted(arms, key=lambda name: _order(arms[name]))
    frame = frame.assign(group=frame["arm"].map(ratios), place=frame["arm"].map(own.index))
    series = frame["group"].map({"1 : 1": "default"}).fillna("other")
    return letter_panels(frame.assign(series=series).sort_values("place", kind="stable"), "test")


def say_ratio(own: TextGuidedSettings) -> str:
    """Return lambda_t to lambda_c in the smallest whole numbers.

    Examples
    --------
    >>> say_ratio(TextGuidedSettings(transformation_weight=0.5, contrast_weight=2))
    '1 : 4'
    """
    weights = [Fraction(value).limit_denominator(1000) for value in _weights(own)]
    if 0 in weights:
        return " : ".join(str(int(weight > 0)) for weight in weights)
    ratio = weights[0] / weights[1]
    return f"{ratio.numerator} : {ratio.denominator}"


def _weights(own: TextGuidedSettings) -> tuple[float, float]:
    return own.transformation_weight, own.contrast_weight


def _order(own: TextGuidedSettings) -> float:
    first, second = _weights(own)
    return first / (first + second) if first + second else -1.0


def draw_contrasts(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw a panel per test: backbones, each with both kinds of contrast."""
    named = {name: _BACKBONES.get(name, name) for name in dict.fromkeys(source["group"])}
    marks = {key: mark for key, mark in _CONTRASTS.items() if key in set(source["series"])}
    return _draw(source, named, marks, "Backbone")


def draw_weights(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw a panel per test: ratios of weights."""
    named = {name: name for name in dict.fromkeys(source["group"])}
    marks = {key: mark for key, mark in _WEIGHTS.items() if key in set(source["series"])}
    return _draw(source, named, marks, "$\\lambda_t$ : $\\lambda_c$")


def _draw(source: pd.DataFrame, groups: dict[str, str], marks: dict[str, Mark], xlabel: str) -> Figure:
    figure, panels = start_panels(source, marks)
    for ax, rows in panels:
        plot_scores(ax, rows, "group", "series", groups, marks, f"{SCORE_NAMES[rows['metric'].iloc[0]]} (%)")
        _write_means(ax, rows, list(groups), marks)
        ax.set_xlabel(xlabel)
        # With few groups marks would stand far from their own intervals.
        middle, half = (len(groups) - 1) / 2, max(len(groups) / 2, 1.2) + 0.05
        ax.set_xlim(middle - half, middle + half)
        title_panel(ax, rows, rows["test_label"].iloc[0])
    return figure


def _write_means(ax: Axes, rows: pd.DataFrame, groups: list[str], marks: Iterable[str]) -> None:
    """Write each mean above what is highest of its intervals: differences are small on an axis from 0."""
    means = pick_means(rows)
    for line in ax.lines:
        gid = str(line.get_gid() or "").rpartition(":")
        own = means[(means["group"] == gid[0]) & (means["series"] == gid[2])]
        if gid[0] not in groups or gid[2] not in marks or own.empty:
            continue
        top = own[["value_percent", "high_percent"]].max().max()
        place = (float(np.asarray(line.get_xdata(), dtype=float)[0]), top)
        ax.annotate(
            f"{own['value_percent'].iloc[0]:.1f}", place, (0, 2), textcoords="offset points", ha="center"
        )


def caption_contrasts(source: pd.DataFrame) -> str:
    """Say what is compared, and what the paper showed."""
    return (
        f"{_say(source)} Contrast (CL): InfoNCE around each prompt, in a form of our own, since the paper's "
        f"is not public; self-contrast (SC): L_c. {say_scores(source)} The paper's Figure 4 has Swin-T, "
        f"ResNet-18 and CLIP's ViT-B/16 on RAF-DB and AffectNet-7; its values are not public."
    )


def caption_weights(source: pd.DataFrame) -> str:
    """Say what differs between arms, and what the paper showed."""
    return (
        f"{_say(source)} Weights of the transformation (lambda_t) and of self-contrast (lambda_c) against "
        f"each other. {say_scores(source)} The paper's Figure 5 has Swin-T on RAF-DB, AffectNet-8 and "
        f"FERPlus; its values are not public."
    )


def _say(source: pd.DataFrame) -> str:
    metric, tests = str(source["metric"].iloc[0]), ", ".join(dict.fromkeys(source["test_label"]))
    chance = {"accuracy": "the share of the most frequent class"}.get(metric, "1 over the number of classes")
    return f"{SCORE_NAMES[metric]} on {tests}; numbers are means. Dashed: {chance}."
