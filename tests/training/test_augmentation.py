import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as slow

from fernet_neuro.training import augmentation
from fernet_neuro.training.augmentation import N_DRAWS, N_WARP_DRAWS, draw_augmentation
from fernet_neuro.training.config import TrainSettings

ALL = ("hflip", "crop", "colour", "erase")


def augment(images, draws, kinds=(), size=None, **keys):
    return augmentation.augment(images, draws, TrainSettings(augment=kinds, **keys), size or images.shape[-1])


@pytest.fixture
def images(rng):
    return torch.from_numpy(rng.integers(0, 256, (11, 3, 17, 17), dtype=np.uint8))


@pytest.fixture
def draws():
    return torch.from_numpy(draw_augmentation(0, 3, 11))


def test_draws_depend_on_seed_and_epoch_and_nothing_else():
    assert np.array_equal(draw_augmentation(5, 2, 7), draw_augmentation(5, 2, 7))
    assert not np.array_equal(draw_augmentation(5, 2, 7), draw_augmentation(5, 3, 7))
    assert not np.array_equal(draw_augmentation(5, 2, 7), draw_augmentation(6, 2, 7))


@pytest.mark.parametrize("kinds", [("hflip",), ("crop",), ("colour",), ("erase",), ALL])
def test_an_image_is_changed_alike_whatever_batch_it_is_in(images, draws, kinds):
    whole = augment(images, draws, kinds)
    alone = torch.cat([augment(images[row : row + 1], draws[row : row + 1], kinds) for row in range(11)])
    assert torch.equal(whole, alone)
    assert not torch.equal(whole.float(), images.float())


def test_nothing_asked_for_changes_nothing(images, draws):
    assert augment(images, draws, ()) is images


def test_the_source_is_left_alone(images, draws):
    before = images.clone()
    augment(images, draws, ALL)
    assert torch.equal(images, before)


def test_flip_mirrors_those_whose_draw_is_below_a_half(images, draws):
    expected = np.stack(
        [
            image[:, :, ::-1] if draw[0] < 0.5 else image
            for image, draw in zip(images.numpy(), draws, strict=True)
        ]
    )
    assert np.array_equal(augment(images, draws, ("hflip",)).numpy(), expected)


def test_crop_is_a_window_of_the_edge_padded_image(images, draws):
    reach = round(0.2 * 17)
    expected = []
    for image, draw in zip(images.numpy(), draws.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
        top, left = (int(np.floor(value * (2 * reach + 1))) for value in draw[1:3])
        expected.append(padded[:, top : top + 17, left : left + 17])
    assert np.array_equal(augment(images, draws, ("crop",), crop_padding=0.2).numpy(), np.stack(expected))


def test_colour_scales_contrast_then_brightness_and_channels(images, draws):
    spread = 2 * draws.numpy()[:, 3:8].astype(float) - 1
    expected = []
    for image, draw in zip(images.numpy().astype(float), spread, strict=True):
        mean = image.mean()
        changed = (image - mean) * (1 + augmentation.CONTRAST * draw[1]) + mean
        gain = (1 + augmentation.BRIGHTNESS * draw[0]) * (1 + augmentation.GAIN * draw[2:5])
        expected.append(np.clip(changed * gain[:, None, None], 0, 255))
    result = augment(images, draws, ("colour",))
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), np.stack(expected), atol=1e-3)


def test_erase_paints_one_grey_rectangle_of_the_wanted_area_on_half_of_the_images():
    images = torch.zeros((400, 3, 40, 40), dtype=torch.uint8)
    erased = augment(images, torch.from_numpy(draw_augmentation(1, 0, 400)), ("erase",)).numpy()
    assert set(np.unique(erased)) == {0, 127}
    masks = (erased[:, 0] > 0) & (erased[:, 2] > 0)
    hit = masks.any(axis=(1, 2))
    assert 160 < hit.sum() < 240
    for mask in masks[hit]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns)
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert masks[hit].mean(axis=(1, 2)).min() > 0.01
    assert masks[hit].mean(axis=(1, 2)).max() < 0.25


def test_draws_of_the_kinds_do_not_overlap(images):
    """A flip must not be more likely where a patch is erased: each kind has draws of its own."""
    base = torch.full((11, N_DRAWS), 0.75)
    for kind, columns in {"hflip": [0], "crop": [1, 2], "colour": range(3, 8), "erase": range(8, 13)}.items():
        for column in set(range(N_DRAWS)) - set(columns):
            moved = base.clone()
            moved[:, column] = 0.1
            assert torch.equal(augment(images, base, (kind,)), augment(images, moved, (kind,)))


def test_a_random_crop_is_a_window_of_real_pixels_anywhere_in_the_larger_image(images):
    draws = torch.from_numpy(draw_augmentation(0, 3, 11))
    draws[0, 1:3], draws[1, 1:3] = 0, 1 - 2**-20
    expected = []
    for image, draw in zip(images.numpy(), draws.numpy(), strict=True):
        top, left = int(draw[1] * 5), int(draw[2] * 5)  # 17 - 13 + 1 places
        expected.append(image[:, top : top + 13, left : left + 13])
    assert np.array_equal(augment(images, draws, ("random-crop",), size=13).numpy(), np.stack(expected))
    assert np.array_equal(expected[0], images[0, :, :13, :13])
    assert np.array_equal(expected[1], images[1, :, 4:, 4:])


WARPS = [
    {"p": 0.6, "rotate": 30.0},
    {"p": 0.6, "affine": {"degrees": 20.0, "scale": (0.7, 1.2), "shift": 0.2}},
    {"p": 0.6, "pad_crop": 3},
    {"p": 0.6, "rotate": 30.0, "affine": {"scale": (1.1, 1.4)}, "pad_crop": 3},
]


def _warp_slowly(image, draw, p, rotate=0.0, affine=None, pad_crop=0):
    """One image by torchvision, and a border of zeros."""
    if draw[0] >= p:
        return image
    at_random = 2 * draw.double().numpy() - 1
    common = {"shear": [0.0, 0.0], "interpolation": InterpolationMode.NEAREST}
    if rotate:
        image = slow.affine(image, at_random[1] * rotate, translate=[0, 0], scale=1, **common)
    if affine:
        low, high = affine["scale"]
        shift = [round(value * affine.get("shift", 0) * image.shape[-1]) for value in at_random[4:6]]
        scale = low + (high - low) * draw[3].item()
        image = slow.affine(image, at_random[2] * affine.get("degrees", 0), shift, scale, **common)
    if pad_crop:
        padded = np.pad(image.numpy(), ((0, 0), (pad_crop, pad_crop), (pad_crop, pad_crop)))
        left, top = (int(value * (2 * pad_crop + 1)) for value in draw[6:8].numpy())
        image = torch.from_numpy(padded[:, top : top + image.shape[-2], left : left + image.shape[-1]])
    return image


@pytest.mark.parametrize("warps", [*([warp] for warp in WARPS), WARPS], ids=str)
def test_warps_are_torchvisions_for_each_image_whose_coin_fell(rng, warps):
    images = torch.from_numpy(rng.integers(1, 256, (41, 3, 17, 17), dtype=np.uint8))
    draws = torch.from_numpy(draw_augmentation(0, 3, 41, len(warps)))
    expected = images
    for number, warp in enumerate(warps):
        own = draws[:, N_DRAWS + N_WARP_DRAWS * number :][:, :N_WARP_DRAWS]
        expected = torch.stack([_warp_slowly(*one, **warp) for one in zip(expected, own, strict=True)])
    result = augment(images, draws, warps=warps)
    assert torch.equal(result, expected)
    if len(warps) == 1:
        unchanged = (result == images).flatten(1).all(1)
        assert unchanged[draws[:, N_DRAWS] >= 0.6].all()
        assert 5 < unchanged.sum() < 36


def test_warps_leave_the_draws_of_the_others_as_they_were_and_come_before_colour(images):
    draws = draw_augmentation(2, 4, 11, 3)
    assert np.array_equal(draws[:, :N_DRAWS], draw_augmentation(2, 4, 11))
    draws = torch.from_numpy(draws)[:, : N_DRAWS + N_WARP_DRAWS]
    warps = ({"rotate": 40},)
    turned = augment(augment(images, draws[:, :N_DRAWS], ("hflip",)), draws, warps=warps)
    assert torch.equal(
        augment(images, draws, ("colour", "hflip"), warps=warps),
        augment(turned, draws[:, :N_DRAWS], ("colour",)),
    )


def test_the_area_of_erased_patches_is_as_asked_for():
    images = torch.zeros((400, 3, 40, 40), dtype=torch.uint8)
    draws = torch.from_numpy(draw_augmentation(1, 0, 400))
    shares = (augment(images, draws, ("erase",), erase_area=(0.3, 0.4)) > 0).float().mean((1, 2, 3))
    assert shares[shares > 0].min() > 0.25
    assert shares.max() < 0.45
