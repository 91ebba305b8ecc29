import itertools

import numpy as np
import pytest
from scipy import stats

from fernet_neuro.rsa.compare import COMPARISONS, compare_rdms
from fernet_neuro.rsa.inference.bootstrap import (
    compare_samples,
    evaluate_data,
    evaluate_data_with_rsatoolbox,
    evaluate_samples,
    evaluate_with_rsatoolbox,
)
from fernet_neuro.rsa.inference.permutation import permute_pairs, permute_scores
from fernet_neuro.rsa.inference.random_effects import list_effect_sets
from fernet_neuro.rsa.inference.resample import Compared, Resamples, draw_permutations, draw_resamples
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.weighted import weigh_pairs

WANTED = list_effect_sets(["subjects", "stimuli"])
RANKS = ("spearman", "rho_a", "kendall_tau_a")


@pytest.fixture
def subjects(rng):
    """Four subjects' RDMs of nine stimuli, one of them with ties."""
    values = rng.uniform(0.1, 2, (4, 36))
    values[1] = values[1].round(1)
    return values


@pytest.fixture
def guesses(rng):
    """Three models, the last with few values."""
    values = rng.uniform(0, 1, (3, 36))
    values[2] = rng.integers(0, 2, 36)
    return values


def _hide(vectors, gaps):
    hidden = vectors.copy()
    for row, pair in gaps:
        hidden[row, pair] = np.nan
    return hidden


def _rdms(vectors):
    return RDMSet(vectors, [f"s{row}" for row in range(9)])


def _compare_slowly(first, second, counts, comparison, covers=None):
    """One comparison over the pairs of copies of different stimuli, written out."""
    copies = np.repeat(np.arange(len(counts)), counts)
    square = np.zeros((len(counts), len(counts)), dtype=int)
    square[np.triu_indices(len(counts), 1)] = np.arange(len(first))
    square += square.T
    places = [(a, b) for a, b in itertools.combinations(range(len(copies)), 2) if copies[a] != copies[b]]
    pairs = np.array([square[copies[a], copies[b]] for a, b in places])
    kept = ~np.isnan(first[pairs]) & ~np.isnan(second[pairs])
    x, y = first[pairs][kept], second[pairs][kept]
    n = len(x)
    if comparison == "kendall_tau_a":
        signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
        return signs.sum() / (n * (n - 1))
    if comparison in RANKS:
        x, y = stats.rankdata(x), stats.rankdata(y)
        if comparison == "rho_a":
            return 12 * ((x - x.mean()) @ (y - y.mean())) / (n**3 - n)
    if "cosine" not in comparison:
        x, y = x - x.mean(), y - y.mean()
    inverse = np.eye(n)
    if "whitened" in comparison:
        contrasts = np.zeros((n, len(copies)))
        for row, place in enumerate(itertools.compress(places, kept)):
            contrasts[row, list(place)] = 1, -1
        inverse = np.linalg.inv((contrasts @ contrasts.T) ** 2)
    lengths = (x @ inverse @ x) * (y @ inverse @ y)
    return x @ inverse @ y / np.sqrt(lengths) if lengths > 1e-20 else 0.0


def _pool_slowly(vectors, counts, copies, comparison):
    """The mean of subjects' RDMs, each scaled over its own pairs."""
    left, right = np.triu_indices(len(counts), 1)
    weights = counts[left] * counts[right]
    ready = []
    for vector in vectors:
        own = (weights > 0) & ~np.isnan(vector)
        expanded = np.repeat(vector[own], weights[own])
        scaled = np.full(vector.shape, np.nan)
        if comparison in RANKS:
            ranks = stats.rankdata(expanded)
            values = (ranks - ranks.mean()) / len(ranks)
            scaled[own] = values[np.cumsum(weights[own]) - 1]
        else:
            mean = 0 if "cosine" in comparison else expanded.mean()
            scaled[own] = (vector[own] - mean) / np.sqrt(((expanded - mean) ** 2).mean())
        ready.append(scaled)
    repeated = np.repeat(np.array(ready), copies, axis=0)
    has = ~np.isnan(repeated).all(axis=0)
    pooled = np.full(left.shape, np.nan)
    pooled[has] = np.nanmean(repeated[:, has], axis=0)
    return pooled.round(12)


@pytest.mark.slow
@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("gaps", [[], [3, 17, 18]])
def test_all_samples_at_once_are_those_of_rsatoolbox_one_after_the_other(subjects, guesses, comparison, gaps):
    subjects[:, gaps], guesses[:, gaps] = np.nan, np.nan
    samples = draw_resamples(4, 4, 9, seed=1)
    found = evaluate_samples(subjects, guesses, samples, comparison, WANTED)
    expected = evaluate_with_rsatoolbox(_rdms(subjects), _rdms(guesses), samples, comparison, WANTED)
    assert list(found) == list(expected) == WANTED
    for factors in WANTED:
        for name in ("scores", "lower", "upper"):
            ours, theirs = getattr(found[factors], name), getattr(expected[factors], name)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
        assert found[factors].scores.std(axis=0).min() > 0
        assert np.nanstd(found[factors].lower) > 0


BLOCKS = np.array([0, 1, 2, 0, 1, 2, 3, 3, 4])


def _write_out_blocks(counts):
    """Pairs of a sample of blocks, each copy of a block a block of its own: numbers, ends and weights."""
    copies = [(stimulus, draw) for stimulus in range(9) for draw in range(counts[stimulus])]
    numbers, ends, inside = [], [], []
    square = np.zeros((9, 9), dtype=int)
    square[np.triu_indices(9, 1)] = np.arange(36)
    square += square.T
    for a, b in itertools.combinations(range(len(copies)), 2):
        (one, first), (other, second) = copies[a], copies[b]
        is_within = BLOCKS[one] == BLOCKS[other]
        if is_within and (first != second or one == other):
            continue
        numbers.append(square[one, other])
        ends.append((a, b))
        inside.append(is_within)
    # In the data there are 4 pairs inside blocks and 32 others.
    level = round(1024 * (len(inside) - sum(inside)) / sum(inside) * 4 / 32) / 1024 if any(inside) else 0.0
    return np.array(numbers), np.array(ends), np.where(inside, level, 1.0)


def _compare_blocks_slowly(first, second, counts, comparison):
    numbers, ends, weights = _write_out_blocks(counts)
    x, y = first[numbers], second[numbers]
    n = weights.sum()
    if comparison == "kendall_tau_a":
        signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
        return weights @ signs @ weights / (n * (n - 1))
    if comparison in RANKS:
        times = np.rint(1024 * weights).astype(int)
        x, y = (stats.rankdata(np.repeat(side, times))[np.cumsum(times) - 1] / 1024 for side in (x, y))
        x, y = x - weights @ x / n, y - weights @ y / n
        if comparison == "rho_a":
            return 12 * (weights * x) @ y / (n**3 - n)
    if "cosine" not in comparison:
        x, y = x - weights @ x / n, y - weights @ y / n
    precision = np.diag(weights)
    if "whitened" in comparison:
        incidence = np.zeros((len(x), ends.max() + 1))
        incidence[np.arange(len(x))[:, None], ends] = 1
        precision = np.linalg.inv(2 * np.diag(1 / weights) + incidence @ incidence.T)
    return x @ precision @ y / np.sqrt((x @ precision @ x) * (y @ precision @ y))


@pytest.mark.parametrize("way", ["fast", "with gaps"])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_pairs_inside_a_block_count_once_for_each_time_that_it_is_drawn(subjects, guesses, comparison, way):
    samples = draw_resamples(4, 4, 9, blocks=BLOCKS, seed=1)
    assert (samples.stimuli.sum(axis=1) != 9).any()
    assert samples.stimuli.max() > 2
    models = guesses if way == "fast" else np.vstack([guesses, _hide(guesses[:1], [(0, 7)])])
    others = np.array([[0, 1, 1, 0]] * 4)[:, None]
    scores, lower, upper = compare_samples(
        Compared(subjects, models, samples.stimuli, others, comparison, samples.blocks)
    )
    for sample, counts in enumerate(samples.stimuli):
        for row, column in np.ndindex(4, 3):
            expected = _compare_blocks_slowly(subjects[row], guesses[column], counts, comparison)
            assert abs(scores[sample, row, column] - expected) < 1e-10
        # Of two subjects, one is pooled for the other, and pooling changes no comparison with it.
        expected = _compare_blocks_slowly(subjects[1], subjects[2], counts, comparison)
        np.testing.assert_allclose(lower[sample, 0, 1:3], expected, atol=1e-10)
        assert (upper[sample, 0, 1:3] > lower[sample, 0, 1:3]).all()


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_both_ways_pool_alike_with_blocks(subjects, guesses, comparison):
    samples = draw_resamples(5, 4, 9, blocks=BLOCKS, seed=2)
    fast = evaluate_samples(subjects, guesses, samples, comparison, WANTED)
    gappy = np.vstack([guesses, _hide(guesses[:1], [(0, 7)])])
    slow = evaluate_samples(subjects, gappy, samples, comparison, WANTED)
    for factors in WANTED:
        np.testing.assert_allclose(slow[factors].lower, fast[factors].lower, rtol=0, atol=1e-12)
        np.testing.assert_allclose(slow[factors].upper, fast[factors].upper, rtol=0, atol=1e-12)


def test_both_kinds_of_pairs_make_up_as_much_of_samples_as_of_the_data():
    samples = draw_resamples(20_000, 4, 9, blocks=BLOCKS, seed=1)
    weights = weigh_pairs(samples.stimuli, np.ones(36, dtype=bool), samples.blocks).mean(axis=0)
    left, right = np.triu_indices(9, 1)
    within = BLOCKS[left] == BLOCKS[right]
    assert within.sum() == 4
    # Every pair 4 / 5 times, nearly: samples of one or two stimuli are drawn again, and of blocks of several
    # sizes there are samples without a pair inside one.
    np.testing.assert_allclose(weights, 0.8, atol=0.05)
    assert weights[within].mean() == pytest.approx(weights[~within].mean(), abs=0.04)


@pytest.mark.parametrize(
    "sizes", [[4] * 7, [2] * 10 + [8], [1, 2, 3, 4, 5, 6, 7]], ids=["one", "two", "seven"]
)
def test_pairs_inside_blocks_make_up_as_much_of_each_sample_and_fold_as_of_the_data(sizes):
    people = np.repeat(np.arange(len(sizes)), sizes)
    left, right = np.triu_indices(28, 1)
    within = people[left] == people[right]
    samples = draw_resamples(200, 4, 28, blocks=people, seed=1).stimuli
    folds = samples * np.isin(people, [1, 2, 5])
    folds = folds[[len(set(people[counts > 0])) > 1 for counts in folds]]
    for counts in (samples, folds, np.ones((1, 28), dtype=int)):
        weights = weigh_pairs(counts, np.ones(len(left), dtype=bool), people)
        shares = weights[:, within].sum(axis=1) / weights.sum(axis=1)
        np.testing.assert_allclose(shares, within.mean(), rtol=1e-2)  # of rounded weights
    np.testing.assert_array_equal(weights, 1.0)  # the data themselves


@pytest.mark.parametrize("sizes", [[4] * 4, [13, 1, 1, 1], [2, 2, 2, 2]], ids=["one", "large", "small"])
def test_no_sample_lacks_pairs_between_blocks(sizes):
    people = np.repeat(np.arange(len(sizes)), sizes)
    samples = draw_resamples(3000, 2, len(people), blocks=people, seed=1).stimuli
    assert min(len(set(people[counts > 0])) for counts in samples) >= 2
    assert ((samples > 0).sum(axis=1) >= 3).all()
    assert (
        (weigh_pairs(samples, np.ones(len(people) * (len(people) - 1) // 2, bool), people) > 0)
        .any(axis=1)
        .all()
    )


def test_rsatoolbox_refuses_blocks_of_several_stimuli(subjects, guesses):
    samples = draw_resamples(6, 4, 9, blocks=BLOCKS, seed=3)
    sides = (_rdms(subjects), _rdms(guesses))
    with pytest.raises(
        ValueError, match="has no weights of pairs, so blocks of several stimuli cannot be drawn"
    ):
        evaluate_with_rsatoolbox(*sides, samples, "pearson", WANTED)
    assert list(evaluate_with_rsatoolbox(*sides, samples, "pearson", WANTED[:1])) == WANTED[:1]
    alone = draw_resamples(6, 4, 9, blocks=np.arange(9), seed=3)
    assert alone.blocks is None
    assert list(evaluate_with_rsatoolbox(*sides, alone, "pearson", WANTED)) == WANTED


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_the_data_themselves_are_those_of_rsatoolbox(subjects, guesses, comparison):
    scores, *ceilings = evaluate_data(subjects, guesses, 9, comparison)
    expected, *theirs = evaluate_data_with_rsatoolbox(_rdms(subjects), _rdms(guesses), comparison)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ceilings, theirs, rtol=0, atol=1e-12)
    assert ceilings[0] < ceilings[1]


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_each_missing_pair_leaves_out_itself_alone(subjects, guesses, comparison):
    gappy = _hide(subjects, [(0, 3), (0, 4), (2, 5), (3, 35), (1, 0), (2, 0), (3, 0)])
    models = _hide(guesses, [(1, 5), (2, 20)])
    samples = draw_resamples(4, 4, 9, seed=6)
    samples.subjects[0] = 1
    copies = samples.subjects[:, None]
    scores, lower, upper = compare_samples(Compared(gappy, models, samples.stimuli, copies, comparison))
    for sample, counts in enumerate(samples.stimuli):
        for row, column in np.ndindex(4, 3):
            expected = _compare_slowly(gappy[row], models[column], counts, comparison)
            assert abs(scores[sample, row, column] - expected) < 1e-10
        drawn = samples.subjects[sample]
        everyone = _pool_slowly(gappy, counts, drawn, comparison)
        for row in np.flatnonzero(drawn):
            others = np.where(np.arange(4) == row, 0, drawn)
            expected = _compare_slowly(everyone, gappy[row], counts, comparison)
            assert abs(upper[sample, 0, row] - expected) < 1e-10
            if others.any():
                pooled = _pool_slowly(gappy, counts, others, comparison)
                expected = _compare_slowly(pooled, gappy[row], counts, comparison)
                assert abs(lower[sample, 0, row] - expected) < 1e-10


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_the_slower_way_gives_what_the_fast_one_does_where_both_can(subjects, guesses, comparison):
    samples = draw_resamples(5, 4, 9, seed=2)
    fast = evaluate_samples(subjects, guesses, samples, comparison, WANTED)
    # A model with a gap of its own sends all through the slower way, and leaves the others as they were.
    gappy = np.vstack([guesses, _hide(guesses[:1], [(0, 7)])])
    slow = evaluate_samples(subjects, gappy, samples, comparison, WANTED)
    for factors in WANTED:
        np.testing.assert_allclose(slow[factors].scores[:, :3], fast[factors].scores, rtol=0, atol=1e-12)
        np.testing.assert_allclose(slow[factors].lower, fast[factors].lower, rtol=0, atol=1e-12)
        np.testing.assert_allclose(slow[factors].upper, fast[factors].upper, rtol=0, atol=1e-12)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_threads_and_steps_change_no_number(subjects, guesses, comparison, monkeypatch):
    samples = draw_resamples(11, 2, 9, seed=2)
    subjects = subjects[:2]
    whole = evaluate_samples(subjects, guesses, samples, comparison, WANTED)
    monkeypatch.setattr("fernet_neuro.rsa.inference.bootstrap._AT_ONCE", 300)
    monkeypatch.setattr("fernet_neuro.rsa.inference.bootstrap._MODELS_AT_ONCE", 1)
    parts = evaluate_samples(subjects, guesses, samples, comparison, WANTED, n_jobs=3)
    for factors in WANTED:
        np.testing.assert_allclose(parts[factors].scores, whole[factors].scores, rtol=0, atol=1e-14)
        np.testing.assert_allclose(parts[factors].lower, whole[factors].lower, rtol=0, atol=1e-14)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_a_sample_of_each_once_is_the_data(subjects, guesses, comparison):
    once = Resamples(np.ones((1, 4), dtype=int), np.ones((1, 9), dtype=int), 9)
    scores, lower, upper = evaluate_data(subjects, guesses, 9, comparison)
    np.testing.assert_allclose(
        scores, compare_rdms(_rdms(subjects), _rdms(guesses), comparison).values, atol=1e-12
    )
    for values in evaluate_samples(subjects, guesses, once, comparison, WANTED).values():
        np.testing.assert_allclose(values.scores[0], scores.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose([values.lower[0], values.upper[0]], [lower, upper], atol=1e-12)


@pytest.mark.parametrize("comparison", [name for name in COMPARISONS if "cosine" not in name])
def test_a_model_that_is_constant_in_a_sample_explains_nothing(subjects, guesses, comparison):
    left, right = np.triu_indices(9, 1)
    guesses[2] = (left < 4) != (right < 4)  # two categories
    counts = np.array([[3, 2, 1, 3, 0, 0, 0, 0, 0]])
    samples = Resamples(np.ones((1, 4), dtype=int), counts, 9)
    values = evaluate_samples(subjects, guesses, samples, comparison, WANTED[1:2])[WANTED[1]]
    assert values.scores[0, 2] == 0
    assert np.abs(values.scores[0, :2]).min() > 0


def test_one_subject_in_a_sample_has_no_noise_ceiling(subjects, guesses):
    samples = Resamples(np.array([[0, 4, 0, 0], [1, 3, 0, 0]]), np.ones((2, 9), dtype=int), 9)
    values = evaluate_samples(subjects, guesses, samples, "pearson", WANTED)[WANTED[-1]]
    assert np.isnan(values.lower).tolist() == np.isnan(values.upper).tolist() == [True, False]
    covariance = values.covary()
    assert np.isfinite(covariance).all()
    assert (np.diag(covariance)[:3] > 0).all()


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("gaps", [[], [(1, 4), (3, 8)]])
def test_permuted_scores_are_comparisons_with_renamed_stimuli(subjects, guesses, comparison, gaps):
    subjects = _hide(subjects, gaps)
    orders = draw_permutations(4, 9, seed=1)
    found = permute_scores(subjects, guesses, orders, comparison, n_jobs=2)
    for order, scores in zip(orders, found, strict=True):
        moved = _rdms(subjects).to_squares()[:, order][:, :, order]
        renamed = RDMSet.from_squares(moved, [f"s{row}" for row in range(9)])
        expected = compare_rdms(renamed, _rdms(guesses), comparison).values.mean(axis=0)
        np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_a_permuted_pair_is_that_of_the_stimuli_in_its_place(rng):
    order = rng.permutation(7)
    left, right = np.triu_indices(7, 1)
    pairs = permute_pairs(order[None])[0]
    for pair, other in enumerate(pairs):
        assert {left[other], right[other]} == {order[left[pair]], order[right[pair]]}


@pytest.mark.parametrize("n_values", [1, 2, 7, 64, 5000])
def test_signs_of_hundreds_of_pairs_are_those_of_scipy_whatever_the_ties(rng, n_values):
    first, second = rng.integers(0, n_values, (3, 780)), rng.integers(0, n_values, (2, 780))
    second[0] += (n_values > 1) * first[0]
    orders = np.array([np.arange(40), rng.permutation(40)])
    found = permute_scores(first.astype(float), second.astype(float), orders, "kendall_tau_a")
    for score, pairs in zip(found, permute_pairs(orders), strict=True):
        expected = COMPARISONS["kendall_tau_a"](first[:, pairs], second, None).mean(axis=0)
        np.testing.assert_allclose(score, expected, rtol=0, atol=1e-12)
