"""CK+: last frames of labelled sequences and the neutral first; what has no label is counted; CK+48."""

import numpy as np
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.ckplus import PUBLISHED
from fernet_neuro.stimuli.datasets.registry import DATASETS
from fernet_neuro.stimuli.splits import partition_table

read_ckplus = DATASETS["ckplus"].read

#: Frames and the text of the emotion file of each sequence; None where it has none.
SEQUENCES = {
    "S005/001": (11, "   3.0000000e+00\n"),
    "S005/002": (6, None),
    "S010/004": (7, "   1.0000000e+00\n"),
    "S502/001": (5, "   7.0000000e+00\n"),
}


def add_sequence(root, sequence, n_frames, text, n_labelled=None) -> None:
    stem = sequence.replace("/", "_")
    folder = root / "cohn-kanade-images" / sequence
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(1, n_frames + 1):
        Image.new("L", (64, 49), 10 * frame).save(folder / f"{stem}_{frame:08d}.png")
    labels = root / "Emotion" / sequence
    labels.mkdir(parents=True, exist_ok=True)  # the owners have an empty folder where no emotion is given
    if text is not None:
        (labels / f"{stem}_{n_labelled or n_frames:08d}_emotion.txt").write_text(text)


@pytest.fixture
def src(tmp_path):
    for sequence, (n_frames, text) in SEQUENCES.items():
        add_sequence(tmp_path, sequence, n_frames, text)
    (tmp_path / "cohn-kanade-images" / "S005" / ".DS_Store").write_text("x")
    return tmp_path


def get_rows(report) -> list[tuple]:
    frame = report.table.frame
    return list(frame[["stimulus_id", "expression"]].itertuples(index=False, name=None))


def test_the_last_frames_have_the_emotion_and_the_first_is_neutral(src):
    report = read_ckplus(src)
    assert get_rows(report)[:5] == [
        ("S005_001_00000001", "neutral"),
        ("S005_001_00000009", "disgust"),
        ("S005_001_00000010", "disgust"),
        ("S005_001_00000011", "disgust"),
        ("S010_004_00000001", "neutral"),
    ]
    assert report.table.factor("expression").tolist()[5::4] == ["anger", "surprise"]
    frame = report.table.frame
    assert frame["identity"].tolist() == ["S005"] * 4 + ["S010"] * 4 + ["S502"] * 4
    assert frame["clip"].unique().tolist() == ["S005_001", "S010_004", "S502_001"]
    assert frame["frame"].tolist() == [1, 9, 10, 11, 1, 5, 6, 7, 1, 3, 4, 5]
    assert frame["native_code"].tolist() == [0, 3, 3, 3, 0, 1, 1, 1, 0, 7, 7, 7]
    assert all(path.is_file() for path in report.table.paths())


def test_frames_and_neutral_are_chosen(src):
    report = read_ckplus(src, frames=1, neutral=False)
    assert get_rows(report) == [
        ("S005_001_00000011", "disgust"),
        ("S010_004_00000007", "anger"),
        ("S502_001_00000005", "surprise"),
    ]
    with pytest.raises(ValueError, match="frames must be >= 1; got 0"):
        read_ckplus(src, frames=0)


def test_a_sequence_without_an_emotion_is_counted_and_the_set_goes_on(src):
    report = read_ckplus(src)
    assert report.left_out.to_numpy().tolist() == [["S005/002", "no emotion file"]]
    (src / "Emotion" / "S010" / "004" / "S010_004_00000007_emotion.txt").unlink()
    report = read_ckplus(src)
    assert report.count_reasons() == {"no emotion file": 2}
    assert len(report.table) == 8


@pytest.mark.parametrize(
    ("n_frames", "n_labelled", "text", "reason"),
    [
        (5, 5, "happy", "unreadable emotion file: S011/001/S011_001_00000005_emotion.txt holds 'happy'"),
        (5, 5, "", "unreadable emotion file: S011/001/S011_001_00000005_emotion.txt holds ''"),
        (5, 5, " 8.0000000e+00", "label outside the codes: .* holds 8, which is none of 1 to 7"),
        (5, 5, "0.0", "label outside the codes: .* holds 0, which"),
        (5, 5, "1.5", "label outside the codes: .* holds 1.5, which"),
        (5, 5, "nan", "label outside the codes: .* holds nan, which"),
        (
            5,
            9,
            "1.0",
            "another last frame: S011_001_00000005 is the last picture, but .*00000009_emotion.txt",
        ),
        (3, 3, "1.0", "too short: 3 frames of the 4 needed"),
        (0, 9, "1.0", "missing: S011/001/S011_001_00000009_emotion.txt but no pictures"),
    ],
)
def test_a_faulty_sequence_is_left_out_with_the_reason(n_frames, n_labelled, text, reason, src):
    add_sequence(src, "S011/001", n_frames, text, n_labelled)
    report = read_ckplus(src)
    assert len(report.table) == 12
    found = report.left_out.set_index("path")["reason"]
    assert found.index.tolist() == ["S005/002", "S011/001"]
    assert found[1:].str.fullmatch(reason + ".*").all(), found.tolist()


def test_several_emotions_and_misnamed_pictures_are_left_out(src):
    (src / "Emotion" / "S005" / "001" / "S005_001_00000010_emotion.txt").write_text("1.0")
    Image.new("L", (9, 9)).save(src / "cohn-kanade-images" / "S010" / "004" / "S010_005_00000009.png")
    Image.new("L", (9, 9)).save(src / "cohn-kanade-images" / "S010" / "004" / "last.png")
    report = read_ckplus(src)
    assert report.count_reasons() == {"misnamed": 2, "several emotion files": 1, "no emotion file": 1}
    assert set(report.table.factor("identity")) == {"S010", "S502"}


def test_the_archives_folder_names_are_read(src):
    whole = read_ckplus(src).table
    (src / "Emotion").rename(src / "Emotion_labels")
    assert read_ckplus(src).table == whole
    (src / "Emotion_labels").rename(src / "labels")
    with pytest.raises(StimulusError, match="holds no folder Emotion; looked for: Emotion, Emotion_labels"):
        read_ckplus(src)


def test_counts_are_compared_with_the_owners(src):
    assert sum(PUBLISHED.values()) == 327
    note = read_ckplus(src).notes[0]
    assert note.startswith("all: 12 stimuli; published: 1,308 (anger 3 of 135, contempt 0 of 54,")
    assert "neutral 3 of 327" in note
    assert "published: 327 (anger 1 of 45," in read_ckplus(src, frames=1, neutral=False).notes[0]


def test_folds_keep_every_subject_on_one_side_and_test_every_picture_once(tmp_path):
    for number in range(8):
        add_sequence(tmp_path, f"S{100 + number}/001", 6, f"{1 + number % 2}.0")
        add_sequence(tmp_path, f"S{100 + number}/002", 6, f"{1 + (number + 1) % 2}.0")
    table = read_ckplus(tmp_path).table
    people = table.factor("identity")
    folds = partition_table(table, 4)  # as `crossval` does
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(64))
    assert all(set(people[fold.train]).isdisjoint(people[fold.test]) for fold in folds)
    assert [len(set(people[fold.test])) for fold in folds] == [2] * 4


def make_small(root) -> None:
    names = ("anger/S010_004_00000017", "happy/S010_006_00000015", "contempt/S138_008_00000007")
    for name in (*names, "surprise/S010_002_00000014", "sadness/face"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (48, 48), 99).save(root / f"{name}.png")
    Image.new("L", (64, 64), 99).save(root / "anger" / "S010_004_00000018.png")


def test_ck48_is_read_from_itself_and_from_its_parent(tmp_path):
    make_small(tmp_path / "CK+48")
    report = read_ckplus(tmp_path)
    frame = report.table.frame.set_index("stimulus_id")
    assert frame["expression"].to_dict() == {
        "S010_004_00000017": "anger",
        "S138_008_00000007": "contempt",
        "S010_006_00000015": "happiness",
        "S010_002_00000014": "surprise",
    }
    assert frame.loc["S138_008_00000007", ["identity", "clip", "frame"]].tolist() == ["S138", "S138_008", 7]
    assert frame.loc["S010_006_00000015", "native_code"] == 5
    assert report.count_reasons() == {"odd size": 1, "misnamed": 1}
    assert report.notes[0].startswith("all: 4 stimuli; published: 981 (anger 1 of 135,")
    assert read_ckplus(tmp_path / "CK+48").table == report.table


def test_what_is_not_ckplus_is_refused(tmp_path):
    with pytest.raises(StimulusError, match=r"holds neither cohn-kanade-images with Emotion, nor CK\+48"):
        read_ckplus(tmp_path)
