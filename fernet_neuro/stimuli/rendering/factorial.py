"""Rendered sets on disk: `render_faces` draws what a recipe plans and writes pictures and table.

What belongs here: the loop over people, the files and the table; the draws are in `design`, the pictures in
`renderer`.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import atomic_folder, check_empty
from fernet_neuro._utils.cache import cache_folder
from fernet_neuro._utils.config import fill_settings, write_settings
from fernet_neuro._utils.hashing import hash_bytes, hash_file, hash_json
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.validation import check_range
from fernet_neuro.stimuli.rendering.action_units import parse_activations
from fernet_neuro.stimuli.rendering.builtin import build_builtin
from fernet_neuro.stimuli.rendering.design import FacePlan, RenderSettings, draw_person, plan_person
from fernet_neuro.stimuli.rendering.face_model import FaceModel
from fernet_neuro.stimuli.rendering.ict import is_npz, read_ict
from fernet_neuro.stimuli.rendering.occluders import build_occluder
from fernet_neuro.stimuli.rendering.renderer import Paint, Posed, Scene, mix_paint, pose_face, render_face
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

__all__ = ["RenderSettings", "load_face_model", "render_faces"]
S = TypeVar("S", bound=RenderSettings)


@dataclass(frozen=True)
class Job(Generic[S]):
    """All pictures of one person."""

    settings: S
    model: FaceModel
    folder: Path
    number: int

    def plan(self) -> tuple[Iterator[FacePlan], np.ndarray, Paint]:
        """Return the person's pictures, their relaxed face (n_vertices, 3) and their colours."""
        person = draw_person(self.settings, self.number, self.model.n_drawn_modes)
        relaxed = self.model.blend_identity(person.weights)
        return plan_person(self.settings, person), relaxed, mix_paint(self.model, person.appearance)

    def write(self, plan: FacePlan, posed: Posed, path: str) -> dict:
        """Draw one picture into the file `path` of the folder and return its row of the table."""
        picture = render_face(self.model, posed, make_scene(self.settings, plan))
        data = encode_png(picture, self.settings.palette)
        (self.folder / path).write_bytes(data)
        return make_row(self.settings, self.model, plan, path, data)


def load_face_model(source: str) -> FaceModel:
    """Return the face model called ``"builtin"`` or stored in an ``.npz`` file.

    Raises ValueError if `source` is neither; StimulusError if the file is missing or damaged.
    """
    if source == "builtin":
        return build_builtin()
    if is_npz(source):
        return read_ict(str(Path(source).resolve()))
    raise ValueError(f"face_model={source!r} must be 'builtin' or the path of an .npz file.")


def render_faces(
    settings: RenderSettings | None = None,
    out: PathLike | None = None,
    *,
    n_jobs: int = 1,
    verbose: bool = False,
    overwrite: bool = False,
    **changes: Any,
) -> StimulusTable:
    """Render a set of faces into the folder `out`, complete or not at all.

    The folder holds ``images/``, ``table.csv`` (every factor and weight) and ``settings.yaml``.

    Parameters
    ----------
    settings : RenderSettings, default=None
        None for the defaults.
    out : path, default=None
        Without one, the set is kept in the user's cache folder, and not rendered again.
    n_jobs : int
        Threads; the pictures do not depend on it.
    verbose : bool
        Show a progress bar.
    overwrite : bool
        Replace a folder that is there and not empty.
    **changes
        Settings by name, such as ``identities=12`` or ``expressions=["fear", "neutral"]``.

    Returns
    -------
    StimulusTable

    Raises
    ------
    StimulusError
        If the face model cannot be read.
    StoreError
        If `out` is a file, or a folder that is not empty and `overwrite` is off.
    ValueError
        If there is no such setting, or its value is not allowed.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=2, views=1, sessions=1, size=32)
    >>> len(faces), sorted(set(faces["identity"]))
    (14, ['id000', 'id001'])
    """
    settings = fill_settings(RenderSettings, settings, changes)
    if out is None:
        out, overwrite = _cache_place(settings), True
        if (out / "table.csv").is_file():
            return StimulusTable.read(out)
    write_set(settings, out, _render_person, n_jobs=n_jobs, verbose=verbose, overwrite=overwrite)
    return StimulusTable.read(Path(out) / "table.csv")


def _cache_place(settings: RenderSettings) -> Path:
    """Return the cache's folder for a set: another one where settings or the code that draws differ."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), *map(Path, settings.face_models)]
    digests = [hash_file(path) for path in files if path.is_file()]
    return cache_folder() / "faces" / hash_json([settings.model_dump(mode="json"), *digests])[:16]


def write_set(
    settings: S,
    out: PathLike,
    render_person: Callable[[Job[S]], list[dict]],
    *,
    n_jobs: int,
    verbose: bool,
    overwrite: bool,
) -> None:
    """Write pictures, table and settings of all people into `out`; `render_person` gives one's rows."""
    check_range("n_jobs", n_jobs, 1)
    check_empty(out, overwrite)
    models = [load_face_model(source) for source in settings.face_models]
    numbers = range(settings.first_identity, settings.first_identity + settings.identities)
    with atomic_folder(out) as folder:
        jobs = [Job(settings, models[number % len(models)], folder, number) for number in numbers]
        rows = [row for part in in_order(render_person, jobs, n_jobs, verbose) for row in part]
        if not rows:
            raise ValueError("expression_weights leaves no picture; raise them or render more identities.")
        write_settings(settings, folder / "settings.yaml")
        StimulusTable.from_frame(pd.DataFrame(rows), root=folder).write(folder / "table.csv")


def in_order(work: Callable, jobs: list, n_jobs: int, verbose: bool) -> Iterator:
    """Yield the results of `work` in the order of `jobs`; the kernels let go of Python's lock."""
    if n_jobs == 1:
        yield from track(map(work, jobs), "people", total=len(jobs), verbose=verbose)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        yield from track(pool.map(work, jobs), "people", total=len(jobs), verbose=verbose)


def _render_person(job: Job[RenderSettings]) -> list[dict]:
    (job.folder / "images").mkdir(exist_ok=True)
    plans, relaxed, paint = job.plan()
    rows = []
    # Views of one moment come one after another and share the posed face.
    for _, moment in groupby(plans, key=lambda plan: (plan.action_units, plan.session, plan.occluder)):
        posed = None
        for plan in moment:
            posed = posed if posed is not None else pose_plan(job.model, relaxed, paint, plan)
            rows.append(job.write(plan, posed, f"images/{plan.stimulus_id}.png"))
    return rows


def pose_plan(model: FaceModel, relaxed: np.ndarray, paint: Paint, plan: FacePlan) -> Posed:
    """Return the face of a plan with its expression and what it wears."""
    wear = partial(build_occluder, plan.occluder, model) if plan.occluder else None
    return pose_face(model, relaxed, parse_activations(plan.action_units), paint, wear)


def make_scene(settings: RenderSettings, plan: FacePlan) -> Scene:
    """Return camera, light and style of a plan."""
    return Scene(
        yaw=plan.yaw,
        pitch=plan.pitch,
        roll=plan.roll,
        light=plan.light,
        key=plan.key,
        ambient=plan.ambient,
        background=(plan.background,) * 3,
        style=settings.style,
        size=settings.size,
    )


def encode_png(picture: np.ndarray, palette: int = 0) -> bytes:
    """Return a picture as PNG; `palette` colours instead of 24 bits if it is not 0."""
    from PIL import Image

    image = Image.fromarray(picture)
    buffer = io.BytesIO()
    if palette:
        image = image.quantize(palette, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        image.save(buffer, "png", optimize=True)
    else:
        image.save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def make_row(settings: RenderSettings, model: FaceModel, plan: FacePlan, path: str, data: bytes) -> dict:
    """Return the table's row of a picture."""
    weights = dict(zip(model.identity_names, plan.person.weights.tolist(), strict=False))
    return {
        "stimulus_id": plan.stimulus_id,
        "path": path,
        "identity": plan.person.name,
        "expression": plan.expression,
        "view": plan.view,
        "session": plan.session,
        **{name: getattr(plan, name) for name in ("expression_true", "yaw", "pitch", "roll")},
        **dict(zip(("light_x", "light_y", "light_z"), plan.light, strict=True)),
        "light_key": plan.key,
        "light_ambient": plan.ambient,
        "background": plan.background,
        "skin_tone": plan.person.appearance.tone,
        "intensity_level": plan.intensity_level,
        "intensity": plan.intensity,
        "action_units": plan.action_units,
        "mixture": plan.mixture,
        "mixture_share": plan.mixture_share,
        "occluder": plan.occluder,
        "style": settings.style,
        "face_model": model.name,
        "seed": settings.seed,
        "identity_weights": json.dumps(weights, separators=(",", ":")),
        "licence": model.licence,
        "digest": hash_bytes(data),
    }


def render_plans(settings: RenderSettings, model: FaceModel, plans: Iterable[FacePlan]) -> np.ndarray:
    """Return pictures of plans as one array, uint8 (n_pictures, size, size, 3), without touching the disk."""
    pictures = []
    for plan in plans:
        relaxed = model.blend_identity(plan.person.weights)
        posed = pose_plan(model, relaxed, mix_paint(model, plan.person.appearance), plan)
        pictures.append(render_face(model, posed, make_scene(settings, plan)))
    return np.stack(pictures)
