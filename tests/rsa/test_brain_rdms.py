import numpy as np
import pandas as pd
import pytest

from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.exceptions import AlignmentError, StoreError
from fernet_neuro.rsa.brain_rdms import compute_brain_rdms, read_brain
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.files.toolbox import compute_with_rsatoolbox
from fernet_neuro.rsa.rdms import RDMSet

IDS = ["face9", "hand2", "tool10", "face1", "car7"]


def make_patterns(rng, subject="01", roi="FFA", session="", n_voxels=11, noise=None):
    """Five stimuli in three runs, in an order of their own in each."""
    ids = np.concatenate([rng.permutation(IDS) for _ in range(3)])
    runs = np.repeat(["1", "2", "3"], len(IDS))
    values = rng.normal(size=(len(ids), n_voxels))
    return BrainPatterns(values, ids, runs, roi, subject, session, noise_covariance=noise)


@pytest.fixture
def covariance(rng):
    root = rng.normal(size=(11, 31))
    return root @ root.T / 31


def test_rdms_carry_region_subject_session_and_size(rng):
    rdms = compute_brain_rdms(
        [make_patterns(rng, "01", session="2"), make_patterns(rng, "02", "STS", "1", n_voxels=7)]
    )
    assert rdms.table.to_dict("list") == {
        "subject": ["01", "02"],
        "session": ["2", "1"],
        "roi": ["FFA", "STS"],
        "n_voxels": [11, 7],
    }
    assert rdms.distance == "crossnobis"
    assert "session" not in compute_brain_rdms([make_patterns(rng)]).table


def test_crossnobis_is_that_of_rsatoolbox_with_the_noise_of_the_patterns(rng, covariance):
    patterns = make_patterns(rng, noise=covariance)
    ours = compute_brain_rdms([patterns], stimulus_ids=IDS)
    theirs = compute_with_rsatoolbox(
        patterns.values,
        patterns.stimulus_ids,
        "crossnobis",
        runs=patterns.runs,
        precision=np.linalg.inv(covariance),
    ).align_to(IDS)
    assert np.abs(ours.dissimilarities - theirs.dissimilarities).max() < 1e-10
    assert ours.unit == "squared noise sd per channel"


def test_other_distances_average_the_observations_of_a_stimulus(rng):
    patterns = make_patterns(rng)
    means = [patterns.values[patterns.stimulus_ids == name].mean(axis=0) for name in IDS]
    expected = compute_rdms(np.array(means), distance="correlation", stimulus_ids=IDS)
    found = compute_brain_rdms([patterns], "correlation", stimulus_ids=IDS)
    assert np.abs(found.dissimilarities - expected.dissimilarities).max() < 1e-12


def test_the_order_of_observations_changes_no_dissimilarity(rng):
    patterns = make_patterns(rng)
    shuffled = patterns.take(rng.permutation(15))
    one, other = compute_brain_rdms([patterns]), compute_brain_rdms([shuffled])
    assert np.abs(other.align_to(one.stimulus_ids).dissimilarities - one.dissimilarities).max() < 1e-12
    both = compute_brain_rdms([patterns, make_patterns(rng, "02")])
    assert both.stimulus_ids.tolist() == patterns.stimuli


def test_a_folder_of_patterns_is_read_in_the_order_asked_for(rng, tmp_path):
    made = [make_patterns(rng, subject, roi) for subject in ("01", "02") for roi in ("FFA", "STS")]
    for item in made:
        folder = tmp_path / f"sub-{item.subject}" / "func"
        item.save(folder / f"sub-{item.subject}_task-faces_roi-{item.roi}_patterns.npz")
    everything = read_brain(tmp_path, stimulus_ids=IDS)
    assert everything == compute_brain_rdms(made, stimulus_ids=IDS)
    ffa = read_brain(tmp_path, stimulus_ids=IDS[:3], rois=["FFA"])
    expected = everything.select(roi="FFA").align_to(IDS[:3])
    assert ffa.table.equals(expected.table)
    assert np.abs(ffa.dissimilarities - expected.dissimilarities).max() < 1e-12
    with pytest.raises(ValueError, match=r"of ROI 'FFB'; there are: FFA, STS. Did you mean 'FFA'"):
        read_brain(tmp_path, rois=["FFA", "FFB"])


def test_a_file_of_rdms_says_whose_each_is(brain, tmp_path):
    brain.save(tmp_path / "brain.npz")
    assert read_brain(tmp_path / "brain.npz") == brain
    other = RDMSet(
        brain.dissimilarities, brain.stimulus_ids, brain.table.rename(columns={"subject": "participant"})
    )
    other.save(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"no column 'subject' .* participant.*--subject-column"):
        read_brain(tmp_path / "other.npz")
    found = read_brain(tmp_path / "other.npz", subject_column="participant")
    assert sorted(found.table) == sorted(brain.table)
    assert found.table["subject"].tolist() == brain.table["subject"].tolist()
    with pytest.raises(ValueError, match="no RDM is of roi 'STS'"):
        read_brain(tmp_path / "brain.npz", rois=["STS"])


def test_what_cannot_be_compared_is_named(rng, covariance, tmp_path):
    patterns = make_patterns(rng)
    fewer = patterns.select(stimulus_ids=IDS[:4])
    with pytest.raises(AlignmentError, match=r"FFA of subject 02: .* no patterns of 1 .*'car7'"):
        compute_brain_rdms(
            [patterns, BrainPatterns(fewer.values, fewer.stimulus_ids, fewer.runs, "FFA", "02")]
        )
    with pytest.raises(AlignmentError, match=r"1 of 5 in FFA of subject 01 are not .*'car7'"):
        compute_brain_rdms(
            [BrainPatterns(fewer.values, fewer.stimulus_ids, fewer.runs, "FFA", "02"), patterns]
        )
    with pytest.raises(ValueError, match="two sets of patterns are of FFA of subject 01"):
        compute_brain_rdms([patterns, patterns])
    with pytest.raises(ValueError, match="some have a noise covariance and some have not"):
        compute_brain_rdms([patterns, make_patterns(rng, "02", noise=covariance)])
    with pytest.raises(ValueError, match=r"FFA of subject 01: crossnobis needs two or more runs"):
        compute_brain_rdms([patterns.select(runs=["2"])])
    with pytest.raises(ValueError, match="needs patterns of one region"):
        compute_brain_rdms([])
    with pytest.raises(ValueError, match=r"distance='crosnobis' .* Did you mean 'crossnobis'"):
        compute_brain_rdms([patterns], "crosnobis")
    with pytest.raises(StoreError, match="holds no patterns"):
        read_brain(tmp_path)


def test_a_run_without_a_stimulus_is_named_with_its_subject(rng):
    patterns = make_patterns(rng)
    keep = ~((patterns.stimulus_ids == "car7") & (patterns.runs == "3"))
    with pytest.raises(ValueError, match=r"FFA of subject 01: run '3' .*'car7'"):
        compute_brain_rdms([patterns.take(keep)])


def test_subjects_may_come_from_an_axis_of_an_array(rng, tmp_path):
    np.savez(tmp_path / "group.npz", rdms=rng.uniform(size=(3, 10)))
    found = read_brain(tmp_path / "group.npz", subject_column="index", stimulus_ids=IDS)
    assert found.table.equals(pd.DataFrame({"subject": list("012")}, dtype=object))
    assert found.stimulus_ids.tolist() == IDS
