"""The poster's two networks as block diagrams: the verification twin and the identification network.

References
----------
1. Schwartz, E., O'Nell, K., & Anzellotti, S. (2020). Investigating the emergence of expression
   representations in a neural network trained to discriminate identities. Vision Sciences Society.
2. He, K., Zhang, X., Ren, S., & Sun, J. (2016). Deep residual learning for image recognition. CVPR.
3. Cao, Q., Shen, L., Xie, W., Parkhi, O., & Zisserman, A. (2018). VGGFace2: A dataset for recognising
   faces across pose and age. FG.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fernet_neuro.viz.diagrams import READOUT_STATES, draw_panels

_COLUMNS = ("panel", "block", "label", "detail", "state", "feeds", "x", "y", "width", "height")
# Places and sizes in mm on a page of 174 mm. Shapes of the ResNet-50 for a picture of 224 px [2, 3];
# the poster [1] states neither the layers nor the input size of the verification network.
_SIAMESE = (
    ("face1", "face 1", "", "picture", "conv1", 10, 39, 13, 13),
    ("face2", "face 2", "", "picture", "conv2", 10, 10, 13, 13),
    ("conv1", "convolutions\n+ ReLU", "", "frozen", "e1", 42, 39, 27, 13),
    ("conv2", "convolutions\n+ ReLU", "", "frozen", "e2", 42, 10, 27, 13),
    ("e1", "e₁", "", "value", "newfc;difference", 70, 39, 8, 13),
    ("e2", "e₂", "", "value", "difference", 70, 10, 8, 13),
    ("difference", "|e₁ − e₂|", "", "value", "fc", 98, 10, 18, 9),
    ("fc", "FC", "", "removed", "same", 126, 10, 14, 9),
    ("same", "same or different\nperson", "", "removed", "", 157, 10, 28, 9),
    ("newfc", "new FC", "", "retrained", "emotions", 126, 39, 14, 9),
    ("emotions", "7 expressions", "", "retrained", "", 157, 39, 28, 9),
)
_RESNET = (
    ("face", "face", "3×224²", "picture", "stem", 10, 25, 13, 24),
    ("stem", "conv\n7×7", "64×112²", "frozen", "layer1", 28, 25, 11, 24),
    ("layer1", "layer1\n×3", "256×56²", "frozen", "layer2", 45, 25, 12, 20.5),
    ("layer2", "layer2\n×4", "512×28²", "frozen", "layer3", 62, 25, 12, 17),
    ("layer3", "layer3\n×6", "1024×14²", "frozen", "layer4", 79, 25, 12, 13.5),
    ("layer4", "layer4\n×3", "2048×7²", "frozen", "avgpool", 96, 25, 12, 10),
    ("avgpool", "avgpool", "2048", "frozen", "newid;newfc;fc", 111, 25, 12, 8),
    ("newid", "new FC", "", "retrained", "people", 130, 40, 14, 8),
    ("people", "70 identities", "", "retrained", "", 157, 40, 28, 8),
    ("newfc", "new FC", "", "retrained", "emotions", 130, 25, 14, 8),
    ("emotions", "7 expressions", "", "retrained", "", 157, 25, 28, 8),
    ("fc", "FC", "", "removed", "training", 130, 10, 14, 8),
    ("training", "8,631 identities", "", "removed", "", 157, 10, 28, 8),
)
_PANELS = {
    "a": ("Face verification network: two branches with shared weights (trained on LFW pairs)", _SIAMESE, 55),
    "b": ("Face identification network: ResNet-50 (trained on VGGFace2)", _RESNET, 53),
}


def read_architecture(_results: Path | None = None) -> pd.DataFrame:
    """Return the blocks of both networks; nothing is read from the results."""
    rows = [(panel, *block) for panel, (_, blocks, _) in _PANELS.items() for block in blocks]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def draw_architecture(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw both diagrams below one another, in mm."""
    panels = {panel: (title, height) for panel, (title, _, height) in _PANELS.items()}
    figure, axes = draw_panels(source, panels, "double", READOUT_STATES, foot=8.0)
    _mark_shared_weights(axes["a"])
    return figure


def _mark_shared_weights(ax: Axes) -> None:
    arrow = {"arrowstyle": "<|-|>", "lw": 0.8, "color": "#0072B2", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (42, 32.2), (42, 16.8), arrowprops=arrow)
    ax.text(44, 24.5, "shared weights", va="center", fontsize=7, color="#005A8C")


def caption_architecture(_source: pd.DataFrame) -> str:
    """Say what is shown and what the sources leave open."""
    return (
        "The two networks of Schwartz, O'Nell and Anzellotti (2020). (a) A twin network says from the "
        "absolute difference of two embeddings (e₁, e₂) whether two photographs show one person; for "
        "transfer, one branch is frozen and a new fully connected layer (FC) reads the expression from its "
        "embedding. The poster states neither its layers nor its input size. (b) ResNet-50 trained to name "
        "8,631 people; the last layer is taken away, all others are frozen, and a new FC reads the identity "
        "or the expression from the 2,048 pooled features. ×3 to ×6: residual blocks of a layer; "
        "below each block: channels × (height = width)² of its output, in pixels."
    )
