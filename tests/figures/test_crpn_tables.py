"""The figure of a dual-pathway table: our arms with intervals, printed numbers on axes of their own."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.arms import caption_table, draw_table, read_table
from fernet_neuro.viz.dots import pad_limits
from fernet_neuro.viz.style import style


@pytest.fixture(scope="module")
def source(results):
    return read_table(results)


@pytest.fixture(scope="module")
def figure(source):
    with style():
        return draw_table(source)


def find_marks(ax):
    """Return the coordinates of what is drawn under a name, by that name."""
    return {line.get_gid(): line.get_xydata()[0] for line in ax.get_lines() if line.get_gid()}


def test_means_are_those_of_the_summary_at_the_headline_epoch(source, results):
    summary = pd.read_csv(results / "summary.csv")
    wanted = summary[summary["epoch"] == "last"].set_index(["arm", "test_label"])
    means = source[source["kind"] == "mean"]
    assert len(means) == len(wanted) == 6
    for row in means.itertuples():
        expected = wanted.loc[row.arm, row.panel_label]
        assert (row.value_percent, row.low_percent, row.high_percent, row.chance_percent) == pytest.approx(
            tuple(100 * expected[name] for name in ("value", "low", "high", "chance_level"))
        )


def test_every_run_is_a_dot_and_their_mean_the_arms(source):
    seeds = source[source["kind"] == "seed"]
    assert len(seeds) == 3 * 2 * 3
    means = source[source["kind"] == "mean"].set_index(["arm", "panel_label"])["value_percent"]
    runs = seeds.groupby(["arm", "panel_label"])["value_percent"].mean()
    assert runs.to_dict() == pytest.approx(means.to_dict())


def test_printed_numbers_have_panels_of_their_own(source, figure):
    kinds = source.groupby("panel")["kind"].agg(set)
    assert [kinds[name] for name in "abc"] == [{"mean", "seed"}, {"mean", "seed"}, {"printed"}]
    # Text, such as a number of parameters, is no accuracy.
    assert set(source.loc[source["kind"] == "printed", "panel_label"]) == {"RAF-DB"}
    ours, theirs = find_marks(figure.axes[0]), find_marks(figure.axes[2])
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert not any("ours" in title for title in titles)
    assert ["published" in title for title in titles] == [False, False, True]
    assert {name for name in ours if name} == {"arm:alone", "arm:distilled", "arm:concept", "chance"}
    assert {name: mark[0] for name, mark in theirs.items()} == {
        "printed:alone": 86.28,
        "printed:concept": 90.33,
        "printed:other": 87.03,
    }
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim() != figure.axes[2].get_xlim()
    assert figure.axes[2].get_title(loc="left").endswith("published")


def test_an_arm_has_one_row_in_all_panels(figure):
    ours, theirs = find_marks(figure.axes[1]), find_marks(figure.axes[2])
    for name in ("alone", "concept"):
        assert ours[f"arm:{name}"][1] == theirs[f"printed:{name}"][1]
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["Alone", "Distilled", "Concept", "Other"]
    assert labels[int(theirs["printed:other"][1])] == "Other"


def test_chance_is_drawn_where_it_is(figure):
    assert [find_marks(ax)["chance"][0] for ax in figure.axes[:2]] == pytest.approx([35.0, 40.0])


def test_the_caption_says_what_is_whose(source):
    text = caption_table(source)
    assert "mean of 3 training runs and 95 % interval over training seeds" in text
    assert "printed in Somebody (2024), published on the paper's data" in text
    assert "last epoch, fixed beforehand" in text
    assert "(a), (b): our own runs. Hollow marks" in text
    ours = caption_table(source[source["kind"] != "printed"])
    assert "Hollow" not in ours


def test_results_without_printed_numbers_or_with_one_seed_are_drawn(results, tmp_path):
    for name in ("summary", "results", "published"):
        frame = pd.read_csv(results / f"{name}.csv")
        if name == "results":
            frame = frame[frame["seed"] == 0]
        (frame.iloc[:0] if name == "published" else frame).to_csv(tmp_path / f"{name}.csv", index=False)
    source = read_table(tmp_path)
    assert set(source["kind"]) == {"mean"}
    with style():
        assert len(draw_table(source).axes) == 2
    assert "one training run and" in caption_table(source.assign(n_seeds=1))


def test_what_is_missing_is_named(results, tmp_path):
    with pytest.raises(StoreError, match=r"summary\.csv does not exist; make it with: fernet-neuro run"):
        read_table(tmp_path)
    frame = pd.read_csv(results / "summary.csv")
    frame.assign(headline=False).to_csv(tmp_path / "summary.csv", index=False)
    with pytest.raises(StoreError, match="no headline row"):
        read_table(tmp_path)


def test_limits_hold_all_that_is_drawn_within_what_is_possible():
    frame = pd.DataFrame({"low": [3.0, np.nan], "high": [99.9, 50.0]})
    low, high = pad_limits(frame, 14.3)
    assert 0 <= low < 3.0
    assert high == 100.0
