"""The paper's Figures 1 and 3: maps of the features that are classified, arm beside arm.

References
----------
1. Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024).
   arXiv:2409.08598.
"""

import re
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.embedding.result import METHOD_NAMES
from fernet_neuro.experiments.results_folder import ARM_MAPS
from fernet_neuro.figures.embedding_caption import name_k
from fernet_neuro.figures.network_maps import (
    find_seed_maps,
    read_judged_maps,
    say_maps,
    say_networks,
    say_seeds,
)
from fernet_neuro.systems.text_guided.figures.parts import read_arms
from fernet_neuro.viz.maps import choose_looks, map_legend, plot_map, plot_map_quality, quality_legend
from fernet_neuro.viz.style import figure_size

#: By figure: the recipe, and what the paper shows.
_FIGURES = {
    "text-guided-fig1": (
        "fig1",
        "The paper's Figure 1 shows RAF-DB with ResNet-18 and CLIP's texts, without numbers.",
    ),
    "text-guided-fig3": (
        "fig3",
        "The paper's Figure 3 shows RAF-DB with ResNet-18 and CLIP's texts, without numbers.",
    ),
}
_HEIGHT = 82.0


def read_arm_maps(results: Path, *, name: str) -> pd.DataFrame:
    """Return points and scores of the first seed's maps, and scores of others, with ``arm_label``."""
    recipe = _FIGURES[name][0]
    settings, _ = read_arms(results, recipe)
    command = f"fernet-neuro run text_guided/{recipe} --out {results}"
    frame = read_judged_maps(find_seed_maps(results / ARM_MAPS, command))
    frame = frame[frame["factor"].isin(["expression", ""]) | frame["factor"].isna()]
    arms = list(dict.fromkeys(frame.loc[frame["kind"] == "point", "layer"]))
    letters = {
        "point": dict(zip(arms, "abcd", strict=False)),
        "score": dict.fromkeys(arms, "abcde"[len(arms)]),
    }
    panels = [letters.get(row.kind, {}).get(row.layer, "") for row in iterate_rows(frame)]
    return frame.assign(panel=panels, arm_label=frame["layer"].map(settings.label_of))


def draw_arm_maps(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw a map per arm, and how far neighbours are alike in each."""
    points, scores = source[source["kind"] == "point"], source[source["kind"] == "score"]
    looks, arms = choose_looks(points["label"]), list(dict.fromkeys(points["arm_label"]))
    figure = Figure(figsize=figure_size("double", _HEIGHT), layout="constrained")
    *maps, quality = figure.subplots(1, len(arms) + 1, width_ratios=[*[1.25] * len(arms), 1])
    for ax, (panel, rows) in zip(maps, points.groupby("panel"), strict=True):
        plot_map(ax, rows, "label", looks=looks)
        ax.set_box_aspect(1)
        ax.set_title(f"$\\bf{{{panel}}}$  {_set_terms(rows['arm_label'].iloc[0])}")
        ax.set_xlabel(_say_quality(scores[scores["layer"] == rows["layer"].iloc[0]]), fontsize=7)
    maps[0].set_ylabel(f"{METHOD_NAMES[points['method'].iloc[0]]}, no unit")
    names = [_set_terms(label).replace(" ", "\n", 1) for label in scores["arm_label"]]
    plot_map_quality(quality, scores.assign(layer=names))
    quality.set_title(f"$\\bf{{{scores['panel'].iloc[0]}}}$  Neighbours alike")
    handles = quality_legend(name_k(scores), with_sweep=False)
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    figure.legend(handles=map_legend(looks), loc="outside upper center", ncols=len(looks))
    return figure


def _set_terms(label: str) -> str:
    return re.sub(r"\bL_(\w)\b", r"$L_\1$", label)


def _say_quality(scores: pd.DataFrame) -> str:
    """Return purity and held-out accuracy in the map."""
    drawn = scores[scores["space"] == "map"].drop_duplicates("measure").set_index("measure")["value_percent"]
    purity, accuracy = drawn["neighbour_purity"], drawn["knn_balanced_accuracy"]
    return f"purity {purity:.0f} %, held-out {name_k(scores)}-NN {accuracy:.0f} %"


def caption_arm_maps(source: pd.DataFrame, *, name: str) -> str:
    """Say what is mapped, how it is judged, and what the paper showed."""
    first = source[source["kind"] != "other seed"]
    arms = first[first["kind"] == "point"].drop_duplicates("layer").set_index("layer")["arm_label"]
    listed = ", ".join(f"({letter}) {label}" for letter, label in zip("abcd", arms, strict=False))
    return (
        f"Features that are classified (layer visual) of {source['faces'].iloc[0]} of new people, by "
        f"expression: {listed} ({say_networks(first)}). {say_maps(first)}"
        f"{say_seeds(source, {str(arm): f'by {label}' for arm, label in arms.items()})} {_FIGURES[name][1]}"
    )
