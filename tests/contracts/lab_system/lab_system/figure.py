"""One dot per arm and training seed, and a section of the page that says how far seeds lie apart."""

from pathlib import Path

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from fernet_neuro.experiments.page import Section
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


def show_spread(folder: Path) -> Section:
    seeds = read(folder).groupby("arm")["value"] if (folder / "results.csv").is_file() else {}
    lines = [Markup("<li>{}: {:.1f} to {:.1f} %</li>").format(arm, v.min(), v.max()) for arm, v in seeds]
    return Section(
        "lab-spread",
        "Spread over training seeds",
        Markup("<ul>{}</ul>").format(Markup().join(lines)) if lines else Markup(),
    )


SPEC = FigureSpec(
    name="lab-arms",
    title="Accuracy of each arm and seed",
    needs=("results.csv",),
    read=read,
    draw=draw,
    caption=lambda source: f"Accuracy of {source['arm'].nunique()} arms; one dot per training seed.",
)
