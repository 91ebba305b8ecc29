"""The 92-image set as it was published: model, brain and behavioural RDMs in MATLAB's files."""

import numpy as np
import pytest

from fernet_neuro.rsa._rsatoolbox import compare_with_rsatoolbox
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.io import read_rdms

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def folder(data_root):
    folder = data_root / "kriegeskorte92"
    if not folder.is_dir():
        pytest.skip("the 92-image set is not in FERNET_NEURO_DATA")
    return folder


@pytest.fixture(scope="module")
def brain(folder):
    return read_rdms(folder / "92_brainRDMs.mat")


@pytest.fixture(scope="module")
def models(folder):
    return read_rdms(folder / "92_modelRDMs.mat")


def test_files_are_read_as_they_are(folder, brain, models):
    assert (brain.n_rdms, brain.n_stimuli) == (8, 92)
    assert brain.table["subject"].tolist() == ["BE", "BE", "KO", "KO", "SN", "SN", "TI", "TI"]
    assert brain.table["session"].tolist() == [1, 2] * 4
    assert set(brain.table["roi"]) == {"hIT"}
    assert models.names[:2] == ["animacy", "FaceBodyManmadeNatobj"]
    behaviour = read_rdms(folder / "92_behavRDMs.mat")
    assert behaviour.n_rdms == 16
    assert behaviour.table["subject"].tolist()[0] == "subject1"
    for name, rdms in (("brain", brain), ("models", models), ("behaviour", behaviour)):
        derived = read_rdms(folder / "rdms92.npz", variable=name)
        assert np.abs(derived.dissimilarities - rdms.dissimilarities).max() < 1e-6


def test_animacy_correlates_with_mean_human_it_as_published(brain, models):
    mean = brain.mean(by="subject").mean()
    found = compare_rdms(models.select(name="animacy"), mean, "spearman").values[0, 0]
    assert round(found, 2) == 0.59


@pytest.mark.parametrize(
    "comparison", ["pearson", "spearman", "rho_a", "whitened_pearson", "whitened_cosine"]
)
def test_comparisons_of_real_rdms_are_those_of_rsatoolbox(brain, models, comparison):
    ours = compare_rdms(models, brain, comparison).values
    assert np.abs(ours - compare_with_rsatoolbox(models, brain, comparison)).max() < 1e-10


def test_sessions_of_a_subject_are_repeated_measures(brain):
    subjects = brain.mean(by="subject")
    assert subjects.table.to_dict("list") == {"roi": ["hIT"] * 4, "subject": ["BE", "KO", "SN", "TI"]}
    between = compare_rdms(brain.select(session=1), brain.select(session=2), "spearman").values
    assert 0.09 < np.diag(between).min() < np.diag(between).max() < 0.4
