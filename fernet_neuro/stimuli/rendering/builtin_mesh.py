"""The mesh of the built-in head's skin: points along every drawn line, more between them, triangles over all.

What belongs here: the relaxed average skin with holes for eyes and mouth; what fills the holes is in
`builtin_parts`, what moves the mesh in `builtin_fields`.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import Delaunay, cKDTree

from fernet_neuro.stimuli.rendering import builtin_contours as contours
from fernet_neuro.stimuli.rendering.builtin_surface import CORE, shoot, shoot_frontal, shoot_radial

#: Which side of the mouth's line a vertex belongs to, where the heights alone do not tell.
UPPER, LOWER, NEITHER = 1, -1, 0


@dataclass
class Points:
    """Points of half the skin under construction: where they are, and where they lie in the flat map.

    The map unrolls the skin about the front: radius is the angle from the z axis at `CORE`.
    """

    xyz: list[np.ndarray] = field(default_factory=list)
    uv: list[np.ndarray] = field(default_factory=list)
    side: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, xyz: np.ndarray, uv: np.ndarray | None = None, side: int = NEITHER) -> np.ndarray:
        """Append points and return their indices."""
        self.xyz.append(xyz)
        self.uv.append(unroll(xyz) if uv is None else uv)
        self.side.append(np.full(len(xyz), side))
        self.count += len(xyz)
        return np.arange(self.count - len(xyz), self.count)

    def add_frontal(self, xy: np.ndarray, shift: np.ndarray | float = 0.0, side: int = NEITHER) -> np.ndarray:
        """Append skin at frontal positions; `shift` moves them up in the map only."""
        moved = xy + np.column_stack([np.zeros(len(xy)), np.broadcast_to(shift, len(xy))])
        return self.add(shoot_frontal(xy), unroll(shoot_frontal(moved)), side)


def unroll(xyz: np.ndarray) -> np.ndarray:
    """Return map positions (n_points, 2) of points on the skin."""
    gap = xyz - CORE
    flat = np.sqrt(gap[:, 0] ** 2 + gap[:, 1] ** 2)
    angle = np.arctan2(flat, gap[:, 2])
    return gap[:, :2] * (angle / np.maximum(flat, 1e-9))[:, None]


def _directions(uv: np.ndarray) -> np.ndarray:
    angle = np.sqrt((uv**2).sum(axis=1))
    return np.column_stack([uv * np.sinc(angle / np.pi)[:, None], np.cos(angle)])


@dataclass(frozen=True)
class Skin:
    """Half the skin (x >= 0): vertices, triangles and the vertices along each drawn line."""

    vertices: np.ndarray
    triangles: np.ndarray
    materials: list[str]
    side: np.ndarray
    lines: dict[str, np.ndarray]


def build_half_skin() -> Skin:
    """Return the half of the skin with x >= 0; its mirror image completes it."""
    points = Points()
    lines = _add_eye(points) | _add_lips(points) | _add_brow(points) | _add_hairline(points)
    _add_background(points)
    xyz, uv = np.concatenate(points.xyz), np.concatenate(points.uv)
    triangles = _triangulate(uv)
    middle = uv[triangles].mean(axis=1)
    eye = np.concatenate([lines["upper_lid"], lines["lower_lid"][::-1]])
    mouth = np.concatenate([lines["upper_contact"], lines["lower_contact"][::-1]])
    keep = ~(inside_polygon(middle, uv[eye]) | inside_polygon(middle, uv[mouth]))
    triangles, middle = triangles[keep], middle[keep]
    return Skin(xyz, triangles, _name_materials(middle, uv, lines), np.concatenate(points.side), lines)


def _add_eye(points: Points) -> dict[str, np.ndarray]:
    upper, lower = contours.eye_outline()
    first = points.add_frontal(upper)
    second = points.add_frontal(lower)
    ring = np.concatenate([upper, lower[::-1]])
    lines = {"upper_lid": first, "lower_lid": np.concatenate([first[:1], second, first[-1:]])}
    for number, offset in enumerate((0.075, 0.22, 0.45, 0.75)):
        moved = points.add_frontal(_grow(ring, offset))
        if number == 0:
            lines["lash"] = moved[: len(upper)]
    return lines


def _grow(ring: np.ndarray, offset: float) -> np.ndarray:
    """Return a closed clockwise outline moved outwards by `offset`."""
    along = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    along /= np.sqrt((along**2).sum(axis=1, keepdims=True))
    return ring + offset * np.column_stack([-along[:, 1], along[:, 0]])


def _add_lips(points: Points) -> dict[str, np.ndarray]:
    corner = points.add_frontal(contours.MOUTH_CORNER[None])
    x = 2.45 * np.sin(np.linspace(0, np.pi / 2, 13))[:-1]
    line = contours.mouth_line(x)
    borders = contours.lip_borders(x)
    lines = {}
    for name, side, border in (("upper", UPPER, borders[0]), ("lower", LOWER, borders[1])):
        # The closed lips touch in space; in the map they stand apart, so that no triangle bridges them.
        apart = side * 0.13 * (1 - (x / 2.45) ** 2)
        contact = points.add_frontal(np.column_stack([x, line]), apart, side)
        for share in (0.35, 0.7):
            here = x < 2.3
            row = np.column_stack([x, line + share * (border - line)])[here]
            points.add_frontal(row, (apart * (1 - share))[here], side)
        edge = points.add_frontal(np.column_stack([x, border]), 0.0, side)
        lines[f"{name}_contact"] = np.concatenate([contact, corner])
        lines[f"{name}_border"] = np.concatenate([edge, corner])
        points.add_frontal(np.column_stack([x * 1.06, border + side * 0.22]))
    return lines


def _add_brow(points: Points) -> dict[str, np.ndarray]:
    upper, lower = contours.brow_outline()
    lines = {"brow_top": points.add_frontal(upper), "brow_bottom": points.add_frontal(lower)}
    points.add_frontal((upper[1:-2] + lower[1:-2]) / 2)
    return lines


def _add_hairline(points: Points) -> dict[str, np.ndarray]:
    azimuth = np.radians(np.concatenate([np.arange(0, 110, 2.5), np.arange(110, 176, 6)]))
    height = contours.hairline(azimuth)
    origins = np.column_stack([np.zeros_like(height), height, np.zeros_like(height)])
    outwards = np.column_stack([np.sin(azimuth), np.zeros_like(height), np.cos(azimuth)])
    return {"hairline": points.add(shoot(origins, outwards, 16.0))}


def _add_background(points: Points) -> None:
    """Fill the map with a jittered honeycomb, finer where the face moves; the midline is exact."""
    taken = np.concatenate(points.uv)
    for fineness, spacing in ((3, 0.026), (2, 0.042), (1, 0.065), (0, 0.115)):
        steps = np.arange(-3.05, 3.05, spacing)
        candidates = [np.column_stack([np.zeros_like(steps), steps]), _honeycomb(spacing)]
        for uv in candidates:
            uv = uv[_fineness(uv) == fineness]
            uv = uv[cKDTree(taken).query(uv)[0] > 0.62 * spacing]
            if len(uv):
                xyz = shoot_radial(_directions(uv))
                xyz[uv[:, 0] == 0, 0] = 0.0
                points.add(xyz, uv)
                taken = np.concatenate([taken, uv])


def _fineness(uv: np.ndarray) -> np.ndarray:
    """Return 3 at nose and mouth, 2 on the face, 1 around it and 0 elsewhere."""
    radius = np.sqrt((uv**2).sum(axis=1))
    x, y = uv[:, 0], uv[:, 1]
    face = ((x / 0.72) ** 2 + ((y + 0.12) / 0.76) ** 2) < 1
    nose = (x < 0.24) & (y > -0.52) & (y < -0.1)
    near = ((x / 1.15) ** 2 + ((y + 0.2) / 1.05) ** 2) < 1
    level = np.where(nose, 3, np.where(face, 2, np.where(near, 1, 0)))
    return np.where(radius < 3.05, level, -1)


def _honeycomb(spacing: float) -> np.ndarray:
    rows = np.arange(-3.05, 3.05, spacing * 0.866)
    columns = np.arange(spacing * 0.75, 3.05, spacing)
    x = columns[None] + (np.arange(len(rows)) % 2)[:, None] * spacing / 2
    grid = np.stack(np.broadcast_arrays(x, rows[:, None]), axis=-1).reshape(-1, 2)
    # Shaken, so that no four points share a circle and the triangulation is the only one.
    shaken = np.random.default_rng(7).uniform(-0.12, 0.12, grid.shape) * spacing
    return grid + shaken


def _triangulate(uv: np.ndarray) -> np.ndarray:
    """Return Delaunay triangles, counter-clockwise, in an order that depends only on the points."""
    triangles = Delaunay(uv).simplices.astype(np.int64)
    a, b, c = (uv[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    triangles = triangles[np.abs(area) > 1e-7]
    first = triangles.argmin(axis=1)
    triangles = np.stack([np.roll(t, -f) for t, f in zip(triangles, first, strict=True)])
    return triangles[np.lexsort(triangles.T[::-1])]


def inside_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Return which points (n_points, 2) lie inside a closed polygon (n_corners, 2)."""
    x, y = points[:, :1], points[:, 1:]
    ax, ay = polygon[:, 0], polygon[:, 1]
    bx, by = np.roll(ax, -1), np.roll(ay, -1)
    rising = np.where(by == ay, 1.0, by - ay)
    crosses = ((ay > y) != (by > y)) & (x < ax + (y - ay) / rising * (bx - ax))
    return crosses.sum(axis=1) % 2 == 1


def _name_materials(middle: np.ndarray, uv: np.ndarray, lines: dict[str, np.ndarray]) -> list[str]:
    names = np.full(len(middle), "painted", dtype=object)
    outlines = {
        "lip": [("upper_border", "upper_contact"), ("lower_border", "lower_contact")],
        "brow": [("brow_top", "brow_bottom")],
        "lash": [("lash", "upper_lid")],
    }
    for material, pairs in outlines.items():
        for one, other in pairs:
            names[inside_polygon(middle, uv[np.concatenate([lines[one], lines[other][::-1]])])] = material
    front = uv[lines["hairline"]]
    # Below the hairline lies the face: close the polygon along the midline's lower half.
    face = np.concatenate([front, [[0.0, front[-1, 1] - 0.001], [0.0, -1.0]]])
    names[~inside_polygon(middle, face)] = "hair"
    return names.tolist()
