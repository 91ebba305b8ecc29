"""The hues of a figure, and which of them colour-blind readers take for each other."""

import itertools

import numpy as np
from matplotlib.collections import Collection, QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

#: Colours whose chroma in CIELAB is below this are greys to the eye.
GREY = 12.0
#: Lighter fills are the ground of labelled boxes, not marks.
PALE = 88.0
#: Closer than this in CIELAB, colours are taken for each other.
APART = 8.0
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
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(rgb):
    value = np.asarray(rgb, float)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB (D65) of linear RGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    ratio = np.clip(xyz / [0.9505, 1.0, 1.089], 0, None)
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def colours_of(artist):
    """Colours that an artist lays on paper, none of those that come from a scale."""
    if isinstance(artist, QuadMesh) or not artist.get_visible():
        return []
    if isinstance(artist, Collection):
        if artist.get_array() is not None:
            return []
        edges = artist.get_edgecolor() if np.any(np.asarray(artist.get_linewidth()) > 0) else []
        return [*artist.get_facecolor(), *edges]
    if isinstance(artist, Line2D):
        line = [artist.get_color()] * (artist.get_linestyle() != "None" and artist.get_linewidth() > 0)
        edge = [artist.get_markeredgecolor()] * (artist.get_markeredgewidth() > 0)
        is_marked = artist.get_marker() not in ("None", "", None)
        return [*line, *([artist.get_markerfacecolor(), *edge] if is_marked else [])]
    if isinstance(artist, Patch):
        edge = [artist.get_edgecolor()] * (artist.get_linewidth() > 0)
        return [artist.get_facecolor(), *edge]
    return [artist.get_color()] if artist.get_text().strip() else []


def list_hues(figure: Figure) -> set[tuple[float, ...]]:
    """Chromatic colours of a figure, as opaque RGB."""
    artists = figure.findobj(lambda item: isinstance(item, Collection | Line2D | Patch | Text))
    found = {to_rgba(colour) for artist in artists for colour in colours_of(artist)}
    shown = {tuple(np.round(colour[:3], 3)) for colour in found if colour[3] > 0}
    seen = {rgb: lab(linear(rgb)) for rgb in shown}
    return {rgb for rgb, (light, *chroma) in seen.items() if np.hypot(*chroma) >= GREY and light < PALE}


def find_near(hues: set[tuple[float, ...]]) -> list[tuple]:
    """Return pairs of hues that readers with one of the deficiencies take for each other."""
    near = []
    for matrix in DEFICIENCIES.values():
        seen = {rgb: lab(np.clip(np.array(matrix) @ linear(rgb), 0, 1)) for rgb in hues}
        near += [
            (a, b) for a, b in itertools.combinations(hues, 2) if np.linalg.norm(seen[a] - seen[b]) < APART
        ]
    return near
