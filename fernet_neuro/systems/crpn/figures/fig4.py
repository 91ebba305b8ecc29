"""Who is shown, in the non-emotion features, before and after an identity read-out is fine-tuned.

References
----------
1. Lu, H., Zhuang, X., & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
   concept-regularized coding for emotion recognition. AAAI 38.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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

_COMMAND = "fernet-neuro run crpn/fig4 --out {}"
#: Networks in order: as a title, below an axis, and in a sentence.
_NETWORKS = {
    "before": ("Before fine-tuning", "before", "before"),
    "non_emotion": ("Non-emotion encoder tuned", "encoder\ntuned", "with the encoder tuned"),
    "all": ("Everything tuned", "all\ntuned", "with everything tuned"),
}
_MARKS = {
    "nearest mean": Mark("nearest training mean", "s", False),
    "read-out": Mark("trained read-out", "o", True),
}
#: Size and place of panels in mm.
_MAP, _ROW, _PANEL = (52.0, 50.0), 74.0, (43.0, 36.0)
_LEFTS = (13.0, 72.0, 129.0)
_HEIGHT = 133.0


def read_identity(results: Path) -> pd.DataFrame:
    """Return points, scores of maps and accuracies as one tidy frame; ``kind`` tells them apart.

    Points are coloured by identity; scores are of identity and of expression.
    """
    command = _COMMAND.format(results)
    frame = read_judged_maps(find_seed_maps(results / "identity" / "maps", command))
    frame = frame[(frame["kind"] != "point") | (frame["factor"] == "identity")].reset_index(drop=True)
    networks = _list_networks(frame)
    letters = {factor: "abcdef"[len(networks) + at] for at, factor in enumerate(("identity", "expression"))}
    frame["panel"] = [
        "abc"[networks.index(row.layer)] if row.kind == "point" else letters.get(row.factor, "")
        for row in iterate_rows(frame)
    ]
    path = results / "identity" / "accuracies.csv"
    accuracies = read_scores(path, ("network", "method", "variant"), command)
    last = "abcdef"[len(networks) + 2]
    return pd.concat([frame, accuracies.assign(kind="accuracy", panel=last)], ignore_index=True)


def _list_networks(frame: pd.DataFrame) -> list[str]:
    present = set(frame.loc[frame["kind"] == "point", "layer"])
    return [name for name in _NETWORKS if name in present]


def draw_identity(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw a map per network, how far neighbours are alike, and how well people are named."""
    points, scores = source[source["kind"] == "point"], source[source["kind"] == "score"]
    accuracies = source[source["kind"] == "accuracy"]
    networks = _list_networks(source)
    page = Page(_HEIGHT)
    looks = choose_looks(points["label"])
    for number, name in enumerate(networks):
        rows = points[points["layer"] == name]
        ax = page.add(6 + number * (_MAP[0] + 5), 6, *_MAP)
        plot_map(ax, rows, "label", looks=looks, size=11)
        ax.set_title(f"$\\bf{{{'abc'[number]}}}$  {_NETWORKS[name][0]}", pad=3.5)
        if number == 0:
            ax.set_ylabel(f"{METHOD_NAMES[rows['method'].iloc[0]]}, no unit", fontsize=7)
    handles = map_legend(looks, points["label"].nunique() - len(looks))
    page.add_legend(handles, _MAP[1] + 7.5, -(-len(handles) // 2))
    for left, factor in zip(_LEFTS, ("identity", "expression"), strict=False):
        _draw_quality(page.add(left, _ROW, *_PANEL), scores[scores["factor"] == factor], networks)
    ax = page.add(_LEFTS[2], _ROW, *_PANEL)
    groups = {name: _NETWORKS[name][1] for name in networks}
    plot_scores(ax, accuracies, "network", "method", groups, _MARKS)
    ax.set_title(f"$\\bf{{{accuracies['panel'].iloc[0]}}}$  People named right", pad=3.5)
    page.add_legend(quality_legend(name_k(scores), with_sweep=False), _HEIGHT - 14.5, 4)
    page.add_legend(scores_legend(accuracies, _MARKS), _HEIGHT - 4.5, 5)
    return page.figure


def _draw_quality(ax: Axes, rows: pd.DataFrame, networks: list[str]) -> None:
    ordered = rows.sort_values("layer", key=lambda names: names.map(networks.index), kind="stable")
    plot_map_quality(ax, ordered.assign(layer=[_NETWORKS[name][1] for name in ordered["layer"]]))
    factor, panel = rows["factor"].iloc[0], rows["panel"].iloc[0]
    ax.set_title(f"$\\bf{{{panel}}}$  Neighbours alike in {factor}", pad=3.5)


def caption_identity(source: pd.DataFrame) -> str:
    """Say what learnt, on which pictures it is judged, and what the paper used instead."""
    first = source[~source["kind"].isin(("other seed", "accuracy"))]
    points, accuracies = first[first["kind"] == "point"], source[source["kind"] == "accuracy"]
    n_people = points["label"].nunique()
    letters = sorted(points["panel"].unique())
    names = {key: words for key, (_, _, words) in _NETWORKS.items()}
    judged = ", ".join(
        f"{rows['panel'].iloc[0]}: {factor}"
        for factor, rows in first[first["kind"] == "score"].groupby("factor", sort=False)
    )
    sizes = points.drop_duplicates("layer").set_index("layer")["n_train"]
    return (
        f"Non-emotion features of test pictures of {n_people} people ({first['faces'].iloc[0]}) before and "
        f"after an identity read-out is fine-tuned on {sizes.iloc[-1]} other pictures of the same people, "
        f"none of them a near-copy of a test picture ({say_networks(points[points['layer'] == 'before'])}). "
        f"({', '.join(letters)}) One map per network: the conceptual pathway as trained; its non-emotion "
        f"encoder alone tuned with the read-out; everything tuned, with a new emotion classifier. The "
        f"encoders share no weights, so both ways train this one alike. "
        f"({accuracies['panel'].iloc[0]}) {say_scores(accuracies)}; by the read-out, and by the nearest mean "
        f"feature (cosine) of each person's training pictures. Neighbours ({judged}). {say_maps(first)}"
        f"{say_seeds(source, names)} The paper fine-tuned on videos of six actors (IMAGEN), which are not "
        f"public, and shows a map after fine-tuning alone, without numbers."
    )
