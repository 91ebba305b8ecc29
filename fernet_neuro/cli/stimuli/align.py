"""``fernet-neuro stimuli landmarks`` and ``align``: eyes, nose and mouth, and faces laid over each other.

What belongs here: options and messages; the work is in `fernet_neuro.faces`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_files
from fernet_neuro.cli.stimuli._common import MOST_SHOWN, show_report

if TYPE_CHECKING:
    from fernet_neuro.faces.aligned_set import Locate
    from fernet_neuro.faces.landmarks import LandmarkTable
    from fernet_neuro.stimuli.table import StimulusTable

_DETECTOR = "Detector"


def landmarks(
    table: opt.Table,
    out: Annotated[Path, opt.text("File to write.")],
    face_model: opt.FaceModel = "builtin",
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write where eyes, nose and mouth truly are in rendered faces, for `stimuli align`.

    Examples
    --------
        fernet-neuro stimuli landmarks faces/table.csv --out faces_landmarks.csv
    """
    from fernet_neuro.faces.rendered import compute_rendered_landmarks
    from fernet_neuro.stimuli.table import StimulusTable

    check_out_files([out], [table], overwrite=overwrite)
    found = compute_rendered_landmarks(StimulusTable.read(table), face_model=face_model, verbose=not quiet)
    found.write(out)
    typer.echo(f"{out}: five points of {len(found)} faces.")


def align(
    table: opt.Table,
    out: Annotated[Path, opt.folder("Folder to write.")],
    landmarks: Annotated[
        Path | None,
        opt.text(
            "Table with stimulus_id, left_eye_x, left_eye_y, right_eye_..., nose_..., left_mouth_..., "
            "right_mouth_... in pixels; left is the viewer's."
        ),
    ] = None,
    size: Annotated[int, opt.count("Side of the aligned pictures in pixels: 112 or 224.")] = 112,
    detector: Annotated[
        Path | None,
        opt.file(
            "ONNX file of the detector YuNet (needs OpenCV); it does not come with this package.", _DETECTOR
        ),
    ] = None,
    largest: Annotated[
        bool,
        opt.flag(
            "--largest",
            "Of several faces take the largest; without it, such pictures are left out.",
            _DETECTOR,
        ),
    ] = False,
    min_score: Annotated[float, opt.number("Lowest score of a face, 0 to 1.", _DETECTOR)] = 0.9,
    jobs: opt.Jobs = 2,
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Turn, scale and move faces so that eyes, nose and mouth lie where all other faces have them.

    Five points of each face come from a table or from a detector; pictures without usable points are left out
    and reported, never guessed at. The points lie as in the template of the ArcFace networks (112 pixels; 224
    is its double). OUT/landmarks.csv keeps the points used, so that a detector need not run again.

    Examples
    --------
        fernet-neuro stimuli align faces.csv --landmarks points.csv --size 224 \
            --out aligned
        fernet-neuro stimuli align faces.csv --out aligned \
            --detector face_detection_yunet_2023mar.onnx
    """
    from fernet_neuro.faces.align import make_template
    from fernet_neuro.faces.aligned_set import align_stimuli
    from fernet_neuro.stimuli.table import StimulusTable

    make_template(size)
    stimuli = StimulusTable.read(table)
    locate, points = _make_locate(landmarks, detector, largest, min_score)
    report = align_stimuli(
        stimuli, out, locate, size=size, n_jobs=jobs, verbose=not quiet, overwrite=overwrite
    )
    show_report(report, out / "table.csv", f" at {size} pixels")
    if points is not None:
        _show_strays(stimuli, points, str(landmarks))


def _make_locate(
    landmarks: Path | None, detector: Path | None, largest: bool, min_score: float
) -> "tuple[Locate, LandmarkTable | None]":
    from fernet_neuro.faces.aligned_set import locate_by_detector, locate_by_table
    from fernet_neuro.faces.landmarks import read_landmarks

    if landmarks is not None and detector is not None:
        raise ValueError("give --landmarks or --detector, not both.")
    if detector is not None:
        from fernet_neuro.faces.detect import FaceDetector

        return locate_by_detector(FaceDetector(detector, min_score=min_score), largest=largest), None
    if landmarks is None:
        raise ValueError("give the faces' points with --landmarks POINTS.csv, or --detector YUNET.onnx.")
    if largest:
        raise ValueError("--largest belongs to --detector; a table has one face per stimulus.")
    points = read_landmarks(landmarks)
    return locate_by_table(points), points


def _show_strays(stimuli: "StimulusTable", points: "LandmarkTable", source: str) -> None:
    """Name rows of landmarks that belong to no stimulus; those that do are in the report."""
    known = set(stimuli.stimulus_ids.tolist())
    bad = points.left_out[~points.left_out["stimulus_id"].isin(known)]
    for row in bad.head(MOST_SHOWN).itertuples():
        typer.echo(f"{source}, row {row.row}: {row.reason}")
    if len(bad) > MOST_SHOWN:
        typer.echo(f"{source}: {len(bad) - MOST_SHOWN} more rows cannot be read.")
    n_strays = sum(name not in known for name in points.stimulus_ids.tolist())
    if n_strays:
        typer.echo(f"{source}: {n_strays} rows belong to no stimulus of the table.")
