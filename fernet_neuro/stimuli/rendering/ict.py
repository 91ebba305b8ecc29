"""The ICT face model (Li et al. 2020) as a `FaceModel`, and the converter from its ``.obj`` release.

What belongs here: the ``.npz`` format, the map from action units to its shapes, and the paint that scans
lack.

References
----------
.. [1] Li, R. et al. (2020). Learning Formation of Physically-Based Face Attributes. CVPR, 3410-3419.
"""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.rendering.action_units import SIDED
from fernet_neuro.stimuli.rendering.builtin_contours import hairline
from fernet_neuro.stimuli.rendering.builtin_fields import smoothstep
from fernet_neuro.stimuli.rendering.face_model import MATERIALS, PIGMENTS, FaceModel
from fernet_neuro.stimuli.rendering.rasterizer import compute_normals
from fernet_neuro.typing import PathLike

#: Shapes that make each action unit, by name without side; after the table in the model's own documentation,
#: but for AU10, AU23-AU27, which it leaves open.
SHAPES: dict[str, dict[str, float]] = {
    "AU01": {"browInnerUp": 1.0}, "AU02": {"browOuterUp": 1.0}, "AU04": {"browDown": 1.5},
    "AU05": {"eyeWide": 1.0}, "AU06": {"cheekSquint": 1.0, "cheekRaiser": 0.6}, "AU07": {"eyeSquint": 0.9},
    "AU09": {"noseSneer": 1.0}, "AU10": {"mouthUpperUp": 1.0}, "AU12": {"mouthSmile": 1.0},
    "AU14": {"mouthDimple": 1.0}, "AU15": {"mouthFrown": 1.0}, "AU16": {"mouthLowerDown": 0.8},
    "AU17": {"mouthShrugLower": 0.7}, "AU18": {"mouthPucker": 1.0}, "AU20": {"mouthStretch": 1.0},
    "AU22": {"mouthFunnel": 0.8}, "AU23": {"mouthPress": 0.8},
    "AU24": {"mouthPress": 0.4, "mouthRollUpper": 0.4, "mouthRollLower": 0.4},
    "AU25": {"mouthLowerDown": 0.3, "mouthUpperUp": 0.08}, "AU26": {"jawOpen": 0.3},
    "AU27": {"jawOpen": 0.7}, "AU28": {"mouthRollUpper": 0.8, "mouthRollLower": 0.8},
    "AU43": {"eyeBlink": 1.0},
}  # fmt: skip
_ARRAYS = ("mean", "identity", "expression", "expression_names", "triangles", "triangle_material",
           "material_names", "part", "part_names", "landmarks68")  # fmt: skip
#: Identity modes that random people draw: the first 30 hold 97 % of the shape's variance.
N_DRAWN_MODES = 30
_LICENCE = "MIT (ICT Face Model Light, (c) 2020 USC Institute for Creative Technologies)"


@lru_cache(maxsize=2)
def read_ict(path: str) -> FaceModel:
    """Return the face model of a ``.npz`` file in the format that `convert_ict` writes.

    Raises StimulusError if the file is missing, damaged or lacks an array.
    """
    data = _read_arrays(Path(path))
    mean, triangles = data["mean"].astype(np.float32), data["triangles"].astype(np.int32)
    part = data["part_names"][data["part"]]
    triangle_names = data["material_names"][data["triangle_material"]]
    # The inner balls with the iris lie behind the outer ones, which are painted instead.
    keep = ~np.char.startswith(triangle_names.astype(str), "M_Iris")
    triangles, triangle_names = np.ascontiguousarray(triangles[keep]), triangle_names[keep]
    names, units = _build_units(data["expression"], [str(name) for name in data["expression_names"]])
    landmarks = _landmarks(data["landmarks68"])
    pigments, shade = _paint(mean, triangles, part, data["landmarks68"])
    return FaceModel(
        name="ict",
        mean=mean,
        identity=data["identity"].astype(np.float32),
        identity_names=tuple(f"pc{number:02d}" for number in range(len(data["identity"]))),
        units=units,
        unit_names=names,
        unit_shade=np.zeros((len(names), len(mean)), dtype=np.float32),
        triangles=triangles,
        materials=_materials(mean, triangles, triangle_names, part),
        pigments=pigments,
        shade=shade,
        landmarks=landmarks,
        globes=(),
        centre=np.array([0.0, 2.6, 3.0], dtype=np.float32),
        height=24.0,
        n_drawn_modes=min(N_DRAWN_MODES, len(data["identity"])),
        licence=_LICENCE,
    )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise StimulusError(
            f"face model {path} does not exist; give the path of a .npz file, or 'builtin'. "
            f"fernet-neuro stimuli convert-ict makes one from the ICT FaceKit's .obj files."
        )
    try:
        # Opened here, since NumPy leaves a file open that is not an archive.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            absent = [name for name in _ARRAYS if name not in archive.files]
            if not absent:
                return {name: archive[name] for name in _ARRAYS}
    except (ValueError, OSError, EOFError, BadZipFile, AttributeError) as error:
        raise StimulusError(f"face model {path} cannot be read as .npz: {error}") from error
    raise StimulusError(f"face model {path} lacks the arrays {', '.join(absent)}; make it with convert-ict.")


def _build_units(deltas: np.ndarray, shapes: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    names, units = [], []
    for unit, recipe in SHAPES.items():
        for side in ("L", "R") if unit in SIDED else ("",):
            total = np.zeros(deltas.shape[1:], dtype=np.float32)
            found = False
            for shape, weight in recipe.items():
                for name in (f"{shape}_{side}",) if side else (shape, f"{shape}_L", f"{shape}_R"):
                    if name in shapes:
                        total += np.float32(weight) * deltas[shapes.index(name)].astype(np.float32)
                        found = True
            if found:
                names.append(unit + side)
                units.append(total)
    return tuple(names), np.stack(units)


def _landmarks(points: np.ndarray) -> dict[str, int]:
    """Return names for the 68 Multi-PIE points; L is the shown person's left (x > 0)."""
    number = {
        "brow_inner_R": 21, "brow_inner_L": 22, "brow_middle_R": 19, "brow_middle_L": 24, "brow_outer_R": 17,
        "brow_outer_L": 26, "eye_outer_R": 36, "eye_inner_R": 39, "eye_inner_L": 42, "eye_outer_L": 45,
        "lid_upper_R": 38, "lid_lower_R": 40, "lid_upper_L": 43, "lid_lower_L": 47, "nose_tip": 30,
        "nasion": 27, "nose_wing_R": 31, "nose_wing_L": 35, "mouth_corner_R": 48, "mouth_corner_L": 54,
        "lip_top": 51,
        "lip_bottom": 57, "lip_upper": 62, "lip_lower": 66, "chin": 8, "jaw_R": 4, "jaw_L": 12,
    }  # fmt: skip
    return {name: int(points[row]) for name, row in number.items()}


def _materials(mean: np.ndarray, triangles: np.ndarray, names: np.ndarray, part: np.ndarray) -> np.ndarray:
    kinds = np.full(len(triangles), MATERIALS.index("painted"), dtype=np.uint8)
    kinds[names == "M_Teeth"] = MATERIALS.index("teeth")
    kinds[names == "M_GumsTongue"] = MATERIALS.index("gum")
    kinds[(part[triangles] == "mouth_socket").all(axis=1)] = MATERIALS.index("cavity")
    middle = mean[triangles].mean(axis=1)
    for side in ("left", "right"):
        ball = np.flatnonzero(part == f"eyeball_{side}")
        eye = (part[triangles] == f"eyeball_{side}").all(axis=1)
        centre = (mean[ball].min(axis=0) + mean[ball].max(axis=0)) / 2
        offset = middle - centre
        angle = np.arctan2(np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2), offset[:, 2])
        kinds[eye] = MATERIALS.index("sclera")
        kinds[eye & (angle < 0.42)] = MATERIALS.index("iris")
        kinds[eye & (angle < 0.19)] = MATERIALS.index("pupil")
    return kinds


def _paint(
    mean: np.ndarray, triangles: np.ndarray, part: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return pigments and shade: lips, brows and close-cropped hair, which scans do not have."""
    skin = np.isin(part, ("face", "head_neck"))
    lip = _near_lips(mean, points) * (part == "face")
    brow = np.maximum(_near_brow(mean, points[17:22]), _near_brow(mean, points[22:27])) * (part == "face")
    hair = _hair(mean) * skin
    blush = 0.5 * np.exp(-0.5 * (((np.abs(mean[:, 0]) - 4.2) / 1.7) ** 2 + ((mean[:, 1] - 0.6) / 1.5) ** 2))
    shares = {"lip": lip, "brow": brow, "hair": hair, "blush": blush * (mean[:, 2] > 3)}
    pigments = np.zeros((len(mean), len(PIGMENTS)), dtype=np.float32)
    left = np.ones(len(mean))
    for name, share in shares.items():
        pigments[:, PIGMENTS.index(name)] = left * share
        left = left * (1 - share)
    pigments[:, 0] = left
    return pigments, _shade(mean, triangles, part)


def _near_lips(mean: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return 1 inside the outline of the lips (points 48-59), 0 outside, fading over a millimetre."""
    ring = mean[points[48:60]][:, :2].astype(float)
    place = mean[:, :2].astype(float)
    outside = _distance_to_line(place, np.concatenate([ring, ring[:1]]))
    x, y = place[:, :1], place[:, 1:]
    (ax, ay), (bx, by) = ring.T, np.roll(ring, -1, axis=0).T
    crosses = ((ay > y) != (by > y)) & (x < ax + (y - ay) / np.where(by == ay, 1, by - ay) * (bx - ax))
    signed = np.where(crosses.sum(axis=1) % 2 == 1, outside, -outside)
    return smoothstep(signed, -0.12, 0.06) * (mean[:, 2] > 8.5)


def _near_brow(mean: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return 1 along the line of a brow, thinner at its outer end."""
    line = mean[points].astype(float)
    outer = np.abs(mean[:, 0]) / 6.0
    gap = _distance_to_line(mean[:, :2].astype(float), line[:, :2])
    width = 0.44 - 0.28 * np.clip(outer, 0, 1)
    return (1 - smoothstep(gap, width - 0.12, width + 0.12)) * (mean[:, 2] > 6)


def _distance_to_line(place: np.ndarray, line: np.ndarray) -> np.ndarray:
    nearest = np.full(len(place), np.inf)
    for start, end in pairwise(line):
        axis = end - start
        along = np.clip((place - start) @ axis / (axis @ axis), 0, 1)
        nearest = np.minimum(nearest, ((place - start - along[:, None] * axis) ** 2).sum(axis=1))
    return np.sqrt(nearest)


def _hair(mean: np.ndarray) -> np.ndarray:
    """Return the share of hair at each vertex, from the built-in head's hairline."""
    azimuth = np.arctan2(np.abs(mean[:, 0]), mean[:, 2] - 2.0)
    above = mean[:, 1] - 3.6 - hairline(azimuth)
    # The ears stand out from the side of the head, which is nowhere wider than this.
    ear = (np.abs(mean[:, 0]) > 7.85) & (mean[:, 1] < 4.6) & (mean[:, 2] < 2.2)
    return np.where(ear, 0.0, smoothstep(above, -0.25, 0.35))


def _shade(mean: np.ndarray, triangles: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return darker hollows: vertices that lie below the mean of their neighbours, smoothed."""
    normals = compute_normals(mean, triangles).astype(float)
    hollow = np.zeros(len(mean))
    smooth = mean.astype(float)
    for _ in range(6):
        smooth = _neighbour_mean(smooth, triangles)
    hollow = np.clip(((smooth - mean) * normals).sum(axis=1), -0.2, 0.5)
    for _ in range(2):
        hollow = _neighbour_mean(hollow[:, None], triangles)[:, 0]
    shade = np.clip(1 - 1.5 * np.maximum(hollow, 0), 0.35, 1)
    inner = {"mouth_socket": 0.25, "gums_tongue": 0.55, "teeth": 0.95, "eyeball_left": 0.95,
             "eyeball_right": 0.95}  # fmt: skip
    for name, value in inner.items():
        shade = np.where(part == name, value, shade)
    throat = smoothstep(-mean[:, 1], 7.0, 10.5) * (part != "teeth")
    return np.round(shade * (1 - 0.35 * throat), 4).astype(np.float32)


def _neighbour_mean(values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    total, count = np.zeros_like(values), np.zeros(len(values))
    for one, other in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
        np.add.at(total, triangles[:, one], values[triangles[:, other]])
        np.add.at(count, triangles[:, one], 1)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], values)


def is_npz(source: PathLike) -> bool:
    """Return whether a face model is named by a file rather than by a word."""
    return str(source).lower().endswith(".npz")
