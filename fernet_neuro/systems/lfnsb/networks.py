"""The lightweight network with spatial bias, and the networks that it comes from and is compared with.

What belongs here: the tables of stages, the classes and their entries; their pieces are in `modules`.

References
----------
[1] Chen, J. & Huang, L. (2024). A lightweight model enhancing facial expression recognition with spatial bias
    and cosine-harmony loss.
[2] Chen, S., Liu, Y., Gao, X. & Han, Z. (2018). MobileFaceNets: Efficient CNNs for accurate real-time face
    verification on mobile devices. CCBR.
[3] Zhang, S. et al. (2023). A dual-direction attention mixed feature network for facial expression
    recognition. Electronics.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.models.blueprint import (
    Blueprint,
    check_common_options,
    imagenet_preprocessing,
)
from fernet_neuro.systems.lfnsb.modules import (
    Bottleneck,
    Conv2dBN,
    CoordAttention,
    DualDirectionAttention,
    GDConv,
    MixConv,
    RepVGGDW,
    SpatialBias,
    VectorNorm,
)

STRIDE = 16  # pixels of the image per pixel of the last map


class LightFeatures(NamedTuple):
    """All that a lightweight network says about a batch."""

    pooled: Tensor  # (n, n_features), the mean of the last map of the trunk over its pixels
    logits: Tensor  # (n, n_classes)
    gates: tuple[Tensor, ...]  # of each attention head, (n, n_features, side, side); of DDAMFN only


class Stage(NamedTuple):
    """Equal bottlenecks; the first has the stride, those of stride 1 a shortcut."""

    name: str
    n_out: int
    stride: int
    n_blocks: int
    splits: tuple[int, ...]  # channels of each depth-wise kernel
    kernels: tuple[int, ...]  # their sides


class Plan(NamedTuple):
    """What comes before the head."""

    stages: tuple[Stage, ...]
    mixed: bool = True  # several kernels and coordinate attention, or one kernel and a PReLU
    prelu: bool = True  # after both convolutions of the stem
    n_last: int = 512  # channels after the last layer, 1 x 1; 0 for RepVGGDW, which keeps them
    n_stem: int = 64


MOBILE = Plan((
    Stage("conv_23", 64, 2, 1, (128,), (3,)),
    Stage("conv_3", 64, 1, 4, (128,), (3,)),
    Stage("conv_34", 128, 2, 1, (256,), (3,)),
    Stage("conv_4", 128, 1, 6, (256,), (3,)),
    Stage("conv_45", 128, 2, 1, (512,), (3,)),
    Stage("conv_5", 128, 1, 2, (256,), (3,)),
), mixed=False)  # fmt: skip
MIXED = Plan((
    Stage("conv_23", 64, 2, 1, (64, 32, 32), (3, 5, 7)),
    Stage("conv_3", 64, 1, 9, (96, 32), (3, 5)),
    Stage("conv_34", 128, 2, 1, (128, 64, 64), (3, 5, 7)),
    Stage("conv_4", 128, 1, 16, (192, 64), (3, 5)),
    Stage("conv_45", 256, 2, 1, (256, 256, 256, 256), (3, 5, 7, 9)),
    Stage("conv_5", 256, 1, 6, (172, 170, 170), (3, 5, 7)),
))  # fmt: skip
# Widths of the released code; with the expansion factors of Table 1 there would be 3.9 million weights.
LIGHT = Plan((
    Stage("conv_23", 64, 2, 1, (64, 32), (3, 5)),
    Stage("conv_3", 64, 1, 9, (96,), (3,)),
    Stage("conv_34", 128, 2, 1, (128, 64), (3, 5)),
    Stage("conv_4", 128, 1, 16, (192,), (3,)),
    Stage("conv_45", 256, 2, 1, (256, 256, 256), (3, 5, 7)),
    Stage("conv_5", 256, 1, 6, (172, 170), (3, 5)),
), prelu=False, n_last=0)  # fmt: skip


def scale_plan(plan: Plan, width: float, depth: float) -> Plan:
    """Return `plan` with `width` times the channels, made even, and `depth` times the repeated blocks.

    Examples
    --------
    >>> scale_plan(LIGHT, 1.0, 1.0) == LIGHT
    True
    >>> scale_plan(LIGHT, 0.25, 0.5).stages[3]
    Stage(name='conv_4', n_out=32, stride=1, n_blocks=8, splits=(48,), kernels=(3,))
    """

    def even(n: int) -> int:
        return 2 * round(n * width / 2)

    stages = tuple(
        stage._replace(
            n_out=even(stage.n_out),
            n_blocks=max(1, round(stage.n_blocks * depth)),
            splits=tuple(even(n) for n in stage.splits),
        )
        for stage in plan.stages
    )
    return plan._replace(stages=stages, n_stem=even(plan.n_stem), n_last=even(plan.n_last))


def _make_stage(stage: Stage, n_in: int, mixed: bool) -> nn.Sequential:
    blocks = []
    for _ in range(stage.n_blocks):
        n_hidden = sum(stage.splits)
        if mixed:
            mix = MixConv(stage.splits, stage.kernels, stage.stride)
            middle: dict[str, nn.Module] = {"mix": mix, "attention": CoordAttention(n_hidden)}
        else:
            shape = (n_hidden, n_hidden, stage.kernels[0])
            middle = {"depthwise": Conv2dBN(*shape, stride=stage.stride, depthwise=True, prelu=True)}
        blocks.append(Bottleneck(n_in, n_hidden, stage.n_out, middle, residual=stage.stride == 1))
        n_in = stage.n_out
    return nn.Sequential(*blocks)


class LightNetwork(nn.Module):
    """A stem, stages of bottlenecks and a last layer, and what a subclass makes of their map.

    The networks hold what the published counts include and no forward pass touches, under ``unused``; it does
    not learn.

    Parameters
    ----------
    plan : Plan
    n_classes : int
    n_channels : int
        1 (grey) or 3.
    side : int
        Of the last map, in pixels: a 16th of the image's, rounded up.
    """

    def __init__(self, plan: Plan, n_classes: int, n_channels: int, side: int) -> None:
        super().__init__()
        self.conv1 = Conv2dBN(n_channels, plan.n_stem, 3, stride=2, prelu=plan.prelu)
        self.conv2_dw = Conv2dBN(plan.n_stem, plan.n_stem, 3, depthwise=True, prelu=plan.prelu)
        n_in = plan.n_stem
        for stage in plan.stages:
            self.add_module(stage.name, _make_stage(stage, n_in, plan.mixed))
            n_in = stage.n_out
        self.n_features = plan.n_last or n_in
        self.conv6_sep = Conv2dBN(n_in, plan.n_last, prelu=True) if plan.n_last else RepVGGDW(n_in)
        self.trunk = tuple(name for name, _ in self.named_children())
        self.add_head(n_classes, side)

    def add_head(self, n_classes: int, side: int) -> None:
        """Add the parts after the trunk, in forward order."""
        raise NotImplementedError

    def classify(self, features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits and gate maps for the trunk's map."""
        raise NotImplementedError

    def hold(self, *parts: nn.Module) -> None:
        """Hold parts that are counted and never used."""
        self.unused = nn.ModuleList(parts).requires_grad_(False)

    def forward(self, images: Tensor, *, full: bool = False) -> Tensor | LightFeatures:
        """Return logits (n, n_classes), or `LightFeatures` with `full`, for `images` as preprocessed."""
        features = images
        for name in self.trunk:
            features = self.get_submodule(name)(features)
        logits, gates = self.classify(features)
        return LightFeatures(features.mean((2, 3)), logits, gates) if full else logits

    def list_layers(self) -> tuple[str, ...]:
        """Return the parts worth reading, in forward order."""
        return tuple(name for name, _ in self.named_children() if name != "unused")


class EmbeddingNetwork(LightNetwork):
    """A depth-wise convolution over the whole map, an embedding and a linear classifier on it."""

    n_embedding = 256

    def add_head(self, n_classes: int, side: int) -> None:
        """Add the embedding and the classifier."""
        self.conv_6_dw = GDConv(self.n_features, side)
        self.linear = nn.Linear(self.n_features, self.n_embedding, bias=False)
        self.bn = VectorNorm(self.n_embedding)
        self.fc = nn.Linear(self.n_embedding, n_classes)

    def classify(self, features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits, and no gates."""
        return self.fc(self.bn(self.linear(self.conv_6_dw(features).flatten(1)))), ()


class MobileFaceNet(EmbeddingNetwork):
    """MobileFaceNet [2] with an embedding of 512."""

    n_embedding = 512

    def __init__(self, n_classes: int = 7, n_channels: int = 3, side: int = 7) -> None:
        super().__init__(MOBILE, n_classes, n_channels, side)


def _list_unused(plan: Plan) -> list[nn.Module]:
    """Return what each of MFN's mixed convolutions holds: a normalisation and a PReLU that follow nothing."""
    widths = [sum(stage.splits) for stage in plan.stages for _ in range(stage.n_blocks)]
    return [part for n in widths for part in (nn.BatchNorm2d(n), nn.PReLU(n))]


class MFN(EmbeddingNetwork):
    """The mixed feature network [3]: MobileFaceNet with mixed kernels, attention and more blocks."""

    def __init__(self, n_classes: int = 7, n_channels: int = 3, side: int = 7) -> None:
        super().__init__(MIXED, n_classes, n_channels, side)
        self.hold(*_list_unused(MIXED))


class LFN(EmbeddingNetwork):
    """The lightweight network without spatial bias [1]; the paper does not say its head, which is MFN's.

    Parameters
    ----------
    n_classes, n_channels, side : int
        See `LightNetwork`.
    width, depth : float
        See `LFNSB`.
    """

    def __init__(
        self,
        n_classes: int = 7,
        n_channels: int = 3,
        side: int = 7,
        *,
        width: float = 1.0,
        depth: float = 1.0,
    ) -> None:
        plan = scale_plan(LIGHT, width, depth)
        self.n_embedding = plan.stages[-1].n_out
        super().__init__(plan, n_classes, n_channels, side)


class LFNSB(LightNetwork):
    """The lightweight network with spatial bias [1].

    Parameters
    ----------
    n_classes, n_channels, side : int
        See `LightNetwork`.
    sb_mode : {"replace", "concat"}
        ``"replace"``, as released: only the bias maps reach the classifier. ``"concat"``, as the paper says:
        they are enlarged to the size of the trunk's map and join it.
    width, depth : float
        Times the published channels and repeated blocks; 1.0 is the published network.
    """

    def __init__(
        self,
        n_classes: int = 7,
        n_channels: int = 3,
        side: int = 7,
        *,
        sb_mode: str = "replace",
        width: float = 1.0,
        depth: float = 1.0,
    ) -> None:
        self.sb_mode = sb_mode
        super().__init__(scale_plan(LIGHT, width, depth), n_classes, n_channels, side)
        if sb_mode == "replace" and width == depth == 1:
            self.hold(nn.BatchNorm1d(n_classes))

    def add_head(self, n_classes: int, side: int) -> None:
        """Add spatial bias, with "concat" a depth-wise convolution over the whole map, and the classifier."""
        n_maps = self.n_features // 4
        self.spatial_bias = SpatialBias(self.n_features, n_maps)
        if self.sb_mode == "concat":
            self.conv_6_dw = GDConv(self.n_features + n_maps, side)
        n_values = 4 * n_maps if self.sb_mode == "replace" else self.n_features + n_maps
        self.fc = nn.Linear(n_values, n_classes)

    def classify(self, features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits, and no gates."""
        maps = self.spatial_bias(features)
        if self.sb_mode == "concat":
            large = functional.interpolate(maps, features.shape[2:], mode="bilinear", align_corners=False)
            maps = self.conv_6_dw(torch.cat([features, large], dim=1))
        return self.fc(maps.flatten(1)), ()


class DDAMFN(LightNetwork):
    """MFN with dual-direction attention [3]; at each place the largest gate of two heads counts."""

    n_heads = 2

    def __init__(self, n_classes: int = 7, n_channels: int = 3, side: int = 7) -> None:
        super().__init__(MIXED, n_classes, n_channels, side)
        blocks = [GDConv(self.n_features, side) for _ in range(self.n_heads)]
        self.hold(*_list_unused(MIXED), *blocks, nn.BatchNorm1d(n_classes))

    def add_head(self, n_classes: int, side: int) -> None:
        """Add the attention, a depth-wise convolution over the whole map, and the classifier."""
        self.attention = DualDirectionAttention(self.n_features, side, self.n_heads)
        self.conv_6_dw = GDConv(self.n_features, side)
        self.fc = nn.Linear(self.n_features, n_classes)

    def classify(self, features: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits, and the gate maps of both heads."""
        gates = self.attention(features)
        return self.fc(self.conv_6_dw(features * gates.amax(1)).flatten(1)), gates.unbind(1)


def _build(
    make: Callable[..., LightNetwork],
    *,
    n_classes: int,
    size: int,
    channels: str,
    variant: str = "",  # noqa: ARG001 - of the training alone
    **options: Any,
) -> Blueprint:
    n_channels = check_common_options(n_classes, size, channels, smallest=2 * STRIDE)
    module = make(n_classes, n_channels, -(-size // STRIDE), **options)
    return Blueprint(module, imagenet_preprocessing(size, channels), module.list_layers())


def build_light(
    make: Callable[..., LightNetwork], *, width: float, depth: float, **options: Any
) -> Blueprint:
    """Return `LFN` or `LFNSB` at any width and depth.

    Raises
    ------
    ValueError, TypeError
        If an option is out of range.
    """
    check_range("width", width, 0.1, 4.0)
    check_range("depth", depth, 0.05, 4.0)
    return _build(make, width=width, depth=depth, **options)


def build_lfnsb(*, sb_mode: str | None, variant: str, **options: Any) -> Blueprint:
    """Return `LFNSB`; without `sb_mode` as the variant has it: "concat" in that of the paper.

    Raises
    ------
    ValueError, TypeError
        If an option is out of range.
    """
    chosen = sb_mode or ("concat" if variant == "paper" else "replace")
    check_option("sb_mode", chosen, ("replace", "concat"))
    return build_light(LFNSB, sb_mode=chosen, **options)


build_mobilefacenet, build_mfn, build_ddamfn = (
    partial(_build, make) for make in (MobileFaceNet, MFN, DDAMFN)
)
build_lfn = partial(build_light, LFN)
