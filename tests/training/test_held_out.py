import logging

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.expression import split_expressions
from fernet_neuro.training.held_out import (
    check_people_apart,
    hold_out_groups,
    hold_out_within_classes,
    hold_out_within_identity,
    name_held_out,
    select_tables,
    split_validation,
)


def test_near_copies_of_two_sessions_are_never_parted(noise_table):
    train, val = hold_out_within_identity(noise_table, 0.3, seed=0)
    assert sorted([*train, *val]) == list(range(24))
    assert len(val) > 0
    keys = noise_table.frame["identity"] + noise_table.frame["expression"]
    assert not set(keys.iloc[train]) & set(keys.iloc[val])
    assert set(noise_table.factor("identity")[train]) == {"id0", "id1", "id2", "id3"}


def test_pictures_without_expression_and_view_are_held_out_one_by_one():
    frame = pd.DataFrame({"stimulus_id": [f"s{k}" for k in range(40)], "path": "a.png"})
    frame["identity"] = [f"p{k % 2}" for k in range(40)]
    table = StimulusTable.from_frame(frame)
    train, val = hold_out_within_identity(table, 0.25, seed=1)
    assert len(val) == 10
    assert len(train) == 30


def test_pictures_of_one_pose_are_never_parted_without_a_session_column(noise_table):
    frame = noise_table.frame.drop(columns="session")
    table = StimulusTable.from_frame(frame, root=noise_table.root)
    for found, labelled in zip(
        hold_out_within_identity(table, 0.3, seed=0),
        hold_out_within_identity(noise_table, 0.3, seed=0),
        strict=True,
    ):
        assert np.array_equal(found, labelled)


def test_a_table_of_one_pose_each_says_why_nothing_is_held_out(noise_table):
    table = noise_table.select(expression=[noise_table.factor("expression")[0]])
    message = "holds out none of .* stimuli; pictures of one identity, expression and view stay on one side"
    with pytest.raises(StimulusError, match=message):
        split_validation(TrainSettings(val_share=0.3), table, None, default="random")


def test_held_out_groups_lie_on_one_side(noise_table):
    train, val = hold_out_groups(noise_table, "identity", 0.25, seed=0)
    people = noise_table.factor("identity")
    assert len(set(people[val])) == 1
    assert not set(people[train]) & set(people[val])


def test_a_factor_with_one_value_cannot_be_held_out(noise_table):
    with pytest.raises(StimulusError, match="held out by 'view' needs two or more"):
        hold_out_groups(noise_table, "view", 0.25, seed=0)


def test_a_share_too_small_for_any_stimulus_is_refused(noise_table):
    settings = TrainSettings(val_share=1e-9)
    with pytest.raises(StimulusError, match="holds out none of 24 stimuli"):
        split_validation(settings, noise_table, None, default="random")


def test_no_share_means_no_validation(noise_table):
    train, val = split_validation(TrainSettings(val_share=0), noise_table, None, default="random")
    assert train is noise_table
    assert val is None


def test_somebody_on_both_sides_is_named(noise_table):
    first = noise_table.select(identity=["id0", "id1"])
    check_people_apart(first, noise_table.select(identity=["id2", "id3"]))
    with pytest.raises(StimulusError, match="'id1'"):
        check_people_apart(first, noise_table.select(identity=["id1", "id2"]))


@pytest.fixture
def nameless() -> StimulusTable:
    """53 pictures as in RAF-DB's table: no identity, and classes of very different size."""
    counts = {"disgust": 11, "fear": 1, "happiness": 41}
    labels = [name for name, count in counts.items() for _ in range(count)]
    frame = pd.DataFrame({"stimulus_id": [f"s{k}" for k in range(53)], "path": "a.png", "expression": labels})
    frame["split"] = ["test" if k % 3 == 0 else "train" for k in range(53)]
    return StimulusTable.from_frame(frame)


def test_a_share_of_each_class_is_held_out_and_none_is_emptied(nameless):
    train, val = hold_out_within_classes(nameless, "expression", 0.2, seed=0)
    assert sorted([*train, *val]) == list(range(53))
    labels = nameless.factor("expression")
    held = dict(zip(*np.unique(labels[val], return_counts=True), strict=True))
    assert held["disgust"] in (2, 3)
    assert held["happiness"] in (8, 9)
    assert "fear" not in held
    again, other = (hold_out_within_classes(nameless, "expression", 0.2, seed=k)[1] for k in (0, 1))
    assert np.array_equal(val, again)
    assert not np.array_equal(val, other)


@pytest.mark.parametrize("by", ["auto", "random"])
def test_a_table_that_names_nobody_is_split_at_random_and_says_so(nameless, by, caplog):
    settings = TrainSettings(val_by=by, val_share=0.2)
    with caplog.at_level(logging.WARNING):
        train, val, held_out = split_expressions(settings, nameless)
    assert held_out == "random within class"
    assert len(train) + len(val) == 53
    assert "no identities: a random 0.2 of each expression validates" in caplog.text


def test_named_people_are_held_out_whole_without_a_warning(noise_table, caplog):
    with caplog.at_level(logging.WARNING):
        train, val, held_out = split_expressions(TrainSettings(val_share=0.25), noise_table)
    assert held_out == "identity"
    assert not set(train.factor("identity")) & set(val.factor("identity"))
    assert caplog.text == ""


def test_people_who_are_asked_for_by_name_must_be_there(nameless):
    with pytest.raises(StimulusError, match="53 of 53 stimuli have no 'identity'"):
        split_expressions(TrainSettings(val_by="identity"), nameless)
    with pytest.raises(StimulusError, match="53 of 53 stimuli have no 'identity'"):
        split_expressions(TrainSettings(val_by="identity"), nameless, nameless)


def test_a_validation_table_that_names_nobody_is_taken_as_it_is_and_that_is_said(nameless, caplog):
    train, val = nameless.select(split="train"), nameless.select(split="test")
    with caplog.at_level(logging.WARNING):
        split = split_expressions(TrainSettings(), train, val)
    assert split == (train, val, "val_stimuli (people not compared)")
    assert "nobody checked that they show other people" in caplog.text


@pytest.mark.parametrize(
    ("changes", "held_out"),
    [
        ({}, "identity"),
        ({"val_by": "random"}, "random"),
        ({"val_by": "session"}, "session"),
        ({"val_share": 0}, "none"),
    ],
)
def test_what_was_held_out_has_a_name(noise_table, changes, held_out):
    assert name_held_out(TrainSettings(**changes), noise_table, None, "identity") == held_out
    assert name_held_out(TrainSettings(**changes), noise_table, noise_table, "identity") == "val_stimuli"


def test_one_table_can_hold_both_parts(nameless, noise_table):
    settings = TrainSettings(select={"split": "train"}, val_select={"split": ["test"]})
    train, val = select_tables(settings, nameless, None)
    assert set(train.factor("split")) == {"train"}
    assert set(val.factor("split")) == {"test"}
    assert len(train) + len(val) == 53
    assert select_tables(TrainSettings(), nameless, noise_table) == (nameless, noise_table)
    only_val = TrainSettings(val_select={"session": "B"})
    assert len(select_tables(only_val, nameless, noise_table)[1]) == 12


def test_parts_that_are_not_there_or_overlap_are_refused(nameless):
    with pytest.raises(StimulusError, match=r"leaves none of 53 stimuli; the table has .*test, train"):
        select_tables(TrainSettings(select={"split": "training"}), nameless, None)
    with pytest.raises(StimulusError, match=r"no factor 'spilt'.*Did you mean 'split'"):
        select_tables(TrainSettings(select={"spilt": "train"}), nameless, None)
    with pytest.raises(StimulusError, match="select and val_select share 18 stimuli"):
        select_tables(TrainSettings(val_select={"split": "test"}), nameless, None)
