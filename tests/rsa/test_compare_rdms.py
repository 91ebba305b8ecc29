import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import COMPARISONS, INNER_PRODUCTS, compare_rdms, whiten
from fernet_neuro.rsa.files.toolbox import COMPARISON_NAMES, compare_with_rsatoolbox
from fernet_neuro.rsa.rdms import RDMSet


def _with_gaps(rdms, gaps):
    vectors = rdms.dissimilarities.copy()
    for row, pair in gaps:
        vectors[row, pair] = np.nan
    return RDMSet(vectors, rdms.stimulus_ids, rdms.table)


def _covariance(n):
    """The covariance of an RDM's entries, from contrasts of independent patterns."""
    contrasts = np.zeros((n * (n - 1) // 2, n))
    for row, (one, other) in enumerate(itertools.combinations(range(n), 2)):
        contrasts[row, [one, other]] = 1, -1
    return (contrasts @ contrasts.T) ** 2


def test_every_comparison_of_rsatoolbox_that_we_name_is_here():
    assert set(COMPARISON_NAMES) == set(COMPARISONS)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparisons_are_those_of_rsatoolbox(brain, models, comparison):
    found = compare_rdms(brain, models, comparison)
    assert found.values.shape == (5, 3)
    assert (found.n_pairs == 21).all()
    assert np.abs(found.values - compare_with_rsatoolbox(brain, models, comparison)).max() < 1e-10


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparisons_with_pairs_missing_everywhere_are_those_of_rsatoolbox(brain, models, comparison):
    gaps = [3, 4, 11, 20]
    brain = _with_gaps(brain, itertools.product(range(5), gaps))
    models = _with_gaps(models, itertools.product(range(3), gaps))
    found = compare_rdms(brain, models, comparison)
    assert (found.n_pairs == 17).all()
    assert np.abs(found.values - compare_with_rsatoolbox(brain, models, comparison)).max() < 1e-10


@pytest.mark.parametrize(
    ("comparison", "function"),
    [
        ("pearson", lambda x, y: stats.pearsonr(x, y)[0]),
        ("spearman", lambda x, y: stats.spearmanr(x, y)[0]),
        ("cosine", lambda x, y: x @ y / np.linalg.norm(x) / np.linalg.norm(y)),
    ],
)
def test_pearson_spearman_and_cosine_are_those_of_scipy(brain, models, comparison, function):
    expected = [[function(x, y) for y in models.dissimilarities] for x in brain.dissimilarities]
    assert np.abs(compare_rdms(brain, models, comparison).values - expected).max() < 1e-12


def test_tau_a_counts_concordant_less_discordant_pairs(brain, models):
    def slow(x, y):
        signs = [
            np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in itertools.combinations(range(len(x)), 2)
        ]
        return np.mean(signs)

    expected = [[slow(x, y) for y in models.dissimilarities] for x in brain.dissimilarities]
    assert np.abs(compare_rdms(brain, models, "kendall_tau_a").values - expected).max() < 1e-12
    untied = models.take([0, 1])
    scipy = [[stats.kendalltau(x, y)[0] for y in untied.dissimilarities] for x in brain.dissimilarities]
    assert np.abs(compare_rdms(brain, untied, "kendall_tau_a").values - scipy).max() < 1e-12


def test_rho_a_is_the_mean_of_spearman_over_random_orders_of_ties(brain, models, rng):
    x, y = brain.dissimilarities[0], models.dissimilarities[2]
    draws = [stats.spearmanr(x, y + 1e-6 * rng.random(21))[0] for _ in range(1500)]
    found = compare_rdms(brain.take([0]), models.take([2]), "rho_a").values[0, 0]
    assert abs(found - np.mean(draws)) < 4 * np.std(draws) / np.sqrt(1500)
    assert abs(found) < abs(stats.spearmanr(x, y)[0])


@pytest.mark.parametrize("comparison", ["whitened_pearson", "whitened_cosine"])
@pytest.mark.parametrize("gaps", [[], [0], [2, 9, 10, 17]])
def test_whitening_is_by_the_inverse_covariance_of_the_pairs_there_are(brain, models, comparison, gaps):
    present = np.ones(21, dtype=bool)
    present[gaps] = False
    inverse = np.linalg.inv(_covariance(7)[np.ix_(present, present)])
    found = compare_rdms(_with_gaps(brain, itertools.product(range(5), gaps)), models, comparison)
    for row, column in np.ndindex(5, 3):
        x, y = brain.dissimilarities[row, present], models.dissimilarities[column, present]
        if comparison == "whitened_pearson":
            x, y = x - x.mean(), y - y.mean()
        expected = x @ inverse @ y / np.sqrt((x @ inverse @ x) * (y @ inverse @ y))
        assert abs(found.values[row, column] - expected) < 1e-12


@pytest.mark.parametrize("gaps", [[], [1, 5, 6, 13]])
def test_the_closed_form_is_the_inverse_itself(rng, gaps):
    present = np.ones(28, dtype=bool)
    present[gaps] = False
    vectors = rng.normal(size=(3, present.sum()))
    expected = np.linalg.solve(_covariance(8)[np.ix_(present, present)], vectors.T).T
    assert np.abs(whiten(vectors, present) - expected).max() < 1e-12


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_the_order_of_stimuli_does_not_matter_if_it_is_the_same(brain, models, comparison, rng):
    order = brain.stimulus_ids[rng.permutation(7)]
    moved = compare_rdms(brain.align_to(order), models.align_to(order), comparison)
    assert np.allclose(moved.values, compare_rdms(brain, models, comparison).values, atol=1e-12)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparing_is_symmetric_and_an_rdm_is_most_like_itself(brain, comparison):
    found = compare_rdms(brain, brain, comparison).values
    assert np.allclose(found, found.T, atol=1e-12)
    assert np.allclose(np.diag(found), 1)
    assert found.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("comparison", ["spearman", "rho_a", "kendall_tau_a"])
def test_ranks_ignore_what_keeps_the_order(brain, models, comparison):
    bent = RDMSet(np.exp(3 * brain.dissimilarities), brain.stimulus_ids, brain.table)
    assert np.allclose(
        compare_rdms(bent, models, comparison).values, compare_rdms(brain, models, comparison).values
    )


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_each_missing_pair_leaves_out_itself_alone(brain, models, comparison):
    gappy = _with_gaps(brain, [(0, 3), (2, 5), (2, 6)])
    models = _with_gaps(models, [(1, 5), (1, 8)])
    found = compare_rdms(gappy, models, comparison)
    assert found.n_pairs.tolist() == [[20, 18, 20], [21, 19, 21], [19, 18, 19], [21, 19, 21], [21, 19, 21]]
    for row, column in np.ndindex(5, 3):
        x, y = gappy.dissimilarities[[row]], models.dissimilarities[[column]]
        hidden = np.isnan(x) | np.isnan(y)
        both = [RDMSet(np.where(hidden, np.nan, v), brain.stimulus_ids) for v in (x, y)]
        expected = compare_with_rsatoolbox(*both, comparison)
        assert abs(found.values[row, column] - expected[0, 0]) < 1e-10


def test_a_result_names_both_sides_in_every_row(brain, models):
    second = RDMSet(models.dissimilarities, models.stimulus_ids, models.table.assign(roi="model"))
    frame = compare_rdms(brain, second, "pearson").to_frame()
    assert list(frame) == ["roi", "subject", "session", "model", "roi_2", "comparison", "value", "n_pairs"]
    row = frame[(frame["subject"] == "03") & (frame["model"] == "shape")]
    expected = np.corrcoef(brain.dissimilarities[4], models.dissimilarities[1])[0, 1]
    assert np.isclose(row["value"].item(), expected)
    assert row["roi_2"].item() == "model"


def test_rdms_of_other_stimuli_or_another_order_are_refused(brain, models):
    with pytest.raises(AlignmentError, match="differ first at row 0: 'face9' against 'hand11'"):
        compare_rdms(brain, models.align_to(models.stimulus_ids[::-1]))
    renamed = RDMSet(models.dissimilarities, [*models.stimulus_ids[:-1], "hand12"], models.table)
    with pytest.raises(AlignmentError, match=r"\(first: 'hand11'\)"):
        compare_rdms(brain, renamed)


@pytest.mark.parametrize("comparison", sorted(INNER_PRODUCTS))
@pytest.mark.parametrize("value", [0.0, 0.1, 7.3])
def test_a_constant_rdm_is_named(brain, models, comparison, value):
    vectors = models.dissimilarities.copy()
    vectors[1] = value
    flat = RDMSet(vectors, models.stimulus_ids, models.table)
    if "cosine" in comparison and value:
        assert np.isfinite(compare_rdms(brain, flat, comparison).values).all()
        return
    for first, second in ((brain, flat), (flat, brain)):
        with pytest.raises(ValueError, match=f"RDM 'shape' are .* so {comparison} is not defined"):
            compare_rdms(first, second, comparison)


def test_an_rdm_that_is_constant_where_both_are_present_is_named(brain, models):
    vectors = models.dissimilarities.copy()
    vectors[2] = 0
    vectors[2, :2] = 1
    models = RDMSet(vectors, models.stimulus_ids, models.table)
    gappy = _with_gaps(brain, [(3, 0), (3, 1)])
    with pytest.raises(ValueError, match=r"'FFA \| 02 \| 2 \(or category\), over the pairs that both have'"):
        compare_rdms(gappy, models, "pearson")


@pytest.mark.parametrize("comparison", ["rho_a", "kendall_tau_a"])
def test_a_constant_rdm_has_a_rank_correlation_of_zero_without_ties_correction(brain, comparison):
    flat = RDMSet(np.ones((1, 21)), brain.stimulus_ids)
    assert np.abs(compare_rdms(brain, flat, comparison).values).max() < 1e-15


def test_too_few_pairs_or_an_unknown_comparison_are_refused():
    two = RDMSet(np.array([[0.3], [0.4]]), np.array(["a", "b"]), pd.DataFrame({"layer": ["x", "y"]}))
    with pytest.raises(ValueError, match=r"'x' and 'x' share 1 pairs of stimuli; .* three stimuli at least"):
        compare_rdms(two, two)
    with pytest.raises(ValueError, match=r"'tau-a' is not known"):
        compare_rdms(two, two, "tau-a")


def test_a_planted_likeness_is_found_and_its_absence_is_not(rng):
    n = 20
    names = np.array([f"s{row}" for row in range(n)])
    model = RDMSet(rng.random((1, n * (n - 1) // 2)), names)
    noise = rng.normal(size=(40, model.n_pairs))
    alike = RDMSet(model.dissimilarities + 0.3 * noise, names)
    unlike = RDMSet(noise, names)
    for comparison in ("pearson", "spearman", "rho_a", "kendall_tau_a", "whitened_pearson"):
        assert compare_rdms(alike, model, comparison).values.min() > 0.25
        assert abs(compare_rdms(unlike, model, comparison).values.mean()) < 0.05
