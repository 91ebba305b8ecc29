"""What the figures of the dual-pathway network's features share: reading, a page in mm, a panel of scores.

What belongs here: steps that more than one of these figures needs; each figure is in a module of its own.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fernet_neuro._utils.tables import iterate_rows, read_text
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.embedding_caption import caption_maps
from fernet_neuro.figures.embedding_maps import read_maps
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, figure_size

#: The score that is drawn; all are in the folder.
METRIC = "mean_class_accuracy"
#: Interval of a mean over training runs, as `evaluation.seeds` calls it, and the seed of such a mean.
SEEDS, MEAN = "training seeds", "mean"
_NUMBERS = ("value", "low", "high", "n", "n_units", "chance_level")
_KNN = "knn_balanced_accuracy"
_UNKNOWN = "not recorded"


class Mark(NamedTuple):
    """How a series of scores looks."""

    label: str
    marker: str
    filled: bool


class Page:
    """A page of double width, on which panels stand in mm from the upper left corner."""

    def __init__(self, height: float) -> None:
        self.width, self.height = COLUMN_WIDTHS_MM["double"], height
        self.figure = Figure(figsize=figure_size("double", height))

    def add(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return new axes."""
        bottom = 1 - (top + height) / self.height
        return self.figure.add_axes((left / self.width, bottom, width / self.width, height / self.height))

    def add_legend(self, handles: list[Any], top: float, ncols: int) -> None:
        """Draw a centred legend whose upper edge is at `top`."""
        self.figure.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1 - top / self.height), ncols=ncols,
            fontsize=6.5, handletextpad=0.4, columnspacing=1.2, labelspacing=0.3, borderpad=0,
            borderaxespad=0,
        )  # fmt: skip


def find_seed_maps(folder: Path, command: str) -> list[Path]:
    """Return the folders ``seed<k>`` of `folder` that hold maps, by seed.

    Raises StoreError if there is none; the message names the command that makes them.
    """
    found = [
        path.parent
        for path in folder.glob("seed*/settings.json")
        if path.parent.name.removeprefix("seed").isdigit()
    ]
    if not found:
        raise missing(folder / "seed0" / "settings.json", command)
    return sorted(found, key=lambda path: int(path.name.removeprefix("seed")))


def missing(path: Path, command: str) -> StoreError:
    """Return the error for a file that a run makes."""
    return StoreError(f"{path} does not exist; make it with: {command}")


def read_networks(place: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Return what the maps in `place` say of each layer's network, and of the faces; else empty."""
    settings = EmbeddingResult.load(place).settings
    return dict(settings.get("networks", {})), str(settings.get("faces", "stimuli"))


def read_judged_maps(places: list[Path]) -> pd.DataFrame:
    """Return points and scores of the first of `places`, and scores of the others as ``kind`` "other seed".

    Columns of `embedding_maps.read_maps`, and ``variant, training_seed, n_train, faces``.
    """
    frames = []
    for number, place in enumerate(places):
        frame = add_networks(read_maps(place), place)
        if number:
            frame = frame[frame["kind"] == "score"].assign(kind="other seed")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def add_networks(frame: pd.DataFrame, place: Path) -> pd.DataFrame:
    """Return `frame` with what is known of each layer's network, as text."""
    networks, faces = read_networks(place)
    columns = {"variant": "variant", "seed": "training_seed", "n_train": "n_train", "epoch": "epoch"}
    known = {
        column: [str(networks.get(layer, {}).get(key, _UNKNOWN)) for layer in frame["layer"]]
        for key, column in columns.items()
    }
    return frame.assign(**known, faces=faces)


def read_scores(path: Path, keys: Iterable[str], command: str) -> pd.DataFrame:
    """Return a table of scores that a run wrote, in % as ``*_percent``.

    Raises StoreError if it is missing or damaged.
    """
    if not path.is_file():
        raise missing(path, command)
    frame = read_text(path)
    wanted = [*keys, "seed", "metric", "interval", *_NUMBERS]
    absent = [name for name in wanted if name not in frame]
    if absent or frame.empty:
        what = f"it has no column {absent[0]!r}" if absent else "it has no rows"
        raise StoreError(f"{path} cannot be used: {what}. Delete it and run the recipe again with --resume.")
    for name in _NUMBERS:
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    frame = frame[frame["metric"] == METRIC].reset_index(drop=True)
    for name in ("value", "low", "high"):
        frame[f"{name}_percent"] = 100 * frame[name]
    frame["chance_percent"] = 100 * frame["chance_level"]
    return frame.drop(columns=["value", "low", "high", "chance_level"])


def pick_means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the means over seeds, or the single seed."""
    return frame[frame["seed"] == MEAN] if (frame["seed"] == MEAN).any() else frame


def plot_scores(
    ax: Axes,
    frame: pd.DataFrame,
    group: str,
    series: str,
    groups: Mapping[str, str],
    marks: Mapping[str, Mark],
) -> Axes:
    """Draw scores in groups: a mark with its intervals over people and over seeds, single seeds as dots.

    `ax`: where to draw. Marks carry ``<group>:<series>`` (``get_gid``). `frame`: rows of `read_scores`.
    `group`, `series`: columns that tell groups, and marks within a group. `groups`: labels of the groups, in
    order. `marks`: in order. Returns the same axes, in %.
    """
    for place, name in enumerate(groups):
        present = [key for key in marks if ((frame[group] == name) & (frame[series] == key)).any()]
        for number, key in enumerate(present):
            x = place + (number - (len(present) - 1) / 2) * _STEP
            rows = frame[(frame[group] == name) & (frame[series] == key)]
            _draw_score(ax, rows, x, marks[key], f"{name}:{key}")
    chance = frame["chance_percent"].iloc[0]
    ax.axhline(chance, color="#111111", lw=0.8, ls=(0, (4, 2)), zorder=1)
    ax.axhline(100, color="#111111", lw=0.6, ls=(0, (1, 1.5)), zorder=1)
    ax.set_xticks(range(len(groups)), list(groups.values()))
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.55, len(groups) - 0.45)
    ax.set_ylim(0, 106)
    ax.set_yticks(range(0, 101, 20))
    ax.spines["left"].set_bounds(0, 100)
    ax.set_ylabel("Mean class accuracy (%)")
    return ax


#: Distance of marks of one group, and of the interval over seeds and of single seeds from their mark.
_STEP, _SEEDS_AT, _DOTS_AT = 0.4, 0.08, 0.15
_INK, _PEOPLE = "#333333", "#8FB8D6"


def _draw_score(ax: Axes, rows: pd.DataFrame, x: float, mark: Mark, gid: str) -> None:
    means = pick_means(rows)
    for row in iterate_rows(means[means["low_percent"].notna()]):
        over_seeds = row.interval == SEEDS
        ax.vlines(
            x + _SEEDS_AT * over_seeds, row.low_percent, row.high_percent,
            color=_INK if over_seeds else _PEOPLE, lw=0.9 if over_seeds else 3.2, zorder=2,
        )  # fmt: skip
    ax.plot([x], [means["value_percent"].iloc[0]], ls="", zorder=4, gid=gid, **_look(mark))
    single = rows[rows["seed"] != MEAN]["value_percent"].to_numpy()
    if len(single) > 1:
        at = np.full(len(single), x + _DOTS_AT)
        ax.scatter(at, single, s=4, facecolor="white", edgecolor=_INK, linewidth=0.5, zorder=3)


def _look(mark: Mark) -> dict[str, Any]:
    face = _INK if mark.filled else "white"
    return {"marker": mark.marker, "ms": 4.2, "mew": 0.9, "mec": _INK, "mfc": face}


def scores_legend(frame: pd.DataFrame, marks: Mapping[str, Mark]) -> list[Line2D]:
    """Return the legend's handles of `plot_scores`."""
    handles = [Line2D([], [], ls="", label=mark.label, **_look(mark)) for mark in marks.values()]
    over = [name for name in dict.fromkeys(pick_means(frame)["interval"]) if name and name != SEEDS]
    handles += [Line2D([], [], color=_PEOPLE, lw=3.2, label=f"95 % interval over {name}") for name in over]
    if (frame["seed"] == MEAN).any():
        handles.append(Line2D([], [], color=_INK, lw=0.9, label=f"95 % interval over {SEEDS}"))
        handles.append(
            Line2D([], [], ls="", marker="o", ms=2.2, mfc="white", mec=_INK, mew=0.5, label="single seeds")
        )
    return handles


def say_networks(source: pd.DataFrame) -> str:
    """Return variant, drawn seed and size of training of the mapped networks, in words."""
    first = source[source["kind"] == "point"].drop_duplicates("layer")
    variants, seeds, sizes = (
        list(dict.fromkeys(first[name])) for name in ("variant", "training_seed", "n_train")
    )
    if variants == [_UNKNOWN]:
        return "variant and training seed were not recorded with these maps"
    return (
        f"variant {' and '.join(variants)}, training seed {' and '.join(seeds)}, "
        f"trained on {' and '.join(sizes)} pictures"
    )


def say_maps(source: pd.DataFrame) -> str:
    """Return the caption of maps whose layers are networks, and which have no numbers below them."""
    text = caption_maps(source).replace("Numbers and lower panels: purity", "Purity")
    stars = "Asterisks: p < .05, corrected over layers"
    return text.replace(stars, "P values in the source data are corrected over networks")


def say_seeds(source: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Return how far held-out k-NN in the features differs between training seeds, or nothing."""
    scores = source[source["kind"].isin(("score", "other seed")) & (source["measure"] == _KNN)]
    scores = scores[scores["space"] == "features"]
    n_seeds = scores["training_seed"].nunique()
    if n_seeds < 2:
        return ""
    parts = []
    for (factor, layer), rows in scores.groupby(["factor", "layer"], sort=False):
        low, high = rows["value_percent"].min(), rows["value_percent"].max()
        parts.append(f"{factor} {names.get(str(layer), layer)} {low:.0f} to {high:.0f} %")
    return f" Range of held-out k-NN in the features over {n_seeds} training seeds: {', '.join(parts)}."


def say_scores(frame: pd.DataFrame) -> str:
    """Return what intervals of scores are over, and chance."""
    over = list(dict.fromkeys(name for name in pick_means(frame)["interval"] if name))
    count = frame.loc[frame["seed"] != MEAN, "seed"].nunique()
    mean = f"mean of {count} training seeds" if count > 1 else "one training seed"
    intervals = f"95 % intervals over {' and, apart, over '.join(over)}" if over else "no intervals"
    return (
        f"Mean class accuracy ({mean}; {intervals}; {frame['n'].iloc[0]:.0f} pictures each; "
        f"chance {frame['chance_percent'].iloc[0]:.0f} %, dashed)"
    )
