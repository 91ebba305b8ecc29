"""Anybody's folder: three ways to label it, nothing guessed, nothing read from outside."""

import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.folder import compile_pattern
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_folder = DATASETS["folder"].read


def photograph(path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (21, 19), (90, 100, 110)).save(path)


@pytest.fixture
def photos(tmp_path):
    for name in ("003_neutral.jpg", "003_smiling.jpg", "011_neutral.png", "a_b_neutral.jpg", "cover.jpg"):
        photograph(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_class_folders_name_the_expression(tmp_path):
    for name in ("happiness/1.jpg", "happiness/2.png", "fear/1.jpg", "loose.jpg", "fear/deep/3.jpg"):
        photograph(tmp_path / name)
    (tmp_path / "fear" / "notes.txt").write_text("x")
    report = read_folder(tmp_path)
    assert report.table.stimulus_ids.tolist() == ["fear/1", "happiness/1", "happiness/2"]
    assert report.table.factor("expression").tolist() == ["fear", "happiness", "happiness"]
    assert dict(report.left_out.itertuples(index=False)) == {
        "fear/deep/3.jpg": "not in a class folder: expected <expression>/<picture>",
        "fear/notes.txt": "not a picture",
        "loose.jpg": "not in a class folder: expected <expression>/<picture>",
    }
    by_person = read_folder(tmp_path, folders_are="identity").table
    assert by_person.factor("identity").tolist() == ["fear", "happiness", "happiness"]


def test_a_template_labels_what_fits_and_leaves_the_rest_out(photos):
    report = read_folder(photos, pattern="{identity}_{expression}")
    assert report.table.factor("identity").tolist() == ["003", "003", "011"]
    assert report.table.factor("expression").tolist() == ["neutral", "smiling", "neutral"]
    assert report.left_out["path"].tolist() == ["a_b_neutral.jpg", "cover.jpg"]
    assert report.count_reasons() == {"no match": 2}


def test_a_regular_expression_may_say_what_a_template_cannot(photos):
    table = read_folder(photos, pattern=r"(?P<identity>\w+)_(?P<expression>[a-z]+)").table
    assert table.factor("identity").tolist() == ["003", "003", "011", "a_b"]


def test_a_pattern_with_folders_is_matched_against_the_path(tmp_path):
    photograph(tmp_path / "id1" / "fear-left.jpg")
    photograph(tmp_path / "id2" / "fear.jpg")
    report = read_folder(tmp_path, pattern="{identity}/{expression}-{view}")
    assert report.table.frame[["identity", "expression", "view"]].to_numpy().tolist() == [
        ["id1", "fear", "left"]
    ]
    assert report.left_out["path"].tolist() == ["id2/fear.jpg"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("plain", "names no label"),
        ("{identity}{expression}", "two placeholders touch"),
        ("{identity}_{identity}", "cannot be read"),
        ("{}_{expression}", "cannot be read"),
        ("(?P<identity>[", "cannot be read"),
    ],
)
def test_a_pattern_that_cannot_work_is_explained(pattern, message):
    with pytest.raises(StimulusError, match=message):
        compile_pattern(pattern)


def test_a_csv_keeps_all_its_columns_and_its_order(photos, tmp_path):
    (tmp_path / "labels.csv").write_text(
        "file,person,expression,age,group\n"
        "011_neutral.png,011,NA,30.5,\n003_smiling.jpg,003,smiling,,x\n003_neutral.jpg,003,neutral,25.0,x\n"
    )
    report = read_folder(photos, csv=tmp_path / "labels.csv", columns={"identity": "person"})
    table = report.table
    assert table.stimulus_ids.tolist() == ["011_neutral", "003_smiling", "003_neutral"]
    assert table.factor("identity").tolist() == ["011", "003", "003"]
    assert table.factor("expression").tolist() == ["NA", "smiling", "neutral"]
    assert table.frame["age"].tolist()[::2] == [30.5, 25.0]
    assert table.frame["group"].tolist() == ["", "x", "x"]
    assert report.left_out.to_numpy().tolist() == [
        ["a_b_neutral.jpg", "not in the CSV"],
        ["cover.jpg", "not in the CSV"],
    ]


def test_nothing_outside_the_folder_is_read(photos, tmp_path):
    photograph(tmp_path / "secret.jpg")
    (photos / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "labels.csv").write_text(
        f"path\n../secret.jpg\n{tmp_path}/secret.jpg\nlink.jpg\nx/../003_neutral.jpg\n003_smiling.jpg\n"
    )
    report = read_folder(photos, csv=tmp_path / "labels.csv")
    assert report.table.stimulus_ids.tolist() == ["003_smiling"]
    assert report.count_reasons()["outside the source folder"] == 4
    by_pattern = read_folder(photos, pattern=r"(?P<identity>.+)")
    assert "link.jpg" in by_pattern.left_out["path"].tolist()
    assert "link" not in by_pattern.table.stimulus_ids


def test_faults_of_a_csv_are_left_out_with_the_reason(photos, tmp_path):
    (photos / "003_smiling.jpg").write_bytes(b"")
    (tmp_path / "labels.csv").write_text(
        'image\n003_neutral.jpg\n003_neutral.jpg\nnone.jpg\n""\n003_smiling.jpg\na_b_neutral.jpg\ncover.jpg\n'
    )
    report = read_folder(photos, csv=tmp_path / "labels.csv")
    assert report.table.stimulus_ids.tolist() == ["003_neutral", "a_b_neutral", "cover"]
    assert report.count_reasons() == {
        "id occurs twice": 1, "missing": 1, "no file name": 1, "not in the CSV": 1, "unreadable": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("photo,identity\na.jpg,1\n", {}, r"has no column of file names \(path, file, filename, image\)"),
        ("file,persn\na.jpg,1\n", {"identity": "person"}, "no column 'person'.*Did you mean 'persn'"),
        ("file,identity,who\na.jpg,1,2\n", {"identity": "who"}, "already has a column 'identity'"),
        ("", {}, "cannot be read"),
    ],
)
def test_a_csv_that_cannot_be_used_is_explained(text, columns, message, photos, tmp_path):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(StimulusError, match=message):
        read_folder(photos, csv=tmp_path / "labels.csv", columns=columns)


def test_options_that_contradict_each_other_are_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="either pattern or csv, not both"):
        read_folder(photos, pattern="{identity}_{expression}", csv=tmp_path / "labels.csv")
    with pytest.raises(ValueError, match="give csv too"):
        read_folder(photos, columns={"identity": "person"})
    with pytest.raises(StimulusError, match=r"labels\.csv does not exist"):
        read_folder(photos, csv=tmp_path / "labels.csv")


def test_pictures_of_one_stem_are_not_confused(tmp_path):
    photograph(tmp_path / "fear" / "1.jpg")
    photograph(tmp_path / "fear" / "1.png")
    report = read_folder(tmp_path)
    assert report.table.frame["path"].tolist() == ["fear/1.jpg"]
    assert report.left_out["reason"].tolist() == ["id occurs twice: 'fear/1' is already fear/1.jpg"]


@pytest.mark.realdata
def test_the_london_set_is_read_by_csv_and_by_pattern(data_root):
    london = data_root / "london_faces"
    by_csv = read_folder(london / "images_256", csv=london / "london_faces.csv")
    by_name = read_folder(london / "images_256", pattern="{identity}_{expression}")
    for report in (by_csv, by_name):
        assert report.left_out.empty
        assert len(report.table) == 140
        assert len(set(report.table.factor("identity"))) == 70
        assert report.table.frame["expression"].value_counts().to_dict() == {"neutral": 70, "smiling": 70}
    aligned = by_name.table.align_to(by_csv.table.stimulus_ids)
    assert aligned.image_digests == by_csv.table.image_digests
    assert by_csv.table.factor("age", complete=False).dtype == float
