"""From the time series of a run to one pattern per stimulus or presentation: the general linear model.

What belongs here: designs (through nilearn), their estimates and residuals; files are read elsewhere.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.validation import check_between, check_option, check_range
from fernet_neuro.exceptions import StimulusError

#: Haemodynamic response functions with one regressor per event, by nilearn's names.
HRF_MODELS = ("spm", "glover")
#: Models of slow drifts, by nilearn's names.
DRIFT_MODELS = ("cosine", "polynomial", "none")
#: Models of the noise in time: first-order autoregressive, or independent.
NOISE_MODELS = ("ar1", "ols")
#: What a pattern holds: effects, or effects in units of their standard error.
STATISTICS = ("beta", "t")
#: A regressor of which less than this share is its own cannot be estimated.
_ESTIMABLE = 1e-6
#: Bins between 0 and 1 of autoregressive coefficients; voxels of a bin share a model (nilearn's default).
_BINS = 100


@dataclass(frozen=True)
class GlmSettings:
    """How runs are modelled.

    Parameters
    ----------
    estimate : str, default="condition"
        A name in `ESTIMATES`: ``condition`` has one regressor per stimulus; ``lsa`` one per presentation, all
        in one model; ``lss`` one model per presentation, in which all others share a regressor [1]_.
    hrf_model : {"spm", "glover"}, default="spm"
    drift_model : {"cosine", "polynomial", "none"}, default="cosine"
    high_pass : float, default=0.01
        Cut-off of the cosine drifts, Hz.
    drift_order : int, default=1
        Of the polynomial drifts.
    noise_model : {"ar1", "ols"}, default="ar1"
    statistic : {"beta", "t"}, default="beta"
        Not ``t`` for ``lss``, whose models each have a noise of their own.

    Raises
    ------
    ValueError
        If a name is not known, or a value out of range.

    References
    ----------
    .. [1] Mumford, Turner, Ashby & Poldrack (2012), Deconvolving BOLD activation in event-related designs for
       multivoxel pattern classification analyses, NeuroImage 59.
    """

    estimate: str = "condition"
    hrf_model: str = "spm"
    drift_model: str = "cosine"
    high_pass: float = 0.01
    drift_order: int = 1
    noise_model: str = "ar1"
    statistic: str = "beta"

    def __post_init__(self) -> None:
        for name, options in (
            ("estimate", ESTIMATES), ("hrf_model", HRF_MODELS), ("drift_model", DRIFT_MODELS),
            ("noise_model", NOISE_MODELS), ("statistic", STATISTICS),
        ):  # fmt: skip
            check_option(name, getattr(self, name), options)
        check_between("high_pass", self.high_pass, high=inf, ends=True)
        check_range("drift_order", self.drift_order, minimum=0)
        if self.estimate == "lss" and self.statistic == "t":
            raise ValueError("statistic='t' goes with estimate='condition' or 'lsa', not 'lss'.")


@dataclass(frozen=True, eq=False)
class Design:
    """What the volumes of a run are modelled by.

    `events` (n_scans, n_observations): convolved regressors of which patterns are estimated. `stimulus_ids`
    (n_observations,). `nuisance` (n_scans, n_nuisance): stimuli to leave out, confounds, drifts, a constant.
    """

    events: np.ndarray
    stimulus_ids: np.ndarray
    nuisance: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """All regressors, ndarray of shape (n_scans, n_observations + n_nuisance)."""
        return np.hstack([self.events, self.nuisance])


@dataclass(frozen=True, eq=False)
class RunEstimates:
    """What a model says about one run.

    `values` (n_observations, n_voxels). `stimulus_ids` (n_observations,). `residuals` (n_scans, n_voxels):
    what the model leaves of the volumes, in time as independent as the noise model makes them; divided by
    each voxel's noise where values are t. `dof`: volumes less the rank of the design.
    """

    values: np.ndarray
    stimulus_ids: np.ndarray
    residuals: np.ndarray
    dof: int


def build_design(
    events: pd.DataFrame,
    n_scans: int,
    t_r: float,
    settings: GlmSettings,
    *,
    confounds: pd.DataFrame | None = None,
    leave_out: Sequence[str] = (),
    start_time: float = 0.0,
    by_presentation: bool | None = None,
    others: pd.DataFrame | None = None,
) -> Design:
    """Return the design of one run.

    Parameters
    ----------
    events : DataFrame with columns onset, duration (seconds) and stimulus_id
    n_scans : int
    t_r : float
        Seconds.
    settings : GlmSettings
    confounds : DataFrame of shape (n_scans, n_confounds) or None
    leave_out : sequence of str
        Stimuli that are modelled, one regressor each, and of which no pattern is wanted.
    start_time : float, default=0
        Seconds from the start of a volume to the moment that it stands for: half a repetition time after a
        slice-time correction to the middle.
    by_presentation : bool or None
        None goes by the settings.
    others : DataFrame with columns onset, duration (seconds) and kind, or None
        Events without a stimulus, such as button presses: one regressor of each kind, of no interest.

    Raises
    ------
    StimulusError
        If no event is left, or a regressor cannot be told from the others.
    """
    wanted = ~events["stimulus_id"].isin(list(leave_out)).to_numpy()
    if not wanted.any():
        raise StimulusError("no event is left: all are of stimuli to leave out.")
    single = settings.estimate != "condition" if by_presentation is None else by_presentation
    ids = events["stimulus_id"].to_numpy(dtype=object)
    shown = list(dict.fromkeys(ids[wanted]))
    names, regressor_of = _name_regressors(ids, wanted, single)
    modelled = events.assign(trial_type=regressor_of)
    if others is not None:
        modelled = pd.concat(
            [modelled, others.assign(trial_type="other" + others["kind"])], ignore_index=True
        )
    columns = _convolve(modelled, n_scans, t_r, settings, confounds, start_time)
    own = [name for name in names if name.startswith("pattern")]
    labels = [str(item) for item in (ids[wanted] if single else shown)]
    design = Design(
        columns[own].to_numpy(), np.array(labels, dtype=str), columns.drop(columns=own).to_numpy()
    )
    _check_estimable(design)
    return design


def estimate_run(
    volumes: np.ndarray, design: Design, settings: GlmSettings, *, pooled: Design | None = None
) -> RunEstimates:
    """Return the patterns of one run.

    `volumes` (n_scans, n_voxels): finite, no voxel constant. `design`: with one regressor per pattern.
    `pooled`: with one regressor per stimulus, for ``lss`` alone: where each presentation has a model of its
    own, noise is what this one leaves. Raises ValueError if ``lss`` comes without.
    """
    if pooled is None and settings.estimate == "lss":
        raise ValueError("estimate='lss' needs pooled, the design with one regressor per stimulus.")
    exact = np.asarray(volumes, dtype=np.float64)
    return ESTIMATES[settings.estimate](exact, design, settings, design if pooled is None else pooled)


def _estimate_at_once(
    volumes: np.ndarray, design: Design, settings: GlmSettings, _pooled: Design
) -> RunEstimates:
    """Fit one model with all patterns in it."""
    return _gather(volumes, design, settings, *_fit(volumes, design, settings))


def _estimate_one_by_one(
    volumes: np.ndarray, design: Design, settings: GlmSettings, pooled: Design
) -> RunEstimates:
    """Fit one model per presentation: its own regressor, the sum of all others, and the nuisance."""
    from nilearn.glm.regression import ARModel

    labels, results = _fit(volumes, pooled, settings)
    noise = _gather(volumes, pooled, settings, labels, results)
    values = np.empty((design.events.shape[1], volumes.shape[1]))
    for label in results:
        columns = labels == label
        rho = float(label) if settings.noise_model == "ar1" else 0.0
        whiten = ARModel(pooled.matrix, rho).whiten
        values[:, columns] = _fit_each(
            whiten(volumes[:, columns]), whiten(design.events), whiten(design.nuisance)
        )
    return RunEstimates(values, design.stimulus_ids, noise.residuals, noise.dof)


def _fit(volumes: np.ndarray, design: Design, settings: GlmSettings) -> tuple[np.ndarray, dict[Any, Any]]:
    """Return nilearn's models, and which of them is each voxel's."""
    from nilearn.glm.first_level import run_glm

    _check_dof(design)
    return run_glm(volumes, design.matrix, noise_model=settings.noise_model, bins=_BINS)


def _gather(
    volumes: np.ndarray, design: Design, settings: GlmSettings, labels: np.ndarray, results: dict[Any, Any]
) -> RunEstimates:
    n_patterns = design.events.shape[1]
    values = np.empty((n_patterns, volumes.shape[1]))
    residuals = np.empty_like(volumes)
    for label, result in results.items():
        columns = labels == label
        values[:, columns] = result.theta[:n_patterns]
        residuals[:, columns] = result.whitened_residuals
        if settings.statistic == "t":
            noise = np.sqrt(result.dispersion)
            values[:, columns] /= np.sqrt(np.diag(result.cov)[:n_patterns])[:, None] * noise
            residuals[:, columns] /= noise
    return RunEstimates(
        values, design.stimulus_ids, residuals, len(volumes) - int(np.linalg.matrix_rank(design.matrix))
    )


def _fit_each(volumes: np.ndarray, events: np.ndarray, nuisance: np.ndarray) -> np.ndarray:
    """Return each event's effect beside that of the sum of the others, by the theorem of Frisch and Waugh."""
    basis, singular, _ = np.linalg.svd(nuisance, full_matrices=False)
    basis = basis[:, singular > singular[0] * max(nuisance.shape) * np.finfo(float).eps]
    own = events - basis @ (basis.T @ events)
    rest = own.sum(axis=1, keepdims=True) - own
    if events.shape[1] == 1:
        return own.T @ volumes / (own**2).sum()
    # What of each event the sum of the others does not explain; nuisance is in neither.
    unique = own - rest * ((own * rest).sum(axis=0) / (rest**2).sum(axis=0))
    return unique.T @ volumes / (unique**2).sum(axis=0)[:, None]


def _check_dof(design: Design) -> None:
    n_scans, n_regressors = design.matrix.shape
    if n_regressors >= n_scans:
        raise StimulusError(
            f"the model has {n_regressors} regressors for {n_scans} volumes, so that no noise is left; use "
            f"fewer confounds, or one regressor per stimulus (condition)."
        )


def _name_regressors(ids: np.ndarray, wanted: np.ndarray, single: bool) -> tuple[list[str], list[str]]:
    """Return regressors in the order of their first event, and that of each event.

    Numbers with leading zeros, as nilearn sorts names; a stimulus may be called like a drift.
    """
    keys = [
        ("pattern", number if single else name) if use else ("nuisance", name)
        for number, (name, use) in enumerate(zip(ids, wanted, strict=True))
    ]
    known = {key: f"{key[0]}{number:07d}" for number, key in enumerate(dict.fromkeys(keys))}
    return list(known.values()), [known[key] for key in keys]


def _convolve(
    events: pd.DataFrame,
    n_scans: int,
    t_r: float,
    settings: GlmSettings,
    confounds: pd.DataFrame | None,
    start_time: float,
) -> pd.DataFrame:
    from nilearn.glm.first_level import make_first_level_design_matrix

    frame_times = start_time + np.arange(n_scans) * t_r
    with warnings.catch_warnings():
        # Impulses (duration 0) are meant, and equal events add up; both are nilearn's behaviour.
        warnings.filterwarnings("ignore", message=".*null duration", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*[Dd]uplicate", category=UserWarning)
        # Whether regressors can be told apart is checked for each of them below.
        warnings.filterwarnings("ignore", message=".*singular at working precision", category=UserWarning)
        return make_first_level_design_matrix(
            frame_times,
            events[["onset", "duration", "trial_type"]].reset_index(drop=True),
            hrf_model=settings.hrf_model,
            drift_model=None if settings.drift_model == "none" else settings.drift_model,
            high_pass=settings.high_pass,
            drift_order=settings.drift_order,
            add_regs=None if confounds is None or confounds.empty else confounds.to_numpy(),
        )


def _check_estimable(design: Design) -> None:
    """Refuse a regressor that is zero, or a sum of others."""
    matrix = design.matrix
    lengths = np.sqrt((matrix**2).sum(axis=0))
    own = lengths[: len(design.stimulus_ids)]
    zero = np.flatnonzero(own <= max(_ESTIMABLE * own.max(), np.finfo(float).eps))
    if len(zero):
        raise StimulusError(
            f"the event of {str(design.stimulus_ids[zero[0]])!r} leaves no trace in the volumes: it is too "
            f"near to the end of the scan, or before its start."
        )
    scaled = matrix / np.where(lengths > 0, lengths, 1)
    shares = np.linalg.pinv(scaled, rcond=_ESTIMABLE) @ scaled
    mixed = np.flatnonzero(np.diag(shares)[: len(design.stimulus_ids)] < 1 - _ESTIMABLE)
    if len(mixed):
        raise StimulusError(
            f"{len(mixed)} of {len(design.stimulus_ids)} regressors are sums of others, so that they have no "
            f"estimate (first: {str(design.stimulus_ids[mixed[0]])!r}); use fewer confounds, a lower "
            f"high_pass, or one regressor per stimulus (condition)."
        )


#: What a pattern is an estimate of, by name.
ESTIMATES: dict[str, Callable[[np.ndarray, Design, GlmSettings, Design], RunEstimates]] = {
    "condition": _estimate_at_once,
    "lsa": _estimate_at_once,
    "lss": _estimate_one_by_one,
}
