"""One picture: a posed face, its colours, a light and a camera.

What belongs here: `Posed` (a face with an expression), `Scene` (what one picture adds) and `render_face`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fernet_neuro.stimuli.rendering import rasterizer
from fernet_neuro.stimuli.rendering.appearance import Appearance
from fernet_neuro.stimuli.rendering.face_model import MATERIALS, FaceModel

#: Distance of the camera in centimetres: a portrait taken from about a metre.
CAMERA_DISTANCE = 110.0
#: Samples per pixel and direction.
SAMPLES = 2
#: How far light bleeds past the edge of shadow in skin.
WRAP = 0.18
#: Materials seen from behind too: thin sheets and the insides of the mouth.
TWO_SIDED = np.isin(MATERIALS, ("teeth", "cavity", "tongue", "lip", "lash", "gum", "occluder", "lens"))
_GLOSS = {"painted": 0.05, "skin": 0.05, "lip": 0.10, "sclera": 0.06, "iris": 0.05, "pupil": 0.06,
          "teeth": 0.08, "hair": 0.02, "occluder": 0.03, "lens": 0.25}  # fmt: skip
GLOSS = np.array([_GLOSS.get(name, 0.0) for name in MATERIALS], dtype=np.float32)
#: Materials that the drawn style separates by a line: 0 is empty, equal numbers have no line between them.
_LINE_GROUP = {"painted": 1, "skin": 1, "lip": 2, "brow": 3, "hair": 4, "sclera": 5, "iris": 6,
               "pupil": 6, "teeth": 7, "gum": 8, "tongue": 8, "cavity": 8, "lash": 9, "cloth": 10,
               "occluder": 11,
               "lens": 12}  # fmt: skip
LINE_GROUPS = np.zeros(256, dtype=np.uint8)
LINE_GROUPS[: len(MATERIALS)] = [_LINE_GROUP[name] for name in MATERIALS]
#: Drawn lines run where depth jumps by more than this, in centimetres.
LINE_DEPTH = 1.1
_SRGB = rasterizer.srgb_table()


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


@dataclass(frozen=True, eq=False)
class Paint:
    """A person's colours: linear albedo of vertices (n_vertices, 3) and of materials (n_materials, 3)."""

    albedo: np.ndarray
    palette: np.ndarray


def mix_paint(model: FaceModel, appearance: Appearance) -> Paint:
    """Return a person's colours on a face model; all pictures of the person share this work."""
    palette, colours = appearance.albedo()
    shares = model.pigments.T[:, :, None] * colours[:, None, :]
    nothing = np.zeros(shares[0].size, dtype=np.float32)
    ones = np.ones(len(colours), dtype=np.float32)
    albedo = rasterizer.blend(nothing, shares.reshape(len(colours), -1), ones)
    return Paint(albedo.reshape(-1, 3), palette)


@dataclass(frozen=True, eq=False)
class Posed:
    """A face with an expression, ready to be looked at from any side.

    `vertices`, `normals` (n_vertices, 3). `lit_share` (n_vertices,): share of the light that reaches each
    vertex. `albedo` (n_vertices, 3). `triangles` (n_triangles, 3). `materials` (n_triangles,). `palette`
    (n_materials, 3).
    """

    vertices: np.ndarray
    normals: np.ndarray
    lit_share: np.ndarray
    albedo: np.ndarray
    triangles: np.ndarray
    materials: np.ndarray
    palette: np.ndarray


@dataclass(frozen=True, eq=False)
class Extra:
    """A thing worn or held: its own vertices (n, 3), triangles (m, 3) and materials (m,)."""

    vertices: np.ndarray
    triangles: np.ndarray
    materials: np.ndarray


def pose_face(
    model: FaceModel,
    relaxed: np.ndarray,
    action_units: Mapping[str, float],
    paint: Paint,
    make_extra: Callable[[np.ndarray], Extra] | None = None,
) -> Posed:
    """Return a face with an expression, normals and colours; all views of it share this work.

    `relaxed` (n_vertices, 3): from `FaceModel.blend_identity`. `paint`: from `mix_paint`. `make_extra`:
    returns a thing worn, fitted to the vertices that it is given.
    """
    vertices, shade = model.express(relaxed, action_units)
    albedo = paint.albedo
    triangles, materials = model.triangles, model.materials
    if make_extra is not None:
        extra = make_extra(vertices)
        triangles = np.concatenate([triangles, (extra.triangles + len(vertices)).astype(np.int32)])
        materials = np.concatenate([materials, extra.materials])
        vertices = np.concatenate([vertices, extra.vertices.astype(np.float32)])
        shade = np.concatenate([shade, np.ones(len(extra.vertices), dtype=np.float32)])
        albedo = np.concatenate([albedo, np.zeros((len(extra.vertices), 3), dtype=np.float32)])
    normals = rasterizer.compute_normals(vertices, triangles)
    return Posed(vertices, normals, shade, albedo, triangles, materials, paint.palette)


def render_face(model: FaceModel, posed: Posed, scene: Scene) -> np.ndarray:
    """Return the picture of a face, uint8 RGB of shape (size, size, 3)."""
    matrix = rotation(scene.yaw, scene.pitch, scene.roll)
    light = np.array(scene.light, dtype=np.float32)
    light = (light / np.sqrt((light**2).sum())).astype(np.float32)
    samples = scene.size * SAMPLES
    centre = model.centre + np.array([*scene.shift, 0.0], dtype=np.float32)
    turned = rasterizer.turn(posed.vertices, matrix, model.centre)
    facing = rasterizer.turn(posed.normals, matrix, np.zeros(3, dtype=np.float32))
    lit = rasterizer.light_vertices(facing, posed.lit_share, light, WRAP)
    screen = rasterizer.project(turned, centre, CAMERA_DISTANCE, samples / model.height, samples / 2)
    attributes = np.concatenate([posed.albedo, lit], axis=1)
    values, depth, material = rasterizer.rasterise(
        screen, posed.triangles, posed.materials, TWO_SIDED, attributes, samples
    )
    return _develop(values, depth, material, posed.palette, scene)


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
        edge = rasterizer.find_edges(depth, material, LINE_GROUPS, LINE_DEPTH)
        rasterizer.draw_lines(colours, edge, radius)
    return rasterizer.develop(colours, SAMPLES, _SRGB)
