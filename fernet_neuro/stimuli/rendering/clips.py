"""Short clips from the neutral face to the apex of an expression, as folders of frames.

What belongs here: `ClipSettings`, the course of an expression in time, and `render_clips`.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.stimuli.rendering import action_units as au
from fernet_neuro.stimuli.rendering.design import FacePlan, RenderSettings
from fernet_neuro.stimuli.rendering.factorial import Job, pose_plan, write_set
from fernet_neuro.stimuli.rendering.renderer import Paint
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike


class ClipSettings(RenderSettings):
    """Recipe of a set of clips: that of a rendered set, and its course in time.

    Parameters
    ----------
    frames : int
        Pictures of each clip.
    apex : float
        Share of the clip at which the apex is reached; it is held from there.
    sway : float
        Slow movement of the head, in degrees.
    """

    identities: int = Field(default=10, ge=1)
    views: int | list[str] = 1
    sessions: int = Field(default=1, ge=1, le=26)
    frames: int = Field(default=16, ge=2, le=1000)
    apex: float = Field(default=0.7, gt=0, le=1)
    sway: float = Field(default=1.5, ge=0, le=20)


def render_clips(
    settings: ClipSettings, out: PathLike, *, n_jobs: int = 1, verbose: bool = False, overwrite: bool = False
) -> StimulusTable:
    """Render clips into the folder `out`, complete or not at all.

    Each clip is a folder ``clips/<clip>/`` of frames; the table has a row per frame, with the columns
    ``clip``, ``frame`` (from 0) and ``phase`` (0 neutral to 1 apex) besides those of `render_faces`.

    `out`, `n_jobs`, `verbose`, `overwrite`: as in `render_faces`, and what is raised.
    """
    write_set(settings, out, _render_person, n_jobs=n_jobs, verbose=verbose, overwrite=overwrite)
    return StimulusTable.read(Path(out) / "table.csv")


def compute_phases(frames: int, apex: float) -> np.ndarray:
    """Return the course of an expression, shape (frames,): 0 to 1 at share `apex`, then held."""
    share = np.clip(np.arange(frames) / max(apex * (frames - 1), 1e-9), 0, 1)
    return share * share * (3 - 2 * share)


def _render_person(job: Job[ClipSettings]) -> list[dict]:
    plans, relaxed, paint = job.plan()
    return [row for plan in plans for row in _render_clip(job, relaxed, paint, plan)]


def _render_clip(job: Job[ClipSettings], relaxed: np.ndarray, paint: Paint, plan: FacePlan) -> list[dict]:
    settings, clip = job.settings, plan.stimulus_id
    (job.folder / "clips" / clip).mkdir(parents=True)
    rng = make_rng(settings.seed, "clip", clip)
    rest = au.draw_activations("neutral", rng, variation=settings.variation)
    apex = au.parse_activations(plan.action_units)
    time = np.arange(settings.frames) / settings.frames
    sway = settings.sway * np.sin(np.outer(time, [5.0, 7.0]) + rng.uniform(0, 6, 2))
    rows = []
    for frame, phase in enumerate(compute_phases(settings.frames, settings.apex)):
        units = au.format_activations(au.mix_activations(rest, apex, float(phase)))
        now = replace(
            plan,
            stimulus_id=f"{clip}_f{frame:03d}",
            action_units=units,
            intensity=round(plan.intensity * float(phase), 4),
            yaw=round(plan.yaw + float(sway[frame, 0]), 2),
            pitch=round(plan.pitch + float(sway[frame, 1]) / 2, 2),
        )
        row = job.write(now, pose_plan(job.model, relaxed, paint, now), f"clips/{clip}/{frame:03d}.png")
        rows.append({**row, "clip": clip, "frame": frame, "phase": round(float(phase), 4)})
    return rows
