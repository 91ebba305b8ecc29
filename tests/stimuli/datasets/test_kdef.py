"""KDEF in its owners' layout: codes of two lengths, two sessions, and the known faults left out."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.kdef import EXPRESSIONS, VIEWS, parse_kdef_code
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_kdef = DATASETS["kdef"].read


def photograph(path, size=(562, 762), grey=110) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path, quality=30)


@pytest.fixture(scope="module")
def kdef(tmp_path_factory):
    """Two people in two sessions each, with every known kind of fault, and the averaged faces beside them."""
    root = tmp_path_factory.mktemp("release") / "KDEF_and_AKDEF"
    for face in ("AF01", "BF01", "AM31", "BM31"):
        for expression in ("AF", "NE", "SU"):
            for view in VIEWS:
                photograph(root / "KDEF" / face / f"{face}{expression}{view}.JPG")
    people = root / "KDEF"
    photograph(people / "AF01" / "AF01SUFR.JPG", grey=2)  # almost black
    photograph(people / "BM31" / "BM31AFFR.JPG", size=(970, 633))
    (people / "AM31" / "AM31NEHL.JPG").rename(people / "AM31" / "AM31H.JPG")
    (people / "BF01" / "BF01NES.JPG").rename(people / "AF01" / "BF01NES.JPG")
    cut = people / "AM31" / "AM31SUS.JPG"
    cut.write_bytes(cut.read_bytes()[:900])
    (people / "AF01" / "Thumbs.db").write_bytes(b"x")
    (people / "AF01" / ".DS_Store").write_bytes(b"x")
    photograph(people / "AF01" / "FAFFL.JPG")
    photograph(root / "AKDEF" / "FAFFL.JPG")
    return root


@pytest.mark.parametrize(
    ("code", "factors"),
    [
        ("AF01AFS", ("F01", "fear", "straight", "A", "female")),
        ("BM35SUHR", ("M35", "surprise", "half_right", "B", "male")),
        ("AF09SAFL", ("F09", "sadness", "full_left", "A", "female")),
        ("BF20DIHL", ("F20", "disgust", "half_left", "B", "female")),
        ("AM10ANFR", ("M10", "anger", "full_right", "A", "male")),
    ],
)
def test_codes_of_both_lengths_are_read(code, factors):
    assert tuple(parse_kdef_code(code).values()) == factors


@pytest.mark.parametrize(
    "code",
    ["AF31V", "AM31H", "FAFFL", "AF00NES", "AF36NES", "CF01NES", "AF01NEX", "AF01NESS", "AF01NE", "af01nes"],
)
def test_what_is_no_code_is_not_guessed(code):
    assert parse_kdef_code(code) is None


def test_every_code_is_read_back():
    faces = [
        f"{session}{gender}{number:02d}" for session, gender, number in product("AB", "FM", range(1, 36))
    ]
    codes = ["".join(parts) for parts in product(faces, EXPRESSIONS, VIEWS)]
    parsed = [tuple(parse_kdef_code(code).values()) for code in codes]
    assert len(set(parsed)) == len(codes) == 4900
    assert len({identity for identity, *_ in parsed}) == 70


def test_sound_photographs_are_taken_and_faults_left_out_with_the_reason(kdef):
    report = read_kdef(kdef)
    reasons = dict(report.left_out.itertuples(index=False))
    assert reasons["AF01/AF01SUFR.JPG"].startswith("almost black: mean luminance")
    assert reasons["BM31/BM31AFFR.JPG"] == "odd size: 970 x 633 pixels instead of 562 x 762"
    assert reasons["AM31/AM31H.JPG"].startswith("misnamed")
    assert reasons["AM31/AM31NEHL.JPG"] == "missing: no such file"
    assert reasons["AF01/BF01NES.JPG"] == "wrong folder: BF01NES belongs in BF01"
    assert reasons["AM31/AM31SUS.JPG"].startswith("unreadable")
    assert reasons["AF01/FAFFL.JPG"] == "averaged face (AKDEF)"
    assert reasons["AF01/Thumbs.db"] == "not a picture"
    assert reasons["BF35"] == "missing folder"
    assert len(report.table) == 4 * 15 - 5
    faulty = {"AF01SUFR", "BM31AFFR", "AM31NEHL", "AM31H", "BF01NES", "AM31SUS", "FAFFL"}
    assert not faulty & set(report.table.stimulus_ids)
    counts = report.count_reasons()
    assert counts["missing folder"] == 136
    # Four expressions of five views that nobody made, per folder, and the two that lie elsewhere.
    assert counts["missing"] == 4 * 4 * 5 + 2
    assert sum(counts.values()) == len(report.left_out)


def test_sessions_of_a_person_share_the_identity(kdef):
    table = read_kdef(kdef).table
    frame = table.frame.set_index("stimulus_id")
    assert frame.loc["AM31AFS", "identity"] == frame.loc["BM31AFS", "identity"] == "M31"
    assert Counter(frame["session"]) == Counter({"A": 27, "B": 28})
    assert set(table.factor("center_crop")) == {388}
    assert table.factor("digest").tolist() == list(table.image_digests)
    assert table.paths()[0] == kdef.resolve() / "KDEF" / "AF01" / table.frame["path"][0].split("/")[1]


def test_the_folder_and_its_parents_give_the_same_table(kdef):
    tables = [read_kdef(src).table for src in (kdef, kdef / "KDEF", kdef.parent)]
    assert tables[0] == tables[1] == tables[2]


def test_without_verification_only_names_are_judged(kdef):
    report = read_kdef(kdef, verify=False)
    assert {"AF01SUFR", "BM31AFFR", "AM31SUS"} < set(report.table.stimulus_ids)
    assert "digest" not in report.table.frame


def test_lower_case_copies_are_read_and_doubles_left_out(tmp_path):
    photograph(tmp_path / "AF01" / "af01nes.jpg")
    photograph(tmp_path / "AF01" / "AF01NES.JPG")
    report = read_kdef(tmp_path)
    assert report.table.stimulus_ids.tolist() == ["AF01NES"]
    assert report.count_reasons()["id occurs twice"] == 1


def test_a_folder_that_is_not_kdef_is_refused(tmp_path):
    with pytest.raises(StimulusError, match="does not exist or is not a folder"):
        read_kdef(tmp_path / "none")
    with pytest.raises(StimulusError, match="holds no KDEF folder such as KDEF/AF01"):
        read_kdef(tmp_path)
    photograph(tmp_path / "AF01" / "AF01NES.JPG", size=(56, 76))
    photograph(tmp_path / "AF01" / "AF01HAS.JPG", size=(56, 76))
    (tmp_path / "AF01" / "notes.txt").write_text("none")
    with pytest.raises(StimulusError, match=r"no usable picture was found in .*; 175 left out: ") as caught:
        read_kdef(tmp_path)
    assert "2 odd size (first: AF01/AF01HAS.JPG: 56 x 76 pixels instead of 562 x 762)" in str(caught.value)
    assert str(caught.value).endswith(", 1 not a picture (AF01/notes.txt).")


def test_noise_is_not_black(tmp_path, rng):
    path = tmp_path / "AF01" / "AF01NES.JPG"
    path.parent.mkdir()
    Image.fromarray(rng.integers(0, 256, (762, 562, 3), dtype=np.uint8)).save(path)
    assert len(read_kdef(tmp_path).table) == 1
    with pytest.raises(StimulusError, match="no usable picture"):
        read_kdef(tmp_path, black_below=200)
