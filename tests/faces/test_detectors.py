"""Detectors of packages: real ones on real photographs where they are installed, a made-up one elsewhere."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.exceptions import MissingDependencyError
from fernet_neuro.faces.align import DLIB_TEMPLATE, make_template
from fernet_neuro.faces.detect import DetectedFace
from fernet_neuro.faces.detectors import PackageDetector, make_detector
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable

FACE = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80.0]])
PACKAGES = {"mtcnn": "facenet_pytorch", "mediapipe": "mediapipe", "dlib": "dlib"}


def detector_of(*faces: np.ndarray) -> PackageDetector:
    """Finds these faces in every picture that is wider than high."""

    def find(picture):
        if picture.shape[1] > picture.shape[0]:
            for points in faces:
                yield DetectedFace(np.array([*points.min(axis=0), *np.ptp(points, axis=0)]), points, 1.0)

    return PackageDetector(find)


def test_a_large_picture_is_searched_small_and_answered_in_its_own_pixels():
    (face,) = detector_of(FACE).detect(np.zeros((1500, 2048, 3), np.uint8))
    np.testing.assert_allclose(face.points, 2 * FACE + 0.5)
    np.testing.assert_allclose(face.box, [60, 80, 80, 80])


@pytest.mark.parametrize(
    ("faces", "shape", "reason"),
    [
        ([], (90, 120), "no face: the detector found none"),
        ([FACE, FACE * 1.2], (90, 120), "several faces: the detector found 2"),
        ([FACE / 8], (90, 120), "tiny face: its eyes are 5 pixels apart, and 8 are needed"),
        (
            [(FACE - 50) @ [[0, 1], [-1, 0]] + 50],
            (90, 120),
            "rotated: the face is tilted by 90 degrees; turn",
        ),
        ([FACE], (120, 90), "rotated: a face is found when the picture is turned by 90 degrees clockwise"),
    ],
)
def test_faces_that_cannot_be_aligned_say_why(faces, shape, reason):
    assert detector_of(*faces).locate(np.zeros((*shape, 3), np.uint8)).startswith(reason)


@pytest.mark.parametrize(
    ("corner", "said"),
    [((0, -1), "270 degrees clockwise"), ((-1, 0), "90 degrees clockwise"), ((-1, -1), "180 degrees")],
)
def test_a_picture_is_turned_in_every_way(corner, said):
    """A face is found where the bright corner is up on the left."""
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[corner] = 255

    def find(turned):
        if turned[0, 0, 0] == 255:
            yield DetectedFace(np.array([*FACE.min(axis=0), *np.ptp(FACE, axis=0)]), FACE, 1.0)

    assert f"turned by {said}" in PackageDetector(find).locate(picture)


def test_the_largest_of_several_is_taken_if_asked_for():
    found = detector_of(FACE, FACE * 1.2).locate(np.zeros((90, 120, 3), np.uint8), largest=True)
    np.testing.assert_array_equal(found, FACE * 1.2)


@pytest.mark.parametrize("name", PACKAGES)
def test_without_its_package_the_one_to_install_is_named(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, PACKAGES[name], None)
    with pytest.raises(MissingDependencyError, match=f"the detector {name} needs .*pip install"):
        make_detector(name)


def test_names_and_scores_are_checked():
    with pytest.raises(ValueError, match="there is no detector 'haar'; use one of: mtcnn, mediapipe, dlib"):
        make_detector("haar")
    with pytest.raises(ValueError, match="YuNet comes with no package: give its ONNX file"):
        make_detector("yunet")
    with pytest.raises(ValueError, match=r"min_score must be"):
        make_detector("mtcnn", 2.0)
    with pytest.raises(ValueError, match="leave --min-score out"):
        make_detector("dlib", 0.5)


def test_the_template_of_dlibs_network_is_tighter():
    np.testing.assert_array_equal(make_template(150), DLIB_TEMPLATE)
    apart = [np.ptp(make_template(size)[:2, 0]) / size for size in (112, 150)]
    assert apart[1] > 1.1 * apart[0]


@pytest.fixture(scope="module")
def neutral(data_root: Path) -> tuple[list[Path], np.ndarray]:
    """Return neutral photographs, and where eyes and corners of the mouth were marked by hand."""
    london = data_root / "london_faces"
    known = np.load(london / "neutral_landmarks_189.npz", allow_pickle=False)
    key = next(name for name in known.files if known[name].ndim == 3)
    names = sorted((london / "images_256").glob("*_neutral.jpg"))
    return names[::23], known[key][::23]


@pytest.mark.realdata
@pytest.mark.parametrize("name", PACKAGES)
def test_points_lie_where_a_person_marked_them(name, neutral):
    pytest.importorskip(PACKAGES[name])
    detector = make_detector(name)
    paths, marked = neutral
    for path, points in zip(paths, marked, strict=True):
        found = detector.locate(load_image(path))
        # The first two of the 189 are the pupils.
        np.testing.assert_allclose(found[:2], points[:2], atol=5)


@pytest.mark.realdata
def test_a_photograph_smaller_than_any_face_that_dlib_knows_is_said_to_be_too_small(neutral):
    pytest.importorskip("dlib")
    detector, face = make_detector("dlib"), Image.fromarray(load_image(neutral[0][0]))
    said = "too small: the picture has 24 x 24 pixels, and this detector finds faces from about 40 pixels on"
    assert detector.locate(np.asarray(face.resize((24, 24)))) == said
    assert isinstance(detector.locate(np.asarray(face.resize((64, 64)))), np.ndarray)
    assert detector.locate(np.zeros((64, 64, 3), np.uint8)) == "no face: the detector found none"


@pytest.mark.realdata
def test_a_folder_of_photographs_becomes_a_table_with_a_sheet_and_a_list(run, data_root, tmp_path):
    pytest.importorskip("dlib")
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in ("003_neutral", "003_smiling"):
        source = data_root / "london_faces" / "images_256" / f"{number}.jpg"
        (photos / source.name).write_bytes(source.read_bytes())
    picture = Image.fromarray(load_image(photos / "003_neutral.jpg"))
    picture.rotate(90).save(photos / "004_turned.png")
    Image.new("RGB", (200, 220), (90, 140, 90)).save(photos / "lawn_none.png")
    (photos / "bad_none.jpg").write_bytes((photos / "003_neutral.jpg").read_bytes()[:3000])
    (photos / "notes.txt").write_text("x")
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    out = tmp_path / "faces"
    pattern = ("--pattern", "{identity}_{expression}", "--detector", "dlib", "--size", 150, "--quiet")
    code, said, error = run("stimuli", "align", photos, *pattern, "--out", out)
    assert (code, error) == (0, "")
    table = StimulusTable.read(out)
    assert table.frame[["identity", "expression"]].to_numpy().tolist() == [
        ["003", "neutral"],
        ["003", "smiling"],
    ]
    assert "table.csv: 2 stimuli, 1 identity, 2 expressions at 150 pixels." in said
    reasons = pd.read_csv(out / "table.left_out.csv")["reason"].str.partition(":")[0].tolist()
    assert sorted(reasons) == ["no face", "not a picture", "rotated", "unreadable"]
    assert len(pd.read_csv(out / "landmarks.csv")) == 2
    assert load_image(out / "sheet.png").shape[1] > 1000
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == before
    code, said, error = run(
        "rdm", out / "table.csv", "--landmarks", out / "landmarks.csv", "--out", tmp_path / "rdm.npz"
    )
    assert (code, error) == (0, "")
