"""The skin of the built-in head as a signed distance: a few rounded solids, melted into one another.

What belongs here: the shape of the relaxed average head and how rays meet it; its mesh is in `builtin_mesh`.
Centimetres; the eyes lie at y = 0, x points to the viewer's right, z to the viewer.
"""

import numpy as np

#: Point inside the head from which every part of the skin can be seen.
CORE = np.array([0.0, -1.0, 0.0])
#: Centre and radius of the left eyeball (the right one is its mirror image). Larger than a real one (1.2 cm),
#: and so flatter: the open eye of a rendered face reads better when its corners lie on the ball.
EYE_CENTRE = np.array([3.12, 0.0, 6.5])
EYE_RADIUS = 1.75
#: Skin lies this far outside the eyeball.
LID_THICKNESS = 0.12


def _ellipsoid(p: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    q = (p - centre) / radii
    inner = np.sqrt((q**2).sum(axis=1))
    outer = np.sqrt(((q / radii) ** 2).sum(axis=1))
    return inner * (inner - 1) / np.maximum(outer, 1e-9)


def _capsule(
    p: np.ndarray, start: tuple[float, ...], end: tuple[float, ...], radius: float, end_radius: float
) -> np.ndarray:
    axis = np.subtract(end, start)
    along = np.clip((p - start) @ axis / (axis @ axis), 0, 1)
    gap = p - start - along[:, None] * axis
    return np.sqrt((gap**2).sum(axis=1)) - (radius + along * (end_radius - radius))


def _join(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Return the smooth union of two distances: they melt over `width`."""
    share = np.clip(0.5 + 0.5 * (b - a) / width, 0, 1)
    return b + (a - b) * share - width * share * (1 - share)


def _carve(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Return `a` with `b` taken away, smoothly."""
    return -_join(-a, b, width)


def head_distance(points: np.ndarray) -> np.ndarray:
    """Return the distance of points to the skin, negative inside.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)

    Returns
    -------
    ndarray of shape (n_points,), in centimetres; near the skin only, elsewhere an underestimate.
    """
    p = points.copy()
    # The head is symmetric; the rounded fold keeps paired solids smooth at the midline.
    p[:, 0] = np.sqrt(points[:, 0] ** 2 + 0.01)
    d = _skull(p)
    d = _sockets(p, d)
    d = _nose(p, d)
    d = _mouth(p, d)
    return _join(d, _capsule(p, (0, -7.0, -2.4), (0, -24.0, -2.8), 4.1, 5.2), 1.8)


def _skull(p: np.ndarray) -> np.ndarray:
    d = _ellipsoid(p, (0, 3.2, -0.9), (7.3, 8.2, 9.2))
    d = _join(d, _ellipsoid(p, (0, 3.6, 3.2), (6.2, 5.4, 5.6)), 2.0)
    d = _join(d, _ellipsoid(p, (0, -2.6, 2.4), (6.3, 7.2, 6.2)), 2.5)
    d = _join(d, _ellipsoid(p, (0, -6.6, 3.0), (4.9, 4.0, 5.0)), 2.5)
    d = _join(d, _ellipsoid(p, (4.1, -5.6, 1.2), (1.5, 2.2, 2.8)), 3.0)
    d = _join(d, _ellipsoid(p, (0, -9.4, 6.4), (2.0, 1.5, 1.9)), 2.0)
    d = _join(d, _ellipsoid(p, (4.2, -2.1, 4.6), (2.2, 1.7, 2.4)), 2.5)
    return _join(d, _ellipsoid(p, (2.5, 2.2, 6.6), (3.0, 0.9, 1.5)), 1.6)


def _sockets(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    d = _carve(d, _ellipsoid(p, (2.9, 0.15, 9.9), (2.2, 1.5, 1.9)), 1.3)
    ball = np.sqrt(((p - EYE_CENTRE) ** 2).sum(axis=1)) - EYE_RADIUS - LID_THICKNESS
    return _join(d, ball, 0.6)


def _nose(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    d = _join(d, _capsule(p, (0, 0.9, 7.5), (0, -3.4, 9.75), 0.62, 0.85), 1.1)
    d = _join(d, _ellipsoid(p, (0, -3.55, 9.95), (1.0, 0.85, 0.95)), 0.7)
    d = _join(d, _ellipsoid(p, (1.12, -3.95, 8.9), (0.66, 0.62, 1.1)), 0.8)
    return _carve(d, _ellipsoid(p, (0.55, -4.75, 9.7), (0.32, 0.42, 0.55)), 0.25)


def _mouth(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    d = _join(d, _ellipsoid(p, (0, -6.2, 6.0), (3.2, 2.7, 2.9)), 1.6)
    d = _join(d, _ellipsoid(p, (0, -5.98, 8.5), (2.3, 0.42, 0.62)), 0.5)
    d = _join(d, _ellipsoid(p, (0, -6.95, 8.35), (1.8, 0.5, 0.72)), 0.5)
    return _carve(d, _capsule(p, (0.1, -4.9, 9.65), (0.1, -5.5, 9.65), 0.28, 0.32), 0.5)


def shoot(origins: np.ndarray, directions: np.ndarray, start: float, n_steps: int = 90) -> np.ndarray:
    """Return where rays that start outside first meet the skin, shape (n_rays, 3).

    Parameters
    ----------
    origins : ndarray of shape (n_rays, 3)
    directions : ndarray of shape (n_rays, 3)
        Unit vectors from the skin outwards: rays run against them.
    start : float
        Distance from the origin, along the direction, at which rays start.
    n_steps : int
        Steps of 0.8 of the distance; enough for a hundredth of a millimetre.
    """
    along = np.full(len(origins), float(start))
    for _ in range(n_steps):
        along -= 0.8 * head_distance(origins + along[:, None] * directions)
    return origins + along[:, None] * directions


def shoot_radial(directions: np.ndarray) -> np.ndarray:
    """Return the skin's outermost point in each direction from `CORE`, shape (n_rays, 3)."""
    return shoot(np.broadcast_to(CORE, directions.shape), directions, 24.0)


def shoot_frontal(xy: np.ndarray) -> np.ndarray:
    """Return the foremost skin at frontal positions (n_points, 2), shape (n_points, 3)."""
    origins = np.column_stack([xy, np.zeros(len(xy))])
    forwards = np.broadcast_to([0.0, 0.0, 1.0], origins.shape)
    return shoot(origins, forwards, 14.0)
