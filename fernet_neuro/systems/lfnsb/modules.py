"""The pieces that the lightweight networks are put together from.

What belongs here: modules that know nothing of a whole network.

References
----------
[1] Chen, J. & Huang, L. (2024). A lightweight model enhancing facial expression recognition with spatial bias
    and cosine-harmony loss.
[2] Tan, M. & Le, Q. V. (2019). MixConv: Mixed depthwise convolutional kernels. BMVC.
[3] Hou, Q., Zhou, D. & Feng, J. (2021). Coordinate attention for efficient mobile network design. CVPR.
[4] Wang, A. et al. (2024). RepViT: Revisiting mobile CNN from ViT perspective. CVPR.
[5] Go, J. & Ryu, J. (2022). Spatial bias for attention-free non-local neural networks.
[6] Zhang, S. et al. (2023). A dual-direction attention mixed feature network for facial expression
    recognition. Electronics.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

REDUCTION, FEWEST = 32, 8  # coordinate attention's hidden width is n / 32, and at least 8 [3]


class _OneValue(nn.Module):
    """Batch normalisation that takes its running statistics where a batch has one value per channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` normalised; one value has no variance, so a batch of one is treated as in use."""
        if not self.training or x.numel() > x.shape[1]:
            return super().forward(x)
        norm: nn.BatchNorm2d = self  # type: ignore[assignment]
        return functional.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )


class VectorNorm(_OneValue, nn.BatchNorm1d):
    """Batch normalisation of (n, n_features) that takes a batch of one too."""


class PointNorm(_OneValue, nn.BatchNorm2d):
    """Batch normalisation of (n, n_channels, 1, 1) that takes a batch of one too."""


class Conv2dBN(nn.Sequential):
    """A convolution without bias and batch normalisation, with a PReLU of one slope per channel where asked.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel : int or (int, int)
        Height and width, in pixels.
    stride : int
    padding : int, default=None
        None keeps the size at stride 1.
    depthwise : bool
        Whether each channel is convolved by itself; then `n_in` must be `n_out`.
    prelu : bool
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: int | None = None,
        depthwise: bool = False,
        prelu: bool = False,
    ) -> None:
        super().__init__()
        if padding is None:
            padding = max(kernel if isinstance(kernel, tuple) else (kernel,)) // 2
        groups = n_in if depthwise else 1
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        if prelu:
            self.act = nn.PReLU(n_out)


class GDConv(Conv2dBN):
    """A depth-wise convolution over the whole map, to 1 x 1, and batch normalisation."""

    def __init__(self, n_channels: int, side: int) -> None:
        super().__init__(n_channels, n_channels, side, padding=0, depthwise=True)
        self.norm = PointNorm(n_channels)


class MixConv(nn.Module):
    """Depth-wise convolutions of several sizes, each over its own channels in order [2]; no normalisation.

    Parameters
    ----------
    splits, kernels : sequence of int
        Channels of each group, and the side of its kernel, odd.
    stride : int

    Examples
    --------
    >>> MixConv((64, 32), (3, 5))(torch.zeros(2, 96, 10, 10)).shape
    torch.Size([2, 96, 10, 10])
    """

    def __init__(self, splits: Sequence[int], kernels: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        self.splits = list(splits)
        self.convs = nn.ModuleList(
            nn.Conv2d(n, n, kernel, stride, kernel // 2, groups=n, bias=False)
            for n, kernel in zip(splits, kernels, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, c, height, width), both divided by the stride and rounded up."""
        if len(self.splits) == 1:
            return self.convs[0](x)
        parts = x.split(self.splits, dim=1)
        return torch.cat([conv(part) for conv, part in zip(self.convs, parts, strict=True)], dim=1)


class CoordAttention(nn.Module):
    """A gate in 0-1 per channel, row and column, from the map's rows and columns [3].

    Parameters
    ----------
    n_channels : int
    side : int, default=None
        None sums up rows and columns by their means; a number, by depth-wise convolutions of that length
        with batch normalisation, as a head of the dual-direction attention does [6].
    """

    def __init__(self, n_channels: int, side: int | None = None) -> None:
        super().__init__()
        hidden = max(FEWEST, n_channels // REDUCTION)
        self.rows = self.columns = None
        if side is not None:
            self.rows = Conv2dBN(n_channels, n_channels, (1, side), padding=0, depthwise=True)
            self.columns = Conv2dBN(n_channels, n_channels, (side, 1), padding=0, depthwise=True)
        self.reduce = nn.Conv2d(n_channels, hidden, 1)
        self.norm = nn.BatchNorm2d(hidden)
        self.act = nn.Hardswish()
        self.row_gate = nn.Conv2d(hidden, n_channels, 1)
        self.column_gate = nn.Conv2d(hidden, n_channels, 1)

    def compute_gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return gates of rows (n, c, height, 1) and of columns (n, c, 1, width)."""
        # A mean is several times faster than adaptive pooling here.
        rows = self.rows(x) if self.rows else x.mean(3, keepdim=True)
        columns = self.columns(x) if self.columns else x.mean(2, keepdim=True)
        strips = torch.cat([rows, columns.transpose(2, 3)], dim=2)
        hidden = self.act(self.norm(self.reduce(strips)))
        rows, columns = hidden.split([x.shape[2], x.shape[3]], dim=2)
        return self.row_gate(rows).sigmoid(), self.column_gate(columns.transpose(2, 3)).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` times both gates."""
        rows, columns = self.compute_gates(x)
        return x * columns * rows


class DualDirectionAttention(nn.Module):
    """The gates of several heads of coordinate attention; at each place the largest is meant to count [6].

    Parameters
    ----------
    n_channels, side : int
        Of the map.
    n_heads : int
    """

    def __init__(self, n_channels: int, side: int, n_heads: int = 2) -> None:
        super().__init__()
        self.heads = nn.ModuleList(CoordAttention(n_channels, side) for _ in range(n_heads))

    def forward(self, x: Tensor) -> Tensor:
        """Return the gates of all heads, (n, n_heads, c, height, width)."""
        pairs = [head.compute_gates(x) for head in self.heads]  # type: ignore[operator]
        return torch.stack([rows * columns for rows, columns in pairs], dim=1)


class Bottleneck(nn.Sequential):
    """1 x 1 convolution with PReLU, a depth-wise part, 1 x 1 convolution without; a shortcut where asked.

    Parameters
    ----------
    n_in, n_hidden, n_out : int
        Channels before, in and after the depth-wise part.
    middle : dict of str to nn.Module
        The parts between, by name, in order.
    residual : bool
        Whether the input is added to the output.
    """

    def __init__(
        self, n_in: int, n_hidden: int, n_out: int, middle: dict[str, nn.Module], residual: bool
    ) -> None:
        super().__init__()
        self.expand = Conv2dBN(n_in, n_hidden, prelu=True)
        for name, part in middle.items():
            self.add_module(name, part)
        self.project = Conv2dBN(n_hidden, n_out)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, n_out, height, width)."""
        y = super().forward(x)
        return x + y if self.residual else y


class RepVGGDW(nn.Module):
    """Depth-wise 3 x 3 with batch normalisation, depth-wise 1 x 1 and the input: summed, normalised [4]."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.large = Conv2dBN(n_channels, n_channels, 3, depthwise=True)
        self.small = nn.Conv2d(n_channels, n_channels, 1, groups=n_channels)
        self.norm = nn.BatchNorm2d(n_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the shape of `x`."""
        return self.norm(self.large(x) + self.small(x) + x)

    @torch.no_grad()
    def fused(self) -> nn.Conv2d:
        """Return the one depth-wise 3 x 3 convolution, with a bias, that this is in evaluation mode."""
        whole = fuse_conv_bn_eval(self.large.conv, self.large.norm)
        whole.weight += functional.pad(self.small.weight + 1, (1, 1, 1, 1))
        whole.bias += self.small.bias  # type: ignore[operator]
        return fuse_conv_bn_eval(whole, self.norm)


class SpatialBias(nn.Module):
    """Maps that say what the whole image has to do with a place, by a 1-D convolution over channels [1, 5].

    The map is reduced to `n_maps` + 2 channels of side x side pixels; each pixel of a bias map is a weighted
    sum of all pixels of three neighbouring channels.

    Parameters
    ----------
    n_in : int
        Channels of the input.
    n_maps : int
        Bias maps.
    side : int
        Of the maps, in pixels.

    Examples
    --------
    >>> SpatialBias(256)(torch.zeros(1, 256, 7, 7)).shape
    torch.Size([1, 64, 2, 2])
    """

    def __init__(self, n_in: int, n_maps: int = 64, side: int = 2) -> None:
        super().__init__()
        self.side = side
        self.reduce = Conv2dBN(n_in, n_maps + 2)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.mix = nn.Conv1d(side**2, side**2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, n_maps, side, side) for `x` of shape (n, n_in, height, width)."""
        pixels = self.pool(self.act(self.reduce(x))).flatten(2).transpose(1, 2)
        return self.mix(pixels).transpose(1, 2).unflatten(2, (self.side, self.side))
