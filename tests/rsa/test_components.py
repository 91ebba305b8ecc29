"""Variance components in closed form against loops over subjects, stimuli and pairs, and against spread."""

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.inference import components
from fernet_neuro.rsa.inference.components import estimate_components
from fernet_neuro.rsa.inference.contributions import Vectors, contribute, contribute_to_ceiling, part_ceiling
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.inference.seeds import infer_seeds
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.stats.calibration import false_positive_rate

pytestmark = pytest.mark.usefixtures("few_maxima")

CLOSED = ["pearson", "cosine", "spearman", "rho_a", "whitened_pearson", "whitened_cosine"]
SUBJECTS, STIMULI = frozenset(["subjects"]), frozenset(["stimuli"])
N_SUBJECTS, N_STIMULI, N_PAIRS = 4, 8, 28
LEFT, RIGHT = np.triu_indices(N_STIMULI, 1)
IDS = np.array([f"s{row}" for row in range(N_STIMULI)])
CLOSED_FORM = {"inference": "components", "n_permutations": 0}


@pytest.fixture
def sides(rng):
    """Subjects, and models of which one has ties."""
    models = rng.normal(size=(3, N_PAIRS))
    models[2] = np.round(models[2])
    return 0.7 * models[[0, 1, 0, 1]] + rng.normal(size=(N_SUBJECTS, N_PAIRS)), models


def _compare(x, y, weights, comparison):
    """One comparison of two RDMs whose pairs weigh `weights`, 0 for those that are left out."""
    if comparison in ("spearman", "rho_a"):
        x, y = (
            np.array([(weights * (v < one)).sum() + (weights * (v == one)).sum() / 2 for one in v])
            for v in (x, y)
        )
        x, y = x - (weights @ x) / weights.sum(), y - (weights @ y) / weights.sum()
    elif "pearson" in comparison:
        x, y = x - (weights @ x) / weights.sum(), y - (weights @ y) / weights.sum()
    if comparison == "rho_a":
        return 12 * (weights * x * y).sum() / weights.sum() ** 3
    if "whitened" not in comparison:
        return (weights * x * y).sum() / np.sqrt((weights * x * x).sum() * (weights * y * y).sum())
    kept = weights > 0
    share = np.array(
        [[len({LEFT[p], RIGHT[p]} & {LEFT[q], RIGHT[q]}) for q in range(N_PAIRS)] for p in range(N_PAIRS)]
    )
    covariance = share.astype(float)
    covariance[range(N_PAIRS), range(N_PAIRS)] += np.divide(2, weights, where=kept, out=np.zeros(N_PAIRS))
    inverse = np.linalg.inv(covariance[np.ix_(kept, kept)])
    x, y = x[kept], y[kept]
    return x @ inverse @ y / np.sqrt((x @ inverse @ x) * (y @ inverse @ y))


def _average_rho_a(x, y, kept):
    n = kept.sum()
    first, second = (stats.rankdata(v[kept]) - (n + 1) / 2 for v in (x, y))
    return 12 * (first @ second) / (n**3 - n)


def _without(x, y, kept, comparison):
    if comparison == "rho_a":
        return _average_rho_a(x, y, kept)
    return _compare(x, y, kept.astype(float), comparison)


@pytest.mark.parametrize("comparison", CLOSED)
def test_contributions_are_derivatives_by_the_weight_of_a_pair(sides, comparison):
    subjects, models = sides
    everywhere = np.ones(N_PAIRS, dtype=bool)
    prepared = [Vectors.prepare(side, everywhere, comparison) for side in sides]
    found = contribute(*prepared, [1])[0]
    expected = np.empty_like(found)
    for model in range(3):
        for pair in range(N_PAIRS):
            step = 1e-5 * (np.arange(N_PAIRS) == pair)
            ends = [_compare(subjects[1], models[model], 1 + sign * step, comparison) for sign in (1, -1)]
            expected[model, pair] = (ends[0] - ends[1]) / 2e-5
    # The loop divides by n^3 where rho-a has n^3 - n.
    assert np.abs(found - expected).max() < (2e-4 if comparison == "rho_a" else 1e-8)


def _add_up_by_loops(subjects, models, comparison, contributions):
    """Components (3, n_models, n_models) of mean comparisons: subjects, stimuli, both; and of pairs."""
    n_subjects, n_models = len(subjects), len(models)
    whole = np.ones(N_PAIRS, dtype=bool)
    everyone = np.array([[_without(x, y, whole, comparison) for y in models] for x in subjects])
    steps = np.empty((N_STIMULI, n_subjects, n_models))
    for stimulus in range(N_STIMULI):
        kept = (stimulus != LEFT) & (stimulus != RIGHT)
        steps[stimulus] = [[_without(x, y, kept, comparison) for y in models] for x in subjects]
    steps -= steps.mean(axis=0)

    def split(matrix):
        """Return what least squares leaves of contributions (n_models, n_pairs) beside effects of stimuli."""
        design = np.zeros((N_PAIRS, N_STIMULI))
        for pair in range(N_PAIRS):
            design[pair, [LEFT[pair], RIGHT[pair]]] = 1
        left = [row - design @ np.linalg.lstsq(design, row, rcond=None)[0] for row in matrix]
        return np.array(left) @ np.array(left).T * N_PAIRS / (N_PAIRS - N_STIMULI)

    def add(values, pairs):
        jackknife = np.zeros((n_models, n_models))
        for stimulus in range(N_STIMULI):
            jackknife += np.outer(values[stimulus], values[stimulus]) * (N_STIMULI - 1) / N_STIMULI
        return jackknife - split(pairs) * N_STIMULI / (N_STIMULI - 2)

    by_subject = np.zeros((n_models, n_models))
    interaction = np.zeros((n_models, n_models))
    for subject in range(n_subjects):
        apart = everyone[subject] - everyone.mean(axis=0)
        by_subject += np.outer(apart, apart) / n_subjects / (n_subjects - 1)
        own = add(steps[:, subject] - steps.mean(axis=1), contributions[subject] - contributions.mean(axis=0))
        interaction += own / n_subjects / (n_subjects - 1)
    mean = contributions.mean(axis=0)
    return by_subject, add(steps.mean(axis=1), mean), interaction, split(mean)


@pytest.mark.parametrize("comparison", CLOSED)
def test_components_are_those_of_loops_over_subjects_stimuli_and_pairs(sides, comparison):
    subjects, models = sides
    sizes = {"subjects": N_SUBJECTS, "stimuli": N_STIMULI}
    found = estimate_components(subjects, models, np.arange(N_STIMULI), comparison, sizes)
    everywhere = np.ones(N_PAIRS, dtype=bool)
    prepared = [Vectors.prepare(side, everywhere, comparison) for side in sides]
    contributions = contribute(*prepared, np.arange(N_SUBJECTS))
    expected = _add_up_by_loops(subjects, models, comparison, contributions)
    for matrix, slow in zip(
        [found.shares[SUBJECTS], found.shares[STIMULI], found.shares[SUBJECTS | STIMULI], found.pairs],
        expected,
        strict=True,
    ):
        np.testing.assert_allclose(matrix[:3, :3], slow, rtol=0, atol=1e-12)
    total = expected[0] + expected[1] - expected[2]
    for contrast in (np.eye(5)[0], np.eye(5)[0] - np.eye(5)[2]):
        c = contrast[:3]
        variance = max(c @ total @ c, c @ expected[0] @ c, c @ expected[3] @ c)
        assert found.compute_errors(contrast[None])[0] == pytest.approx(np.sqrt(variance), abs=1e-12)


def test_degrees_of_freedom_are_satterthwaites_less_those_that_kurtosis_takes(sides):
    sizes = {"subjects": N_SUBJECTS, "stimuli": N_STIMULI}
    found = estimate_components(*sides, np.arange(N_STIMULI), "pearson", sizes)
    twice = N_STIMULI / (N_STIMULI - 2)
    np.testing.assert_allclose(
        found.steps.T @ found.steps - twice * found.pairs, found.shares[STIMULI], atol=1e-12
    )
    contrasts = np.vstack([np.eye(5)[:3], np.eye(5)[0] - np.eye(5)[1], np.eye(5)[3]])
    for contrast, dof in zip(contrasts, found.compute_dof(contrasts), strict=True):
        total = found.compute_errors(contrast[None])[0] ** 2
        by_subjects, by_stimuli, by_pairs = (
            max(contrast @ matrix @ contrast, 0)
            for matrix in (found.shares[SUBJECTS], found.shares[STIMULI], found.pairs)
        )
        excess = max(stats.kurtosis(found.steps @ contrast, bias=False), 0)
        of_stimuli = 2 / (2 / (N_STIMULI - 1) + excess / N_STIMULI)
        below = by_subjects**2 / (N_SUBJECTS - 1) + by_stimuli**2 / of_stimuli + by_pairs**2 / 20
        assert dof == pytest.approx(total**2 / below, rel=1e-9)


def test_no_interval_is_without_an_end(rng):
    ids = [f"s{number}" for number in range(5)]
    found = []
    for _ in range(20):
        models = RDMSet(rng.random((2, 10)), ids, pd.DataFrame({"model": ["a", "b"]}))
        brain = RDMSet(rng.random((10, 10)), ids, pd.DataFrame({"subject": [f"{n:02d}" for n in range(10)]}))
        found.append(infer_rsa(models, brain, comparison="pearson", **CLOSED_FORM))
    dof = np.concatenate([result.estimates["dof"] for result in found])
    assert dof.min() == 2 and dof.max() > 4  # some are held there, others are not
    ends = pd.concat([result.estimates for result in found])
    assert ((ends["high"] - ends["low"]) <= 2 * 4.3027 * ends["standard_error"]).all()
    two = infer_rsa(models, brain.take([0, 1]), generalise_to="subjects", **CLOSED_FORM)
    assert (two.estimates["dof"] == 1).all()


def test_blocks_of_one_size_are_left_out_together_and_their_pairs_told_apart(rng):
    """Against loops: blocks of two, of which all four pairs between two blocks are one cell."""
    codes = np.repeat(np.arange(6), 2)
    left, right = np.triu_indices(12, 1)
    subjects, models = rng.normal(size=(3, 66)), rng.normal(size=(1, 66))
    found = estimate_components(subjects, models, codes, "pearson", {"stimuli": 6})
    everywhere = np.ones(66, dtype=bool)
    sides = [Vectors.prepare(side, everywhere, "pearson") for side in (subjects, models)]
    mean = contribute(*sides, np.arange(3)).mean(axis=0)[0]
    cells = np.zeros((6, 6))
    for pair in range(66):
        if codes[left[pair]] != codes[right[pair]]:
            cells[codes[left[pair]], codes[right[pair]]] += mean[pair]
            cells[codes[right[pair]], codes[left[pair]]] += mean[pair]
    one, other = np.triu_indices(6, 1)
    design = np.zeros((15, 6))
    design[range(15), one] = design[range(15), other] = 1
    entries = cells[one, other]
    left_over = entries - design @ np.linalg.lstsq(design, entries, rcond=None)[0]
    pairs = 15 / 9 * (left_over**2).sum()
    assert found.pairs[0, 0] == pytest.approx(pairs, abs=1e-12)
    without = []
    for block in range(6):
        weights = np.where((codes[left] == block) | (codes[right] == block), 0.0, 1.0)
        # Pairs inside blocks keep their share of all pairs, as in samples and folds.
        weights[(weights > 0) & (codes[left] == codes[right])] = np.rint(1024 * 4 / 5) / 1024
        without.append(np.mean([_weighted_pearson(x, models[0], weights) for x in subjects]))
    jackknife = 5 / 6 * np.sum((np.array(without) - np.mean(without)) ** 2)
    assert found.shares[STIMULI][0, 0] == pytest.approx(jackknife - 6 / 4 * pairs, abs=1e-12)


def test_no_variance_is_smaller_than_that_by_subjects_alone_or_by_pairs_alone():
    shares = {SUBJECTS: np.array([[2.0]]), STIMULI: np.array([[-1.0]]), SUBJECTS | STIMULI: np.array([[3.0]])}
    for pairs, least in ((1.0, 2.0), (5.0, 5.0)):
        found = components.Components(
            shares, np.array([[pairs]]), {"subjects": 4, "stimuli": 8}, np.ones((8, 1))
        )
        assert found.compute_errors(np.ones((1, 1)))[0] ** 2 == pytest.approx(least)


def test_blocks_of_unequal_size_take_the_jackknife_for_unequal_groups(rng):
    """Against a loop over blocks with equation 5 of Busing et al. (1999)."""
    codes = np.repeat(np.arange(6), [1, 3, 2, 2, 1, 3])
    left, right = np.triu_indices(12, 1)
    subjects, models = rng.normal(size=(3, 66)), rng.normal(size=(1, 66))
    found = estimate_components(subjects, models, codes, "pearson", {"stimuli": 6})
    inside = codes[left] == codes[right]
    whole = np.mean([_weighted_pearson(x, models[0], np.ones(66)) for x in subjects])
    times, without = 12 / np.bincount(codes), []
    for block in range(6):
        kept = (codes[left] != block) & (codes[right] != block)
        level = (kept & ~inside).sum() / (kept & inside).sum() / ((~inside).sum() / inside.sum())
        weights = np.where(inside, np.rint(1024 * level) / 1024, 1.0) * kept
        without.append(np.mean([_weighted_pearson(x, models[0], weights) for x in subjects]))
    values = times * whole - (times - 1) * without
    mean = 6 * whole - np.sum((1 - 1 / times) * without)
    jackknife = np.mean((values - mean) ** 2 / (times - 1))
    assert found.shares[STIMULI][0, 0] == pytest.approx(jackknife - 6 / 4 * found.pairs[0, 0], abs=1e-12)


def test_pairs_that_a_subject_lacks_contribute_nothing_and_others_what_they_do_to_its_comparison(sides):
    subjects, models = sides
    subjects[1, (LEFT == 3) | (RIGHT == 3)] = np.nan
    contributions = np.zeros((N_SUBJECTS, 3, N_PAIRS))
    for row, subject in enumerate(subjects):
        has = ~np.isnan(subject)
        prepared = [Vectors.prepare(side[:, has], has, "pearson") for side in (subject[None], models)]
        contributions[row][:, has] = contribute(*prepared, [0])[0]
    design = (np.arange(N_STIMULI) == LEFT[:, None]) | (np.arange(N_STIMULI) == RIGHT[:, None])
    rest = np.eye(N_PAIRS) - design @ np.linalg.pinv(design.astype(float))
    scale = N_PAIRS / (N_PAIRS - N_STIMULI)
    left = contributions @ rest
    found = estimate_components(
        subjects, models, np.arange(N_STIMULI), "pearson", {"subjects": N_SUBJECTS, "stimuli": N_STIMULI}
    )
    mean = left.mean(axis=0)
    np.testing.assert_allclose(found.pairs[:3, :3], scale * mean @ mean.T, atol=1e-12)
    # Parts in the ceiling are those of the same subject.
    ceiling = components._contribute_to_ceiling(subjects, "pearson") @ rest
    deviations = np.concatenate([left, ceiling[:, None]], axis=1)
    deviations = deviations - deviations.mean(axis=0)
    pairs_both = scale * np.einsum("sap,sbp->ab", deviations, deviations) / (N_SUBJECTS * (N_SUBJECTS - 1))
    codes = np.arange(N_STIMULI)
    both = components._measure_pairs(subjects, models, codes, "pearson")[1]
    np.testing.assert_allclose(both, pairs_both, atol=1e-12)


def _weighted_pearson(x, y, weights):
    x, y = (v - (weights @ v) / weights.sum() for v in (x, y))
    return (weights * x * y).sum() / np.sqrt((weights * x * x).sum() * (weights * y * y).sum())


def test_parts_in_the_ceiling_are_what_leaving_a_subject_out_takes_from_it(sides):
    units = sides[0] - sides[0].mean(axis=1, keepdims=True)
    units /= np.linalg.norm(units, axis=1, keepdims=True)

    def ceiling(rows):
        others = [np.delete(rows, row, axis=0).sum(axis=0) for row in range(len(rows))]
        return np.mean([row @ other / np.linalg.norm(other) for row, other in zip(rows, others, strict=True)])

    n = N_SUBJECTS
    expected = [n * ceiling(units) - (n - 1) * ceiling(np.delete(units, row, axis=0)) for row in range(n)]
    np.testing.assert_allclose(part_ceiling(units @ units.T), expected, atol=1e-12)


@pytest.mark.parametrize("comparison", ["pearson", "cosine", "whitened_pearson", "whitened_cosine"])
def test_contributions_to_parts_in_the_ceiling_are_derivatives_by_the_weight_of_a_pair(sides, comparison):
    subjects = sides[0]

    def part(weights):
        grams = [[_multiply(x, y, weights, comparison) for y in subjects] for x in subjects]
        lengths = np.sqrt(np.diag(grams))
        return part_ceiling(grams / np.outer(lengths, lengths))

    found = contribute_to_ceiling(Vectors.prepare(subjects, np.ones(N_PAIRS, dtype=bool), comparison))
    for pair in range(N_PAIRS):
        step = 1e-5 * (np.arange(N_PAIRS) == pair)
        np.testing.assert_allclose(found[:, pair], (part(1 + step) - part(1 - step)) / 2e-5, atol=1e-7)


def _multiply(x, y, weights, comparison):
    """The inner product of two RDMs whose pairs weigh `weights`, none of them 0."""
    if "pearson" in comparison:
        x, y = x - (weights @ x) / weights.sum(), y - (weights @ y) / weights.sum()
    if "whitened" not in comparison:
        return (weights * x * y).sum()
    design = ((np.arange(N_STIMULI) == LEFT[:, None]) | (np.arange(N_STIMULI) == RIGHT[:, None])).astype(
        float
    )
    return x @ np.linalg.solve(np.diag(2 / weights) + design @ design.T, y)


@lru_cache(maxsize=256)
def _draw(seed, kind, n_subjects=8, n_stimuli=22, dims=12):
    """Models and brains of a group: unrelated, or each model as far from what people share."""
    rng = np.random.default_rng([seed, 4])
    left, right = np.triu_indices(n_stimuli, 1)

    def measure(patterns):
        return ((patterns[..., left, :] - patterns[..., right, :]) ** 2).mean(axis=-1)

    shared = rng.normal(size=(n_stimuli, dims))
    models = rng.normal(size=(3, n_stimuli, dims)) + (0.55 * shared if kind == "related" else 0)
    people = shared + 0.7 * rng.normal(size=(n_subjects, n_stimuli, dims))
    ids = np.array([f"s{row:02d}" for row in range(n_stimuli)])
    table = pd.DataFrame({"subject": [f"{row}" for row in range(n_subjects)]})
    return RDMSet(measure(models), ids), RDMSet(measure(people), ids, table)


def _infer(number, kind, dims=12, **options):
    chosen = {"comparison": "pearson", "n_permutations": 0, "inference": "components", **options}
    return infer_rsa(*_draw(number, kind, dims=dims), **chosen)


@pytest.mark.slow
def test_tests_have_the_nominal_rate_and_more_power_than_the_bootstrap():
    null = [_infer(seed, "unrelated") for seed in range(120)]
    rates = {}
    for table in ("estimates", "pairwise"):
        p_values = np.array([getattr(result, table)["p_value"] for result in null])
        rates[table] = (p_values <= 0.05).mean()
        assert rates[table] <= false_positive_rate(p_values[:, 0]).limit
        for corrected in ("p_max", "p_fdr", "p_bonferroni"):  # one false positive of a family is one
            smallest = [getattr(result, table)[corrected].min() for result in null]
            assert false_positive_rate(smallest).is_calibrated, (table, corrected)
    assert rates["estimates"] > 0.01  # the bootstrap finds none
    power = {}
    for name in ("components", "bootstrap"):
        options = {"inference": name, "n_bootstraps": 100}
        found = [_infer(seed, "related", dims=40, **options).estimates for seed in range(30)]
        power[name] = (pd.concat(found)["p_value"] <= 0.05).mean()
    assert power["components"] > 1.15 * power["bootstrap"] > 0, power


@pytest.mark.slow
@pytest.mark.parametrize("comparison", CLOSED)
def test_standard_errors_are_the_spread_of_estimates_over_groups(comparison):
    found = [_infer_fast(*_draw(seed, "related"), comparison) for seed in range(120)]
    estimates, errors = (np.array(part) for part in zip(*found, strict=True))
    ratio = np.sqrt((errors**2).mean()) / estimates.std(axis=0).mean()
    assert 0.85 < ratio < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("dims", [6, 12, 40])
def test_standard_errors_are_within_3_percent_of_the_spread_of_many_groups(dims):
    found = [
        _infer_fast(*_draw(seed, "related", n_subjects=16, n_stimuli=40, dims=dims)) for seed in range(3000)
    ]
    estimates, errors = (np.array(part) for part in zip(*found, strict=True))
    assert np.sqrt((errors**2).mean()) / estimates.std(axis=0).mean() == pytest.approx(1, abs=0.03)


def _infer_fast(models, brain, comparison="pearson"):
    subjects, n = brain.dissimilarities, models.n_stimuli
    sizes = {"subjects": len(subjects), "stimuli": n}
    found = estimate_components(subjects, models.dissimilarities, np.arange(n), comparison, sizes)
    return compare_rdms(brain, models, comparison).values.mean(axis=0), found.compute_errors(np.eye(5)[:3])


def test_new_subjects_alone_are_a_plain_t_test_over_subjects():
    result = _infer(3, "related", generalise_to="subjects")
    values = result.subjects.pivot_table(index="subject", columns="model", values="value")
    expected = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    np.testing.assert_allclose(result.estimates["p_value"], expected, rtol=1e-9)
    pairs = stats.ttest_rel(values.iloc[:, 0], values.iloc[:, 2])
    assert result.pairwise["p_value"].iloc[1] == pytest.approx(pairs.pvalue, rel=1e-9)


def test_all_tables_are_filled_as_by_the_bootstrap_and_say_which_inference_it_was():
    found, drawn = (_infer(5, "related", inference=name) for name in ("components", "bootstrap"))
    for table in ("estimates", "pairwise", "subjects", "ceilings"):
        one, other = getattr(found, table), getattr(drawn, table)
        assert list(one) == list(other)
        assert one.notna().equals(other.notna())
    assert (found.estimates["estimate"] == drawn.estimates["estimate"]).all()
    assert found.settings["used_inference"] == "components"
    assert found.ceilings["lower_low"][0] < found.ceilings["lower"][0] < found.ceilings["lower_high"][0]
    assert (found.estimates["p_ceiling"] < 0.05).all()
    # Nothing is drawn, so the seed decides only the maxima of correlated tests.
    again = _infer(5, "related", seed=9)
    assert again.estimates["standard_error"].equals(found.estimates["standard_error"])


def test_subjects_may_lack_stimuli():
    models, brain = _draw(2, "related")
    values = brain.dissimilarities.copy()
    left, right = np.triu_indices(brain.n_stimuli, 1)
    for subject in (0, 1, 2):
        lacks = [subject, subject + 5]
        values[subject, np.isin(left, lacks) | np.isin(right, lacks)] = np.nan
    gappy = RDMSet(values, brain.stimulus_ids, brain.table)
    options = {"comparison": "rho_a", **CLOSED_FORM}
    found, whole = infer_rsa(models, gappy, **options), infer_rsa(models, brain, **options)
    ratio = found.estimates["standard_error"] / whole.estimates["standard_error"]
    assert ratio.between(0.85, 1.3).all()
    numbers = found.estimates.drop(columns=["roi", "model", "comparison", "p_permutation"])
    assert numbers.notna().all(axis=None)


def test_seeds_that_are_all_alike_add_nothing_and_others_do():
    models, brain = _draw(4, "related")
    table = pd.DataFrame({"model": "net", "seed": ["a", "b", "c"]})
    alike = RDMSet(np.repeat(models.dissimilarities[:1], 3, axis=0), models.stimulus_ids, table)
    options = {"comparison": "pearson", **CLOSED_FORM}
    found = infer_seeds(alike, brain, **options).estimates.iloc[0]
    one = infer_rsa(models.take([0]), brain, **options).estimates.iloc[0]
    assert found["standard_error"] == pytest.approx(one["standard_error"], rel=1e-9)
    # Seeds that add nothing take nothing from the degrees of freedom either.
    assert found["dof"] == pytest.approx(one["dof"], rel=1e-9)
    several = RDMSet(models.dissimilarities, models.stimulus_ids, table)
    spread = infer_seeds(several, brain, generalise_to="subjects", **options).estimates.iloc[0]
    values = compare_rdms(brain, several, "pearson").values
    apart = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    both = (apart**2).sum() / (7 * 2) / (8 * 3)
    alone = values.mean(axis=1).var(ddof=1) / 8, values.mean(axis=0).var(ddof=1) / 3
    assert spread["standard_error"] ** 2 == pytest.approx(max(sum(alone) - both, *alone), rel=1e-9)


def test_what_has_no_closed_form_is_by_the_bootstrap_and_says_so():
    found = _infer(1, "related", comparison="kendall_tau_a", n_bootstraps=20)
    assert found.settings["used_inference"] == "bootstrap"
    assert "kendall_tau_a have no closed form" in found.settings["notes"][0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"comparison": "kendall_tau_a"}, "variance components of kendall_tau_a have no closed form: "),
        ({"blocks": np.arange(12) % 4}, "variance components need 5 stimuli, or blocks of them, and"),
        ({"engine": "rsatoolbox"}, "rsatoolbox has no variance components: intervals and tests are by"),
        ({}, ""), ({"inference": "bootstrap"}, ""),
        ({"blocks": np.arange(12) % 4, "generalise_to": "subjects"}, ""),
    ],
)  # fmt: skip
def test_a_note_says_why_the_bootstrap_was_taken(rng, changes, why):
    ids = [f"face{number}" for number in range(12)]
    models = RDMSet(rng.uniform(size=(2, 66)), ids, pd.DataFrame({"model": ["shape", "other"]}))
    brain = RDMSet(
        models.dissimilarities[0] + rng.normal(size=(6, 66)), ids, pd.DataFrame({"subject": [*"abcdef"]})
    )
    options = {"comparison": "pearson", "n_bootstraps": 10, "n_permutations": 0} | changes
    notes = infer_rsa(models, brain, **options).settings["notes"]
    assert [note for note in notes if "by the bootstrap" in note] == notes[: bool(why)]
    assert "".join(notes[:1]).startswith(why)


def test_too_few_units_are_refused_with_what_remains():
    models, brain = _draw(1, "related")
    few = models.stimulus_ids[:4]
    with pytest.raises(
        ValueError, match=r"4 stimuli in 4 blocks .* need 5 stimuli.*--generalise-to subjects"
    ):
        infer_rsa(models.align_to(few), brain.align_to(few), **CLOSED_FORM)
    blocks = np.minimum(np.arange(22) // 4, 3)
    with pytest.raises(ValueError, match=r"22 stimuli in 4 blocks .* or inference='bootstrap'"):
        infer_rsa(models, brain, blocks=blocks, **CLOSED_FORM)
    with pytest.raises(ValueError, match=r"one subject only .*--generalise-to stimuli"):
        infer_rsa(models, brain.take([0]), **CLOSED_FORM)
    with pytest.raises(ValueError, match=r"4 stimuli in 4 blocks .* is to measure more subjects or stimuli"):
        few_of_one = brain.align_to(few).take([0])
        infer_rsa(models.align_to(few), few_of_one, generalise_to="stimuli", **CLOSED_FORM)
    alone = infer_rsa(models, brain.take([0]), generalise_to="stimuli", **CLOSED_FORM)
    assert (alone.estimates["standard_error"] > 0).all()
    five = models.stimulus_ids[:5]
    fewest = infer_rsa(models.align_to(five), brain.align_to(five), **CLOSED_FORM).estimates
    assert (fewest["standard_error"] > 0).all() and fewest["dof"].between(1, 16).all()
    with pytest.raises(ValueError, match="inference='components' is for engine='own'"):
        infer_rsa(models, brain, engine="rsatoolbox", **CLOSED_FORM)
    with pytest.raises(ValueError, match=r"inference='component' is not known.*Did you mean 'components'"):
        infer_rsa(models, brain, inference="component")


def test_auto_is_the_closed_form_where_there_is_one_and_else_the_bootstrap():
    models, brain = _draw(1, "related", n_subjects=4, n_stimuli=12)
    chosen = {"n_permutations": 0, "n_bootstraps": 10, "inference": "auto"}
    blocks = np.arange(12) // 3
    used = {
        "plain": infer_rsa(models, brain, **chosen),
        "tau": infer_rsa(models, brain, comparison="kendall_tau_a", **chosen),
        "four blocks": infer_rsa(models, brain, blocks=blocks, **chosen),
        "four blocks, fixed": infer_rsa(models, brain, blocks=blocks, generalise_to="subjects", **chosen),
        "rsatoolbox": infer_rsa(models, brain, engine="rsatoolbox", **chosen),
    }
    assert {name: result.used_inference for name, result in used.items()} == {
        "plain": "variance components",
        "tau": "bootstrap",
        "four blocks": "bootstrap",
        "four blocks, fixed": "variance components",
        "rsatoolbox": "bootstrap",
    }
    closed = infer_rsa(models, brain, **{**chosen, "inference": "components"})
    assert used["plain"].estimates.equals(closed.estimates)


def test_blocks_of_one_stimulus_each_are_no_blocks():
    one = _infer(6, "related", blocks=np.arange(22)).estimates
    assert one["standard_error"].equals(_infer(6, "related").estimates["standard_error"])


def test_a_model_that_never_varies_is_refused_or_has_no_p_value():
    models, brain = _draw(1, "related")
    flat = RDMSet(np.ones((1, models.dissimilarities.shape[1])), models.stimulus_ids)
    with pytest.raises(ValueError, match=r"are the same, so pearson is not defined; .* rho_a"):
        infer_rsa(flat, brain, comparison="pearson", **CLOSED_FORM)
    found = infer_rsa(flat, brain, comparison="rho_a", **CLOSED_FORM).estimates.iloc[0]
    assert (found["estimate"], found["p_value"]) == (0, 0.5)
    assert found["standard_error"] < 1e-15
