import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.table import StimulusTable


@pytest.fixture
def save_images(tmp_path):
    def save(*images):
        for row, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"{row}.png")
        names = [str(row) for row in range(len(images))]
        frame = pd.DataFrame({"stimulus_id": names, "path": [f"{name}.png" for name in names]})
        return StimulusTable.from_frame(frame, root=tmp_path)

    return save


def test_pixels_are_block_means_of_the_centred_square(rng, save_images):
    image = rng.integers(0, 256, (18, 12, 3), dtype=np.uint8)
    pixels = compute_pixels(save_images(image), size=4)
    grey = image[3:15].astype(float) @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(pixels.maps[0], grey.reshape(4, 3, 4, 3).mean(axis=(1, 3)), atol=1e-6)
    assert (pixels.layer, pixels.unit_shape, pixels.values.dtype) == ("pixels", (4, 4), np.float32)


def test_pixels_follow_the_table_s_order(noise_table):
    pixels = compute_pixels(noise_table, size=5)
    backwards = compute_pixels(noise_table.select(np.arange(24)[::-1]), size=5)
    assert backwards.align_to(noise_table.stimulus_ids) == pixels
    assert backwards != pixels


def test_black_and_white_are_zero_and_one(save_images):
    white = np.full((9, 7, 3), 255, dtype=np.uint8)
    pixels = compute_pixels(save_images(white, 0 * white), size=3)
    np.testing.assert_allclose(pixels.values, np.repeat([[1.0], [0.0]], 9, axis=1), atol=1e-6)


def test_truncated_image_is_named(save_images, tmp_path, rng):
    table = save_images(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    (tmp_path / "0.png").write_bytes((tmp_path / "0.png").read_bytes()[:90])
    with pytest.raises(StimulusError, match=r"0\.png"):
        compute_pixels(table)


def test_size_is_checked(noise_table):
    with pytest.raises(ValueError, match="size must be >= 1"):
        compute_pixels(noise_table, size=0)
