"""What a network does to a decoded image before its first layer: a property of its weights.

What belongs here: the `Preprocessing` noun; decoding is in `stimuli.images`, augmentation in `training`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fernet_neuro._utils.validation import format_options


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop, order and scale one decoded RGB image.

    Parameters
    ----------
    size : int
        Side of the square input, in pixels.
    resize : int or None
        Shorter side after resizing, in pixels, before a centre crop to `size`; None resizes to `size` itself.
    channels : {"rgb", "bgr", "grey"}
        Channel order that the weights expect.
    scale : float
        Value of a white pixel before normalisation: 1.0, or 255.0 (unitless).
    mean, std : tuple of float
        Per channel, in units of `scale`.
    """

    size: int
    resize: int | None = None
    channels: str = "rgb"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def resize_and_crop(self, image: np.ndarray) -> Tensor:
        """Return a uint8 tensor of shape (3, size, size) from uint8 RGB of shape (height, width, 3)."""
        tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        side = self.resize or self.size
        if tensor.shape[1:] == (side, side) == (self.size, self.size):
            return tensor
        from torchvision.transforms import v2  # loads slowly

        if min(tensor.shape[1:]) != side:
            tensor = v2.functional.resize(tensor, [side], antialias=True)
        return v2.functional.center_crop(tensor, [self.size, self.size])

    def normalise(self, images: Tensor) -> Tensor:
        """Return float32 of shape (n, n_channels, size, size) from uint8 RGB of shape (n, 3, size, size)."""
        values = images.to(torch.float32).mul_(self.scale / 255.0)
        if self.channels == "grey":
            from torchvision.transforms import v2  # loads slowly

            values = v2.functional.rgb_to_grayscale(values)
        elif self.channels == "bgr":
            values = values.flip(1)
        mean = values.new_tensor(self.mean).view(1, -1, 1, 1)
        std = values.new_tensor(self.std).view(1, -1, 1, 1)
        return values.sub_(mean).div_(std)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON (tuples as lists)."""
        return {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """Return the preprocessing that `to_dict` wrote."""
        plain: dict[str, Any] = {
            key: tuple(item) if isinstance(item, list) else item for key, item in values.items()
        }
        return cls(**plain)


def list_differences(first: Preprocessing, second: Preprocessing, but: tuple[str, ...] = ()) -> str:
    """Return in words what two networks do differently to an image, leaving out the keys `but`.

    Examples
    --------
    >>> list_differences(Preprocessing(64), Preprocessing(48))
    'size (64 and 48)'
    """
    other = second.to_dict()
    return format_options(
        f"{key} ({value} and {other[key]})"
        for key, value in first.to_dict().items()
        if value != other[key] and key not in but
    )
