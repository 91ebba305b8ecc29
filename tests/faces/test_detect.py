import sys

import numpy as np
import pytest

from fernet_neuro.exceptions import MissingDependencyError, StoreError
from fernet_neuro.faces.detect import FaceDetector

OFFSETS = np.array([[0.25, 0.125], [0.75, 0.1875], [0.5, 0.5], [0.3125, 0.875], [0.6875, 0.9375]])


def paint(squares, height=64, width=96, cell=16):
    """Return a black picture with squares (column, row, red), all green."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for column, row, red in squares:
        picture[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = (red, 255, 0)
    return picture


@pytest.fixture(scope="module")
def detector(square_detector):
    return FaceDetector(square_detector)


def test_points_come_in_the_templates_order_and_where_the_face_is(detector):
    (face,) = detector.detect(paint([(3, 1, 0)]))
    np.testing.assert_allclose(face.points, (np.array([3, 1]) + OFFSETS) * 16, atol=1e-4)
    np.testing.assert_allclose(face.box, [48, 16, 16, 16], atol=1e-4)
    assert face.score == pytest.approx(1)
    np.testing.assert_array_equal(detector.locate(paint([(3, 1, 0)])), face.points)


def test_the_largest_of_several_faces_is_taken_only_if_asked_for(detector):
    picture = paint([(0, 0, 0), (4, 2, 120)])
    faces = detector.detect(picture)
    assert [round(float(face.box[2]), 1) for face in faces] == [round(16 * np.exp(240 / 255), 1), 16.0]
    assert detector.locate(picture) == "several faces: the detector found 2"
    np.testing.assert_array_equal(detector.locate(picture, largest=True), faces[0].points)
    assert faces[0].points[0] == pytest.approx((np.array([4, 2]) + OFFSETS[0]) * 16)


def test_red_and_blue_reach_the_detector_in_its_own_order(detector):
    red, blue = paint([(2, 1, 120)]), paint([(2, 1, 120)])[:, :, ::-1]
    assert detector.detect(red)[0].area > 2 * detector.detect(np.ascontiguousarray(blue))[0].area


def test_a_picture_without_a_face_says_so(detector):
    assert detector.locate(paint([])) == "no face: the detector found none"
    assert detector.detect(paint([])) == []


def test_the_least_score_decides(square_detector):
    dim = paint([(3, 1, 0)]) // 2
    assert FaceDetector(square_detector, min_score=0.9).detect(dim) == []
    (face,) = FaceDetector(square_detector, min_score=0.4).detect(dim)
    assert face.score == pytest.approx(127 / 255, abs=1e-3)


def test_large_pictures_are_searched_small_and_answered_in_their_own_pixels(detector):
    (face,) = detector.detect(paint([(3, 1, 0)], height=960, width=1280, cell=32))
    # Half a pixel is half as large in the picture that is searched.
    expected = ((np.array([3, 1]) + OFFSETS) * 16 + 0.5) * 2 - 0.5
    np.testing.assert_allclose(face.points, expected, atol=1e-3)
    np.testing.assert_allclose(face.box, [96, 32, 32, 32], atol=1e-3)


def test_a_missing_file_says_what_is_wanted(tmp_path):
    with pytest.raises(StoreError, match=r"none\.onnx does not exist; give an ONNX file of YuNet"):
        FaceDetector(tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 9])
def test_a_file_that_is_no_network_is_one_line(content, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"bad\.onnx is no ONNX file of YuNet") as caught:
        FaceDetector(path)
    assert "\n" not in str(caught.value)


def test_another_network_is_found_out_before_any_picture(other_network):
    with pytest.raises(StoreError, match=r"other\.onnx is no ONNX file of YuNet"):
        FaceDetector(other_network)


def test_the_least_score_is_a_share(square_detector):
    with pytest.raises(ValueError, match=r"min_score must be >= 0\.0 and <= 1\.0; got 9"):
        FaceDetector(square_detector, min_score=9)


def test_without_opencv_the_package_to_install_is_named(monkeypatch, square_detector):
    monkeypatch.setitem(sys.modules, "cv2", None)  # what Python keeps of a package that is not there
    with pytest.raises(
        MissingDependencyError, match=r"detecting faces needs .* pip install opencv-python-headless"
    ):
        FaceDetector(square_detector)
