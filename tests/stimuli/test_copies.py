import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.exceptions import FernetWarning, StimulusError
from fernet_neuro.stimuli.copies import (
    check_copies_apart,
    check_copies_together,
    describe_shared,
    find_copies,
    warn_of_copies,
)
from fernet_neuro.stimuli.faults import check_images
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
