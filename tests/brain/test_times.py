"""When volumes were taken is known by one rule, and what is doubtful is said."""

import json

import nibabel
import numpy as np
import pytest

from fernet_neuro.brain.bids import read_sidecar_of
from fernet_neuro.brain.pipeline import pair_runs
from fernet_neuro.brain.times import Times, find_t_r, first_of_each, list_doubts, read_times


def image(path, t_r, unit="sec"):
    made = nibabel.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4))
    made.header.set_zooms((1, 1, 1, t_r))
    made.header.set_xyzt_units("mm", unit)
    nibabel.save(made, path)
    return str(path)


@pytest.mark.parametrize(("t_r", "unit"), [(2.0, "sec"), (2000.0, "msec"), (2e6, "usec")])
def test_a_header_says_its_unit(tmp_path, t_r, unit):
    assert find_t_r(image(tmp_path / "a.nii", t_r, unit), None, None) == pytest.approx(2.0)


def test_the_user_comes_before_the_sidecar_and_that_before_the_header(tmp_path):
    bold, silent = image(tmp_path / "a.nii", 2.0), image(tmp_path / "b.nii", 0.0)
    assert [find_t_r(bold, *said) for said in ((1.5, 0.8), (2.0, None), (None, None))] == [0.8, 2.0, 2.0]
    assert find_t_r(silent, 1.5, None) == 1.5


def test_milliseconds_that_are_called_seconds_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is 2000 seconds; .*--t-r 2\."):
        find_t_r(image(tmp_path / "a.nii", 2000.0), None, None)
    with pytest.raises(ValueError, match=r"is 1500 seconds; .*--t-r 1.5\."):
        find_t_r(image(tmp_path / "b.nii", 1.5), 1500.0, None)


def test_what_a_header_does_not_say_is_asked_for(tmp_path):
    still = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
    nibabel.save(still, tmp_path / "still.nii")
    for bold in (
        image(tmp_path / "a.nii", 0.0),
        image(tmp_path / "b.nii", 2.0, "unknown"),
        tmp_path / "still.nii",
    ):
        with pytest.raises(ValueError, match=r"does not say its repetition time.*--t-r SECONDS"):
            find_t_r(str(bold), None, None)


def test_a_sidecar_and_a_header_that_disagree_are_refused_until_the_user_decides(tmp_path):
    bold = image(tmp_path / "a.nii", 2.0)
    with pytest.raises(
        ValueError, match=r"says 2.5 s between volumes, its header 2 s; .*--t-r 2.5 or --t-r 2\."
    ):
        find_t_r(bold, 2.5, None)
    assert find_t_r(bold, 2.5, 2.5) == 2.5
    assert find_t_r(bold, 2.5, 2.0) == 2.0
    assert find_t_r(bold, 2.0004, None) == 2.0004
    assert find_t_r(image(tmp_path / "b.nii", 0.0), 2.5, None) == 2.5  # a header that says nothing


def test_doubts_are_said_until_the_user_decides(tmp_path):
    bold = image(tmp_path / "a.nii", 2.0)
    assert list_doubts(bold, Times(2.0), None) == []
    (text,) = list_doubts(bold, Times(2.0, None, True), None)
    assert "shifted to one moment" in text
    assert "--start-time" in text
    assert list_doubts(bold, Times(2.0, 0.9, True), None) == []
    assert list_doubts(bold, Times(2.0, None, True), 1.0) == []


def test_the_same_doubt_about_many_images_is_one_line():
    said = [("a.nii", "a.nii is odd."), ("b.nii", "b.nii is odd."), ("b.nii", "b.nii is late.")]
    assert first_of_each(said) == ["a.nii is odd. (And so for 1 more.)", "b.nii is late."]


def test_what_a_sidecar_says_is_a_number_of_seconds():
    assert read_times({"RepetitionTime": 2, "StartTime": 0.5}, "a") == Times(2.0, 0.5, False)
    assert read_times({"VolumeTiming": [0, 1.5, 3.0]}, "a").t_r == pytest.approx(1.5)
    for said in ("2.0", True, float("nan"), [2]):
        with pytest.raises(ValueError, match=r"the sidecar of a says RepetitionTime .* no number of seconds"):
            read_times({"RepetitionTime": said}, "a")
    with pytest.raises(ValueError, match="not equally far apart"):
        read_times({"VolumeTiming": [0, 1, 3]}, "a")


def test_images_named_one_by_one_have_their_sidecars_times(tmp_path):
    bold = image(tmp_path / "a_fwhm2.5.nii.gz", 2.0)
    said = {"RepetitionTime": 1.0, "StartTime": 0.25, "SliceTimingCorrected": True}
    (tmp_path / "a_fwhm2.5.json").write_text(json.dumps(said))
    assert read_sidecar_of(bold) == said
    (run,) = pair_runs([bold], ["e.tsv"], [], subject="01")
    assert run.times == Times(1.0, 0.25, True)
