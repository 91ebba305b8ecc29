"""Every kind of picture arrives as upright 8-bit RGB, and a bad one is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.faults import check_images
from fernet_neuro.stimuli.images import load_image, measure_image, read_image_size
from fernet_neuro.stimuli.table import StimulusTable

HEIGHT, WIDTH = 7, 11


@pytest.fixture
def rgb(rng) -> np.ndarray:
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def save(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def test_rgb_arrives_as_it_was_and_can_be_written_to(rgb, tmp_path):
    pixels = load_image(save(Image.fromarray(rgb), tmp_path / "a.png"))
    np.testing.assert_array_equal(pixels, rgb)
    pixels[0, 0] = 1
    assert pixels.dtype == np.uint8


def test_grey_becomes_three_equal_channels(rgb, tmp_path):
    grey = rgb[:, :, 0]
    pixels = load_image(save(Image.fromarray(grey), tmp_path / "a.png"))
    np.testing.assert_array_equal(pixels, np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_and_not_clipped(name, rng, tmp_path):
    wide = rng.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    wide[0, :4] = 0, 257, 65535, 32768
    pixels = load_image(save(Image.fromarray(wide), tmp_path / name))
    np.testing.assert_array_equal(pixels[:, :, 1], np.round(wide / 257).astype(np.uint8))
    assert pixels[0, :4, 0].tolist() == [0, 1, 255, 128]


def test_16_bit_colour_is_scaled_and_not_clipped(tmp_path):
    # Pillow cannot write 16-bit RGB, so the file is a plain PPM written by hand: 2 x 1 pixels.
    values = np.array([[0, 65535, 32896], [257, 514, 40000]], dtype=">u2")
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 2 1 65535\n" + values.tobytes())
    np.testing.assert_allclose(load_image(path)[0], values / 257, atol=1)


def test_transparent_pixels_show_the_stated_background(rgb, tmp_path):
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[0, 0], alpha[0, 1] = 0, 128
    path = save(Image.fromarray(np.concatenate([rgb, alpha], axis=2)), tmp_path / "a.png")
    pixels = load_image(path)
    assert pixels[0, 0].tolist() == [128, 128, 128]
    np.testing.assert_allclose(pixels[0, 1], 128 + (rgb[0, 1] - 128.0) * 128 / 255, atol=1)
    np.testing.assert_array_equal(pixels[1:], rgb[1:])
    assert load_image(path, background=(255, 0, 7))[0, 0].tolist() == [255, 0, 7]


def test_grey_with_alpha_and_transparent_palettes_are_composed(tmp_path):
    grey_alpha = np.array([[[200, 255], [200, 0]]], dtype=np.uint8)
    layers = [Image.fromarray(grey_alpha[:, :, layer]) for layer in range(2)]
    path = save(Image.merge("LA", layers), tmp_path / "la.png")
    np.testing.assert_array_equal(load_image(path)[0], [[200] * 3, [128] * 3])
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    opaque, clear = tmp_path / "p.png", tmp_path / "pt.png"
    palette.save(opaque)
    palette.save(clear, transparency=1)
    np.testing.assert_array_equal(load_image(opaque)[0], [[10, 20, 30], [40, 50, 60]])
    np.testing.assert_array_equal(load_image(clear)[0], [[10, 20, 30], [128] * 3])


def test_one_bit_and_cmyk_become_rgb(tmp_path):
    bits = Image.fromarray(np.array([[0, 255, 0]], dtype=np.uint8)).convert("1")
    assert load_image(save(bits, tmp_path / "b.png"))[0, :, 2].tolist() == [0, 255, 0]
    cmyk = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    np.testing.assert_allclose(load_image(save(cmyk, tmp_path / "c.jpg"))[4, 4], [0, 255, 255], atol=4)


@pytest.mark.parametrize(
    ("orientation", "turns", "mirrored"),
    [(1, 0, False), (3, 2, False), (6, 3, False), (8, 1, False), (2, 0, True)],
)
def test_exif_orientation_is_applied(orientation, turns, mirrored, rgb, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = load_image(save(Image.fromarray(rgb), tmp_path / "a.png", exif=exif))
    upright = rgb[:, ::-1] if mirrored else rgb
    np.testing.assert_array_equal(pixels, np.rot90(upright, turns))


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(StimulusError, match=r"none\.png does not exist; correct the table's path"):
        load_image(tmp_path / "none.png")
    with pytest.raises(StimulusError, match="does not exist"):
        load_image(tmp_path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.bmp"])
def test_a_truncated_picture_is_named(name, rng, tmp_path):
    image = Image.fromarray(rng.integers(0, 256, (64, 48, 3), dtype=np.uint8))
    path = save(image, tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    for decode in (load_image, measure_image):
        with pytest.raises(StimulusError, match=r"a\.\w+ .*get a fresh copy"):
            decode(path)


def test_an_empty_file_and_a_text_file_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_text("not a picture")
    with pytest.raises(StimulusError, match=r"a\.png is empty \(0 bytes\)"):
        load_image(tmp_path / "a.png")
    with pytest.raises(StimulusError, match=r"b\.png cannot be read as a picture"):
        read_image_size(tmp_path / "b.png")


@pytest.mark.parametrize("name", ["a.png", "a.eps"])
def test_a_drawing_that_is_a_program_is_not_run(tmp_path, monkeypatch, name):
    Image.new("RGB", (8, 8)).save(tmp_path / name, format="EPS")
    monkeypatch.setattr("subprocess.Popen", None)
    for read in (load_image, read_image_size, measure_image):
        with pytest.raises(StimulusError, match=rf"{name} is a drawing in PostScript: save it as PNG"):
            read(tmp_path / name)


def test_values_of_no_agreed_range_are_refused(tmp_path):
    path = save(Image.fromarray(np.zeros((3, 4), np.float32)), tmp_path / "a.tif")
    with pytest.raises(StimulusError, match="32-bit values"):
        load_image(path)


def test_measure_agrees_with_the_full_decoding(rng, tmp_path):
    smooth = np.tile(np.linspace(20, 220, 96, dtype=np.uint8)[:, None, None], (1, 80, 3))
    path = save(Image.fromarray(smooth), tmp_path / "a.jpg", quality=95)
    size, luminance = measure_image(path)
    assert size == (80, 96) == read_image_size(path)
    assert luminance == pytest.approx(load_image(path).mean(), abs=1.0)


@pytest.fixture
def faulty_table(noise_table, tmp_path) -> StimulusTable:
    """The noise table with one fault of each kind, rows 1 to 6, and digests from before."""
    table = StimulusTable.from_frame(
        noise_table.frame.assign(digest=noise_table.image_digests), root=tmp_path
    )
    paths = table.paths()
    paths[1].unlink()
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    paths[3].write_bytes(paths[0].read_bytes())
    Image.new("RGB", (18, 20), (3, 3, 3)).save(paths[4])
    Image.new("RGB", (30, 20), (90, 90, 90)).save(paths[5])
    paths[6].write_bytes(b"")
    return table


def test_check_images_finds_each_fault_and_nothing_else(faulty_table):
    faults = check_images(faulty_table, n_jobs=2)
    ids = faulty_table.stimulus_ids
    found = {(row.stimulus_id, row.fault) for row in faults.itertuples()}
    assert found == {
        (ids[1], "missing"),
        (ids[2], "unreadable"),
        (ids[2], "changed"),
        (ids[3], "duplicate"),
        (ids[3], "changed"),
        (ids[4], "almost black"),
        (ids[4], "changed"),
        (ids[5], "odd size"),
        (ids[5], "changed"),
        (ids[6], "unreadable"),
        (ids[6], "changed"),
    }
    assert not faults.apply(lambda row: "".join(row).count(str(faulty_table.root)), axis=1).any()
    assert set(faults["path"]) <= set(faulty_table.frame["path"])
    assert f"same content as {str(ids[0])!r}" in faults.set_index("fault").loc["duplicate", "detail"]


def test_check_images_of_sound_pictures_is_empty(noise_table):
    assert check_images(noise_table).empty


def test_sizes_that_vary_are_not_odd(tmp_path):
    names = []
    for width in range(20, 27):
        Image.new("RGB", (width, 20), (width, 90, 90)).save(tmp_path / f"{width}.png")
        names.append(str(width))
    frame = pd.DataFrame({"stimulus_id": names, "path": [f"{name}.png" for name in names]})
    assert check_images(StimulusTable.from_frame(frame, root=tmp_path)).empty


def test_check_images_refuses_no_threads(noise_table):
    with pytest.raises(ValueError, match="n_jobs must be >= 1"):
        check_images(noise_table, n_jobs=0)
