"""The 92-image set as it was published: model, brain and behavioural RDMs in MATLAB's files."""

import numpy as np
import pytest
from typer.testing import CliRunner

from fernet_neuro.cli.app import app
from fernet_neuro.rsa.analysis.models import concat_models
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.files.io import read_rdms
from fernet_neuro.rsa.files.toolbox import compare_with_rsatoolbox, import_rsatoolbox, to_rsatoolbox
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.result import RSAResult

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
    assert brain.table["session"].tolist() == ["1", "2"] * 4
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


def test_animacy_reaches_the_lower_ceiling_of_human_it(brain):
    # Each subject against the plain mean of the others; rsatoolbox and the engine pool ranks: .37.
    subjects = brain.mean(by="subject")
    held_out = [
        compare_rdms(subjects.take([row]), subjects.take(np.arange(4) != row).mean(), "spearman").values[0, 0]
        for row in range(4)
    ]
    assert round(float(np.mean(held_out)), 2) == 0.38


def test_the_command_reads_the_files_and_agrees_with_rsatoolbox_on_the_same_samples(folder, tmp_path):
    arguments = [
        "--models", folder / "92_modelRDMs.mat", "--brain", folder / "92_brainRDMs.mat",
        "--comparison", "spearman", "--inference", "bootstrap", "--bootstrap", 10, "--permutations", 99,
        "--no-report",
    ]  # fmt: skip
    found = {}
    for engine in ("own", "rsatoolbox"):
        done = CliRunner().invoke(
            app, ["rsa", *map(str, arguments), "--engine", engine, "--out", str(tmp_path / engine)]
        )
        assert done.exit_code == 0, done.output
        found[engine] = RSAResult.load(tmp_path / engine)
    for table in ("estimates", "pairwise", "ceilings"):
        ours, theirs = (getattr(result, table).select_dtypes("number") for result in found.values())
        assert np.abs(ours.to_numpy() - theirs.to_numpy()).max() < 1e-8
    frame = found["own"].estimates.set_index("model")
    assert (frame["n_subjects"].unique().tolist(), frame["n_stimuli"].unique().tolist()) == ([4], [92])
    assert round(frame.loc["animacy", "estimate"], 2) == 0.39
    assert (frame["p_permutation"] == 0.01).sum() >= 6


def test_ceilings_are_those_of_rsatoolbox(folder, brain):
    import_rsatoolbox()  # without the warnings of its imports
    from rsatoolbox.inference import boot_noise_ceiling

    models = read_rdms(folder / "92_modelRDMs.mat")
    for comparison, name in (("spearman", "spearman"), ("pearson", "corr")):
        result = infer_rsa(models, brain, comparison=comparison, n_bootstraps=10, n_permutations=0)
        expected = boot_noise_ceiling(to_rsatoolbox(brain.mean(by="subject")), method=name)
        assert np.allclose(result.ceilings[["lower", "upper"]].to_numpy()[0], expected, atol=1e-10)


def test_judgements_of_similarity_are_models_of_human_it(folder, brain):
    judged = read_rdms(folder / "92_behavRDMs.mat")
    models = concat_models([judged, judged.mean()], ["judges", "mean"])
    assert models.n_rdms == 17
    result = infer_rsa(models, brain, comparison="spearman", n_bootstraps=10, n_permutations=0)
    estimates = result.estimates["estimate"].to_numpy()
    assert 0.05 < estimates.min() < estimates[:16].mean() < estimates[16] < estimates.max() < 0.3
    assert "model_subject" in result.estimates
