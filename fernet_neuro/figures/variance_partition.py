"""What models explain of a brain region's geometry alone, together and in all."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro._utils.tables import iterate_rows
from fernet_neuro.activations.network import say_models
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.rsa_results import (
    NAMELESS,
    Analysis,
    list_panels,
    name_rois,
    read_analyses,
    read_rdms,
)
from fernet_neuro.rsa.compare import INNER_PRODUCTS
from fernet_neuro.viz.shares import plot_shares, shares_legend
from fernet_neuro.viz.style import figure_size

_N_COLUMNS, _ROW, _FRAME, _LINE = 3, 4.6, 17.0, 4.4
#: More components than this are cut, the largest common ones kept.
MOST_ROWS = 20
#: As many panels as a page holds, and its height in mm.
MOST_PANELS, _TALLEST = 6, 222.0
_COLUMNS = (
    "panel", "roi", "analysis", "row", "models", "shown", "component", "share_percent", "low_percent",
    "high_percent", "level_percent", "ceiling_lower_percent", "ceiling_upper_percent", "comparison",
    "n_subjects", "n_stimuli", "n_components", "interval",
)  # fmt: skip


def read_shares(results: Path) -> pd.DataFrame:
    """Return the source data, one row per ROI and component, in % of variance.

    Raises StoreError if no variance was partitioned.
    """
    analyses = [item for item in read_analyses(results) if len(item.read("partition"))]
    if not analyses:
        raise StoreError(
            f"the RSA in {results} has partitioned no variance; make it with: fernet-neuro rsa --models FILE "
            f"--brain FILE --partition MODEL --partition MODEL --out {results}"
        )
    found = [
        (analysis, str(roi), rows)
        for analysis in analyses
        for roi, rows in analysis.read("partition").groupby("roi", sort=False)
    ]
    parts = [
        _read_roi(*item).assign(panel=letter)
        for letter, item in zip("abcdef"[:MOST_PANELS], found, strict=False)
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(roi=frame["roi"].replace("", NAMELESS))[list(_COLUMNS)]


def _read_roi(analysis: Analysis, roi: str, rows: pd.DataFrame) -> pd.DataFrame:
    frame = _order_rows(rows)
    known = analysis.select_roi(roi).iloc[0]
    comparison = str(analysis.settings.get("partition_comparison", "pearson"))
    lower, upper = _find_ceiling(analysis, roi, comparison)
    return frame.assign(
        share_percent=100 * frame["share"],
        low_percent=100 * frame["low"],
        high_percent=100 * frame["high"],
        row=np.arange(len(frame)),
        shown=[say_models(names, analysis.words) for names in frame["models"]],
        n_components=len(rows),
        analysis=analysis.name,
        comparison=comparison,
        level_percent=analysis.level_percent,
        n_subjects=known["n_subjects"],
        n_stimuli=known["n_stimuli"],
        interval=analysis.describe_intervals(of_shares=True),
        ceiling_lower_percent=100 * lower,
        ceiling_upper_percent=100 * upper,
    )


def _find_ceiling(analysis: Analysis, roi: str, comparison: str) -> tuple[float, float]:
    """Return what share of a subject's variance the others' mean explains, and the mean of all.

    Those are the ends of the noise ceiling in the space and unit of the shares; NaN of one subject alone. A
    subject whose RDM is opposed to the mean has nothing explained by it: negative correlations count as 0. In
    the space of ranks the mean is one of ranks, and is not ranked again: models with few values, such as
    labels, could come above it otherwise.
    """
    brain = name_rois(read_rdms(analysis)[0]).select(roi=roi).mean(by="subject")
    if brain.n_rdms < 2:
        return np.nan, np.nan
    product = INNER_PRODUCTS[comparison]
    present = ~np.isnan(brain.dissimilarities).any(axis=0)
    ready = product.prepare(brain.dissimilarities[:, present])
    ready = ready / product.measure(ready, present)[:, None]
    everyone = ready.mean(axis=0)
    others = (len(ready) * everyone - ready) / (len(ready) - 1)
    ends = []
    for means in (others, np.broadcast_to(everyone, ready.shape)):
        products = np.diag(product.multiply(ready, means, present))
        ends.append(float(np.mean(np.maximum(products / product.measure(means, present), 0) ** 2)))
    return ends[0], ends[1]


def _order_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return unique shares, common ones and the total; of too many common ones those largest in size."""
    unique, common, total = (rows[rows["component"] == name] for name in ("unique", "common", "total"))
    room = MOST_ROWS - len(unique) - len(total)
    if len(common) > room:
        common = common.loc[common["share"].abs().nlargest(room).sort_index().index]
    return pd.concat([unique, common, total], ignore_index=True)


def draw_shares(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw one panel per ROI, all on one scale."""
    panels = [rows for _, rows in source.groupby("panel")]
    n_columns = min(len(panels), _N_COLUMNS)
    n_lines = -(-len(panels) // n_columns)
    width = {1: "one-and-half", 2: "double"}.get(n_columns, "double")
    handles = shares_legend(
        f"{source['level_percent'].iloc[0]:g} % interval",
        has_ceiling=bool(source["ceiling_lower_percent"].notna().any()),
    )
    per_line = 3 if n_columns == 1 else 6
    legend = _LINE * -(-len(handles) // per_line)
    height = min(n_lines * (_FRAME + _ROW * (source["row"].max() + 1)) + legend, _TALLEST)
    figure = Figure(figsize=figure_size(width, height), layout="constrained")
    axes = figure.subplots(n_lines, n_columns, squeeze=False, sharex=True, sharey=_same_rows(panels)).ravel()
    for at, (ax, rows) in enumerate(zip(axes, panels, strict=False)):
        plot_shares(rows, ax)
        if at % n_columns == 0 or not _same_rows(panels):
            ax.set_yticks(rows["row"], [_name_row(row) for row in iterate_rows(rows)])
        title = " | ".join(part for part in (rows["analysis"].iloc[0], rows["roi"].iloc[0]) if part)
        ax.set_title(f"$\\bf{{{rows['panel'].iloc[0]}}}$  {title}")
        ax.xaxis.set_tick_params(labelbottom=True)
        ax.set_xlabel("Share of variance (%)")
    for ax in axes[len(panels) :]:
        ax.remove()
    figure.legend(handles=handles, loc="outside lower center", ncols=per_line, fontsize=7)
    return figure


def _same_rows(panels: list[pd.DataFrame]) -> bool:
    return len({tuple(rows["models"]) for rows in panels}) == 1


def _name_row(row: Any) -> str:
    return "all models" if row.component == "total" else str(row.shown)


def caption_shares(source: pd.DataFrame) -> str:
    """Say what shares are, what they are of, and what the ceiling is."""
    first = source.iloc[0]
    text = (
        f"Shares of the variance of brain RDMs that models explain (commonality analysis, "
        f"{str(first['comparison']).replace('_', ' ')}): {list_panels(source)}; "
        f"{int(first['n_subjects'])} subjects, {int(first['n_stimuli'])} stimuli. "
        f"Circles: what one model alone explains; squares: what exactly "
        f"the named models share, negative where one suppresses another; diamonds: all models together, the "
        f"sum of all shares. Shares are means over subjects, less "
        f"the bias of fitting noise; lines: {first['interval']}. "
    )
    if source["ceiling_lower_percent"].notna().any():
        text += (
            "Grey: noise ceiling, the share of a subject's variance that the mean of the others explains "
            "(lower end) and that the mean of all explains (upper end), none where they are opposed. "
        )
    if int(first["n_components"]) > MOST_ROWS:
        text += f"Of {int(first['n_components'])} components the {MOST_ROWS} largest are drawn. "
    return text + "Thin line at 0: nothing is explained."
