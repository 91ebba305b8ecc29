import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fernet_neuro.viz.maps import (
    EXPRESSION_LOOKS,
    OTHERS,
    choose_looks,
    map_legend,
    plot_map,
    plot_map_quality,
    quality_legend,
)


@pytest.fixture
def ax():
    return Figure().subplots()


def map_frame(n_labels: int, n_each: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(n_labels)
    labels = np.repeat([f"id{number:02d}" for number in range(n_labels)], n_each)
    x, y = rng.standard_normal((2, len(labels)))
    return pd.DataFrame({"x": x, "y": y, "identity": labels})


def quality_frame() -> pd.DataFrame:
    """Two layers by two measures, in features and two maps; numbers are made up."""
    rows = [
        (layer, space, perplexity, measure, 20.0 + 3 * number)
        for number, (layer, (space, perplexity), measure) in enumerate(
            (layer, place, measure)
            for layer in ("emotion", "non_emotion")
            for place in (("features", np.nan), ("map", 30.0), ("map", 10.0))
            for measure in ("neighbour_purity", "knn_balanced_accuracy")
        )
    ]
    frame = pd.DataFrame(rows, columns=["layer", "space", "perplexity", "measure", "value_percent"])
    return frame.assign(
        low_percent=frame["value_percent"] - 4,
        high_percent=frame["value_percent"] + 7,
        chance_percent=14.3,
        null_q95_percent=19.0,
    )


def luminance(colour: str) -> float:
    """Return the relative luminance of sRGB (WCAG 2)."""
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_points_of_each_label_are_where_the_frame_says(ax):
    frame = map_frame(4)
    assert plot_map(ax, frame, "identity") is ax
    assert {item.get_gid() for item in ax.collections} == {f"label:id{number:02d}" for number in range(4)}
    for name, rows in frame.groupby("identity"):
        drawn = [item.get_offsets() for item in ax.collections if item.get_gid() == f"label:{name}"]
        wanted = sorted(map(tuple, rows[["x", "y"]].to_numpy()))
        assert sorted(map(tuple, np.concatenate(drawn))) == wanted


def test_no_label_lies_on_top_of_all_others(ax):
    plot_map(ax, map_frame(2, n_each=60), "identity")
    order = [item.get_gid() for item in ax.collections]
    assert order == ["label:id00", "label:id01"] * 6


def test_axes_are_square_and_carry_no_numbers(ax):
    plot_map(ax, map_frame(4), "identity")
    assert ax.get_aspect() == 1
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0


def test_of_many_labels_the_first_are_told_apart_and_the_others_grey(ax):
    frame = map_frame(23)
    plot_map(ax, frame, "identity")
    drawn = {item.get_gid(): item for item in ax.collections}
    assert len(drawn) == 13
    assert len(drawn["others"].get_offsets()) == 11 * 5
    handles = map_legend(choose_looks(frame["identity"]), n_others=11)
    assert [handle.get_label() for handle in handles[-2:]] == ["id11", "11 others"]
    assert handles[-1].get_markerfacecolor() == OTHERS.colour


def test_no_two_labels_look_alike():
    looks = choose_looks(f"id{number:02d}" for number in range(14))
    assert len(set(looks.values())) == len(looks) == 14
    assert len({look.marker for look in EXPRESSION_LOOKS.values()}) == len(EXPRESSION_LOOKS)
    assert len({look.colour for look in EXPRESSION_LOOKS.values()}) == len(EXPRESSION_LOOKS)


def test_expressions_look_the_same_in_every_figure():
    all_looks = choose_looks(EXPRESSION_LOOKS)
    assert choose_looks(["fear", "anger"]) == {name: all_looks[name] for name in ("anger", "fear")}
    # A single unknown name makes it another factor, whose labels take turns.
    assert choose_looks(["anger", "awe"])["anger"] != all_looks["anger"]


@pytest.mark.parametrize("look", [*EXPRESSION_LOOKS.values(), *choose_looks(map(str, range(14))).values()])
def test_hues_stand_out_from_white(look):
    assert 1.05 / (luminance(look.colour) + 0.05) >= 3


def test_quality_points_are_as_high_as_the_frame_says(ax):
    frame = quality_frame()
    assert plot_map_quality(ax, frame) is ax
    drawn = [(line.get_gid(), line.get_ydata()[0]) for line in ax.lines if ":" in (line.get_gid() or "")]
    wanted = [(f"{row.layer}:{row.measure}:{row.space}", row.value_percent) for row in frame.itertuples()]
    assert drawn == wanted
    places = [line.get_xdata()[0] for line in ax.lines if ":" in (line.get_gid() or "")]
    assert len(set(np.round(places, 6))) == len(frame), "points hide one another"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["emotion", "non emotion"]


def test_intervals_and_nulls_are_drawn_where_they_are_known(ax):
    frame = quality_frame()
    frame.loc[0, ["low_percent", "high_percent", "null_q95_percent"]] = np.nan
    plot_map_quality(ax, frame)
    spans = [tuple(path.vertices[:, 1]) for item in ax.collections for path in item.get_paths()]
    assert (16.0, 27.0) not in spans
    assert (19.0, 30.0) in spans
    assert spans.count((14.3, 19.0)) == len(frame) - 1


def test_quality_legend_names_k_and_the_sweep_only_where_there_is_one():
    labels = [handle.get_label() for handle in quality_legend("10", with_sweep=False)]
    assert "held-out 10-NN, map" in labels
    assert "map, other perplexities" not in labels
    assert "map, other perplexities" in [
        handle.get_label() for handle in quality_legend("10", with_sweep=True)
    ]
