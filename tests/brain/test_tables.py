import numpy as np
import pytest

from fernet_neuro.brain.tables import check_events, read_confounds, read_events, read_volume_labels
from fernet_neuro.exceptions import StimulusError, StoreError


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
    frame = read_volume_labels(_write(tmp_path / name, text))
    assert frame.to_dict("list") == {"stimulus_id": ["face", "NA"], "run": ["01", "02"]}


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
