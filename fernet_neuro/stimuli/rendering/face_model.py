"""The one interface of face models: identity weights and action units in, a painted mesh out.

What belongs here: the `FaceModel` noun and the materials that its triangles may have; the models themselves
are in `builtin` and `ict`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.stimuli.rendering.rasterizer import blend

#: What a triangle may be made of; "painted" takes its colour from the pigments of its vertices.
MATERIALS = (
    "painted", "skin", "lip", "brow", "hair", "sclera", "iris", "pupil", "teeth", "gum", "tongue", "cavity",
    "lash", "cloth", "occluder", "lens",
)  # fmt: skip
#: Pigments that vertices of "painted" triangles may mix.
PIGMENTS = ("skin", "lip", "brow", "hair", "blush", "dark", "iris", "pupil", "sclera")


@dataclass(frozen=True, eq=False)
class FaceModel:
    """A linear face: ``vertices = mean + identity_weights @ identity + activations @ units``.

    Parameters
    ----------
    name : str
    mean : ndarray of shape (n_vertices, 3), float32
        Centimetres; x to the viewer's right, y up, z towards the camera.
    identity : ndarray of shape (n_modes, n_vertices, 3), float32
        One standard deviation of each identity mode.
    identity_names : tuple of str
    units : ndarray of shape (n_units, n_vertices, 3), float32
        Displacement at full activation.
    unit_names : tuple of str
        Action units, such as ``"AU12L"`` (L is the shown person's left).
    unit_shade : ndarray of shape (n_units, n_vertices), float32
        Change of the vertices' shade at full activation: folds that are too fine for the mesh.
    triangles : ndarray of shape (n_triangles, 3), int32
    materials : ndarray of shape (n_triangles,), uint8
        Indices into `MATERIALS`.
    pigments : ndarray of shape (n_vertices, n_pigments), float32
        Shares of `PIGMENTS`, rows sum to 1.
    shade : ndarray of shape (n_vertices,), float32
        Share of the ambient light that reaches each vertex of the relaxed face.
    landmarks : dict of str to int
        Vertex of each named point.
    globes : tuple of (ndarray, ndarray)
        For each eye: its eyeball's vertices, and the lid vertices that must stay outside the ball.
    centre : ndarray of shape (3,), float32
        The point that the camera looks at and the head turns about.
    height : float
        Height of the picture at `centre`, in centimetres.
    n_drawn_modes : int
        Modes that random identities draw; the others stay 0.
    licence : str
    """

    name: str
    mean: np.ndarray
    identity: np.ndarray
    identity_names: tuple[str, ...]
    units: np.ndarray
    unit_names: tuple[str, ...]
    unit_shade: np.ndarray
    triangles: np.ndarray
    materials: np.ndarray
    pigments: np.ndarray
    shade: np.ndarray
    landmarks: dict[str, int]
    globes: tuple[tuple[np.ndarray, np.ndarray], ...]
    centre: np.ndarray
    height: float
    n_drawn_modes: int
    licence: str
    lid_gap: float = field(default=0.06)

    def blend_identity(self, weights: np.ndarray) -> np.ndarray:
        """Return the relaxed face of one person, shape (n_vertices, 3).

        `weights` (n_modes,): in standard deviations; missing ones are 0. Raises ValueError if there are more
        weights than modes.
        """
        weights = np.asarray(weights, dtype=np.float32)
        if weights.ndim != 1 or len(weights) > len(self.identity):
            raise ValueError(
                f"weights must be at most {len(self.identity)} numbers for the face model {self.name!r}; "
                f"got shape {weights.shape}."
            )
        modes = self.identity[: len(weights)].reshape(len(weights), self.mean.size)
        return blend(self.mean.reshape(-1), modes, weights).reshape(-1, 3)

    def activation_vector(self, action_units: Mapping[str, float]) -> np.ndarray:
        """Return activations in the order of `unit_names`; ``"AU12"`` stands for both sides.

        Raises ValueError if an action unit is unknown to this model.
        """
        position = {name: row for row, name in enumerate(self.unit_names)}
        vector = np.zeros(len(self.unit_names), dtype=np.float32)
        for name, value in action_units.items():
            rows = [position[key] for key in (name, f"{name}L", f"{name}R") if key in position]
            if not rows:
                raise ValueError(
                    f"action unit {name!r} is unknown to the face model {self.name!r}; it has: "
                    f"{format_options(self.unit_names, 50)}.{suggest(name, self.unit_names)}"
                )
            vector[rows] += value
        return vector

    def express(
        self, relaxed: np.ndarray, action_units: Mapping[str, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return vertices (n_vertices, 3) and shade (n_vertices,) of a relaxed face under action units."""
        vector = self.activation_vector(action_units)
        flat = self.units.reshape(len(self.units), -1)
        vertices = blend(np.ascontiguousarray(relaxed).reshape(-1), flat, vector).reshape(-1, 3)
        shade = blend(self.shade, self.unit_shade, vector)
        for ball, lid in self.globes:
            _push_out(vertices, ball, lid, self.lid_gap)
        return vertices, np.clip(shade, 0.12, 1.25)

    def landmark(self, vertices: np.ndarray, name: str) -> np.ndarray:
        """Return the position of one named point, shape (3,)."""
        if name not in self.landmarks:
            raise ValueError(
                f"landmark {name!r} is not known; use one of: {format_options(self.landmarks, 30)}."
                f"{suggest(name, self.landmarks)}"
            )
        return vertices[self.landmarks[name]]


def _push_out(vertices: np.ndarray, ball: np.ndarray, lid: np.ndarray, gap: float) -> None:
    """Lift lid vertices that cut through the eyeball onto it, in place: lids slide, they cut no chords."""
    corners = vertices[ball]
    # Bounding box, not mean: the ball's vertices are denser at the iris.
    low, high = corners.min(axis=0), corners.max(axis=0)
    centre = (low + high) / 2
    radius = float((high - low)[1]) / 2 + gap
    offset = vertices[lid] - centre
    length = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2 + offset[:, 2] ** 2)
    inside = (length < radius) & (length > 0)
    vertices[lid[inside]] = centre + offset[inside] * (radius / length[inside])[:, None]
