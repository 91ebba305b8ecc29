import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from fernet_neuro.brain.noise import COVARIANCES, compute_covariance, compute_precision
from fernet_neuro.rsa.files.toolbox import import_rsatoolbox


@pytest.fixture
def residuals(rng):
    return rng.normal(size=(41, 9)) @ rng.normal(size=(9, 9)) + 5


@pytest.mark.parametrize("method", COVARIANCES)
@pytest.mark.parametrize("dof", [None, 33])
def test_estimates_are_those_of_rsatoolbox(residuals, method, dof):
    noise = import_rsatoolbox().data.noise
    theirs = noise.cov_from_residuals(residuals, dof=dof, method=method)
    assert np.abs(compute_covariance(residuals, method, dof=dof) - theirs).max() < 1e-10
    theirs = noise.prec_from_residuals(residuals, dof=dof, method=method)
    assert np.abs(compute_precision(residuals, method, dof=dof) - theirs).max() < 1e-10 * np.abs(theirs).max()


def test_shrinkage_to_the_identity_is_that_of_scikit_learn(residuals):
    theirs, _ = ledoit_wolf(residuals)
    assert np.allclose(compute_covariance(residuals, dof=41), theirs, atol=1e-12)


@pytest.mark.parametrize("method", ["shrinkage_eye", "shrinkage_diag"])
def test_shrinkage_gives_an_inverse_with_fewer_observations_than_channels(rng, method):
    residuals = rng.normal(size=(11, 29))
    precision = compute_precision(residuals, method)
    assert np.linalg.eigvalsh(precision).min() > 0
    assert np.allclose(precision @ compute_covariance(residuals, method), np.eye(29), atol=1e-9)
    with pytest.raises(
        ValueError, match=r"full covariance of 29 channels from 11 observations has no inverse"
    ):
        compute_precision(residuals, "full")


@pytest.mark.parametrize("method", COVARIANCES)
def test_many_observations_show_the_true_covariance(rng, method):
    true = (
        np.diag([1.0, 2.0, 4.0]) if method == "diag" else np.array([[1, 0.5, 0], [0.5, 2, 0.3], [0, 0.3, 4]])
    )
    residuals = rng.normal(size=(20000, 3)) @ np.linalg.cholesky(true).T
    assert np.allclose(compute_covariance(residuals, method), true, atol=0.15)


def test_shrinkage_is_nearer_to_the_truth_than_the_sample(rng):
    errors = dict.fromkeys(("shrinkage_eye", "full"), 0.0)
    for _ in range(20):
        residuals = rng.normal(size=(15, 12))
        for method in errors:
            errors[method] += ((compute_covariance(residuals, method) - np.eye(12)) ** 2).sum()
    assert errors["shrinkage_eye"] < errors["full"] / 3


def test_one_channel_has_its_variance(rng):
    residuals = rng.normal(size=(17, 1))
    for method in COVARIANCES:
        assert np.allclose(compute_covariance(residuals, method), residuals.var(ddof=1))


def test_a_bad_channel_is_named(residuals):
    with pytest.raises(ValueError, match=r"'shrinkage_ey' is not known.*'shrinkage_eye'"):
        compute_precision(residuals, "shrinkage_ey")
    with pytest.raises(ValueError, match=r"two or more observations; got \(1, 9\)"):
        compute_precision(residuals[:1])
    with pytest.raises(ValueError, match="dof must be >= 1"):
        compute_precision(residuals, dof=0)
    residuals[:, [4, 6]] = 0.3
    with pytest.raises(ValueError, match=r"constant in 2 of 9 channels \(first: channel 4\)"):
        compute_precision(residuals)
    residuals[20, 7] = np.nan
    with pytest.raises(ValueError, match=r"1 values not finite \(first: nan in channel 7, observation 20\)"):
        compute_precision(residuals)
