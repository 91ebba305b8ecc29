import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.models.partition import MOST_MODELS, compare_partial, partition_variance
from fernet_neuro.rsa.rdms import RDMSet


@pytest.fixture
def mixed(brain, models, rng):
    """Data in which two of the three models are mixed."""
    a, b, _ = models.dissimilarities
    vectors = 2 * a + b + 0.2 * rng.normal(size=(5, 21))
    return RDMSet(vectors, brain.stimulus_ids, brain.table)


def _r_squared(target, predictors, ranks):
    if ranks:
        target, *predictors = (pd.Series(v).rank().to_numpy() for v in (target, *predictors))
    X = np.stack(predictors, axis=1)
    return LinearRegression().fit(X, target).score(X, target)


@pytest.mark.parametrize("comparison", ["pearson", "spearman"])
def test_partial_comparisons_are_those_of_residuals(mixed, models, comparison):
    found = compare_partial(mixed, models.take([0]), models.take([1, 2]), comparison)
    for row in range(5):
        x, y, *controls = mixed.dissimilarities[row], *models.dissimilarities
        if comparison == "spearman":
            x, y, *controls = (pd.Series(v).rank().to_numpy() for v in (x, y, *controls))
        C = np.stack(controls, axis=1)
        left = [v - LinearRegression().fit(C, v).predict(C) for v in (x, y)]
        assert abs(found.values[row, 0] - np.corrcoef(*left)[0, 1]) < 1e-12
    assert found.values.shape == (5, 1)


def test_one_control_gives_the_textbook_formula(mixed, models):
    found = compare_partial(mixed, models.take([0]), models.take([1]), "pearson").values[0, 0]
    x, y, z = mixed.dissimilarities[0], models.dissimilarities[0], models.dissimilarities[1]
    xy, xz, yz = (np.corrcoef(*pair)[0, 1] for pair in ((x, y), (x, z), (y, z)))
    assert abs(found - (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))) < 1e-12


def test_whitened_partial_comparison_is_that_of_whitened_residuals(mixed, models):
    rows, columns = np.triu_indices(7, 1)
    incidence = np.zeros((21, 7))
    incidence[np.arange(21), rows] = incidence[np.arange(21), columns] = 1
    values, vectors = np.linalg.eigh(2 * np.eye(21) + incidence @ incidence.T)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    x, y, z = (v - v.mean() for v in (mixed.dissimilarities[0], *models.dissimilarities[:2]))
    x, y, z = root @ x, root @ y, root @ z
    left = [v - z * (z @ v) / (z @ z) for v in (x, y)]
    expected = left[0] @ left[1] / np.linalg.norm(left[0]) / np.linalg.norm(left[1])
    found = compare_partial(mixed, models.take([0]), models.take([1]), "whitened_pearson")
    assert abs(found.values[0, 0] - expected) < 1e-12


def test_a_model_that_matters_only_through_another_vanishes_beside_it(rng):
    names = np.array([f"s{row}" for row in range(30)])
    cause = rng.normal(size=435)
    effect = RDMSet((cause + rng.normal(size=435))[None], names)
    data = RDMSet((cause + rng.normal(size=435))[None], names)
    controls = RDMSet(cause[None], names)
    assert compare_rdms(data, effect, "pearson").values[0, 0] > 0.35
    assert abs(compare_partial(data, effect, controls, "pearson").values[0, 0]) < 0.15


@pytest.mark.parametrize("comparison", ["pearson", "spearman"])
def test_shares_are_differences_of_explained_variance(mixed, models, comparison):
    result = partition_variance(mixed, models, comparison)
    a, b, c = models.dissimilarities
    for row, names in enumerate(mixed.table.itertuples(index=False)):
        chosen = result.shares[
            (result.shares["subject"] == names.subject) & (result.shares["session"] == names.session)
        ].set_index("models")["share"]
        x = mixed.dissimilarities[row]

        def r2(*predictors, x=x):
            return _r_squared(x, predictors, comparison == "spearman")

        total = r2(a, b, c)
        assert np.isclose(chosen["pixels + shape + category"], total)
        assert np.isclose(chosen["pixels"], total - r2(b, c))
        assert np.isclose(chosen["pixels & shape"], -total + r2(a, c) + r2(b, c) - r2(c))
        common = total - r2(a, b) - r2(a, c) - r2(b, c) + r2(a) + r2(b) + r2(c)
        assert np.isclose(chosen["pixels & shape & category"], common)
        assert np.isclose(chosen.drop("pixels + shape + category").sum(), total)


def test_planted_shares_are_found(rng):
    names = np.array([f"s{row}" for row in range(60)])
    shared, alone, other, noise = rng.normal(size=(4, 1770))
    data = RDMSet((shared + alone + noise)[None], names)
    models = RDMSet(
        np.stack([shared + alone, shared + other, rng.normal(size=1770)]),
        names,
        pd.DataFrame({"model": ["a", "b", "c"]}),
    )
    shares = partition_variance(data, models).shares.set_index("models")["share"]
    # a explains 2/3 of the variance; b explains 1/6, all of which a explains too.
    assert abs(shares["a + b + c"] - 2 / 3) < 0.05
    assert abs(shares["a"] - 1 / 2) < 0.05
    assert abs(shares["a & b"] - 1 / 6) < 0.05
    assert shares.drop(["a + b + c", "a", "a & b"]).abs().max() < 0.03


def test_rows_of_a_component_are_chosen(mixed, models):
    result = partition_variance(mixed, models)
    assert result.select("unique")["models"].tolist() == ["pixels", "shape", "category"] * 5
    assert len(result.select("common")) == 5 * 4
    assert len(result.select("total")) == 5
    assert list(result.shares)[:3] == ["roi", "subject", "session"]
    with pytest.raises(ValueError, match="'alone' is not known"):
        result.select("alone")


def test_missing_pairs_are_left_out_of_all(mixed, models):
    vectors = mixed.dissimilarities.copy()
    vectors[0, 4] = np.nan
    gappy = RDMSet(vectors, mixed.stimulus_ids, mixed.table)
    result = partition_variance(gappy, models)
    assert result.select("total")["n_pairs"].tolist() == [20, 21, 21, 21, 21]
    keep = np.arange(21) != 4
    expected = _r_squared(vectors[0, keep], models.dissimilarities[:, keep], False)
    assert np.isclose(result.select("total")["share"][0], expected)
    partial = compare_partial(gappy, models.take([0]), models.take([1]), "pearson")
    assert partial.n_pairs[:, 0].tolist() == [20, 21, 21, 21, 21]


def test_models_that_are_sums_of_others_are_named(mixed, models):
    a, b, _ = models.dissimilarities
    table = pd.DataFrame({"model": ["a", "b", "both"]})
    dependent = RDMSet(np.stack([a, b, 2 * a - b]), models.stimulus_ids, table)
    with pytest.raises(ValueError, match=r"'both' is a weighted sum of those before it \(a, b\)"):
        partition_variance(mixed, dependent)
    with pytest.raises(ValueError, match="controls explain RDM 'both' entirely"):
        compare_partial(mixed, dependent.take([2]), dependent.take([0, 1]), "pearson")
    with pytest.raises(ValueError, match="'control both' is a weighted sum"):
        compare_partial(mixed, models.take([2]), dependent, "pearson")


def test_what_cannot_be_partitioned_is_refused(mixed, models):
    with pytest.raises(ValueError, match=f"2 to {MOST_MODELS} models; got 1"):
        partition_variance(mixed, models.take([0]))
    with pytest.raises(ValueError, match="'rho_a' is not known"):
        partition_variance(mixed, models, "rho_a")
    with pytest.raises(ValueError, match="'rho_a' is not known"):
        compare_partial(mixed, models.take([0]), models.take([1]), "rho_a")
    flat = RDMSet(np.ones((1, 21)), models.stimulus_ids)
    with pytest.raises(ValueError, match=r"'RDM 0' is constant over the pairs"):
        partition_variance(flat, models)
    moved = models.align_to(models.stimulus_ids[::-1])
    with pytest.raises(AlignmentError, match="the data and the models differ first at row 0"):
        partition_variance(mixed, moved)
    with pytest.raises(AlignmentError, match="the data and the controls differ first"):
        compare_partial(mixed, models, moved)
    few = [rdms.align_to(rdms.stimulus_ids[:3]) for rdms in (mixed, models)]
    with pytest.raises(ValueError, match=r"3 pairs of stimuli are present in all of 4 RDMs .*too few"):
        partition_variance(*few)
