import numpy as np
import pytest

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.faces.landmarks import LANDMARK_COLUMNS, find_face_fault, read_landmarks

FACE = np.array([[30, 40], [70, 41], [50, 60], [35, 80], [65, 82.5]])
HEADING = ",".join(("stimulus_id", *LANDMARK_COLUMNS))


def row(name, points=FACE):
    return ",".join([name, *(f"{value:g}" for value in np.ravel(points))])


@pytest.fixture
def write(tmp_path):
    def make(*lines):
        path = tmp_path / "points.csv"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
        return path

    return make


def test_points_are_read_in_order(write):
    table = read_landmarks(write(HEADING, row("b"), row("a", FACE + 5)))
    assert table.stimulus_ids.tolist() == ["b", "a"]
    np.testing.assert_array_equal(table.points, [FACE, FACE + 5])
    assert table.left_out.empty


def test_columns_may_come_in_any_order_with_others_between(write):
    names = ["note", *LANDMARK_COLUMNS[::-1], "stimulus_id"]
    fields = ["x", *(f"{value:g}" for value in FACE.ravel()[::-1]), "a"]
    table = read_landmarks(write(b"\xef\xbb\xbf" + ",".join(names).encode(), ",".join(fields)))
    np.testing.assert_array_equal(table.points, [FACE])


def test_written_and_read_again_is_the_same(write, tmp_path):
    table = read_landmarks(write(HEADING, row("a"), row("b, c".join('""'), FACE / 3)))
    table.write(tmp_path / "again.csv")
    again = read_landmarks(tmp_path / "again.csv")
    assert again.stimulus_ids.tolist() == ["a", "b, c"]
    np.testing.assert_array_equal(again.points, table.points)


def test_each_bad_row_is_named_with_its_reason_and_takes_no_other_with_it(write):
    broken = [
        (row("letters").replace("60", "nose"), "no number: nose_y is 'nose'"),
        (row("gap").replace("70", ""), "empty: right_eye_x has no value"),
        (row("infinite").replace("70", "inf"), "no number: right_eye_x is 'inf'"),
        (row("short").rpartition(",")[0], "wrong number of fields: 10 instead of 11"),
        (row("long") + ",3", "wrong number of fields: 12 instead of 11"),
        (row(""), "no id: stimulus_id is empty"),
        (
            row("swapped", FACE[[1, 0, 2, 4, 3]]),
            "left and right are swapped: left is the viewer's left, where",
        ),
        (row("point", np.full((5, 2), 7.0)), "no face: eyes and mouth are at one place"),
        (row("line", np.arange(5.0)[:, None] * [1, 2]), "no face: all points lie on one line"),
        (row("quote").replace("30", '"30'), "no row: unexpected end of data"),
        (b"n\xe9" + row("")[0:].encode(), "no text: the row is not UTF-8"),
        (row("twice"), "id occurs twice: which row is right is unknown"),
        (row("twice", FACE + 1), "id occurs twice: which row is right is unknown"),
    ]
    table = read_landmarks(write(HEADING, *(line for line, _ in broken), "", row("good")))
    assert table.stimulus_ids.tolist() == ["good"]
    assert table.left_out["row"].tolist() == list(range(2, 2 + len(broken)))
    for (_, expected), found in zip(broken, table.left_out["reason"], strict=True):
        assert found.startswith(expected)
    assert table.left_out["stimulus_id"].tolist()[:3] == ["letters", "gap", "infinite"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((HEADING.replace("nose_x", "nase_x"), row("a")), r"no column 'nose_x'.* Did you mean 'nase_x'\?"),
        ((HEADING + ",nose_x", row("a") + ",1"), "more than one column 'nose_x'"),
        ((HEADING, row("a").replace("60", "?")), r"no usable row \(row 2: no number: nose_y is '\?'\)"),
        ((HEADING,), "no usable row"),
        ((), "no column 'stimulus_id'"),
        ((b"\xff\xfe",), "no column 'stimulus_id'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(lines, message, write):
    with pytest.raises(StimulusError, match=message):
        read_landmarks(write(*lines))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(StimulusError, match=r"none\.csv does not exist"):
        read_landmarks(tmp_path / "none.csv")


@pytest.mark.parametrize("degrees", [0, 37, 90, 180, 275])
def test_a_turned_face_is_a_face_and_its_mirror_image_is_not(degrees):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert find_face_fault(FACE @ turn.T * 3 + 11) == ""
    assert "swapped" in find_face_fault(FACE * [-1, 1] @ turn.T)


def test_a_profile_whose_eyes_fall_on_one_another_is_a_face():
    profile = np.array([[40, 40], [40, 40], [10, 60], [38, 80], [36.5, 80]])
    assert find_face_fault(profile) == ""


def test_points_that_are_no_numbers_are_no_face():
    assert find_face_fault(np.where(FACE == 60, np.nan, FACE)) == "no number: a coordinate is not finite"
