import json
import re
import shutil
from functools import partial

import nibabel
import numpy as np
import pandas as pd
import pytest

from fernet_neuro.brain.derivatives import list_patterns, read_patterns
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.distances import compute_rdms

AFFINE = np.array([[-3.0, 0, 0, 12], [0, 2, 0, -7], [0, 0, 2.5, 3], [0, 0, 0, 1]])
SHAPE = (5, 6, 4)
T_R, N_SCANS = 2.0, 50
STIMULI = ["face2", "car", "face10"]


@pytest.fixture(scope="module")
def run(run):
    return partial(run, "brain")


def _save(values, path, affine=AFFINE, t_r=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.asarray(values, dtype=np.float32), affine)
    if t_r:
        image.header.set_zooms((*image.header.get_zooms()[:3], t_r))
        image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)
    return path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A data set and two regions, for all to copy, and what was drawn: patterns, and masks by region."""
    folder, rng = tmp_path_factory.mktemp("drawn"), np.random.default_rng(20200501)
    return folder, _write_bids(folder / "bids", rng), _write_masks(folder / "rois", rng)


def _write_masks(folder, rng):
    """Two regions that overlap, in a folder of their own."""
    found = {}
    for name, share in (("FFA", 0.2), ("OFA", 0.15)):
        found[name] = rng.random(SHAPE) < share
        _save(found[name], folder / f"label-{name}_mask.nii.gz")
    return found


def _write_bids(root, rng):
    """Two participants with three runs of raw BOLD, each stimulus twice in a run."""
    from nilearn.glm.first_level import make_first_level_design_matrix

    true = rng.normal(size=(3, *SHAPE)) * 20
    for who in ("01", "02"):
        for number in (1, 2, 3):
            stem = root / f"sub-{who}" / "func" / f"sub-{who}_task-faces_run-{number}"
            onsets = np.sort(rng.choice(np.arange(0, 80, 4), 6, replace=False)).astype(float)
            events = pd.DataFrame(
                {"onset": onsets, "duration": 1.0, "trial_type": rng.permutation(STIMULI * 2)}
            )
            matrix = make_first_level_design_matrix(np.arange(N_SCANS) * T_R, events, "spm", drift_model=None)
            series = np.einsum("ts,sxyz->xyzt", matrix[STIMULI].to_numpy(), true)
            _save(
                100 + series + rng.normal(size=(*SHAPE, N_SCANS)),
                stem.with_name(f"{stem.name}_bold.nii.gz"),
                t_r=T_R,
            )
            events.to_csv(stem.with_name(f"{stem.name}_events.tsv"), sep="\t", index=False)
    return true


@pytest.fixture
def masks(drawn, tmp_path):
    """Their folder, and by region the voxels inside."""
    return shutil.copytree(drawn[0] / "rois", tmp_path / "rois"), drawn[2]


@pytest.fixture
def bids(drawn, tmp_path):
    """The data set, and its patterns."""
    return shutil.copytree(drawn[0] / "bids", tmp_path / "bids"), drawn[1]


@pytest.fixture(scope="module")
def made(run, drawn, tmp_path_factory):
    """Patterns of the whole data set, and what was said."""
    out = tmp_path_factory.mktemp("made") / "patterns"
    code, text, err = run(
        "patterns", drawn[0] / "bids", "--raw", "--roi", drawn[0] / "rois", "--out", out, "--json"
    )
    assert code == 0, err
    return out, json.loads(text)


def _read(out, roi="FFA", subject="01"):
    (found,) = read_patterns(out, subjects=[subject], rois=[roi])
    return found


def test_a_bids_data_set_becomes_patterns_with_what_was_planted(made, drawn):
    (out, report), (_, true, masks) = made, drawn
    assert (report["written"], report["already_there"]) == (["01", "02"], [])
    assert [item["roi"] for item in report["patterns"]] == ["FFA", "OFA"] * 2
    found = _read(out)
    assert (found.subject, found.roi, found.unit, found.session) == ("01", "FFA", "beta", "")
    assert found.run_names == ["1", "2", "3"]
    wanted = true.reshape(3, -1)[:, masks["FFA"].ravel()]
    for name, pattern in zip(STIMULI, wanted, strict=True):
        mean = found.values[found.stimulus_ids == name].mean(axis=0)
        assert np.corrcoef(mean, pattern)[0, 1] > 0.98
    n_voxels = masks["FFA"].sum()
    assert found.noise_covariance.shape == (n_voxels, n_voxels)
    rdm = compute_rdms(
        found.values, distance="crossnobis", stimulus_ids=found.stimulus_ids, runs=found.runs,
        precision=found.compute_precision(),
    )  # fmt: skip
    assert rdm.dissimilarities.min() > 1
    description = json.loads((out / "dataset_description.json").read_text(encoding="utf-8"))
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Settings"]["glm"]["noise_model"] == "ar1"


def test_a_run_that_another_participant_has_too_is_refused_before_any_is_computed(run, bids, masks, tmp_path):
    first, second = (bids[0] / f"sub-{who}" / "func" / f"sub-{who}_task-faces_run-" for who in ("01", "02"))
    image = nibabel.load(f"{first}2_bold.nii.gz")
    image.header["descrip"] = b"copied"
    image.to_filename(f"{second}3_bold.nii.gz")
    out = tmp_path / "patterns"
    code, _, err = run("patterns", bids[0], "--raw", "--roi", masks[0], "--out", out)
    assert code == 2
    assert re.search("of run 3 of subject 02 holds the same values as .* of run 2 of subject 01, but", err)
    assert not out.exists()


def test_written_images_are_patterns_again(run, bids, masks, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    mask = _save(np.ones(SHAPE), tmp_path / "brain.nii.gz")
    options = ("--raw", "--subject", "01", "--roi", masks[0], "--mask", mask, "--estimate", "lsa")
    assert run("patterns", bids[0], *options, "--out", first)[0] == 0
    stem = first / "sub-01" / "func" / "sub-01_task-faces_patterns"
    assert nibabel.load(f"{stem}.nii.gz").shape == (*SHAPE, 18)
    kept = nibabel.load(first / "sub-01" / "func" / "sub-01_task-faces_roi-OFA_mask.nii.gz").get_fdata()
    assert np.array_equal(kept > 0, masks[1]["OFA"])
    options = (
        "--labels",
        f"{stem}.tsv",
        "--roi",
        masks[0],
        "--unit",
        "beta",
        "--task",
        "faces",
        "--noise",
        "none",
    )
    code, text, err = run("patterns", f"{stem}.nii.gz", *options, "--out", second)
    assert code == 0, err
    assert "Written to" in text
    one, other = _read(first), _read(second)
    assert np.allclose(one.values, other.values, rtol=1e-5, atol=1e-4)
    assert one.stimulus_ids.tolist() == other.stimulus_ids.tolist()
    assert one.runs.tolist() == other.runs.tolist()


def test_named_runs_give_what_the_data_set_gives(run, drawn, made, tmp_path):
    rois, func = drawn[0] / "rois", drawn[0] / "bids" / "sub-02" / "func"
    stems = [func / f"sub-02_task-faces_run-{number}" for number in (1, 2, 3)]
    images = [f"{stem}_bold.nii.gz" for stem in stems]
    events = [option for stem in stems for option in ("--events", f"{stem}_events.tsv")]
    code, _, err = run(
        "patterns", *images, *events, "--roi", rois, "--subject", "02", "--run", "1", "--run", "2",
        "--run", "3", "--task", "faces", "--no-images", "--out", tmp_path / "named",
    )  # fmt: skip
    assert code == 0, err
    assert _read(tmp_path / "named", subject="02") == _read(made[0], subject="02")


def test_derivatives_bring_confounds_and_regions_their_place(run, bids, masks, tmp_path, rng):
    root, prep = bids[0], bids[0] / "derivatives" / "fmriprep"
    (root / "derivatives").mkdir()
    masks[0].rename(root / "derivatives" / "rois")
    for path in sorted(root.glob("sub-01/func/*_bold.nii.gz")):
        target = prep / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        stem = target.name.removesuffix("_bold.nii.gz")
        path.rename(target.with_name(f"{stem}_space-MNI_desc-preproc_bold.nii.gz"))
        motion = pd.DataFrame(
            rng.normal(size=(N_SCANS, 6)), columns=[f"{k}_{a}" for k in ("trans", "rot") for a in "xyz"]
        )
        motion.to_csv(target.with_name(f"{stem}_desc-confounds_timeseries.tsv"), sep="\t", index=False)
        _save(np.ones(SHAPE), target.with_name(f"{stem}_space-MNI_desc-brain_mask.nii.gz"))
    code, _, err = run("patterns", root, "--mask", "brain", "--out", tmp_path / "motion")
    assert code == 0, err
    assert run("patterns", root, "--no-confounds", "--no-images", "--out", tmp_path / "none")[0] == 0
    some = ("--confound", "trans_*", "--confound", "rot_?", "--no-images")
    assert run("patterns", root, *some, "--out", tmp_path / "named")[0] == 0
    motion, named, none = (_read(tmp_path / name) for name in ("motion", "named", "none"))
    assert np.allclose(motion.values, named.values, rtol=1e-9)
    assert not np.allclose(motion.values, none.values, rtol=1e-3)
    image = nibabel.load(tmp_path / "motion" / "sub-01" / "func" / "sub-01_task-faces_patterns.nii.gz")
    assert (image.get_fdata() != 0).all()
    code, _, err = run("patterns", root, "--confound", "csf", "--out", tmp_path / "csf")
    assert code == 2
    assert "has no confound column 'csf'; it has: trans_x" in err
    assert not list((tmp_path / "csf").glob("sub-*"))


@pytest.mark.filterwarnings("always:.*has no heading")
def test_motion_that_is_known_by_its_name_alone_is_told_once(run, drawn, tmp_path, rng):
    options = ["--roi", drawn[0] / "rois", "--no-images", "--quiet"]
    for number in (1, 2):
        stem = drawn[0] / "bids" / "sub-01" / "func" / f"sub-01_task-faces_run-{number}"
        np.savetxt(tmp_path / f"rp_{number}.txt", rng.normal(size=(N_SCANS, 6)))
        options += [f"{stem}_bold.nii.gz", "--events", f"{stem}_events.tsv"]
        options += ["--confounds-file", tmp_path / f"rp_{number}.txt"]
    code, _, err = run("patterns", *options, "--out", tmp_path / "spm")
    assert code == 0, err
    assert re.findall(r"Note: \S*(rp_\d.txt) has no heading; .* of SPM.*rad\. \((.*)\)", err) == [
        ("rp_1.txt", "And so for 1 more.")
    ]
    assert run("patterns", *options, "--no-confounds", "--out", tmp_path / "none")[::2] == (0, "")
    np.savetxt(tmp_path / "rp_2.txt", np.ones((N_SCANS, 7)))
    code, _, err = run("patterns", *options, "--out", tmp_path / "wide")
    assert code == 2
    assert "rp_2.txt cannot be read: files called rp*.txt hold the 6 motion parameters of SPM" in err
    assert not (tmp_path / "wide").exists()


def test_finished_participants_are_not_computed_again(run, drawn, made, tmp_path):
    bids, options = drawn[0] / "bids", ("--raw", "--roi", drawn[0] / "rois", "--no-images")
    out = shutil.copytree(made[0], tmp_path / "out")
    shutil.rmtree(out / "sub-02")
    file = list_patterns(out)[0]
    before = file.stat().st_mtime_ns
    code, text, err = run("patterns", bids, *options, "--out", out)
    assert code == 0, err
    assert "There already, not computed again: 01" in text
    assert file.stat().st_mtime_ns == before
    assert len(list_patterns(out)) == 4
    code, _, err = run("patterns", bids, *options, "--hrf", "glover", "--out", out)
    assert code == 2
    assert "holds patterns of subject 01 that were made with other settings (first: glm)" in err
    code, _, err = run(
        "patterns", bids, *options, "--hrf", "glover", "--subject", "01", "--overwrite", "--out", out
    )
    assert "holds patterns of subject 02" in err
    assert run("patterns", bids, *options, "--hrf", "glover", "--overwrite", "--out", out)[0] == 0
    assert file.stat().st_mtime_ns != before


def test_what_fails_leaves_no_half_participant(run, bids, masks, tmp_path):
    (bids[0] / "sub-02" / "func" / "sub-02_task-faces_run-3_bold.nii.gz").write_bytes(b"damaged")
    code, _, err = run("patterns", bids[0], "--raw", "--roi", masks[0], "--out", tmp_path / "out")
    assert code == 2
    assert "sub-02_task-faces_run-3_bold.nii.gz" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dataset_description.json", "sub-01"]


def test_stimuli_without_patterns_are_left_out(run, bids, masks, tmp_path):
    options = (
        "--raw",
        "--roi",
        masks[0],
        "--leave-out",
        "car",
        "--statistic",
        "t",
        "--subject",
        "01",
        "--no-images",
    )
    assert run("patterns", bids[0], *options, "--out", tmp_path / "out")[0] == 0
    found = _read(tmp_path / "out")
    assert set(found.stimuli) == {"face2", "face10"}
    assert found.unit == "t"
    assert not list((tmp_path / "out").rglob("*_patterns.nii.gz"))


def test_patterns_are_decoded(run, made, tmp_path):
    patterns = made[0]
    options = ("--permutations", "50", "--out", tmp_path / "decoded")
    code, text, err = run("decode", patterns, *options)
    assert (code, err) == (0, "")
    assert "100.0      33.3" in text
    table = text.split("with others:")[1].splitlines()
    assert table[1].split() == ["subject", "region", "itself", "lowest", "to", "highest", "others"]
    halves = pd.read_csv(tmp_path / "decoded" / "split_half.csv", dtype={"subject": str})
    first = halves[(halves["subject"] == "01") & (halves["roi"] == "FFA")]
    same = first.loc[first["odd"] == first["even"], "correlation"]
    assert table[2].split()[:5] == ["01", "FFA", f"{same.mean():.2f}", f"{same.min():.2f}", "to"]
    assert all("face2" not in line for line in table)
    code, _, err = run("decode", patterns, *options)
    assert "already holds summary.json; add --overwrite" in err
    code, text, _ = run("decode", patterns, *options, "--overwrite", "--roi", "OFA", "--json")
    report = json.loads(text)
    assert [row["roi"] for row in report["regions"]] == ["OFA", "OFA"]
    same = [row["correlation"] for row in report["split_half"] if row["odd"] == row["even"]]
    assert min(same) > 0.9
    assert len(pd.read_csv(tmp_path / "decoded" / "split_half.csv")) == 2 * 9
    # Of two centred stimuli one is the other's opposite: they resemble themselves equally.
    pair = ("--stimulus", "car", "--stimulus", "face2", "--roi", "FFA")
    code, text, _ = run("decode", patterns, *pair, "--out", tmp_path / "one")
    subject, roi, itself, span, others = text.split("with others:")[1].splitlines()[2].split()
    assert (subject, roi, span, float(others)) == ("01", "FFA", itself, -float(itself))
    code, text, _ = run("decode", patterns, *pair, "--out", tmp_path / "two", "--json")
    assert json.loads(text)["regions"][0]["chance_level"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("BIDS", "--raw"), "name a region with --roi"),
        (("BIDS", "--raw", "--roi", "OFA=900,0,0,2"), "OFA is empty: no voxel lies within 2 mm"),
        (("BIDS", "--roi", "ROIS"), "has no derivatives/fmriprep; name the preprocessed images"),
        (
            ("BIDS", "--raw", "--roi", "ROIS", "--zscore"),
            "go with labelled volumes; SOURCE is a BIDS data set",
        ),
        (("BIDS", "--raw", "--roi", "ROIS", "--labels", "x.tsv"), "--labels and --events go with images"),
        (("BIDS", "--raw", "--roi", "ROIS", "--noise", "some"), "--noise some is not known"),
        (("BIDS", "--raw", "--roi", "ROIS", "--estimate", "lsz"), "--estimate lsz is not known"),
        (("BIDS", "--raw", "--roi", "ROIS", "--mask", "brain"), "has no brain mask beside it"),
        (("BIDS", "--raw", "--roi", "ROIS", "--leave-out", "cat"), "no stimulus 'cat' to leave out"),
        (("BIDS", "--raw", "--roi", "ROIS", "--confound", "csf"), "has no table of confounds beside it"),
        (("BIDS", "--raw", "--roi", "ROIS", "--stimulus-column", "picture"), "no column 'picture'"),
        (("BIDS", "--raw", "--roi", "ROIS", "--t-r", "0.5"), "events past the end of the scan"),
        (("BIDS", "--raw", "--roi", "ROIS", "--jobs", "0"), "--jobs must be 1 or more, or -1 for one per"),
        (("BIDS", "--raw", "--roi", "ROIS", "--subject", "9"), "no images of subject '9'"),
        (("BIDS", "--raw", "--roi", "ROIS", "--mesh", "a,b"), "--mesh goes with surface data"),
        (("BOLD", "--roi", "ROIS"), "is not a folder: for images give --labels TABLE"),
        (
            ("BOLD", "--roi", "ROIS", "--events", "EVENTS", "--raw"),
            "--derivatives, --raw, --space, --res and --dir go with a BIDS",
        ),
        (("BOLD", "BOLD", "--roi", "ROIS", "--events", "EVENTS"), "there are 2 images and 1 times --events"),
        (
            ("BOLD", "--roi", "ROIS", "--events", "EVENTS", "--subject", "a_b"),
            "--subject 'a_b' may have only letters (A to Z) and digits",
        ),
        (
            ("BOLD", "--roi", "ROIS", "--events", "EVENTS", "--confound", "x", "--no-confounds"),
            "exclude each other",
        ),
        (("BOLD", "--roi", "ROIS", "--labels", "EVENTS"), "no column for the run"),
        (("none.nii", "--roi", "ROIS", "--events", "EVENTS"), "image none.nii does not exist"),
    ],
)
def test_what_makes_no_patterns_is_one_line_and_exit_code_two(
    run, drawn, tmp_path, monkeypatch, options, message
):
    monkeypatch.delenv("FERNET_NEURO_TRACEBACK", raising=False)
    bids, rois = (drawn[0] / name for name in ("bids", "rois"))
    stem = bids / "sub-01" / "func" / "sub-01_task-faces_run-1"
    names = {"BIDS": bids, "ROIS": rois, "BOLD": f"{stem}_bold.nii.gz", "EVENTS": f"{stem}_events.tsv"}
    code, text, err = run("patterns", *[names.get(item, item) for item in options], "--out", tmp_path / "out")
    lines = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert (code, text, len(lines)) == (2, "", 1)
    assert err.strip() == lines[0], "no progress bar before it"
    assert message in lines[0]
    assert not list((tmp_path / "out").glob("sub-*"))


def test_a_run_without_a_stimulus_needs_leave(run, bids, masks, tmp_path):
    path = bids[0] / "sub-01" / "func" / "sub-01_task-faces_run-2_events.tsv"
    events = pd.read_csv(path, sep="\t")
    events[events["trial_type"] != "car"].to_csv(path, sep="\t", index=False)
    options = (bids[0], "--raw", "--roi", masks[0], "--subject", "01")
    code, _, err = run("patterns", *options, "--out", tmp_path / "out")
    assert code == 2
    assert "run 2 of subject 01 lacks 1 of 3 stimuli (first: 'car')" in err
    assert run("patterns", *options, "--allow-missing", "--out", tmp_path / "out")[0] == 0
    assert _read(tmp_path / "out").n_observations == 8


def test_voxels_without_signal_are_counted_and_masks_of_another_space_refused(run, bids, masks, tmp_path):
    path = bids[0] / "sub-01" / "func" / "sub-01_task-faces_run-2_bold.nii.gz"
    values = nibabel.load(path).get_fdata()
    first, second = np.argwhere(masks[1]["FFA"])[:2]
    values[tuple(first)] = 7.0
    values[(*second, 3)] = np.nan
    _save(values, path, t_r=T_R)
    options = (bids[0], "--raw", "--subject", "01", "--json")
    code, text, err = run("patterns", *options, "--roi", masks[0], "--out", tmp_path / "out")
    assert code == 0, err
    report = json.loads(text)["patterns"][0]
    assert report["n_voxels_left_out"] == {"not_finite": 1, "constant": 1}
    assert report["n_voxels"] == masks[1]["FFA"].sum() - 2
    moved = AFFINE.copy()
    moved[0, 3] += 3
    other = _save(masks[1]["FFA"], tmp_path / "moved.nii", moved)
    code, _, err = run("patterns", *options, "--roi", f"FFA={other}", "--out", tmp_path / "moved")
    assert code == 2
    assert "moved.nii has another affine than" in err
    _save(np.zeros((*SHAPE, N_SCANS)), path, t_r=T_R)
    code, _, err = run("patterns", *options, "--roi", masks[0], "--out", tmp_path / "flat")
    assert code == 2
    assert "run-2_bold.nii.gz: all" in err


def test_an_image_that_does_not_say_its_repetition_time_is_refused(run, bids, masks, tmp_path):
    path = bids[0] / "sub-01" / "func" / "sub-01_task-faces_run-1_bold.nii.gz"
    image = nibabel.load(path)
    data = image.get_fdata(dtype=np.float32)
    image = nibabel.Nifti1Image(data, AFFINE)
    image.to_filename(path)
    code, _, err = run(
        "patterns", bids[0], "--raw", "--subject", "01", "--roi", masks[0], "--out", tmp_path / "out"
    )
    assert code == 2
    assert "does not say its repetition time in seconds" in err
    assert "--t-r SECONDS" in err


def test_other_folders_are_left_alone(run, bids, masks, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    code, _, err = run(
        "patterns", bids[0], "--raw", "--roi", masks[0], "--overwrite", "--out", tmp_path / "mine"
    )
    assert code == 2
    assert "holds something else than patterns" in err
    code, _, err = run(
        "patterns", bids[0], "--raw", "--roi", masks[0], "--out", tmp_path / "mine" / "notes.txt"
    )
    assert "is a file; name a folder" in err
    with pytest.raises(StoreError, match="holds no patterns; make them with"):
        list_patterns(tmp_path / "mine")


def test_patterns_that_are_not_there_are_named(tmp_path):
    for roi in ("FFA", "OFA"):
        path = tmp_path / "sub-01" / "func" / f"sub-01_task-faces_roi-{roi}_patterns.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        BrainPatterns(np.ones((2, 3)), ["a", "b"], ["1", "1"], roi, "01").save(path)
    with pytest.raises(
        ValueError, match=r"no patterns of region 'FFAA'; there are: FFA, OFA. Did you mean 'FFA'"
    ):
        list_patterns(tmp_path, rois=["FFAA"])
    with pytest.raises(ValueError, match=r"no patterns of subject '02'; there are: 01"):
        list_patterns(tmp_path, subjects=["02"])
    assert [item.roi for item in read_patterns(tmp_path, task="faces")] == ["FFA", "OFA"]
    (tmp_path / "sub-01" / "func" / "sub-01_task-rest_roi-FFA_patterns.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="several tasks: faces, rest; name one"):
        list_patterns(tmp_path)


@pytest.mark.slow
def test_participants_side_by_side_give_the_same_files(run, drawn, made, tmp_path):
    options = ("--raw", "--roi", drawn[0] / "rois", "--no-images", "--jobs", "2")
    assert run("patterns", drawn[0] / "bids", *options, "--out", tmp_path / "two")[0] == 0
    assert read_patterns(made[0]) == read_patterns(tmp_path / "two")


def test_sessions_have_patterns_of_their_own(run, bids, masks, tmp_path):
    for path in sorted((bids[0] / "sub-02" / "func").iterdir()):
        visit = "a" if "_run-1_" in path.name or "_run-2_" in path.name else "b"
        target = (
            bids[0]
            / "sub-02"
            / f"ses-{visit}"
            / "func"
            / path.name.replace("sub-02_", f"sub-02_ses-{visit}_")
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    out = tmp_path / "out"
    code, text, err = run("patterns", bids[0], "--raw", "--subject", "02", "--roi", masks[0], "--out", out)
    assert code == 0, err
    assert "02 a     FFA" in text
    found = read_patterns(out, rois=["FFA"])
    assert [(item.session, item.run_names) for item in found] == [("a", ["1", "2"]), ("b", ["3"])]
    assert (out / "sub-02" / "ses-b" / "func" / "sub-02_ses-b_task-faces_roi-FFA_patterns.npz").is_file()
