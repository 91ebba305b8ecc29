"""Networks whose classes are texts [1], with a small network that turns a feature into its neutral form.

What belongs here: the three backbones and what stands on them; texts are in `text_table`, losses in `losses`.

References
----------
[1] Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024).
    arXiv:2409.08598.
[2] Liu, Z. et al. (2021). Swin Transformer: Hierarchical vision transformer using shifted windows. ICCV.
"""

from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn

from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.models.blueprint import (
    Blueprint,
    Trunk,
    check_common_options,
    imagenet_preprocessing,
    use_one_channel,
)
from fernet_neuro.models.registry import build_trunk
from fernet_neuro.models.swin import LAYERS as SWIN_LAYERS
from fernet_neuro.systems.text_guided.losses import compute_scores

WIDTH = 512  # of CLIP's texts, and of every backbone here
HIDDEN = 128  # of the transformation network
HEADS = ("text", "linear")


class GuidedFeatures(NamedTuple):
    """All that a text-guided network says about a batch."""

    visual: Tensor  # (n, width), not scaled
    neutral: Tensor  # (n, width), what the transformation network makes of it
    logits: Tensor  # (n, n_classes)


class TextScores(nn.Module):
    """Scale times the cosine with each class's text; the texts are kept with the weights and never learn.

    Parameters
    ----------
    n_classes, width : int
        Texts start as random directions; the task puts the embedded prompts in their place.
    scale : float
        CLIP's learnt factor is about 100.
    """

    text: Tensor

    def __init__(self, n_classes: int, width: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("text", torch.randn(n_classes, width))

    def forward(self, visual: Tensor) -> Tensor:
        """Return scores (n, n_classes) of features (n, width)."""
        return compute_scores(visual, self.text, scale=self.scale)


class Difference(nn.Module):
    """What the transformation takes away, as a module so that it can be read as a layer."""

    def forward(self, visual: Tensor, neutral: Tensor) -> Tensor:
        """Return the difference (n, width)."""
        return visual - neutral


class TextGuidedNet(nn.Module):
    """A backbone, its feature's neutral form, and the classes that texts stand for.

    Parameters
    ----------
    trunk : nn.Module
        Maps images to (n, n_features), trailing axes of length 1 allowed.
    n_features, width : int
        Of the trunk and of the texts; where they differ, a linear map without bias stands between.
    n_classes : int
    head : {"text", "linear"}
        Cosines with texts, or an ordinary linear classifier, for the discrete labels that texts compete with.
    scale : float
        Of the cosines.
    transform : bool
        False leaves the transformation network out, which the logits do not need.
    """

    def __init__(
        self,
        trunk: nn.Module,
        n_features: int,
        *,
        width: int,
        n_classes: int,
        head: str = "text",
        scale: float = 100.0,
        transform: bool = True,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.visual = nn.Identity() if n_features == width else nn.Linear(n_features, width, bias=False)
        self.neutral, self.difference = None, None
        if transform:
            self.neutral = nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width))
            self.difference = Difference()
        check_option("head", head, HEADS)
        self.logits = TextScores(n_classes, width, scale) if head == "text" else nn.Linear(width, n_classes)

    def forward(self, images: Tensor, *, full: bool = False) -> Tensor | GuidedFeatures:
        """Return logits (n, n_classes), or everything with `full`; either way every module runs once.

        Raises
        ------
        ValueError
            If `full` is asked of a network without transformation.
        """
        if full and self.neutral is None:
            raise ValueError("this network was built with transform=False; build it with transform=True.")
        visual = self.visual(self.trunk(images).flatten(1))
        neutral = None if self.neutral is None else self.neutral(visual)
        if neutral is not None and self.difference is not None:
            self.difference(visual, neutral)
        logits = self.logits(visual)
        return GuidedFeatures(visual, neutral, logits) if full and neutral is not None else logits


def set_texts(module: TextGuidedNet, texts: Tensor) -> None:
    """Put texts (n_classes, width) in their place, one per class of the network.

    Raises
    ------
    ValueError
        If the network has an ordinary classifier, or texts of another number or width.
    """
    if not isinstance(module.logits, TextScores):
        raise ValueError("this network was built with head='linear'; train it with task: expression.")
    if module.logits.text.shape != texts.shape:
        raise ValueError(
            f"texts of shape {tuple(texts.shape)} do not fit a network for {tuple(module.logits.text.shape)} "
            f"(classes, width); build it with n_classes={len(texts)} and width={texts.shape[-1]}."
        )
    module.logits.text.copy_(texts)


def _make_swin(size: int, n_channels: int) -> Trunk:
    """Return Swin-T [2] for small images; its head, of face recognition, has two linear layers."""
    module = torchvision.models.SwinTransformer(
        patch_size=[2, 2],
        embed_dim=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=[7, 7],
        stochastic_depth_prob=0.1,
    )
    module.head = nn.Sequential(
        nn.Linear(768, 768, bias=False),
        nn.BatchNorm1d(768, eps=2e-5),
        nn.Linear(768, WIDTH, bias=False),
        nn.BatchNorm1d(WIDTH, eps=2e-5),
    )
    for layer in (module.head[0], module.head[2]):
        nn.init.trunc_normal_(layer.weight, std=0.02)
    return _finish(module, size, n_channels, SWIN_LAYERS)


def _make_vit(size: int, n_channels: int) -> Trunk:
    """Return ViT-B/16 with a linear map to the width of texts, as CLIP's image encoder ends."""
    if size % 16:
        raise ValueError(f"size must be a multiple of 16 for e2n-vit_b_16; got {size}.")
    module = torchvision.models.VisionTransformer(
        image_size=size, patch_size=16, num_layers=12, num_heads=12, hidden_dim=768, mlp_dim=3072
    )
    module.heads = nn.Linear(768, WIDTH, bias=False)
    blocks = tuple(f"encoder.layers.encoder_layer_{block}" for block in range(12))
    return _finish(module, size, n_channels, ("conv_proj", *blocks, "encoder.ln", "heads"))


def _finish(module: nn.Module, size: int, n_channels: int, layers: tuple[str, ...]) -> Trunk:
    if n_channels == 1:
        use_one_channel(module)
    channels = "grey" if n_channels == 1 else "rgb"
    return Trunk(module, imagenet_preprocessing(size, channels), layers, WIDTH)


_OWN_TRUNKS = {"swin_t": _make_swin, "vit_b_16": _make_vit}


# The variants differ in the loss, not in the network.
def build_guided(
    backbone: str,
    *,
    variant: str,  # noqa: ARG001
    n_classes: int,
    size: int,
    channels: str,
    width: int,
    head: str,
    scale: float,
    transform: bool,
) -> Blueprint:
    """Return the network whose classes are texts, on a backbone by name.

    Raises ValueError, TypeError if an option is out of range.
    """
    n_channels = check_common_options(n_classes, size, channels)
    check_range("width", width, 2)
    check_range("scale", scale, 1e-3)
    if backbone in _OWN_TRUNKS:
        trunk = _OWN_TRUNKS[backbone](size, n_channels)
    else:
        trunk = build_trunk(backbone, {"size": size, "channels": channels})
    module = TextGuidedNet(
        trunk.module,
        trunk.n_features,
        width=width,
        n_classes=n_classes,
        head=head,
        scale=scale,
        transform=transform,
    )
    own = ("visual", *(("neutral", "difference") if transform else ()), "logits")
    return Blueprint(module, trunk.preprocessing, (*(f"trunk.{layer}" for layer in trunk.layers), *own))
