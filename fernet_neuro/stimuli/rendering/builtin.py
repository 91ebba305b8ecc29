"""The built-in face model: a head defined in code, without a data file.

What belongs here: the assembly of mesh, fields and paint into a `FaceModel`.
"""

from functools import lru_cache

import numpy as np

from fernet_neuro.stimuli.rendering import builtin_contours as contours
from fernet_neuro.stimuli.rendering import builtin_parts as parts
from fernet_neuro.stimuli.rendering.builtin_fields import (
    ACTION_UNIT_FIELDS,
    Territory,
    identity_fields,
    smoothstep,
)
from fernet_neuro.stimuli.rendering.builtin_surface import head_distance
from fernet_neuro.stimuli.rendering.face_model import MATERIALS, PIGMENTS, FaceModel
from fernet_neuro.stimuli.rendering.rasterizer import compute_normals

#: Coordinates are kept on a grid of 2**-12 cm: the last bits of sine and exponential differ between machines.
_GRID = 4096.0


@lru_cache(maxsize=1)
def build_builtin() -> FaceModel:
    """Return the built-in head.

    34 identity modes (shape only) and 33 action units; made in about a second, then remembered.
    """
    head = parts.build_head()
    territory = Territory(head)
    vertices, triangles = _grid(head.vertices), head.triangles.astype(np.int32)
    modes = identity_fields(territory)
    unit_names, units, unit_shade = _build_units(territory)
    return FaceModel(
        name="builtin",
        mean=vertices,
        identity=np.stack([_grid(delta) for delta in modes.values()]),
        identity_names=tuple(modes),
        units=units,
        unit_names=unit_names,
        unit_shade=unit_shade,
        triangles=np.ascontiguousarray(triangles),
        materials=np.array([MATERIALS.index(name) for name in head.materials], dtype=np.uint8),
        pigments=_paint(territory),
        shade=_grid(_occlusion(head, vertices, triangles) * _hollows(territory) * head.tint),
        landmarks=_landmarks(head),
        globes=_globes(head),
        centre=np.array([0.0, -0.4, 1.0], dtype=np.float32),
        height=23.5,
        n_drawn_modes=len(modes),
        licence="CC0-1.0",
    )


def _grid(values: np.ndarray) -> np.ndarray:
    return (np.round(np.asarray(values) * _GRID) / _GRID).astype(np.float32)


def _build_units(t: Territory) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    names, deltas, shades = [], [], []
    for name, (field, sided) in ACTION_UNIT_FIELDS.items():
        delta, shade = field(t)
        delta = np.where((t.head.kind == parts.EYEBALL)[:, None], 0.0, delta)
        for side, mask in (("L", t.left), ("R", 1 - t.left)) if sided else (("", np.ones_like(t.left)),):
            names.append(name + side)
            deltas.append(_grid(delta * mask[:, None]))
            shades.append(_grid(shade * mask))
    return tuple(names), np.stack(deltas), np.stack(shades)


def _occlusion(head: parts.Head, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the share of ambient light at each vertex of the skin, from the free space along its normal."""
    normals = compute_normals(vertices, triangles).astype(float)
    blocked = np.zeros(len(vertices))
    for number, reach in enumerate((0.3, 0.7, 1.4, 2.6)):
        free = head_distance(head.vertices + reach * normals)
        blocked += np.clip(reach - free, 0, reach) / reach * (0.8**number)
    shade = np.clip(1.04 - 0.34 * blocked, 0.3, 1.0)
    return np.where(head.kind == parts.SKIN, shade, 1.0)


def _hollows(t: Territory) -> np.ndarray:
    """Return the shade of what is finer than the mesh: nostrils, folds of the lids, the mouth's line."""
    nostril = np.exp(-0.5 * (((t.x - 0.58) / 0.27) ** 2 + ((t.y + 4.5) / 0.2) ** 2)) * (t.z > 8.6)
    upper, _ = contours.lid_heights(t.x)
    lid = smoothstep(t.x, 1.6, 2.3) * (1 - smoothstep(t.x, 4.4, 5.0)) * t.muscle
    fold = np.exp(-0.5 * ((t.y - upper - 0.36 - 0.05 * t.x) / 0.1) ** 2) * lid
    contact = np.isin(
        np.arange(len(t.x)), np.concatenate([t.head.lines["upper_contact"], t.head.lines["lower_contact"]])
    )
    contact = contact | contact[t.head.mirror]
    wing = t.crease([(1.2, -3.2), (1.78, -3.7), (1.6, -4.4)], 0.14)
    throat = 1 - 0.42 * (1 - smoothstep(t.y, -13.5, -10.2)) * (t.z < 7.5)
    shade = 1 - 0.72 * nostril - 0.38 * fold - 0.3 * wing
    return np.clip(shade, 0.2, 1) * np.where(contact, 0.55, 1.0) * throat


def _paint(t: Territory) -> np.ndarray:
    """Return the pigments of the skin: redder cheeks, nose, ears and lids."""
    cheek = 0.55 * t.bump(3.9, -3.0, 1.7, 1.5) + 0.45 * t.bump(0.0, -3.6, 0.9, 0.8)
    blush = np.clip(cheek + 0.25 * t.bump(3.1, 0.2, 1.6, 0.9), 0, 0.8)
    blush = np.where(t.head.kind == parts.EAR, 0.4, np.where(t.head.kind == parts.LID_RIM, 0.9, blush))
    pigments = np.zeros((len(t.x), len(PIGMENTS)), dtype=np.float32)
    pigments[:, PIGMENTS.index("blush")] = _grid(blush)
    pigments[:, PIGMENTS.index("skin")] = 1 - _grid(blush)
    return pigments


def _landmarks(head: parts.Head) -> dict[str, int]:
    lines, mirror = head.lines, head.mirror
    upper, lower = lines["upper_lid"], lines["lower_lid"]
    middle = len(lines["brow_top"]) // 2
    one_sided = {
        "eye_inner": upper[0],
        "eye_outer": upper[-1],
        "lid_upper": upper[len(upper) // 2],
        "lid_lower": lower[len(lower) // 2],
        "brow_inner": lines["brow_bottom"][0],
        "brow_middle": lines["brow_bottom"][middle],
        "brow_outer": lines["brow_bottom"][-1],
        "mouth_corner": lines["upper_contact"][-1],
        "lip_upper_side": lines["upper_contact"][6],
        "lip_lower_side": lines["lower_contact"][6],
        "nose_wing": _nearest(head, (1.75, -4.0, 9.0)),
        "cheek": _nearest(head, (3.8, -2.6, 7.5)),
        "jaw": _nearest(head, (6.0, -6.0, 2.0)),
    }
    middles = {
        "lip_upper": lines["upper_contact"][0],
        "lip_lower": lines["lower_contact"][0],
        "lip_top": lines["upper_border"][0],
        "lip_bottom": lines["lower_border"][0],
        "nose_tip": _nearest(head, (0, -3.5, 11.0)),
        "nasion": _nearest(head, (0, 0.6, 8.6)),
        "chin": _nearest(head, (0, -10.0, 8.6)),
    }
    both = {
        f"{name}_{side}": index
        for name, i in one_sided.items()
        for side, index in (("L", i), ("R", mirror[i]))
    }
    return {name: int(index) for name, index in (both | middles).items()}


def _nearest(head: parts.Head, place: tuple[float, float, float]) -> int:
    gap = ((head.vertices - place) ** 2).sum(axis=1)
    gap[head.kind != parts.SKIN] = np.inf
    if place[0] == 0:
        gap[head.vertices[:, 0] != 0] = np.inf
    return int(gap.argmin())


def _globes(head: parts.Head) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    place = np.abs(head.vertices[:, 0]), head.vertices[:, 1]
    near = (((place[0] - 3.15) / 1.9) ** 2 + (place[1] / 1.25) ** 2 < 1) & (head.vertices[:, 2] > 5)
    lid = near & (head.kind == parts.SKIN)
    ball = head.kind == parts.EYEBALL
    left = head.vertices[:, 0] > 0
    return tuple((np.flatnonzero(ball & side), np.flatnonzero(lid & side)) for side in (left, ~left))
