"""What builders and the registry hand to each other, `Blueprint` and `Trunk`, and what architectures share.

What belongs here: nothing that knows a particular architecture.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fernet_neuro._utils.validation import check_option, check_range, check_type
from fernet_neuro.models.preprocessing import Preprocessing

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The luma weights of ITU-R 601 applied to the ImageNet mean; the spread is that of the mean channel.
IMAGENET_GREY_MEAN, IMAGENET_GREY_STD = (0.459,), (0.226,)


@dataclass(frozen=True)
class Blueprint:
    """A freshly built module and what goes with it.

    Parameters
    ----------
    module : nn.Module
        Maps (n, n_channels, size, size) to (n, n_outputs).
    preprocessing : Preprocessing
        What its input is.
    layers : tuple of str or None
        Layers worth reading, in forward order; None finds them by tracing one forward pass.
    """

    module: nn.Module
    preprocessing: Preprocessing
    layers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Trunk:
    """A network less its classifier, to build a larger one on.

    Parameters
    ----------
    module : nn.Module
        Maps (n, n_channels, size, size) to features; trailing axes may be left to flatten.
    preprocessing : Preprocessing
        What its input is.
    layers : tuple of str
        Layers worth reading, in forward order, without the classifier.
    n_features : int
        Values per image, flattened.
    """

    module: nn.Module
    preprocessing: Preprocessing
    layers: tuple[str, ...]
    n_features: int


def check_common_options(n_classes: int, size: int, channels: str, smallest: int = 16) -> int:
    """Check the options that most networks share, and return the number of input channels.

    Raises
    ------
    ValueError, TypeError
        If a value is out of range or of the wrong type.
    """
    check_range("n_classes", check_type("n_classes", n_classes, int), 1)
    check_range("size", check_type("size", size, int), smallest)
    return 1 if check_option("channels", channels, ("rgb", "grey")) == "grey" else 3


def imagenet_preprocessing(size: int, channels: str) -> Preprocessing:
    """Return ImageNet normalisation of the whole image at `size` pixels, for ``"rgb"`` or ``"grey"``."""
    if channels == "grey":
        return Preprocessing(size, channels="grey", mean=IMAGENET_GREY_MEAN, std=IMAGENET_GREY_STD)
    return Preprocessing(size, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def centred_preprocessing(size: int, channels: str) -> Preprocessing:
    """Return the whole image at `size` pixels, scaled to [-1, 1], for ``"rgb"`` or ``"grey"``."""
    n_channels = 1 if channels == "grey" else 3
    return Preprocessing(size, channels=channels, mean=(0.5,) * n_channels, std=(0.5,) * n_channels)


def use_one_channel(module: nn.Module) -> nn.Module:
    """Make the first RGB convolution of `module` take one channel, and return `module`.

    Its weights are those of the first input channel, so their spread stays as initialised.

    Raises
    ------
    ValueError
        If `module` has no convolution that takes three channels.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 3 and layer.groups == 1:
            shape: dict[str, Any] = {
                name: getattr(layer, name) for name in ("kernel_size", "stride", "padding")
            }
            grey = nn.Conv2d(1, layer.out_channels, **shape, bias=layer.bias is not None)
            with torch.no_grad():
                grey.weight.copy_(layer.weight[:, :1])
                if layer.bias is not None and grey.bias is not None:
                    grey.bias.copy_(layer.bias)
            module.set_submodule(name, grey)
            return module
    raise ValueError("channels='grey' needs a network whose first convolution takes three channels.")
