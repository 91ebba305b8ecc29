import numpy as np
import pytest

from fernet_neuro.probes._dual import compute_gram
from fernet_neuro.probes.controls import compare_control, plan_control, score_control
from fernet_neuro.probes.readout import ReadoutSettings
from fernet_neuro.stimuli.splits import make_folds


def plan(table, target, holdout):
    return plan_control(table, target, holdout, make_folds(table, holdout, target=target, n_folds=3))


def score(task, table, activations, target):
    classes, codes = np.unique(table.factor(target), return_inverse=True)
    strata = np.unique(table.factor("identity"), return_inverse=True)[1]
    gram = compute_gram(activations.values)
    return score_control(task, gram, codes, len(classes), strata, ReadoutSettings(), seed=0)


@pytest.mark.parametrize(
    ("target", "holdout", "used", "is_matched"),
    [
        ("expression", "identity", "session", True),
        ("identity", "expression", "session", True),
        ("expression", "session", "session", False),
        ("expression", "view", "view", False),
        ("identity", "view", "view", False),
    ],
)
def test_arbitrary_labels_are_tested_where_they_can_be_learnt(table_of, target, holdout, used, is_matched):
    task = plan(table_of(n_views=3), target, holdout)
    assert (task.holdout, task.is_matched) == (used, is_matched)
    for fold in task.folds:
        assert np.isin(task.exchange.unit_of[fold.test], task.exchange.unit_of[fold.train]).all()


def test_views_stand_in_where_there_is_one_session(table_of):
    assert plan(table_of(n_views=2, n_sessions=1), "expression", "identity").holdout == "view"


def test_the_reason_is_given_where_no_control_task_is_possible(table_of):
    assert "neither two sessions nor two views" in plan(table_of(n_sessions=1), "expression", "identity")
    table = table_of(n_expressions=1)
    folds = make_folds(table, "session", target="identity")
    assert "no person shows two items" in plan_control(table, "identity", "session", folds)


def test_stimuli_whose_item_was_never_trained_on_are_left_out_of_the_matched_folds(table_of):
    table = table_of()
    table = table.select(np.arange(len(table)) != 1)
    task = plan(table, "expression", "identity")
    assert sorted(len(fold.test) for fold in task.folds) == [27, 27]


def test_selectivity_is_high_for_a_shared_signal_and_nil_for_near_duplicates(table_of, simulated, rng):
    table = table_of(n_people=9)
    task = plan(table, "expression", "identity")
    selectivity = {}
    for name, sizes in {
        "shared": {"expression": 3.0, "identity": 0.3},
        "twins": {"identity_expression": 2.0},
    }.items():
        scores = score(task, table, simulated(table, rng, noise=1.0, **sizes), "expression")
        report = compare_control(task, scores, 0.123)
        assert report["selectivity"] == pytest.approx(
            report["selectivity_task_accuracy"] - report["selectivity_control_accuracy"]
        )
        assert report["selectivity_holdout"] == "session"
        selectivity[name] = report["selectivity"]
    assert selectivity["shared"] > 0.4
    assert abs(selectivity["twins"]) < 0.15


def test_under_shared_folds_the_task_accuracy_is_the_probes_own(table_of, simulated, rng):
    table = table_of(n_views=2)
    task = plan(table, "expression", "view")
    scores = score(task, table, simulated(table, rng, expression=1.0), "expression")
    assert compare_control(task, scores, 0.75)["selectivity_task_accuracy"] == 0.75
