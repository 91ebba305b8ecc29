"""One picture: a posed face, its colours, a light and a camera.

What belongs here: `Appearance` (colours of a person), `Scene` (what one picture adds) and `render_face`.
"""

from dataclasses import dataclass, field

import numpy as np

from fernet_neuro.stimuli.rendering import rasterizer
from fernet_neuro.stimuli.rendering.face_model import MATERIALS, PIGMENTS, FaceModel

#: Distance of the camera in centimetres: a portrait taken from about a metre.
CAMERA_DISTANCE = 110.0
#: Samples per pixel and direction.
SAMPLES = 2
#: Materials seen from behind too: thin sheets and the insides of the mouth.
TWO_SIDED = np.isin(MATERIALS, ("teeth", "cavity", "tongue", "lip", "lash", "gum", "occluder", "lens"))
_GLOSS = {"painted": 0.05, "skin": 0.05, "lip": 0.10, "sclera": 0.3, "iris": 0.5, "pupil": 0.5, "teeth": 0.10,
          "hair": 0.02, "occluder": 0.03, "lens": 0.25}  # fmt: skip
GLOSS = np.array([_GLOSS.get(name, 0.0) for name in MATERIALS], dtype=np.float32)
#: Materials that the drawn style separates by a line: 0 is empty, equal numbers have no line between them.
_LINE_GROUP = {"painted": 1, "skin": 1, "lip": 2, "brow": 3, "hair": 4, "sclera": 5, "iris": 6, "pupil": 6, "teeth": 7,
               "gum": 8, "tongue": 8, "cavity": 8, "lash": 9, "cloth": 10, "occluder": 11, "lens": 12}  # fmt: skip
LINE_GROUPS = np.zeros(256, dtype=np.uint8)
LINE_GROUPS[: len(MATERIALS)] = [_LINE_GROUP[name] for name in MATERIALS]
#: Drawn lines run where depth jumps by more than this, in centimetres.
LINE_DEPTH = 1.1
_SRGB = rasterizer.srgb_table()


@dataclass(frozen=True)
class Appearance:
    """Colours of one person, sRGB in [0, 1]; shape is not in here."""

    skin: tuple[float, float, float] = (0.80, 0.62, 0.52)
    lip: tuple[float, float, float] = (0.68, 0.38, 0.36)
    brow: tuple[float, float, float] = (0.24, 0.17, 0.13)
    hair: tuple[float, float, float] = (0.20, 0.15, 0.12)
    iris: tuple[float, float, float] = (0.33, 0.42, 0.42)

    def albedo(self) -> tuple[np.ndarray, np.ndarray]:
        """Return linear albedo of `MATERIALS` (n_materials, 3; -1 for painted) and `PIGMENTS` (n_pigments, 3)."""
        skin = np.array(self.skin)
        named = {
            "skin": skin, "lip": self.lip, "brow": self.brow, "hair": self.hair, "iris": self.iris,
            "blush": np.clip(skin * [1.04, 0.86, 0.84], 0, 1), "dark": skin * 0.3, "sclera": (0.93, 0.92, 0.91),
            "pupil": (0.03, 0.03, 0.03), "teeth": (0.95, 0.93, 0.88), "gum": (0.62, 0.32, 0.32),
            "tongue": (0.66, 0.33, 0.33), "cavity": (0.20, 0.08, 0.08), "lash": np.array(self.brow) * 0.55,
            "cloth": (0.25, 0.27, 0.30), "occluder": (0.15, 0.15, 0.17), "lens": (0.10, 0.10, 0.12),
        }  # fmt: skip
        materials = np.array([named.get(name, (0, 0, 0)) for name in MATERIALS], dtype=float)
        materials = rasterizer.to_linear(materials)
        materials[MATERIALS.index("painted")] = -1
        return materials, rasterizer.to_linear(np.array([named[name] for name in PIGMENTS], dtype=float))


@dataclass(frozen=True)
class Scene:
    """What one picture adds to a face: pose in degrees, light, background (sRGB grey), style and size."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    light: tuple[float, float, float] = (-0.3, 0.45, 0.84)
    key: float = 0.78
    ambient: float = 0.42
    background: tuple[float, float, float] = (0.5, 0.5, 0.5)
    style: str = "shaded"
    size: int = 112
    shift: tuple[float, float] = (0.0, 0.0)
    extras: tuple = field(default=())


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return the rotation matrix (3, 3) of a head turned by angles in degrees.

    Positive yaw turns the face to the viewer's right, positive pitch up, positive roll clockwise.
    """
    (cy, sy), (cp, sp), (cr, sr) = (
        (np.cos(angle), np.sin(angle)) for angle in np.radians([yaw, -pitch, -roll])
    )
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.round(tilt @ nod @ turn, 6).astype(np.float32)


def turn_about(vertices: np.ndarray, matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return vertices turned about `centre`."""
    offset = vertices - centre
    # Written out: a matrix product may add in another order on another machine.
    x, y, z = offset[:, :1], offset[:, 1:2], offset[:, 2:]
    return x * matrix[:, 0] + y * matrix[:, 1] + z * matrix[:, 2] + centre


def render_face(
    model: FaceModel, vertices: np.ndarray, shade: np.ndarray, appearance: Appearance, scene: Scene
) -> np.ndarray:
    """Return the picture of a face, uint8 RGB of shape (size, size, 3).

    Parameters
    ----------
    model : FaceModel
    vertices : ndarray of shape (n_vertices, 3)
    shade : ndarray of shape (n_vertices,)
        As `FaceModel.express` returns them.
    appearance : Appearance
    scene : Scene
    """
    triangles, materials = model.triangles, model.materials
    palette, pigment_colours = appearance.albedo()
    normals = rasterizer.compute_normals(vertices, triangles)
    albedo = _mix(model.pigments, pigment_colours)
    matrix = rotation(scene.yaw, scene.pitch, scene.roll)
    turned = turn_about(vertices, matrix, model.centre)
    facing = turn_about(normals, matrix, np.zeros(3, dtype=np.float32))
    light = np.array(scene.light, dtype=np.float32)
    light = (light / np.sqrt((light**2).sum())).astype(np.float32)
    lit = rasterizer.light_vertices(facing, shade, light, 0.18)
    side = scene.size * SAMPLES
    centre = model.centre + np.array([*scene.shift, 0.0], dtype=np.float32)
    screen = rasterizer.project(turned, centre, CAMERA_DISTANCE, side / model.height, side / 2)
    values, depth, material = rasterizer.rasterise(
        screen, triangles, materials, TWO_SIDED, np.concatenate([albedo, lit], axis=1), side
    )
    return _develop(values, depth, material, palette, scene)


def _develop(
    values: np.ndarray, depth: np.ndarray, material: np.ndarray, palette: np.ndarray, scene: Scene
) -> np.ndarray:
    # Daylight from a warm key and a cooler sky.
    lamps = np.array(
        [
            [scene.key * 1.03, scene.key, scene.key * 0.95],
            [scene.ambient * 0.97, scene.ambient, scene.ambient * 1.04],
        ],
        dtype=np.float32,
    )
    drawn = scene.style == "drawn"
    background = rasterizer.to_linear(np.array(scene.background))
    colours = rasterizer.shade_samples(values, material, palette, GLOSS, lamps, background, drawn)
    if drawn:
        radius = max(round(scene.size * SAMPLES / 160), 1)
        rasterizer.draw_outlines(colours, depth, material, LINE_GROUPS, radius, LINE_DEPTH)
    return rasterizer.develop(colours, SAMPLES, _SRGB)


def _mix(pigments: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return albedo (n_vertices, 3): the pigments' colours in their shares."""
    return rasterizer.blend(
        np.zeros(len(pigments) * 3, dtype=np.float32),
        (pigments.T[:, :, None] * colours[:, None, :]).reshape(len(colours), -1),
        np.ones(len(colours), dtype=np.float32),
    ).reshape(-1, 3)
