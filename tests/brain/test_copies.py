"""Copies are not independent: the same run under two numbers, the same file of two people."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from fernet_neuro._utils.likeness import Seen
from fernet_neuro.brain.copies import check_files_differ, check_new, check_runs_differ
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.probes.decoding import decode_patterns
from fernet_neuro.rsa.brain_rdms import compute_brain_rdms
from fernet_neuro.rsa.searchlight.folder import SubjectMaps
from fernet_neuro.rsa.searchlight.group import combine_maps

RNG = np.random.default_rng(4)


def test_a_run_under_two_numbers_is_refused():
    one, two = RNG.normal(size=(2, 4, 10))
    check_runs_differ(np.concatenate([one, two]), np.repeat(["1", "2"], 4), [*"abcd"] * 2, "a.nii")
    with pytest.raises(StimulusError, match=r"run 3 of a.nii holds the same values as run 1 of a\.nii"):
        check_runs_differ(
            np.concatenate([one, two, one]), np.repeat(["1", "2", "3"], 4), [*"abcd"] * 3, "a.nii"
        )


def test_few_numbers_may_be_equal_by_chance():
    check_runs_differ(np.ones((4, 2)), ["1", "1", "2", "2"], ["a", "b"] * 2, "a.nii")


def save(path, data, intent=0):
    image = nibabel.Nifti1Image(data, np.eye(4))
    image.header["intent_code"] = intent
    nibabel.save(image, path)
    return str(path)


@pytest.fixture
def volumes():
    """Four volumes whose first is that of every run: a brain in nothing."""
    data = np.zeros((6, 6, 6, 4), np.float32)
    data[2:5, 1:5, 1:5] = 1000 + 300 * RNG.normal(size=(3, 4, 4, 1)) + 10 * RNG.normal(size=(3, 4, 4, 4))
    return data


def test_images_are_compared_by_their_values_whatever_holds_them(tmp_path, volumes):
    other = volumes.copy()
    other[3, 3, 3, 2] += 5.0  # what comes first is the same
    blank, half = (np.concatenate([0 * data[..., :1], data[..., 1:]], axis=3) for data in (volumes, other))
    files = {
        save(tmp_path / "a.nii", volumes): "subject a",
        save(tmp_path / "b.nii.gz", other): "subject b",
        save(tmp_path / "c.nii", blank): "subject c",
        save(tmp_path / "d.nii", half): "subject d",
        save(tmp_path / "zeros.nii", 0 * volumes): "subject e",
        save(tmp_path / "zeros.nii.gz", 0 * volumes): "subject f",
        str(tmp_path / "gone.nii"): "subject g",
    }
    (tmp_path / "cut.nii").write_bytes((tmp_path / "a.nii").read_bytes()[:500])
    files[str(tmp_path / "cut.nii")] = "subject h"
    check_files_differ(files)
    copies = (
        save(tmp_path / "copy.nii.gz", volumes),
        save(tmp_path / "copy.nii", volumes, intent=2),
        save(tmp_path / "wide.nii", volumes.astype(np.float64)),
    )
    for copy in copies:
        with pytest.raises(StimulusError, match=rf"{copy} of z holds the same values as .*a\.nii of"):
            check_files_differ({**files, copy: "z"})
    blanked = save(tmp_path / "blanked.nii.gz", half)
    with pytest.raises(StimulusError, match=r"blanked.nii.gz of z holds the same values as .*d\.nii of subj"):
        check_files_differ({**files, blanked: "z"})


def test_surfaces_are_compared_by_their_values(tmp_path):
    def write(name, maps, encoding="GIFTI_ENCODING_B64GZ"):
        options = {"datatype": "NIFTI_TYPE_FLOAT32", "encoding": encoding}
        arrays = [nibabel.gifti.GiftiDataArray(row, **options) for row in maps]
        nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), tmp_path / name)
        return str(tmp_path / name)

    one, two = RNG.normal(size=(2, 5, 100)).astype(np.float32)
    two[0] = one[0]
    files = {write("a.func.gii", one): "run 1", write("b.func.gii", two): "run 2"}
    check_files_differ(files)
    copy = write("c.func.gii", two, "GIFTI_ENCODING_ASCII")
    with pytest.raises(StimulusError, match=r"c.func.gii of run 3 holds the same values as .*b.func.gii"):
        check_files_differ({**files, copy: "run 3"})


def test_runs_of_one_brain_are_told_apart_by_what_varies():
    """Anatomy is shared, voxels outside the brain are constant, and noise is small: not copies."""
    anatomy = np.concatenate([RNG.uniform(500, 1500, 400), np.zeros(600)])
    inside = anatomy > 0
    runs = [anatomy + inside * RNG.normal(size=(8, 1000)) for _ in range(30)]  # noise of a thousandth
    seen = Seen()
    for number, run in enumerate(runs):
        check_new(run, f"run {number}", seen, is_run=True)
    means = [run.mean(axis=0) for run in runs]
    for number, mean in enumerate(means):
        check_new(mean, f"mean {number}", seen)
    with pytest.raises(StimulusError, match="a copy holds the same values as run 7"):
        check_new((runs[7] * 2 + 3).astype(np.float32), "a copy", seen, is_run=True)
    with pytest.raises(StimulusError, match="packed holds the same values as run 9"):
        check_new(np.round(runs[9] * 20).astype(np.int16) / 20, "packed", seen, is_run=True)


def test_of_large_arrays_some_values_are_enough():
    large = RNG.normal(size=(40, 60_000))
    seen = Seen()
    check_new(large, "one", seen)
    check_new(large[::-1], "other", seen)
    with pytest.raises(StimulusError, match="third holds the same values as one"):
        check_new(large.copy(order="F"), "third", seen)


@pytest.mark.parametrize("n_rows", [8, 40])
def test_a_copy_in_another_order_of_rows_is_refused(n_rows):
    """With one row of each stimulus and with several, labels moved with the rows or left behind."""
    names = np.tile(list("abcdefgh"), n_rows // 8)
    one, two = RNG.normal(size=(2, n_rows, 20))
    order = RNG.permutation(n_rows)
    runs = np.repeat(["1", "2", "3"], n_rows)
    for values, labels in ((one[order], names[order]), (one, names[order]), (5 * one[order], names[order])):
        stack, stimuli = np.concatenate([one, two, values]), np.concatenate([names, names, labels])
        with pytest.raises(StimulusError, match=r"run 3 of a\.nii holds the same values as run 1 of"):
            check_runs_differ(stack, runs, stimuli, "a.nii")
        patterns = [
            BrainPatterns(stack[: 2 * n_rows], stimuli[: 2 * n_rows], runs[: 2 * n_rows], "V1", "01"),
            BrainPatterns(stack[n_rows:], stimuli[n_rows:], runs[n_rows:], "V1", "02"),
        ]
        patterns[1] = patterns[1].select(runs=["3"])
        for use in (compute_brain_rdms, decode_patterns):
            with pytest.raises(StimulusError, match=r"run 3 of V1 of subject 02 .* run 1 of V1 of"):
                use(patterns)


def test_runs_that_share_voxels_that_never_vary_are_no_copies(tmp_path, volumes):
    shared = np.tile(RNG.normal(1e5, 100, 50), (8, 1))
    one, two = (np.hstack([shared, RNG.normal(size=(8, 50))]) for _ in range(2))
    runs, names = np.repeat(["1", "2"], 8), [*"abcdefgh"] * 2
    check_runs_differ(np.concatenate([one, two]), runs, names, "a.nii")
    with pytest.raises(StimulusError, match="run 2 of"):
        check_runs_differ(np.concatenate([one, one]).astype(np.float32), runs, names, "a.nii")
    bright = volumes + RNG.normal(size=volumes.shape)
    for data in (volumes, bright):
        data[0] = 1e9
    files = {save(tmp_path / "a.nii", volumes.astype(float)): "a", save(tmp_path / "b.nii", bright): "b"}
    check_files_differ(files)
    with pytest.raises(StimulusError, match=r"c.nii of c holds the same values as .*a\.nii"):
        check_files_differ({**files, save(tmp_path / "c.nii", volumes.astype(float) * 3): "c"})


def make_patterns(values, subject="01", session="", roi="V1"):
    names, runs = np.tile(["a", "b", "c"], 2), np.repeat(["1", "2"], 3)
    return BrainPatterns(values, names, runs, roi, subject, session)


def test_runs_of_several_sessions_and_subjects_are_compared_where_patterns_are_read():
    one, two, three = RNG.normal(size=(3, 6, 20))
    fine = [make_patterns(one), make_patterns(two, session="2"), make_patterns(one, roi="V2")]
    decode_patterns(fine, n_permutations=0)
    compute_brain_rdms(fine)
    three[:3] = two[3:]
    copy = make_patterns(three, "02")
    said = "run 1 of V1 of subject 02 holds the same values as run 2 of V1 of subject 01, session 2"
    for use in (compute_brain_rdms, decode_patterns):
        with pytest.raises(StimulusError, match=said):
            use([*fine, copy])


def test_maps_of_a_group_are_of_different_subjects():
    mask = np.ones((4, 4, 4), dtype=bool)
    maps = [SubjectMaps(RNG.normal(size=(1, 64)), mask, np.eye(4), name, "", {}) for name in "abc"]
    combine_maps(maps)
    with pytest.raises(StimulusError, match="map of subject d holds the same values as the map of subject b"):
        combine_maps([*maps, replace(maps[1], subject="d")])
