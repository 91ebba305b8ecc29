"""From the ICT FaceKit's ``.obj`` release to the one ``.npz`` file that `ict.read_ict` reads.

What belongs here: reading Wavefront files, and leaving out the parts that a small picture does not show.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.progress import track
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.typing import PathLike

#: Ranges of vertices of the full model (26,719 vertices) by part; what is not named here is dropped.
PARTS = {
    "face": (0, 9409),
    "head_neck": (9409, 11248),
    "mouth_socket": (11248, 13294),
    "gums_tongue": (14062, 17039),
    "teeth": (17039, 21451),
    "eyeball_left": (21451, 23021),
    "eyeball_right": (23021, 24591),
}
_NEUTRAL = "generic_neutral_mesh"


@dataclass(frozen=True)
class ObjMesh:
    """A Wavefront mesh: vertices (n, 3), triangles (m, 3) and the material's name of each triangle."""

    vertices: np.ndarray
    triangles: np.ndarray
    materials: list[str]


def read_obj(path: PathLike) -> ObjMesh:
    """Return the mesh of a Wavefront ``.obj`` file; polygons become fans of triangles.

    Raises StimulusError if the file cannot be read, or a face names a vertex that is not there.
    """
    vertices, triangles, materials, material = [], [], [], ""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise StimulusError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        try:
            if words[:1] == ["v"]:
                vertices.append([float(word) for word in words[1:4]])
            elif words[:1] == ["usemtl"]:
                material = words[1]
            elif words[:1] == ["f"]:
                corners = [int(word.split("/")[0]) - 1 for word in words[1:]]
                fan = [[corners[0], b, c] for b, c in pairwise(corners[1:])]
                triangles += fan
                materials += [material] * len(fan)
        except (ValueError, IndexError):
            raise StimulusError(f"{path}, line {number} is not valid .obj: {line.strip()!r}") from None
    mesh = ObjMesh(
        np.array(vertices, dtype=float).reshape(-1, 3),
        np.array(triangles, dtype=int).reshape(-1, 3),
        materials,
    )
    if (
        not len(vertices)
        or mesh.triangles.max(initial=-1) >= len(vertices)
        or mesh.triangles.min(initial=0) < 0
    ):
        raise StimulusError(f"{path} has {len(vertices)} vertices, and faces that name others.")
    return mesh


def convert_ict(
    source: PathLike, out: PathLike, *, parts: dict[str, tuple[int, int]] | None = None, verbose: bool = False
) -> Path:
    """Convert the folder ``FaceXModel`` of the ICT FaceKit to one ``.npz`` file and return its path.

    Parameters
    ----------
    source : path
        Holds ``generic_neutral_mesh.obj``, ``identity000.obj`` ..., one ``.obj`` per expression, and
        ``vertex_indices.json`` (its list of 68 Multi-PIE landmarks).
    out : path
        Ends in ``.npz``.
    parts : dict of str to (int, int), optional
        First vertex and end of each part to keep; by default `PARTS`, those of the release.
    verbose : bool
        Show a progress bar.

    Raises
    ------
    StimulusError
        If a file is missing or not valid, or a shape has another number of vertices than the neutral one.
    """
    folder, target = Path(source), Path(out)
    if target.suffix != ".npz":
        raise ValueError(f"out={str(target)!r} must end in .npz.")
    if not (folder / f"{_NEUTRAL}.obj").is_file():
        raise StimulusError(f"{folder} has no {_NEUTRAL}.obj; give the folder FaceXModel of the ICT FaceKit.")
    neutral = read_obj(folder / f"{_NEUTRAL}.obj")
    parts = PARTS if parts is None else parts
    shapes = sorted(path for path in folder.glob("*.obj") if path.stem != _NEUTRAL)
    identities = [path for path in shapes if path.stem.startswith("identity")]
    expressions = [path for path in shapes if path not in identities]
    kept = np.concatenate([np.arange(*span) for span in parts.values()])
    if not identities or not expressions or kept.max() >= len(neutral.vertices):
        raise StimulusError(
            f"{folder} holds {len(identities)} identity shapes, {len(expressions)} expressions and "
            f"{len(neutral.vertices)} vertices; the whole release has 100, 57 and 26719."
        )
    arrays = _select(neutral, kept, parts)
    arrays["landmarks68"] = _read_landmarks(folder / "vertex_indices.json", kept)
    deltas = [
        _read_delta(path, neutral, kept)
        for path in track(identities + expressions, "shapes", verbose=verbose)
    ]
    arrays["identity"] = np.stack(deltas[: len(identities)])
    arrays["expression"] = np.stack(deltas[len(identities) :])
    arrays["expression_names"] = np.array([path.stem for path in expressions])
    with atomic_file(target) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]  # names are of arrays only
    return target


def _read_delta(path: Path, neutral: ObjMesh, kept: np.ndarray) -> np.ndarray:
    shape = read_obj(path)
    if len(shape.vertices) != len(neutral.vertices):
        raise StimulusError(
            f"{path} has {len(shape.vertices)} vertices, the neutral mesh {len(neutral.vertices)}; "
            f"they must come from one release."
        )
    return (shape.vertices - neutral.vertices)[kept].astype(np.float16)


def _select(neutral: ObjMesh, kept: np.ndarray, parts: dict[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    position = np.full(len(neutral.vertices), -1)
    position[kept] = np.arange(len(kept))
    triangles = position[neutral.triangles]
    whole = (triangles >= 0).all(axis=1)
    names = np.array(neutral.materials)[whole]
    material_names, material = np.unique(names, return_inverse=True)
    sizes = [end - start for start, end in parts.values()]
    return {
        "mean": neutral.vertices[kept].astype(np.float32),
        "triangles": triangles[whole].astype(np.int32),
        "triangle_material": material.astype(np.uint8),
        "material_names": material_names,
        "part": np.repeat(np.arange(len(parts)), sizes).astype(np.uint8),
        "part_names": np.array(list(parts)),
        "original_vertex_index": kept.astype(np.int32),
    }


def _read_landmarks(path: Path, kept: np.ndarray) -> np.ndarray:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise StimulusError(f"{path} cannot be read: {error}") from error
    values = content.values() if isinstance(content, dict) else ()
    lists = [value for value in values if isinstance(value, list) and len(value) == 68]
    if not lists:
        raise StimulusError(f"{path} has no list of the 68 Multi-PIE landmarks.")
    position = {int(vertex): row for row, vertex in enumerate(kept)}
    absent = [vertex for vertex in lists[0] if vertex not in position]
    if absent:
        raise StimulusError(f"{path}: landmark vertex {absent[0]} is not among the parts that are kept.")
    return np.array([position[vertex] for vertex in lists[0]], dtype=np.int32)
