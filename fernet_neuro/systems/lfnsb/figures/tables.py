"""The paper's Tables 1 and 2 as pages: what is printed beside what is counted."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from fernet_neuro.viz.style import figure_size

_HEADINGS = {
    "part": "part", "kernels": "kernels", "expansion_printed": "expansion,\nprinted",
    "channels_printed": "channels,\nprinted", "expansion": "expansion", "channels": "channels",
    "repeats": "repeats", "stride": "stride", "network": "network",
    "accuracy_printed": "RAF-DB (%),\nprinted", "params_printed": "weights,\nprinted",
    "flops_printed": "FLOPs,\nprinted", "params": "weights", "params_used": "weights\nused",
    "macs": "multiply-\nadds", "flops_torchstat": "operations,\ntorchstat",
    "as_printed": "weights,\nprinted unit",
}  # fmt: skip
_ROW_MM = 5.0


def read_parts(_results: Path | None = None) -> pd.DataFrame:
    """Return Table 1; nothing is read from the results."""
    from fernet_neuro.systems.lfnsb.tables import list_parts

    return list_parts()


def read_costs(_results: Path | None = None) -> pd.DataFrame:
    """Return Table 2; nothing is read from the results."""
    from fernet_neuro.systems.lfnsb.tables import compare_costs

    return compare_costs()


def draw_table(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw the rows below headings; columns without a heading are in the source data alone."""
    shown = [name for name in _HEADINGS if name in source]
    rows = source[shown].astype(object).to_numpy().tolist()
    texts = [[f"{value:,}" if isinstance(value, int) else str(value) for value in row] for row in rows]
    n_rows = len(texts) + 2
    figure = Figure(figsize=figure_size("double", _ROW_MM * n_rows))
    ax = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    ax.axis("off")
    table = ax.table(
        texts,
        colLabels=[_HEADINGS[name] for name in shown],
        bbox=Bbox.unit(),
        edges="horizontal",
        cellLoc="right",
        colLoc="right",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(7)
    for (row, column), cell in table.get_celld().items():
        cell.set_height((2 if row == 0 else 1) / n_rows)
        cell.set_linewidth(0.4)
        if column == 0:
            cell.get_text().set_horizontalalignment("left")
    return figure


def caption_parts(_source: pd.DataFrame) -> str:
    """Say where the printed table and the released network differ."""
    return (
        "The network without spatial bias (LFN), as printed in Table 1 of Chen and Huang (2024) and as it is "
        "for pictures of 112 px. Expansion: hidden channels over those of the input. The printed factors are "
        "those of the network that it comes from (MFN) and would give 3.89 million weights; the released "
        "widths give the 2.676 million that Table 2 prints for the network with spatial bias. Batch "
        "normalisation of the embedding and the classifier are not in the printed table."
    )


def caption_costs(source: pd.DataFrame) -> str:
    """Say in which units the printed figures are, and what one unit says."""
    whys = ". ".join(
        f"{network}: {why}" for network, why in zip(source["network"], source["why"], strict=True)
    )
    ours = source.set_index("network")[["params_used", "flops_torchstat"]]
    fewer, cheaper = 100 * (1 - ours.loc["lfnsb"] / ours.loc["mfn"])
    return (
        "Weights and operations for one picture of 112 px and 7 expressions, as printed in Table 2 of Chen "
        f"and Huang (2024) and as counted. {whys}. In one unit lfnsb has {fewer:.1f} % fewer weights "
        f"than mfn (the text says 30.8) and takes {cheaper:.1f} % fewer operations (the text says 27.1)."
    )
