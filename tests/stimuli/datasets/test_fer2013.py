"""FER2013: pixels of a CSV become pictures once, whole or absent; class folders; every fault said."""

import numpy as np
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.stimuli.datasets.fer2013 import PUBLISHED
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_fer2013 = DATASETS["fer2013"].read

NAMES = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
USAGES = ["Training"] * 7 + ["PublicTest", "PrivateTest"]
CODES = [*range(7), 3, 6]
IDS = [f"train/row{row:05d}" for row in range(7)] + ["val/row00007", "test/row00008"]


def draw(row) -> np.ndarray:
    return np.random.default_rng(row).integers(0, 256, 2304)


def make_row(row, code=None, usage=None, pixels=None) -> str:
    text = " ".join(map(str, draw(row))) if pixels is None else pixels
    return f"{CODES[row] if code is None else code},{text},{usage or USAGES[row]}"


def write_csv(path, rows, header="emotion,pixels,Usage") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def src(tmp_path):
    write_csv(tmp_path / "src" / "fer2013.csv", [make_row(row) for row in range(9)])
    return tmp_path / "src"


def test_rows_become_pictures_with_names_by_code(src, tmp_path):
    report = read_fer2013(src, pictures=tmp_path / "pictures", n_jobs=2)
    table = report.table
    assert report.left_out.empty
    assert table.stimulus_ids.tolist() == IDS
    assert table.factor("expression").tolist() == [*NAMES, "happiness", "neutral"]
    assert table.factor("native_code").tolist() == CODES
    assert table.factor("split").tolist() == ["train"] * 7 + ["val", "test"]
    for row, path in enumerate(table.paths()):
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (48, 48))
            assert (np.asarray(image).ravel() == draw(row)).all()
    assert report.notes[0].startswith(
        "train: 7 stimuli; published: 28,709 (anger 1 of 3,995, disgust 1 of 436"
    )
    assert report.notes[2] == "test: 1 stimuli; published: 3,589"


def test_published_counts_are_those_of_the_parts():
    assert sum(PUBLISHED["train"].values()) == 28709
    assert (PUBLISHED["train"]["disgust"], PUBLISHED["train"]["happiness"]) == (436, 7215)


def test_the_packed_folder_and_the_later_archive_give_the_same_table(src, tmp_path):
    whole = read_fer2013(src, pictures=tmp_path / "pictures").table.frame.drop(columns="path")
    (src / "fer2013").mkdir()
    (src / "fer2013.csv").rename(src / "fer2013" / "fer2013.csv")
    assert read_fer2013(src, pictures=tmp_path / "pictures").table.frame.drop(columns="path").equals(whole)
    rows = (make_row(row).split(",") for row in range(9))
    later = [f"{code}, {usage}, {pixels}" for code, pixels, usage in rows]
    write_csv(tmp_path / "later" / "icml_face_data.csv", later, "emotion, Usage, pixels")
    report = read_fer2013(tmp_path / "later", pictures=tmp_path / "more")
    assert report.table.frame.drop(columns="path").equals(whole)


def test_an_interrupted_run_goes_on_and_writes_nothing_twice(src, tmp_path):
    folder = tmp_path / "pictures"
    whole = read_fer2013(src, pictures=folder).table
    (folder / "train" / "row00003.png").unlink()
    (folder / "train" / ".row00003.99.tmp.png").write_bytes(b"cut")  # what a killed run leaves
    kept = (folder / "train" / "row00002.png").stat().st_mtime_ns
    assert read_fer2013(src, pictures=folder).table == whole
    assert (folder / "train" / "row00002.png").stat().st_mtime_ns == kept


def test_a_folder_of_other_things_is_refused_and_left_as_it_is(src, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(
        StoreError, match=r"pictures exists and holds something else .* choose another folder"
    ):
        read_fer2013(src, pictures=folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    read_fer2013(src, pictures=tmp_path / "mine")
    write_csv(src / "fer2013.csv", [make_row(8 - row, usage="Training") for row in range(9)])
    with pytest.raises(StoreError, match=r"mine holds the pictures of another file than .*fer2013\.csv"):
        read_fer2013(src, pictures=tmp_path / "mine")


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        ("1 2 3", "corrupt pixels: 3 instead of 2304"),
        ("", "corrupt pixels: 0 instead of 2304"),
        (" ".join(["256"] * 2304), "corrupt pixels: not all are numbers from 0 to 255"),
        (" ".join(["-1"] * 2304), "corrupt pixels: not all are numbers from 0 to 255"),
        (" ".join(["x"] * 2304), "corrupt pixels: not all are numbers from 0 to 255"),
    ],
)
def test_corrupt_pixels_are_left_out_and_nothing_else_is_lost(pixels, reason, src, tmp_path):
    rows = [make_row(row, pixels=pixels if row == 4 else None) for row in range(9)]
    write_csv(src / "fer2013.csv", rows)
    report = read_fer2013(src, pictures=tmp_path / "pictures")
    assert report.table.stimulus_ids.tolist() == [name for name in IDS if name != "train/row00004"]
    assert report.left_out.to_numpy().tolist() == [["train/row00004.png", reason]]
    assert not (tmp_path / "pictures" / "train" / "row00004.png").exists()


@pytest.mark.parametrize(
    ("row", "header", "message"),
    [
        (make_row(0, code=7), None, r"fer2013.csv, line 2: emotion must be 0 to 6; got '7'"),
        (make_row(0, code="happy"), None, "line 2: emotion must be 0 to 6; got 'happy'"),
        (
            make_row(0, usage="Train"),
            None,
            "line 2: Usage must be one of Training, PublicTest, PrivateTest; got",
        ),
        (make_row(0) + ",1", None, "line 2: expected 3 fields"),
        ("3,1 2", None, "line 2: expected 3 fields"),
        (make_row(0), "emotions,pixels,Usage", r"the header has no 'emotion'; it is: .* mean 'emotions'"),
        (make_row(0), "emotion,pixels", "the header has no 'Usage'"),
    ],
)
def test_a_malformed_row_is_named_before_anything_is_written(row, header, message, src, tmp_path):
    write_csv(src / "fer2013.csv", [row], header or "emotion,pixels,Usage")
    with pytest.raises(StimulusError, match=message):
        read_fer2013(src, pictures=tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()


def test_a_folder_for_the_pictures_is_needed_and_asked_for_first(src):
    (src / "fer2013.csv").write_text("nothing of use")
    with pytest.raises(
        StimulusError, match=r"holds pixels and no pictures; say pictures=DIR \(--pictures DIR\)"
    ):
        read_fer2013(src)


def test_what_is_not_fer2013_is_told_where_to_get_it(tmp_path):
    with pytest.raises(StimulusError, match=r"neither fer2013.csv \(offered at https://www.kaggle.com/c/"):
        read_fer2013(tmp_path)


def test_class_folders_have_the_parts_of_their_folders(tmp_path):
    for name in ("train/happy/Training_1.jpg", "train/angry/Training_2.jpg", "test/neutral/PublicTest_3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("L", (48, 48), len(name)).save(tmp_path / name)
    (tmp_path / "train" / "odd").mkdir()
    Image.new("L", (48, 48)).save(tmp_path / "train" / "odd" / "x.jpg")
    report = read_fer2013(tmp_path)
    table = report.table
    assert dict(zip(table.stimulus_ids, table.factor("expression"), strict=True)) == {
        "train/angry/Training_2": "anger",
        "train/happy/Training_1": "happiness",
        "test/neutral/PublicTest_3": "neutral",
    }
    assert table.factor("native_code").tolist() == [0, 3, 6]
    assert table.factor("split").tolist() == ["train", "train", "test"]
    assert report.left_out["path"].tolist() == ["train/odd/x.jpg"]
    assert report.notes[1] == "test: 1 stimuli; published: 7,178"
