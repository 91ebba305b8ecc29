"""What is written in a figure is on the page, and not over the texts of another panel."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.text import Text

from fernet_neuro.figures.registry import FIGURES
from fernet_neuro.figures.specs import RSA_FILES
from fernet_neuro.viz import style

#: Pixels of empty margin that each text may lose on every side.
_MARGIN = 1.5
RSA = [name for name, spec in FIGURES.items() if spec.needs == RSA_FILES]


def draw(name, folder, monkeypatch):
    """Return the figure and the outlines of the texts that were drawn, with their texts and axes."""
    drawn: dict[int, Text] = {}
    write = Text.draw

    def note(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            drawn[id(self)] = self
        write(self, renderer, *args, **kwargs)

    with style():
        figure = FIGURES[name].draw(FIGURES[name].read(folder), folder)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)  # the layout settles
        with monkeypatch.context() as patch:
            patch.setattr(Text, "draw", note)
            figure.draw(renderer)
        return figure, [(text, outline(text, renderer)) for text in drawn.values()]


def outline(text, renderer):
    """Return the corners of a text, turned as it is, without its margins."""
    middle, turn = np.mean(text.get_window_extent(renderer).get_points(), axis=0), text.get_rotation()
    text.set_rotation(0)
    box = text.get_window_extent(renderer)
    text.set_rotation(turn)
    across, up = max(box.width / 2 - _MARGIN, 0.5), max(box.height / 2 - _MARGIN, 0.5)
    corners = np.array([(-across, -up), (across, -up), (across, up), (-across, up)])
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return middle + corners @ np.array([(cos, sin), (-sin, cos)])


def find_faults(figure, texts):
    """Return texts off the page, and pairs of texts of different axes that lie over each other."""
    ends = figure.bbox.get_points()
    faults = [
        f"{text.get_text()!r} is off the page"
        for text, corners in texts
        if (corners < ends[0] - 1).any() or (corners > ends[1] + 1).any()
    ]
    for (one, first), (other, second) in itertools.combinations(texts, 2):
        if one.axes is other.axes and one.axes is not None:
            continue
        if (first.max(axis=0) < second.min(axis=0)).any() or (second.max(axis=0) < first.min(axis=0)).any():
            continue
        shapes = (Outline([*corners, corners[0]], closed=True) for corners in (first, second))
        if next(shapes).intersects_path(next(shapes), filled=True):
            faults.append(f"{one.get_text()!r} is over {other.get_text()!r}")
    return faults


@pytest.mark.parametrize("name", FIGURES)
def test_texts_are_on_the_page_and_apart(results, name, monkeypatch):
    assert find_faults(*draw(name, results, monkeypatch)) == []


@pytest.mark.parametrize("name", RSA)
def test_texts_of_six_regions_are_on_the_page_and_apart(regions, name, monkeypatch):
    assert find_faults(*draw(name, regions, monkeypatch)) == []


def test_texts_of_nine_regions_are_on_the_page_and_apart(more_regions, monkeypatch):
    figure, texts = draw("rsa-layer-roi", more_regions, monkeypatch)
    assert find_faults(figure, texts) == []
    assert len(figure.axes) == 18
    assert figure.get_figheight() * 25.4 < 225, "taller than a page"


def test_layers_are_named_once_in_a_column_and_the_scale_once_in_a_figure(regions, monkeypatch):
    figure, texts = draw("rsa-layer-roi", regions, monkeypatch)
    said = [text.get_text() for text, _ in texts]
    assert len(figure.axes) == 12
    assert said.count("layer 1") == said.count("Layer (input to output)") == 2
    assert sum(text.endswith("(unitless)") for text in said) == 1
    heights = {round(ax.get_window_extent().height / figure.dpi * 25.4, 1) for ax in figure.axes}
    assert min(heights) > 18, "mm of data in a row"


def test_bars_of_peaks_do_not_touch(regions, monkeypatch):
    figure, _ = draw("rsa-layer-roi", regions, monkeypatch)
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
