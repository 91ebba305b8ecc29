"""One dot per arm and training seed."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.figures.spec import FigureSpec
from fernet_neuro.viz.style import figure_size


def read(results: Path) -> pd.DataFrame:
    frame = pd.read_csv(results / "results.csv", dtype={"arm": str})
    kept = frame[(frame["metric"] == "accuracy") & (frame["epoch"] == "last") & (frame["seed"] != "mean")]
    return kept[["arm", "seed", "value", "chance_level"]].assign(value=100 * kept["value"])


def draw(source: pd.DataFrame, _results: Path) -> Figure:
    figure = Figure(figsize=figure_size("single", 50), layout="constrained")
    axes = figure.subplots()
    axes.plot(source["value"], source["arm"], "o")
    axes.axvline(100 * source["chance_level"].iloc[0], color="0.4", linestyle="--")
    axes.set_xlabel("Accuracy (%); dashed: chance")
    return figure


SPEC = FigureSpec(
    name="lab-arms",
    title="Accuracy of each arm and seed",
    needs=("results.csv",),
    read=read,
    draw=draw,
    caption=lambda source: f"Accuracy of {source['arm'].nunique()} arms; one dot per training seed.",
)
