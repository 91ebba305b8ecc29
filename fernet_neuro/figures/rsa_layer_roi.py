"""Where in a network the geometry of a brain region appears: similarity over layers, one panel per ROI."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.layer_profile import merge_orders
from fernet_neuro.figures.results import NETWORKS, shorten_layer
from fernet_neuro.figures.rsa_results import (
    COMPARISON_LABELS,
    NAMELESS,
    Analysis,
    name_networks,
    read_analyses,
    read_estimates,
    say_comparison,
)
from fernet_neuro.viz.profiles import name_layers
from fernet_neuro.viz.rsa_profiles import (
    plot_rsa_profile,
    rsa_profile_legend,
    strips_height,
    trained_name,
)
from fernet_neuro.viz.style import figure_size, label_of, letter

#: Panels side by side, and rows above which regions stand side by side too; page bands in mm: a row of panels
#: without its strips, a strip, names of layers under the last row, and a line of the legend.
_N_COLUMNS, _MOST_ROWS, _ROW, _STRIP, _NAMES, _LINE = 3, 6, 40.0, 2.2, 22.0, 4.4
#: Width in mm of a letter of a title, and of what of a panel's width is beside it.
_LETTER, _BESIDE = 1.45, 10.0
#: Models without layers that are drawn as lines; more could not be told apart.
MOST_REFERENCES = 2
#: Lines of one panel, models without layers among them; more networks get panels of their own.
_MOST_LINES = 4
#: Tallest figure, in mm.
_TALLEST = 224.0
#: As many panels as a page holds.
MOST_PANELS = 9
_COLUMNS = (
    "panel", "kind", "roi", "analysis", "network", "model", "layer", "label", "position", "comparison",
    "estimate", "low", "high", "level_percent", "p_value", "p_fdr", "p_max", "noise_ceiling_lower",
    "noise_ceiling_upper", "low_position", "high_position", "share", "nested_score", "n_subjects",
    "n_stimuli", "interval", "n_references", "seed",
)  # fmt: skip


def read_layers(results: Path) -> pd.DataFrame:
    """Return the source data: layers, models without layers and peaks (``kind``), in the comparison's unit.

    Peaks of networks that differ in their training seed are of the kind ``seed peak``, with the ``seed``: the
    line of their mean has no peak of its own.

    Raises StoreError if no model is a layer.
    """
    analyses = [item for item in read_analyses(results) if _has_layers(read_estimates(item))]
    if not analyses:
        raise StoreError(
            f"no model of the RSA in {results} is a layer of a network; rsa-models draws other models."
        )
    frame = pd.concat([_read_analysis(item) for item in analyses], ignore_index=True)
    layers = frame[frame["kind"] == "layer"]
    runs = [list(dict.fromkeys(rows["label"])) for _, rows in layers.groupby(["analysis", "network"])]
    place = {label: float(at) for at, label in enumerate(merge_orders(runs))}
    for column, labels in (("position", "label"), ("low_position", "low"), ("high_position", "high")):
        is_peak = frame["kind"].isin(("peak", "seed peak"))
        rows = is_peak if column != "position" else frame["kind"] != "reference"
        names = frame["label"] if labels == "label" else frame[f"{labels}_label"]
        frame.loc[rows, column] = names[rows].map(place)
    frame = _letter_panels(_drop_repeats(frame))
    frame["roi"] = frame["roi"].replace("", NAMELESS)
    return frame[frame["panel"] <= "abcdefghi"[MOST_PANELS - 1]][list(_COLUMNS)]


def _has_layers(frame: pd.DataFrame) -> bool:
    return bool((frame["layer"] != "").any())


def _read_analysis(analysis: Analysis) -> pd.DataFrame:
    frame = read_estimates(analysis)
    frame["kind"] = np.where(frame["layer"] != "", "layer", "reference")
    frame["label"] = [shorten_layer(layer) for layer in frame["layer"]]
    references = frame["kind"] == "reference"
    frame.loc[references, "network"] = frame.loc[references, "model"]
    names = list(dict.fromkeys(frame.loc[references, "network"]))
    # Untrained twins come last, so that they are left out first.
    kept = sorted(names, key=lambda name: name.startswith("untrained"))[:MOST_REFERENCES]
    frame = frame[~references | frame["network"].isin(kept)].assign(n_references=len(names))
    parts = [frame, _read_peaks(analysis, frame)]
    return pd.concat(parts, ignore_index=True).assign(interval=analysis.describe_intervals())


def _read_peaks(analysis: Analysis, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the peaks with the ceilings of their ROIs; a peak of an unnamed network is the only one's."""
    peaks = name_networks(analysis.read("peaks"), analysis)
    networks = list(dict.fromkeys(frame.loc[frame["kind"] == "layer", "network"]))
    peaks["kind"], peaks["seed"] = "peak", ""
    if analysis.settings.get("over_seeds"):
        peaks["kind"], peaks["seed"] = "seed peak", peaks["network"]
    if len(networks) == 1:
        peaks["network"] = networks[0]
    for end in ("low", "high"):
        peaks[f"{end}_label"] = [shorten_layer(layer) for layer in peaks[f"{end}_layer"]]
    peaks["label"] = [shorten_layer(layer) for layer in peaks["layer"]]
    known = frame.drop_duplicates("roi").set_index("roi")
    for column in ("comparison", "noise_ceiling_lower", "noise_ceiling_upper", "n_subjects", "n_stimuli"):
        peaks[column] = peaks["roi"].map(known[column])
    return peaks.assign(level_percent=analysis.level_percent)


def _drop_repeats(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out references that several analyses share, such as the pixels."""
    references = frame["kind"] == "reference"
    same = [*_PANEL_KEYS, "network", "estimate"]
    return frame[~(references & frame.duplicated(subset=same))]


#: What makes a panel: a ROI, a comparison, and the ceiling, which differs where the participants do.
_PANEL_KEYS = ("roi", "comparison", "noise_ceiling_lower", "noise_ceiling_upper")


def _letter_panels(frame: pd.DataFrame) -> pd.DataFrame:
    keys = list(frame[list(_PANEL_KEYS)].round(9).astype(str).itertuples(index=False, name=None))
    letters = dict(zip(dict.fromkeys(keys), "abcdefghijklmnopqrstuvwxyz", strict=False))
    return frame.assign(panel=[letters[key] for key in keys]).sort_values("panel", kind="stable")


def draw_layers(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw one panel per ROI, all on one scale."""
    panels = list(source.groupby("panel"))
    networks = _order_networks(source)
    references = list(dict.fromkeys(source.loc[source["kind"] == "reference", "network"]))
    handles = _make_legend(source, networks, references)
    groups = group_networks(networks, _MOST_LINES - len(references))
    cells = [
        (letter(str(panel), len(panels)) if not at else "", rows, group)
        for panel, rows in panels
        for at, group in enumerate(groups)
    ]
    n_columns = _count_columns(len(panels), len(groups))
    n_rows = -(-len(cells) // n_columns)
    width = {1: "single", 2: "one-and-half"}.get(n_columns, "double")
    per_line = {1: 2, 2: 3}.get(n_columns, 5)
    n_strips = min(_count_peaks(source), max(map(len, groups)))
    legend = _LINE * -(-len(handles) // per_line) + 2
    height = min(n_rows * (_ROW + _STRIP * n_strips) + _NAMES, _TALLEST - legend) + legend
    figure = Figure(figsize=figure_size(width, height), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex="col", sharey=True).ravel()
    letters = int((25.4 * figure.get_figwidth() / n_columns - _BESIDE) / _LETTER)
    for ax, (mark, rows, group) in zip(axes, cells, strict=False):
        shown = rows[(rows["kind"] == "reference") | rows["network"].isin(group)]
        plot_rsa_profile(shown, ax, names=networks, strips=group)
        title = str(rows["roi"].iloc[0])
        if len(groups) > 1:
            title += f", {label_of(trained_name(group[0])).lower()}" + " and others" * (len(group) > 2)
        ax.set_title(mark + fill(title, letters), pad=6.0 + strips_height(n_strips))
    for ax in axes[len(cells) :]:
        ax.remove()
    _name_columns(list(axes[: len(cells)]), source, n_columns)
    comparison = source["comparison"].iloc[0]
    # A single label, as that of a low row would be longer than the row.
    figure.supylabel(f"{COMPARISON_LABELS.get(comparison, comparison)} (unitless)")
    figure.legend(handles=handles, loc="outside lower center", ncols=per_line)
    return figure


def _count_columns(n_panels: int, n_groups: int) -> int:
    """Return how many panels are side by side: regions, or groups of networks, or two regions with both."""
    if n_groups == 1:
        return min(n_panels, _N_COLUMNS)
    return 4 if n_groups == 2 and n_panels > _MOST_ROWS else min(n_groups, _N_COLUMNS)


def _name_columns(axes: Sequence[Axes], source: pd.DataFrame, n_columns: int) -> None:
    """Name the layers under the last panel of each column, whose panels share them."""
    layers = source[source["kind"] == "layer"]
    for place, ax in enumerate(axes):
        is_last = place >= len(axes) - n_columns
        if is_last:
            name_layers(ax, layers, 6)
        else:
            ax.set_xlabel("")
        ax.tick_params(axis="x", labelbottom=is_last)


def group_networks(networks: list[str], most: int) -> list[list[str]]:
    """Return networks in groups of at most `most` lines, each with its untrained twin.

    Examples
    --------
    >>> group_networks(["identity", "expression", "untrained identity", "untrained expression"], 3)
    [['identity', 'untrained identity'], ['expression', 'untrained expression']]
    """
    groups: list[list[str]] = []
    for own in dict.fromkeys(map(trained_name, networks)):
        members = [name for name in networks if trained_name(name) == own]
        if groups and len(groups[-1]) + len(members) <= most:
            groups[-1] += members
        else:
            groups.append(members)
    return groups


def _order_networks(source: pd.DataFrame) -> list[str]:
    """Return the networks, trained ones first and untrained ones last."""
    found = list(dict.fromkeys(source.loc[source["kind"] == "layer", "network"]))
    rank = {name: at for at, name in enumerate(NETWORKS)}
    return sorted(found, key=lambda name: (name.startswith("untrained"), rank.get(name, len(rank))))


def _count_peaks(source: pd.DataFrame) -> int:
    return source.loc[source["kind"] == "peak", "network"].nunique()


def _make_legend(source: pd.DataFrame, networks: list[str], references: list[str]) -> list:
    return rsa_profile_legend(
        networks,
        references,
        interval=f"{source['level_percent'].iloc[0]:g} % interval",
        has_ceiling=bool(source["noise_ceiling_lower"].notna().any()),
        has_peaks=bool((source["kind"] == "peak").any()),
    )


def caption_layers(source: pd.DataFrame) -> str:
    """Say what is compared, what bands and bars mean, and what the peaks' intervals are."""
    layers = source[source["kind"] == "layer"]
    rois = ", ".join(f"({row.panel}) {row.roi}" for row in iterate_rows(layers.drop_duplicates("panel")))
    comparison = say_comparison(layers["comparison"].iloc[0])
    subjects, stimuli = int(layers["n_subjects"].iloc[0]), int(layers["n_stimuli"].iloc[0])
    text = (
        f"Similarity ({comparison}, unitless) of the representational geometries of layers, in forward "
        f"order, and of regions of the brain: {rois}; {subjects} subjects, {stimuli} stimuli. Lines: mean "
        f"over subjects; bands: {layers['interval'].iloc[0]}. "
    )
    if layers["noise_ceiling_lower"].notna().any():
        text += (
            "Grey: noise ceiling, from the mean similarity of a subject to the mean of the others (lower "
            "end) to that to the mean of all (upper end). "
        )
    peaks = source[source["kind"] == "peak"]
    if len(peaks):
        text += (
            "Above a panel: the layer with the highest estimate, and the interval of the highest layer over "
            "the bootstrap samples, open and dashed for untrained twins; the source data and peaks.csv have "
            "the share of samples and the score of a layer chosen on other subjects and stimuli. "
        )
    text += _say_seeds(source[source["kind"] == "seed peak"])
    references = list(dict.fromkeys(source.loc[source["kind"] == "reference", "network"]))
    if references:
        n_more = int(source["n_references"].max()) - len(references)
        others = f"; {n_more} others are not drawn" if n_more > 0 else ""
        text += f"Horizontal broken lines: models without layers ({', '.join(references)}{others}). "
    return text + "Thin line at 0: no relation."


def _say_seeds(peaks: pd.DataFrame) -> str:
    """Return the best layer of each training seed, panel by panel; nothing where there are no seeds."""
    found = [f"({panel}) {', '.join(rows['label'])}" for panel, rows in peaks.groupby("panel")]
    if not found:
        return ""
    n_seeds = peaks["seed"].nunique()
    return (
        f"Estimates are means over {n_seeds} training seeds, whose peak has no interval and is not marked; "
        f"peak of each of the {n_seeds} seeds: {'; '.join(found)}. "
    )
