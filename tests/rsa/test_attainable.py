from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.rsa.analysis.run import run_rsa
from fernet_neuro.rsa.compare import COMPARISONS, LIMITED_BY_TIES, find_attainable
from fernet_neuro.rsa.rdms import RDMSet

TIED = np.array([[0.0, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1], [2, 2, 5, 5, 7, 9], [1, 2, 3, 4, 5, 6]])


@pytest.mark.parametrize("comparison", LIMITED_BY_TIES)
def test_attainable_is_the_best_of_all_orders_of_the_other_rdm(comparison):
    orders = np.array(list(permutations(range(6))), dtype=float)
    best = COMPARISONS[comparison](TIED, orders, np.ones(6, dtype=bool)).max(axis=1)
    np.testing.assert_allclose(find_attainable(TIED, comparison), best, atol=1e-12)


def test_two_values_reach_three_p_times_one_less_p_and_missing_pairs_do_not_count():
    n_pairs, p = 276, 24 / 276
    model = np.array([[0.0] * 24 + [1.0] * 252])
    assert find_attainable(model, "rho_a")[0] == pytest.approx(3 * p * (1 - p), rel=1e-4)
    with_gaps = np.concatenate([model, np.full((1, 49), np.nan)], axis=1)
    assert find_attainable(with_gaps, "rho_a") == pytest.approx(find_attainable(model, "rho_a"))
    assert n_pairs == model.shape[1]
    assert find_attainable(model, "whitened_pearson").tolist() == [1.0]


def group(rng, distance):
    """Return a binary model of pairs of faces, and eight subjects in whom it is the whole truth."""
    ids = np.array([f"face{row}" for row in range(12)])
    first, second = np.triu_indices(12, 1)
    model = (first // 2 != second // 2).astype(float)
    brain = model + 0.1 * rng.normal(size=(8, len(model)))
    subjects = pd.DataFrame({"subject": list("abcdefgh")})
    models = RDMSet(model[None], ids, pd.DataFrame({"model": ["who"]}))
    return models, RDMSet(brain, ids, subjects, distance)


def test_a_true_model_with_ties_is_warned_of_and_crossnobis_takes_another_default(rng):
    sizes = {"n_bootstraps": 50, "n_permutations": 0}
    limited = run_rsa(*group(rng, "correlation"), **sizes)
    assert limited.settings["comparison"] == "rho_a"
    most = 3 * 6 / 66 * 60 / 66
    assert limited.settings["attainable"] == {"who": pytest.approx(most, rel=1e-3)}
    assert limited.estimates["estimate"].iloc[0] == pytest.approx(most, rel=0.05)
    assert f"at most who {limited.settings['attainable']['who']:.3f}" in " ".join(limited.settings["notes"])
    free = run_rsa(*group(rng, "crossnobis"), **sizes)
    assert free.settings["comparison"] == "whitened_pearson"
    assert free.settings["attainable"] == {}
    assert not any("ties" in note for note in free.settings["notes"])
    row = free.estimates.iloc[0]
    assert row["noise_ceiling_lower"] - 0.02 < row["estimate"] < row["noise_ceiling_upper"] + 0.02
