"""Colours of people, drawn apart from their shape.

What belongs here: `Appearance` and its random draw; skin runs on one axis from light to dark; brows, lips,
hair and eyes vary a little around what goes with it.
"""

from dataclasses import dataclass

import numpy as np

from fernet_neuro.stimuli.rendering.face_model import MATERIALS, PIGMENTS
from fernet_neuro.stimuli.rendering.rasterizer import to_linear

Colour = tuple[float, float, float]
#: sRGB of skin at tones 0 (lightest) to 1 (darkest).
_SKIN_TONES = np.array(
    [[0.93, 0.78, 0.70], [0.87, 0.69, 0.58], [0.78, 0.59, 0.46], [0.62, 0.44, 0.33], [0.43, 0.29, 0.22]]
)
_IRIS_COLOURS = ((0.36, 0.47, 0.55), (0.36, 0.44, 0.33), (0.40, 0.30, 0.20), (0.27, 0.18, 0.12))


@dataclass(frozen=True)
class Appearance:
    """Colours of one person, sRGB in [0, 1]; shape is not in here.

    `tone`: place on the axis from light (0) to dark (1) skin, for the table.
    """

    skin: Colour = (0.84, 0.66, 0.55)
    lip: Colour = (0.70, 0.40, 0.37)
    brow: Colour = (0.20, 0.14, 0.11)
    hair: Colour = (0.20, 0.15, 0.12)
    iris: Colour = (0.36, 0.44, 0.45)
    occluder: Colour = (0.14, 0.15, 0.18)
    tone: float = 0.3

    def albedo(self) -> tuple[np.ndarray, np.ndarray]:
        """Return linear albedo of `MATERIALS` (-1 where painted) and of `PIGMENTS`, each (n, 3)."""
        skin = np.array(self.skin)
        named = {
            "skin": skin, "lip": self.lip, "brow": self.brow, "hair": self.hair, "iris": self.iris,
            "blush": np.clip(skin * [1.03, 0.87, 0.85], 0, 1), "dark": skin * 0.3,
            "sclera": (0.89, 0.88, 0.87),
            "pupil": (0.03, 0.03, 0.03), "teeth": (0.95, 0.93, 0.88), "gum": (0.62, 0.32, 0.32),
            "tongue": (0.66, 0.33, 0.33), "cavity": (0.20, 0.08, 0.08), "lash": np.array(self.brow) * 0.5,
            "cloth": (0.25, 0.27, 0.30), "occluder": self.occluder, "lens": (0.08, 0.08, 0.10),
        }  # fmt: skip
        materials = to_linear(np.array([named.get(name, (0, 0, 0)) for name in MATERIALS], dtype=float))
        materials[MATERIALS.index("painted")] = -1
        return materials, to_linear(np.array([named[name] for name in PIGMENTS], dtype=float))


def draw_appearance(
    rng: np.random.Generator, occluder: Colour = (0.14, 0.15, 0.18), *, tone: float | None = None
) -> Appearance:
    """Return the colours of a random person; `tone` sets the skin between light (0) and dark (1)."""
    drawn = float(rng.uniform())
    tone = drawn if tone is None else tone
    skin = _along(_SKIN_TONES, tone) * (1 + rng.normal(0, 0.015, 3))
    warmth = rng.normal(0, 0.02)
    lip = skin * [0.86, 0.62, 0.64] + [0.03 + warmth, 0.0, 0.0]
    # Dark hair goes with every skin, fair hair with fair skin only.
    fairness = max(float(rng.normal(0.25, 0.22)) - 0.7 * tone, 0.0)
    hair = np.array([0.15, 0.11, 0.09]) + fairness * np.array([0.50, 0.36, 0.20])
    brow = hair * 0.9 * (1 + rng.normal(0, 0.05))
    eye = _IRIS_COLOURS[min(int(rng.integers(0, 4)) + (2 if tone > 0.55 else 0), 3)]
    colours = (_colour(skin), _colour(lip), _colour(brow), _colour(hair), _colour(eye))
    return Appearance(*colours, occluder, round(tone, 4))


def _along(stops: np.ndarray, share: float) -> np.ndarray:
    place = share * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    return stops[low] + (place - low) * (stops[low + 1] - stops[low])


def _colour(values: np.ndarray | Colour) -> Colour:
    red, green, blue = (round(float(v), 4) for v in np.clip(values, 0.02, 1.0))
    return red, green, blue
