"""What the figures of the dual-pathway network's features share: reading scores, and a page in mm.

What belongs here: steps that more than one of these figures needs; each figure is in a module of its own.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import read_text
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.network_maps import missing
from fernet_neuro.viz.scores import MEAN, pick_means
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, figure_size

#: The score that is drawn; all are in the folder.
METRIC = "mean_class_accuracy"
_NUMBERS = ("value", "low", "high", "n", "n_units", "chance_level")


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
            fontsize=7, handletextpad=0.3, columnspacing=0.5, labelspacing=0.3, borderpad=0,
            borderaxespad=0,
        )  # fmt: skip


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
