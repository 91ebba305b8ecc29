"""VGGFace2's trees, lists and identity table; class numbers are those of the released weights."""

import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_vggface2 = DATASETS["vggface2"].read

META = (
    "Class_ID, Name, Sample_Num, Flag, Gender\n"
    'n000001, "14th_Dalai_Lama", 2, 0, m\n'
    'n000002, "A_Fine_Frenzy", 3, 1, f\n'
    'n000003, "A._A._Gill,_Jr.", 1, 1, m\n'
    'n000005, "Aaamir_Haque", 2, 1, m\n'
)
FILES = (
    "train/n000002/0001_01.jpg", "train/n000002/0002_01.jpg", "train/n000002/0002_02.jpg",
    "train/n000003/0010_01.jpg",
    "train/n000005/0001_01.jpg", "train/n000005/0004_03.jpg",
    "test/n000001/0001_01.jpg", "test/n000001/0007_01.jpg",
)  # fmt: skip


def photograph(path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (31, 29), (90, 100, 110)).save(path)


@pytest.fixture
def tree(tmp_path):
    for name in FILES:
        photograph(tmp_path / name)
    (tmp_path / "identity_meta.csv").write_text(META)
    for part in ("train", "test"):
        lines = [name.partition("/")[2] for name in FILES if name.startswith(part)]
        (tmp_path / f"{part}_list.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_complete_tree_is_taken_whole(tree):
    report = read_vggface2(tree)
    assert report.left_out.empty
    assert sorted(report.table.frame["path"]) == sorted(FILES)
    frame = report.table.frame.set_index("stimulus_id")
    assert frame.loc["n000003/0010_01", "name"] == "A._A._Gill,_Jr."
    assert frame.loc["n000002/0001_01", ["split", "gender", "identity"]].tolist() == [
        "train",
        "female",
        "n000002",
    ]
    # Place among the training identities of identity_meta, so the test person takes no number.
    numbers = frame.groupby("identity")["class_index"].first()
    assert numbers[["n000002", "n000003", "n000005"]].tolist() == [0, 1, 2]
    assert frame.loc["n000001/0001_01", "split"] == "test"
    assert numbers.isna()["n000001"]


def test_the_nested_form_gives_the_same_labels(tree, tmp_path):
    flat = read_vggface2(tree).table
    (tmp_path / "data").mkdir()
    for part in ("train", "test"):
        (tmp_path / part).rename(tmp_path / "data" / part)
    nested = read_vggface2(tmp_path).table
    assert nested.frame.equals(flat.frame)
    assert all(path.is_file() for path in nested.paths())


def test_faults_are_left_out_with_the_reason(tree):
    for name in ("train/n000009/0001_01.jpg", "train/n000001/0001_01.jpg", "train/n000002/0009_01.jpg",
                 "train/n000002/a.jpg", "train/0001_01.jpg"):  # fmt: skip
        photograph(tree / name)
    (tree / FILES[0]).unlink()
    report = read_vggface2(tree)
    reasons = dict(report.left_out.itertuples(index=False))
    assert reasons == {
        "train/n000009/0001_01.jpg": "unknown person: not in identity_meta.csv",
        "train/n000001/0001_01.jpg": "wrong part: identity_meta.csv puts the person in test",
        "train/n000002/0009_01.jpg": "not in the list",
        "train/n000002/a.jpg": "misnamed: expected n000000/0000_00.jpg",
        "train/0001_01.jpg": "misnamed: expected n000000/0000_00.jpg",
        "train/n000002/0001_01.jpg": "missing: in the list but not on disk",
    }
    assert len(report.table) == len(FILES) - 1


def test_without_lists_the_counts_of_identity_meta_are_compared(tree):
    (tree / "train_list.txt").unlink()
    (tree / FILES[1]).unlink()
    left_out = read_vggface2(tree).left_out
    assert left_out.to_numpy().tolist() == [["train/n000002", "missing: 2 files of 3"]]


def test_a_tree_without_lists_and_meta_is_taken_by_its_folders(tree):
    for name in ("identity_meta.csv", "train_list.txt", "test_list.txt"):
        (tree / name).unlink()
    report = read_vggface2(tree)
    assert len(report.table) == len(FILES)
    assert report.left_out.empty


def test_verification_finds_a_damaged_file(tree):
    (tree / FILES[4]).write_bytes(b"")
    assert len(read_vggface2(tree).table) == len(FILES)
    report = read_vggface2(tree, verify=True, n_jobs=2)
    assert report.left_out["path"].tolist() == [FILES[4]]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "identity_meta.csv",
            "Class_ID,Name\n",
            "line 1: the header has no 'Sample_Num'; it is: Class_ID, Name",
        ),
        (
            "identity_meta.csv",
            META + 'n000006, "X", many, 1, m\n',
            "line 6: Sample_Num must be a number, .*got 'many'",
        ),
        ("identity_meta.csv", META + 'n000006, "X", 3, 1\n', "line 6: expected 5 fields"),
        ("train_list.txt", "0001_01.jpg\n", "expected lines such as n000002/0001_01.jpg; got '0001_01.jpg'"),
        ("train_list.txt", "../0001_01.jpg\n", "expected lines such as"),
    ],
)
def test_malformed_lists_are_explained(name, text, message, tree):
    (tree / name).write_text(text)
    with pytest.raises(StimulusError, match=message):
        read_vggface2(tree)


def test_a_folder_that_is_not_vggface2_is_refused(tmp_path):
    with pytest.raises(StimulusError, match="holds no VGGFace2 folder"):
        read_vggface2(tmp_path)
