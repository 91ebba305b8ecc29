"""The drawn lines of the built-in head: lids, lips, brows and hairline of the relaxed average face.

What belongs here: curves in the frontal plane (x >= 0, the shown person's left), in centimetres.
"""

from collections.abc import Sequence

import numpy as np

#: Inner and outer corner of the eye.
CANTHI = np.array([[1.74, -0.16], [4.58, 0.14]])
UPPER_LID, LOWER_LID = 0.70, -0.58
#: Corner of the mouth, and height of the line between the closed lips at the midline.
MOUTH_CORNER = np.array([2.45, -6.42])
MOUTH_LINE = -6.44


def _polyline(x: np.ndarray, knots: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return a smooth curve through `knots`, by monotone cubic pieces (Fritsch and Carlson)."""
    from scipy.interpolate import PchipInterpolator

    xs, ys = np.transpose(knots)
    return PchipInterpolator(xs, ys)(np.clip(x, xs[0], xs[-1]))


def lid_heights(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the heights of the upper and the lower lid's margin at `x`; outside the eye both meet."""
    share = np.clip((x - CANTHI[0, 0]) / (CANTHI[1, 0] - CANTHI[0, 0]), 0, 1)
    base = CANTHI[0, 1] + share * (CANTHI[1, 1] - CANTHI[0, 1])
    arch = np.sin(np.pi * share**0.9) ** 0.72
    bowl = np.sin(np.pi * share**1.12) ** 0.85
    return base + (UPPER_LID - 0.02) * arch, base + LOWER_LID * bowl


def eye_outline(n_upper: int = 13, n_lower: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return the margins of the upper lid, corner to corner, and of the lower lid, without corners."""

    def spread(n: int) -> np.ndarray:
        # Denser at the corners, where the curves turn.
        angle = np.pi * np.arange(n) / (n - 1)
        return CANTHI[0, 0] + (CANTHI[1, 0] - CANTHI[0, 0]) * (1 - np.cos(angle)) / 2

    x_upper, x_lower = spread(n_upper), spread(n_lower)[1:-1]
    return (
        np.column_stack([x_upper, lid_heights(x_upper)[0]]),
        np.column_stack([x_lower, lid_heights(x_lower)[1]]),
    )


def mouth_line(x: np.ndarray) -> np.ndarray:
    """Return the height of the line between the closed lips."""
    return _polyline(
        np.abs(x), [(0, MOUTH_LINE - 0.03), (0.7, MOUTH_LINE + 0.04), (1.6, MOUTH_LINE), (2.45, -6.42)]
    )


def lip_borders(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the heights of the upper and the lower border of the red of the lips."""
    upper = _polyline(x, [(0, -5.80), (0.55, -5.66), (1.3, -5.88), (2.0, -6.18), (2.45, -6.42)])
    lower = _polyline(x, [(0, -7.32), (0.6, -7.29), (1.3, -7.08), (2.0, -6.74), (2.45, -6.42)])
    return upper, lower


def brow_outline(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper and the lower edge of the brow, from the nose outwards, each (n, 2)."""
    x = np.linspace(1.0, 4.95, n)
    middle = _polyline(x, [(1.0, 1.72), (2.2, 1.94), (3.4, 2.12), (4.2, 2.0), (4.95, 1.52)])
    half = _polyline(x, [(1.0, 0.13), (1.35, 0.30), (3.0, 0.30), (4.2, 0.2), (4.95, 0.1)])
    return np.column_stack([x, middle + half]), np.column_stack([x, middle - half])


def hairline(azimuth: np.ndarray) -> np.ndarray:
    """Return the height of the hairline at angles about the vertical axis (radians, 0 is the front)."""
    degrees = np.degrees(azimuth)
    knots = [(0, 7.0), (14, 7.1), (27, 6.6), (38, 5.2), (50, 4.2), (62, 3.2), (70, -0.6), (84, -1.4),
             (96, 1.2), (106, -2.4), (130, -5.6), (180, -6.6)]  # fmt: skip
    return _polyline(degrees, knots)
