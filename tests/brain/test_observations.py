import numpy as np
import pandas as pd
import pytest
from scipy.signal import detrend

from fernet_neuro.brain.noise import compute_covariance
from fernet_neuro.brain.observations import check_complete, cut_region, observe_volumes
from fernet_neuro.exceptions import StimulusError


@pytest.fixture
def labels():
    """Two runs of blocks: rest, car, face, rest; three volumes each."""
    shown = np.repeat(["rest", "car", "face", "rest"], 3)
    return pd.DataFrame({"stimulus_id": np.tile(shown, 2), "run": np.repeat(["1", "2"], 12)})


@pytest.fixture
def volumes(rng):
    return rng.normal(size=(24, 7)) + np.arange(24)[:, None] * 0.3 + 100


def test_volumes_are_detrended_and_z_scored_in_each_run(volumes, labels):
    found = observe_volumes(volumes, labels, detrend=True, zscore=True)
    for run in ("1", "2"):
        rows = (labels["run"] == run).to_numpy()
        line_off = detrend(volumes[rows], axis=0)
        assert np.allclose(found.values[rows], line_off / line_off.std(axis=0, ddof=1))
    plain = observe_volumes(volumes, labels)
    assert np.array_equal(plain.values, volumes)
    only = observe_volumes(volumes, labels, zscore=True)
    assert np.allclose(only.values[:12].mean(axis=0), 0)
    assert np.allclose(only.values[12:].std(axis=0, ddof=1), 1)


def test_z_scores_can_go_by_rest(volumes, labels):
    found = observe_volumes(volumes, labels, zscore=True, baseline="rest", leave_out=["rest"])
    part, rest = volumes[:12], (labels["stimulus_id"] == "rest").to_numpy()[:12]
    wanted = (part - part[rest].mean(axis=0)) / part[rest].std(axis=0, ddof=1)
    assert np.allclose(found.values[:6], wanted[3:9])
    assert set(found.stimulus_ids) == {"car", "face"}
    with pytest.raises(ValueError, match="a baseline is for z-scores"):
        observe_volumes(volumes, labels, baseline="rest")
    with pytest.raises(StimulusError, match="run 1 has 0 volumes to go by"):
        observe_volumes(volumes, labels, zscore=True, baseline="fixation")
    volumes[:3, 4] = volumes[9:12, 4] = 5
    with pytest.raises(
        StimulusError, match="1 of 7 voxels do not vary in the volumes that z-scores go by in run 1"
    ):
        observe_volumes(volumes, labels, zscore=True, baseline="rest")


def test_means_of_blocks_keep_the_noise_of_their_volumes(volumes, labels):
    single = observe_volumes(volumes, labels, leave_out=["rest"])
    means = observe_volumes(volumes, labels, leave_out=["rest"], average=True)
    assert means.stimulus_ids.tolist() == ["car", "face"] * 2
    assert means.runs.tolist() == ["1", "1", "2", "2"]
    assert np.allclose(means.values[1], volumes[6:9].mean(axis=0))
    for found in (single, means):
        assert found.dof == {"1": 4, "2": 4}
        assert np.allclose(found.residuals["1"][:3], volumes[3:6] - volumes[3:6].mean(axis=0))


def test_without_repetitions_noise_is_what_means_of_stimuli_and_runs_leave(rng):
    values = rng.normal(size=(15, 4))
    labels = pd.DataFrame({"stimulus_id": ["a", "b", "c"] * 5, "run": np.repeat(list("12345"), 3)})
    found = observe_volumes(values, labels)
    cube = values.reshape(5, 3, 4)
    left = cube - cube.mean(axis=0) - cube.mean(axis=1, keepdims=True) + cube.mean(axis=(0, 1))
    assert np.allclose(np.stack(list(found.residuals.values())), left)
    assert sum(found.dof.values()) == 8


def test_a_region_has_the_noise_of_its_voxels(volumes, labels):
    observed = observe_volumes(volumes, labels, leave_out=["rest"])
    inside = np.array([True, False, True, True, False, False, True])
    found = cut_region(observed, inside, "FFA", subject="01", unit="z").patterns
    assert np.array_equal(found.values, observed.values[:, inside])
    left = np.concatenate([part[:, inside] for part in observed.residuals.values()])
    assert np.allclose(found.noise_covariance, compute_covariance(left, dof=8))
    by_run = cut_region(observed, inside, "FFA", subject="01", noise="diag", noise_by_run=True).patterns
    assert list(by_run.noise_covariance) == ["1", "2"]
    assert np.allclose(
        np.diag(by_run.noise_covariance["2"]), (observed.residuals["2"][:, inside] ** 2).sum(axis=0) / 4
    )
    assert cut_region(observed, inside, "FFA", subject="01", noise="none").patterns.noise_covariance is None


def test_voxels_without_signal_are_left_out_and_counted(volumes, labels):
    volumes[5, 1] = np.nan
    volumes[12:, 2] = 3.0  # constant in the second run alone
    observed = observe_volumes(volumes, labels, zscore=True, leave_out=["rest"])
    inside = np.array([True, True, True, False, True, True, False])
    found = cut_region(observed, inside, "FFA", subject="01")
    assert found.patterns.n_voxels == 3
    assert found.left_out == {"not_finite": 1, "constant": 1}
    assert np.flatnonzero(found.inside).tolist() == [0, 4, 5]
    with pytest.raises(StimulusError, match="region FFA of subject 01: all 2 voxels are NaN or constant"):
        cut_region(observed, np.array([False, True, True, False, False, False, False]), "FFA", subject="01")
    volumes[:] = 0
    with pytest.raises(StimulusError, match="betas: all 7 voxels are NaN or constant"):
        observe_volumes(volumes, labels, name="betas")


def test_what_does_not_go_together_is_refused(volumes, labels):
    with pytest.raises(ValueError, match="betas have 23 volumes, the table of labels 24 rows"):
        observe_volumes(volumes[:23], labels, name="betas")
    with pytest.raises(
        ValueError, match=r"no stimulus 'rset' to leave out; there are: rest, car, face.*'rest'"
    ):
        observe_volumes(volumes, labels, leave_out=["rset"])
    with pytest.raises(StimulusError, match="no volume is left"):
        observe_volumes(volumes, labels, leave_out=["rest", "car", "face"])
    few = labels.assign(run=["1"] * 22 + ["2"] * 2)
    with pytest.raises(
        StimulusError, match="run 2 has 2 volumes to go by; detrending and z-scoring need three"
    ):
        observe_volumes(volumes, few, detrend=True)
    observed = observe_volumes(volumes, labels)
    with pytest.raises(ValueError, match="noise='shrinkage' is not known"):
        cut_region(observed, np.ones(7, dtype=bool), "FFA", subject="01", noise="shrinkage")
    once = observe_volumes(volumes[:2], labels[1:3].assign(stimulus_id=["a", "b"]))
    with pytest.raises(ValueError, match=r"noise of region FFA cannot be estimated: .*noise none"):
        cut_region(once, np.ones(7, dtype=bool), "FFA", subject="01")


def test_a_run_without_a_stimulus_is_named():
    ids, runs = np.array(["a", "b", "a", "b", "b"]), np.array(["1", "1", "2", "2", "3"])
    check_complete(ids[:4], runs[:4], "subject 01")
    with pytest.raises(StimulusError, match=r"run 3 of subject 01 lacks 1 of 2 stimuli \(first: 'a'\)"):
        check_complete(ids, runs, "subject 01")
