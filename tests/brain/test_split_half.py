import numpy as np
import pytest

from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.brain.split_half import compute_split_half
from fernet_neuro.exceptions import StimulusError


def _patterns(rng, signal=1.0, n_runs=5):
    true = rng.normal(size=(3, 40)) * signal
    values = np.tile(true, (n_runs, 1)) + rng.normal(size=(3 * n_runs, 40)) + 5
    return BrainPatterns(
        values, ["shoe", "face", "cat"] * n_runs, np.repeat([f"{r}" for r in range(n_runs)], 3), "VT", "01"
    )


def test_correlations_are_those_of_mean_patterns(rng):
    patterns = _patterns(rng)
    found = compute_split_half(patterns)
    odd = patterns.values.reshape(5, 3, 40)[::2].mean(axis=0)
    even = patterns.values.reshape(5, 3, 40)[1::2].mean(axis=0)
    wanted = np.corrcoef(odd - odd.mean(axis=0), even - even.mean(axis=0))[:3, 3:]
    assert np.allclose(found, wanted)
    assert list(found.index) == list(found.columns) == ["shoe", "face", "cat"]
    assert np.allclose(compute_split_half(patterns, centre=False), np.corrcoef(odd, even)[:3, 3:])


def test_what_repeats_is_found_and_noise_is_not(rng):
    assert np.diag(compute_split_half(_patterns(rng, 2.0))).min() > 0.8
    noise = [np.diag(compute_split_half(_patterns(rng, 0.0))).mean() for _ in range(50)]
    assert abs(np.mean(noise)) < 0.05


def test_what_cannot_be_halved_is_refused(rng):
    with pytest.raises(StimulusError, match="VT of subject 01 has 1 and 3"):
        compute_split_half(_patterns(rng, n_runs=1))
    gap = _patterns(rng, n_runs=2).take([0, 1, 2, 3, 5])
    with pytest.raises(StimulusError, match="no pattern of 'face' in runs 1"):
        compute_split_half(gap)
