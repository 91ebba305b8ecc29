import numpy as np
import pytest

from fernet_neuro.probes._dual import compute_gram
from fernet_neuro.probes.evaluate import evaluate_probe
from fernet_neuro.probes.exchange import plan_strata
from fernet_neuro.probes.readout import Labels, ReadoutSettings, score_folds
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stats.resampling import permute_within
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.stimuli.table import StimulusTable

pytestmark = pytest.mark.slow

N_PERMUTATIONS = 19
PENALTIES = (0.01, 1.0)


def simulate_null(simulated, table, target, dataset):
    """Return twin photographs of each person's own version of each expression, nothing of it in common."""
    other = "identity" if target == "expression" else "expression"
    sizes = {other: 2.0, "identity_expression": 1.0}
    return simulated(table, np.random.default_rng([9, dataset]), noise=0.3, **sizes)


def naive_p_value(activations, table, folds, dataset):
    """Return the p value of a null that exchanges single photographs within people."""
    classes, codes = np.unique(table.factor("expression"), return_inverse=True)
    rng = np.random.default_rng(dataset)
    draws = permute_within(codes, table.factor("identity"), rng, N_PERMUTATIONS).astype(np.int16)
    labels = Labels(codes, len(classes), np.arange(len(codes)), draws)
    settings = ReadoutSettings(penalties=PENALTIES)
    gram = compute_gram(activations.values)
    scores = score_folds(gram, labels, folds, plan_strata(table, "expression"), settings)
    null = np.mean([score.null_scores for score in scores], axis=0)
    observed = np.mean([score.balanced_accuracy for score in scores])
    return (1 + (null >= observed - 1e-12).sum()) / (1 + N_PERMUTATIONS)


@pytest.mark.parametrize(("target", "holdout"), [("expression", "identity"), ("identity", "expression")])
def test_false_positives_over_200_null_data_sets(table_of, simulated, target, holdout):
    table = table_of(n_people=5, n_expressions=4)
    folds = make_folds(table, holdout, target=target, n_folds=3)
    p_values = [
        evaluate_probe(
            simulate_null(simulated, table, target, dataset),
            table,
            target=target,
            folds=folds,
            holdout=holdout,
            n_permutations=N_PERMUTATIONS,
            penalties=PENALTIES,
            seed=dataset,
        ).p_value
        for dataset in range(200)
    ]
    assert false_positive_rate(np.array(p_values)).is_calibrated


def test_exchanging_single_photographs_is_found_out(table_of, simulated):
    table = table_of(n_people=5, n_expressions=4)
    folds = make_folds(table, "session", target="expression")
    p_values = [
        naive_p_value(simulate_null(simulated, table, "expression", dataset), table, folds, dataset)
        for dataset in range(30)
    ]
    assert not false_positive_rate(np.array(p_values)).is_calibrated


def test_a_factor_of_people_is_read_out_with_nominal_rate_and_power(table_of, simulated):
    people = table_of(n_people=12, n_expressions=2, n_sessions=1)
    rates = {}
    for effect in (0.0, 0.75):
        p_values = []
        for dataset in range(120):
            rng = np.random.default_rng([11, dataset])
            few = rng.permutation(12)[:3]
            group = np.where(np.isin(people.frame["identity"].str[2:].astype(int), few), "few", "many")
            table = StimulusTable.from_frame(people.frame.assign(group=group))
            found = evaluate_probe(
                simulated(table, rng, identity=1.0, group=effect), table, target="group",
                folds=make_folds(table, "identity", target="group", n_folds=3), holdout="identity",
                n_permutations=59, penalties=(0.1,), seed=dataset,
            )  # fmt: skip
            p_values.append(found.p_value)
        rates[effect] = false_positive_rate(np.array(p_values))
    assert rates[0.0].is_calibrated
    assert rates[0.75].rate > 0.5
