"""The dual-pathway network as a diagram: two encoders, the concepts kept of them, and the perceptual pathway.

References
----------
1. Lu, H., Zhuang, X., & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
   concept-regularized coding for emotion recognition. AAAI 38.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Outline

from fernet_neuro.viz.diagrams import draw_panels

_COLUMNS = ("stage", "block", "label", "detail", "state", "feeds", "x", "y", "width", "height")
#: What is computed from the emotion features.
_FROM_EMOTION = "confidence;scores;contrast;orthogonality"
_STATES = ("learnt", "fixed", "value", "memory", "loss")
# Places and sizes in mm on a page of 174 mm, y upwards; shapes and widths are the paper's [1].
_BLOCKS = (
    ("1", "face1", "face", "3×224²", "picture", "emotion;non_emotion", 11, 97, 13, 13),
    ("1", "emotion", "emotion\ntrunk", "ResNet-50", "learnt", "emotion_head", 38, 112, 18, 11),
    ("1", "emotion_head", "head", "2048 → 256", "learnt", "fe", 61, 112, 11, 9),
    ("1", "fe", "$f^{\\,e}$", "256,\nlength 1", "value", _FROM_EMOTION, 80, 112, 10, 9),
    ("1", "non_emotion", "non-emotion\ntrunk", "ResNet-50", "fixed", "non_emotion_head", 38, 82, 18, 11),
    ("1", "non_emotion_head", "head", "2048 → 256", "learnt", "fn", 61, 82, 11, 9),
    ("1", "fn", "$f^{\\,n}$", "256,\nlength 1", "value", "orthogonality", 80, 82, 10, 9),
    ("1", "confidence", "adaptive\nimportance", "256 → 1", "learnt", "product;ranking", 109, 121, 20, 8.5),
    ("1", "scores", "emotion\nclassifier", "256 → 128 → C", "learnt", "product", 109, 106.5, 20, 8.5),
    ("1", "product", "α·z", "C logits", "value", "wce", 135, 113, 11, 9),
    ("1", "ranking", "$L_{RR}$", "", "loss", "", 160, 121, 16, 7.5),
    ("1", "wce", "$L_{WCE}$", "", "loss", "", 160, 110, 16, 7.5),
    ("1", "contrast", "$L_{CC}$", "", "loss", "", 109, 93, 20, 7.5),
    ("1", "orthogonality", "$L_{orth}$", "", "loss", "", 109, 82, 20, 7.5),
    ("2", "bank", "concept bank", "", "memory", "threshold", 55, 55, 22, 9),
    ("2", "threshold", "α ≥ δ ?", "δ: 20th percentile\nof the class", "memory", "fec", 80, 55, 16, 9),
    ("2", "fec", "$f^{\\,ec}$", "yes: its own $f^{\\,e}$; no: mean of\nK = 8 confident $f^{\\,e}$", "value",
     "", 109, 55, 12, 9),
    ("3", "face2", "face", "3×224²", "picture", "perceptual", 11, 14, 13, 13),
    ("3", "perceptual", "perceptual\ntrunk", "ResNet-18", "learnt", "perceptual_head", 38, 14, 18, 11),
    ("3", "perceptual_head", "head", "512 → 256", "learnt", "fp", 61, 14, 11, 9),
    ("3", "fp", "$f^{\\,p}$", "256,\nlength 1", "value", "classifier;similarity", 80, 14, 10, 9),
    ("3", "classifier", "emotion\nclassifier", "256 → 128 → C", "learnt", "zp", 109, 14, 20, 8.5),
    ("3", "zp", "$z^{\\,p}$", "C logits", "value", "ce;distillation", 135, 14, 11, 9),
    ("3", "similarity", "$L_S$", "", "loss", "", 109, 33, 20, 7.5),
    ("3", "distillation", "$L_D$", "", "loss", "", 160, 33, 16, 7.5),
    ("3", "ce", "$L_{CE}$", "", "loss", "", 160, 14, 16, 7.5),
)  # fmt: skip
#: Bands behind the stages: heading, lower and upper end in mm.
_BANDS = {
    "1": ("$\\bf{Stage\\ 1}$  Conceptual pathway", 72.5, 131.0),
    "2": ("$\\bf{Between\\ the\\ stages}$  Concepts", 43.0, 69.0),
    "3": ("$\\bf{Stage\\ 2}$  Perceptual pathway", 3.5, 40.5),
}
#: What no level arrow can show, as points in mm; and what stands beside them.
_PATHS = (
    ((135, 104), (135, 70.75), (51, 70.75), (51, 59.9)),
    ((60, 59.8), (60, 65.2), (160, 65.2), (160, 37.2)),
    ((109, 44.8), (109, 37.2)),
)
_NOTES = (
    ("$f^{\\,e}$, α and α·z of every\ntraining image, once", 137, 90),
    ("α·z of confident images", 132, 62.9),
)
_SUMS = (
    ("$L_{CP}$ = 0.1 $L_{orth}$ + ($L_{WCE}$ + $L_{RR}$) + 0.01 $L_{CC}$", 171, 126.5),
    ("$L_{PP}$ = 2 $L_{CE}$ + $L_S$ + $L_D$", 171, 5.0),
)
_HEIGHT, _FOOT = 132.0, 8.0


def read_framework(_results: Path | None = None) -> pd.DataFrame:
    """Return the blocks; nothing is read from the results."""
    return pd.DataFrame(_BLOCKS, columns=list(_COLUMNS))


def draw_framework(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw both pathways and what passes between them, in mm."""
    figure, axes = draw_panels(source.assign(panel="a"), {"a": ("", _HEIGHT)}, "double", _STATES, _FOOT)
    ax = axes["a"]
    for heading, low, high in _BANDS.values():
        _draw_band(ax, heading, low, high)
    for points in _PATHS:
        _draw_path(ax, points)
    for text, x, y in _NOTES:
        ax.text(x, y, text, fontsize=7, va="center", color="#333333", linespacing=1.15)
    for text, x, y in _SUMS:
        ax.text(x, y, text, ha="right", va="bottom", fontsize=7)
    return figure


def _draw_band(ax: Axes, heading: str, low: float, high: float) -> None:
    box = FancyBboxPatch(
        (1.5, low), 171, high - low, boxstyle="round,pad=0,rounding_size=1.5", facecolor="#F6F6F4",
        edgecolor="none", zorder=0,
    )  # fmt: skip
    ax.add_patch(box)
    ax.text(3.5, high - 1.5, heading, va="top", fontsize=7.5)


def _draw_path(ax: Axes, points: tuple[tuple[float, float], ...]) -> None:
    ax.add_patch(
        FancyArrowPatch(
            path=Outline(points), arrowstyle="-|>,head_length=2.2,head_width=1.2", color="#00785A",
            linewidth=0.9, zorder=1, fill=False,
        )
    )  # fmt: skip


def caption_framework(_source: pd.DataFrame) -> str:
    """Say what each part is, and what the sources leave open."""
    return (
        "The dual-pathway network of Lu, Zhuang and Luo (2024), with the paper's sizes: 24.13 million "
        "parameters of the conceptual pathway in use (the non-emotion encoder serves training alone), "
        "11.41 million of the perceptual pathway. Stage 1: emotion features (fᵉ) are classified by scores "
        "z that a confidence α of each image multiplies (adaptive importance); rank regularisation (L_RR) "
        "spreads α, contrast (L_CC) clusters the features by expression, and orthogonality (L_orth) keeps "
        "them apart from the features (fⁿ) of a second encoder, whose trunk knows faces and stays frozen "
        "(hatched; its head learns). Between the stages every training image is shown once; those whose α "
        "reaches the 20th percentile δ of their class are confident. Stage 2: the perceptual pathway, "
        "which alone is used afterwards, learns the labels (L_CE), the concepts fᵉᶜ as its own features "
        "(L_S), and the logits of confident images (L_D). A head is two linear layers whose output is "
        "scaled to length 1; C: number of expressions. In the paper the conceptual pathway stands for "
        "emotion-related regions (amygdala, hippocampus, inferior frontal gyrus) and the perceptual "
        "pathway for the ventral visual stream."
    )
