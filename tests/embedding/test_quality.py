import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import expit, logit
from scipy.stats import t as student
from sklearn.manifold import trustworthiness
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from fernet_neuro.embedding import quality
from fernet_neuro.embedding.comparison import plan_comparison
from fernet_neuro.embedding.quality import (
    choose_n_neighbours,
    compute_chance,
    compute_quality,
    compute_trustworthiness,
    find_neighbours,
    score_labels,
)


@pytest.fixture
def faces(faces_of, features_of, rng):
    table = faces_of(n_views=3)
    return table, features_of(table, rng, expression=0.35, identity=0.5, identity_expression=0.5)


def slow_scores(X, labels, groups, k):
    """Return purity and balanced accuracy by the words of their definition."""
    purities, guesses = [], []
    for row in range(len(X)):
        others = [other for other in range(len(X)) if groups[other] != groups[row]]
        others.sort(key=lambda other: np.linalg.norm(X[row] - X[other]))
        found = [labels[other] for other in others[:k]]
        purities.append(found.count(labels[row]) / k)
        most = max(found.count(label) for label in found)
        guesses.append(next(label for label in found if found.count(label) == most))
    purities = np.array(purities)
    purity = np.mean([purities[labels == label].mean() for label in np.unique(labels)])
    return purity, balanced_accuracy_score(labels, guesses)


@pytest.mark.parametrize("factor", ["expression", "identity"])
@pytest.mark.parametrize("k", [1, 6])
def test_scores_are_those_of_their_definition(faces, factor, k):
    table, X = faces
    plan = plan_comparison(table, factor)
    purity, accuracy = compute_quality(X, plan, n_neighbours=k, n_permutations=0)
    wanted = slow_scores(X, plan.codes, plan.groups, k)
    assert (purity.value, accuracy.value) == pytest.approx(wanted)
    assert [score.measure for score in (purity, accuracy)] == ["neighbour_purity", "knn_balanced_accuracy"]
    assert len(purity.null_scores) == 0


def test_one_neighbour_predicts_as_scikit_learn_with_people_left_out(faces):
    table, X = faces
    plan = plan_comparison(table, "expression")
    guesses = cross_val_predict(
        KNeighborsClassifier(1), X, plan.codes, groups=plan.groups, cv=LeaveOneGroupOut()
    )
    _, accuracy = compute_quality(X, plan, n_neighbours=1, n_permutations=0)
    assert accuracy.value == pytest.approx(balanced_accuracy_score(plan.codes, guesses))


def test_classes_of_different_size_count_alike(faces_of, features_of, rng):
    table = faces_of()
    keep = (table.factor("expression") == "anger") | (rng.random(len(table)) < 0.5)
    table = table.select(keep)
    X = features_of(table, rng, expression=0.5)
    plan = plan_comparison(table, "expression")
    scores = compute_quality(X, plan, n_neighbours=3, n_permutations=0)
    assert [score.value for score in scores] == pytest.approx(slow_scores(X, plan.codes, plan.groups, 3))


def test_distances_not_rows_or_axes_decide(faces):
    table, X = faces
    order = np.random.default_rng(8).permutation(len(X))
    turn = np.linalg.qr(np.random.default_rng(9).standard_normal((X.shape[1], X.shape[1])))[0]
    first = compute_quality(X, plan_comparison(table, "expression"), n_permutations=0)
    moved = 7 * X[order] @ turn + 11
    again = compute_quality(moved, plan_comparison(table.select(order), "expression"), n_permutations=0)
    assert [score.value for score in first] == pytest.approx([score.value for score in again])


def test_chance_is_the_purity_of_random_neighbours(faces_of, rng):
    table = faces_of()
    keep = (table.factor("expression") == "anger") | (rng.random(len(table)) < 0.5)
    plan = plan_comparison(table.select(keep), "expression")
    drawn = np.array(
        [[rng.choice(np.flatnonzero(plan.groups != group)) for group in plan.groups] for _ in range(2000)]
    )
    hits = (plan.codes[drawn] == plan.codes).mean(axis=0)
    purity = np.mean([hits[plan.codes == code].mean() for code in range(4)])
    assert compute_chance(plan) == pytest.approx(purity, abs=0.005)


def test_null_scores_are_scores_of_relabelled_stimuli(faces):
    table, X = faces
    plan = plan_comparison(table, "identity")
    scores = compute_quality(X, plan, n_neighbours=5, n_permutations=3, seed=2)
    for number, labels in enumerate(plan.draw(3, seed=2)):
        wanted = slow_scores(X, labels, plan.groups, 5)
        assert [score.null_scores[number] for score in scores] == pytest.approx(wanted)


def test_neighbours_are_outside_the_group_and_equal_ones_in_no_order_of_rows():
    groups = np.repeat(np.arange(5), 4)
    nearest = find_neighbours(np.zeros((20, 3)), groups, 17, seed=6)
    assert ((nearest >= 0).sum(axis=1) == 16).all()
    assert (nearest[:, 16] == -1).all()
    assert (groups[nearest[:, :16]] != groups[:, None]).all()
    assert not (np.diff(nearest[:, :16], axis=1) > 0).all(axis=1).any()


def test_a_tied_vote_goes_to_the_nearest():
    labels = np.array([[2, 1, 0, 0, 1, 2]])
    assert score_labels(labels, np.array([[1, 2, 3, 4, 5]]), np.array([1]))[1, 0] == 1
    assert score_labels(labels, np.array([[2, 4, 1, 3, 5]]), np.array([1]))[1, 0] == 0


def jackknife(X, table, factor, k):
    """Return intervals from scores that are computed anew for each person left out."""
    plan, people = plan_comparison(table, factor), table.factor("identity")
    names = np.unique(people)
    whole = np.array(slow_scores(X, plan.codes, plan.groups, k))
    left = np.array(
        [
            slow_scores(X[people != name], plan.codes[people != name], plan.groups[people != name], k)
            for name in names
        ]
    )
    n = len(names)
    error = np.sqrt((n - 1) / n * ((left - left.mean(axis=0)) ** 2).sum(axis=0))
    margin = student.ppf(0.975, n - 1) * error / (whole * (1 - whole))
    return expit(logit(whole) - margin), expit(logit(whole) + margin)


@pytest.mark.parametrize("factor", ["expression", "identity"])
def test_intervals_are_those_of_people_left_out_one_by_one(faces_of, features_of, rng, factor):
    table = faces_of(n_people=6)
    X = features_of(table, rng, noise=1, expression=0.4, identity=0.4)
    scores = compute_quality(X, plan_comparison(table, factor), n_neighbours=4, n_permutations=0)
    low, high = jackknife(X, table, factor, 4)
    assert [score.low for score in scores] == pytest.approx(low)
    assert [score.high for score in scores] == pytest.approx(high)


def test_a_perfect_score_of_seven_people_is_not_certain(faces_of, features_of, rng):
    table = faces_of()
    X = features_of(table, rng, noise=0.1, expression=5.0)
    for score in compute_quality(X, plan_comparison(table, "expression"), n_permutations=0):
        assert score.value == 1
        # Seven of seven: the lower Clopper-Pearson bound is the seventh root of .025.
        assert (score.low, score.high) == pytest.approx((0.025 ** (1 / 7), 1.0))


def test_two_people_have_no_interval(faces_of, features_of, rng):
    table = faces_of(n_people=2)
    for score in compute_quality(
        features_of(table, rng), plan_comparison(table, "expression"), n_permutations=0
    ):
        assert np.isnan([score.low, score.high]).all()


def test_k_is_ten_or_what_labels_allow(faces_of):
    assert choose_n_neighbours(plan_comparison(faces_of(n_people=8), "expression")) == 10
    plan = plan_comparison(faces_of(n_people=4), "expression")  # 3 others, 2 sessions each
    assert choose_n_neighbours(plan) == 6
    assert choose_n_neighbours(plan, 24) == 24
    with pytest.raises(ValueError, match="n_neighbours must be >= 1 and <= 24; got 25"):
        choose_n_neighbours(plan, 25)


def test_a_label_that_one_person_shows_counts_as_missed(faces_of, features_of, rng):
    table = faces_of()
    frame = table.frame.copy()
    frame.loc[0:1, "expression"] = "contempt"
    table = type(table).from_frame(frame, root=table.root)
    X = features_of(table, rng, noise=0.1, expression=5.0)
    purity, accuracy = compute_quality(X, plan_comparison(table, "expression"), n_permutations=19)
    assert purity.value == pytest.approx(4 / 5)
    assert accuracy.value == pytest.approx(4 / 5)


def test_trustworthiness_is_that_of_scikit_learn(rng):
    X = rng.standard_normal((61, 13))
    assert compute_trustworthiness(X, X[:, :2]) == (trustworthiness(X, X[:, :2], n_neighbors=10), 10)
    assert compute_trustworthiness(X, X)[0] == 1
    assert compute_trustworthiness(X[:7], X[:7, :2])[1] == 3


def test_trustworthiness_of_many_stimuli_is_that_of_a_sample(rng, monkeypatch):
    monkeypatch.setattr("fernet_neuro.embedding.quality._MOST_FOR_TRUST", 200)
    X = rng.standard_normal((900, 3))
    sampled = compute_trustworthiness(X, X[:, :2], seed=1)[0]
    assert sampled != trustworthiness(X, X[:, :2], n_neighbors=10)
    assert sampled == compute_trustworthiness(X, X[:, :2], seed=1)[0]


def test_positions_must_be_those_of_the_stimuli(faces):
    table, X = faces
    plan = plan_comparison(table, "expression")
    with pytest.raises(ValueError, match=r"positions must be finite, of shape \(168, n_dimensions\)"):
        compute_quality(X[1:], plan)
    with pytest.raises(ValueError, match="positions must be finite"):
        compute_quality(np.where(X[3, 5] == X, np.nan, X), plan)
    with pytest.raises(ValueError, match="n_permutations must be >= 0"):
        compute_quality(X, plan, n_permutations=-1)


def test_blocks_of_memory_do_not_change_scores(faces, monkeypatch):
    table, X = faces
    plan = plan_comparison(table, "identity")
    whole = compute_quality(X, plan, n_permutations=17)
    monkeypatch.setattr("fernet_neuro.embedding.quality._AT_ONCE", 5000)
    for one, other in zip(whole, compute_quality(X, replace(plan), n_permutations=17), strict=True):
        assert one.value == other.value
        np.testing.assert_array_equal(one.null_scores, other.null_scores)


def test_neighbours_in_a_wide_layer_are_found_without_a_copy_of_it(rng, monkeypatch):
    monkeypatch.setattr(quality, "_AT_ONCE", 2**16)
    wide = (rng.standard_normal((60, 50_000)) + 40).astype(np.float16)
    groups = np.arange(60) // 4
    tracemalloc.start()
    nearest = find_neighbours(wide, groups, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < wide.nbytes / 2
    distances = cdist(wide.astype(float), wide.astype(float))
    distances[groups[:, None] == groups] = np.inf
    np.testing.assert_array_equal(nearest, distances.argsort(axis=1)[:, :3])
