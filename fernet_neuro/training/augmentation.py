"""Random changes to training images, each a function of seed, epoch and the image's place in the table alone.

What belongs here: augmentation on tensors, a whole batch at a time, so that neither the number of workers nor
of processes nor a resumed run changes a pixel.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fernet_neuro._utils.seeding import make_rng

#: Uniform numbers that one image's augmentation uses up: flip, 2 shifts, 5 colours, 5 for the erased patch.
N_DRAWS = 13
#: Brightness, contrast and the gain of each channel vary by up to these factors either way.
BRIGHTNESS, CONTRAST, GAIN = 0.25, 0.25, 0.1
#: Random erasing as in [1]_: half of the images lose a patch of 2 to 20 % of the area, aspect 0.3 to 3.3.
ERASE_SHARE, ERASE_AREA, ERASE_ASPECT = 0.5, (0.02, 0.2), (0.3, 3.3)


def draw_augmentation(seed: int, epoch: int, n_images: int) -> np.ndarray:
    """Return the epoch's uniform numbers, float32 of shape (n_images, `N_DRAWS`), one row per image."""
    return make_rng(seed, "augmentation", epoch).random((n_images, N_DRAWS), dtype=np.float32)


def augment(images: Tensor, draws: Tensor, kinds: Sequence[str], crop_padding: float = 0.08) -> Tensor:
    """Return changed copies of `images`.

    Parameters
    ----------
    images : uint8 Tensor of shape (n, 3, size, size)
    draws : float Tensor of shape (n, N_DRAWS)
        Uniform in [0, 1).
    kinds : sequence of {"hflip", "crop", "colour", "erase"}
        Applied in this order, whatever theirs.
    crop_padding : float
        Largest shift, as a share of the side; edge pixels are repeated.

    Returns
    -------
    Tensor of shape (n, 3, size, size)
        uint8, or float32 in 0..255 with "colour".

    References
    ----------
    .. [1] Zhong, Z., et al. (2020). Random erasing data augmentation. AAAI.
    """
    if not kinds:
        return images
    if "hflip" in kinds or "crop" in kinds:
        images = _shift_and_flip(
            images, draws[:, :3], "hflip" in kinds, crop_padding if "crop" in kinds else 0.0
        )
    if "colour" in kinds:
        images = _change_colour(images, draws[:, 3:8])
    if "erase" in kinds:
        images = _erase(images, draws[:, 8:13])
    return images


def _shift_and_flip(images: Tensor, draws: Tensor, flip: bool, padding: float) -> Tensor:
    """Move each image by whole pixels and mirror about half of them, in a single gather."""
    size = images.shape[-1]
    reach = round(padding * size)
    shift = (draws[:, 1:3] * (2 * reach + 1)).floor().long() - reach
    positions = torch.arange(size, device=images.device)
    rows = (positions + shift[:, :1]).clamp(0, size - 1)
    columns = (positions + shift[:, 1:]).clamp(0, size - 1)
    if flip:
        columns = torch.where(draws[:, :1] < 0.5, columns.flip(1), columns)
    # One gather over flat pixels; indexing rows and columns apart took three times as long.
    source = (
        (rows[:, :, None] * size + columns[:, None, :]).flatten(1)[:, None].expand(-1, images.shape[1], -1)
    )
    return images.flatten(2).gather(2, source).view_as(images)


def _change_colour(images: Tensor, draws: Tensor) -> Tensor:
    """Scale brightness, contrast about the image's mean, and each channel; float32 in 0..255."""
    values = images.to(torch.float32)
    spread = draws * 2 - 1
    gain = (1 + BRIGHTNESS * spread[:, :1]) * (1 + GAIN * spread[:, 2:5])
    contrast = (1 + CONTRAST * spread[:, 1:2])[:, :, None, None]
    mean = values.mean((1, 2, 3), keepdim=True)
    # (v - mean) * contrast + mean, then gain: one multiplication and one addition per pixel.
    gain = gain[:, :, None, None]
    return torch.addcmul((1 - contrast) * mean * gain, values, contrast * gain).clamp_(0, 255)


def _erase(images: Tensor, draws: Tensor) -> Tensor:
    """Paint a grey patch over some images."""
    size = images.shape[-1]
    area = (ERASE_AREA[0] + draws[:, 1] * (ERASE_AREA[1] - ERASE_AREA[0])) * size**2
    low, high = np.log(ERASE_ASPECT)
    aspect = torch.exp(low + draws[:, 2] * (high - low))
    height, width = (area * aspect).sqrt().clamp(max=size), (area / aspect).sqrt().clamp(max=size)
    top, left = draws[:, 3] * (size - height), draws[:, 4] * (size - width)
    positions = torch.arange(size, device=images.device)
    in_rows = (positions >= top[:, None]) & (positions < (top + height)[:, None])
    in_columns = (positions >= left[:, None]) & (positions < (left + width)[:, None])
    patch = (
        in_rows[:, None, :, None]
        & in_columns[:, None, None, :]
        & (draws[:, :1] < ERASE_SHARE)[:, :, None, None]
    )
    return images.masked_fill(patch, 127)
