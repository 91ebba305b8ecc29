"""Streams are the same for the same names and independent for others."""

import numpy as np
import pytest

from fernet_neuro._utils.seeding import make_rng


def test_a_stream_is_fixed_by_seed_and_names():
    draws = make_rng(3, "pose", 5).normal(size=7)
    np.testing.assert_array_equal(draws, make_rng(3, "pose", 5).normal(size=7))


def test_streams_of_other_seeds_and_names_differ():
    keys = [(0, "pose"), (1, "pose"), (0, "light"), (0, "pose", 0), (0, "pose", 1), (0, "pose", "x"), (0,)]
    firsts = {make_rng(*key).integers(2**62) for key in keys}
    assert len(firsts) == len(keys)


def test_neighbouring_streams_are_uncorrelated():
    draws = np.stack([make_rng(0, "fold", number).normal(size=2000) for number in range(11)])
    correlation = np.corrcoef(draws)[np.triu_indices(11, 1)]
    # 55 correlations of 2,000 independent draws: standard error 0.022, so 0.1 is 4.5 of them.
    assert np.abs(correlation).max() < 0.1


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        make_rng(-1, "pose")
