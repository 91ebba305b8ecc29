"""From noisy time series to distances: what the whole way gives without an effect, and with a known one."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fernet_neuro.brain.glm import GlmSettings, build_design, estimate_run
from fernet_neuro.brain.observations import Observations, cut_region
from fernet_neuro.rsa.distances import compute_rdms

T_R, N_SCANS, N_VOXELS = 2.0, 90, 11
STIMULI = ["face2", "car", "face10"]


def _build_designs(rng, settings, n_runs=3):
    """Return the design of each run, and that with one regressor per stimulus."""
    designs = []
    for _ in range(n_runs):
        onsets = np.arange(9) * 17 + rng.uniform(0, 8, 9)
        events = pd.DataFrame({"onset": onsets, "duration": 1.0, "stimulus_id": rng.permutation(STIMULI * 3)})
        designs.append(
            [build_design(events, N_SCANS, T_R, settings, by_presentation=single) for single in (None, False)]
        )
    return designs


def _compute_rdm(rng, effects, designs, settings, *, rho=0.0, noise="shrinkage_eye"):
    """Simulate volumes of the runs and return their crossnobis distances, (n_pairs,)."""
    parts = {}
    for run, (design, pooled) in enumerate(designs):
        series = rng.normal(size=(N_SCANS, N_VOXELS))
        for scan in range(1, N_SCANS):
            series[scan] += rho * series[scan - 1]
        shown = [STIMULI.index(name) for name in pooled.stimulus_ids]
        series += pooled.events @ effects[shown] + 100
        parts[str(run)] = estimate_run(series, design, settings, pooled=pooled)
    nowhere = np.zeros(N_VOXELS, dtype=bool)
    observed = Observations(
        np.concatenate([part.values for part in parts.values()]),
        np.concatenate([part.stimulus_ids for part in parts.values()]),
        np.repeat(list(parts), [len(part.values) for part in parts.values()]),
        {run: part.residuals for run, part in parts.items()},
        {run: part.dof for run, part in parts.items()},
        {"not_finite": nowhere, "constant": nowhere},
        ~nowhere,
    )
    patterns = cut_region(observed, ~nowhere, "FFA", subject="01", noise=noise).patterns
    return compute_rdms(
        patterns.values, distance="crossnobis", stimulus_ids=patterns.stimulus_ids, runs=patterns.runs,
        precision=patterns.compute_precision(),
    ).align_to(STIMULI).dissimilarities[0]  # fmt: skip


@pytest.mark.parametrize(
    ("estimate", "noise_model", "rho"), [("condition", "ar1", 0.4), ("lsa", "ols", 0.0), ("lss", "ols", 0.0)]
)
def test_distances_have_mean_zero_without_an_effect(rng, estimate, noise_model, rho):
    settings = GlmSettings(estimate, noise_model=noise_model)
    designs, nothing = _build_designs(rng, settings), np.zeros((3, N_VOXELS))
    means = [_compute_rdm(rng, nothing, designs, settings, rho=rho).mean() for _ in range(40)]
    assert stats.ttest_1samp(means, 0).pvalue > 0.01
    assert np.std(means) > 0


def test_distances_are_those_planted_in_units_of_the_noise(rng):
    effects = rng.normal(size=(3, N_VOXELS)) * 4
    settings = GlmSettings(noise_model="ols")
    designs = _build_designs(rng, settings)
    found = np.mean([_compute_rdm(rng, effects, designs, settings) for _ in range(60)], axis=0)
    planted = [((effects[i] - effects[j]) ** 2).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    # The noise has variance 1; the inverse of its estimated covariance is a few per cent too large.
    assert found == pytest.approx(planted, rel=0.1)
