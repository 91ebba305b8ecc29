import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fernet_neuro import viz
from fernet_neuro.viz.bars import spread_dots


@pytest.fixture
def ax():
    return Figure().subplots()


def transfer_frame() -> pd.DataFrame:
    """Two bars, three dots and a published value of one read-out; numbers are made up."""
    rows = [
        ("identity", "mean", 57.5, 51.0, 64.0, 14.3, 0.001),
        ("pixels", "mean", 21.25, 15.0, 27.5, 14.3, 0.2),
        ("identity", "fold", 52.0, np.nan, np.nan, np.nan, np.nan),
        ("identity", "fold", 57.0, np.nan, np.nan, np.nan, np.nan),
        ("identity", "fold", 63.5, np.nan, np.nan, np.nan, np.nan),
        ("identity", "published", 62.6, np.nan, np.nan, np.nan, np.nan),
    ]
    columns = [
        "network",
        "kind",
        "accuracy_percent",
        "low_percent",
        "high_percent",
        "chance_percent",
        "difference_untrained_p",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(difference_untrained=np.where(frame["difference_untrained_p"].notna(), 0.2, np.nan))


def profile_frame() -> pd.DataFrame:
    rows = []
    for network, values in {"identity": [20.0, 40.0, 35.0], "untrained": [16.0, 18.0, 17.0]}.items():
        for position, value in enumerate(values):
            rows.append(
                (network, f"layer{position}", position, value, network == "identity" and position > 0)
            )
    rows.append(("pixels", "pixels", 0, 23.0, False))
    frame = pd.DataFrame(rows, columns=["network", "layer", "position", "accuracy_percent", "significant"])
    return frame.assign(
        label=frame["layer"],
        low_percent=frame["accuracy_percent"] - 2,
        high_percent=frame["accuracy_percent"] + 3,
        chance_percent=14.3,
    )


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_bars_are_as_high_as_the_frame_says(ax):
    frame = transfer_frame()
    assert viz.plot_transfer_bars(frame, ax) is ax
    heights = {patch.get_gid(): patch.get_height() for patch in ax.patches}
    assert heights == {"bar:identity": 57.5, "bar:pixels": 21.25}


def test_bars_show_intervals_dots_chance_and_limit(ax):
    viz.plot_transfer_bars(transfer_frame(), ax)
    ends = sorted(tuple(path.vertices[:, 1]) for lines in ax.collections[:2] for path in lines.get_paths())
    assert (51.0, 64.0) in ends
    dots = next(item for item in ax.collections if len(item.get_offsets()) == 3)
    assert sorted(dots.get_offsets()[:, 1]) == [52.0, 57.0, 63.5]
    levels = {line.get_ydata()[0] for line in ax.lines}
    assert {14.3, 100.0} <= levels
    assert {"chance\n14.3 %", "limit\n100 %"} <= set(texts(ax))


def test_only_significant_bars_get_an_asterisk(ax):
    viz.plot_transfer_bars(transfer_frame(), ax)
    stars = [text for text in ax.texts if text.get_text() == "*"]
    assert [star.xy for star in stars] == [(0, 64.0)]


def test_a_bar_below_its_twins_is_told_from_one_above(ax):
    viz.plot_transfer_bars(transfer_frame().assign(difference_untrained=-0.1), ax)
    marks = [text.get_text() for text in ax.texts if text.xy == (0, 64.0)]
    assert marks == ["\N{WHITE DOWN-POINTING SMALL TRIANGLE}"]


def test_published_values_are_hollow_and_beside_the_interval(ax):
    viz.plot_transfer_bars(transfer_frame(), ax)
    (marker,) = [line for line in ax.lines if line.get_gid() == "published"]
    assert marker.get_markerfacecolor() == "white"
    assert marker.get_ydata()[0] == 62.6
    assert 0 < marker.get_xdata()[0] < 0.5
    assert "62.6" in texts(ax)


def test_equal_dots_stand_side_by_side():
    offsets = spread_dots(np.array([100.0] * 10 + [50.0]))
    assert len(np.unique(offsets[:10])) == 10
    assert np.ptp(offsets) <= 0.24
    assert offsets[10] == 0


def test_a_bar_without_an_interval_is_drawn(ax):
    frame = transfer_frame().assign(low_percent=np.nan, high_percent=np.nan)
    viz.plot_transfer_bars(frame, ax)
    stars = [text for text in ax.texts if text.get_text() == "*"]
    assert [star.xy for star in stars] == [(0, 57.5)]


def test_profile_lines_follow_the_frame_in_any_row_order(ax):
    frame = profile_frame()
    viz.plot_layer_profile(frame.sample(frac=1, random_state=3), ax)
    lines = {line.get_gid(): line for line in ax.lines if line.get_gid()}
    assert lines["identity"].get_ydata().tolist() == [20.0, 40.0, 35.0]
    assert lines["identity"].get_xdata().tolist() == [0, 1, 2]
    assert set(lines["pixels"].get_ydata()) == {23.0}
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["layer 0", "layer 1", "layer 2"]


def test_profile_marks_the_significant_layers_of_trained_networks(ax):
    viz.plot_layer_profile(profile_frame(), ax)
    marks = [line for line in ax.lines if str(line.get_gid()).startswith("significant")]
    assert [(mark.get_gid(), mark.get_xdata().tolist()) for mark in marks] == [
        ("significant:identity", [1, 2])
    ]


def test_profile_draws_chance_and_limit(ax):
    viz.plot_layer_profile(profile_frame(), ax)
    assert {14.3, 100} <= {line.get_ydata()[0] for line in ax.lines}


def test_confusion_rows_are_true_labels_and_absent_pairs_are_zero(ax):
    frame = pd.DataFrame(
        [("joy", "joy", 80.0), ("joy", "fear", 20.0), ("fear", "fear", 100.0)],
        columns=["true", "predicted", "percent"],
    )
    viz.plot_confusion(frame, ax)
    np.testing.assert_array_equal(ax.collections[0].get_array(), [[80.0, 20.0], [0.0, 100.0]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["joy", "fear"]
    assert texts(ax) == ["80", "20", "0", "100"]
    assert ax.collections[0].get_clim() == (0, 100)


def test_sheet_puts_each_picture_in_its_cell(ax):
    frame = pd.DataFrame(
        {
            "row": [0, 1],
            "column": [1, 0],
            "row_label": ["ann", "ben"],
            "column_label": ["half_left", "straight"],
            "stimulus_id": ["x", "y"],
        }
    )
    images = {"x": np.full((6, 5, 3), 10, np.uint8), "y": np.full((6, 5, 3), 200, np.uint8)}
    viz.plot_stimulus_sheet(frame, images, ax)
    lefts = {int(image.get_array()[0, 0, 0]): image.get_extent()[0] for image in ax.images}
    assert 1 < lefts[10] < 1.1
    assert 0 < lefts[200] < 0.1
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["half left", "straight"]


def test_diagram_draws_every_block_and_arrow(ax):
    blocks = pd.DataFrame(
        [
            ("a", "face", "", "picture", "b;c", 5.0, 5.0, 4.0, 4.0),
            ("b", "net", "64", "frozen", "", 20.0, 5.0, 4.0, 4.0),
            ("c", "FC", "", "removed", "", 20.0, 15.0, 4.0, 4.0),
        ],
        columns=["block", "label", "detail", "state", "feeds", "x", "y", "width", "height"],
    )
    viz.plot_diagram(blocks, ax)
    boxes = {patch.get_gid() for patch in ax.patches} - {None}
    assert boxes == {"block:a", "block:b", "block:c"}
    assert len(ax.patches) == len(boxes) + 2
    assert {"face", "net", "64", "FC"} <= set(texts(ax))
