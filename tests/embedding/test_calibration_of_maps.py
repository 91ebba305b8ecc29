"""Are p values and intervals of maps honest? On data without the effect, and on data with it."""

import numpy as np
import pytest

from fernet_neuro.embedding.comparison import plan_comparison
from fernet_neuro.embedding.maps import compute_map
from fernet_neuro.embedding.quality import compute_quality
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stats.multiple import compute_p_values
from fernet_neuro.stats.resampling import permute_within

pytestmark = pytest.mark.slow

N_DATA_SETS, N_PERMUTATIONS = 200, 19


def simulate(features_of, table, factor, dataset, size):
    """Return near-copies of each person's own version of each expression; `size` is what is in common."""
    other = "identity" if factor == "expression" else "expression"
    sizes = {other: 1.5, "identity_expression": 1.0, factor: size}
    return features_of(table, np.random.default_rng([9, dataset]), **sizes)


def project(X):
    """Return a map that is quick: the first two principal components."""
    centred = X - X.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


def p_values(positions, plan, dataset):
    scores = compute_quality(positions, plan, n_permutations=N_PERMUTATIONS, seed=dataset)
    null = [score.null_scores[:, None] for score in scores]
    return [compute_p_values([score.value], row)[0][0] for score, row in zip(scores, null, strict=True)]


def all_p_values(features_of, table, factor, size, space, n=N_DATA_SETS):
    plan = plan_comparison(table, factor)
    return np.array(
        [
            p_values(space(simulate(features_of, table, factor, dataset, size)), plan, dataset)
            for dataset in range(n)
        ]
    )


@pytest.mark.parametrize("space", [lambda X: X, project], ids=["features", "map"])
@pytest.mark.parametrize("factor", ["expression", "identity"])
def test_false_positives_over_200_null_data_sets_with_near_copies(faces_of, features_of, factor, space):
    found = all_p_values(features_of, faces_of(n_people=6), factor, 0.0, space)
    for column in found.T:
        assert false_positive_rate(column).is_calibrated


@pytest.mark.parametrize("factor", ["expression", "identity"])
def test_a_planted_effect_is_found(faces_of, features_of, factor):
    found = all_p_values(features_of, faces_of(n_people=6), factor, 0.8, lambda X: X, n=30)
    assert (found <= 0.05).mean(axis=0).min() > 0.8


@pytest.mark.parametrize("factor", ["expression", "identity"])
def test_false_positives_over_200_maps_by_tsne_and_an_effect_in_them(faces_of, features_of, factor):
    table = faces_of(n_people=6)

    def embed(X):
        return compute_map(X, table.stimulus_ids, perplexity=9).coordinates

    for column in all_p_values(features_of, table, factor, 0.0, embed).T:
        assert false_positive_rate(column).is_calibrated
    planted = all_p_values(features_of, table, factor, 2.5, embed, n=20)
    assert (planted <= 0.05).mean(axis=0).min() > 0.8


def test_counting_near_copies_and_exchanging_single_pictures_is_found_out(faces_of, features_of):
    table = faces_of(n_people=6)
    plan = plan_comparison(table, "expression")
    found = []
    for dataset in range(30):
        X = simulate(features_of, table, "expression", dataset, 0.0)
        distances = ((X[:, None] - X) ** 2).sum(axis=2)
        np.fill_diagonal(distances, np.inf)
        nearest = distances.argmin(axis=1)
        draws = permute_within(plan.codes, plan.groups, np.random.default_rng(dataset), N_PERMUTATIONS)
        purity, null = (plan.codes[nearest] == plan.codes).mean(), (draws[:, nearest] == draws).mean(axis=1)
        found.append(compute_p_values([purity], null[:, None])[0][0])
    assert not false_positive_rate(np.array(found)).is_calibrated


@pytest.mark.parametrize("size", [0.0, 0.7])
def test_intervals_over_people_cover_the_mean_of_many_samples(faces_of, features_of, size):
    table = faces_of(n_people=8)
    plan = plan_comparison(table, "expression")
    # The expressions' common patterns are those of the study; people are what is sampled.
    common = features_of(table, np.random.default_rng(31), noise=0.0, expression=size)
    scores = np.array(
        [
            [(score.value, score.low, score.high) for score in compute_quality(X, plan, n_permutations=0)]
            for X in (
                common + simulate(features_of, table, "expression", dataset, 0.0) for dataset in range(150)
            )
        ]
    )
    value, low, high = np.moveaxis(scores, 2, 0)
    target = value.mean(axis=0)
    covered = ((low <= target) & (target <= high)).mean(axis=0)
    # Nominal .95; 150 samples of it fall below .9 with a probability of .01.
    assert covered.min() > 0.9
    assert (high - low).mean() < 0.6
