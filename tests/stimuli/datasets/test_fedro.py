"""FED-RO in class folders and by a list; its numbers mean nothing until the user says what."""

import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_fedro = DATASETS["fedro"].read


def photograph(path, grey=110) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (37, 29), (grey, grey, grey)).save(path)


@pytest.fixture
def folders(tmp_path):
    for number, name in enumerate(("happy/1.jpg", "Happy/2.jpg", "surprise/3.png", "neutral/4.jpg")):
        photograph(tmp_path / "fedro" / name, grey=50 + number)
    return tmp_path / "fedro"


@pytest.fixture
def pictures(tmp_path):
    for number in range(5):
        photograph(tmp_path / "fedro" / "images" / f"{number}.jpg", grey=50 + number)
    return tmp_path / "fedro"


def get_labels(report) -> dict[str, str]:
    return dict(
        zip(report.table.stimulus_ids.tolist(), report.table.factor("expression").tolist(), strict=True)
    )


def test_class_folders_are_read_by_name(folders):
    report = read_fedro(folders)
    assert get_labels(report) == {
        "Happy/2": "happiness", "happy/1": "happiness", "neutral/4": "neutral", "surprise/3": "surprise",
    }  # fmt: skip
    assert report.left_out.empty
    assert set(report.table.factor("split")) == {"test"}
    assert set(report.table.factor("dataset")) == {"fedro"}
    assert report.notes == ("test: 4 stimuli; published: 400",)


def test_faults_in_folders_are_left_out(folders):
    photograph(folders / "contempt" / "5.jpg")
    photograph(folders / "6.jpg")
    (folders / "happy" / "7.jpg").write_bytes(b"\xff\xd8\xff")
    (folders / "anger").mkdir()  # an empty class
    report = read_fedro(folders)
    assert report.count_reasons() == {"unknown class": 1, "not in a class folder": 1, "unreadable": 1}
    assert len(report.table) == 4
    assert len(read_fedro(folders, verify=False).table) == 5


def test_numbered_folders_need_codes(folders):
    (folders / "surprise").rename(folders / "6")
    with pytest.raises(
        StimulusError, match=r"class folder .*6: label 6 is none of the codes \(none\); .*--code 0="
    ):
        read_fedro(folders)
    assert get_labels(read_fedro(folders, codes={"6": "surprise"}))["6/3"] == "surprise"
    with pytest.raises(ValueError, match=r"codes='suprise' is not known.*Did you mean 'surprise'"):
        read_fedro(folders, codes={"6": "suprise"})


@pytest.mark.parametrize("separator", [" ", "\t", ",", ", ", "   "])
def test_a_list_of_two_columns_labels_pictures(separator, pictures, tmp_path):
    labels = ["happy", "Sad", "anger", "neutral", "fearful"]
    path = pictures / "list.txt"
    path.write_text("".join(f"./images/{k}.jpg{separator}{label}\n" for k, label in enumerate(labels)))
    report = read_fedro(pictures, list_file=path)
    assert list(get_labels(report).values()) == ["happiness", "sadness", "anger", "neutral", "fear"]
    assert report.left_out.empty


def test_numbers_in_a_list_mean_what_the_user_says(pictures):
    path = pictures / "list.txt"
    path.write_text("images/0.jpg 3\nimages/1.jpg 0\nimages/2.jpg 3\n")
    with pytest.raises(
        StimulusError, match=r"line 1: label 3 is none of the codes \(none\); the owners document no"
    ):
        read_fedro(pictures, list_file=path)
    with pytest.raises(StimulusError, match=r"line 2: label 0 is none of the codes \(3 happiness\)"):
        read_fedro(pictures, list_file=path, codes={"3": "happiness"})
    report = read_fedro(pictures, list_file=path, codes={"3": "happiness", "0": "neutral"})
    assert get_labels(report) == {"images/0": "happiness", "images/1": "neutral", "images/2": "happiness"}
    assert report.count_reasons() == {"not in the list": 2}


def test_missing_and_repeated_lines_are_reported(pictures):
    path = pictures / "list.txt"
    path.write_text("images/0.jpg sad\n\nimages/1.jpg sad\nimages/0.jpg sad\nimages/9.jpg sad\n")
    reasons = dict(read_fedro(pictures, list_file=path).left_out.itertuples(index=False))
    assert reasons["images/0.jpg"] == "listed twice: line 4 repeats line 1"
    assert reasons["images/9.jpg"] == "missing: in the list but not on disk"
    path.write_text("images/0.jpg sad\nimages/8.jpg sad\nimages/9.jpg sad\n")
    with pytest.raises(StimulusError, match=r"2 of the 3 pictures that .*list.txt names are not in"):
        read_fedro(pictures, list_file=path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/0.jpg joy", "line 1: label 'joy' is none of anger, disgust"),
        ("images/0.jpg contempt", "line 1: label 'contempt' is none of"),
        ("images/0.jpg sad 12 40", "line 1: expected a file name and a label; got"),
        ("../other.jpg sad", r"line 1: '\.\./other\.jpg': outside the source folder"),
    ],
)
def test_a_malformed_line_is_named(line, message, pictures):
    photograph(pictures.parent / "other.jpg")
    (pictures / "list.txt").write_text(f"{line}\n")
    with pytest.raises(StimulusError, match=message):
        read_fedro(pictures, list_file=pictures / "list.txt")


def test_a_list_that_is_not_there_is_refused(pictures):
    with pytest.raises(StimulusError, match=r"list .*none.txt does not exist"):
        read_fedro(pictures, list_file=pictures / "none.txt")
