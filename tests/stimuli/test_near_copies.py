"""Near-copies are told by person, expression and view alone, and the same everywhere."""

import numpy as np
import pandas as pd

from fernet_neuro.stimuli.near_copies import find_near_copies
from fernet_neuro.stimuli.table import StimulusTable

COLUMNS = ["stimulus_id", "identity", "expression", "view", "session"]


def find(*rows) -> np.ndarray:
    frame = pd.DataFrame(rows, columns=COLUMNS).assign(path="a.png")
    return find_near_copies(StimulusTable.from_frame(frame))


def test_photographs_of_one_pose_share_a_number_whatever_their_session_says():
    groups = find(
        ("s0", "ann", "fear", "left", "A"),
        ("s1", "ann", "fear", "left", "B"),
        ("s2", "ann", "fear", "left", ""),
        ("s3", "ann", "fear", "right", "A"),
        ("s4", "bob", "fear", "left", "A"),
    )
    assert len(set(groups[:3].tolist())) == 1
    assert len(set(groups[2:].tolist())) == 3


def test_sessions_of_a_person_are_near_copies_where_nothing_else_is_known():
    groups = find(("s0", "ann", "", "", "A"), ("s1", "ann", "", "", "B"), ("s2", "ann", "", "", ""))
    assert groups[0] == groups[1] != groups[2]


def test_who_is_unknown_or_shows_nothing_known_stands_alone():
    groups = find(
        ("s0", "", "fear", "left", "A"),
        ("s1", "", "fear", "left", "A"),
        ("s2", "ann", "", "", ""),
        ("s3", "ann", "", "", ""),
    )
    assert len(set(groups.tolist())) == 4


def test_numbers_do_not_depend_on_the_order_of_rows(rng):
    rows = [
        (f"s{k}", name, label, "", "")
        for k, (name, label) in enumerate(
            (name, label) for name in ("ann", "bob", "") for label in ("fear", "fear", "joy", "")
        )
    ]
    order = rng.permutation(len(rows))
    assert np.array_equal(find(*rows)[order], find(*(rows[k] for k in order)))


def test_frames_of_one_clip_are_near_copies_whoever_is_shown():
    rows = [
        ("s0", "", "fear", "1"), ("s1", "", "fear", "1"), ("s2", "", "fear", "2"), ("s3", "", "joy", "1"),
        ("s4", "", "fear", ""), ("s5", "", "fear", ""), ("s6", "ann", "", "7"), ("s7", "ann", "", "7"),
        ("s8", "ann", "", "8"), ("s9", "bob", "fear", "1"), ("sx", "bob", "fear", "2"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["stimulus_id", "identity", "expression", "clip"]).assign(path="a.png")
    groups = find_near_copies(StimulusTable.from_frame(frame)).tolist()
    alike = {tuple(row for row in range(11) if groups[row] == group) for group in set(groups)}
    assert alike == {(0, 1), (2,), (3,), (4,), (5,), (6, 7), (8,), (9, 10)}
