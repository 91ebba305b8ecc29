"""What is written in figures of many regions is on the page, and not over the texts of another panel."""

from functools import cache

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fernet_neuro.figures.registry import FIGURES, lay_out
from fernet_neuro.figures.specs import RSA_FILES
from fernet_neuro.viz import style
from tests.figures.outlines import find_faults, outline, outline_texts

RSA = [name for name, spec in FIGURES.items() if spec.needs == RSA_FILES]


def draw(name, folder):
    with style():
        figure = FIGURES[name].draw(FIGURES[name].read(folder), folder)
        lay_out(figure)
        return figure, outline_texts(figure)


@pytest.fixture(scope="module")
def of_six(regions):
    """A figure of six regions by name, and its texts, drawn once."""
    return cache(lambda name: draw(name, regions))


@pytest.mark.slow
@pytest.mark.parametrize("name", RSA)
def test_texts_of_six_regions_are_on_the_page_and_apart(of_six, name):
    assert find_faults(*of_six(name)) == []


def test_texts_of_nine_regions_are_on_the_page_and_apart(more_regions):
    figure, texts = draw("rsa-layer-roi", more_regions)
    assert find_faults(figure, texts) == []
    assert len(figure.axes) == 18
    assert figure.get_figheight() * 25.4 < 225, "taller than a page"


def test_layers_are_named_once_in_a_column_and_the_scale_once_in_a_figure(of_six):
    figure, texts = of_six("rsa-layer-roi")
    said = [text.get_text() for text, _ in texts]
    assert len(figure.axes) == 12
    assert said.count("layer 1") == said.count("Layer (input to output)") == 2
    assert sum(text.endswith("(unitless)") for text in said) == 1
    heights = {round(ax.get_window_extent().height / figure.dpi * 25.4, 1) for ax in figure.axes}
    assert min(heights) > 18, "mm of data in a row"


def test_bars_of_peaks_do_not_touch(of_six):
    figure, _ = of_six("rsa-layer-roi")
    for ax in figure.axes:
        peaks = [line for line in ax.lines if str(line.get_gid()).startswith("peak:")]
        heights = [line.get_transform().transform((0, 1))[1] / figure.dpi * 72 for line in peaks]
        assert len(heights) == 2
        assert abs(np.diff(heights)[0]) >= peaks[0].get_markersize() + 1


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ([(0.1, 0.5, 0), (0.7, 0.5, 0)], 0), ([(0.1, 0.5, 0), (0.12, 0.5, 0)], 1),
        ([(0.9, 0.5, 0), (0.1, 0.5, 0)], 1), ([(0.3, 0.3, 45), (0.3, 0.62, 45)], 0),
    ],
)  # fmt: skip
def test_faults_are_seen(places, found):
    figure = Figure(figsize=(3, 3))
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [figure.text(x, y, "a long label", rotation=turn) for x, y, turn in places]
    assert len(find_faults(figure, [(text, outline(text, renderer)) for text in texts])) == found
