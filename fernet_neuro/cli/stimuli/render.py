"""``fernet-neuro stimuli render``, ``clips`` and ``convert-ict``: faces with known factors.

What belongs here: options and messages; the designs are in `stimuli.rendering`.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fernet_neuro.cli import _options as opt

_LOOK = "What the faces look like"

Out = Annotated[Path, opt.folder("Folder to write.")]
Identities = Annotated[int, opt.count("Number of people.")]
Expressions = Annotated[str, opt.text("all, or names separated by commas: happiness,neutral.")]
Views = Annotated[str, opt.text("1, 2, 3 or 5, or names separated by commas: half_left,straight.")]
Sessions = Annotated[int, opt.count("Pictures of each face, with new light and action units.")]
Size = Annotated[int, opt.count("Height and width in pixels.", min=16)]
Style = Annotated[str, opt.text("Style: shaded, or drawn (flat tones and outlines).", _LOOK)]


def render(
    out: Out,
    identities: Identities = 70,
    first_identity: Annotated[
        int, opt.count("Number of the first person; other numbers are other people.", min=0)
    ] = 0,
    expressions: Expressions = "all",
    views: Views = "5",
    sessions: Sessions = 2,
    size: Size = 112,
    face_model: opt.FaceModel = "builtin",
    style: Style = "shaded",
    intensity: Annotated[
        str,
        opt.text("Intensity of the expressions; several are separated by commas.", _LOOK, metavar="NUMBERS"),
    ] = "1.0",
    mixtures: Annotated[
        float, opt.real("Share of pictures that mix two expressions.", _LOOK, ends=True)
    ] = 0.0,
    label_noise: Annotated[float, opt.real("Share of pictures with a wrong label.", _LOOK, ends=True)] = 0.0,
    occluders: Annotated[
        str,
        opt.text("What covers faces, separated by commas: bar,glasses,hand,mask,scarf,sunglasses.", _LOOK),
    ] = "",
    continuous_pose: Annotated[
        bool, opt.flag("--continuous-pose", "Turn heads continuously instead of to named views.", _LOOK)
    ] = False,
    palette: Annotated[
        int, opt.count("Colours of the pictures, for smaller files; 0 keeps all.", _LOOK, min=0)
    ] = 0,
    settings: opt.Settings = [],
    seed: opt.Seed = 0,
    jobs: opt.Jobs = 2,
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Render faces whose factors are all known: identity, expression, view and light.

    Examples
    --------
        fernet-neuro stimuli render --identities 70 --views 5 --out faces
        fernet-neuro stimuli render --identities 20 --views 1 --style drawn \
            --out drawn
        fernet-neuro stimuli render --face-model ict_face_light.npz \
            --views half_left,straight --out ict
        fernet-neuro stimuli render --views 1 --intensity 0.25,0.5,1 \
            --mixtures 0.3 --out graded
    """
    from fernet_neuro.stimuli.rendering.design import RenderSettings
    from fernet_neuro.stimuli.rendering.factorial import render_faces

    values = {
        "identities": identities, "first_identity": first_identity, "sessions": sessions, "size": size,
        "seed": seed, "face_model": face_model, "style": style, "mixtures": mixtures,
        "label_noise": label_noise, "continuous_pose": continuous_pose, "palette": palette,
        "expressions": _words(expressions, "all"), "views": _views(views), "occluders": _words(occluders),
        "intensity": _numbers(intensity),
    }  # fmt: skip
    options = {"n_jobs": jobs, "verbose": not quiet, "overwrite": overwrite}
    _render(RenderSettings, render_faces, values, settings, out, "faces", options)


def clips(
    out: Out,
    identities: Identities = 10,
    expressions: Expressions = "all",
    views: Views = "1",
    sessions: Sessions = 1,
    frames: Annotated[int, opt.count("Pictures of each clip, from neutral to apex.", min=2)] = 16,
    apex: Annotated[
        float, opt.real("Share of the clip at which the apex is reached; then it is held.", ends=True)
    ] = 0.7,
    size: Size = 112,
    face_model: opt.FaceModel = "builtin",
    style: Style = "shaded",
    settings: opt.Settings = [],
    seed: opt.Seed = 0,
    jobs: opt.Jobs = 2,
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Render short clips from the neutral face to the apex of an expression: a folder of frames each.

    Examples
    --------
        fernet-neuro stimuli clips --identities 10 --expressions happiness,sadness \
            --frames 16 --out clips
    """
    from fernet_neuro.stimuli.rendering.clips import ClipSettings, render_clips

    values = {
        "identities": identities, "expressions": _words(expressions, "all"), "sessions": sessions,
        "size": size, "views": _views(views), "frames": frames, "apex": apex, "seed": seed,
        "face_model": face_model, "style": style,
    }  # fmt: skip
    options = {"n_jobs": jobs, "verbose": not quiet, "overwrite": overwrite}
    _render(ClipSettings, render_clips, values, settings, out, "frames", options)


def convert_ict(
    source: Annotated[
        Path, opt.argument("Folder FaceXModel of the ICT FaceKit release (.obj files).", "DIR")
    ],
    out: Annotated[Path, opt.file("The .npz file to write.")],
    quiet: opt.Quiet = False,
) -> None:
    r"""Convert the ICT FaceKit's .obj release to one .npz file for --face-model.

    Examples
    --------
        fernet-neuro stimuli convert-ict ICT-FaceKit/FaceXModel \
            --out ict_face_light.npz
    """
    from fernet_neuro.stimuli.rendering.ict_convert import convert_ict as convert

    written = convert(source, out, verbose=not quiet)
    typer.echo(f"{written} ({written.stat().st_size / 1e6:.1f} MB)")


def _render(
    kind: Any, make: Callable[..., Any], values: dict[str, Any], settings: list[str], out: Path, what: str,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Render by options in the form of --set, so that one set of rules checks both, and say how fast."""
    from fernet_neuro._utils.config import read_settings

    overrides = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    recipe = read_settings(kind, None, [*overrides, *settings])
    start = time.perf_counter()
    count = len(make(recipe, out, **options))
    seconds = time.perf_counter() - start
    typer.echo(f"{out / 'table.csv'}: {count} {what} in {seconds:.1f} s ({count / seconds:.0f} per second)")


def _words(text: str, whole: str = "") -> list[str] | str:
    """Return names separated by commas, or `whole` itself."""
    return whole if whole and text == whole else [word.strip() for word in text.split(",") if word.strip()]


def _views(text: str) -> int | list[str] | str:
    return int(text) if text.isdigit() else _words(text)


def _numbers(text: str) -> list[float] | float:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"--intensity must be numbers separated by commas; got {text!r}.") from None
    return numbers if len(numbers) > 1 else numbers[0]
