"""The paper's Figures 1 to 4 as block diagrams: the network, folding, RepVGGDW and spatial bias.

References
----------
1. Chen & Huang (2024). A lightweight model enhancing facial expression recognition with spatial bias and
   Cosine-Harmony loss. Preprints 115488.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.viz.diagrams import draw_panels

_COLUMNS = ("panel", "block", "label", "detail", "state", "feeds", "x", "y", "width", "height")
# Places and sizes in mm on a page of 174 or 85 mm, y upwards from the foot of the panel.
_NETWORK = (
    ("a", "face", "face", "3×112²", "picture", "conv1", 7, 22, 10, 30),
    ("a", "conv1", "conv\n3×3 s2\n+ BN", "64×56²", "learnt", "dw", 21.5, 22, 10, 24),
    ("a", "dw", "DW\n3×3\n+ BN", "64×56²", "learnt", "s23", 36, 22, 10, 24),
    ("a", "s23", "3, 5\ns2", "64×28²", "learnt", "s3", 50.5, 22, 10, 18),
    ("a", "s3", "3\n×9", "64×28²", "learnt", "s34", 65, 22, 10, 18),
    ("a", "s34", "3, 5\ns2", "128×14²", "learnt", "s4", 79.5, 22, 10, 13),
    ("a", "s4", "3\n×16", "128×14²", "learnt", "s45", 94, 22, 10, 13),
    ("a", "s45", "3, 5, 7\ns2", "256×7²", "learnt", "s5", 108.5, 22, 10, 9.5),
    ("a", "s5", "3, 5\n×6", "256×7²", "learnt", "rep", 123, 22, 10, 9.5),
    ("a", "rep", "RepVGG\nDW", "256×7²", "learnt", "sb", 137.5, 22, 11.4, 9.5),
    ("a", "sb", "spatial\nbias", "64×2²", "learnt", "fc", 152, 22, 10, 9.5),
    ("a", "fc", "FC", "C logits", "learnt", "", 166.5, 22, 10, 8),
    ("b", "x", "$x$", "", "value", "expand;shortcut", 9, 16, 8, 8),
    ("b", "expand", "conv 1×1\n+ BN + PReLU", "to the hidden width", "learnt", "mix", 38, 16, 24, 11),
    ("b", "mix", "MixConv", "DW kernels, each on its\nown channels", "learnt", "gates", 72, 16, 20, 11),
    ("b", "gates", "coordinate\nattention", "× gate of the row\n× gate of the column", "learnt", "project",
     105, 16, 20, 11),
    ("b", "project", "conv 1×1\n+ BN", "", "learnt", "sum", 136, 16, 18, 11),
    ("b", "shortcut", "the input, in blocks of stride 1", "", "value", "sum", 83, 32, 116, 7),
    ("b", "sum", "+", "", "value", "", 163, 16, 7, 7),
)  # fmt: skip
_FOLDING = (
    ("a", "x", "$x$", "", "value", "conv", 7, 9, 8, 8),
    ("a", "conv", "conv", "weights ω, no bias", "learnt", "norm", 29, 9, 16, 9),
    ("a", "norm", "BN", "γ, β; mean μ, variance σ²", "learnt", "y", 59, 9, 16, 9),
    ("a", "y", "$y$", "", "value", "", 79, 9, 8, 8),
    ("b", "x2", "$x$", "", "value", "one", 7, 9, 8, 8),
    ("b", "one", "conv", "ω' = ωγ / √(σ² + ε)    b' = β − μγ / √(σ² + ε)", "fixed", "y2", 44, 9, 20, 9),
    ("b", "y2", "$y$", "", "value", "", 79, 9, 8, 8),
)
_REPVGG = (
    ("a", "x", "$x$", "256×7²", "value", "large;small;sum", 7, 25, 8, 8),
    ("a", "large", "DW 3×3 + BN", "", "learnt", "sum", 31, 39, 22, 8),
    ("a", "small", "DW 1×1 + bias", "", "learnt", "sum", 31, 11, 22, 8),
    ("a", "sum", "+", "", "value", "norm", 52, 25, 7, 7),
    ("a", "norm", "BN", "", "learnt", "y", 66, 25, 9, 8),
    ("a", "y", "$y$", "256×7²", "value", "", 79, 25, 8, 8),
    ("b", "x2", "$x$", "", "value", "one", 7, 9, 8, 8),
    ("b", "one", "DW 3×3 + bias", "2,560 weights in place of 3,840", "fixed", "y2", 44, 9, 24, 8),
    ("b", "y2", "$y$", "", "value", "", 79, 9, 8, 8),
)
_BIAS = (
    ("a", "map", "map", "256×7²", "value", "reduce", 8, 26, 10, 12),
    ("a", "reduce", "conv 1×1\n+ BN + ReLU", "66×7²", "learnt", "pool", 32, 26, 22, 11),
    ("a", "pool", "adaptive\nmean", "66×2²", "value", "mix", 58, 26, 16, 11),
    ("a", "mix", "conv 1-D\nover channels", "4 pixels in, 4 out,\nkernel 3", "learnt", "maps",
     86, 26, 22, 11),
    ("a", "maps", "bias\nmaps", "64×2²", "value", "flat;up", 111, 26, 10, 11),
    ("a", "flat", "flatten", "256", "value", "fc", 132, 37, 16, 8),
    ("a", "fc", "FC", "released", "learnt", "", 167, 37, 11, 8),
    ("a", "up", "upsample,\njoin", "the map: 320×7²", "value", "gd", 132, 14, 16, 9),
    ("a", "gd", "DW 7×7\n+ BN", "320", "learnt", "fc2", 150.5, 14, 12, 9),
    ("a", "fc2", "FC", "paper", "learnt", "", 167, 14, 11, 8),
)  # fmt: skip
_TEXTS = {
    "lfnsb-fig1": (
        "LFNSB as released (Chen & Huang 2024), for pictures of 112 px; C: number of expressions. (a) The "
        "stem has no activation; the stages between it and RepVGGDW are bottlenecks, whose depth-wise (DW) "
        "kernels are given by their sides in pixels. s2: stride 2; ×9: repeats; below each block: channels "
        "× (height = width)² of its output. (b) A bottleneck; blocks of stride 1 add their input. BN: batch "
        "normalisation; FC: fully connected layer. 2,676,161 weights for 7 expressions, 14 of which the "
        "release holds and never uses."
    ),
    "lfnsb-fig2": (
        "A convolution and batch normalisation (BN) become one convolution. (a) In training, BN scales by "
        "the batch's mean and variance. (b) In use mean μ and variance σ² are constants, so that BN is part "
        "of the weights and a bias; ε = 10⁻⁵. The paper's printed formulae lost the root and the minus "
        "sign. Folding happens when `fuse` is called, never in training."
    ),
    "lfnsb-fig3": (
        "RepVGGDW. (a) In training: a depth-wise (DW) 3×3 convolution with batch normalisation (BN), a "
        "depth-wise 1×1 convolution with a bias and the input itself are added and normalised. (b) In use "
        "it is one depth-wise 3×3 convolution: the 1×1 kernel and the input are the middle of a 3×3 kernel."
    ),
    "lfnsb-fig4": (
        "Spatial bias. The map is reduced to 66 channels of 2×2 pixels; windows overlap, rows and columns "
        "0-3 and 3-6. A convolution slides over channels: a pixel of bias map c is a weighted sum of all "
        "four pixels of channels c, c + 1 and c + 2, and a constant. Above: as released, only the 64 maps "
        "reach the classifier (option replace). Below: as the paper's text says, they join the map (option "
        "concat). DW: depth-wise; BN: batch normalisation; FC: fully connected layer."
    ),
}
#: By figure: blocks, column width and, by panel, heading and height in mm.
_FIGURES = {
    "lfnsb-fig1": (
        _NETWORK,
        "double",
        {
            "a": (
                "The network; between stem and RepVGGDW bottlenecks, with the sides of their kernels",
                46.0,
            ),
            "b": ("A bottleneck", 43.0),
        },
    ),
    "lfnsb-fig2": (
        _FOLDING,
        "single",
        {"a": ("In training", 24.0), "b": ("In use", 24.0)},
    ),
    "lfnsb-fig3": (
        _REPVGG,
        "single",
        {"a": ("In training", 52.0), "b": ("In use", 23.0)},
    ),
    "lfnsb-fig4": (_BIAS, "double", {"a": ("", 44.0)}),
}


def read_blocks(_results: Path | None = None, *, name: str) -> pd.DataFrame:
    """Return the blocks of a diagram; nothing is read from the results."""
    return pd.DataFrame(_FIGURES[name][0], columns=list(_COLUMNS))


def draw_blocks(source: pd.DataFrame, _results: Path | None = None, *, name: str) -> Figure:
    """Draw the panels below one another, in mm."""
    _, width, panels = _FIGURES[name]
    states = tuple(state for state in ("learnt", "fixed", "value") if state in set(source["state"]))
    return draw_panels(source, panels, width, states)[0]


def caption_blocks(_source: pd.DataFrame, *, name: str) -> str:
    """Say what a diagram shows."""
    return _TEXTS[name]
