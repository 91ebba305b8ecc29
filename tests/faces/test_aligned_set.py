from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.faces import aligned_set
from fernet_neuro.faces.align import TEMPLATE, align_face
from fernet_neuro.faces.aligned_set import align_stimuli, locate_by_detector, locate_by_table
from fernet_neuro.faces.detect import FaceDetector
from fernet_neuro.faces.landmarks import LandmarkTable, read_landmarks
from fernet_neuro.faces.overview import COLUMNS, SIDE, draw_overview
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable

SHIFTS = {"ann/1": 3, "../bob": 11, "cy": -6}


@pytest.fixture
def photos(tmp_path, rng):
    """Three pictures, their landmarks, a fourth without any and a fifth that is damaged."""
    rows = []
    for number, name in enumerate([*SHIFTS, "nobody", "torn"]):
        pixels = rng.integers(0, 256, (120, 131, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append({"stimulus_id": name, "path": f"{number}.png", "identity": f"p{number}", "level": number})
    (tmp_path / "4.png").write_bytes(b"torn")
    return StimulusTable.from_frame(pd.DataFrame(rows), root=tmp_path)


@pytest.fixture
def landmarks():
    names = [*SHIFTS, "torn"]
    points = np.stack([TEMPLATE + SHIFTS.get(name, 0) for name in names])
    bad = [(9, "nobody", "empty: nose_x has no value")]
    return LandmarkTable(np.array(names), points, pd.DataFrame(bad, columns=["row", "stimulus_id", "reason"]))


def test_pictures_labels_and_points_come_out_together(photos, landmarks, tmp_path):
    report = align_stimuli(photos, tmp_path / "out", locate_by_table(landmarks), n_jobs=2)
    table = report.table
    assert table.stimulus_ids.tolist() == list(SHIFTS)
    assert table.factor("level").tolist() == [0, 1, 2]
    for row, shift in enumerate(SHIFTS.values()):
        source = load_image(photos.paths()[row])
        expected, _ = align_face(source, TEMPLATE + shift)
        np.testing.assert_array_equal(load_image(table.paths()[row]), expected)
    assert all(path.resolve().is_relative_to(tmp_path / "out" / "images") for path in table.paths())
    assert list(table.image_digests) == table.factor("digest").tolist()
    np.testing.assert_allclose(table.factor("align_scale"), 1)
    np.testing.assert_allclose(table.factor("align_residual"), 0, atol=1e-4)
    again = read_landmarks(tmp_path / "out" / "landmarks.csv")
    np.testing.assert_allclose(again.points, landmarks.points[:3])


def test_what_has_no_usable_points_is_named_with_its_reason(photos, landmarks, tmp_path):
    landmarks.points[0, 2] = (400, 60)
    report = align_stimuli(photos, tmp_path / "out", locate_by_table(landmarks))
    reasons = dict(zip(report.left_out["path"].str[-5:], report.left_out["reason"], strict=True))
    assert reasons["0.png"] == "far outside: nose is at (400, 60) in a picture of 131 x 120 pixels"
    assert reasons["3.png"] == "unreadable landmarks: row 9: empty: nose_x has no value"
    assert reasons["4.png"].startswith("unreadable: image")
    assert str(tmp_path) not in (tmp_path / "out" / "table.left_out.csv").read_text()
    assert report.left_out["path"].tolist() == [
        "0.png",
        "3.png",
        "4.png",
    ]
    assert len(report.table) == 2
    before = pd.DataFrame({"path": ["notes.txt"], "reason": ["not a picture"]})
    align_stimuli(photos, tmp_path / "out", locate_by_table(landmarks), overwrite=True, unread=before)
    listed = pd.read_csv(tmp_path / "out" / "table.left_out.csv")  # in the folder that appears as a whole
    assert listed["path"].str[-9:].tolist() == ["notes.txt", *report.left_out["path"].str[-9:]]


def test_the_sheet_shows_all_that_was_left_out_and_reads_nothing_outside(
    photos, landmarks, tmp_path, monkeypatch
):
    drawn = []

    def note(done, left_out):
        drawn.append((done, left_out))
        return draw_overview(done, left_out)

    monkeypatch.setattr(aligned_set, "draw_overview", note)
    (photos.root / "link.jpg").symlink_to(Path(__file__))
    reasons = {
        "IMG_1.HEIC": "in HEIC: not read",
        "3.png": "no match",
        "link.jpg": "outside the source folder",
    }
    before = pd.DataFrame({"path": list(reasons), "reason": list(reasons.values())})
    report = align_stimuli(photos, tmp_path / "out", locate_by_table(landmarks), unread=before)
    (done, left_out), *_ = drawn
    assert len(done) == len(report.table)
    assert len(left_out) == len(report.left_out) == 5
    places = {name: place for name, place, _ in left_out}
    assert places["3.png"] == photos.root / "3.png"
    assert places["link.jpg"] == Path()
    assert {reason for _, _, reason in left_out} == set(report.left_out["reason"])
    n_rows = -(-(len(done) + len(left_out)) // COLUMNS)
    assert load_image(tmp_path / "out" / "sheet.png").shape[0] > n_rows * SIDE


def test_a_stimulus_without_a_row_says_so(photos, landmarks, tmp_path):
    some = LandmarkTable(landmarks.stimulus_ids[1:], landmarks.points[1:], landmarks.left_out)
    report = align_stimuli(photos, tmp_path / "out", locate_by_table(some))
    assert report.left_out["reason"][0] == "no landmarks: their table has no row of this stimulus"


def test_the_number_of_threads_changes_nothing(photos, landmarks, tmp_path):
    one, two = (
        align_stimuli(photos, tmp_path / f"out{n}", locate_by_table(landmarks), n_jobs=n, size=224)
        for n in (1, 3)
    )
    assert one.table.digest() == two.table.digest()
    assert load_image(one.table.paths()[0]).shape == (224, 224, 3)


def test_a_detector_gives_the_points(square_detector, tmp_path):
    for name, squares in {"one": [(3, 2)], "two": [(1, 1), (5, 3)], "none": []}.items():
        picture = np.zeros((80, 112, 3), dtype=np.uint8)
        for column, row in squares:
            picture[row * 16 : (row + 1) * 16, column * 16 : (column + 1) * 16, 1] = 255
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    names = ["one", "two", "none"]
    frame = pd.DataFrame({"stimulus_id": names, "path": [f"{name}.png" for name in names]})
    table = StimulusTable.from_frame(frame, root=tmp_path)
    detector = FaceDetector(square_detector)
    report = align_stimuli(table, tmp_path / "out", locate_by_detector(detector), n_jobs=2)
    assert report.table.stimulus_ids.tolist() == ["one"]
    assert report.left_out["reason"].tolist() == [
        "no face: the detector found none",
        "several faces: the detector found 2",
    ]
    assert detector.locate(np.zeros((19, 80, 3), dtype=np.uint8)) == (
        "too small: the picture has 80 x 19 pixels, and this detector finds faces from about 20 pixels on"
    )
    # The square fills the template, so its middle is green.
    assert load_image(report.table.paths()[0])[60, 56].tolist() == [0, 255, 0]
    largest = locate_by_detector(detector, largest=True)
    assert len(align_stimuli(table, tmp_path / "out2", largest).table) == 2


def test_nothing_is_written_where_nothing_can_be_aligned(photos, landmarks, tmp_path):
    landmarks.points[:] += 5000
    with pytest.raises(
        StimulusError, match=r"no picture could be aligned \(first of 5: .*0\.png: far outside"
    ):
        align_stimuli(photos, tmp_path / "out", locate_by_table(landmarks))
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_kept_unless_it_may_go(photos, landmarks, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious").write_text("x")
    with pytest.raises(StoreError, match=r"out' is not empty; .*--overwrite"):
        align_stimuli(photos, out, locate_by_table(landmarks))
    assert (out / "precious").read_text() == "x"
    align_stimuli(photos, out, locate_by_table(landmarks), overwrite=True)
    assert not (out / "precious").exists()


def test_the_folder_of_the_pictures_themselves_is_never_replaced(photos, landmarks, tmp_path):
    with pytest.raises(StoreError, match=r"holds pictures to be aligned \(such as 0\.png\)"):
        align_stimuli(photos, tmp_path, locate_by_table(landmarks), overwrite=True)
    assert all(path.is_file() for path in photos.paths())


def test_another_size_is_refused(photos, landmarks, tmp_path):
    with pytest.raises(ValueError, match="use one of: 112, 150, 224"):
        align_stimuli(photos, tmp_path / "out", locate_by_table(landmarks), size=96)
