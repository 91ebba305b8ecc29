"""The figure `mds`: every picture can be seen, and none leaves its panel."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fernet_neuro.figures import mds
from fernet_neuro.viz import style


@pytest.fixture(scope="module")
def drawn(results):
    """The figure, laid out, and its renderer."""
    with style():
        figure = mds.draw_arrangements(mds.read_arrangements(results), results)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
    return figure, renderer


def test_no_picture_leaves_its_panel_or_hides_another(drawn):
    figure, renderer = drawn
    assert len(figure.axes) == 6
    for ax in figure.axes:
        panel = ax.get_window_extent(renderer)
        frames = [item for item in ax.patches if str(item.get_gid()).startswith("frame:picture:")]
        boxes = [item.get_window_extent(renderer) for item in frames]
        assert len(boxes) == len([item for item in ax.images if item.get_gid().startswith("picture:")]) == 21
        for box in boxes:
            assert panel.x0 < box.x0 < box.x1 < panel.x1
            assert panel.y0 < box.y0 < box.y1 < panel.y1
        for one, other in itertools.combinations(boxes, 2):
            shared = one.intersection(one, other)
            assert shared is None or shared.width * shared.height < 0.01 * one.width * one.height


def test_pictures_of_all_stimuli_cover_a_quarter_of_a_panel_at_most():
    for n_stimuli in (3, 12, 24, 36, 48):
        size = mds._picture_size(n_stimuli)
        assert 0.05 < size < 0.15
        assert n_stimuli * size**2 <= 0.25 + 1e-9


def test_the_caption_speaks_of_moved_pictures_only_where_there_are_pictures(results):
    source = mds.read_arrangements(results)
    assert "Pictures that would hide one another are moved apart" in mds.caption_arrangements(source)
    many = source.assign(stimulus_id=[f"face{number}" for number in range(len(source))])
    assert "Pictures" not in mds.caption_arrangements(many)
