"""Searchlight maps of a group: where the RDM around a voxel is that of a model, through a glass brain."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import read_mixed
from fernet_neuro.brain import images
from fernet_neuro.brain.group import PEAK_COLUMNS
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.specs import GROUP_MASK
from fernet_neuro.rsa.searchlight.folder import name_group_map, name_in_words, read_settings
from fernet_neuro.viz.brain_maps import map_scale, plot_glass_map, plot_map_slices
from fernet_neuro.viz.style import figure_size

#: As many models as stay readable on one page.
MOST_MODELS = 4
#: In mm: height of a model's row, of its title, and of the colour bar with its label.
_ROW, _TITLE, _FOOT = 33.0, 5.0, 14.0
#: Share of the page's width for the glass brain; the slices have the rest.
_GLASS = 0.54
#: What a corrected p-value is of.
_CORRECTIONS = {
    "max_t": "maximum t over voxels",
    "cluster_size": "maximum cluster size",
    "cluster_mass": "maximum cluster mass",
    "tfce": "maximum of threshold-free cluster enhancement",
}


def find_group(results: Path) -> Path:
    """Return the folder of the maps: `results` itself, or ``searchlight`` in it.

    Raises StoreError if there are none, or none of a group.
    """
    places = [Path(results), Path(results) / "searchlight"]
    found = next((place for place in places if (place / GROUP_MASK).is_file()), None)
    if found is not None:
        return found
    alone = next((place for place in places if list(place.glob("sub-*/func/*_statmap.nii.gz"))), None)
    if alone is not None:
        raise StoreError(f"{alone} holds only maps of single subjects; a group needs five or more subjects.")
    raise StoreError(
        f"{places[1] / GROUP_MASK} does not exist; make it with: fernet-neuro brain searchlight PATTERNS "
        f"--models FILE --out {places[1]}"
    )


def read_map(results: Path) -> pd.DataFrame:
    """Return the table of peaks, with the number of subjects and what was computed and corrected."""
    folder = find_group(results)
    settings = read_settings(folder)
    path = folder / "peaks.csv"
    if not path.is_file():
        raise StoreError(f"{path} does not exist; make it again with: fernet-neuro brain searchlight")
    frame = read_mixed(path, ["model"])
    absent = [column for column in PEAK_COLUMNS if column not in frame]
    if absent or frame.empty:
        what = f"column {absent[0]!r}" if absent else "rows"
        raise StoreError(f"{path} cannot be used: it has no {what}. Make it again.")
    group = settings["group"]
    words = name_in_words(settings)
    return frame.assign(
        shown=frame["model"].map(words),
        distance=settings["distance"],
        comparison=settings["comparison"],
        radius_mm=settings["radius"],
        n_nearest=settings["n_nearest"],
        n_subjects=len(settings["subjects"]),
        correction=group["correction"],
        n_permutations=group["n_permutations"],
        level=group["level"],
        n_voxels_tested=group["n_voxels"],
    )


def draw_map(source: pd.DataFrame, results: Path) -> Figure:
    """Draw one row per model: a glass brain, and slices through its strongest peak."""
    folder = find_group(results)
    labels = {item["name"]: item["label"] for item in read_settings(folder)["models"]}
    models = list(dict.fromkeys(source["model"]))[:MOST_MODELS]
    level = float(source["level"].iloc[0])
    shown = {model: _read_significant(folder, labels[model], level) for model in models}
    vmax = _find_largest(shown.values())
    height = len(models) * (_ROW + _TITLE) + _FOOT
    figure = Figure(figsize=figure_size("double", height))
    for row, model in enumerate(models):
        peaks = source[source["model"] == model]
        top = 1 - row * (_ROW + _TITLE) / height
        shown_as = peaks["shown"].iloc[0]
        title = (
            f"$\\bf{{{'abcd'[row]}}}$  {shown_as}: {_count(peaks)}, {peaks['n_subjects'].iloc[0]} subjects"
        )
        figure.text(0.005, top - 4 / height, title, fontsize=7.5)
        bottom = top - (_ROW + _TITLE) / height
        glass = figure.add_axes((0.0, bottom, _GLASS, _ROW / height))
        plot_glass_map(shown[model], glass, vmax=vmax)
        slices = figure.add_axes((_GLASS + 0.01, bottom, 0.98 - _GLASS, _ROW / height))
        place = peaks.iloc[0][["x_mm", "y_mm", "z_mm"]].astype(float)
        plot_map_slices(shown[model], slices, place, vmax=vmax)
    norm, cmap = map_scale(vmax)
    place = figure.add_axes((0.3, 9 / height, 0.4, 2.5 / height))
    bar = figure.colorbar(ScalarMappable(norm, cmap), cax=place, orientation="horizontal")
    bar.set_label(f"Mean {_name_comparison(source)} over subjects where p ≤ {level:g}, corrected (unitless)")
    bar.outline.set_linewidth(0.5)
    return figure


def caption_map(source: pd.DataFrame) -> str:
    """Return what the map shows, what was corrected for, and what must not be read from it."""
    first = source.iloc[0]
    models = list(dict.fromkeys(source["model"]))
    around = (
        f"within {first['radius_mm']:g} mm"
        if pd.notna(first["radius_mm"]) and first["radius_mm"] != ""
        else f"of the {int(first['n_nearest'])} nearest voxels"
    )
    distance = first["distance"].replace("_", " ")
    parts = [
        f"Searchlight maps of {first['n_subjects']} subjects: {_name_comparison(source)} of each model RDM "
        f"with the {distance} RDM {around} around each voxel, mean over subjects.",
        f"Shown are voxels with p ≤ {first['level']:g} by {first['n_permutations']} sign flips of whole "
        f"maps, one-sided, corrected over {first['n_voxels_tested']} voxels by the "
        f"{_CORRECTIONS[first['correction']]}, for each model by itself.",
        "Glass brains show the largest value along each line of sight, from the left, from behind, from the "
        "right and from above; slices go through the voxel with the largest t. Positions are in mm, taken to "
        "be in MNI space; right is right.",
    ]
    if first["correction"] != "max_t":
        parts.append("A significant cluster says that there is an effect in it, not at which of its voxels.")
    found = source.groupby("shown", sort=False)["is_significant"].any()
    empty = found.index[~found].tolist()
    if empty:
        parts.append(f"No voxel is significant for {', '.join(empty)}; the slices go through the largest t.")
    if len(models) > MOST_MODELS:
        parts.append(f"Maps of the first {MOST_MODELS} of {len(models)} models are drawn.")
    return " ".join(parts)


def _read_significant(folder: Path, label: str, level: float) -> Any:
    """Return the mean over subjects where it is significant, 0 elsewhere."""
    mask = images.load_mask(folder / GROUP_MASK)
    values = {}
    for statistic in ("mean", "logp"):
        path = folder / "group" / name_group_map(label, statistic)
        image = images.load_image(path)
        values[statistic] = images.read_volumes(image, mask, path)[0]
    # Maps are in single precision: a p-value of exactly the level must not fall out by its round-off.
    significant = values["logp"] >= -np.log10(level) * (1 - 1e-6)
    return images.build_map(np.where(significant, values["mean"], 0), mask, image.affine)


def _find_largest(shown: Any) -> float:
    """Return the upper end of the colour bar: two digits, 0.1 where nothing is shown."""
    largest = max(float(np.asarray(image.dataobj).max()) for image in shown)
    if largest <= 0:
        return 0.1
    step = 10.0 ** (np.floor(np.log10(largest)) - 1)
    return float(np.ceil(largest / step - 1e-9) * step)


def _count(peaks: pd.DataFrame) -> str:
    if not peaks["is_significant"].any():
        return "no voxel significant"
    voxels, clusters = int(peaks["n_voxels"].sum()), len(peaks)
    return f"{voxels} voxel{'s'[: voxels > 1]} in {clusters} cluster{'s'[: clusters > 1]}"


def _name_comparison(source: pd.DataFrame) -> str:
    names = {
        "spearman": "Spearman correlation",
        "pearson": "Pearson correlation",
        "rho_a": "rho-a",
        "kendall_tau_a": "Kendall's tau-a",
    }
    name = source["comparison"].iloc[0]
    return names.get(name, name.replace("_", " "))
