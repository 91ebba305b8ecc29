import re

import numpy as np
import pytest

from fernet_neuro.brain.confounds import check_patterns
from fernet_neuro.brain.tables import (
    MOTION,
    check_events,
    describe_realignment,
    read_confounds,
    read_events,
    read_unlabelled_events,
    read_volume_labels,
)
from fernet_neuro.exceptions import FernetWarning, StimulusError, StoreError


def _write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "run\tstimulus_id\n01\tface\n02\tNA\n"),
        ("a.csv", "stimulus_id,extra,run\nface,x,01\nNA,y,02\n"),
        ("a.txt", "labels chunks\nface 01\nNA 02\n"),
        ("b.txt", "face 01\nNA 02\n"),
    ],
)
def test_labels_of_volumes_are_text_from_any_table(tmp_path, name, text):
    with pytest.warns(
        FernetWarning, match=r"1 volumes of .* have the stimulus 'NA', which is taken for a name"
    ):
        frame = read_volume_labels(_write(tmp_path / name, text))
    assert frame.to_dict("list") == {"stimulus_id": ["face", "NA"], "run": ["01", "02"]}


def test_events_of_a_stimulus_that_may_be_none_are_noted(tmp_path):
    text = "onset\tduration\ttrial_type\n0\t1\tface\n2\t1\tNA\n4\t1\tn/a\n6\t1\tNA\n"
    with pytest.warns(FernetWarning, match=r"2 events of .*a\.tsv have the stimulus 'NA'"):
        assert read_events(_write(tmp_path / "a.tsv", text))["stimulus_id"].tolist() == ["face", "NA", "NA"]


def test_columns_can_be_named(tmp_path):
    path = _write(tmp_path / "a.tsv", "trial_type\tpicture\trun\tscan\nx\tface\t1\tA\n")
    assert read_volume_labels(path, stimulus_column="picture", run_column="scan").iloc[0].tolist() == [
        "face",
        "A",
    ]
    assert read_volume_labels(path)["stimulus_id"].tolist() == ["x"]


def test_labels_that_are_missing_are_named(tmp_path):
    path = _write(tmp_path / "a.tsv", "stimulus_id\trun\nface\t1\nn/a\t1\n")
    with pytest.raises(StimulusError, match=r"a.tsv has no stimulus_id for 1 of 2 volumes \(first: row 1\)"):
        read_volume_labels(path)
    with pytest.raises(
        StimulusError, match=r"no column for the run \(run or chunks\); it has: stimulus_id, when"
    ):
        read_volume_labels(_write(tmp_path / "b.tsv", "stimulus_id\twhen\nface\t1\n"))
    with pytest.raises(StimulusError, match=r"no column 'stimulus'.*Did you mean 'stimulus_id'"):
        read_volume_labels(path, stimulus_column="stimulus")
    with pytest.raises(StoreError, match="does not exist"):
        read_volume_labels(tmp_path / "none.tsv")
    with pytest.raises(StoreError, match="has no rows"):
        read_volume_labels(_write(tmp_path / "c.tsv", "stimulus_id\trun\n"))
    with pytest.raises(StoreError, match="cannot be read"):
        read_volume_labels(_write(tmp_path / "d.tsv", ""))


def test_events_keep_the_ones_with_a_stimulus(tmp_path):
    text = "onset\tduration\ttrial_type\tstimulus_id\n1.5\t2\tface\t007\n3\t1\tanswer\tn/a\n4\t0\tface\t008\n"
    path = _write(tmp_path / "events.tsv", text)
    found = read_events(path)
    assert found["stimulus_id"].tolist() == ["007", "008"]
    assert found[["onset", "duration"]].to_numpy().tolist() == [[1.5, 2], [4, 0]]
    assert read_events(path, stimulus_column="trial_type")["stimulus_id"].tolist() == [
        "face",
        "answer",
        "face",
    ]
    assert read_events(path, duration=0.5)["duration"].tolist() == [0.5, 0.5]


def test_stimuli_that_differ_in_case_are_noted_and_in_white_space_are_one(tmp_path):
    text = "onset\tduration\ttrial_type\n1\t1\tface\n2\t1\tface \n3\t1\tFace\n4\t1\t#N/A\n"
    path = _write(tmp_path / "events.tsv", text)
    with pytest.warns(FernetWarning, match=r"stimuli of .*events.tsv: 'face' and 'Face' differ only in case"):
        assert read_events(path)["stimulus_id"].tolist() == ["face", "face", "Face"]
    path = _write(tmp_path / "labels.tsv", "labels\trun\na\t1\nA\t1\n")
    with pytest.warns(FernetWarning, match="'a' and 'A' differ only in case"):
        read_volume_labels(path)


def test_events_that_are_wrong_are_named(tmp_path):
    with pytest.raises(StimulusError, match=r"the duration 'n/a' in row 0 is not a number.*--duration"):
        read_events(_write(tmp_path / "a.tsv", "onset\tduration\ttrial_type\n1\tn/a\tface\n"))
    with pytest.raises(StimulusError, match="negative duration"):
        read_events(_write(tmp_path / "b.tsv", "onset\tduration\ttrial_type\n1\t-1\tface\n"))
    with pytest.raises(StimulusError, match="no event with a stimulus in column 'trial_type'"):
        read_events(_write(tmp_path / "c.tsv", "onset\tduration\ttrial_type\n1\t1\tn/a\n"))
    with pytest.raises(StimulusError, match="no column 'onset'"):
        read_events(_write(tmp_path / "d.tsv", "start\tduration\ttrial_type\n1\t1\tface\n"))
    with pytest.raises(
        StimulusError, match=r"no column for the stimulus \(stimulus_id or trial_type or labels\)"
    ):
        read_events(_write(tmp_path / "e.tsv", "onset\tduration\n1\t1\n"))


def test_events_past_the_end_are_named(tmp_path):
    path = _write(tmp_path / "e.tsv", "onset\tduration\ttrial_type\n1\t1\tface\n21\t1\tcar\n19.9\t1\tcar\n")
    events = read_events(path)
    with pytest.raises(
        StimulusError,
        match=r"e.tsv has 1 of 3 events past the end .*'car' at 21 s; 10 volumes of 2 s end at 20 s",
    ):
        check_events(events, 10, 2.0, path)
    check_events(events, 11, 2.0, path)


def test_events_that_are_over_before_the_scan_are_named(tmp_path):
    text = "onset\tduration\ttrial_type\n-1\t1.5\tface\n-30\t1\tcar\n-2\t2\tcar\n0\t0\tface\n"
    path = _write(tmp_path / "e.tsv", text)
    events = read_events(path)
    with pytest.raises(
        StimulusError,
        match=r"e.tsv has 2 of 4 events that are over before the scan begins .*'car' at -30 s for 1 s",
    ):
        check_events(events, 10, 2.0, path)
    check_events(events.iloc[[0, 3]], 10, 2.0, path)


def test_confounds_are_chosen_by_name_or_pattern(tmp_path):
    text = "trans_x\ttrans_y\ttrans_x_derivative1\tflat\n1\t4\tn/a\t3\n2\t5\t1\t3\n4\t3\t2\t3\n"
    path = _write(tmp_path / "c.tsv", text)
    found = read_confounds(path, ["trans_y", "trans_*", "flat"], 3)
    assert list(found) == ["trans_y", "trans_x", "trans_x_derivative1"]  # a constant adds nothing
    assert found["trans_x_derivative1"].tolist() == [1.5, 1, 2]
    with pytest.raises(ValueError, match=r"c.tsv has no confound column 'rot_x'; it has: trans_x, trans_y"):
        read_confounds(path, ["rot_x"], 3)
    with pytest.raises(ValueError, match=r"has 3 rows, its images 4 volumes"):
        read_confounds(path, ["trans_x"], 4)
    _write(path, "trans_x\n1\nn/a\n3\n")
    with pytest.raises(ValueError, match=r"no number in column 'trans_x' for volume 1"):
        read_confounds(path, ["trans_x"], 3)
    assert np.isfinite(found.to_numpy()).all()


def test_events_that_are_there_twice_are_refused(tmp_path):
    text = "onset\tduration\ttrial_type\n1\t1\tface\n5\t1\tcar\n5\t1\tface\n1\t2\tface\n"
    with pytest.raises(StimulusError, match=r"has 1 events that repeat one .*'face' at 1 s"):
        read_events(_write(tmp_path / "e.tsv", text))


def test_events_without_a_stimulus_are_kept_apart(tmp_path):
    rows = [
        "1\t2\tface\t007",
        "3\tn/a\tanswer\tn/a",
        "3\tn/a\tanswer\tn/a",
        "n/a\t1\tanswer\tn/a",
        "6\t5\tcross\t",
    ]
    path = _write(tmp_path / "e.tsv", "\n".join(["onset\tduration\ttrial_type\tstimulus_id", *rows]))
    found = read_unlabelled_events(path)
    assert found.to_numpy().tolist() == [[3, 0, "answer"], [6, 5, "cross"]]
    assert read_unlabelled_events(path, duration=1)["duration"].tolist() == [0, 1]
    assert read_unlabelled_events(path, stimulus_column="trial_type") is None


@pytest.mark.parametrize(
    ("name", "first"),
    [("rp_a.txt", "trans_x"), ("rp1.txt", "trans_x"), ("a.par", "rot_x"), ("a.1D", "rot_z")],
)
def test_motion_parameters_without_a_heading_have_the_names_of_their_program(tmp_path, name, first):
    values = np.random.default_rng(1).normal(size=(8, 6))
    np.savetxt(tmp_path / name, values, fmt="%16.7e")
    found = read_confounds(tmp_path / name, MOTION, 8)
    np.testing.assert_allclose(found[first], values[:, 0], rtol=1e-6)
    assert sorted(found) == sorted(MOTION)


@pytest.mark.parametrize(
    ("name", "said"),
    [("rp_a.txt", "SPM: trans_x, .* rot_z; translations in mm, rotations in rad"),
     ("a.par", "FSL: rot_x, .* rotations in rad"), ("a.1D", "AFNI: rot_z, .* rotations in degrees")],
)  # fmt: skip
def test_a_table_that_is_known_by_its_name_alone_is_told_and_has_six_columns(tmp_path, name, said):
    path = tmp_path / name
    np.savetxt(path, np.random.default_rng(1).normal(size=(8, 6)))
    assert re.search(f"{name} has no heading; .* the motion parameters of {said}", describe_realignment(path))
    for heading in ("# a b c d e f\n", "a b c d e f\n"):
        named = _write(tmp_path / f"rp_{name}", heading + path.read_text())
        assert describe_realignment(named) == ""
    for n_columns in (5, 7):
        np.savetxt(path, np.ones((8, n_columns)))
        with pytest.raises(StoreError, match=f"{name} cannot be read: .* and this one has {n_columns} col"):
            describe_realignment(path)


COMMAND = "# 3dvolreg -base 'epi+orig[0]' -prefix \"a b\" -1Dfile motion.1D it's\n#\n"


@pytest.mark.parametrize(
    ("name", "comment", "columns"),
    [
        ("a.1D", COMMAND, ["rot_z", "rot_x", "rot_y", "trans_z", "trans_x", "trans_y"]),
        ("a.1D", COMMAND + "#  roll pitch yaw dS dL dP\n", ["rot_z", "rot_x", "rot_y", "trans_z"]),
        ("a.1D", "# rot_x,rot_y,rot_z,trans_x,trans_y,trans_z\n", ["rot_x", "rot_y", "rot_z", "trans_x"]),
        ("rp_a.txt", '# made by us, on "Monday\n', ["trans_x", "trans_y"]),
        ("a.tsv", "# rot_x rot_y rot_z trans_x trans_y trans_z\n" + COMMAND, ["rot_x", "rot_y"]),
        ("a.tsv", COMMAND + "rot_x\trot_y\trot_z\ttrans_x\ttrans_y\ttrans_z\n", ["rot_x", "rot_y"]),
    ],
)
def test_comments_of_confounds_are_no_rows_and_may_name_the_columns(tmp_path, name, comment, columns):
    values = np.random.default_rng(2).normal(size=(7, 6))
    between = "\t" if name.endswith("tsv") else "  "
    lines = [between.join(f"{value:.6f}" for value in row) for row in values]
    text = comment + "\n".join([*lines[:3], '# "in between', *lines[3:]]) + "\n# the end"
    found = read_confounds(_write(tmp_path / name, text), MOTION, 7)
    for place, column in enumerate(columns):
        np.testing.assert_allclose(found[column], values[:, place], atol=1e-6)


def test_a_name_may_begin_with_the_sign_of_comments(tmp_path):
    path = _write(tmp_path / "a.tsv", "#volume\ttrans_x\n1\t0.5\n2\t0.7\n")
    assert read_confounds(path, ["#volume", "trans_x"], 2)["#volume"].tolist() == [1, 2]
    with pytest.raises(StoreError, match="it is empty"):
        read_confounds(_write(tmp_path / "b.1D", "# 3dvolreg\n#"), MOTION, 2)


def test_numbers_of_a_run_that_are_written_in_two_ways_are_one_run(tmp_path):
    def read(*runs):
        rows = "".join(f"face\t{run}\n" for run in runs)
        return read_volume_labels(_write(tmp_path / "a.tsv", f"stimulus_id\trun\n{rows}"))["run"].tolist()

    assert read("01", "02", "10", "01") == ["01", "02", "10", "01"]
    assert read("1", "1b", "1.5", "01b", "0") == ["1", "1b", "1.5", "01b", "0"]
    for runs, said, expected in (
        (["01", "2", "1", "1.0", "2.0"], "'01' and '1' are taken", ["01", "2", "01", "01", "2"]),
        (["2", "1.0", "01", "002"], r"'1\.0' and '01' are taken", ["2", "1.0", "1.0", "2"]),
    ):
        with pytest.warns(FernetWarning, match=said):
            assert read(*runs) == expected


def test_numbers_that_nobody_names_are_refused(tmp_path):
    np.savetxt(tmp_path / "motion.txt", np.ones((3, 6)))
    with pytest.raises(StoreError, match=r"motion.txt has no heading; write .*rp\*.txt"):
        read_confounds(tmp_path / "motion.txt", MOTION, 3)


def test_a_pattern_may_mean_no_column_and_a_name_may_not(tmp_path):
    path = _write(tmp_path / "c.tsv", "trans_x\tcsf\n1\tNA\n2\t1\n4\t3\n")
    assert list(read_confounds(path, ["trans_x", "motion_outlier*"], 3)) == ["trans_x"]
    assert read_confounds(path, ["csf"], 3)["csf"].tolist() == [2, 1, 3]
    check_patterns([str(path)], ["trans_*"])
    with pytest.raises(ValueError, match=r"no run has a confound column 'motion_outlier\*'"):
        check_patterns([str(path)], ["trans_*", "motion_outlier*"])
