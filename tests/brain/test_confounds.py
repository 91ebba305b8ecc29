"""Confounds by name are those of nilearn; volumes that a strategy leaves out have a regressor each."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds_strategy

from fernet_neuro.brain.bids import RunFiles
from fernet_neuro.brain.confounds import read_run_confounds
from fernet_neuro.exceptions import StimulusError

N_SCANS = 40
STEM = "sub-01_task-faces_run-1"


@pytest.fixture
def run(tmp_path, rng):
    """A run as fMRIPrep writes it, with two volumes of strong motion and one of no steady state."""
    bold = tmp_path / f"{STEM}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    nibabel.save(nibabel.Nifti1Image(rng.normal(size=(3, 3, 3, N_SCANS)).astype(np.float32), np.eye(4)), bold)
    columns = {}
    for name in ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "csf", "white_matter"):
        values = np.cumsum(rng.normal(size=N_SCANS)) * 0.05
        slope = np.r_[np.nan, np.diff(values)]
        columns |= {name: values, f"{name}_derivative1": slope, f"{name}_power2": values**2}
        columns[f"{name}_derivative1_power2"] = slope**2
    columns["framewise_displacement"] = np.r_[np.nan, np.full(N_SCANS - 1, 0.05)]
    columns["framewise_displacement"][[20, 21]] = 2.0
    columns["std_dvars"] = np.r_[np.nan, np.ones(N_SCANS - 1)]
    columns["cosine00"] = np.cos(np.pi * (np.arange(N_SCANS) + 0.5) / N_SCANS)
    columns["non_steady_state_outlier00"] = (np.arange(N_SCANS) == 0).astype(float)
    table = tmp_path / f"{STEM}_desc-confounds_timeseries.tsv"
    pd.DataFrame(columns).to_csv(table, sep="\t", index=False, na_rep="n/a")
    table.with_suffix(".json").write_text(json.dumps({name: {} for name in columns}))
    return RunFiles("01", "", "faces", "1", str(bold), "events.tsv", str(table))


def test_a_strategy_is_that_of_nilearn(run):
    wanted, kept = load_confounds_strategy(run.bold, denoise_strategy="scrubbing")
    found = read_run_confounds(run, None, "scrubbing", N_SCANS)
    np.testing.assert_array_equal(found.iloc[:, : wanted.shape[1]], wanted)
    spikes = found.iloc[:, wanted.shape[1] :].to_numpy()
    left_out = np.setdiff1d(np.arange(N_SCANS), kept)
    assert {0, 20, 21} <= set(left_out.tolist())
    np.testing.assert_array_equal(np.flatnonzero(spikes.any(axis=1)), left_out)
    # The same estimates as without these volumes.
    rng = np.random.default_rng(1)
    series, task = rng.normal(size=N_SCANS), rng.normal(size=(N_SCANS, 1))
    design = np.hstack([task, np.ones((N_SCANS, 1)), found])
    cut = np.hstack([task, np.ones((N_SCANS, 1)), wanted])[kept]
    one, other = np.linalg.lstsq(design, series)[0][0], np.linalg.lstsq(cut, series[kept])[0][0]
    assert one == pytest.approx(other)


def test_motion_is_six_parameters(run):
    wanted = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    assert list(read_run_confounds(run, None, "motion", N_SCANS)) == wanted
    assert list(read_run_confounds(run, None, "", N_SCANS)) == wanted
    assert read_run_confounds(run, (), "", N_SCANS) is None


def test_a_strategy_without_its_columns_or_table_is_refused(run):
    with pytest.raises(StimulusError, match=r"the confounds of .*bold.nii.gz do not allow compcor"):
        read_run_confounds(run, None, "compcor", N_SCANS)
    bare = RunFiles("01", "", "faces", "1", run.bold, "events.tsv")
    assert read_run_confounds(bare, None, "", N_SCANS) is None
    with pytest.raises(StimulusError, match="has no table of confounds beside it, and one is asked for"):
        read_run_confounds(bare, None, "motion", N_SCANS)
