"""Folds keep apart what they promise, train on every class they test, and depend on the seed alone."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.splits import KDEF_SETS, check_disjoint, make_folds, partition_table, split_table
from fernet_neuro.stimuli.table import StimulusTable

EXPRESSIONS = ("anger", "fear", "happiness")
VIEWS = ("half_left", "straight")


def make_table(n_identities=7, expressions=EXPRESSIONS, views=VIEWS, sessions=("A", "B")) -> StimulusTable:
    names = [f"id{number:03d}" for number in range(n_identities)]
    rows = [
        ("_".join(row), "_".join(row) + ".png", *row) for row in product(names, expressions, views, sessions)
    ]
    columns = ["stimulus_id", "path", "identity", "expression", "view", "session"]
    return StimulusTable.from_frame(pd.DataFrame(rows, columns=columns))


def values(table, name, rows) -> set[str]:
    return set(table.factor(name)[rows].tolist())


@pytest.mark.parametrize(
    ("holdout", "target", "factor", "n_folds"),
    [
        ("identity", "expression", "identity", 5),
        ("identity", "view", "identity", 7),
        ("view", "expression", "view", 2),
        ("view", "identity", "view", 2),
        ("expression", "identity", "expression", 3),
        ("session", "identity", "session", 2),
        ("session", "expression", "session", 2),
    ],
)
def test_held_out_values_are_on_one_side_and_every_row_is_tested_once(holdout, target, factor, n_folds):
    table = make_table()
    folds = make_folds(table, holdout, target=target, n_folds=n_folds)
    assert len(folds) == n_folds
    for fold in folds:
        assert not values(table, factor, fold.train) & values(table, factor, fold.test)
        assert sorted([*fold.train, *fold.test]) == list(range(len(table)))
        assert values(table, target, fold.train) == values(table, target, fold.test)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(len(table)))


def test_identity_folds_are_balanced_and_drawn_by_the_seed():
    table = make_table(n_identities=23)
    first, again, other = (make_folds(table, "identity", n_folds=5, seed=seed) for seed in (3, 3, 4))
    n_identities = [len(values(table, "identity", fold.test)) for fold in first]
    assert sorted(n_identities) == [4, 4, 5, 5, 5]
    assert all(np.array_equal(a.test, b.test) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a.test, b.test) for a, b in zip(first, other, strict=True))


def test_identity_folds_do_not_depend_on_the_order_of_the_rows(rng):
    table = make_table(n_identities=11)
    shuffled = table.select(rng.permutation(len(table)))
    for fold, other in zip(
        make_folds(table, "identity", n_folds=3), make_folds(shuffled, "identity", n_folds=3), strict=True
    ):
        assert set(table.stimulus_ids[fold.test]) == set(shuffled.stimulus_ids[other.test])


def test_a_class_that_few_people_show_is_spread_over_the_folds():
    table = make_table(n_identities=30)
    rare = set(np.unique(table.factor("identity"))[[1, 9, 17, 22, 28]].tolist())
    keep = (table.factor("expression") != "fear") | np.isin(table.factor("identity"), list(rare))
    folds = make_folds(table.select(keep), "identity", n_folds=5, seed=11)
    assert [len(values(table.select(keep), "identity", fold.test) & rare) for fold in folds] == [1] * 5


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), n_identities=st.integers(3, 17), n_folds=st.integers(2, 3))
def test_identity_folds_are_disjoint_for_any_seed(seed, n_identities, n_folds):
    table = make_table(n_identities=n_identities)
    for fold in make_folds(table, "identity", n_folds=n_folds, seed=seed):
        assert not values(table, "identity", fold.train) & values(table, "identity", fold.test)


@pytest.mark.parametrize("target", ["expression", "identity", "view"])
def test_random_folds_test_a_fifth_and_keep_sessions_of_a_pose_together(target):
    table = make_table(n_identities=10)
    pose = np.array(["_".join(row) for row in table.frame[["identity", "expression", "view"]].to_numpy()])
    folds = make_folds(table, "random", target=target, n_folds=4)
    assert len(folds) == 4
    for fold in folds:
        assert not set(pose[fold.train]) & set(pose[fold.test])
        assert len(fold.test) / len(table) == pytest.approx(0.2, abs=0.05)
        counts = pd.Series(table.factor(target)[fold.test]).value_counts()
        assert counts.min() == counts.max()
    assert not np.array_equal(folds[0].test, folds[1].test)


def test_photographs_without_session_are_single_in_random_folds():
    # Ten photographs of each of two people, nothing else known, as in LFW.
    rows = [(f"{name}{n}", f"{name}{n}.png", name) for name in ("ann", "bob") for n in range(10)]
    table = StimulusTable.from_frame(pd.DataFrame(rows, columns=["stimulus_id", "path", "identity"]))
    for fold in make_folds(table, "random", target="identity", n_folds=3):
        assert pd.Series(table.factor("identity")[fold.test]).value_counts().to_dict() == {"ann": 2, "bob": 2}


@pytest.mark.parametrize("target", ["expression", "identity"])
def test_random_folds_keep_photographs_of_a_pose_together_without_a_session_column(target):
    table = make_table(n_identities=10)
    nameless = StimulusTable.from_frame(table.frame.drop(columns="session"))
    pose = nameless.combine("identity", "expression", "view")
    assert len(np.unique(pose)) < len(nameless)
    folds = make_folds(nameless, "random", target=target, n_folds=3)
    for fold, labelled in zip(folds, make_folds(table, "random", target=target, n_folds=3), strict=True):
        assert not set(pose[fold.train]) & set(pose[fold.test])
        # A column that counts the photographs adds nothing.
        assert np.array_equal(fold.test, labelled.test)


def test_random_folds_of_near_copies_alone_are_refused():
    table = make_table(
        n_identities=4, expressions=("neutral",), views=("straight",), sessions=("A", "B", "C")
    )
    table = StimulusTable.from_frame(table.frame.drop(columns="session"))
    message = (
        r"'random' keeps photographs of one identity, .* 4 of 4 classes have no others \(first: 'id000'\)"
    )
    with pytest.raises(StimulusError, match=message):
        make_folds(table, "random", target="identity")


def test_kdef_sets_partition_seventy_identities_by_sorted_order():
    assert sorted(number for members in KDEF_SETS for number in members) == list(range(70))
    names = [f"{gender}{number:02d}" for number in range(1, 36) for gender in "MF"]  # not in sorted order
    rows = [(f"{n}{e}", f"{n}{e}.png", n, e) for n in names for e in EXPRESSIONS]
    frame = pd.DataFrame(rows, columns=["stimulus_id", "path", "identity", "expression"])
    table = StimulusTable.from_frame(frame)
    folds = make_folds(table, "kdef10")
    assert len(folds) == 10
    # Set 1 is 8, 15, 31, 38, 47, 57, 66 of F01..F35, M01..M35 counted from 0.
    assert values(table, "identity", folds[0].test) == {"F09", "F16", "F32", "M04", "M13", "M23", "M32"}
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(table)))


def test_kdef_sets_need_seventy_identities():
    with pytest.raises(StimulusError, match="needs the 70 identities of KDEF; the table has 7"):
        make_folds(make_table(), "kdef10")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": "identity", "target": "identity"}, "cannot be read out while it is held out"),
        ({"holdout": "expression"}, "cannot be read out while it is held out"),
        ({"holdout": "kdef10", "target": "identity"}, "cannot be read out while it is held out"),
        ({"holdout": "identity", "n_folds": 8}, r"table has 7. Use n_folds=7 or fewer"),
        ({"holdout": "identity", "n_folds": 1}, "n_folds must be >= 2"),
        ({"holdout": "identty"}, "Did you mean 'identity'"),
        ({"holdout": "identity", "target": "emotion"}, "no factor 'emotion'"),
    ],
)
def test_folds_that_cannot_be_made_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        make_folds(make_table(), **options)


def test_one_class_or_one_value_is_refused():
    with pytest.raises(StimulusError, match="'expression' needs at least two classes; the table has: anger"):
        make_folds(make_table(expressions=("anger",)), "identity", n_folds=3)
    with pytest.raises(StimulusError, match=r"holdout 'view' needs at least two of them; .* only 'straight'"):
        make_folds(make_table(views=("straight",)), "view")
    with pytest.raises(StimulusError, match="needs at least two classes; the table has: none"):
        make_folds(make_table().select([]), "identity")


def test_a_missing_photograph_leaves_its_class_out_of_that_test_part_alone():
    table = make_table(sessions=("A",), views=("straight",))
    kept = table.select((table.factor("expression") != "fear") | (table.factor("identity") != "id002"))
    folds = {fold.name: fold for fold in make_folds(kept, "expression", target="identity")}
    people = values(table, "identity", slice(None))
    assert values(kept, "identity", folds["expression=fear"].test) == people - {"id002"}
    assert values(kept, "identity", folds["expression=anger"].test) == people
    for fold in folds.values():
        assert values(kept, "identity", fold.test) <= values(kept, "identity", fold.train)
        assert sorted([*fold.train, *fold.test]) == list(range(len(kept)))


def test_a_class_that_training_lacks_is_named():
    table = make_table()
    one_person = (table.factor("expression") != "fear") | (table.factor("identity") == "id002")
    with pytest.raises(
        StimulusError,
        match=r"1 of 3 classes of 'expression' in the test part .* no stimulus in its training .*'fear'",
    ):
        make_folds(table.select(one_person), "identity", n_folds=3)
    one_view = (table.factor("expression") != "fear") | (table.factor("view") == "straight")
    with pytest.raises(StimulusError, match=r"fold 'view=straight' have no stimulus .*\(first: 'fear'\)"):
        make_folds(table.select(one_view), "view")


def test_a_test_part_of_one_class_is_refused():
    table = make_table(views=("half_left", "half_right", "straight"))
    rest = table.select((table.factor("view") != "half_left") | (table.factor("expression") == "anger"))
    message = r"fold 'view=half_left' shows one class of 'expression' only \(anger\)"
    with pytest.raises(StimulusError, match=message):
        make_folds(rest, "view")


def test_a_person_with_one_photograph_cannot_be_on_both_sides():
    rows = [
        (f"{name}{n}", f"{name}{n}.png", name)
        for name, count in (("ann", 5), ("bob", 1))
        for n in range(count)
    ]
    table = StimulusTable.from_frame(pd.DataFrame(rows, columns=["stimulus_id", "path", "identity"]))
    with pytest.raises(StimulusError, match=r"no stimulus in its training part .*'bob'"):
        make_folds(table, "random", target="identity")


def test_split_table_shares_no_identity_and_keeps_order():
    table = make_table(n_identities=11)
    train, test = split_table(table, test_share=0.3, seed=5)
    assert len(set(test.factor("identity"))) == 3
    assert not set(train.factor("identity")) & set(test.factor("identity"))
    order = {name: row for row, name in enumerate(table.stimulus_ids)}
    assert [order[name] for name in train.stimulus_ids] == sorted(order[name] for name in train.stimulus_ids)
    assert len(train) + len(test) == len(table)
    assert split_table(table, test_share=0.3, seed=5)[1] == test
    assert split_table(table, test_share=0.3, seed=6)[1] != test


def test_split_table_leaves_something_on_each_side():
    table = make_table(n_identities=2)
    for share in (0.01, 0.99):
        assert [len(part) for part in split_table(table, test_share=share)] == [12, 12]
    with pytest.raises(StimulusError, match="needs at least two values of it; the table has 1"):
        split_table(make_table(n_identities=1))
    with pytest.raises(ValueError, match="test_share must lie between 0 and 1"):
        split_table(table, test_share=20)


def test_check_disjoint_names_the_first_on_both_sides():
    check_disjoint(["a", "b"], ["c"], "identity")
    with pytest.raises(StimulusError, match=r"2 values of identity are in both .*\(first: 'b'\)"):
        check_disjoint(["a", "c", "b"], ["c", "b", "d"], "identity")


@given(
    n_named=st.sampled_from([0, 6, 9]), n_alone=st.integers(20, 40), n_folds=st.integers(2, 5),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=25)
def test_a_partition_tests_each_stimulus_once_and_parts_no_identity(n_named, n_alone, n_folds, seed):
    named = make_table(n_named).frame
    alone = pd.DataFrame({"stimulus_id": [f"s{n}" for n in range(n_alone)]})
    alone = alone.assign(path="s.png", expression=[EXPRESSIONS[n % 3] for n in range(n_alone)])
    frame = pd.concat([named, alone]).fillna("").sample(frac=1, random_state=seed)
    table = StimulusTable.from_frame(frame)
    folds = partition_table(table, n_folds, seed=seed)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(table)))
    for fold in folds:
        assert sorted([*fold.train, *fold.test]) == list(range(len(table)))
        train, test = (set(table.frame["identity"].iloc[rows]) for rows in (fold.train, fold.test))
        assert train & test <= {""}
    counts = [table.select(fold.test).frame.query("identity == ''")["expression"] for fold in folds]
    spread = pd.DataFrame([column.value_counts() for column in counts]).fillna(0)
    assert (spread.max() - spread.min()).max() <= 1


def test_a_partition_needs_as_many_stimuli_of_each_class_as_folds():
    frame = pd.DataFrame({"stimulus_id": list("abcdefg"), "expression": ["fear"] * 5 + ["anger"] * 2})
    with pytest.raises(StimulusError, match="3 folds need at least 3 stimuli of each class; 'anger' has 2"):
        partition_table(StimulusTable.from_frame(frame.assign(path="a.png")), 3)
    with pytest.raises(StimulusError, match="8 folds by identity need at least 8 of them"):
        partition_table(make_table(7), 8)


def test_every_fold_of_a_partition_shows_every_class():
    frame = make_table(6).frame
    afraid = frame["expression"].eq("fear") & ~frame["identity"].isin(["id000", "id001"])
    table = StimulusTable.from_frame(frame[~afraid])
    with pytest.raises(StimulusError, match=r"fold \d of 3 has no stimulus of 'fear' to test.*fewer folds"):
        partition_table(table, 3)
