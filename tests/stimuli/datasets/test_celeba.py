"""CelebA's lists decide who is shown; the owners' drive and the flat form give the same table."""

import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_celeba = DATASETS["celeba"].read

IDENTITIES = {
    "000001.jpg": 2880,
    "000002.jpg": 2937,
    "000003.jpg": 8692,
    "000004.jpg": 2880,
    "000005.jpg": 9295,
}
PARTS = dict(zip(IDENTITIES, (0, 0, 1, 2, 0), strict=True))


def build(root, images, annotations, partitions) -> None:
    for folder in (images, annotations, partitions):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in IDENTITIES:
        Image.new("RGB", (178, 218), (90, 100, 110)).save(root / images / name)
    lines = [f"{name} {identity}" for name, identity in IDENTITIES.items()]
    (root / annotations / "identity_CelebA.txt").write_text("\n".join(lines) + "\n")
    lines = [f"{name} {part}" for name, part in PARTS.items()]
    (root / partitions / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def tree(tmp_path):
    build(tmp_path, "img_align_celeba", ".", ".")
    return tmp_path


@pytest.mark.parametrize(
    "places",
    [
        ("Img/img_align_celeba", "Anno", "Eval"),
        ("img_align_celeba", ".", "."),
        ("img_align_celeba/img_align_celeba", ".", "."),
    ],
)
def test_each_form_of_the_release_is_read(places, tmp_path):
    build(tmp_path, *places)
    report = read_celeba(tmp_path, verify=True)
    assert report.left_out.empty
    table = report.table
    assert table.stimulus_ids.tolist() == ["000001", "000002", "000003", "000004", "000005"]
    assert table.factor("identity").tolist() == ["2880", "2937", "8692", "2880", "9295"]
    assert table.factor("split").tolist() == ["train", "train", "val", "test", "train"]
    assert set(table.factor("center_crop")) == {178}
    assert all(path.is_file() for path in table.paths())


def test_without_partitions_the_part_is_unknown(tree):
    (tree / "list_eval_partition.txt").unlink()
    assert set(read_celeba(tree).table.frame["split"]) == {""}


def test_faults_are_left_out_with_the_reason(tree):
    images = tree / "img_align_celeba"
    (images / "000002.jpg").unlink()
    for name in ("000009.jpg", "face.jpg"):
        Image.new("RGB", (178, 218)).save(images / name)
    Image.new("RGB", (178, 178)).save(images / "000003.jpg")
    (images / "000004.jpg").write_bytes(b"\xff\xd8\xff")
    report = read_celeba(tree, verify=True)
    assert report.table.stimulus_ids.tolist() == ["000001", "000005"]
    kinds = {row.path: row.reason.partition(":")[0] for row in report.left_out.itertuples()}
    assert kinds == {
        "000002.jpg": "missing",
        "000003.jpg": "odd size",
        "000004.jpg": "unreadable",
        "000009.jpg": "no identity",
        "face.jpg": "misnamed",
    }


def test_a_photograph_that_no_part_holds_is_left_out(tree):
    lines = (tree / "list_eval_partition.txt").read_text().splitlines()
    (tree / "list_eval_partition.txt").write_text("\n".join(lines[1:]))
    assert read_celeba(tree).left_out["reason"].tolist() == ["no part: not in list_eval_partition.txt"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("identity_CelebA.txt", "000001.jpg\n", "line 1: expected a file name and a number"),
        ("identity_CelebA.txt", "000001.jpg 1\n000001.jpg 2\n", "line 2: '000001.jpg' has two values"),
        ("list_eval_partition.txt", "000001.jpg 3\n", "a part must be 0, 1 or 2; got '000001.jpg 3'"),
    ],
)
def test_malformed_lists_are_explained(name, text, message, tree):
    (tree / name).write_text(text)
    with pytest.raises(StimulusError, match=message):
        read_celeba(tree)


def test_a_folder_without_images_or_identities_is_refused(tree):
    (tree / "identity_CelebA.txt").unlink()
    with pytest.raises(StimulusError, match=r"holds no file identity_CelebA\.txt"):
        read_celeba(tree)
    with pytest.raises(StimulusError, match="holds no folder img_align_celeba"):
        read_celeba(tree / "img_align_celeba")
