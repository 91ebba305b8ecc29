"""Pictures on a plane: inside the panel, side by side, near their places."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fernet_neuro.viz.geometry import plot_arrangement
from fernet_neuro.viz.maps import choose_looks
from fernet_neuro.viz.thumbnails import spread_places


def measure_least_gap(places: np.ndarray) -> float:
    """Return the smallest distance of two squares' middles, on the axis on which they are farther apart."""
    apart = np.abs(places[:, None] - places).max(axis=2)
    return apart[np.triu_indices(len(places), 1)].min()


@pytest.mark.parametrize("n_clusters", [1, 3, 40])
def test_squares_are_moved_apart_and_stay_inside(rng, n_clusters):
    centres = rng.uniform(-4, 6, size=(n_clusters, 2))
    places = centres[np.arange(40) % n_clusters] + rng.normal(scale=0.05, size=(40, 2))
    spread = spread_places(places, 0.9, (-4.5, -5), (7, 6.5))
    assert measure_least_gap(spread) > 0.9 * (1 - 1e-5)
    assert (spread >= np.array([-4.5, -5]) + 0.45).all()
    assert (spread <= np.array([7, 6.5]) - 0.45).all()
    assert np.linalg.norm(spread - places, axis=1).mean() < 3


def test_only_squares_that_overlap_are_moved():
    places = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 1.0], [3.0, 2.1]])
    spread = spread_places(places, 1.0, (-2, -2), (5, 5))
    np.testing.assert_array_equal(spread[2:], places[2:])
    assert measure_least_gap(spread) == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(spread[:2].mean(axis=0), 0, atol=1e-9)


def draw(points: np.ndarray, size: float, shape: tuple[int, int] = (12, 9)) -> tuple:
    """Draw pictures at points in a panel; return its axes and a renderer."""
    names = [f"face{number}" for number in range(len(points))]
    frame = pd.DataFrame({"stimulus_id": names, "label": "fear", "x": points[:, 0], "y": points[:, 1]})
    pictures = {name: np.full((*shape, 3), 90, dtype=np.uint8) for name in names}
    figure = Figure(figsize=(4, 3), layout="constrained")
    renderer = FigureCanvasAgg(figure).get_renderer()
    ax = plot_arrangement(frame, figure.subplots(), choose_looks(["fear"]), pictures=pictures, size=size)
    figure.draw(renderer)
    return ax, renderer


def find_frames(ax) -> list:
    return [item for item in ax.patches if str(item.get_gid()).startswith("frame:picture:")]


@pytest.mark.parametrize("spread", [(1.0, 1.0), (0.01, 5.0), (0.0, 0.0)])
def test_no_picture_leaves_the_panel_whatever_its_shape(rng, spread):
    ax, renderer = draw(rng.normal(size=(23, 2)) * spread, 0.1)
    panel = ax.get_window_extent(renderer)
    assert panel.width == pytest.approx(panel.height, rel=0.01)
    frames = [item.get_window_extent(renderer) for item in find_frames(ax)]
    assert len(frames) == 23
    for box in frames:
        assert panel.x0 < box.x0 < box.x1 < panel.x1
        assert panel.y0 < box.y0 < box.y1 < panel.y1
        assert box.height == pytest.approx(0.1 * panel.height, rel=0.03)
        assert box.width == pytest.approx(0.75 * box.height, rel=0.03)


def test_a_picture_that_left_its_place_has_a_mark_there():
    points = np.array([[0.0, 0.0], [0.0, 0.02], [0.02, 0.0], [0.01, 0.01], [9.0, 9.0]])
    ax, _ = draw(points, 0.1)
    middles = {item.get_gid().split(":")[-1]: item.get_center() for item in find_frames(ax)}
    away = {name: np.abs(middle - points[int(name[-1])]).max() for name, middle in middles.items()}
    moved = {name for name, far in away.items() if far > 0.05 * np.ptp(ax.get_xlim())}
    marks = {item.get_gid().split(":")[-1]: item for item in ax.collections}
    assert len(moved) >= 2
    assert set(marks) == moved
    assert away["face4"] == 0
    for name, item in marks.items():
        np.testing.assert_allclose(item.get_offsets()[0], points[int(name[-1])])
