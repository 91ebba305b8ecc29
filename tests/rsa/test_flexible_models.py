import itertools

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import COMPARISONS, INNER_PRODUCTS, compare_rdms
from fernet_neuro.rsa.files.toolbox import COMPARISON_NAMES, import_rsatoolbox, to_rsatoolbox
from fernet_neuro.rsa.models.flexible import MODEL_KINDS, FlexibleModel, fit_model
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.weighted import (
    RANK_COMPARISONS,
    compare_ranks,
    compute_grams,
    rank_weighted,
    settle_ties,
    weigh_pairs,
)

PRODUCTS = [name for name in INNER_PRODUCTS if name not in RANK_COMPARISONS]


@pytest.fixture
def parts(rng, ids):
    return RDMSet(rng.uniform(0.1, 3, (4, 21)), ids)


@pytest.fixture
def data(parts, rng):
    """Five subjects whose RDMs are two of the parts and noise."""
    vectors = 2 * parts.dissimilarities[1] + parts.dissimilarities[2] + rng.normal(size=(5, 21))
    return RDMSet(vectors - vectors.min() + 0.1, parts.stimulus_ids)


def _score(model, weights, data, comparison):
    prediction = RDMSet(model.predict(weights)[None], data.stimulus_ids)
    return compare_rdms(prediction, data, comparison).values.mean()


def _expand(rdms, counts, present):
    """Return the RDMs of a sample with its copies written out, pairs of a stimulus with itself missing."""
    order = np.repeat(np.arange(rdms.n_stimuli), counts.astype(int))
    vectors = np.where(present, rdms.dissimilarities, np.nan)
    squares = RDMSet(vectors, rdms.stimulus_ids).to_squares()[:, order][:, :, order]
    squares[:, order[:, None] == order] = np.nan
    rows, columns = np.triu_indices(len(order), 1)
    return RDMSet(squares[:, rows, columns], np.array([f"copy{row}" for row in range(len(order))]))


@pytest.mark.parametrize("gaps", [[], [2, 13]])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_multiplicities_are_copies_written_out(brain, models, comparison, gaps, rng):
    both = RDMSet(np.vstack([brain.dissimilarities, models.dissimilarities]), brain.stimulus_ids)
    present = ~np.isin(np.arange(21), gaps)
    counts = rng.multinomial(7, np.full(7, 1 / 7), 6).astype(float)
    for sample in counts:
        copies = _expand(both, sample, present)
        expected = compare_rdms(copies, copies, comparison).values
        if comparison in RANK_COMPARISONS:
            kept = both.dissimilarities[None, :, present]
            found = compare_ranks(kept, kept, weigh_pairs(sample[None], present), comparison)[0]
        else:
            gram = compute_grams(both.dissimilarities, sample[None], present, comparison)[0]
            found = gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
        assert np.abs(found - expected).max() < 1e-12


@pytest.mark.parametrize("comparison", PRODUCTS)
def test_inner_products_do_not_depend_on_the_others_in_the_batch(brain, comparison, rng):
    counts = rng.integers(0, 3, (11, 7)).astype(float)
    present = np.ones(21, dtype=bool)
    together = compute_grams(brain.dissimilarities, counts, present, comparison)
    alone = [compute_grams(brain.dissimilarities[:3], one[None], present, comparison)[0] for one in counts]
    assert np.allclose(together[:, :3, :3], alone, atol=1e-12)


def test_constant_rdms_have_no_inner_products_but_with_cosine(brain):
    vectors = np.vstack([brain.dissimilarities[0], np.full(21, 0.3)])
    ones, present = np.ones((1, 7)), np.ones(21, dtype=bool)
    assert not compute_grams(vectors, ones, present, "whitened_pearson")[0, 1].any()
    assert compute_grams(vectors, ones, present, "cosine")[0, 1, 1] == pytest.approx(21 * 0.09)


def test_ranks_of_weight_zero_change_nothing(rng):
    values, weights = rng.integers(0, 4, 9).astype(float), np.array([1.0, 2, 0, 1, 0, 3, 1, 0, 2])
    kept = weights > 0
    assert np.array_equal(rank_weighted(values, weights)[kept], rank_weighted(values[kept], weights[kept]))
    assert rank_weighted(values, weights) @ weights == pytest.approx(0)


def test_ties_that_a_sum_has_broken_are_ties_again():
    vector = np.array([0.1 + 0.2, 0.3, 0.5])
    assert vector[0] != vector[1]
    assert np.unique(settle_ties(vector)).size == 2


@pytest.mark.parametrize("comparison", PRODUCTS)
def test_weighted_fit_is_the_best_that_a_search_finds(parts, data, comparison):
    model = FlexibleModel(parts, "weighted")
    found = _score(model, fit_model(model, data, comparison), data, comparison)

    def loss(root):
        return -_score(model, root**2, data, comparison)

    starts = np.vstack([np.eye(4) + 0.05, np.ones(4)])
    best = max(-minimize(loss, start, method="BFGS").fun for start in starts)
    assert found > best - 1e-9
    assert found < best + 1e-5


def test_weighted_fit_to_one_rdm_is_that_of_scipy(parts, data):
    one = data.take([0])
    expected = nnls(parts.dissimilarities.T, one.dissimilarities[0])[0]
    found = fit_model(FlexibleModel(parts, "weighted"), one, "cosine")
    assert np.abs(found - expected / np.linalg.norm(expected)).max() < 1e-9


@pytest.mark.parametrize("comparison", ["pearson", "cosine"])
def test_weighted_fit_is_that_of_rsatoolbox(parts, data, comparison):
    import_rsatoolbox()
    from rsatoolbox.model import ModelWeighted
    from rsatoolbox.model.fitter import fit_regress_nn

    theirs = fit_regress_nn(
        ModelWeighted("w", to_rsatoolbox(parts)), to_rsatoolbox(data), method=COMPARISON_NAMES[comparison]
    )
    found = fit_model(FlexibleModel(parts, "weighted"), data, comparison)
    assert np.abs(found - theirs).max() < 1e-8
    assert (found > 0).sum() < 4


@pytest.mark.parametrize("comparison", ["whitened_pearson", "whitened_cosine"])
def test_whitened_fit_is_that_of_rsatoolbox_for_one_subject_and_better_for_several(parts, data, comparison):
    import_rsatoolbox()
    from rsatoolbox.model import ModelWeighted
    from rsatoolbox.model.fitter import fit_regress_nn

    model = FlexibleModel(parts, "weighted")
    for rdms in (data.take([2]), data):
        theirs = fit_regress_nn(
            ModelWeighted("w", to_rsatoolbox(parts)), to_rsatoolbox(rdms), method=COMPARISON_NAMES[comparison]
        )
        ours = fit_model(model, rdms, comparison)
        if rdms.n_rdms == 1:
            # Theirs solves for the whitened vectors by iteration.
            assert np.abs(ours - theirs).max() < 1e-5
        # Differs from rsatoolbox: it scales the data's vectors without whitening before it takes their mean.
        gain = _score(model, ours, rdms, comparison) - _score(model, theirs, rdms, comparison)
        assert -1e-9 < gain < 1e-3


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_selected_model_is_that_of_rsatoolbox(parts, rng, comparison):
    import_rsatoolbox()
    from rsatoolbox.model import ModelSelect
    from rsatoolbox.model.fitter import fit_select

    chosen = set()
    for _ in range(8):
        data = RDMSet(rng.uniform(0, 1, (3, 21)), parts.stimulus_ids)
        theirs = fit_select(
            ModelSelect("s", to_rsatoolbox(parts)), to_rsatoolbox(data), method=COMPARISON_NAMES[comparison]
        )
        model = FlexibleModel(parts, "selected")
        found = fit_model(model, data, comparison)
        assert sorted(found.tolist()) == [0, 0, 0, 1]
        if not np.array_equal(found, np.eye(4)[theirs]):  # two that are equally good
            scores = [_score(model, weights, data, comparison) for weights in (found, np.eye(4)[theirs])]
            assert scores[0] == pytest.approx(scores[1], abs=1e-12)
            continue
        chosen.add(int(theirs))
    assert len(chosen) > 1


@pytest.mark.parametrize("comparison", PRODUCTS)
def test_interpolated_model_is_that_of_rsatoolbox(parts, rng, comparison):
    import_rsatoolbox()
    from rsatoolbox.model import ModelInterpolate
    from rsatoolbox.model.fitter import fit_interpolate

    for share, place in itertools.product([0.0, 0.3, 0.8], [0, 2]):
        mixed = share * parts.dissimilarities[place] + (1 - share) * parts.dissimilarities[place + 1]
        data = RDMSet(mixed + 0.2 * rng.normal(size=(3, 21)), parts.stimulus_ids)
        theirs = fit_interpolate(
            ModelInterpolate("i", to_rsatoolbox(parts)),
            to_rsatoolbox(data),
            method=COMPARISON_NAMES[comparison],
        )
        model = FlexibleModel(parts, "interpolated")
        ours = fit_model(model, data, comparison)
        assert ours.sum() == pytest.approx(1)
        assert np.abs(ours - theirs).max() < 1e-3  # theirs stops its search at 1e-5 of the score
        assert _score(model, ours, data, comparison) > _score(model, theirs, data, comparison) - 1e-10


def test_models_of_ranks_are_fitted_with_pearson(parts, data):
    for kind in ("weighted", "interpolated"):
        model = FlexibleModel(parts, kind)
        for comparison in RANK_COMPARISONS:
            assert np.array_equal(fit_model(model, data, comparison), fit_model(model, data, "pearson"))


def test_what_no_sum_goes_along_with_is_met_by_the_best_rdm_alone(parts):
    centred = parts.dissimilarities - parts.dissimilarities.mean(axis=1, keepdims=True)
    away = RDMSet(-(np.linalg.pinv(centred) @ [1.0, 3, 0.5, 2])[None], parts.stimulus_ids)
    alone = compare_rdms(parts, away, "pearson").values[:, 0]
    assert (alone < 0).all()
    weights = fit_model(FlexibleModel(parts, "weighted"), away, "pearson")
    assert weights.tolist() == np.eye(4)[alone.argmax()].tolist()


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_fits_ignore_the_order_of_stimuli(parts, data, kind, rng):
    rdms = parts.take([0]) if kind == "fixed" else parts
    order = parts.stimulus_ids[rng.permutation(7)]
    moved = fit_model(FlexibleModel(rdms.align_to(order), kind), data.align_to(order))
    assert np.allclose(moved, fit_model(FlexibleModel(rdms, kind), data), atol=1e-9)


def test_sums_of_one_another_are_fitted_all_the_same(parts, data):
    doubled = RDMSet(np.vstack([parts.dissimilarities, parts.dissimilarities.sum(axis=0)]), data.stimulus_ids)
    model, plain = FlexibleModel(doubled, "weighted"), FlexibleModel(parts, "weighted")
    scores = [_score(item, fit_model(item, data), data, "pearson") for item in (model, plain)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)


def test_pairs_that_any_lacks_are_left_out(parts, data):
    vectors = data.dissimilarities.copy()
    vectors[1, 4] = np.nan
    gappy = RDMSet(vectors, data.stimulus_ids)
    present = np.arange(21) != 4
    expected = nnls(
        parts.dissimilarities[:, present].T,
        np.mean([v[present] / np.linalg.norm(v[present]) for v in vectors], axis=0),
    )[0]
    found = fit_model(FlexibleModel(parts, "weighted"), gappy, "cosine")
    assert np.abs(found - expected / np.linalg.norm(expected)).max() < 1e-9
    vectors[2, 1:20] = np.nan
    with pytest.raises(ValueError, match="share 2 pairs"):
        fit_model(FlexibleModel(parts, "weighted"), RDMSet(vectors, data.stimulus_ids))


def test_what_is_no_model_is_refused(parts, data):
    with pytest.raises(ValueError, match=r"kind='weight' is not known.*Did you mean 'weighted'"):
        FlexibleModel(parts, "weight")
    with pytest.raises(ValueError, match="'fixed' takes 1 RDM; got 4"):
        FlexibleModel(parts)
    with pytest.raises(ValueError, match="'interpolated' takes 2 or more RDMs; got 1"):
        FlexibleModel(parts.take([0]), "interpolated")
    with pytest.raises(ValueError, match=r"weights must have shape \(4,\), one per RDM; got \(3,\)"):
        FlexibleModel(parts, "weighted").predict(np.ones(3))
    with pytest.raises(ValueError, match="comparison='rho' is not known"):
        fit_model(FlexibleModel(parts, "weighted"), data, "rho")
    with pytest.raises(AlignmentError, match="the model and the data differ first"):
        fit_model(FlexibleModel(parts, "weighted"), data.align_to(data.stimulus_ids[::-1]))
