"""Stimuli on a plane, as far apart as a brain region or a model holds them."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.figures.rsa_results import list_rdms, read_pictures
from fernet_neuro.rsa.arrangement import arrange_stimuli, match_points
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.viz.geometry import plot_arrangement
from fernet_neuro.viz.maps import choose_looks
from fernet_neuro.viz.style import figure_size

#: What stays readable: panels, pictures in a panel (more are points), names of points.
MOST_PANELS, MOST_PICTURES, MOST_NAMES = 6, 48, 30
#: Bands of the page in mm: a panel, and a line of the legend.
_PANEL = {1: 88.0, 2: 84.0, 3: 62.0}
_LINE = 4.4
_COLUMNS = (
    "panel", "rdm", "shown", "kind", "stimulus_id", "factor", "label", "x", "y", "stress", "distance",
    "is_root", "n_rdms",
)  # fmt: skip


def read_arrangements(results: Path) -> pd.DataFrame:
    """Return the source data, one row per RDM and stimulus: each ROI's mean, then models; six at most.

    Arrangements after the first are turned and mirrored towards it, which changes no distance.
    """
    order, named, _ = list_rdms(results)
    named = [item for item in named if item.kind == "brain" or _is_graded(item.rdms)]
    parts = [
        _arrange(item.rdms, order).assign(panel=letter, rdm=item.name, shown=item.shown, kind=item.kind)
        for letter, item in zip("abcdef", named[:MOST_PANELS], strict=False)
    ]
    target = parts[0][["x", "y"]].to_numpy()
    for part in parts[1:]:
        part[["x", "y"]] = match_points(part[["x", "y"]].to_numpy(), target)
    return pd.concat(parts, ignore_index=True).assign(n_rdms=len(named))[list(_COLUMNS)]


def _is_graded(rdm: RDMSet) -> bool:
    """Return whether an RDM has more values than stimuli: labels alone put many stimuli at one point."""
    return len(np.unique(rdm.dissimilarities[~np.isnan(rdm.dissimilarities)])) > rdm.n_stimuli


def _arrange(rdm: RDMSet, order: pd.DataFrame) -> pd.DataFrame:
    found = arrange_stimuli(rdm)
    return order[["stimulus_id", "factor", "label"]].assign(
        x=found.points[0][:, 0],
        y=found.points[0][:, 1],
        stress=found.stress[0],
        distance=rdm.distance,
        is_root=found.is_root,
    )


def draw_arrangements(source: pd.DataFrame, results: Path) -> Figure:
    """Draw one panel per RDM; stimuli with a picture are pictures, framed in the colour of their label."""
    panels = [rows for _, rows in source.groupby("panel")]
    n_columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    n_lines = -(-len(panels) // n_columns)
    looks = {} if not source["factor"].fillna("").iloc[0] else choose_looks(source["label"])
    ids = set(source["stimulus_id"])
    pictures = read_pictures(results, ids) if len(ids) <= MOST_PICTURES else {}
    legend_lines = -(-len(looks) // 7) if looks else 0
    width = {1: "single", 2: "double"}.get(n_columns, "double")
    figure = Figure(
        figsize=figure_size(width, n_lines * _PANEL[n_columns] + _LINE * legend_lines), layout="constrained"
    )
    axes = figure.subplots(n_lines, n_columns, squeeze=False).ravel()
    size = _picture_size(len(ids))
    for ax, rows in zip(axes, panels, strict=False):
        plot_arrangement(rows, ax, looks, pictures=pictures, size=size, has_names=len(ids) <= MOST_NAMES)
        ax.set_title(f"$\\bf{{{rows['panel'].iloc[0]}}}$  {rows['shown'].iloc[0]}", pad=3)
        ax.set_title(f"stress {rows['stress'].iloc[0]:.2f}", pad=3, loc="right", fontsize=7)
    for ax in axes[len(panels) :]:
        ax.remove()
    if looks:
        handles = [
            Line2D(
                [], [], ls="", marker="s" if pictures else look.marker, ms=4.5, color=look.colour, label=name
            )
            for name, look in looks.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=7, columnspacing=1.0)
    return figure


def _picture_size(n_stimuli: int) -> float:
    """Return the side of pictures, as a share of the panel's, at which all cover a quarter of it at most."""
    return min(0.14, 0.5 / n_stimuli**0.5)


def caption_arrangements(source: pd.DataFrame) -> str:
    """Say how the plane was found, how well it fits, and what must not be read from it."""
    first = source.drop_duplicates("panel")
    names = ", ".join(f"({row.panel}) {row.shown} (stress {row.stress:.2f})" for row in iterate_rows(first))
    roots = first[first["is_root"]]
    said = (
        f" Roots of the dissimilarities, which are squared distances, were arranged in "
        f"{', '.join(f'({panel})' for panel in roots['panel'])}; negative ones count as 0."
        if len(roots)
        else ""
    )
    moved = (
        " Pictures that would hide one another are moved apart; where one no longer covers its place, "
        "a point and a line show it."
        if source["stimulus_id"].nunique() <= MOST_PICTURES
        else ""
    )
    factor = source["factor"].fillna("").iloc[0]
    colours = f" Colours: {factor}." if factor else ""
    text = (
        f"Metric multidimensional scaling of {source['stimulus_id'].nunique()} stimuli: classical scaling "
        f"refined by majorisation. Distances on the plane are as near to the dissimilarities as two "
        f"dimensions allow; Kruskal's stress 1 says how near (0: perfectly). {names}.{said}{moved} "
        f"Axes have no meaning: arrangements are turned and mirrored towards the first.{colours} Models of "
        f"labels are left out."
    )
    if int(source["n_rdms"].iloc[0]) > MOST_PANELS:
        text += f" The first {MOST_PANELS} of {int(source['n_rdms'].iloc[0])} RDMs are drawn."
    return text
