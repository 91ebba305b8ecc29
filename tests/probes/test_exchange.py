import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.probes.exchange import (
    check_permute_within,
    keep_class_counts,
    plan_control_task,
    plan_exchange,
    plan_number_exchange,
    plan_strata,
)
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.stimuli.table import StimulusTable


def test_expression_labels_move_within_people_and_stay_on_near_duplicates(table_of, rng):
    table = table_of(n_views=3)
    plan = plan_exchange(table, "expression", "identity")
    assert (plan.within, plan.units) == ("identity", "identity x expression")
    labels = plan.draw(50, rng)[:, plan.unit_of]
    frame = table.frame
    for draw in labels:
        by_item = frame.assign(label=draw).groupby(["identity", "expression"])["label"]
        assert by_item.nunique().max() == 1
        by_person = frame.assign(label=draw).groupby("identity")["label"]
        assert (by_person.nunique() == 4).all()
    assert len(np.unique(labels, axis=0)) == 50


@pytest.mark.parametrize(
    ("target", "holdout", "within"),
    [
        ("expression", "identity", "identity"),
        ("expression", "kdef10", "identity"),
        ("expression", "session", "identity"),
        ("expression", "view", "identity"),
        ("identity", "expression", "expression"),
        ("identity", "session", "expression"),
        ("identity", "random", "expression"),
        ("identity", "view", "view"),
        ("view", "identity", "identity"),
    ],
)
def test_labels_are_exchanged_within(table_of, target, holdout, within):
    assert plan_exchange(table_of(n_views=3), target, holdout).within == within


def test_people_who_show_one_expression_each_are_exchanged_whole(table_of, rng):
    frame = table_of().frame
    one_each = (
        frame["expression"]
        == np.array(["anger", "fear", "happiness", "neutral"])[frame["identity"].str[2:].astype(int) % 4]
    )
    table = StimulusTable.from_frame(frame[one_each])
    plan = plan_exchange(table, "expression", "random")
    assert (plan.within, plan.units) == (None, "identity x expression")
    labels = plan.draw(20, rng)[:, plan.unit_of]
    assert all(
        table.frame.assign(label=draw).groupby("identity")["label"].nunique().max() == 1 for draw in labels
    )


def test_identity_without_expressions_falls_to_sessions_then_to_single_stimuli(table_of):
    frame = table_of(n_expressions=1).frame
    table = StimulusTable.from_frame(frame)
    assert plan_exchange(table, "identity", "session").within == "session"
    plan = plan_exchange(StimulusTable.from_frame(frame.assign(session="")), "identity", "random")
    assert (plan.within, plan.units) == (None, "single stimuli")


@pytest.fixture
def frames_of_nobody():
    """Three frames of each of 24 clips of unnamed people, half of each of two expressions, and an age."""
    clip = np.repeat(np.arange(24), 3)
    frame = pd.DataFrame({"stimulus_id": [f"s{row}" for row in range(72)], "path": "a.png", "clip": clip})
    ages = (20 + clip * 7 % 31).astype(float)
    return StimulusTable.from_frame(frame.assign(age=ages, expression=np.where(clip % 2, "fear", "joy")))


def test_frames_of_one_clip_stay_together_where_nobody_is_known(frames_of_nobody, rng):
    clips = frames_of_nobody.factor("clip")
    ranks = np.unique(frames_of_nobody.factor("age"), return_inverse=True)[1]
    for plan in (
        plan_exchange(frames_of_nobody, "expression", "random"),
        plan_number_exchange(frames_of_nobody, ranks),
    ):
        assert (plan.within, plan.units, len(plan.unit_labels)) == (None, "clip x value", 24)
        for draw in plan.draw(20, rng)[:, plan.unit_of]:
            assert pd.Series(draw).groupby(clips).nunique().max() == 1
    for fold in make_folds(frames_of_nobody, "random", target="expression", n_folds=4):
        assert not set(clips[fold.train]) & set(clips[fold.test])
    assert pd.Series(plan_strata(frames_of_nobody, "expression")).groupby(clips).nunique().max() == 1


def test_order_of_stimuli_does_not_change_the_units(table_of, rng):
    table = table_of()
    shuffled = table.align_to(rng.permutation(table.stimulus_ids))
    first, other = (plan_exchange(item, "expression", "identity") for item in (table, shuffled))
    np.testing.assert_array_equal(first.unit_labels, other.unit_labels)
    by_id = dict(zip(shuffled.stimulus_ids, other.unit_of, strict=True))
    assert [by_id[name] for name in table.stimulus_ids] == first.unit_of.tolist()


def test_exchanges_that_change_nothing_are_refused(table_of):
    with pytest.raises(StimulusError, match="only renames the classes"):
        plan_exchange(table_of(n_expressions=1), "identity", "session", permute_within="expression").check()
    with pytest.raises(StimulusError, match="each group has one label"):
        plan_exchange(
            table_of().select(session="A"), "identity", "random", permute_within="stimulus_id"
        ).check()


def test_exchange_within_the_target_is_refused(table_of):
    with pytest.raises(StimulusError, match="permute_within='expression' is the target itself"):
        plan_exchange(table_of(), "expression", "identity", permute_within="expression")


def test_unknown_factor_is_refused_with_a_suggestion(table_of):
    with pytest.raises(
        ValueError, match=r"permute_within='identities' is not known.*Did you mean 'identity'"
    ):
        check_permute_within(table_of(), "identities")
    assert check_permute_within(table_of(), None) is None


def test_control_task_needs_items(table_of):
    plan = plan_control_task(table_of(), "identity")
    assert plan.within == "expression"
    frame = table_of().frame.assign(identity="")
    assert plan_control_task(StimulusTable.from_frame(frame), "expression") is None
    assert plan_control_task(table_of(n_expressions=1), "identity") is None


def test_strata_are_people_for_expressions_and_single_stimuli_without_people(table_of):
    table = table_of()
    assert len(np.unique(plan_strata(table, "expression"))) == 7
    assert len(np.unique(plan_strata(table, "identity"))) == 4
    nameless = StimulusTable.from_frame(table.frame.assign(identity=""))
    assert len(np.unique(plan_strata(nameless, "expression"))) == len(table)


def group_of(table, n_minority):
    """Return the table with a factor that is constant in each person."""
    people = np.unique(table.factor("identity"))
    group = dict(zip(people, ["few"] * n_minority + ["many"] * (len(people) - n_minority), strict=True))
    return StimulusTable.from_frame(table.frame.assign(group=table.frame["identity"].map(group)))


def test_a_factor_of_people_is_exchanged_inside_the_test_parts_that_were_drawn_by_it(table_of, rng):
    table = group_of(table_of(n_people=9, n_expressions=2), 3)
    folds = make_folds(table, "identity", target="group", n_folds=3)
    free = plan_exchange(table, "group", "identity")
    plan = keep_class_counts(free, folds)
    assert (free.within, plan.within) == (None, "fold")
    labels = plan.draw(200, rng)[:, plan.unit_of]
    for fold in folds:
        shown = {tuple(np.bincount(draw[fold.test], minlength=2)) for draw in labels}
        assert shown == {(4, 8)}  # one of three people, four pictures each
    assert len(np.unique(labels, axis=0)) == 27  # 3 choices in each of 3 test parts


@pytest.mark.parametrize(
    ("target", "holdout"), [("expression", "identity"), ("identity", "expression"), ("expression", "random")]
)
def test_exchanges_inside_people_or_across_overlapping_folds_stay_as_they_are(table_of, target, holdout):
    table = table_of(n_people=6)
    plan = plan_exchange(table, target, holdout)
    folds = make_folds(table, holdout, target=target, n_folds=3)
    assert keep_class_counts(plan, folds) is plan


def test_a_person_missing_in_one_row_is_refused_and_never_exchanged_freely(table_of):
    frame = table_of().frame
    frame.loc[3, "identity"] = ""
    table = StimulusTable.from_frame(frame)
    for target, within in (("expression", "auto"), ("view", "auto"), ("expression", None)):
        with pytest.raises(StimulusError, match=r"1 of 56 stimuli have no 'identity'"):
            plan_exchange(table, target, "session", within)
    with pytest.raises(StimulusError, match="no 'identity'"):
        plan_control_task(table, "expression")
    with pytest.raises(StimulusError, match="no 'identity'"):
        plan_strata(table, "expression")


def test_an_expression_missing_in_one_row_is_refused_where_people_are_read_out(table_of):
    frame = table_of().frame
    frame.loc[0, "expression"] = ""
    with pytest.raises(StimulusError, match="no 'expression'"):
        plan_exchange(StimulusTable.from_frame(frame), "identity", "session")
