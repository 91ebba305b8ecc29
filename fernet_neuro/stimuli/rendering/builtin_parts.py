"""What fills and surrounds the built-in head's skin: eyeballs, lid rims, inner lips, teeth, tongue, ears.

What belongs here: small parametric surfaces, and `build_head`, which mirrors the half skin and joins
all parts.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from fernet_neuro.stimuli.rendering import builtin_mesh as mesh
from fernet_neuro.stimuli.rendering.builtin_surface import EYE_CENTRE, EYE_RADIUS

#: Kinds of vertices; muscles move only the first three.
SKIN, LID_RIM, INNER_LIP, EYEBALL, UPPER_TEETH, LOWER_TEETH, TONGUE, CAVITY, EAR = range(9)
MUSCULAR = (SKIN, LID_RIM, INNER_LIP)


@dataclass(frozen=True)
class Head:
    """The relaxed average head: all parts, mirrored and joined.

    Parameters
    ----------
    vertices : ndarray of shape (n_vertices, 3), float
    kind : ndarray of shape (n_vertices,)
        One of the kinds named above.
    side : ndarray of shape (n_vertices,)
        +1 above, -1 below the mouth's line, 0 where the height tells.
    triangles : ndarray of shape (n_triangles, 3)
    materials : list of str
    lines : dict of str to ndarray
        Vertices of the drawn lines, on the side x >= 0.
    mirror : ndarray of shape (n_vertices,)
        The vertex's mirror image; itself on the midline.
    tint : ndarray of shape (n_vertices,)
        Shade of parts that have an own one (gaps between teeth, depth of the cavity).
    """

    vertices: np.ndarray
    kind: np.ndarray
    side: np.ndarray
    triangles: np.ndarray
    materials: list[str]
    lines: dict[str, np.ndarray]
    mirror: np.ndarray
    tint: np.ndarray


@dataclass
class _Builder:
    vertices: list[np.ndarray] = field(default_factory=list)
    kind: list[np.ndarray] = field(default_factory=list)
    side: list[np.ndarray] = field(default_factory=list)
    tint: list[np.ndarray] = field(default_factory=list)
    triangles: list[np.ndarray] = field(default_factory=list)
    materials: list[str] = field(default_factory=list)
    count: int = 0

    def add(
        self, vertices: np.ndarray, kind: int, side: int | np.ndarray = 0, tint: float | np.ndarray = 1.0
    ) -> np.ndarray:
        n = len(vertices)
        self.vertices.append(vertices)
        self.kind.append(np.full(n, kind))
        self.side.append(np.broadcast_to(side, n))
        self.tint.append(np.broadcast_to(tint, n))
        self.count += n
        return np.arange(self.count - n, self.count)

    def join(self, triangles: np.ndarray, materials: str | list[str]) -> None:
        self.triangles.append(triangles)
        self.materials += [materials] * len(triangles) if isinstance(materials, str) else materials


def _strip(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return triangles between two rows of vertices of equal length."""
    a, b, c, d = one[:-1], one[1:], other[:-1], other[1:]
    return np.concatenate([np.column_stack([a, b, c]), np.column_stack([b, d, c])])


def _grid(indices: np.ndarray) -> np.ndarray:
    return np.concatenate([_strip(one, other) for one, other in pairwise(indices)])


def build_head() -> Head:
    """Return the relaxed average head."""
    half = mesh.build_half_skin()
    build = _Builder()
    skin = build.add(half.vertices, SKIN, half.side)
    build.join(skin[half.triangles], half.materials)
    _add_lid_rims(build, half)
    _add_eyeball(build)
    _add_inner_lips(build, half)
    _add_teeth(build)
    _add_mouth_floor(build)
    _add_ear(build)
    return _mirror(build, half.lines)


def _mirror(build: _Builder, lines: dict[str, np.ndarray]) -> Head:
    vertices = np.concatenate(build.vertices)
    n = len(vertices)
    # Vertices on the midline are their own mirror image, so that the two halves are one surface.
    copied = np.flatnonzero(np.abs(vertices[:, 0]) > 1e-9)
    vertices[np.abs(vertices[:, 0]) <= 1e-9, 0] = 0.0
    mirror = np.arange(n + len(copied))
    mirror[copied] = n + np.arange(len(copied))
    mirror[n:] = copied
    triangles = np.concatenate(build.triangles)
    others = mirror[triangles][:, ::-1]
    reflected = vertices[copied] * [-1, 1, 1]
    kind, side, tint = (np.concatenate(part) for part in (build.kind, build.side, build.tint))
    return Head(
        np.concatenate([vertices, reflected]),
        np.concatenate([kind, kind[copied]]),
        np.concatenate([side, side[copied]]),
        np.concatenate([triangles, others]),
        build.materials * 2,
        lines,
        mirror,
        np.concatenate([tint, tint[copied]]),
    )


def _add_lid_rims(build: _Builder, half: mesh.Skin) -> None:
    for name, material, depth in (("upper_lid", "lash", 0.06), ("lower_lid", "painted", 0.02)):
        margin = half.lines[name]
        gap = half.vertices[margin] - EYE_CENTRE
        length = np.sqrt((gap**2).sum(axis=1, keepdims=True))
        inner = build.add(EYE_CENTRE + gap * np.minimum((EYE_RADIUS - depth) / length, 1.0), LID_RIM)
        build.join(_strip(margin, inner), material)


def _add_eyeball(build: _Builder) -> None:
    angles = np.array([0.0, 0.08, 0.16, 0.16, 0.26, 0.37, 0.37, 0.55, 0.75, 1.0, 1.35, 1.75])
    turn = np.arange(20) * 2 * np.pi / 20
    # The gaze is a little inwards, since the ball is larger and lies further out than a real one.
    sine, cosine = np.sin(angles)[:, None], np.cos(angles)[:, None]
    ball = np.stack([sine * np.cos(turn), sine * np.sin(turn), cosine + 0 * turn], axis=-1) * EYE_RADIUS
    rows = build.add(ball.reshape(-1, 3) + EYE_CENTRE, EYEBALL, tint=_eye_tint(ball)).reshape(len(angles), -1)
    rows = np.column_stack([rows, rows[:, :1]])
    for row in range(len(angles) - 1):
        material = "pupil" if row < 2 else "iris" if row < 5 else "sclera"
        if row not in (2, 5):
            build.join(_strip(rows[row], rows[row + 1])[:, ::-1], material)


def _eye_tint(ball: np.ndarray) -> np.ndarray:
    """Shade the ball under the upper lid, and darken the iris towards its rim."""
    angle = np.arccos(np.clip(ball[..., 2] / EYE_RADIUS, -1, 1))
    tint = 1 - 0.45 * np.clip((ball[..., 1] - 0.25) / 0.5, 0, 1)
    tint *= 1 - 0.3 * np.clip((np.abs(ball[..., 0]) - 0.75) / 0.7, 0, 1)
    tint = np.where((angle > 0.36) & (np.arange(12)[:, None] <= 5), tint * 0.45, tint)
    return tint.reshape(-1)


def _add_inner_lips(build: _Builder, half: mesh.Skin) -> None:
    for name, side in (("upper", mesh.UPPER), ("lower", mesh.LOWER)):
        contact = half.lines[f"{name}_contact"]
        outer = half.vertices[contact]
        rows = [contact]
        for back, rise, tint in ((0.22, -0.09, 0.55), (0.9, 0.55, 0.25), (2.2, 1.5, 0.1)):
            inner = outer - [0, 0, back] + np.array([0, side * rise, 0])
            rows.append(build.add(inner, INNER_LIP, side, tint))
        triangles = _grid(np.stack(rows))
        n = 2 * (len(contact) - 1)
        build.join(
            triangles if side == mesh.LOWER else triangles[:, ::-1], ["lip"] * n + ["cavity"] * (2 * n)
        )


def _add_teeth(build: _Builder) -> None:
    # Three columns a tooth: gap, body, body; eight teeth on this side counted from the midline.
    widths = np.array([0.46, 0.38, 0.4, 0.36, 0.34])
    starts = np.concatenate([[0], np.cumsum(widths)])
    x = np.unique(np.concatenate([starts, starts[:-1] + 0.12 * widths, starts[1:] - 0.12 * widths]))
    gap = np.isin(x, starts)
    curve = 7.0 - 0.19 * x**2
    for kind, low, high, shift in ((UPPER_TEETH, -6.66, -5.3, 0.0), (LOWER_TEETH, -7.8, -6.8, -0.2)):
        heights = np.linspace(low, high, 3)
        sheet = np.stack(
            np.broadcast_arrays(x[None], heights[:, None], curve[None] + shift), axis=-1
        ).reshape(-1, 3)
        tint = np.broadcast_to(np.where(gap, 0.62, 0.95) * np.clip(1.06 - 0.14 * x, 0, 1), (3, len(x)))
        rows = build.add(sheet, kind, tint=tint.reshape(-1)).reshape(3, len(x))
        build.join(_grid(rows), "teeth")


def _add_mouth_floor(build: _Builder) -> None:
    x = np.linspace(0, 3.4, 5)
    heights = np.linspace(-3.5, -9.5, 7)
    wall = np.stack(np.broadcast_arrays(x[None], heights[:, None], 5.4 - 0.1 * x[None] ** 2), axis=-1)
    rows = build.add(wall.reshape(-1, 3), CAVITY, tint=0.15).reshape(7, 5)
    build.join(_grid(rows)[:, ::-1], "cavity")
    across, along = np.linspace(0, np.pi / 2, 5), np.linspace(-0.6, np.pi / 2, 6)
    sine, cosine = np.sin(across)[None], np.cos(across)[None]
    tongue = np.stack(
        [
            1.35 * sine + 0 * along[:, None],
            -7.75 + 0.55 * cosine * np.sin(along)[:, None] * 1.0,
            5.9 + 1.75 * np.cos(along)[:, None] * (0.4 + 0.6 * cosine),
        ],
        axis=-1,
    )
    rows = build.add(tongue.reshape(-1, 3), TONGUE, tint=0.6).reshape(6, 5)
    build.join(_grid(rows), "tongue")


def _add_ear(build: _Builder) -> None:
    radii = np.array([0.0, 0.3, 0.55, 0.78, 0.92, 1.0])
    relief = np.array([0.75, 0.7, 0.72, 1.05, 1.05, 0.3])
    tint = np.array([0.4, 0.5, 0.7, 1.0, 1.0, 0.75])
    turn = np.arange(18) * 2 * np.pi / 18
    r, angle = radii[:, None], turn[None]
    # Narrower at the lobe, leaning back, standing away from the head at its rear edge.
    height = 2.75 * r * np.sin(angle)
    width = (1.55 + 0.3 * np.sin(angle)) * r * np.cos(angle)
    z = -0.2 + width - 0.22 * height
    y = -1.1 + height + 0 * width
    x = 6.55 + relief[:, None] * 1.0 + 0.36 * (-width) + 0.06 * height
    sheet = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    rows = build.add(sheet, EAR, tint=np.repeat(tint, len(turn))).reshape(len(radii), -1)
    build.join(_grid(np.column_stack([rows, rows[:, :1]])), "painted")
