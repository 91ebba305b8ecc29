import numpy as np
import pytest

from fernet_neuro.embedding.comparison import plan_comparison
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.table import StimulusTable


def changed(table, **columns):
    return StimulusTable.from_frame(table.frame.assign(**columns), root=table.root)


@pytest.mark.parametrize(
    ("factor", "across"), [("expression", "identity"), ("identity", "expression"), ("view", "identity")]
)
def test_near_copies_and_the_held_out_factor_are_never_neighbours(faces_of, factor, across):
    table = faces_of(n_views=3)
    plan = plan_comparison(table, factor)
    assert (plan.across, plan.within) == (across, across)
    pairs = plan.groups[:, None] == plan.groups
    held_out = table.factor(across)
    np.testing.assert_array_equal(pairs, held_out[:, None] == held_out)
    frame = table.frame
    poses = frame[["identity", "expression", "view"]].agg("|".join, axis=1).to_numpy()
    assert pairs[poses[:, None] == poses].all()


@pytest.mark.parametrize("factor", ["expression", "identity", "view"])
def test_labellings_keep_units_whole_and_stay_in_their_group(faces_of, factor):
    plan = plan_comparison(faces_of(n_views=3), factor)
    draws = plan.draw(13, seed=4)
    assert draws.shape == (13, len(plan.codes))
    for draw in draws:
        for block in np.unique(plan.blocks):
            assert len(np.unique(draw[plan.blocks == block])) == 1
        for group in np.unique(plan.groups):
            members = plan.groups == group
            np.testing.assert_array_equal(np.sort(draw[members]), np.sort(plan.codes[members]))
    assert (draws != plan.codes).any()
    np.testing.assert_array_equal(draws, plan.draw(13, seed=4))


def test_matches_and_candidates_are_counted(faces_of):
    plan = plan_comparison(faces_of(), "expression")  # 7 people, 4 expressions, 2 sessions
    assert set(plan.count_candidates()) == {6 * 4 * 2}
    assert set(plan.count_matches()) == {6 * 2}


def test_identity_is_compared_across_views_where_all_show_one_expression(faces_of):
    plan = plan_comparison(faces_of(n_expressions=1, n_views=3), "identity")
    assert (plan.across, plan.within, plan.units) == ("view", "view", "view x identity")


def test_pictures_of_unknown_people_stand_alone(faces_of):
    plan = plan_comparison(changed(faces_of(), identity=""), "expression")
    assert (plan.across, plan.within, plan.units) == (None, None, "single pictures")
    assert len(np.unique(plan.groups)) == 56
    assert plan.over == "50 random blocks of pictures"
    assert (np.bincount(plan.people) >= 1).all()


def test_people_without_other_factors_are_compared_but_not_over_sessions_of_one_pose(faces_of):
    lonely = faces_of(n_expressions=1)
    with pytest.raises(StimulusError, match="sessions of one pose, and those are near-copies"):
        plan_comparison(lonely, "identity")
    with pytest.raises(StimulusError, match="sessions of one pose, and those are near-copies"):
        plan_comparison(changed(lonely, session=""), "identity")
    unlabelled = changed(lonely, expression="", view="", session="")
    assert plan_comparison(unlabelled, "identity").across is None


def test_a_factor_constant_in_each_person_is_exchanged_freely_between_people(faces_of):
    table = faces_of()
    sexes = np.where(np.isin(table.factor("identity"), ["id00", "id03", "id04"]), "f", "m")
    plan = plan_comparison(changed(table, sex=sexes), "sex")
    assert (plan.across, plan.within) == ("identity", None)
    for draw in plan.draw(9, seed=1):
        for person in np.unique(plan.groups):
            assert len(np.unique(draw[plan.groups == person])) == 1


@pytest.mark.parametrize(
    ("columns", "factor", "message"),
    [
        ({"expression": "fear"}, "expression", "the table has only 'fear'"),
        ({"identity": "id00"}, "expression", "no value of 'expression' occurs with two values of 'identity'"),
        ({}, "expressions", "Did you mean 'expression'"),
    ],
)
def test_what_cannot_be_judged_is_said(faces_of, columns, factor, message):
    with pytest.raises(StimulusError, match=message):
        plan_comparison(changed(faces_of(), **columns), factor)


@pytest.mark.parametrize("factor", ["expression", "identity"])
def test_a_partly_filled_identity_is_refused(faces_of, factor):
    table = faces_of()
    holes = table.factor("identity").copy()
    holes[5] = ""
    with pytest.raises(StimulusError, match="1 of 56 stimuli have no 'identity'"):
        plan_comparison(changed(table, identity=holes), factor)


def test_the_order_of_rows_does_not_matter(faces_of, rng):
    table = faces_of(n_views=3)
    order = rng.permutation(len(table))
    first, other = (plan_comparison(item, "expression") for item in (table, table.select(order)))
    for name in ("codes", "groups", "people"):
        np.testing.assert_array_equal(getattr(first, name)[order], getattr(other, name))
