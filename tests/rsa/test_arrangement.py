import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from sklearn.manifold import smacof

from fernet_neuro.rsa.arrangement import arrange_stimuli, match_points
from fernet_neuro.rsa.rdms import RDMSet


def make_rdms(points, **labels):
    return RDMSet(pdist(points)[None], np.array([f"s{at}" for at in range(len(points))]), **labels)


def test_points_of_a_plane_are_found_again(rng):
    points = rng.normal(size=(11, 2)) * (3, 1)
    found = arrange_stimuli(make_rdms(points))
    np.testing.assert_allclose(pdist(found.points[0]), pdist(points), rtol=1e-6)
    assert found.stress[0] < 1e-6
    assert not found.is_root


def test_squared_distances_are_arranged_by_their_roots(rng):
    points = rng.normal(size=(11, 2))
    squared = RDMSet(pdist(points, "sqeuclidean")[None], np.arange(11).astype(str), distance="crossnobis")
    found = arrange_stimuli(squared)
    assert found.is_root
    np.testing.assert_allclose(pdist(found.points[0]), pdist(points), rtol=1e-6)


def test_the_fit_is_as_good_as_that_of_scikit_learn(rng):
    rdms = make_rdms(rng.normal(size=(13, 7)))
    found = arrange_stimuli(rdms, n_iterations=3000, tolerance=1e-12)
    wanted = rdms.dissimilarities[0]
    raw = ((pdist(found.points[0]) - wanted) ** 2).sum()
    _, other = smacof(
        rdms.to_squares()[0], n_components=2, n_init=1, init=found.points[0], max_iter=3000, eps=1e-12,
        normalized_stress=False,
    )  # fmt: skip
    assert raw == pytest.approx(other, rel=1e-4)
    assert found.stress[0] == pytest.approx(np.sqrt(raw / (pdist(found.points[0]) ** 2).sum()))


def test_missing_pairs_have_no_weight(rng):
    points = rng.normal(size=(11, 2))
    rdms = make_rdms(points)
    vector = rdms.dissimilarities.copy()
    vector[0, [3, 17, 40]] = np.nan
    found = arrange_stimuli(RDMSet(vector, rdms.stimulus_ids), n_iterations=5000, tolerance=1e-14)
    np.testing.assert_allclose(pdist(found.points[0]), pdist(points), rtol=1e-3)


def test_the_order_of_stimuli_does_not_matter(rng):
    rdms = make_rdms(rng.normal(size=(9, 2)))
    order = rng.permutation(rdms.stimulus_ids)
    places = [rdms.stimulus_ids.tolist().index(name) for name in order]
    moved = arrange_stimuli(rdms.align_to(order)).points[0]
    np.testing.assert_allclose(pdist(moved), pdist(arrange_stimuli(rdms).points[0][places]), rtol=1e-5)


def test_matching_turns_and_mirrors_alone(rng):
    target = rng.normal(size=(9, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]]) @ np.diag([1, -1])
    np.testing.assert_allclose(
        match_points(target @ turn + 5, target), target - target.mean(axis=0), atol=1e-12
    )
    other = rng.normal(size=(9, 2))
    np.testing.assert_allclose(pdist(match_points(other, target)), pdist(other))


def test_what_cannot_be_arranged_is_named():
    ids, table = np.array(["a", "b", "c"]), pd.DataFrame({"model": ["same"]})
    with pytest.raises(ValueError, match="RDM 'same' is 0 everywhere"):
        arrange_stimuli(RDMSet(np.zeros((1, 3)), ids, table))
    with pytest.raises(ValueError, match="RDM 'same' has a stimulus without any pair"):
        arrange_stimuli(RDMSet(np.array([[np.nan, np.nan, 1.0]]), ids, table))
    with pytest.raises(ValueError, match="number of stimuli must be >= 3"):
        arrange_stimuli(RDMSet(np.ones((1, 1)), ids[:2], table))
