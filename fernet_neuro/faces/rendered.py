"""True landmarks of rendered faces, from the numbers that their table records.

What belongs here: posing the face model again and projecting its points; rendering is in `stimuli.rendering`.
"""

import json

import numpy as np
import pandas as pd

from fernet_neuro._utils.progress import track
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.faces.landmarks import LandmarkTable
from fernet_neuro.stimuli.images import read_image_size
from fernet_neuro.stimuli.rendering.action_units import parse_activations
from fernet_neuro.stimuli.rendering.face_model import FaceModel
from fernet_neuro.stimuli.rendering.factorial import load_face_model
from fernet_neuro.stimuli.rendering.rasterizer import project, turn
from fernet_neuro.stimuli.rendering.renderer import CAMERA_DISTANCE, rotation
from fernet_neuro.stimuli.table import StimulusTable

#: Named vertices whose mean is each point; the model's R is the person's right, so the viewer's left.
_EYE = ("eye_inner", "eye_outer", "lid_upper", "lid_lower")
VERTICES = (
    tuple(f"{name}_R" for name in _EYE),
    tuple(f"{name}_L" for name in _EYE),
    ("nose_tip",),
    ("mouth_corner_R",),
    ("mouth_corner_L",),
)
_NEEDED = ("identity_weights", "action_units", "yaw", "pitch", "roll", "face_model")


def compute_rendered_landmarks(
    table: StimulusTable, *, face_model: str = "builtin", verbose: bool = False
) -> LandmarkTable:
    """Return where five points of each rendered face truly are, seen or hidden.

    `table`: as written by ``stimuli render`` or ``stimuli clips``. `face_model`: what the faces were rendered
    from: ``"builtin"``, or the path of an ``.npz`` file. `verbose`: show a progress bar. Raises StimulusError
    if the table is not of rendered faces, or of another face model.
    """
    missing = [name for name in _NEEDED if name not in table.frame]
    if missing:
        raise StimulusError(
            f"the table is not of rendered faces: it has no column {missing[0]!r} (wanted: "
            f"{format_options(_NEEDED)})."
        )
    model = load_face_model(face_model)
    others = sorted(set(table.factor("face_model").tolist()) - {model.name})
    if others:
        raise StimulusError(
            f"the faces were rendered from the face model {others[0]!r}, not {model.name!r}; give its file."
        )
    rows = zip(table.frame.to_dict("records"), table.paths(), strict=True)
    points = [
        _project_points(model, row, read_image_size(path)[0])
        for row, path in track(rows, "landmarks", total=len(table), verbose=verbose)
    ]
    nothing = pd.DataFrame(columns=["row", "stimulus_id", "reason"], dtype=object)
    return LandmarkTable(table.stimulus_ids, np.array(points).reshape(-1, len(VERTICES), 2), nothing)


def _project_points(model: FaceModel, row: dict, size: int) -> np.ndarray:
    """Return the five points (5, 2) of one face in pixels, by the camera of `renderer.render_face`."""
    weights = json.loads(row["identity_weights"])
    values = np.array([weights.get(name, 0.0) for name in model.identity_names])
    vertices, _ = model.express(model.blend_identity(values), parse_activations(row["action_units"]))
    means = [np.mean([model.landmark(vertices, name) for name in names], axis=0) for names in VERTICES]
    turned = turn(
        np.array(means, dtype=np.float32), rotation(row["yaw"], row["pitch"], row["roll"]), model.centre
    )
    screen = project(turned, model.centre, CAMERA_DISTANCE, size / model.height, size / 2)
    # The rasteriser counts from the picture's corner, landmarks from the centre of its first pixel.
    return screen[:, :2].astype(float) - 0.5
