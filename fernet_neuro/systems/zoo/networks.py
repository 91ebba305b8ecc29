"""Two small face networks in wide use, restated: who someone is (dlib's), and which of seven expressions.

What belongs here: modules and their entries in the list of networks; their weights are in `weights`.

References
----------
[1] King, D. E. (2009). Dlib-ml: A machine learning toolkit. Journal of Machine Learning Research, 10. The
    network is that of its face recognition model, a ResNet with 29 convolutions.
[2] Huang, G. et al. (2017). Densely connected convolutional networks. CVPR. The blocks add instead.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu

from fernet_neuro.models.blueprint import Blueprint, check_common_options
from fernet_neuro.models.preprocessing import Preprocessing

#: Of 0-255 pixel values, red first; what is left is divided by 255.
MEAN = (122.782, 117.001, 104.298)
#: Blocks of the identity network in forward order: name, channels, and whether it halves the map.
BLOCKS = (
    *((f"conv32_{n}", 32, False) for n in (1, 2, 3)),
    ("conv64_down", 64, True),
    *((f"conv64_{n}", 64, False) for n in (1, 2, 3)),
    ("conv128_down", 128, True),
    *((f"conv128_{n}", 128, False) for n in (1, 2)),
    ("conv256_down", 256, True),
    *((f"conv256_{n}", 256, False) for n in (1, 2)),
    ("conv256_down_out", 256, True),
)
EXPRESSION_WIDTHS = (32, 64, 128, 256)


class Scale(nn.Module):
    """A factor and an offset per channel, what is left of batch normalisation after training."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(n_channels)), nn.Parameter(torch.zeros(n_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` (n, n_channels, height, width), scaled and moved."""
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class ScaledConv(nn.Module):
    """A convolution and its `Scale`."""

    def __init__(self, n_in: int, n_out: int, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, size, stride, padding)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_in", nonlinearity="relu")
        self.scale = Scale(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, n_out, height, width)."""
        return self.scale(self.conv(x))


class DlibBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; halving, the shortcut is an average padded with zeros."""

    def __init__(self, n_in: int, n_out: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.conv1 = ScaledConv(n_in, n_out, 3, 2 if halve else 1, 0 if halve else 1)
        self.conv2 = ScaledConv(n_out, n_out, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, n_out, height, width)."""
        new = self.conv2(relu(self.conv1(x)))
        if self.halve:
            x = avg_pool2d(x, 2, 2)
        return relu(_grow(new, x) + _grow(x, new))


def _grow(x: Tensor, other: Tensor) -> Tensor:
    """Return `x` with zeros at the end of each axis where `other` is larger."""
    lacks = [max(b - a, 0) for a, b in zip(x.shape[1:], other.shape[1:], strict=True)]
    return pad(x, (0, lacks[2], 0, lacks[1], 0, lacks[0]))


class DlibResNet(nn.Module):
    """The face recognition network of dlib [1]: a stem, 14 blocks, the mean over space, 128 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = ScaledConv(3, 32, 7, 2, 0)
        self.maxpool = nn.MaxPool2d(3, 2)
        n_in = 32
        for name, n_out, halve in BLOCKS:
            self.add_module(name, DlibBlock(n_in, n_out, halve))
            n_in = n_out
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(256, 128, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return descriptors (n, 128) for `x` (n, 3, size, size)."""
        x = self.maxpool(relu(self.conv32_down(x)))
        for name, _, _ in BLOCKS:
            x = self.get_submodule(name)(x)
        return self.fc(self.avgpool(x).flatten(1))


class SameConv(nn.Module):
    """A 3 x 3 convolution, depthwise with a 1 x 1 one behind it unless `plain`, padded at the end."""

    def __init__(self, n_in: int, n_out: int, stride: int, *, plain: bool = False) -> None:
        super().__init__()
        self.stride = stride
        if plain:
            self.conv = nn.Conv2d(n_in, n_out, 3, stride)
        else:
            self.depthwise = nn.Conv2d(n_in, n_in, 3, stride, groups=n_in, bias=False)
            self.conv = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, n_out, height, width), each side divided by the stride and rounded up."""
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // self.stride) - 1) * self.stride + 3 - side, 0)
            pads += [total // 2, total - total // 2]
        x = pad(x, pads)
        return self.conv(self.depthwise(x) if hasattr(self, "depthwise") else x)


class SummedBlock(nn.Module):
    """Four convolutions, each reading the sum of all before it."""

    def __init__(self, n_in: int, n_out: int, *, plain: bool) -> None:
        super().__init__()
        self.conv0 = SameConv(n_in, n_out, 2, plain=plain)
        self.conv1, self.conv2, self.conv3 = (SameConv(n_out, n_out, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, n_out, height, width), half as high and wide."""
        total = relu(self.conv0(x))
        total = total + self.conv1(total)
        total = total + self.conv2(relu(total))
        return relu(total + self.conv3(relu(total)))


class DenseExpression(nn.Module):
    """The expression network of face-api: four blocks of depthwise convolutions, seven classes."""

    def __init__(self) -> None:
        super().__init__()
        n_in = 3
        for number, n_out in enumerate(EXPRESSION_WIDTHS):
            self.add_module(f"dense{number}", SummedBlock(n_in, n_out, plain=number == 0))
            n_in = n_out
        self.avgpool = nn.AvgPool2d(7, 2)
        self.fc = nn.Linear(n_in, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, 7) for `x` (n, 3, 112, 112)."""
        for number in range(len(EXPRESSION_WIDTHS)):
            x = self.get_submodule(f"dense{number}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def _declare(size: int) -> Preprocessing:
    return Preprocessing(size, scale=255.0, mean=MEAN, std=(255.0,) * 3)


def build_dlib_resnet(*, size: int) -> Blueprint:
    """Return dlib's face recognition network [1], made for 150 px; its input is a crop of a face."""
    check_common_options(128, size, "rgb", smallest=48)
    layers = ("maxpool", *(name for name, _, _ in BLOCKS), "avgpool", "fc")
    return Blueprint(DlibResNet(), _declare(size), layers)


def build_dense_expression() -> Blueprint:
    """Return the expression network of face-api, for 112 px."""
    layers = (*(f"dense{number}" for number in range(len(EXPRESSION_WIDTHS))), "avgpool", "fc")
    return Blueprint(DenseExpression(), _declare(112), layers)
