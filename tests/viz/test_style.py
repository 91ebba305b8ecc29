import itertools

import matplotlib as mpl
import numpy as np
import pytest

from fernet_neuro.viz import PALETTE, colour_of, figure_size, label_of, style
from fernet_neuro.viz.style import MARKERS, OTHER_COLOURS

ALL_COLOURS = {**PALETTE, **{f"other{at}": colour for at, colour in enumerate(OTHER_COLOURS)}}
#: Linear-RGB matrices of Machado, Oliveira & Fernandes (2009), severity 1.
DEFICIENCIES = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    ratio = np.clip(xyz / [0.9505, 1.0, 1.089], 0, None)
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("name", ALL_COLOURS)
def test_colours_reach_three_to_one_on_white(name):
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear(ALL_COLOURS[name])))
    assert 1.05 / (luminance + 0.05) >= 3.0


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("pair", list(itertools.combinations(PALETTE, 2)), ids="-".join)
def test_networks_stay_apart_for_colour_blind_readers(pair, deficiency):
    seen = [lab(np.clip(np.array(DEFICIENCIES[deficiency]) @ linear(PALETTE[name]), 0, 1)) for name in pair]
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
