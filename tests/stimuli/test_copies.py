import os
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fernet_neuro.exceptions import FernetWarning, StimulusError
from fernet_neuro.stimuli import copies
from fernet_neuro.stimuli.copies import (
    check_copies_apart,
    check_copies_together,
    describe_shared,
    find_copies,
    warn_of_copies,
)
from fernet_neuro.stimuli.faults import check_images
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.splits import Fold
from fernet_neuro.stimuli.table import StimulusTable


def table_of_files(folder, **contents):
    for name, content in contents.items():
        (folder / f"{name}.png").write_bytes(content)
    frame = pd.DataFrame({"stimulus_id": list(contents), "identity": [f"who {name}" for name in contents]})
    return StimulusTable.from_frame(frame.assign(path=frame["stimulus_id"] + ".png"), root=folder)


def test_copies_are_found_by_content_not_by_size_or_label(tmp_path):
    table = table_of_files(tmp_path, a=b"face", b=b"mask", c=b"face", d=b"faces", e=b"mask")
    assert find_copies(table).tolist() == [0, 1, 0, 2, 1]


def test_files_that_are_gone_count_by_their_recorded_content_or_stand_alone(tmp_path):
    frame = pd.DataFrame({"stimulus_id": list("abcd"), "path": "gone.png", "digest": ["x", "", "x", ""]})
    codes = find_copies(StimulusTable.from_frame(frame, root=tmp_path))
    assert codes[0] == codes[2]
    assert len(set(codes.tolist())) == 3


def test_a_picture_on_both_sides_of_a_fold_is_refused_whatever_its_name(tmp_path):
    table = table_of_files(tmp_path, a=b"one", b=b"two", c=b"six", d=b"one")
    check_copies_apart(table, [Fold("first", np.array([1, 2]), np.array([0, 3]))])
    with pytest.raises(StimulusError, match="'d' and 'a' are the same picture, and fold 'other'"):
        check_copies_apart(table, [Fold("other", np.array([2, 3]), np.array([0, 1]))])


@pytest.fixture
def in_formats(tmp_path):
    """A picture as PNG and BMP, another as turned JPEG and TIFF, a third, and a damaged file."""
    rng = np.random.default_rng(5)
    noise = [Image.fromarray(rng.integers(50, 200, (9, 14, 3), dtype=np.uint8)) for _ in range(3)]
    noise[0].save(tmp_path / "a.png")
    noise[0].save(tmp_path / "b.bmp")
    turned = Image.Exif()
    turned[274] = 6
    noise[1].save(tmp_path / "c.jpeg", exif=turned)
    with Image.open(tmp_path / "c.jpeg") as image:
        image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "d.tif")
    noise[2].save(tmp_path / "e.png")
    (tmp_path / "f.bmp").write_bytes((tmp_path / "b.bmp").read_bytes()[:300])
    files = ["a.png", "b.bmp", "c.jpeg", "d.tif", "e.png", "f.bmp"]
    frame = pd.DataFrame({"stimulus_id": [name[0] for name in files], "path": files})
    return StimulusTable.from_frame(frame, root=tmp_path)


def test_one_picture_in_two_formats_is_one_picture(in_formats):
    assert find_copies(in_formats).tolist() == [0, 0, 1, 1, 2, 3]
    faults = check_images(in_formats)
    repeated = faults[faults["fault"] == "duplicate"]
    assert repeated["stimulus_id"].tolist() == ["b", "d"]
    assert repeated["detail"].tolist() == ["same content as 'a'", "same content as 'c'"]


def read_folder(folder):
    files = sorted(path.name for path in folder.iterdir())
    frame = pd.DataFrame({"stimulus_id": files, "path": files, "identity": [f"who {name}" for name in files]})
    return StimulusTable.from_frame(frame, root=folder)


def draw(seed, height=37, width=53, margin=0):
    """Return a picture of random blocks, `margin` rows of grey above and below."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[margin : height - margin] = rng.integers(40, 210, (height - 2 * margin, width, 3))
    return Image.fromarray(pixels)


def write_as_other_programs(data):
    """Return a PNG file whose pixels are in one chunk and whose metadata follow them."""
    chunks, place = [], 8
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : end]))
        place = end + 4
    by_name = {name: b"".join(part for other, part in chunks if other == name) for name, _ in chunks}
    parts = [
        len(by_name[name]).to_bytes(4, "big") + name + by_name[name]
        + zlib.crc32(name + by_name[name]).to_bytes(4, "big")
        for name in (b"IHDR", b"IDAT", b"eXIf", b"IEND")
    ]  # fmt: skip
    return data[:8] + b"".join(parts)


@pytest.mark.parametrize("margin", [0, 3, 10, 16])
def test_a_picture_saved_again_in_its_format_is_the_same_however_much_of_it_is_background(tmp_path, margin):
    for seed in range(6):
        draw(seed, margin=margin).save(tmp_path / f"{seed}.png")
    noted = PngInfo()
    noted.add_text("Author", "x" * 50)
    draw(2, margin=margin).save(tmp_path / "again2.png", compress_level=1)
    draw(4, margin=margin).save(tmp_path / "again4.png", pnginfo=noted)
    codes = dict(zip(*[read_folder(tmp_path).stimulus_ids, find_copies(read_folder(tmp_path))], strict=True))
    assert codes["again2.png"] == codes["2.png"]
    assert codes["again4.png"] == codes["4.png"]
    assert len(set(codes.values())) == 6


def test_what_a_picture_shows_counts_not_how_it_is_written(tmp_path):
    grey = draw(1).convert("L")
    grey.save(tmp_path / "grey.png")
    grey.convert("RGB").save(tmp_path / "rgb.png", compress_level=0)
    grey.convert("RGBA").save(tmp_path / "opaque.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(tmp_path / "wide.png")
    grey.quantize(256).save(tmp_path / "palette.png")
    half = grey.convert("RGBA")
    half.putalpha(128)
    half.save(tmp_path / "half.png")
    codes = find_copies(read_folder(tmp_path))
    assert len(set(codes[[0, 2, 3, 4, 5]].tolist())) == 1  # all but the transparent one
    assert len(set(codes.tolist())) == 2


def test_metadata_and_coding_of_jpeg_files_do_not_count_but_new_losses_do(tmp_path):
    draw(1).save(tmp_path / "a.jpg", quality=90)
    noted = Image.Exif()
    noted[270] = "a description"
    draw(1).save(tmp_path / "b.jpg", quality=90, progressive=True, exif=noted)  # losses are the same
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "c.jpg", quality=89)
        image.resize((106, 74)).save(tmp_path / "d.jpg")
    draw(2).save(tmp_path / "e.jpg", quality=90)
    assert find_copies(read_folder(tmp_path)).tolist() == [0, 0, 1, 2, 3]


def test_pictures_that_their_metadata_turn_are_compared_upright(tmp_path):
    for seed in range(3):
        draw(seed, 200, 200).save(tmp_path / f"{seed}.png")
    turned = Image.Exif()
    turned[274] = 6  # shown turned by 90 degrees, so stored turned back
    stored = draw(1, 200, 200).transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "3.png", exif=turned)
    stored.save(tmp_path / "4.png")
    (tmp_path / "5.png").write_bytes(write_as_other_programs((tmp_path / "3.png").read_bytes()))
    assert find_copies(read_folder(tmp_path)).tolist() == [0, 1, 2, 1, 3, 1]
    (tmp_path / "3.png").unlink()
    assert find_copies(read_folder(tmp_path)).tolist() == [0, 1, 2, 3, 1]


def test_a_changed_file_is_looked_at_anew(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        draw(seed).save(tmp_path / f"{name}.png")
        os.utime(tmp_path / f"{name}.png", (1e9, 1e9))
    table = read_folder(tmp_path)
    assert find_copies(table).tolist() == [0, 1]
    draw(1).save(tmp_path / "b.png", compress_level=1)
    assert find_copies(table).tolist() == [0, 0]


def test_a_damaged_copy_stands_alone(tmp_path):
    for seed in range(2):
        draw(seed).save(tmp_path / f"{seed}.png")
    data = (tmp_path / "0.png").read_bytes()
    (tmp_path / "2.png").write_bytes(data[: len(data) * 3 // 4])  # its upper half can be decoded
    (tmp_path / "3.png").write_bytes(data[:40])
    assert find_copies(read_folder(tmp_path)).tolist() == [0, 1, 2, 3]


def test_few_pictures_are_decoded_to_tell_a_table_without_copies(tmp_path, monkeypatch):
    for seed in range(20):
        draw(seed, margin=3).save(tmp_path / f"{seed}.png")
        draw(seed, 64, 64).save(tmp_path / f"{seed}.jpg")
    decoded = []
    monkeypatch.setattr(copies, "load_image", lambda path: decoded.append(path) or load_image(path))
    assert len(set(find_copies(read_folder(tmp_path)).tolist())) == 40
    assert not decoded
    draw(7, 64, 64).save(tmp_path / "again.jpg", comment="x")
    assert len(set(find_copies(read_folder(tmp_path)).tolist())) == 40
    assert len(decoded) == 2


def test_neighbours_may_not_be_one_picture_unless_they_never_meet(in_formats):
    check_copies_together(in_formats, np.array([[0, 0, 1, 1, 2, 3], [4, 4, 4, 4, 0, 1]]))
    with pytest.raises(StimulusError, match="'c' and 'd' are the same picture"):
        check_copies_together(in_formats, np.array([[0, 0, 1, 1, 2, 3], [0, 0, 1, 2, 3, 4]]))


def test_analyses_of_stimuli_say_which_are_one(in_formats):
    with pytest.warns(FernetWarning, match="2 of 4 pictures are several stimuli .first: 'a' and 'b'"):
        warn_of_copies(in_formats)
    warn_of_copies(in_formats.select(np.array([0, 2, 4])))  # a warning would be an error here


def test_pictures_of_two_tables_are_compared(in_formats):
    train, others = in_formats.select(np.array([0, 4])), in_formats.select(np.array([1, 2, 3]))
    assert describe_shared(train, others, "validation").startswith(
        "1 of 3 stimuli of validation are pictures"
    )
    assert describe_shared(train, in_formats.select(np.array([2, 3])), "validation") == ""
