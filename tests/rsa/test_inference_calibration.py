"""Inference on data without the effect, and with it: whole pipeline, ten subjects by 28 stimuli.

Stimuli, subjects and noise are drawn anew in every data set. Patterns of subjects share a geometry, have one
of their own, and noise; so RDMs have the dependence between pairs that RDMs of patterns have.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stats.resampling import clopper_pearson

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_maxima")]

N_SUBJECTS, N_STIMULI, N_UNITS = 10, 28, 6
LEFT, RIGHT = np.triu_indices(N_STIMULI, 1)
IDS = np.array([f"s{row:02d}" for row in range(N_STIMULI)])
#: Variance components have designs of their own in `test_components`.
OPTIONS = {"n_bootstraps": 200, "comparison": "pearson", "inference": "bootstrap"}


def _to_rdms(patterns):
    return ((patterns[..., LEFT, :] - patterns[..., RIGHT, :]) ** 2).mean(axis=-1)


def _draw_subjects(rng, true, n_subjects, shared):
    own = 0.7 * rng.normal(size=(n_subjects, *true.shape))
    rdms = _to_rdms(np.concatenate([np.broadcast_to(shared * true, own.shape), own], axis=2))
    return rdms + 0.3 * rng.normal(size=rdms.shape)


def _draw(seed, kind, n_models=3):
    """Return models and brain; `kind` says what is true of the models.

    unrelated: they know nothing of the geometry that subjects share. nothing shared: nor is there any.
    equal: each is the geometry with a distortion of its own. ceiling: each is the mean of as many other
    subjects as a lower noise ceiling is.
    """
    rng = np.random.default_rng([seed, 20230823])
    true = rng.normal(size=(N_STIMULI, N_UNITS))
    shared = 0.0 if kind == "nothing shared" else 1.0
    subjects = _draw_subjects(rng, true, N_SUBJECTS, shared)
    if kind == "ceiling":
        others = [_draw_subjects(rng, true, N_SUBJECTS - 1, shared) for _ in range(n_models)]
        values = np.stack([(rdms / rdms.std(axis=1, keepdims=True)).mean(axis=0) for rdms in others])
    elif kind == "equal":
        distorted = np.concatenate(
            [np.broadcast_to(true, (n_models, *true.shape)), rng.normal(size=(n_models, *true.shape))], axis=2
        )
        values = _to_rdms(distorted)
    else:
        values = _to_rdms(rng.normal(size=(n_models, *true.shape)))
    table = pd.DataFrame({"subject": [f"{row:02d}" for row in range(N_SUBJECTS)]})
    return RDMSet(values, IDS), RDMSet(subjects, IDS, table, distance="squared_euclidean")


def _infer(kind, n, n_permutations=0, n_models=3, **options):
    chosen = {**OPTIONS, "n_permutations": n_permutations, **options}
    return [infer_rsa(*_draw(seed, kind, n_models), seed=seed, **chosen) for seed in range(n)]


@cache
def _find_truth(kind, comparison="pearson"):
    """What estimates are on average, over data sets that the tests do not use."""
    found = [compare_rdms(*reversed(_draw(10_000 + seed, kind)), comparison).values for seed in range(200)]
    return float(np.mean(found))


def _check_rates(results, table, column):
    """Every model, pair or region on its own, in as many data sets."""
    frames = [getattr(result, table) for result in results]
    for row in range(len(frames[0])):
        rate = false_positive_rate([frame[column].iloc[row] for frame in frames])
        assert rate.is_calibrated, (column, row, rate)


@pytest.fixture(scope="module")
def unrelated():
    return _infer("unrelated", 120, n_permutations=99)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("estimates", "p_value"),
        ("estimates", "p_permutation"),
        ("pairwise", "p_value"),
    ],
)
def test_models_that_know_nothing_are_found_no_more_often_than_the_level_says(unrelated, table, column):
    _check_rates(unrelated, table, column)


@pytest.mark.parametrize("table", ["estimates", "pairwise"])
@pytest.mark.parametrize("column", ["p_max", "p_bonferroni", "p_fdr"])
def test_corrected_p_values_hold_for_all_models_of_a_region_together(unrelated, table, column):
    rate = false_positive_rate([getattr(result, table)[column].min() for result in unrelated])
    assert rate.is_calibrated, rate


def test_uncorrected_p_values_would_not_hold_for_all_permuted_models_together(unrelated):
    smallest = np.array([result.estimates["p_permutation"].min() for result in unrelated])
    assert (smallest <= 0.05).mean() > 0.07


def test_a_noise_ceiling_of_nothing_is_found_no_more_often_than_the_level_says():
    _check_rates(_infer("nothing shared", 60, n_models=1), "ceilings", "p_value")


@pytest.fixture(scope="module")
def at_ceiling():
    return _infer("ceiling", 60)


def test_a_model_at_the_ceiling_is_below_it_no_more_often_than_the_level_says(at_ceiling):
    differences = [
        row["estimate"].iloc[0] - row["noise_ceiling_lower"].iloc[0]
        for row in (result.estimates for result in at_ceiling)
    ]
    assert abs(np.mean(differences)) < 3 * np.std(differences) / np.sqrt(60)
    _check_rates(at_ceiling, "estimates", "p_ceiling")


@pytest.mark.parametrize("column", ["p_ceiling_max", "p_ceiling_bonferroni", "p_ceiling_fdr"])
def test_of_models_at_the_ceiling_none_is_below_it_more_often_than_corrected_values_say(at_ceiling, column):
    rate = false_positive_rate([result.estimates[column].min() for result in at_ceiling])
    assert rate.is_calibrated, rate


@pytest.fixture(scope="module")
def equal():
    return _infer("equal", 80)


def test_equally_good_models_differ_no_more_often_than_the_level_says(equal, at_ceiling):
    for results in (equal, at_ceiling):
        _check_rates(results, "pairwise", "p_value")


def test_planted_models_are_found(equal):
    rows = pd.concat([result.estimates for result in equal])
    for column in ("p_value", "p_max", "p_bonferroni"):
        assert (rows[column] < 0.05).mean() > 0.9
    for column in ("p_ceiling", "p_ceiling_max"):
        assert (rows[column] < 0.05).mean() > 0.5
    assert np.mean([result.ceilings["p_value"][0] < 0.05 for result in equal]) > 0.9
    permuted = infer_rsa(*_draw(3, "equal"), n_permutations=99, **OPTIONS)
    assert (permuted.estimates["p_permutation"] == 0.01).all()


def test_a_better_model_is_told_from_one_that_knows_nothing():
    found = []
    for seed in range(20):
        good, brain = _draw(seed, "equal", 1)
        other, _ = _draw(seed + 500, "unrelated", 1)
        both = RDMSet(np.vstack([good.dissimilarities, other.dissimilarities]), IDS)
        found.append(infer_rsa(both, brain, n_permutations=0, **OPTIONS).pairwise["p_value"][0])
    assert np.mean(np.array(found) < 0.05) > 0.8


@pytest.mark.parametrize("kind", ["equal", "ceiling"])
def test_intervals_cover_what_estimates_are_on_average(kind, request):
    results = request.getfixturevalue("equal" if kind == "equal" else "at_ceiling")
    truth = _find_truth(kind)
    for model in range(3):
        rows = [result.estimates.iloc[model] for result in results]
        covered = sum(row["low"] <= truth <= row["high"] for row in rows)
        assert clopper_pearson(covered, len(rows), 0.99)[1] >= 0.95
        # Intervals are no wider than they need be: half as wide, they would not cover.
        half = [abs(row["estimate"] - truth) <= (row["high"] - row["low"]) / 4 for row in rows]
        assert np.mean(half) < 0.95


def test_intervals_of_noise_ceilings_cover_what_ceilings_are_on_average(at_ceiling):
    # The mean of nine others, which is what the models are here.
    truth = _find_truth("ceiling")
    limits = [result.ceilings.iloc[0] for result in at_ceiling]
    covered = sum(row["lower_low"] <= truth <= row["lower_high"] for row in limits)
    assert clopper_pearson(covered, len(limits), 0.99)[1] >= 0.95
    assert covered < len(limits) or np.mean([row["lower_high"] - row["lower_low"] for row in limits]) < 0.4


@pytest.mark.parametrize("comparison", ["spearman", "rho_a", "kendall_tau_a", "whitened_pearson"])
def test_every_comparison_is_calibrated(comparison):
    results = _infer("unrelated", 200, n_permutations=99, comparison=comparison)
    for table, column in (
        ("estimates", "p_value"),
        ("estimates", "p_permutation"),
        ("pairwise", "p_value"),
    ):
        _check_rates(results, table, column)
    for table in ("estimates", "pairwise"):
        rate = false_positive_rate([getattr(result, table)["p_max"].min() for result in results])
        assert rate.is_calibrated, rate
    planted = _infer("equal", 30, comparison=comparison)
    assert np.mean([(result.estimates["p_value"] < 0.05).all() for result in planted]) > 0.9


@pytest.mark.parametrize("comparison", ["cosine", "whitened_cosine"])
def test_cosines_of_distances_with_a_true_zero_are_calibrated(comparison):
    p_values, p_ceilings = [], []
    for seed in range(200):
        models, brain = _draw(seed, "unrelated")
        noise = np.random.default_rng([seed, 5]).normal(size=brain.dissimilarities.shape)
        empty = RDMSet(noise, IDS, brain.table, distance="crossnobis")
        result = infer_rsa(models, empty, n_permutations=0, n_bootstraps=200, comparison=comparison)
        p_values.append(result.estimates["p_value"][0])
        p_ceilings.append(result.ceilings["p_value"][0])
    assert false_positive_rate(p_values).is_calibrated
    assert false_positive_rate(p_ceilings).is_calibrated


@pytest.mark.parametrize("target", ["subjects", "stimuli"])
def test_one_factor_bootstraps_are_calibrated_for_what_they_generalise_to(target):
    # Nothing is shared, so the truth is 0 for these stimuli and for these subjects alike.
    results = _infer("nothing shared", 200, generalise_to=target)
    for table, column in (("estimates", "p_value"), ("pairwise", "p_value"), ("ceilings", "p_value")):
        _check_rates(results, table, column)


def test_blocks_make_tests_of_clustered_stimuli_calibrated():
    """Photographs of one identity are alike; drawn one by one, they count too much."""
    labels = np.repeat(np.arange(7), 4)
    rates = {}
    for blocks in (None, labels):
        p_values = []
        for seed in range(150):
            rng = np.random.default_rng([seed, 9])
            centres = [rng.normal(size=(7, N_UNITS))[labels] for _ in range(2)]
            true, model = (one + 0.2 * rng.normal(size=one.shape) for one in centres)
            subjects = _draw_subjects(rng, true, N_SUBJECTS, 1.0)
            between = labels[LEFT] != labels[RIGHT]
            values = np.stack([np.where(between, rdm, np.nan) for rdm in (*subjects, _to_rdms(model))])
            table = pd.DataFrame({"subject": [f"{row:02d}" for row in range(N_SUBJECTS)]})
            brain = RDMSet(values[:-1], IDS, table)
            result = infer_rsa(
                RDMSet(values[-1:], IDS), brain, blocks=blocks, n_permutations=0, seed=seed, **OPTIONS
            )
            p_values.append(result.estimates["p_value"][0])
        rates[blocks is not None] = false_positive_rate(p_values)
    assert rates[True].is_calibrated, rates
    assert not rates[False].is_calibrated, rates


@pytest.mark.parametrize("comparison", ["pearson", "rho_a"])
def test_intervals_with_blocks_cover_where_pairs_of_one_block_are_compared_as_well(comparison):
    """Models know who is who and something else, so what they are true of are new people."""
    labels = np.repeat(np.arange(7), 4)

    def draw(seed):
        rng = np.random.default_rng([seed, 11])
        centres = [rng.normal(size=(7, N_UNITS))[labels] for _ in range(2)]
        true, other = (one + 0.2 * rng.normal(size=one.shape) for one in centres)
        table = pd.DataFrame({"subject": [f"{row:02d}" for row in range(N_SUBJECTS)]})
        brain = RDMSet(_draw_subjects(rng, true, N_SUBJECTS, 1.0), IDS, table)
        return RDMSet(_to_rdms(np.concatenate([true, other], axis=1))[None], IDS), brain

    truth = np.mean([compare_rdms(*reversed(draw(5000 + seed)), comparison).values for seed in range(400)])
    options = {**OPTIONS, "comparison": comparison, "n_permutations": 0}
    errors = {}
    for name, blocks in (("blocks", labels), ("alone", None)):
        rows = [
            infer_rsa(*draw(seed), blocks=blocks, seed=seed, **options).estimates.iloc[0]
            for seed in range(100)
        ]
        covered = sum(row["low"] <= truth <= row["high"] for row in rows)
        errors[name] = np.mean([row["standard_error"] for row in rows]) / np.std(
            [row["estimate"] for row in rows]
        )
        if name == "blocks":
            assert clopper_pearson(covered, len(rows), 0.99)[1] >= 0.95
        else:
            assert clopper_pearson(covered, len(rows), 0.99)[1] < 0.95
    assert 0.8 < errors["blocks"] < 1.25
    assert errors["alone"] < 0.8
