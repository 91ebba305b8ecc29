"""``fernet-neuro stimuli render``, ``clips`` and ``convert-ict``: faces with known factors.

What belongs here: options and messages; the designs are in `stimuli.rendering`.
"""

from pathlib import Path

import typer

_OUT = typer.Option(..., "--out", help="Folder to write; must be new or empty, or give --overwrite.")
_OVERWRITE = typer.Option(False, "--overwrite", help="Replace a folder that is not empty.")
_JOBS = typer.Option(2, "--n-jobs", min=1, help="Threads; the pictures do not depend on it.")
_SETTINGS = typer.Option(
    [], "--set", help="Any further setting as key=value (YAML), such as --set 'intensity=[0.3, 0.6, 1.0]'."
)


def register_render(group: typer.Typer) -> None:
    """Add the rendering commands to the group ``stimuli``."""
    group.command("render")(render)
    group.command("clips")(clips)
    group.command("convert-ict")(convert_ict)


def render(
    out: Path = _OUT,
    identities: int = typer.Option(70, help="Number of people."),
    first_identity: int = typer.Option(0, help="Number of the first person: other numbers, other people."),
    expressions: str = typer.Option("all", help="'all', or names with commas: happiness,neutral."),
    views: str = typer.Option("5", help="1, 2, 3 or 5, or names with commas: half_left,straight."),
    sessions: int = typer.Option(2, help="Times that each face is shown, with new light and action units."),
    size: int = typer.Option(112, help="Height and width in pixels."),
    seed: int = typer.Option(0, help="Seed of all draws."),
    face_model: str = typer.Option("builtin", help="'builtin', or the path of an .npz face model (ICT)."),
    style: str = typer.Option("shaded", help="'shaded' or 'drawn' (flat tones and outlines)."),
    intensity: str = typer.Option("1.0", help="Intensity of the expressions, or several with commas."),
    mixtures: float = typer.Option(0.0, help="Share of pictures that mix two expressions."),
    label_noise: float = typer.Option(0.0, help="Share of pictures with a wrong label."),
    occluders: str = typer.Option("", help="With commas: bar,glasses,hand,mask,scarf,sunglasses."),
    continuous_pose: bool = typer.Option(False, help="Turn heads continuously instead of to named views."),
    palette: int = typer.Option(0, help="Colours of a palette PNG (smaller files); 0 writes 24 bits."),
    settings: list[str] = _SETTINGS,
    n_jobs: int = _JOBS,
    overwrite: bool = _OVERWRITE,
) -> None:
    """Render faces whose every factor is known: who, what they feel, from where, in which light.

    For example:

      fernet-neuro stimuli render --identities 70 --views 5 --sessions 2 --size 112 --seed 0 --out faces

      fernet-neuro stimuli render --identities 20 --views 1 --style drawn --out drawn

      fernet-neuro stimuli render --face-model ict_face_light.npz --views half_left,straight --out ict

      fernet-neuro stimuli render --views 1 --intensity 0.25,0.5,1 --mixtures 0.3 --out graded
    """
    import time

    from fernet_neuro._utils.config import read_settings
    from fernet_neuro.stimuli.rendering.design import RenderSettings
    from fernet_neuro.stimuli.rendering.factorial import render_faces

    values = {
        "identities": identities, "first_identity": first_identity, "sessions": sessions, "size": size,
        "seed": seed, "face_model": face_model, "style": style, "mixtures": mixtures,
        "label_noise": label_noise, "continuous_pose": continuous_pose, "palette": palette,
        "expressions": _words(expressions, "all"),
        "views": int(views) if views.isdigit() else _words(views), "occluders": _words(occluders),
        "intensity": _numbers(intensity),
    }  # fmt: skip
    recipe = read_settings(RenderSettings, None, [*_as_overrides(values), *settings])
    start = time.perf_counter()
    table = render_faces(recipe, out, n_jobs=n_jobs, verbose=True, overwrite=overwrite)
    _report(out, len(table), "faces", start)


def clips(
    out: Path = _OUT,
    identities: int = typer.Option(10, help="Number of people."),
    expressions: str = typer.Option("all", help="'all', or names with commas."),
    views: str = typer.Option("1", help="1, 2, 3 or 5, or names with commas."),
    sessions: int = typer.Option(1, help="Times that each expression is shown."),
    frames: int = typer.Option(16, help="Pictures of each clip, from neutral to apex."),
    apex: float = typer.Option(0.7, help="Share of the clip at which the apex is reached; then it is held."),
    size: int = typer.Option(112, help="Height and width in pixels."),
    seed: int = typer.Option(0, help="Seed of all draws."),
    face_model: str = typer.Option("builtin", help="'builtin', or the path of an .npz face model (ICT)."),
    style: str = typer.Option("shaded", help="'shaded' or 'drawn'."),
    settings: list[str] = _SETTINGS,
    n_jobs: int = _JOBS,
    overwrite: bool = _OVERWRITE,
) -> None:
    """Render short clips from the neutral face to the apex of an expression: a folder of frames each.

    For example:

      fernet-neuro stimuli clips --identities 10 --expressions happiness,sadness --frames 16 --out clips
    """
    import time

    from fernet_neuro._utils.config import read_settings
    from fernet_neuro.stimuli.rendering.clips import ClipSettings, render_clips

    values = {
        "identities": identities, "expressions": _words(expressions, "all"), "sessions": sessions,
        "size": size, "views": int(views) if views.isdigit() else _words(views), "frames": frames,
        "apex": apex, "seed": seed, "face_model": face_model, "style": style,
    }  # fmt: skip
    recipe = read_settings(ClipSettings, None, [*_as_overrides(values), *settings])
    start = time.perf_counter()
    table = render_clips(recipe, out, n_jobs=n_jobs, verbose=True, overwrite=overwrite)
    _report(out, len(table), "frames", start)


def convert_ict(
    source: Path = typer.Argument(..., help="Folder FaceXModel of the ICT FaceKit release (.obj files)."),
    out: Path = typer.Option(..., "--out", help="The .npz file to write."),
) -> None:
    """Convert the ICT FaceKit's .obj release to one .npz file for --face-model.

    For example:

      fernet-neuro stimuli convert-ict ICT-FaceKit/FaceXModel --out ict_face_light.npz
    """
    from fernet_neuro.stimuli.rendering.ict_convert import convert_ict as convert

    written = convert(source, out, verbose=True)
    typer.echo(f"{written} ({written.stat().st_size / 1e6:.1f} MB)")


def _words(text: str, whole: str = "") -> list[str] | str:
    """Return names separated by commas, or `whole` itself."""
    return whole if whole and text == whole else [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str) -> list[float] | float:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"--intensity must be numbers separated by commas; got {text!r}.") from None
    return numbers if len(numbers) > 1 else numbers[0]


def _as_overrides(values: dict) -> list[str]:
    """Return options in the form of --set, so that both are checked by the same rules."""
    import json

    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def _report(out: Path, count: int, what: str, start: float) -> None:
    import time

    seconds = time.perf_counter() - start
    typer.echo(f"{count} {what} in {seconds:.1f} s ({count / seconds:.0f} per second)")
    typer.echo(f"table: {out / 'table.csv'}")
