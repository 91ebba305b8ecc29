"""Things that hide part of a face: glasses, a mask, a scarf, a hand, a bar.

What belongs here: small meshes fitted to the landmarks of the face that wears them.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from fernet_neuro._utils.validation import check_option
from fernet_neuro.stimuli.rendering.face_model import MATERIALS, FaceModel
from fernet_neuro.stimuli.rendering.renderer import Extra


def build_occluder(name: str, model: FaceModel, vertices: np.ndarray) -> Extra:
    """Return an occluder fitted to a face.

    `name`: a key of `OCCLUDERS`. `vertices` (n_vertices, 3): the face that wears it. Raises ValueError if the
    occluder is unknown.
    """
    return OCCLUDERS[check_option("occluder", name, OCCLUDERS)](model, vertices)


def _join(meshes: list[tuple[np.ndarray, np.ndarray, str]]) -> Extra:
    offsets = np.cumsum([0, *(len(vertices) for vertices, _, _ in meshes)])
    return Extra(
        np.concatenate([vertices for vertices, _, _ in meshes]).astype(np.float32),
        np.concatenate([t + offset for (_, t, _), offset in zip(meshes, offsets[:-1], strict=True)]),
        np.concatenate([np.full(len(t), MATERIALS.index(kind), dtype=np.uint8) for _, t, kind in meshes]),
    )


def _sheet(points: np.ndarray) -> np.ndarray:
    """Return the triangles of a grid of points (n_rows, n_columns, 3), rows running upwards."""
    index = np.arange(points.shape[0] * points.shape[1]).reshape(points.shape[:2])
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])


def _tube(path: np.ndarray, radius: float, n_around: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices and triangles of a tube along a path (n_points, 3)."""
    along = np.gradient(path, axis=0)
    along /= np.sqrt((along**2).sum(axis=1, keepdims=True))
    helper = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    one = np.cross(along, helper)
    one /= np.sqrt((one**2).sum(axis=1, keepdims=True))
    other = np.cross(along, one)
    angle = np.linspace(0, 2 * np.pi, n_around)[None, :, None]
    points = path[:, None] + radius * (np.cos(angle) * one[:, None] + np.sin(angle) * other[:, None])
    return points.reshape(-1, 3), _sheet(points)


def _glasses(model: FaceModel, vertices: np.ndarray, dark: bool) -> Extra:
    meshes = []
    at = partial(model.landmark, vertices)
    bridge = []
    for side, sign in (("L", 1.0), ("R", -1.0)):
        inner, outer = at(f"eye_inner_{side}"), at(f"eye_outer_{side}")
        middle = (inner + outer) / 2
        plane = max(at(f"lid_upper_{side}")[2], at(f"brow_middle_{side}")[2], at(f"cheek_{side}")[2] if
                    f"cheek_{side}" in model.landmarks else -np.inf) + 0.55  # fmt: skip
        width, height = 0.66 * abs(outer[0] - inner[0]) + 0.1, 1.5
        angle = np.linspace(0, 2 * np.pi, 29)
        square = (np.abs(np.cos(angle)) ** 3 + np.abs(np.sin(angle)) ** 3) ** (-1 / 3)
        rim = np.column_stack(
            [middle[0] + width * square * np.cos(angle), middle[1] - 0.15 + height * square * np.sin(angle),
             plane - 0.06 * (width * np.cos(angle) * sign + 1)]
        )  # fmt: skip
        meshes.append((*_tube(rim, 0.17), "occluder"))
        if dark:
            fan = np.concatenate([[rim.mean(axis=0)], rim])
            spokes = np.column_stack([np.zeros(28), np.arange(1, 29), np.arange(2, 30)]).astype(int)
            meshes.append((fan, spokes, "lens"))
        temple = np.array([middle[0] + sign * width, middle[1] + 0.5, plane - 0.2])
        around = (np.abs(vertices[:, 1] - middle[1]) < 1.5) & (np.abs(vertices[:, 2] - middle[2] + 4.5) < 1.5)
        edge = np.abs(vertices[around, 0]).max()
        hinge = np.array([sign * (edge + 0.1), temple[1], plane - 4.0])
        ear = [sign * (edge + 0.5), temple[1], plane - 8.0]
        meshes.append((*_tube(np.array([temple, hinge, ear]), 0.13), "occluder"))
        bridge.append(np.array([middle[0] - sign * width, middle[1] + 0.2, plane]))
    top = (bridge[0] + bridge[1]) / 2 + [0, 0.25, 0.4]
    meshes.append((*_tube(np.array([bridge[0], top, bridge[1]]), 0.13), "occluder"))
    return _join(meshes)


def _draped(vertices: np.ndarray, rows: np.ndarray, half_widths: np.ndarray, offset: float) -> Extra:
    """Return a cloth hung over the face at heights `rows`, `half_widths` (radians) wide."""
    turn = np.linspace(-1, 1, 25)
    front = vertices[vertices[:, 2] > -2.0]
    points = np.empty((len(rows), len(turn), 3))
    for i, (height, half) in enumerate(zip(rows, half_widths, strict=True)):
        away = np.abs(front[:, 1] - height)
        # Below the mesh, as under a long chin, the cloth hangs as at the mesh's edge.
        band = front[away < (0.8 if away.min() < 0.8 else away.min() + 0.4)]
        azimuth = np.arctan2(band[:, 0], band[:, 2])
        reach = np.sqrt(band[:, 0] ** 2 + band[:, 2] ** 2)
        radius = float(np.median(reach)) + offset
        for j, share in enumerate(turn):
            angle = share * half
            near = np.abs(azimuth - angle) < 0.22
            radius = reach[near].max() + offset if near.any() else radius
            points[i, j] = [radius * np.sin(angle), height, radius * np.cos(angle)]
    for _ in range(2):
        # Cloth spans hollows.
        points[:, 1:-1] = (points[:, :-2] + 2 * points[:, 1:-1] + points[:, 2:]) / 4
    return _join([(points.reshape(-1, 3), _sheet(points), "occluder")])


def _mask(model: FaceModel, vertices: np.ndarray) -> Extra:
    nose, chin = model.landmark(vertices, "nose_tip"), model.landmark(vertices, "chin")
    rows = np.linspace(chin[1] - 0.9, nose[1] + 1.3, 14)
    share = np.linspace(0, 1, 14)
    return _draped(vertices, rows, 0.85 + 0.35 * np.sin(np.pi * share**0.8), 0.25)


def _scarf(model: FaceModel, vertices: np.ndarray) -> Extra:
    chin, lip = model.landmark(vertices, "chin"), model.landmark(vertices, "lip_lower")
    rows = np.linspace(chin[1] - 4.5, lip[1] - 0.2, 12)
    return _draped(vertices, rows, np.full(12, 1.5), 0.6)


def _hand(model: FaceModel, vertices: np.ndarray) -> Extra:
    """Return four fingers laid across the mouth from the viewer's right."""
    lip = (model.landmark(vertices, "lip_upper") + model.landmark(vertices, "lip_lower")) / 2
    front = float(model.landmark(vertices, "nose_tip")[2])
    meshes = []
    for number in range(4):
        height = lip[1] + 1.9 - 1.25 * number
        x = np.linspace(-2.6 + 0.5 * abs(number - 1), 8.5, 9)
        path = np.column_stack([x, height - 0.12 * x, front - 0.3 - 0.035 * x**2])
        meshes.append((*_tube(path, 0.68, 11), "skin"))
    return _join(meshes)


def _bar(model: FaceModel, vertices: np.ndarray) -> Extra:
    """Return a flat bar before the eyes, as in anonymised photographs."""
    left, right = model.landmark(vertices, "eye_outer_L"), model.landmark(vertices, "eye_outer_R")
    height = (left[1] + right[1]) / 2
    depth = float(model.landmark(vertices, "nose_tip")[2]) + 0.3
    x, y = np.linspace(right[0] - 1.6, left[0] + 1.6, 3), height + np.array([-1.35, 1.35])
    points = np.stack([*np.meshgrid(x, y), np.full((2, 3), depth)], axis=-1)
    return _join([(points.reshape(-1, 3), _sheet(points), "occluder")])


#: Fitted meshes by name.
OCCLUDERS: dict[str, Callable[[FaceModel, np.ndarray], Extra]] = {
    "bar": _bar,
    "glasses": partial(_glasses, dark=False),
    "hand": _hand,
    "mask": _mask,
    "scarf": _scarf,
    "sunglasses": partial(_glasses, dark=True),
}
