"""Noise precision from residuals: how voxels vary, and vary together, when the stimulus does not.

What belongs here: estimates of the covariance of channels, and their inverse; distances that use it are in
``rsa/distances.py``.
"""

from collections.abc import Callable

import numpy as np

from fernet_neuro._utils.validation import check_option, check_range


def compute_covariance(
    residuals: np.ndarray, method: str = "shrinkage_eye", *, dof: float | None = None
) -> np.ndarray:
    """Return an estimate of the covariance of channels.

    Parameters
    ----------
    residuals : ndarray of shape (n_observations, n_channels)
        Their mean over observations is taken off.
    method : str, default="shrinkage_eye"
        A name in `COVARIANCES`: ``shrinkage_eye`` shrinks towards a multiple of the identity [1]_,
        ``shrinkage_diag`` towards the variances [2]_, by as much as the data say; ``diag`` has variances
        alone, ``full`` is the sample covariance.
    dof : float or None, default=n_observations - 1
        Degrees of freedom: observations less the columns of the design matrix whose residuals these are.

    Returns
    -------
    ndarray of shape (n_channels, n_channels)
        Squared unit of the residuals.

    Raises
    ------
    ValueError
        If values are not finite, there are fewer than two observations, or a channel is constant; the message
        names the channel.

    References
    ----------
    .. [1] Ledoit & Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices,
       Journal of Multivariate Analysis 88, equations 14-18.
    .. [2] Schaefer & Strimmer (2005), A shrinkage approach to large-scale covariance matrix estimation,
       Statistical Applications in Genetics and Molecular Biology 4, target D.
    """
    check_option("method", method, COVARIANCES)
    values = _check_residuals(residuals)
    degrees = float(len(values) - 1 if dof is None else check_range("dof", dof, minimum=1))
    return COVARIANCES[method](values - values.mean(axis=0), degrees)


def compute_precision(
    residuals: np.ndarray, method: str = "shrinkage_eye", *, dof: float | None = None
) -> np.ndarray:
    """Return the inverse of `compute_covariance`, shape (n_channels, n_channels).

    Raises ValueError as there, or if the covariance has no inverse.
    """
    covariance = compute_covariance(residuals, method, dof=dof)
    n_channels, n_observations = len(covariance), len(residuals)
    name = f"the {method} covariance of {n_channels} channels from {n_observations} observations"
    return invert_covariance(covariance, name)


def invert_covariance(covariance: np.ndarray, name: str = "the noise covariance") -> np.ndarray:
    """Return the inverse of a symmetric matrix, shape (n_channels, n_channels), symmetric to the last digit.

    Raises ValueError if it has none; the message starts with `name`.
    """
    if np.linalg.matrix_rank(covariance, hermitian=True) < len(covariance):
        raise ValueError(f"{name} has no inverse; use method='shrinkage_eye'.")
    precision = np.linalg.inv(covariance)
    return (precision + precision.T) / 2


def _check_residuals(residuals: np.ndarray) -> np.ndarray:
    values = np.asarray(residuals, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 1 or len(values) < 2:
        raise ValueError(
            f"residuals must have shape (n_observations, n_channels), two or more observations; got "
            f"{values.shape}."
        )
    finite = np.isfinite(values)
    if not finite.all():
        row, channel = np.argwhere(~finite)[0]
        raise ValueError(
            f"residuals have {int((~finite).sum())} values not finite (first: {values[row, channel]} "
            f"in channel {channel}, observation {row})."
        )
    constant = np.flatnonzero((values == values[0]).all(axis=0))
    if len(constant):
        raise ValueError(
            f"residuals are constant in {len(constant)} of {values.shape[1]} channels (first: channel "
            f"{constant[0]}); leave those channels out, of the patterns too."
        )
    return values


def _full(centred: np.ndarray, dof: float) -> np.ndarray:
    return centred.T @ centred / dof


def _diag(centred: np.ndarray, dof: float) -> np.ndarray:
    return np.diag((centred**2).sum(axis=0) / dof)


def _shrinkage_eye(centred: np.ndarray, dof: float) -> np.ndarray:
    n_observations, n_channels = centred.shape
    sample = centred.T @ centred / n_observations
    target = np.trace(sample) / n_channels * np.eye(n_channels)
    distance = ((sample - target) ** 2).sum()
    # The mean squared error of the sample covariance: its fourth moments are those of the rows' lengths.
    error = (((centred**2).sum(axis=1) ** 2).mean() - (sample**2).sum()) / n_observations
    share = min(error, distance) / distance if distance > 0 else 0.0
    return (share * target + (1 - share) * sample) * n_observations / dof


def _shrinkage_diag(centred: np.ndarray, dof: float) -> np.ndarray:
    n_observations, n_channels = centred.shape
    covariance = centred.T @ centred / dof
    scaled = centred / np.sqrt(np.diag(covariance))
    off = ~np.eye(n_channels, dtype=bool)
    # Differs from [2]: the moments are divided as in rsatoolbox (n - 1 and dof), so that both agree.
    correlation = scaled.T @ scaled / (n_observations - 1)
    fourth = (scaled**2).T @ (scaled**2) / (n_observations - 1)
    error = n_observations / dof**2 * (fourth - correlation**2)[off].sum()
    total = (correlation[off] ** 2).sum()
    share = min(max(error / total, 0.0), 1.0) if total > 0 else 0.0
    return np.where(off, (1 - share) * covariance, covariance)


#: Estimates of a covariance by name, of centred residuals and degrees of freedom.
COVARIANCES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "shrinkage_eye": _shrinkage_eye,
    "shrinkage_diag": _shrinkage_diag,
    "diag": _diag,
    "full": _full,
}
