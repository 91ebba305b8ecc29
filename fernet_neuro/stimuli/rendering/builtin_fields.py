"""How the built-in head moves: action units and identity modes as smooth displacement fields.

What belongs here: analytic fields, evaluated once on the relaxed average head; amplitudes are in centimetres
at full activation or one standard deviation.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise

import numpy as np

from fernet_neuro.stimuli.rendering import builtin_contours as contours
from fernet_neuro.stimuli.rendering import builtin_parts as parts
from fernet_neuro.stimuli.rendering.builtin_surface import EYE_CENTRE

#: Height and depth of the hinge of the jaw.
HINGE_Y, HINGE_Z = -2.0, 0.5


def smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 below `low`, 1 above `high` and a smooth step between."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


class Territory:
    """Coordinates and masks on the head in which fields are written; right and left are folded together."""

    def __init__(self, head: parts.Head) -> None:
        self.head = head
        self.x, self.y, self.z = np.abs(head.vertices[:, 0]), head.vertices[:, 1], head.vertices[:, 2]
        self.sign = np.where(head.vertices[:, 0] < 0, -1.0, 1.0)
        self.muscle = np.isin(head.kind, parts.MUSCULAR).astype(float) * smoothstep(self.z, 0.0, 3.5)
        self.left = smoothstep(head.vertices[:, 0], -0.7, 0.7)

    def bump(self, cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
        """Return a bell of height 1 about (±cx, cy) in the frontal plane, on the muscular skin."""
        bell = np.exp(-0.5 * (((self.x - cx) / sx) ** 2 + ((self.y - cy) / sy) ** 2))
        return bell * self.muscle

    def bell(self, cx: float, cy: float, cz: float, width: tuple[float, float, float]) -> np.ndarray:
        """Return a bell in space that moves every part of the head."""
        q = (
            ((self.x - cx) / width[0]) ** 2
            + ((self.y - cy) / width[1]) ** 2
            + ((self.z - cz) / width[2]) ** 2
        )
        return np.exp(-0.5 * q)

    def move(
        self, dx: np.ndarray | float = 0.0, dy: np.ndarray | float = 0.0, dz: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Return a displacement (n_vertices, 3); `dx` points away from the midline on both sides."""
        # On the midline itself nothing may leave it.
        away = dx * self.sign * smoothstep(self.x, 0.0, 0.25)
        return np.stack(np.broadcast_arrays(away, dy + 0 * self.x, dz + 0 * self.x), axis=-1)

    @cached_property
    def line(self) -> np.ndarray:
        """Height of the mouth's line at each vertex."""
        return contours.mouth_line(np.minimum(self.x, 2.45))

    @cached_property
    def above(self) -> np.ndarray:
        """1 on the upper lip and above, 0 on the lower lip and below, between at the corners."""
        side = np.where(self.head.side != 0, self.head.side, np.where(self.y >= self.line, 1, -1))
        sharp = (side > 0).astype(float)
        soft = smoothstep(self.y - self.line, -1.7, 1.9)
        beyond = smoothstep(self.x, 1.2, 2.45)
        return sharp * (1 - beyond) + soft * beyond

    @cached_property
    def upper_lip(self) -> np.ndarray:
        """1 on the red of the upper lip, fading above it."""
        border = contours.lip_borders(np.minimum(self.x, 2.45))[0]
        fade = np.exp(-0.5 * (np.maximum(self.y - border, 0) / 0.55) ** 2)
        return self.above * fade * self.muscle * (1 - smoothstep(self.x, 1.9, 3.1)) * (self.y > -7.4)

    @cached_property
    def lower_lip(self) -> np.ndarray:
        """1 on the red of the lower lip, fading below it."""
        border = contours.lip_borders(np.minimum(self.x, 2.45))[1]
        fade = np.exp(-0.5 * (np.maximum(border - self.y, 0) / 0.6) ** 2)
        return (1 - self.above) * fade * self.muscle * (1 - smoothstep(self.x, 1.9, 3.1)) * (self.y < -5.4)

    @cached_property
    def corner(self) -> np.ndarray:
        """1 at the corners of the mouth, fading around them."""
        return self.bump(2.5, -6.4, 0.92, 1.05)

    @cached_property
    def jaw(self) -> np.ndarray:
        """Share in which each vertex turns with the jaw."""
        kind = self.head.kind
        skin = (1 - self.above) * np.where(self.x < 1.2, 1.0, smoothstep(-self.y, 3.6, 7.2))
        # The lower rows of the lip line are all jaw; the throat stays with the neck.
        skin = skin * smoothstep(self.z, -0.5, 4.5) * smoothstep(self.y, -15.5, -11.0)
        share = np.where(np.isin(kind, parts.MUSCULAR), skin, 0.0)
        share = np.where(np.isin(kind, (parts.LOWER_TEETH, parts.TONGUE)), 1.0, share)
        return np.where(kind == parts.CAVITY, 0.3, share)

    @cached_property
    def _lid_place(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        upper, lower = contours.lid_heights(self.x)
        margin = np.where(self.head.kind == parts.LID_RIM, 1.0, 0.0)
        inside = smoothstep(self.x, 1.4, 2.1) * (1 - smoothstep(self.x, 4.1, 5.0))
        return upper, lower, np.maximum(inside * self.muscle, margin * inside)

    @cached_property
    def upper_lid(self) -> np.ndarray:
        """1 on the margin of the upper lid, fading towards the brow."""
        upper, lower, inside = self._lid_place
        fade = 1 - smoothstep(self.y - upper, 0.12, 1.1)
        return np.where(self.y > (upper + lower) / 2, fade, 0) * inside

    @cached_property
    def lower_lid(self) -> np.ndarray:
        """1 on the margin of the lower lid, fading towards the cheek."""
        upper, lower, inside = self._lid_place
        fade = 1 - smoothstep(lower - self.y, 0.12, 1.1)
        return np.where(self.y <= (upper + lower) / 2, fade, 0) * inside

    @cached_property
    def aperture(self) -> np.ndarray:
        """Height of the open eye at each vertex, in centimetres."""
        upper, lower, _ = self._lid_place
        return upper - lower

    def crease(self, points: list[tuple[float, float]], width: float) -> np.ndarray:
        """Return 1 along a polyline in the frontal plane, fading over `width`."""
        place = np.column_stack([self.x, self.y])
        nearest = np.full(len(place), np.inf)
        for start, end in pairwise(points):
            axis = np.subtract(end, start)
            along = np.clip((place - start) @ axis / (axis @ axis), 0, 1)
            gap = ((place - start - along[:, None] * axis) ** 2).sum(axis=1)
            nearest = np.minimum(nearest, gap)
        return np.exp(-0.5 * nearest / width**2) * self.muscle


Field = Callable[[Territory], tuple[np.ndarray, np.ndarray]]


def _brow_raise_inner(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    lift = t.bump(1.0, 2.1, 1.5, 1.5)
    lines = t.crease([(0, 3.7), (2.9, 3.9)], 0.15) + t.crease([(0, 4.8), (2.6, 4.9)], 0.15)
    return t.move(0.1 * lift, 0.95 * lift, 0.1 * lift), -0.3 * lines


def _brow_raise_outer(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    lift = t.bump(4.2, 2.2, 1.6, 1.5)
    lines = t.crease([(2.6, 3.9), (4.9, 3.5)], 0.15) + t.crease([(2.4, 4.9), (4.4, 4.6)], 0.15)
    return t.move(0.0, 0.95 * lift, 0.05 * lift), -0.22 * lines


def _brow_lower(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    drop = t.bump(1.2, 1.7, 1.6, 1.0)
    outer = t.bump(4.4, 1.9, 1.2, 0.9)
    pinch = t.crease([(0.5, 1.0), (0.42, 2.6)], 0.17) + 0.6 * t.crease([(1.0, 0.9), (2.2, 0.85)], 0.2)
    return t.move(-0.42 * drop, -0.85 * drop - 0.15 * outer, 0.22 * drop), -0.5 * pinch


def _lid_raise(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    return t.move(0.0, 0.40 * t.upper_lid - 0.10 * t.lower_lid), np.zeros_like(t.x)


def _cheek_raise(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    cheek = t.bump(3.8, -2.3, 1.5, 1.1)
    lids = t.lower_lid * 0.24 * np.minimum(t.aperture / 1.2, 1)
    feet = sum(t.crease([(4.9, 0.1), (6.0, y)], 0.11) for y in (0.8, 0.0, -0.8))
    bag = t.crease([(1.9, -1.0), (3.2, -1.35), (4.4, -1.0)], 0.16)
    return t.move(0.05 * cheek, 0.45 * cheek + lids, 0.42 * cheek), -0.25 * feet - 0.28 * bag


def _lid_tighten(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    lids = 0.30 * t.aperture * t.lower_lid - 0.16 * t.aperture * t.upper_lid
    return t.move(0.0, lids), -0.15 * t.crease([(1.9, -0.8), (3.2, -1.1), (4.4, -0.7)], 0.15)


def _nose_wrinkle(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    wing, lip, brow = t.bump(1.1, -3.6, 0.9, 1.0), t.upper_lip, t.bump(1.1, 1.6, 1.2, 0.9)
    cheek = t.bump(2.3, -2.2, 1.0, 1.0)
    up = 0.42 * wing + 0.42 * lip - 0.5 * brow + 0.3 * cheek + 0.2 * t.lower_lid * t.aperture
    lines = sum(t.crease([(0, y), (0.95, y + 0.35)], 0.11) for y in (0.5, -0.05, -0.6, -1.15))
    fold = t.crease([(1.5, -3.0), (2.2, -4.4), (2.7, -5.4)], 0.2) + t.crease([(0.5, 1.0), (0.42, 2.4)], 0.16)
    return t.move(0.12 * wing - 0.15 * brow, up, 0.2 * wing + 0.25 * cheek), -0.36 * lines - 0.3 * fold


def _upper_lip_raise(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    lip, wing = t.upper_lip, t.bump(1.2, -3.9, 0.7, 0.7)
    flank = np.exp(-0.5 * ((t.x - 1.1) / 0.8) ** 2)
    fold = t.crease([(1.5, -3.2), (2.3, -4.4), (2.9, -5.6)], 0.2)
    cheek = t.bump(2.4, -3.6, 1.0, 1.0)
    return (
        t.move(0.1 * lip, 0.55 * lip * (0.65 + 0.35 * flank) + 0.2 * wing, 0.15 * lip + 0.25 * cheek),
        -0.28 * fold,
    )


def _corner_pull(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    pull, cheek = t.corner, t.bump(3.5, -3.8, 1.3, 1.3)
    lips = t.upper_lip + t.lower_lip
    stretch = lips * np.minimum(t.x / 2.45, 1)
    fold = t.crease([(1.55, -3.9), (2.5, -4.6), (3.25, -5.6), (3.4, -6.6)], 0.22)
    dx = 0.85 * pull + 0.30 * stretch
    dy = 1.12 * pull + 0.28 * cheek + 0.05 * lips - 0.14 * t.lower_lip
    return t.move(dx, dy, -0.50 * pull + 0.50 * cheek - 0.15 * lips), -0.42 * fold


def _dimple(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    pull = t.bump(2.6, -6.4, 0.8, 0.8)
    return t.move(0.35 * pull, 0.08 * pull, -0.3 * pull), -0.35 * t.crease([(2.95, -5.8), (3.0, -7.0)], 0.17)


def _corner_depress(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    pull = t.bump(2.4, -6.5, 1.05, 0.95)
    middle = t.bump(0.0, -6.5, 1.0, 0.9)
    fold = t.crease([(2.6, -6.9), (3.0, -8.2)], 0.22)
    return t.move(0.12 * pull, -0.80 * pull + 0.12 * middle, -0.1 * pull), -0.42 * fold


def _lower_lip_depress(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    lip = t.lower_lip
    return t.move(0.1 * lip * t.x / 2, -0.48 * lip, -0.05 * lip), np.zeros_like(t.x)


def _chin_raise(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    boss, lower, upper = t.bump(0.0, -9.0, 1.5, 0.9), t.lower_lip, t.upper_lip
    middle = np.exp(-0.5 * (t.x / 1.4) ** 2)
    fold = t.crease([(0, -7.85), (1.2, -7.95), (1.9, -8.3)], 0.18)
    up = 0.40 * boss + 0.32 * lower * middle + 0.22 * upper * middle
    return t.move(0.0, up, 0.22 * boss + 0.22 * lower * middle), -0.42 * fold


def _lip_stretch(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    pull = t.bump(2.5, -6.5, 1.2, 1.1)
    lips = t.upper_lip + t.lower_lip
    thin = 0.25 * (t.line - t.y) * np.minimum(lips, 1)
    fold = t.crease([(3.3, -5.6), (3.6, -7.4)], 0.25)
    dx = 0.75 * pull + 0.3 * lips * np.minimum(t.x / 2.45, 1)
    return t.move(dx, thin - 0.22 * pull, -0.35 * pull - 0.1 * lips), -0.25 * fold


def _lip_funnel(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    lips, pull = t.upper_lip + t.lower_lip, t.corner
    apart = 0.25 * t.upper_lip - 0.25 * t.lower_lip
    return t.move(-0.55 * pull - 0.15 * lips * t.x, apart, 0.5 * lips + 0.35 * pull), np.zeros_like(t.x)


def _lip_tighten(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    lips = np.minimum(t.upper_lip + t.lower_lip, 1)
    thin = 0.42 * (t.line - t.y) * lips
    return t.move(-0.22 * t.corner, thin, -0.05 * lips), -0.3 * t.crease([(0, -7.7), (1.4, -7.7)], 0.2)


def _lip_press(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    lips = np.minimum(t.upper_lip + t.lower_lip, 1)
    thin = 0.5 * (t.line - t.y) * lips
    bulge = t.bump(0.0, -7.9, 1.6, 0.5) + t.bump(0.0, -5.3, 1.4, 0.4)
    fold = t.crease([(2.55, -6.0), (2.75, -6.9)], 0.16)
    return t.move(0.05 * t.corner, thin, -0.18 * lips + 0.18 * bulge), -0.4 * fold


def _lips_part(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    return t.move(0.0, 0.20 * t.upper_lip - 0.32 * t.lower_lip), np.zeros_like(t.x)


def _jaw_turn(t: Territory, angle: float, narrow: float) -> tuple[np.ndarray, np.ndarray]:
    dy, dz = -angle * (t.z - HINGE_Z), angle * (t.y - HINGE_Y)
    cheek = t.bump(4.0, -5.0, 1.4, 2.0)
    inwards = (
        -narrow * t.corner - 0.25 * narrow * (t.upper_lip + t.lower_lip) * t.x / 2 - 0.3 * narrow * cheek
    )
    return t.move(inwards, t.jaw * dy, t.jaw * dz - 0.2 * cheek * narrow), np.zeros_like(t.x)


def _jaw_drop(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    return _jaw_turn(t, 0.115, 0.15)


def _mouth_stretch(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    return _jaw_turn(t, 0.30, 0.55)


def _eyes_close(t: Territory) -> tuple[np.ndarray, np.ndarray]:
    return t.move(0.0, -0.92 * t.aperture * t.upper_lid + 0.08 * t.aperture * t.lower_lid), np.zeros_like(t.x)


#: Field of each action unit, and whether it has a left and a right one.
ACTION_UNIT_FIELDS: dict[str, tuple[Field, bool]] = {
    "AU01": (_brow_raise_inner, True),
    "AU02": (_brow_raise_outer, True),
    "AU04": (_brow_lower, True),
    "AU05": (_lid_raise, True),
    "AU06": (_cheek_raise, True),
    "AU07": (_lid_tighten, True),
    "AU09": (_nose_wrinkle, True),
    "AU10": (_upper_lip_raise, True),
    "AU12": (_corner_pull, True),
    "AU14": (_dimple, True),
    "AU15": (_corner_depress, True),
    "AU16": (_lower_lip_depress, True),
    "AU17": (_chin_raise, False),
    "AU20": (_lip_stretch, True),
    "AU22": (_lip_funnel, False),
    "AU23": (_lip_tighten, False),
    "AU24": (_lip_press, False),
    "AU25": (_lips_part, False),
    "AU26": (_jaw_drop, False),
    "AU27": (_mouth_stretch, False),
    "AU43": (_eyes_close, True),
}


def _side_shift(t: Territory, about: tuple[float, float, float], factors: tuple[float, ...]) -> np.ndarray:
    """Return the displacement that stretches space about a point by 1 + factors."""
    return t.move((t.x - about[0]) * factors[0], (t.y - about[1]) * factors[1], (t.z - about[2]) * factors[2])


def identity_fields(t: Territory) -> dict[str, np.ndarray]:
    """Return the displacement (n_vertices, 3) of one standard deviation of each identity mode, by name."""
    return _skull_modes(t) | _eye_modes(t) | _nose_modes(t) | _mouth_modes(t)


def _skull_modes(t: Territory) -> dict[str, np.ndarray]:
    low, high = 1 - smoothstep(t.y, -10.5, 0.0), smoothstep(t.y, 0.0, 8.0)
    throat = smoothstep(t.y, -17.0, -11.5)
    chin = t.bell(0.0, -10.0, 7.0, (2.2, 1.7, 3.0))
    cheek = t.bell(4.6, -2.2, 5.2, (2.0, 1.7, 3.5))
    hollow = t.bell(4.0, -5.4, 5.2, (1.5, 1.6, 3.0))
    angle = t.bell(5.6, -6.6, 1.8, (2.0, 2.2, 3.2))
    below = 1 - smoothstep(t.y, -11.0, -1.0)
    front = smoothstep(t.z, 3.0, 7.0)
    return {
        "face_width": t.move(0.042 * t.x * throat),
        "face_length": t.move(0, -0.62 * below * throat),
        "jaw_width": t.move(0.05 * t.x * low * throat),
        "jaw_angle": t.move(0.42 * angle, -0.25 * angle, 0.1 * angle),
        "chin_length": t.move(0, -0.48 * chin - 0.12 * below * throat),
        "chin_depth": t.move(0, 0, 0.48 * chin),
        "chin_width": t.move(0.16 * t.x * chin),
        "cheekbones": t.move(0.38 * cheek, 0, 0.30 * cheek),
        "cheek_fullness": t.move(0.34 * hollow, 0, 0.42 * hollow),
        "forehead_height": t.move(0, 0.55 * high),
        "forehead_width": t.move(0.05 * t.x * high),
        "forehead_slope": t.move(0, 0, -0.55 * front * smoothstep(t.y, 1.5, 7.5)),
        "ear_size": _side_shift(t, (6.6, -0.8, 0.0), (0.14,) * 3) * (t.head.kind == parts.EAR)[:, None],
    }


def _eye_modes(t: Territory) -> dict[str, np.ndarray]:
    eye = t.bell(3.12, 0.0, 8.0, (1.5, 1.05, 2.6))
    # The ball moves as one piece, with the skin at its middle.
    eye = np.where(t.head.kind == parts.EYEBALL, 1.0, np.where(t.head.kind == parts.LID_RIM, 1.0, eye))
    near = np.maximum(eye, np.exp(-0.5 * (np.maximum(_eye_gap(t) - 1.2, 0) / 0.8) ** 2))
    brow = t.bump(3.0, 1.9, 2.6, 0.8)
    slant = (t.x - 3.12) * np.where(t.head.kind == parts.EYEBALL, 0.0, near)
    edge = np.sign(t.y - 1.85) * smoothstep(np.abs(t.y - 1.85), 0.0, 0.3) * t.bump(3.0, 1.9, 2.6, 0.42)
    ridge = t.bell(2.4, 1.9, 8.0, (2.2, 0.9, 2.5))
    outer = np.clip(t.x - 1.0, 0, 4) / 4
    return {
        "eye_spacing": t.move(0.24 * near),
        "eye_height": t.move(0, 0.24 * np.maximum(near, brow)),
        "eye_size": _side_shift(t, tuple(EYE_CENTRE), (0.075,) * 3) * near[:, None],
        "eye_openness": t.move(0, 0.09 * t.aperture * (t.upper_lid - 0.6 * t.lower_lid)),
        "eye_slant": t.move(0, 0.085 * slant),
        "brow_height": t.move(0, 0.26 * brow),
        "brow_angle": t.move(0, 0.30 * brow * (outer - 0.45)),
        "brow_thickness": t.move(0, 0.10 * edge),
        "brow_ridge": t.move(0, -0.06 * ridge, 0.30 * ridge),
    }


def _eye_gap(t: Territory) -> np.ndarray:
    """Return the distance to the middle of the eye."""
    place = np.column_stack([t.x, t.y, t.z]) - EYE_CENTRE - np.array([0, 0, 1.4])
    return np.sqrt((place**2).sum(axis=1))


def _nose_modes(t: Territory) -> dict[str, np.ndarray]:
    nose = t.bell(0.0, -3.2, 9.6, (1.7, 1.5, 2.4))
    tip = t.bell(0.0, -3.6, 10.4, (0.9, 0.9, 1.5))
    wings = t.bell(1.1, -3.9, 9.3, (0.9, 0.85, 1.4))
    bridge = t.bell(0.0, -0.9, 8.9, (0.75, 1.4, 1.8))
    below = t.bump(0.0, -5.6, 2.6, 1.3)
    return {
        "nose_length": t.move(0, -0.42 * nose - 0.1 * below),
        "nose_width": t.move(0.26 * wings + 0.05 * t.x * nose),
        "nose_projection": t.move(0, 0, 0.36 * nose),
        "nose_bridge": t.move(0.08 * np.minimum(t.x, 1) * bridge, 0, 0.28 * bridge),
        "nose_tip": t.move(0, 0.30 * tip, 0.08 * tip),
    }


def _mouth_modes(t: Territory) -> dict[str, np.ndarray]:
    mouth = t.bell(0.0, -6.5, 8.0, (2.6, 1.2, 3.2))
    inner = np.isin(t.head.kind, (parts.UPPER_TEETH, parts.LOWER_TEETH, parts.TONGUE))
    whole = np.where(inner, 0.8, mouth)
    upper, lower = t.upper_lip * (t.y - t.line), t.lower_lip * (t.y - t.line)
    return {
        "mouth_width": t.move(0.095 * t.x * whole),
        "mouth_height": t.move(0, 0.26 * whole),
        "upper_lip_fullness": t.move(0, 0.28 * upper, 0.09 * t.upper_lip),
        "lower_lip_fullness": t.move(0, 0.24 * lower, 0.10 * t.lower_lip),
        "mouth_depth": t.move(0, 0, 0.22 * whole),
        "mouth_curve": t.move(0, 0.07 * (t.corner - 0.4 * mouth)),
    }
