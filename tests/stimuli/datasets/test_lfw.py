"""LFW folders and the pairs of its protocol, with every malformed line named."""

import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.lfw import read_lfw_pairs
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_lfw = DATASETS["lfw"].read

PEOPLE = {"Aaron_Eckhart": 1, "Abdel_Madi_Shabneh": 3, "Zico": 2, "Xu_O'Neil-Smith_Jr": 4}


def photograph(path, size=(250, 250)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 100, 110)).save(path)


def build(root) -> None:
    for name, count in PEOPLE.items():
        for number in range(1, count + 1):
            photograph(root / name / f"{name}_{number:04d}.jpg")


@pytest.fixture
def table(tmp_path):
    build(tmp_path / "lfw")
    return read_lfw(tmp_path / "lfw").table


@pytest.mark.parametrize(
    "variant", ["lfw", "lfw_funneled", "lfw-deepfunneled", "lfw-deepfunneled/lfw-deepfunneled"]
)
def test_each_variant_is_found_from_itself_or_its_parent(variant, tmp_path):
    build(tmp_path / variant)
    direct, parent = read_lfw(tmp_path / variant).table, read_lfw(tmp_path).table
    assert direct == parent
    assert direct.frame["identity"].value_counts().to_dict() == PEOPLE
    assert set(direct.factor("variant")) == {variant.split("/")[-1]}
    assert "Abdel_Madi_Shabneh_0003" in direct.stimulus_ids


def test_faults_are_left_out_with_the_reason(tmp_path):
    build(tmp_path / "lfw")
    photograph(tmp_path / "lfw" / "Zico" / "Zico_3.jpg")
    photograph(tmp_path / "lfw" / "Zico" / "Aaron_Eckhart_0002.jpg")
    photograph(tmp_path / "lfw" / "Zico" / "Zico_0003.jpg", size=(112, 112))
    (tmp_path / "lfw" / "Zico" / "Zico_0004.jpg").write_bytes(b"")
    report = read_lfw(tmp_path)
    assert len(report.table) == sum(PEOPLE.values())
    assert report.count_reasons() == {"misnamed": 2, "odd size": 1, "unreadable": 1}


def test_two_variants_at_once_are_refused(tmp_path):
    build(tmp_path / "lfw")
    build(tmp_path / "lfw_funneled")
    with pytest.raises(StimulusError, match=r"several copies of LFW folder \(lfw, lfw_funneled\)"):
        read_lfw(tmp_path)


def test_pairs_of_the_development_set_are_one_fold(table, tmp_path):
    (tmp_path / "pairsDevTrain.txt").write_text(
        "2\nAbdel_Madi_Shabneh\t1\t3\nZico\t2\t1\nZico\t1\tAaron_Eckhart\t1\nZico\t2\tXu_O'Neil-Smith_Jr\t4\n"
    )
    pairs = read_lfw_pairs(tmp_path / "pairsDevTrain.txt", table)
    assert list(pairs.itertuples(index=False, name=None)) == [
        (1, "Abdel_Madi_Shabneh_0001", "Abdel_Madi_Shabneh_0003", True),
        (1, "Zico_0002", "Zico_0001", True),
        (1, "Zico_0001", "Aaron_Eckhart_0001", False),
        (1, "Zico_0002", "Xu_O'Neil-Smith_Jr_0004", False),
    ]


def test_pairs_of_the_ten_folds_alternate_same_and_different(table, tmp_path):
    fold = "Zico\t1\t2\nAbdel_Madi_Shabneh\t1\t2\nZico\t1\tAaron_Eckhart\t1\nZico\t2\tAaron_Eckhart\t1\n"
    (tmp_path / "pairs.txt").write_text("10\t2\n" + fold * 10)
    pairs = read_lfw_pairs(tmp_path / "pairs.txt", table)
    assert pairs.groupby("fold")["same"].agg(["size", "sum"]).to_numpy().tolist() == [[4, 2]] * 10
    assert pairs["fold"].unique().tolist() == list(range(1, 11))
    names = pairs[["stimulus_id_1", "stimulus_id_2"]].map(lambda stimulus_id: stimulus_id[:-5])
    same = (names["stimulus_id_1"] == names["stimulus_id_2"]).tolist()
    assert same == pairs["same"].tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("one\n", "line 1: expected the number of pairs"),
        ("1\t2\t3\n", "line 1: expected the number of pairs"),
        ("0\n", "line 1: expected the number of pairs"),
        ("1\nZico\t1\t2\n", "announces 2 pairs and has 1; the file is cut short"),
        ("1\nZico\t1\nZico\t1\tAaron_Eckhart\t1\n", "line 2: expected 'name i j'"),
        ("1\nZico\t1\t2\nZico\t1\t2\n", "line 3: expected 'name1 i name2 j'"),
        ("1\nZico\t1\tb\nZico\t1\tAaron_Eckhart\t1\n", "line 2: photograph numbers must be integers"),
        ("1\nZico\t1\t2\nZico\t1\tZico\t2\n", "line 3: a pair of two people names 'Zico' twice"),
        ("1\nZico\t1\t7\nZico\t1\tNobody\t1\n", r"names 2 photographs .* lacks \(first: 'Nobody_0001'\)"),
    ],
)
def test_a_malformed_pairs_file_is_explained(text, message, table, tmp_path):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(StimulusError, match=message):
        read_lfw_pairs(tmp_path / "pairs.txt", table)


def test_a_missing_or_binary_pairs_file_is_explained(table, tmp_path):
    with pytest.raises(StimulusError, match=r"pairs\.txt does not exist"):
        read_lfw_pairs(tmp_path / "pairs.txt", table)
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StimulusError, match="is not a text file"):
        read_lfw_pairs(tmp_path / "pairs.txt", table)
