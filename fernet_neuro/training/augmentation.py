"""Random changes to training images, each a function of seed, epoch and the image's place in the table alone.

What belongs here: augmentation on tensors, a whole batch at a time, so that neither the number of workers nor
of processes nor a resumed run changes a pixel.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.training.config import TrainSettings, WarpSettings

#: Uniform numbers that one image's augmentation uses up: flip, 2 shifts, 5 colours, 5 for the erased patch.
N_DRAWS = 13
#: Those of one group of warps: coin, rotation, 4 of the affine change, 2 of the padded crop.
N_WARP_DRAWS = 8
#: Brightness, contrast and the gain of each channel vary by up to these factors either way.
BRIGHTNESS, CONTRAST, GAIN = 0.25, 0.25, 0.1
#: Random erasing as in [1]_: half of the images lose a patch, of aspect 0.3 to 3.3.
ERASE_SHARE, ERASE_ASPECT = 0.5, (0.3, 3.3)


def draw_augmentation(seed: int, epoch: int, n_images: int, n_warps: int = 0) -> np.ndarray:
    """Return the epoch's uniform numbers, one row per image: `N_DRAWS`, then `N_WARP_DRAWS` for each warp."""
    widths = {"augmentation": N_DRAWS, "warps": N_WARP_DRAWS * n_warps}
    streams = [
        make_rng(seed, name, epoch).random((n_images, width), dtype=np.float32)
        for name, width in widths.items()
    ]
    return np.hstack(streams)


def augment(images: Tensor, draws: Tensor, settings: TrainSettings, size: int) -> Tensor:
    """Return changed copies of `images`: cropped and flipped, then warped, then recoloured, then erased.

    Parameters
    ----------
    images : uint8 Tensor of shape (n, 3, side, side)
        With `side` above `size` for random crops.
    draws : float Tensor of shape (n, N_DRAWS + N_WARP_DRAWS * n_warps)
        Uniform in [0, 1).
    settings : TrainSettings
    size : int
        Side of the network's input, in pixels.

    Returns
    -------
    Tensor of shape (n, 3, size, size)
        uint8, or float32 in 0..255 with "colour".

    References
    ----------
    .. [1] Zhong, Z., et al. (2020). Random erasing data augmentation. AAAI.
    """
    kinds = settings.augment
    if {"hflip", "crop", "random-crop"} & set(kinds):
        padding = settings.crop_padding if "crop" in kinds else 0.0
        images = _crop_and_flip(images, draws[:, :3], "hflip" in kinds, padding, size)
    chances = draws[:, N_DRAWS:].unflatten(1, (len(settings.warps), N_WARP_DRAWS))
    for number, warp in enumerate(settings.warps):
        images = _warp(images, chances[:, number], warp)
    if "colour" in kinds:
        images = _change_colour(images, draws[:, 3:8])
    if "erase" in kinds:
        images = _erase(images, draws[:, 8:13], settings.erase_area)
    return images


def _crop_and_flip(images: Tensor, draws: Tensor, flip: bool, padding: float, size: int) -> Tensor:
    """Cut a window at a random place, up to `padding` outside, and mirror about half of them; one gather."""
    side = images.shape[-1]
    reach = round(padding * size)
    first = (draws[:, 1:3] * (side - size + 2 * reach + 1)).floor().long() - reach
    positions = torch.arange(size, device=images.device)
    rows = (positions + first[:, :1]).clamp(0, side - 1)
    columns = (positions + first[:, 1:]).clamp(0, side - 1)
    if flip:
        columns = torch.where(draws[:, :1] < 0.5, columns.flip(1), columns)
    # One gather over flat pixels; indexing rows and columns apart took three times as long.
    source = (
        (rows[:, :, None] * side + columns[:, None, :]).flatten(1)[:, None].expand(-1, images.shape[1], -1)
    )
    return images.flatten(2).gather(2, source).unflatten(2, (size, size))


def _warp(images: Tensor, draws: Tensor, warp: WarpSettings) -> Tensor:
    """Change the geometry of the images whose coin falls below `p`; the others are moved by nothing."""
    size, hit = images.shape[-1], draws[:, :1] < warp.p
    spread = torch.where(hit, draws * 2 - 1, 0)
    if warp.rotate:
        images = _move(images, spread[:, 1] * warp.rotate)
    if warp.affine:
        low, high = warp.affine.scale
        scale = torch.where(hit[:, 0], low + draws[:, 3] * (high - low), 1)
        shift = (spread[:, 4:6] * (warp.affine.shift * size)).round()
        images = _move(images, spread[:, 2] * warp.affine.degrees, scale, shift)
    if warp.pad_crop:
        shift = warp.pad_crop - (draws[:, 6:8] * (2 * warp.pad_crop + 1)).floor()
        images = _move(images, torch.zeros_like(draws[:, 0]), shift=torch.where(hit, shift, 0))
    return images


def _move(
    images: Tensor, degrees: Tensor, scale: Tensor | float = 1.0, shift: Tensor | None = None
) -> Tensor:
    """Turn each image clockwise about its centre, scale it and shift it (x, y) by pixels, to the nearest."""
    angle = degrees.deg2rad()
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # Where each pixel comes from, in units of half a side.
    turn = torch.stack([cos, sin, -sin, cos], 1).unflatten(1, (2, 2))
    start = turn.new_zeros(len(images), 2) if shift is None else shift * (-2 / images.shape[-1])
    grid = functional.affine_grid(
        torch.cat([turn, turn @ start[:, :, None]], 2), list(images.shape), align_corners=False
    )
    moved = functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False)
    return moved.to(images.dtype)


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


def _erase(images: Tensor, draws: Tensor, shares: tuple[float, float]) -> Tensor:
    """Paint a grey patch over some images."""
    size = images.shape[-1]
    area = (shares[0] + draws[:, 1] * (shares[1] - shares[0])) * size**2
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
