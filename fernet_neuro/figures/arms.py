"""The table of a grid as a figure: our arms over seeds, the printed values in panels apart."""

from pathlib import Path
from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import read_mixed
from fernet_neuro.exceptions import StoreError
from fernet_neuro.viz.dots import dots_legend, list_arms, pad_limits, plot_arm_dots, plot_printed_dots
from fernet_neuro.viz.scores import SCORE_NAMES
from fernet_neuro.viz.style import figure_size, letter

#: Height of a row, and of everything else, in mm; the tallest page.
_ROW_MM, _REST_MM, _TALLEST_MM = 6.0, 30.0, 220.0
#: Room between a panel and its title, in points: chance is named there.
_TITLE_PAD = 10.0
#: Letters of titles that stand side by side in all panels together.
_LETTERS = 84
_EPOCHS = {"last": "last epoch", "best": "best epoch on validation"}
_COLUMNS = (
    "panel", "panel_label", "kind", "row", "arm", "label", "network", "variant", "seed", "value_percent",
    "low_percent", "high_percent", "chance_percent", "interval", "n_seeds", "n", "metric", "epoch",
    "reference",
)  # fmt: skip
_TEXT = ("arm", "label", "test", "test_label", "epoch", "seed", "fold", "metric", "column")
_NUMBERS = ("value", "low", "high", "chance", "chance_level")


def read_table(results: Path) -> pd.DataFrame:
    """Return the source data: one row per arm and test, one per run, one per printed accuracy, in %.

    Raises StoreError if a file is missing or lacks what the figure shows.
    """
    summary = _read(results, "summary")
    summary = summary[summary["headline"]]
    if summary.empty:
        raise StoreError(
            f"{results / 'summary.csv'} has no headline row; run the recipe again with --resume."
        )
    printed = _read(results, "published")
    printed = printed.assign(value_percent=pd.to_numeric(printed["value"], errors="coerce"))
    printed = printed[printed["value_percent"].notna()]
    labels = dict(zip(summary["arm"], summary["label"], strict=True))
    labels |= {
        arm: label for arm, label in zip(printed["arm"], printed["label"], strict=True) if arm not in labels
    }
    rows = {arm: row for row, arm in enumerate(labels)}
    parts = [
        _take_means(summary),
        _take_seeds(_read(results, "results"), summary),
        _take_printed(printed),
    ]
    source = pd.concat([part for part in parts if len(part)], ignore_index=True)
    source = source.assign(row=source["arm"].map(rows), label=source["arm"].map(labels))
    panels = dict.fromkeys(zip(source["kind"] == "printed", source["panel_label"], strict=True))
    letters = {panel: "abcdefghijklmnop"[place] for place, panel in enumerate(panels)}
    keys = zip(source["kind"] == "printed", source["panel_label"], strict=True)
    return source.assign(panel=[letters[key] for key in keys]).reindex(columns=list(_COLUMNS))


def _read(results: Path, name: str) -> pd.DataFrame:
    path = results / f"{name}.csv"
    if not path.is_file():
        raise StoreError(f"{path} does not exist; make it with: fernet-neuro run RECIPE --out {results}")
    if name == "published":
        return read_mixed(path, (*_TEXT, "value"), _NUMBERS[1:])
    return read_mixed(path, _TEXT, _NUMBERS)


def _take_means(summary: pd.DataFrame) -> pd.DataFrame:
    return summary.assign(
        kind="mean",
        panel_label=summary["test_label"],
        value_percent=100 * summary["value"],
        low_percent=100 * summary["low"],
        high_percent=100 * summary["high"],
        chance_percent=100 * summary["chance_level"],
        n_seeds=summary["n_seeds"] * summary.get("n_folds", 1),
        seed="",
        reference="",
    )


def _take_seeds(results: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run of what `summary` shows; none where there is one seed."""
    keys = ["arm", "test", "epoch", "metric"]
    runs = results[(results["class"] == "") & (results["seed"] != "mean")]
    if "fold" in runs:
        runs = runs.assign(seed=runs["seed"] + ", fold " + runs["fold"])
    runs = runs[[*keys, "seed", "value"]].merge(summary[[*keys, "test_label", "network", "variant"]], on=keys)
    if runs["seed"].nunique() < 2:
        return runs.iloc[:0]
    return runs.assign(
        kind="seed", panel_label=runs["test_label"], value_percent=100 * runs["value"], reference=""
    )


def _take_printed(printed: pd.DataFrame) -> pd.DataFrame:
    columns = printed[["arm", "value_percent"]]
    return columns.assign(kind="printed", panel_label=printed["column"], reference=printed["source"])


def draw_table(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw one panel per test, then one per printed column."""
    labels = source.drop_duplicates("row").sort_values("row")["label"].astype(str).tolist()
    panels = [rows for _, rows in source.groupby("panel", sort=True)]
    height = min(_REST_MM + _ROW_MM * len(labels), _TALLEST_MM)
    figure = Figure(figsize=figure_size("double", height), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    ours = source[source["kind"] != "printed"]
    limits = pad_limits(ours[["value_percent", "low_percent", "high_percent", "chance_percent"]])
    for place, (ax, rows) in enumerate(zip(axes, panels, strict=True)):
        list_arms(ax, labels, named=place == 0)
        is_printed = rows["kind"].iloc[0] == "printed"
        if is_printed:
            plot_printed_dots(rows, ax)
        else:
            plot_arm_dots(rows, ax, limits=limits)
        label = fill(str(rows["panel_label"].iloc[0]), max(_LETTERS // len(panels), 8))
        whose = "\npublished" if is_printed else ""
        ax.set_title(f"{letter(rows['panel'].iloc[0], len(panels))}{label}{whose}", pad=_TITLE_PAD)
        ax.set_xlabel("Accuracy (%)" if is_printed else f"{SCORE_NAMES[str(rows['metric'].iloc[0])]} (%)")
    figure.legend(handles=_make_legend(source), loc="outside lower center", ncols=2)
    return figure


def _make_legend(source: pd.DataFrame) -> list:
    means = source[source["kind"] == "mean"]
    printed = source[source["kind"] == "printed"]
    reference = f"published, on the paper's data ({printed['reference'].iloc[0]})" if len(printed) else None
    over, n_runs = means["interval"].iloc[0], int(means["n_seeds"].iloc[0])
    interval, runs = f"95 % interval over {over}", "single runs" if over == "folds" else "training seeds"
    return dots_legend(list(dict.fromkeys(means["network"])), interval, n_runs, reference, runs)


def caption_table(source: pd.DataFrame) -> str:
    """Say what is shown, what the intervals are over, and that printed values are not ours."""
    means, printed = source[source["kind"] == "mean"], source[source["kind"] == "printed"]
    tests = ", ".join(dict.fromkeys(means["panel_label"]))
    first = means.iloc[0]
    sentences = [
        f"{SCORE_NAMES[str(first['metric'])]} of {means['arm'].nunique()} arms on {tests}; "
        f"{_EPOCHS[str(first['epoch'])]}, fixed beforehand.",
        _describe_dots(int(first["n_seeds"]), str(first["interval"])),
        f"Variant: {', '.join(dict.fromkeys(means['variant'].astype(str)))}.",
        "Dashed: the share of the most frequent class."
        if first["metric"] == "accuracy"
        else "Dashed: chance, 1 over the number of classes.",
    ]
    if len(printed):
        panels = ", ".join(f"({panel})" for panel in dict.fromkeys(means["panel"]))
        sentences.append(
            f"{panels}: our own runs. "
            f"Hollow marks on a shaded ground: accuracies in % printed in {printed['reference'].iloc[0]}, "
            f"published on the paper's data with other networks; their axes are their own, and only the "
            f"order of the arms can be compared with ours."
        )
    return " ".join(sentences)


def _describe_dots(n_seeds: int, interval: str) -> str:
    if n_seeds == 1:
        return f"Dots and lines: one training run and 95 % interval over {interval}."
    mean = f"mean of {n_seeds} training runs and 95 % interval over {interval}"
    return f"Dots and lines: {mean}; small dots: single runs."
