"""Where the texts of a figure are, and which of them are off the page or over one another."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.path import Path as Outline
from matplotlib.text import Text

#: Pixels of empty margin that each text may lose on every side.
_MARGIN = 1.5


def outline_texts(figure):
    """Return the texts that are drawn, with their outlines; the figure is laid out."""
    drawn: dict[int, Text] = {}
    write = Text.draw

    def note(self, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            drawn[id(self)] = self
        write(self, renderer, *args, **kwargs)

    renderer = FigureCanvasAgg(figure).get_renderer()
    with pytest.MonkeyPatch.context() as patch, renderer._draw_disabled():  # nothing is painted
        patch.setattr(Text, "draw", note)
        figure.draw(renderer)
    return [(text, outline(text, renderer)) for text in drawn.values()]


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
