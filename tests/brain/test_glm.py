import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import FirstLevelModel, make_first_level_design_matrix
from nilearn.glm.regression import ARModel, OLSModel

from fernet_neuro.brain.glm import ESTIMATES, GlmSettings, build_design, estimate_run
from fernet_neuro.exceptions import StimulusError

T_R, N_SCANS, N_VOXELS = 1.5, 160, 13
# Not in alphabetical order, as what sorts names in silence must fail here.
STIMULI = ["face2", "car", "face10", "drift_1"]


@pytest.fixture
def events(rng):
    """Twelve events of four stimuli, one of them called like a regressor of nilearn's."""
    onsets = np.arange(12) * 17.0 + rng.uniform(0, 3, 12)
    return pd.DataFrame({"onset": onsets, "duration": 2.0, "stimulus_id": STIMULI * 3})


@pytest.fixture
def confounds(rng):
    return pd.DataFrame(rng.normal(size=(N_SCANS, 2)), columns=["trans_x", "constant"])


def _model(events, settings, **options):
    designs = [
        build_design(events, N_SCANS, T_R, settings, by_presentation=single, **options)
        for single in (None, False)
    ]
    return designs[0], designs[1]


def _simulate(design, rng, noise=1.0, rho=0.0, n_voxels=N_VOXELS):
    effects = rng.normal(size=(design.events.shape[1], n_voxels)) * 5
    white = rng.normal(size=(N_SCANS, n_voxels)) * noise
    for scan in range(1, N_SCANS):
        white[scan] += rho * white[scan - 1]
    drift = design.nuisance @ rng.normal(size=(design.nuisance.shape[1], n_voxels))
    return effects, design.events @ effects + drift + white


# nilearn's own model, given a mask, warns that it has one.
@pytest.mark.filterwarnings("ignore:.*Given mask will be used:RuntimeWarning")
@pytest.mark.parametrize("estimate", ["condition", "lsa"])
@pytest.mark.parametrize("noise_model", ["ar1", "ols"])
def test_estimates_are_those_of_nilearn(events, confounds, rng, estimate, noise_model):
    settings = GlmSettings(estimate, noise_model=noise_model)
    design, pooled = _model(events, settings, confounds=confounds)
    _, volumes = _simulate(design, rng, rho=0.4)
    found = estimate_run(volumes, design, settings, pooled=pooled)
    names = (
        [f"e{row:02d}" for row in range(12)]
        if estimate == "lsa"
        else [f"c{STIMULI.index(s)}" for s in STIMULI * 3]
    )
    matrix = make_first_level_design_matrix(
        np.arange(N_SCANS) * T_R, events.drop(columns="stimulus_id").assign(trial_type=names), "spm",
        add_regs=confounds.to_numpy(),
    )  # fmt: skip
    image = nibabel.Nifti1Image(volumes.T.reshape(N_VOXELS, 1, 1, N_SCANS), np.eye(4))
    mask = nibabel.Nifti1Image(np.ones((N_VOXELS, 1, 1), dtype=np.uint8), np.eye(4))
    theirs = FirstLevelModel(
        noise_model=noise_model, mask_img=mask, minimize_memory=False, signal_scaling=False
    )
    theirs.fit(image, design_matrices=matrix)
    for row, name in enumerate(dict.fromkeys(names)):
        beta = theirs.compute_contrast(name, output_type="effect_size").get_fdata().ravel()
        assert np.allclose(found.values[row], beta, rtol=1e-4)
    assert found.stimulus_ids.tolist() == (STIMULI * 3 if estimate == "lsa" else STIMULI)
    assert found.dof == N_SCANS - matrix.shape[1]
    in_t = estimate_run(
        volumes, design, GlmSettings(estimate, noise_model=noise_model, statistic="t"), pooled=pooled
    )
    stat = theirs.compute_contrast(names[0], stat_type="t", output_type="stat").get_fdata().ravel()
    assert np.allclose(in_t.values[0], stat, rtol=1e-4)
    assert np.allclose((in_t.residuals**2).sum(axis=0), found.dof)


@pytest.mark.parametrize("rho", [0.0, 0.35])
def test_one_model_per_presentation_is_that_model(events, confounds, rng, rho):
    settings = GlmSettings("lss", noise_model="ar1" if rho else "ols")
    design, pooled = _model(events, settings, confounds=confounds)
    _, volumes = _simulate(design, rng, rho=rho, n_voxels=1)
    found = estimate_run(volumes, design, settings, pooled=pooled)
    coefficient = 0.0
    if rho:
        rest = OLSModel(pooled.matrix).fit(volumes).residuals[:, 0]
        coefficient = int(rest[1:] @ rest[:-1] / (rest @ rest) * 100) / 100
    for row in range(12):
        others = design.events.sum(axis=1) - design.events[:, row]
        matrix = np.column_stack([design.events[:, row], others, design.nuisance])
        slow = ARModel(matrix, coefficient).fit(volumes).theta[0]
        assert np.allclose(found.values[row], slow, rtol=2e-2 if rho else 1e-9)
    assert found.stimulus_ids.tolist() == STIMULI * 3
    assert np.allclose(
        found.residuals,
        estimate_run(volumes, pooled, GlmSettings(noise_model=settings.noise_model), pooled=pooled).residuals,
    )


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_what_was_planted_is_found(events, rng, estimate):
    settings = GlmSettings(estimate)
    design, pooled = _model(events, settings)
    effects, volumes = _simulate(pooled, rng, noise=0.05, rho=0.3, n_voxels=200)
    found = estimate_run(volumes, design, settings, pooled=pooled)
    wanted = (
        effects if estimate == "condition" else effects[[STIMULI.index(name) for name in found.stimulus_ids]]
    )
    assert np.corrcoef(found.values.ravel(), wanted.ravel())[0, 1] > (0.8 if estimate == "lss" else 0.99)


def test_residuals_have_the_variance_of_the_noise(events, rng):
    settings = GlmSettings()
    design, pooled = _model(events, settings)
    _, volumes = _simulate(design, rng, noise=3.0, rho=0.4, n_voxels=2000)
    found = estimate_run(volumes, design, settings, pooled=pooled)
    assert (found.residuals**2).sum() / found.dof / 2000 == pytest.approx(9, rel=0.03)
    left = found.residuals
    assert abs((left[1:] * left[:-1]).sum() / (left**2).sum()) < 0.05  # independent in time


def test_stimuli_to_leave_out_are_modelled_and_not_returned(events, rng):
    design, _ = _model(events, GlmSettings(), leave_out=["car"])
    assert design.stimulus_ids.tolist() == ["face2", "face10", "drift_1"]
    whole, _ = _model(events, GlmSettings())
    assert np.linalg.matrix_rank(np.hstack([design.matrix, whole.matrix])) == whole.matrix.shape[1]
    single, _ = _model(events, GlmSettings("lsa"), leave_out=["car"])
    assert single.stimulus_ids.tolist() == ["face2", "face10", "drift_1"] * 3


def test_a_later_moment_of_the_volume_sees_the_response_earlier(events):
    early, _ = _model(events, GlmSettings())
    late, _ = _model(events.assign(onset=events["onset"] + T_R), GlmSettings(), start_time=T_R)
    unmoved, _ = _model(events, GlmSettings(), start_time=T_R)
    # nilearn convolves on a grid of its own, fifty to a volume.
    assert np.abs(early.events - late.events).max() < 0.02 * early.events.max()
    assert np.abs(early.events - unmoved.events).max() > 0.2 * early.events.max()


def test_impulses_are_allowed(events):
    design, _ = _model(events.assign(duration=0.0), GlmSettings())
    assert np.abs(design.events).max(axis=0).min() > 0


def test_what_cannot_be_estimated_is_named(events, confounds):
    with pytest.raises(StimulusError, match="no event is left"):
        _model(events, GlmSettings(), leave_out=STIMULI)
    late = events.assign(
        onset=np.where(events["stimulus_id"] == "car", N_SCANS * T_R - 1e-6, events["onset"])
    )
    with pytest.raises(StimulusError, match="event of 'car' leaves no trace"):
        _model(late, GlmSettings())
    twice = pd.concat([events, events.iloc[[0]].assign(stimulus_id="copy")], ignore_index=True)
    with pytest.raises(StimulusError, match=r"2 of 13 regressors are sums of others.*'face2'"):
        _model(twice, GlmSettings("lsa"))
    many = pd.DataFrame(np.random.default_rng(0).normal(size=(N_SCANS, N_SCANS - 3)))
    with pytest.raises(StimulusError, match="sums of others"):
        _model(events, GlmSettings(), confounds=many)
    with pytest.raises(ValueError, match="estimate='lss' needs pooled"):
        estimate_run(confounds.to_numpy(), _model(events, GlmSettings("lss"))[0], GlmSettings("lss"))
    settings = GlmSettings(drift_model="none", noise_model="ols")
    design, pooled = _model(events, settings, confounds=many.iloc[:, : N_SCANS - 5])
    with pytest.raises(StimulusError, match="has 160 regressors for 160 volumes"):
        estimate_run(confounds.to_numpy(), design, settings, pooled=pooled)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimate": "lsb"}, "estimate='lsb' is not known.*Did you mean"),
        ({"hrf_model": "smp"}, "hrf_model='smp' is not known"),
        ({"high_pass": -1}, "high_pass must be a finite number of 0 or more"),
        ({"estimate": "lss", "statistic": "t"}, "goes with estimate='condition' or 'lsa'"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        GlmSettings(**changes)


def test_events_without_a_stimulus_are_modelled_and_not_estimated(events, rng):
    settings = GlmSettings(noise_model="ols")
    onsets = events["onset"].to_numpy() + 3.0  # a button press after each face
    others = pd.DataFrame({"onset": onsets, "duration": 0.0, "kind": "answer"})
    design = build_design(events, N_SCANS, T_R, settings, others=others)
    bare = build_design(events, N_SCANS, T_R, settings)
    assert design.stimulus_ids.tolist() == bare.stimulus_ids.tolist()
    assert design.nuisance.shape[1] == bare.nuisance.shape[1] + 1
    effects = rng.normal(size=(4, N_VOXELS))
    volumes = bare.events @ effects + 100 + 100 * design.nuisance[:, :1] @ np.ones((1, N_VOXELS))
    np.testing.assert_allclose(estimate_run(volumes, design, settings).values, effects, atol=1e-8)
    assert np.abs(estimate_run(volumes, bare, settings).values - effects).max() > 0.5
