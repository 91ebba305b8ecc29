import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fernet_neuro.viz import PALETTE, colour_of, figure_size, label_of, style
from fernet_neuro.viz.style import MARKERS, OTHER_COLOURS
from tests.figures.hues import DEFICIENCIES, lab, linear

ALL_COLOURS = {**PALETTE, **{f"other{at}": colour for at, colour in enumerate(OTHER_COLOURS)}}


@pytest.mark.parametrize("name", ALL_COLOURS)
def test_colours_reach_three_to_one_on_white(name):
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear(to_rgb(ALL_COLOURS[name]))))
    assert 1.05 / (luminance + 0.05) >= 3.0


@pytest.mark.parametrize("deficiency", ["deuteranopia", "protanopia"])
@pytest.mark.parametrize("pair", list(itertools.combinations(PALETTE, 2)), ids="-".join)
def test_networks_stay_apart_for_colour_blind_readers(pair, deficiency):
    seen = [
        lab(np.clip(np.array(DEFICIENCIES[deficiency]) @ linear(to_rgb(PALETTE[name])), 0, 1))
        for name in pair
    ]
    assert np.linalg.norm(seen[0] - seen[1]) > 12
    assert MARKERS[pair[0]] != MARKERS[pair[1]]


def test_style_leaves_no_trace():
    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["pdf.fonttype"] == 42
        mpl.rcParams["font.size"] = 31
    assert dict(mpl.rcParams) == before


def test_style_ignores_the_users_own_settings():
    with mpl.rc_context({"axes.grid": True, "font.size": 20}), style():
        assert not mpl.rcParams["axes.grid"]
        assert mpl.rcParams["font.size"] == 7


def test_style_takes_another_font():
    with style(font="DejaVu Serif"):
        assert mpl.rcParams["font.family"][0] == "DejaVu Serif"


def test_figure_size_is_the_column_in_inches():
    width, height = figure_size("double", 25.4)
    assert width * 25.4 == pytest.approx(174)
    assert height == pytest.approx(1.0)


def test_figure_size_suggests_a_width():
    with pytest.raises(ValueError, match="Did you mean 'double'"):
        figure_size("double-col", 60)


def test_unknown_networks_get_colours_of_their_own():
    others = ["identity", "mine", "yours"]
    colours = {colour_of(name, others) for name in others}
    assert len(colours) == 3
    assert label_of("mine") == "mine"
