import json

import pytest

from fernet_neuro.brain.bids import find_runs, parse_entities, read_sidecar_of
from fernet_neuro.exceptions import StoreError

PREP = "space-MNI_desc-preproc_bold"


def _touch(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def dataset(tmp_path):
    """Two participants, one with two sessions, and what fMRIPrep writes of them; files hold no images."""
    root, prep = tmp_path / "bids", tmp_path / "bids" / "derivatives" / "fmriprep"
    for who, visit, runs in (("01", "", ("1", "2", "10")), ("02", "a", ("1", "2")), ("02", "b", ("1", "2"))):
        place = f"sub-{who}/ses-{visit}/func" if visit else f"sub-{who}/func"
        stem = f"sub-{who}_ses-{visit}_task-faces" if visit else f"sub-{who}_task-faces"
        for run in runs:
            _touch(root / place / f"{stem}_run-{run}_bold.nii.gz")
            _touch(root / place / f"{stem}_run-{run}_events.tsv")
            _touch(prep / place / f"{stem}_run-{run}_{PREP}.nii.gz")
            _touch(prep / place / f"{stem}_run-{run}_space-MNI_desc-brain_mask.nii.gz")
            _touch(prep / place / f"{stem}_run-{run}_desc-confounds_timeseries.tsv")
    _touch(root / "task-faces_bold.json", json.dumps({"RepetitionTime": 1.5}))
    return root


def test_files_of_a_run_belong_together(dataset):
    found = find_runs(dataset)
    assert [(item.subject, item.session, item.run) for item in found] == [
        ("01", "", "1"), ("01", "", "2"), ("01", "", "10"), ("02", "a", "1"), ("02", "a", "2"),
        ("02", "b", "1"), ("02", "b", "2"),
    ]  # fmt: skip
    last = found[-1]
    place = "sub-02/ses-b/func/sub-02_ses-b_task-faces_run-2_"
    prep = dataset / "derivatives" / "fmriprep"
    assert last.bold == str(prep / f"{place}{PREP}.nii.gz")
    assert last.events == str(dataset / f"{place}events.tsv")
    assert last.confounds == str(prep / f"{place}desc-confounds_timeseries.tsv")
    assert last.mask == str(prep / f"{place}space-MNI_desc-brain_mask.nii.gz")
    assert (last.task, last.times.t_r, last.times.start_time) == ("faces", 1.5, None)


def test_raw_images_are_taken_only_when_asked_for(dataset):
    found = find_runs(dataset, raw=True, subjects=["sub-01"])
    assert found[0].bold == str(dataset / "sub-01/func/sub-01_task-faces_run-1_bold.nii.gz")
    assert [item.confounds for item in found] == ["", "", ""]
    prep = dataset / "derivatives" / "fmriprep"
    moved = prep.rename(dataset.parent / "prep")
    with pytest.raises(
        StoreError, match=r"has no derivatives/fmriprep; name .*--derivatives DIR, or, only .*--raw"
    ):
        find_runs(dataset)
    assert len(find_runs(dataset, derivatives=moved)) == 7


def test_masks_of_raw_images_are_among_the_derivatives(dataset):
    place = dataset / "derivatives" / "rois" / "sub-01" / "func"
    of_run, of_all = (f"sub-01_task-faces{run}_desc-brain_mask.nii.gz" for run in ("_run-2", ""))
    _touch(place / of_run)
    _touch(place / of_all)
    _touch(place / "sub-01_task-rest_desc-brain_mask.nii.gz")
    found = find_runs(dataset, raw=True)
    assert [item.mask for item in found if item.subject == "01"] == [
        str(place / name) for name in (of_all, of_run, of_all)
    ]
    assert {item.mask for item in found if item.subject == "02"} == {""}
    # Preprocessed images lie elsewhere: they have masks of their own, or none.
    for mask in (dataset / "derivatives" / "fmriprep").rglob("*_mask.nii.gz"):
        mask.unlink()
    assert {item.mask for item in find_runs(dataset)} == {""}


def test_subjects_sessions_and_runs_can_be_chosen(dataset):
    assert [item.session for item in find_runs(dataset, subjects=["02"], sessions=["ses-b"])] == ["b", "b"]
    assert [item.run for item in find_runs(dataset, subjects=["01"], runs=["10", "1"])] == ["1", "10"]
    with pytest.raises(ValueError, match=r"no images of subject '3'; there are: 01, 02"):
        find_runs(dataset, subjects=["3"])
    with pytest.raises(ValueError, match=r"no images of task 'face'; there are: faces. Did you mean 'faces'"):
        find_runs(dataset, task="face")


def test_several_tasks_and_spaces_must_be_named(dataset):
    prep = dataset / "derivatives" / "fmriprep" / "sub-01" / "func"
    other = prep / "sub-01_task-faces_run-1_space-T1w_desc-preproc_bold.nii.gz"
    _touch(other)
    with pytest.raises(ValueError, match=r"several spaces: MNI, T1w; name one with --space"):
        find_runs(dataset)
    assert len(find_runs(dataset, space="MNI")) == 7
    assert find_runs(dataset, space="T1w")[0].mask == ""
    other.rename(prep / "sub-01_task-rest_space-MNI_desc-preproc_bold.nii.gz")
    with pytest.raises(ValueError, match=r"several tasks: faces, rest; name one with --task"):
        find_runs(dataset)
    assert len(find_runs(dataset, task="faces")) == 7
    _touch(prep / "sub-01_task-faces_run-1_space-MNI_res-2_desc-preproc_bold.nii.gz")
    with pytest.raises(ValueError, match=r"are both run 1 of subject 01; name one with --res"):
        find_runs(dataset, task="faces")


def test_events_and_sidecars_are_inherited(dataset):
    for path in (dataset / "sub-01").rglob("*_events.tsv"):
        path.unlink()
    with pytest.raises(StoreError, match=r"has no events of .*; it needs sub-01_task-faces_run-1_events.tsv"):
        find_runs(dataset, subjects=["01"])
    _touch(dataset / "task-faces_events.tsv")
    assert {item.events for item in find_runs(dataset, subjects=["01"])} == {
        str(dataset / "task-faces_events.tsv")
    }
    func = dataset / "derivatives" / "fmriprep" / "sub-01" / "func"
    _touch(
        func / f"sub-01_task-faces_run-2_{PREP}.json", json.dumps({"RepetitionTime": 2.0, "StartTime": 0.7})
    )
    found = find_runs(dataset, subjects=["01"])
    assert [(item.times.t_r, item.times.start_time) for item in found] == [
        (1.5, None), (2.0, 0.7), (1.5, None)
    ]  # fmt: skip
    _touch(func / f"sub-01_task-faces_run-2_{PREP}.json", "{")
    with pytest.raises(StoreError, match=r"bold.json is no JSON"):
        find_runs(dataset)


def test_surfaces_come_in_pairs(dataset):
    func = dataset / "derivatives" / "fmriprep" / "sub-01" / "func"
    for run in ("1", "2", "10"):
        for side in "LR":
            _touch(func / f"sub-01_task-faces_run-{run}_hemi-{side}_space-fsaverage5_bold.func.gii")
    found = find_runs(dataset, space="fsaverage5")
    left, right = found[0].bold.split(",")
    assert left.endswith("run-1_hemi-L_space-fsaverage5_bold.func.gii")
    assert right.endswith("run-1_hemi-R_space-fsaverage5_bold.func.gii")
    assert found[0].confounds.endswith("run-1_desc-confounds_timeseries.tsv")
    (func / "sub-01_task-faces_run-2_hemi-R_space-fsaverage5_bold.func.gii").unlink()
    with pytest.raises(StoreError, match="no right hemisphere beside it"):
        find_runs(dataset, space="fsaverage5")


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        find_runs(tmp_path / "none")
    with pytest.raises(StoreError, match=r"has no images \(sub-\*/func/\*_bold.nii.gz\)"):
        find_runs(tmp_path, raw=True)
    with pytest.raises(StoreError, match=r"derivatives folder .*prep does not exist"):
        find_runs(tmp_path, derivatives=tmp_path / "prep")
    _touch(tmp_path / "sub-01" / "func" / "faces_task-faces_bold.nii.gz")
    with pytest.raises(StoreError, match=r"faces_task-faces_bold.nii.gz does not say whose it is"):
        find_runs(tmp_path, raw=True)
    assert parse_entities("README") == {"suffix": "README"}


def test_the_number_of_a_run_may_have_zeros_in_front(dataset):
    for path in (dataset / "sub-01").rglob("*_events.tsv"):
        path.rename(path.with_name(path.name.replace("run-1_", "run-01_").replace("run-2_", "run-002_")))
    found = find_runs(dataset, subjects=["01"], runs=["02", "run-1"])
    assert [(item.run, item.events.rpartition("_run-")[2]) for item in found] == [
        ("1", "01_events.tsv"), ("2", "002_events.tsv")
    ]  # fmt: skip
    func = dataset / "derivatives" / "fmriprep" / "sub-01" / "func"
    _touch(func / f"sub-01_task-faces_run-01_{PREP}.nii.gz")
    with pytest.raises(ValueError, match=r"are both run 01? of subject 01"):
        find_runs(dataset)


def test_resolution_direction_and_no_space_can_be_chosen(dataset):
    func = dataset / "derivatives" / "fmriprep" / "sub-01" / "func"
    native = func / "sub-01_task-faces_run-1_desc-preproc_bold.nii.gz"
    _touch(native)
    _touch(func / "sub-01_task-faces_run-1_desc-brain_mask.nii.gz")
    _touch(func / "sub-01_task-faces_run-1_space-MNI_res-2_desc-preproc_bold.nii.gz")
    only = {"subjects": ["01"], "runs": ["1"]}
    with pytest.raises(ValueError, match="several spaces: MNI, none; name one with --space"):
        find_runs(dataset, **only)
    found = find_runs(dataset, space="none", **only)
    assert [item.bold for item in found] == [str(native)]
    assert found[0].mask.endswith("run-1_desc-brain_mask.nii.gz")
    with pytest.raises(ValueError, match="both run 1 of subject 01; name one with --res"):
        find_runs(dataset, space="MNI", **only)
    assert "res-2" in find_runs(dataset, space="MNI", res="2", **only)[0].bold
    assert "res-2" not in find_runs(dataset, space="MNI", res="none", **only)[0].bold
    for way in ("AP", "PA"):
        stem = f"sub-02_ses-a_task-faces_dir-{way}_run-1"
        _touch(dataset / "derivatives/fmriprep/sub-02/ses-a/func" / f"{stem}_{PREP}.nii.gz")
        _touch(dataset / "sub-02" / "ses-a" / "func" / f"{stem}_events.tsv")
    with pytest.raises(ValueError, match="name one with --dir"):
        find_runs(dataset, subjects=["02"])
    (found,) = find_runs(dataset, subjects=["02"], direction="AP")
    assert "dir-AP" in found.bold
    assert "dir-AP" in found.events


def test_dots_in_names_hide_nothing(tmp_path):
    name = "sub-01_task-faces_desc-fwhm2.5_bold.nii.gz"
    assert parse_entities(name) == {"sub": "01", "task": "faces", "desc": "fwhm2.5", "suffix": "bold"}
    assert parse_entities("sub-01_hemi-L_bold.func.gii") == {"sub": "01", "hemi": "L", "suffix": "bold"}
    _touch(tmp_path / "a.b_bold.json", '{"StartTime": 0.5}')
    assert read_sidecar_of(str(tmp_path / "a.b_bold.nii.gz")) == {"StartTime": 0.5}
