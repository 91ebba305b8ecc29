from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.probes.design import plan_design
from fernet_neuro.probes.evaluate import evaluate_probe
from fernet_neuro.probes.gather import gather_result
from fernet_neuro.probes.readout import FoldScore, ReadoutSettings
from fernet_neuro.probes.uncertainty import compare_sources, interval_of, pool_twins
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stats.resampling import bootstrap_mean_interval
from fernet_neuro.stimuli.splits import Fold, make_folds


def person_of(table):
    return np.unique(table.factor("identity"), return_inverse=True)[1]


def plan_of(table):
    folds = make_folds(table, "identity", n_folds=6)
    return plan_design(table, "expression", "identity", folds, "auto", 0, 0)


def gender_design(table_of, n_women, n_men, n_folds):
    table = table_of(n_people=n_women + n_men, n_expressions=2, n_sessions=1)
    people = person_of(table)
    table = type(table).from_frame(table.frame.assign(gender=np.where(people < n_women, "f", "m")))
    folds = [
        Fold(str(k), np.flatnonzero(people % n_folds != k), np.flatnonzero(people % n_folds == k))
        for k in range(n_folds)
    ]
    return table, plan_design(table, "gender", "identity", folds, "auto", 0, 0)


def result_of(design, guesses, source, layer="layer4"):
    """Gather guesses per stimulus as if a read-out had made them."""
    scores = []
    for fold in design.folds:
        true, guess = design.codes[fold.test], guesses[fold.test]
        recalls = [np.mean(guess[true == label] == label) for label in np.unique(true)]
        scores.append(FoldScore(guess, float(np.mean(recalls)), 1.0))
    return gather_result(design, scores, ReadoutSettings("ridge"), source, layer, 0)


@pytest.mark.slow
def test_interval_of_unbalanced_classes_covers_chance_at_the_nominal_rate(table_of):
    table, design = gender_design(table_of, 32, 8, 4)
    people = person_of(table)
    missed = []
    for dataset in range(400):
        # A read-out that has learnt how many women there are, and nothing else.
        guesses = (np.random.default_rng([4, dataset]).random(people.max() + 1) > 0.8).astype(int)[people]
        low, high, over = result_of(design, guesses, "network").interval
        missed.append(not low <= 0.5 <= high)
        assert over == "identities"
    # Plain accuracy is .68: an interval of it, [.54, .82] or so, would miss .5 in most data sets.
    assert np.mean(missed) <= false_positive_rate(np.array([0.5] * 400)).limit


@pytest.mark.parametrize(("n_women", "n_men"), [(32, 8), (20, 20)])
def test_interval_of_a_fitted_read_out_is_around_its_score(table_of, simulated, n_women, n_men):
    table, design = gender_design(table_of, n_women, n_men, 4)
    covered = []
    for dataset in range(40):
        noise = simulated(table, np.random.default_rng([5, dataset]), noise=0.5, identity=1.0)
        result = evaluate_probe(
            noise, table, target="gender", folds=design.folds, n_permutations=0, penalties=(0.01, 1.0)
        )
        low, high, _ = result.interval
        assert low <= result.balanced_accuracy <= high
        covered.append(low <= 0.5 <= high)
    # Folds share people to learn from, which the interval leaves out: somewhat below .95.
    assert np.mean(covered) >= 0.75


def test_balanced_interval_is_that_of_the_mean_recall_of_people(table_of, simulated, rng):
    table = table_of(n_people=12)
    folds = make_folds(table, "identity", n_folds=4)
    faces = simulated(table, rng, noise=0.5, expression=0.35, identity_expression=0.8)
    result = evaluate_probe(faces, table, target="expression", folds=folds, n_permutations=0)
    owners = result.predictions["stimulus_id"].str.split("_").str[0]
    recalls = (result.predictions["true"] == result.predictions["predicted"]).groupby(owners).mean()
    oracle = bootstrap_mean_interval(recalls.to_numpy(), rng=make_rng(0, "probe", "interval"))
    assert result.interval[:2] == pytest.approx(oracle, abs=1e-9)


def test_interval_of_read_out_people_is_over_them(table_of, simulated, rng):
    table = table_of(n_people=11)
    folds = make_folds(table, "expression", target="identity")
    faces = simulated(table, rng, noise=0.5, identity=0.5, identity_expression=0.8)
    result = evaluate_probe(faces, table, target="identity", folds=folds, n_permutations=0)
    recalls = np.array(list(result.per_class_accuracy.values()))
    oracle = bootstrap_mean_interval(recalls, rng=make_rng(0, "probe", "interval"))
    assert result.interval[:2] == pytest.approx(oracle, abs=1e-9)


def test_a_class_of_one_person_has_no_interval(table_of):
    table, _ = gender_design(table_of, 6, 3, 2)
    table = type(table).from_frame(table.frame[person_of(table) < 7])
    folds = make_folds(table, "expression", target="gender")
    design = plan_design(table, "gender", "expression", folds, "auto", 0, 0)
    values = np.ones(sum(len(fold.test) for fold in design.folds))
    assert interval_of(design, values, 1.0) is None


def compare(table_of, n_datasets, ours, theirs):
    """Return the differences of pairs of read-outs that are right with these chances."""
    table = table_of(n_people=14, n_expressions=4)
    design = plan_design(
        table, "expression", "identity", make_folds(table, "identity", n_folds=7), "auto", 0, 0
    )
    n = len(table)
    found = []
    for dataset in range(n_datasets):
        rng = np.random.default_rng([6, dataset])
        # Some people are easy for both, so that photographs of one person are not independent.
        ease = rng.uniform(-0.3, 0.3, 14)[person_of(table)]
        results = []
        for source, chance in (("network", ours), ("untrained", theirs), ("pixels", theirs)):
            right = rng.random(n) < chance + ease
            guesses = np.where(right, design.codes, (design.codes + 1) % 4)
            results.append(result_of(design, guesses, source, "pixels" if source == "pixels" else "layer4"))
        compare_sources(design, results)
        assert results[1].differences == {}
        found.append(results[0].summarise())
    return found


@pytest.mark.slow
def test_equal_read_outs_differ_at_the_nominal_rate(table_of):
    found = compare(table_of, 80, 0.5, 0.5)
    for source in ("untrained", "pixels"):
        name = f"difference_{source}"
        assert false_positive_rate(np.array([row[f"{name}_p"] for row in found])).is_calibrated
        missed = [not row[f"{name}_low"] <= 0 <= row[f"{name}_high"] for row in found]
        assert np.mean(missed) <= false_positive_rate(np.array([0.5] * 80)).limit


def test_a_better_network_is_told_from_its_twin_and_from_pixels(table_of):
    for row in compare(table_of, 5, 0.7, 0.25):
        for name in ("difference_untrained", "difference_pixels"):
            assert 0 < row[f"{name}_low"] < row[name] < row[f"{name}_high"]
            assert row[f"{name}_p"] < 0.05
        assert row["difference_interval"] == "identities"


def draw_networks(design, rng, n_networks, base, *, weights_sd=0.08, person_sd=0.15):
    """Return results of networks whose chances differ, and from person to person in each."""
    person, made = person_of(design.table), result_of(design, design.codes, "untrained")
    rows = np.concatenate([fold.test for fold in design.folds])
    ease = rng.normal(0, 0.15, person.max() + 1)
    results = []
    for number in range(n_networks):
        own = rng.normal(0, weights_sd) + rng.normal(0, person_sd, person.max() + 1)[person]
        right = rng.random(len(person)) < base[number] + ease[person] + own
        guesses = np.where(right, design.codes, (design.codes + 1) % 4)
        scores = [np.mean(guesses[fold.test] == design.codes[fold.test]) for fold in design.folds]
        results.append(
            replace(
                made,
                source="untrained" if number else "network",
                folds=made.folds.assign(balanced_accuracy=scores),
                predictions=made.predictions.assign(predicted=design.classes[guesses[rows]]),
            )
        )
    return results


@pytest.mark.slow
def test_one_more_untrained_network_is_seldom_told_from_ten_and_often_from_one(table_of):
    design = plan_of(table_of(n_people=12, n_expressions=4))
    p_values = {1: [], 10: []}
    for dataset in range(100):
        results = draw_networks(design, np.random.default_rng([8, dataset]), 11, [0.5] * 11)
        for n_twins, found in p_values.items():
            compare_sources(design, results[: 1 + n_twins])
            found.append(results[0].differences["difference_untrained_p"])
    assert false_positive_rate(np.array(p_values[10])).is_calibrated
    assert not false_positive_rate(np.array(p_values[1])).is_calibrated


def test_difference_from_twins_is_student_t_of_one_more_where_people_agree(table_of):
    design = plan_of(table_of(n_people=12, n_expressions=4))
    results = []
    for number, wrong in enumerate([0, 1, 2, 3]):  # every person is told wrongly in as many expressions
        guesses = np.where(design.codes < wrong, (design.codes + 1) % 4, design.codes)
        results.append(result_of(design, guesses, "untrained" if number else "network", "layer4"))
    compare_sources(design, results)
    row, scores = results[0].differences, np.array([0.75, 0.5, 0.25])
    t = (1 - scores.mean()) / (scores.std(ddof=1) * np.sqrt(1 + 1 / 3))
    assert row["difference_untrained"] == pytest.approx(0.5)
    assert row["difference_untrained_p"] == pytest.approx(2 * stats.t.sf(t, 2))
    pooled = pool_twins(design, results)[1]
    assert pooled.balanced_accuracy == pytest.approx(0.5)
    assert pooled.control["twin_low"] == 0  # 0.5 -+ 4.30 x .25 x sqrt(4 / 3), cut at the ends
    assert pooled.control["twin_high"] == 1
