"""The skin of the built-in head as a signed distance: a few rounded solids, melted into one another.

What belongs here: the shape of the relaxed average head and how rays meet it; its mesh is in `builtin_mesh`.
Centimetres; the eyes lie at y = 0, x points to the viewer's right, z to the viewer.
"""

import numpy as np

from fernet_neuro._utils.compiling import njit

#: Point inside the head from which every part of the skin can be seen.
CORE = np.array([0.0, -1.0, 0.0])
#: Centre and radius of the left eyeball (the right one is its mirror image). Larger than a real one (1.2 cm),
#: and so flatter: the open eye of a rendered face reads better when its corners lie on the ball.
EYE_CENTRE = np.array([3.12, 0.0, 6.5])
EYE_RADIUS = 1.75
#: Skin lies this far outside the eyeball.
LID_THICKNESS = 0.12
_EYE = (float(EYE_CENTRE[0]), float(EYE_CENTRE[1]), float(EYE_CENTRE[2]))
_LID_RADIUS = EYE_RADIUS + LID_THICKNESS


@njit(cache=True)
def _ellipsoid(x: float, y: float, z: float, c: tuple, r: tuple) -> float:
    qx, qy, qz = (x - c[0]) / r[0], (y - c[1]) / r[1], (z - c[2]) / r[2]
    inner = np.sqrt(qx * qx + qy * qy + qz * qz)
    qx, qy, qz = qx / r[0], qy / r[1], qz / r[2]
    outer = np.sqrt(qx * qx + qy * qy + qz * qz)
    return inner * (inner - 1.0) / max(outer, 1e-9)


@njit(cache=True)
def _capsule(x: float, y: float, z: float, a: tuple, b: tuple, radii: tuple) -> float:
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = x - a[0], y - a[1], z - a[2]
    along = (vx * ux + vy * uy + vz * uz) / (ux * ux + uy * uy + uz * uz)
    along = min(max(along, 0.0), 1.0)
    gx, gy, gz = vx - along * ux, vy - along * uy, vz - along * uz
    return np.sqrt(gx * gx + gy * gy + gz * gz) - (radii[0] + along * (radii[1] - radii[0]))


@njit(cache=True)
def _join(a: float, b: float, width: float) -> float:
    """Return the smooth union of two distances: they melt over `width`."""
    share = min(max(0.5 + 0.5 * (b - a) / width, 0.0), 1.0)
    return b + (a - b) * share - width * share * (1.0 - share)


@njit(cache=True)
def _carve(a: float, b: float, width: float) -> float:
    """Return `a` with `b` taken away, smoothly."""
    return -_join(-a, b, width)


@njit(cache=True)
def _skull(x: float, y: float, z: float) -> float:
    d = _ellipsoid(x, y, z, (0.0, 3.2, -0.9), (7.3, 8.2, 9.2))
    d = _join(d, _ellipsoid(x, y, z, (0.0, 3.6, 3.2), (6.2, 5.4, 5.6)), 2.0)
    d = _join(d, _ellipsoid(x, y, z, (0.0, -2.6, 2.4), (6.3, 7.2, 6.2)), 2.5)
    d = _join(d, _ellipsoid(x, y, z, (0.0, -6.6, 3.0), (4.9, 4.0, 5.0)), 2.5)
    d = _join(d, _ellipsoid(x, y, z, (3.85, -5.5, 1.2), (1.5, 2.2, 2.8)), 3.0)
    d = _join(d, _ellipsoid(x, y, z, (0.0, -9.4, 6.4), (2.0, 1.5, 1.9)), 2.0)
    d = _join(d, _ellipsoid(x, y, z, (4.2, -2.1, 4.6), (2.2, 1.7, 2.4)), 2.5)
    return _join(d, _ellipsoid(x, y, z, (2.5, 2.2, 6.6), (3.0, 0.9, 1.5)), 1.6)


@njit(cache=True)
def _sockets(x: float, y: float, z: float, d: float) -> float:
    d = _carve(d, _ellipsoid(x, y, z, (2.9, 0.15, 9.9), (2.2, 1.5, 1.9)), 1.3)
    # The outer rim of the socket lies well behind the inner one, so that the eye shows in profile.
    d = _carve(d, _ellipsoid(x, y, z, (6.1, 0.1, 8.2), (1.8, 1.0, 2.5)), 1.5)
    ball = _capsule(x, y, z, _EYE, (_EYE[0], _EYE[1], _EYE[2] - 1e-3), (_LID_RADIUS, _LID_RADIUS))
    return _join(d, ball, 0.6)


@njit(cache=True)
def _nose(x: float, y: float, z: float, d: float) -> float:
    d = _join(d, _capsule(x, y, z, (0.0, 0.9, 7.5), (0.0, -3.4, 9.75), (0.62, 0.85)), 1.1)
    d = _join(d, _ellipsoid(x, y, z, (0.0, -3.55, 9.95), (1.0, 0.85, 0.95)), 0.7)
    d = _join(d, _ellipsoid(x, y, z, (1.12, -3.95, 8.9), (0.66, 0.62, 1.1)), 0.8)
    return _carve(d, _ellipsoid(x, y, z, (0.55, -4.75, 9.7), (0.32, 0.42, 0.55)), 0.25)


@njit(cache=True)
def _mouth(x: float, y: float, z: float, d: float) -> float:
    d = _join(d, _ellipsoid(x, y, z, (0.0, -6.2, 6.0), (3.2, 2.7, 2.9)), 1.6)
    d = _join(d, _ellipsoid(x, y, z, (0.0, -5.98, 8.5), (2.3, 0.42, 0.62)), 0.5)
    d = _join(d, _ellipsoid(x, y, z, (0.0, -6.95, 8.35), (1.8, 0.5, 0.72)), 0.5)
    return _carve(d, _capsule(x, y, z, (0.1, -4.9, 9.65), (0.1, -5.5, 9.65), (0.28, 0.32)), 0.5)


@njit(cache=True)
def _distance(x: float, y: float, z: float) -> float:
    # The head is symmetric; the rounded fold keeps paired solids smooth at the midline.
    x = np.sqrt(x * x + 0.01)
    d = _mouth(x, y, z, _nose(x, y, z, _sockets(x, y, z, _skull(x, y, z))))
    return _join(d, _capsule(x, y, z, (0.0, -7.0, -2.4), (0.0, -24.0, -2.8), (4.1, 5.2)), 1.8)


@njit(cache=True)
def head_distance(points: np.ndarray) -> np.ndarray:
    """Return the distance of points to the skin, negative inside.

    `points` (n_points, 3). Returns an array (n_points,).
    """
    distances = np.empty(points.shape[0])
    for i in range(points.shape[0]):
        distances[i] = _distance(points[i, 0], points[i, 1], points[i, 2])
    return distances


@njit(cache=True)
def shoot(origins: np.ndarray, directions: np.ndarray, start: float) -> np.ndarray:
    """Return where rays that start outside first meet the skin, shape (n_rays, 3).

    `origins` (n_rays, 3). `directions` (n_rays, 3): unit vectors from the skin outwards: rays run against
    them. `start`: distance from the origin, along the direction, at which rays start.
    """
    hits = np.empty(origins.shape)
    for i in range(origins.shape[0]):
        along = start
        # Steps of 0.8 of the distance: it is an underestimate only roughly.
        for _ in range(200):
            step = 0.8 * _distance(
                origins[i, 0] + along * directions[i, 0],
                origins[i, 1] + along * directions[i, 1],
                origins[i, 2] + along * directions[i, 2],
            )
            along -= step
            if abs(step) < 1e-7:
                break
        for k in range(3):
            hits[i, k] = origins[i, k] + along * directions[i, k]
    return hits


def shoot_radial(directions: np.ndarray) -> np.ndarray:
    """Return the skin's outermost point in each direction from `CORE`, shape (n_rays, 3)."""
    return shoot(np.tile(CORE, (len(directions), 1)), directions, 24.0)


def shoot_frontal(xy: np.ndarray) -> np.ndarray:
    """Return the foremost skin at frontal positions (n_points, 2), shape (n_points, 3)."""
    origins = np.column_stack([xy, np.zeros(len(xy))])
    return shoot(origins, np.tile([0.0, 0.0, 1.0], (len(xy), 1)), 14.0)
