"""The paper's Figure 2 as a block diagram: a face against texts, and what makes its feature neutral.

References
----------
1. Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024).
   arXiv:2409.08598.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro.viz.diagrams import draw_panels

_COLUMNS = ("panel", "block", "label", "detail", "state", "feeds", "x", "y", "width", "height")
# Places and sizes in mm on a page of 174 mm, y upwards; shapes are the paper's [1].
_BLOCKS = (
    ("a", "prompts", "prompts", "one sentence for each class", "picture", "text", 20, 43, 22, 10),
    ("a", "text", "text encoder $F_t$", "CLIP, ViT-B/16", "fixed", "t", 64, 43, 30, 10),
    ("a", "t", "$t_k$", "C × 512", "value", "scores", 99, 43, 12, 10),
    ("a", "scores", "τ cos($v$, $t_k$)", "C scores", "value", "", 133, 43, 28, 10),
    ("a", "face", "face", "3×112²", "picture", "visual", 20, 15, 14, 14),
    ("a", "visual", "visual encoder $F_e$", "Swin-T, ResNet-18 or ViT-B/16", "learnt", "v", 64, 15, 30, 10),
    ("a", "v", "$v$", "512", "value", "scores;neutral", 99, 15, 12, 10),
    ("a", "neutral", "transformation $F_n$", "512 → 128 → 512", "learnt", "n", 134, 15, 30, 10),
    ("a", "n", "$n$", "512", "value", "", 163, 15, 12, 10),
    ("b", "ts", "$t_k$", "", "value", "ls", 10, 29, 12, 8),
    ("b", "vs", "$v$", "", "value", "ls", 10, 9, 12, 8),
    ("b", "ls", "$L_s$", "cross-entropy of\nτ cos($v$, $t_k$)", "loss", "", 38, 19, 16, 9),
    ("b", "dt", "$t_y$ − $t_{neutral}$", "", "value", "lt", 74, 29, 22, 8),
    ("b", "dv", "$v$ − $n$", "", "value", "lt", 74, 9, 22, 8),
    ("b", "lt", "$L_t$", "1 − cosine\nof the two", "loss", "", 104, 19, 16, 9),
    ("b", "ty", "$t_y$", "", "value", "lc", 132, 31, 12, 8),
    ("b", "vc", "$v$", "", "value", "lc", 132, 19, 12, 8),
    ("b", "nc", "$n$", "", "value", "lc", 132, 7, 12, 8),
    ("b", "lc", "$L_c$", "2 − cos($t_y$, $v$)\n+ cos($t_y$, $n$)", "loss", "", 160, 19, 16, 9),
)  # fmt: skip
_PANELS = {
    "a": ("The texts and $v$ name the face; the transformation serves training alone", 58.0),
    "b": ("Terms of the loss; $y$: the face's own expression", 42.0),
}
_STATES = ("learnt", "fixed", "value", "loss")


def read_method(_results: Path | None = None) -> pd.DataFrame:
    """Return the blocks; nothing is read from the results."""
    return pd.DataFrame(_BLOCKS, columns=list(_COLUMNS))


def draw_method(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw the network and the terms of its loss, in mm."""
    return draw_panels(source, _PANELS, "double", _STATES)[0]


def caption_method(_source: pd.DataFrame) -> str:
    """Say what each part is, what learns, and what is used afterwards."""
    return (
        "Text-guided recognition with an emotional-to-neutral transformation (arXiv 2409.08598), with the "
        "paper's sizes; C: number of expressions. (a) A frozen text encoder (hatched) embeds one prompt for "
        "each class, once. A face is named by the text of highest cosine with its feature v; τ is CLIP's "
        "learnt factor of about 100. A small network turns v into a neutral form n; without it, as in use, "
        "28,501,498 of 28,633,210 weights remain with Swin-T. (b) L_s: scores. L_t: v and n are to differ as "
        "the texts of the face's own expression and of neutral do. L_c: the text of its expression is to be "
        "near v and far from n. Neutral faces count for L_s alone; the loss is the sum of the three."
    )
