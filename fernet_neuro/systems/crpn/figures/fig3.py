"""Faces of two styles under networks trained on either: maps of their emotion features, and accuracies.

References
----------
1. Lu, H., Zhuang, X., & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
   concept-regularized coding for emotion recognition. AAAI 38.
2. Chen, J., Liu, G., & Chen, X. (2020). AnimeGAN: a novel lightweight GAN for photo animation. ISICA.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.embedding.result import METHOD_NAMES
from fernet_neuro.figures.embedding_caption import name_k
from fernet_neuro.figures.network_maps import (
    find_seed_maps,
    read_judged_maps,
    say_maps,
    say_networks,
    say_seeds,
)
from fernet_neuro.systems.crpn.figures.parts import Page, read_scores, say_scores
from fernet_neuro.viz.maps import choose_looks, map_legend, plot_map, plot_map_quality, quality_legend
from fernet_neuro.viz.scores import Mark, plot_scores, scores_legend

_COMMAND = "fernet-neuro run crpn/fig3 --out {}"
#: The factor that tells the styles.
_STYLE = "style"
#: Size and place of panels in mm.
_MAP, _ROW, _PANEL = (81.0, 64.0), 83.0, (43.0, 36.0)
_LEFTS = (13.0, 72.0, 129.0)
_HEIGHT = 143.0


def read_styles(results: Path) -> pd.DataFrame:
    """Return points, scores of maps and accuracies as one tidy frame; ``kind`` tells them apart.

    Points of a map have their ``style`` beside their ``label``, the expression.
    """
    command = _COMMAND.format(results)
    frame = read_judged_maps(find_seed_maps(results / "styles" / "maps", command))
    points = frame["kind"] == "point"
    styles = frame[points & (frame["factor"] == _STYLE)].set_index(["layer", "stimulus_id"])["label"]
    shown = frame[~points | (frame["factor"] != _STYLE)].reset_index(drop=True)
    at = pd.MultiIndex.from_frame(shown[["layer", "stimulus_id"]])
    shown["style"] = np.where(shown["kind"] == "point", styles.reindex(at).to_numpy(dtype=object), "")
    networks = list(dict.fromkeys(shown.loc[shown["kind"] == "point", "layer"]))
    shown["panel"] = [_letter(row, networks) for row in iterate_rows(shown)]
    accuracies = read_scores(results / "styles" / "accuracies.csv", ("trained", "tested", "variant"), command)
    return pd.concat([shown, accuracies.assign(kind="accuracy", panel="c")], ignore_index=True)


def _letter(row: Any, networks: list[str]) -> str:
    if row.kind == "point":
        return "ab"[networks.index(row.layer)]
    return "" if row.kind != "score" else ("d" if row.factor != _STYLE else "e")


def draw_styles(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw a map per network, accuracies of both on both styles, and how far neighbours are alike."""
    points, scores = source[source["kind"] == "point"], source[source["kind"] == "score"]
    accuracies = source[source["kind"] == "accuracy"]
    networks, styles = (list(dict.fromkeys(points[name])) for name in ("layer", "style"))
    page = Page(_HEIGHT)
    looks = choose_looks(points["label"])
    for number, network in enumerate(networks):
        ax = page.add(6 + number * (_MAP[0] + 5), 6, *_MAP)
        _draw_map(ax, points[points["layer"] == network], styles)
        if number == 0:
            ax.set_ylabel(f"{METHOD_NAMES[points['method'].iloc[0]]}, no unit", fontsize=7)
        ax.set_title(f"$\\bf{{{'ab'[number]}}}$  Network trained on {network} faces", pad=3.5)
    page.add_legend([*map_legend(looks), *_style_legend(styles)], _MAP[1] + 8.5, len(looks) + len(styles))
    marks = {name: Mark(f"tested on {name}", "o", number == 0) for number, name in enumerate(styles)}
    ax = page.add(_LEFTS[0], _ROW, *_PANEL)
    plot_scores(
        ax, accuracies, "trained", "tested", {name: f"trained on\n{name}" for name in networks}, marks
    )
    ax.set_title("$\\bf{c}$  Expressions of new people", pad=3.5)
    for left, factor, panel in ((_LEFTS[1], "expression", "d"), (_LEFTS[2], _STYLE, "e")):
        _draw_quality(page.add(left, _ROW, *_PANEL), scores[scores["factor"] == factor], panel)
    page.add_legend(scores_legend(accuracies, marks), _HEIGHT - 14.5, 5)
    page.add_legend(quality_legend(name_k(scores), with_sweep=False), _HEIGHT - 10, 4)
    return page.figure


def _draw_map(ax: Axes, rows: pd.DataFrame, styles: list[str]) -> None:
    """Draw one map; faces of the first style are filled, those of the second open."""
    looks = choose_looks(rows["label"])
    size = float(np.clip(9000 / len(rows), 5.0, 16.0))
    for number, style in enumerate(styles):
        before = len(ax.collections)
        plot_map(ax, rows[rows["style"] == style], "label", looks=looks, size=size)
        for collection in ax.collections[before:]:
            collection.set_gid(f"{collection.get_gid()}:{style}")
            if number:
                collection.set(edgecolor=collection.get_facecolor(), facecolor="white", linewidth=0.6)


def _style_legend(styles: list[str]) -> list[Line2D]:
    return [
        Line2D(
            [], [], ls="", marker="o", ms=3.6, mew=0.6, mec="#333333", mfc="white" if number else "#333333",
            label=f"{name} face",
        )
        for number, name in enumerate(styles)
    ]  # fmt: skip


def _draw_quality(ax: Axes, rows: pd.DataFrame, panel: str) -> None:
    named = rows.assign(layer=[f"trained on\n{name}" for name in rows["layer"]])
    plot_map_quality(ax, named)
    ax.set_title(f"$\\bf{{{panel}}}$  Neighbours alike in {rows['factor'].iloc[0]}", pad=3.5)
    if panel == "e":
        ax.set_ylabel("")


def caption_styles(source: pd.DataFrame) -> str:
    """Say what was trained and tested, how maps are judged, and what the paper used instead."""
    first = source[~source["kind"].isin(("other seed", "accuracy"))]
    styles = list(dict.fromkeys(source.loc[source["kind"] == "point", "style"]))
    faces = first["faces"].iloc[0]
    names = {name: f"({name})" for name in styles}
    return (
        f"Conceptual pathways trained on {styles[0]} or on {styles[1]} {faces}, tested on other people, each "
        f"face in both styles ({say_networks(first)}). (a, b) Emotion features of all test faces, coloured "
        f"by expression; filled: {styles[0]}, open: {styles[1]}. (c) "
        f"{say_scores(source[source['kind'] == 'accuracy'])}. (d, e) Neighbours alike in expression, and in "
        f"style: at chance where styles mix. {say_maps(first)}{say_seeds(source, names)} The paper trained "
        f"on halves of RAF-DB and AffectNet, one of them redrawn by AnimeGAN, and mapped videos of IMAGEN, "
        f"half of them redrawn, which are not public; it gives no numbers."
    )
