import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.frames import check_clips, select_top_frames
from fernet_neuro.stimuli.table import StimulusTable

CLASSES = ("anger", "happiness", "neutral", "surprise")


def make_table(clips, rng=None):
    """Return frames of clips (identity, expression, clip, number of frames), shuffled with `rng`."""
    rows = [
        {"stimulus_id": f"{who}_{what}_{clip}_f{frame}", "path": "x.png", "identity": who, "expression": what,
         "clip": clip, "frame": frame}
        for who, what, clip, n_frames in clips
        for frame in range(n_frames)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    return StimulusTable.from_frame(frame if rng is None else frame.iloc[rng.permutation(len(frame))])


@pytest.fixture
def table(rng):
    clips = [
        ("ann", "anger", 1, 17),
        ("ann", "anger", 2, 12),
        ("bob", "anger", 1, 13),
        ("bob", "neutral", 1, 6),
    ]
    return make_table(clips, rng)


@pytest.fixture
def probabilities(table, rng):
    return rng.dirichlet(np.ones(len(CLASSES)), size=len(table))


def select_slowly(table, probabilities, top):
    """Return the ids that the rule chooses, one clip at a time."""
    chosen = set()
    rows = table.frame.assign(
        p=[probabilities[k, CLASSES.index(e)] for k, e in enumerate(table.frame.expression)]
    )
    for who in set(rows.identity):
        for what in set(rows.expression):
            for clip in set(rows["clip"]):
                mine = rows[(rows.identity == who) & (rows.expression == what) & (rows["clip"] == clip)]
                pairs = sorted(zip(mine.p, -mine.frame, mine.stimulus_id, strict=True), reverse=True)
                chosen |= {name for _, _, name in pairs[:top]}
    return chosen


@pytest.mark.parametrize("top", [1, 5, 10, 100])
def test_agrees_with_the_rule_written_out(top, table, probabilities):
    selection = select_top_frames(table, probabilities, CLASSES, top=top)
    wanted = select_slowly(table, probabilities, top)
    assert set(selection.chosen.stimulus_ids) == wanted
    assert set(selection.rest.stimulus_ids) == set(table.stimulus_ids) - wanted
    in_order = [name for name in table.stimulus_ids if name in wanted]
    assert selection.chosen.stimulus_ids.tolist() == in_order


def test_it_is_the_clips_own_expression_that_counts():
    table = make_table([("ann", "neutral", 1, 3)])
    probabilities = np.array([[0.8, 0, 0.2, 0], [0.1, 0.2, 0.3, 0.4], [0, 0.75, 0.25, 0]])
    chosen = select_top_frames(table, probabilities, CLASSES, top=1).chosen
    assert chosen.factor("frame").tolist() == [1]
    assert chosen.factor("probability").tolist() == [0.3]


def test_the_order_of_the_rows_changes_nothing_even_where_all_is_equal(table, rng):
    same = np.full((len(table), 4), 0.25)
    order = rng.permutation(len(table))
    one = select_top_frames(table, same, CLASSES, top=4)
    other = select_top_frames(table.select(order), same, CLASSES, top=4)
    assert set(one.chosen.stimulus_ids) == set(other.chosen.stimulus_ids)
    assert sorted(set(one.chosen.factor("frame"))) == [0, 1, 2, 3]
    assert one.clips.equals(other.clips)
    assert one.clips["n_tied"].tolist() == [13, 8, 9, 2]


def test_ranks_run_from_the_most_probable_frame_of_each_clip(table, probabilities):
    selection = select_top_frames(table, probabilities, CLASSES, top=6)
    for part, expected in ((selection.chosen, [1, 2, 3, 4, 5, 6]), (selection.rest, list(range(7, 18)))):
        rows = part.select(identity="ann", clip=1)
        order = np.argsort(-rows.factor("probability"))
        assert rows.factor("rank")[order].tolist() == expected


def test_short_clips_give_all_they_have_and_are_named(table, probabilities):
    clips = select_top_frames(table, probabilities, CLASSES, top=12).clips
    assert clips["identity"].tolist() == ["ann", "ann", "bob", "bob"]
    assert clips["n_frames"].tolist() == [17, 12, 13, 6]
    assert clips["n_chosen"].tolist() == [12, 12, 12, 6]
    assert clips["is_short"].tolist() == [False, False, False, True]
    assert clips["n_tied"].tolist() == [0, 0, 0, 0]


def test_a_selection_can_be_selected_from_again(table, probabilities):
    once = select_top_frames(table, probabilities, CLASSES, top=10).chosen
    kept = table.align_to(once.stimulus_ids)
    again = select_top_frames(
        once, probabilities[np.isin(table.stimulus_ids, kept.stimulus_ids)], CLASSES, top=3
    )
    direct = select_top_frames(table, probabilities, CLASSES, top=3)
    assert again.chosen.stimulus_ids.tolist() == direct.chosen.stimulus_ids.tolist()


def test_an_expression_that_the_network_does_not_know_is_refused(table, probabilities):
    happy = StimulusTable.from_frame(table.frame.replace({"expression": {"neutral": "happines"}}))
    with pytest.raises(StimulusError, match=r"first: 'happines'\); it knows: .*Did you mean 'happiness'"):
        select_top_frames(happy, probabilities, CLASSES)


@pytest.mark.parametrize("missing", ["identity", "expression", "clip", "frame"])
def test_a_table_without_actor_expression_clip_or_frame_is_refused(missing, table, probabilities):
    less = StimulusTable.from_frame(table.frame.drop(columns=missing))
    with pytest.raises(StimulusError, match=missing):
        select_top_frames(less, probabilities, CLASSES)


def test_frames_must_be_numbers(table):
    with pytest.raises(StimulusError, match="'frame' must be the number"):
        check_clips(StimulusTable.from_frame(table.frame.assign(frame="f1")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:-1], r"must have shape \(48, 4\).*got \(47, 4\)"),
        (lambda p: p[:, :3], r"got \(48, 3\)"),
        (lambda p: p * 2, "sum to 1"),
        (lambda p: p * np.nan, "finite"),
        (lambda p: p + np.array([0.5, -0.5, 0, 0]), "from 0 on"),
    ],
)
def test_what_are_no_probabilities_is_refused(change, message, table, probabilities):
    with pytest.raises(ValueError, match=message):
        select_top_frames(table, change(probabilities), CLASSES)


def test_at_least_one_frame_is_asked_for(table, probabilities):
    with pytest.raises(ValueError, match="top must be >= 1; got 0"):
        select_top_frames(table, probabilities, CLASSES, top=0)
