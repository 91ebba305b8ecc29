"""RAF-DB in its owners' layout and in class folders: labels by name, and every fault said."""

import shutil

import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.rafdb import PUBLISHED
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_rafdb = DATASETS["rafdb"].read

# The first lines of the owners' list, and one more of each code.
LINES = {
    "train_00001.jpg": 5,
    "train_00002.jpg": 5,
    "train_00003.jpg": 4,
    "train_00004.jpg": 1,
    "train_00005.jpg": 2,
    "train_00006.jpg": 3,
    "test_0001.jpg": 6,
    "test_0002.jpg": 7,
}
NAMES = ["sadness", "sadness", "happiness", "surprise", "fear", "disgust", "anger", "neutral"]


def photograph(path, size=(100, 100), grey=110) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)


def write_list(root, lines, name="list_patition_label.txt") -> None:
    (root / "EmoLabel").mkdir(parents=True, exist_ok=True)
    (root / "EmoLabel" / name).write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def basic(tmp_path):
    root = tmp_path / "RAF-DB" / "basic"
    write_list(root, [f"{name} {code}" for name, code in LINES.items()])
    for number, name in enumerate(LINES):
        photograph(root / "Image" / "aligned" / name.replace(".jpg", "_aligned.jpg"), grey=40 + number)
        photograph(root / "Image" / "original" / name, size=(160, 130), grey=40 + number)
    return root


def get_labels(report) -> dict[str, str]:
    frame = report.table.frame
    return dict(zip(frame["stimulus_id"], frame["expression"], strict=True))


def get_kinds(report) -> dict[str, str]:
    return {row.path: row.reason.partition(":")[0] for row in report.left_out.itertuples()}


def test_codes_from_one_become_names(basic):
    report = read_rafdb(basic)
    assert report.left_out.empty
    assert get_labels(report) == dict(zip((name[:-4] for name in LINES), NAMES, strict=True))
    table = report.table
    assert dict(zip(table.stimulus_ids, table.factor("native_code"), strict=True)) == {
        name[:-4]: code for name, code in LINES.items()
    }
    assert {name.partition("_")[0] for name in table.stimulus_ids} == {"train", "test"}
    assert (table.factor("split") == [name.partition("_")[0] for name in table.stimulus_ids]).all()
    assert set(table.factor("dataset")) == {"rafdb"}
    assert table.paths()[0].name == "test_0001_aligned.jpg"


def test_the_folder_and_its_parent_give_the_same_table(basic):
    assert read_rafdb(basic).table == read_rafdb(basic.parent).table


def test_original_pictures_have_the_same_ids_and_labels(basic):
    original = read_rafdb(basic, images="original")
    assert get_labels(original) == get_labels(read_rafdb(basic))
    assert original.table.paths()[0] == basic / "Image" / "original" / "test_0001.jpg"
    shutil.rmtree(basic / "Image" / "aligned")
    with pytest.raises(
        StimulusError, match=r"no folder Image/aligned \(for .*Image/original, say images=original"
    ):
        read_rafdb(basic)
    with pytest.raises(ValueError, match=r"images='originals' is not known.*Did you mean 'original'"):
        read_rafdb(basic, images="originals")


def test_published_counts_add_up_to_the_owners_totals():
    assert {part: sum(counts.values()) for part, counts in PUBLISHED.items()} == {
        "train": 12271,
        "test": 3068,
    }
    assert (PUBLISHED["train"]["happiness"], PUBLISHED["train"]["fear"]) == (4772, 281)
    assert (PUBLISHED["test"]["happiness"], PUBLISHED["test"]["fear"]) == (1185, 74)


def test_a_subset_is_compared_with_what_was_published(basic):
    train, test = read_rafdb(basic).notes
    assert train.startswith("train: 6 stimuli; published: 12,271 (anger 0 of 705, disgust 1 of 717,")
    assert test.startswith("test: 2 stimuli; published: 3,068 (anger 1 of 162,")


def test_faults_are_left_out_with_the_reason_and_nothing_else_is_lost(basic):
    aligned = basic / "Image" / "aligned"
    (aligned / "train_00003_aligned.jpg").unlink()
    photograph(aligned / "train_00009_aligned.jpg")
    photograph(aligned / "train_00002_aligned.jpg", size=(100, 99))
    cut = aligned / "train_00004_aligned.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    (aligned / "readme.txt").write_text("x")
    write_list(basic, [*(f"{name} {code}" for name, code in LINES.items()), "test_0002.jpg 7"])
    report = read_rafdb(basic)
    assert get_kinds(report) == {
        "train_00003_aligned.jpg": "missing",
        "train_00009_aligned.jpg": "not in the list",
        "train_00002_aligned.jpg": "odd size",
        "train_00004_aligned.jpg": "unreadable",
        "readme.txt": "not a picture",
        "test_0002.jpg": "listed twice",
    }
    assert set(get_labels(report)) == {"train_00001", "train_00005", "train_00006", "test_0001", "test_0002"}
    assert "line 9 repeats line 8" in report.left_out["reason"].str.cat()
    assert len(read_rafdb(basic, verify=False).table) == 7


def test_a_folder_that_lacks_most_pictures_is_refused(basic):
    for name in list(LINES)[:4]:
        (basic / "Image" / "aligned" / name.replace(".jpg", "_aligned.jpg")).unlink()
    assert read_rafdb(basic).count_reasons() == {"missing": 4}
    (basic / "Image" / "aligned" / "test_0001_aligned.jpg").unlink()
    with pytest.raises(
        StimulusError, match=r"5 of the 8 pictures that .*list_patition_label.txt names are not in"
    ):
        read_rafdb(basic)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "train_00007.jpg 0",
            r"line 9: label 0 is none of the codes \(1 surprise, .*7 neutral\); the owners count",
        ),
        ("train_00007.jpg 8", "line 9: label 8 is none of the codes"),
        ("train_00007.jpg", "line 9: expected a file name and a number; got 'train_00007.jpg'"),
        ("train_00007.jpg happy", "line 9: expected a file name and a number"),
        ("train_00001.jpg 4", "line 9: 'train_00001.jpg' has two values, '5' in line 1 and '4'"),
        ("../secret.jpg 4", "line 9: expected a name such as train_00001.jpg; got '../secret.jpg'"),
    ],
)
def test_a_malformed_line_is_named(line, message, basic):
    write_list(basic, [*(f"{name} {code}" for name, code in LINES.items()), line])
    with pytest.raises(StimulusError, match=message):
        read_rafdb(basic)


def test_an_empty_or_binary_list_is_refused(basic):
    write_list(basic, [])
    with pytest.raises(StimulusError, match="names no picture"):
        read_rafdb(basic)
    (basic / "EmoLabel" / "list_patition_label.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(StimulusError, match="is not a text file"):
        read_rafdb(basic)


def test_another_name_of_the_list_is_explained(basic):
    (basic / "EmoLabel" / "list_patition_label.txt").rename(basic / "EmoLabel" / "list_partition_label.txt")
    message = (
        r"neither the list EmoLabel/list_patition_label.txt .*It holds list_partition_label.txt: give the"
    )
    with pytest.raises(StimulusError, match=message):
        read_rafdb(basic)


@pytest.mark.parametrize("happiness", ["4", "Happiness", "happy"])
def test_class_folders_are_read_by_code_and_by_name(happiness, tmp_path):
    photograph(tmp_path / "train" / happiness / "train_00003_aligned.jpg", size=(48, 40))
    photograph(tmp_path / "train" / "7" / "train_00011.jpg")
    photograph(tmp_path / "test" / happiness / "0001.png")
    (tmp_path / "train" / "2").mkdir()  # an empty class
    report = read_rafdb(tmp_path)
    assert report.left_out.empty
    assert get_labels(report) == {
        "train_00003": "happiness",
        "train_00011": "neutral",
        "test_0001": "happiness",
    }
    assert report.table.factor("split").tolist() == ["train", "train", "test"]
    assert sorted(report.table.factor("native_code").tolist()) == [4, 4, 7]
    assert "fear 0 of 281" in report.notes[0]


def test_class_folders_that_count_from_zero_are_refused(tmp_path):
    photograph(tmp_path / "train" / "0" / "a.jpg")
    with pytest.raises(
        StimulusError, match=r"class folder .*train/0: label 0 is none of the codes .*count from 1"
    ):
        read_rafdb(tmp_path)


def test_what_lies_in_no_class_is_left_out(tmp_path):
    for name in (
        "train/4/a.jpg",
        "train/b.jpg",
        "train/4/more/c.jpg",
        "train/hapiness/d.jpg",
        "train/contempt/e.jpg",
    ):
        photograph(tmp_path / name)
    report = read_rafdb(tmp_path)
    assert report.table.stimulus_ids.tolist() == ["train_a"]
    assert report.count_reasons() == {"not in a class folder": 2, "unknown class": 2}
    reasons = dict(report.left_out.itertuples(index=False))
    assert reasons["train/hapiness/d.jpg"].endswith("Did you mean 'happiness'?")
    assert report.notes[1] == "test: no stimuli; published: 3,068"
