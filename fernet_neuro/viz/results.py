"""The plot of each result, as ``result.plot()`` draws it: one panel, from the result itself.

What belongs here: from results to the tables that plot functions take; figures of papers are in `figures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fernet_neuro._utils.validation import check_option
from fernet_neuro.activations.network import say_layer
from fernet_neuro.evaluation.result import EvaluationReport, EvaluationResult
from fernet_neuro.probes.result import ProbeReport, ProbeResult, measure_of, spread_twins
from fernet_neuro.viz.geometry import plot_rdm
from fernet_neuro.viz.maps import choose_looks, map_legend, plot_map
from fernet_neuro.viz.matrices import plot_confusion
from fernet_neuro.viz.model_dots import plot_model_dots
from fernet_neuro.viz.profiles import plot_layer_profile, profile_legend
from fernet_neuro.viz.style import figure_size, style

if TYPE_CHECKING:
    from fernet_neuro.embedding.result import EmbeddingResult
    from fernet_neuro.rsa.rdms import RDMSet
    from fernet_neuro.rsa.result import RSAResult
    from fernet_neuro.rsa.searchlight.search import SearchlightMap

#: Below this, a corrected p value is marked.
_ALPHA = 0.05


def plot_probe(report: ProbeReport, ax: Axes | None = None, *, readout: str | None = None) -> Axes:
    """Draw the accuracy of a read-out over layers, with its controls, intervals and corrected tests.

    Parameters
    ----------
    report : ProbeReport
    ax : Axes, default=None
        None draws into a new figure.
    readout : str, default=None
        None takes the first.

    Raises
    ------
    ValueError
        If the report has no such read-out.
    """
    rows = list_profile(report, readout)
    with _panel(ax, "one-and-half", 75) as panel:
        plot_layer_profile(rows, panel)
        handles = profile_legend(rows)
        panel.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.16, 1))
        panel.set_title(f"{rows['target'].iloc[0].capitalize()}, {rows['holdout'].iloc[0]} held out", pad=14)
    return panel


def list_profile(report: ProbeReport, readout: str | None = None) -> pd.DataFrame:
    """Return what `plot_layer_profile` draws of a report: one row per source and layer of a read-out.

    The interval of several untrained twins is that of one more of them, see `spread_twins`.

    Raises
    ------
    ValueError
        If the report has no such read-out.
    """
    frame = report.frame
    readouts = list(dict.fromkeys(frame["readout"]))
    wanted = check_option("readout", readout or readouts[0], readouts)
    rows = frame[(frame["readout"] == wanted) & (frame["source"] != "control-task")]
    measure = measure_of(report.layers[0])
    places = {layer: at for at, layer in enumerate(dict.fromkeys(rows.sort_values("layer_index")["layer"]))}
    start = places.pop("pixels", -1) + 1
    scale = 1 if measure == "r2" else 100
    spread = spread_twins(report.layers, measure).loc[rows.index]
    spread = (scale * spread).assign(n_twins=spread["n_twins"])
    return rows.assign(
        network=rows["source"].replace("network", report.weights or "trained"), label=rows["layer"],
        measure=measure,
        position=rows["layer"].map(places).fillna(0) - start, value=scale * rows[measure], **spread,
        chance=0.0 if measure == "r2" else 100 * rows["chance_level"],
        significant=rows["p_value_max"].astype(float) < _ALPHA,
    )  # fmt: skip


def plot_probe_confusion(result: ProbeResult, ax: Axes | None = None) -> Axes:
    """Draw which classes a read-out takes for which, in % of the true class."""
    with _panel(ax, "single", 80) as panel:
        _draw_confusion(panel, result.count_confusions(), result.target)
        panel.set_title(f"{say_layer(result.layer)}: {100 * result.balanced_accuracy:.1f} %")
    return panel


def plot_evaluation(
    result: EvaluationResult | EvaluationReport, ax: Axes | None = None, *, epoch: str | None = None
) -> Axes:
    """Draw which classes a network takes for which, in % of the true class, summed over training seeds.

    Parameters
    ----------
    result : EvaluationResult or EvaluationReport
    ax : Axes, default=None
        None draws into a new figure.
    epoch : str, default=None
        Of a report; None takes the first.

    Raises
    ------
    ValueError
        If the report has no such epoch.
    """
    counts = result.count_confusions() if isinstance(result, EvaluationResult) else result.confusion
    if isinstance(result, EvaluationReport):
        epochs = list(dict.fromkeys(counts["epoch"]))
        counts = counts[counts["epoch"] == check_option("epoch", epoch or epochs[0], epochs)]
    with _panel(ax, "single", 80) as panel:
        _draw_confusion(panel, counts, str(result.settings.get("factor", "label")))
    return panel


def plot_embedding(
    result: EmbeddingResult,
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    factor: str | None = None,
    perplexity: float | None = None,
) -> Axes:
    """Draw one map, coloured by a factor.

    Parameters
    ----------
    result : EmbeddingResult
    ax : Axes, default=None
        None draws into a new figure.
    layer, factor, perplexity : default=None
        None takes the first.

    Raises
    ------
    ValueError
        If there is no such map or factor.
    """
    layer, factor = layer or result.layers[0], factor or result.factors[0]
    frame = result.select_map(layer, perplexity)
    check_option("factor", factor, [str(name) for name in frame if name not in ("x", "y")])
    looks = choose_looks(frame[factor])
    with _panel(ax, "single", 80) as panel:
        plot_map(panel, frame, factor, looks=looks)
        handles = map_legend(looks, len(set(frame[factor]) - set(looks)))
        panel.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), fontsize=7)
        panel.set_title(f"{say_layer(layer)}, perplexity {frame['perplexity'].iloc[0]:g}")
    return panel


def plot_rsa(result: RSAResult, ax: Axes | None = None, *, roi: str | None = None) -> Axes:
    """Draw how well each model accounts for a region: subjects, intervals and the noise ceiling.

    Parameters
    ----------
    result : RSAResult
    ax : Axes, default=None
        None draws into a new figure.
    roi : str, default=None
        None takes the first.

    Raises
    ------
    ValueError
        If there is no such region.
    """
    roi = result.rois[0] if roi is None else roi
    means = result.select_roi(roi)
    subjects = result.subjects[result.subjects["roi"] == roi].assign(kind="subject")
    significant = means["p_max"] < _ALPHA
    frame = pd.concat(
        [means.assign(kind="mean", value=means["estimate"], significant=significant), subjects],
        ignore_index=True,
    )
    names = list(means["model"])
    frame["row"] = frame["model"].map({name: at for at, name in enumerate(names)})
    with _panel(ax, "one-and-half", 25 + 5 * len(names)) as panel:
        plot_model_dots(frame, panel)
        panel.set_yticks(range(len(names)), [result.words[name] for name in names])
        panel.set_xlabel(f"{means['comparison'].iloc[0]}, {100 * result.settings['level']:g} % interval")
        panel.set_title(roi)
    return panel


def plot_rdms(rdms: RDMSet, ax: Axes | None = None, *, which: int | str = 0) -> Axes:
    """Draw one RDM, each pair as its percentile among all pairs.

    Parameters
    ----------
    rdms : RDMSet
    ax : Axes, default=None
        None draws into a new figure.
    which : int or str, default=0
        Row or name of the RDM.

    Raises
    ------
    ValueError
        If there is no such RDM.
    """
    row = rdms.names.index(check_option("which", which, rdms.names)) if isinstance(which, str) else which
    one = rdms.take([row])
    percent = 100 * pd.Series(one.dissimilarities[0]).rank(pct=True)
    square = replace(one, dissimilarities=percent.to_numpy()[None]).to_squares()[0]
    np.fill_diagonal(square, np.nan)
    with _panel(ax, "single", 75) as panel:
        plot_rdm(square, panel)
        panel.set_title(one.names[0])
    return panel


def plot_searchlight(result: SearchlightMap, ax: Axes | None = None) -> Axes:
    """Draw how the values of all centres are spread, one line per model."""
    with _panel(ax, "single", 60) as panel:
        for name, values in zip(result.names, result.values, strict=True):
            panel.hist(values, bins=40, histtype="step", label=name)
        panel.axvline(0, color="#111111", lw=0.7)
        panel.set(xlabel=f"{result.comparison} of {result.distance} RDMs", ylabel="Centres")
        panel.legend(fontsize=7)
    return panel


def _draw_confusion(ax: Axes, counts: pd.DataFrame, factor: str) -> None:
    summed = counts.groupby(["true", "predicted"], as_index=False, sort=False)["count"].sum()
    total = summed.groupby("true")["count"].transform("sum")
    plot_confusion(summed.assign(percent=100 * summed["count"] / total.where(total > 0)), ax)
    ax.set(xlabel=f"Predicted {factor}", ylabel=f"True {factor}")


@contextmanager
def _panel(ax: Axes | None, width: str, height_mm: float) -> Iterator[Axes]:
    """Yield `ax` as it is, or the axes of a new figure in the toolkit's style."""
    if ax is not None:
        yield ax
        return
    from matplotlib import pyplot as plt  # only here: it looks for a window system

    with style():
        yield plt.subplots(figsize=figure_size(width, height_mm), layout="constrained")[1]
