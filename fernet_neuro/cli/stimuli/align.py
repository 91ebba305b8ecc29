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
    import pandas as pd

    from fernet_neuro.faces.aligned_set import Locate
    from fernet_neuro.faces.landmarks import LandmarkTable
    from fernet_neuro.stimuli.table import StimulusTable

_DETECTOR = "Detector"
_WANTED = "give a folder of photographs, or a stimulus table (.csv or .parquet)"


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
    photos: Annotated[
        Path, opt.argument("A folder of photographs, or a stimulus table (.csv or .parquet).", "PHOTOS")
    ],
    out: Annotated[Path, opt.folder("Folder to write.")],
    pattern: Annotated[
        str | None,
        opt.text(
            "Where the names of photographs in a folder hold labels, such as {identity}_{expression}.",
            metavar="PATTERN",
        ),
    ] = None,
    landmarks: Annotated[
        Path | None,
        opt.text(
            "Table with stimulus_id, left_eye_x, left_eye_y, right_eye_..., nose_..., left_mouth_..., "
            "right_mouth_... in pixels; left is the viewer's."
        ),
    ] = None,
    size: Annotated[
        int, opt.count("Side of the aligned pictures: 112, 150 (dlib's network, tighter) or 224.")
    ] = 112,
    detector: Annotated[
        str | None,
        opt.text("mtcnn, mediapipe, dlib, or the ONNX file of YuNet (needs OpenCV).", _DETECTOR),
    ] = None,
    largest: Annotated[
        bool,
        opt.flag(
            "--largest",
            "Of several faces take the largest; without it, such pictures are left out.",
            _DETECTOR,
        ),
    ] = False,
    min_score: Annotated[
        float | None,
        opt.real("Lowest score of a face, 0 to 1.  [default: the detector's own]", _DETECTOR, ends=True),
    ] = None,
    jobs: opt.Jobs = 2,
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Turn, scale and move faces so that eyes, nose and mouth lie where all other faces have them.

    Five points of each face come from a table or from a detector; pictures without usable points are left out
    and reported, never guessed at: no face, several, tiny, rotated. The points lie as in the template of the
    ArcFace networks (112 pixels; 224 is its double) or as dlib's network wants them (150).
    OUT is a stimulus table for all other commands. OUT/landmarks.csv keeps the points used, for another size
    or for `rdm --landmarks`; OUT/sheet.png shows what was done.

    Examples
    --------
        fernet-neuro stimuli align photos --detector dlib --size 150 \
            --pattern '{identity}_{expression}' --out faces
        fernet-neuro stimuli align faces.csv --landmarks points.csv --size 224 \
            --out aligned
        fernet-neuro stimuli align faces.csv --out aligned \
            --detector face_detection_yunet_2023mar.onnx
    """
    from fernet_neuro.faces.align import make_template
    from fernet_neuro.faces.aligned_set import align_stimuli

    make_template(size)
    stimuli, others = _read_photos(photos, pattern)
    locate, points = _make_locate(landmarks, detector, largest, min_score)
    report = align_stimuli(
        stimuli, out, locate, size=size, n_jobs=jobs, verbose=not quiet, overwrite=overwrite, unread=others
    )
    show_report(report, out / "table.csv", f" at {size} pixels")
    typer.echo(f"{out / 'sheet.png'} shows what was done; look at it.")
    if points is not None:
        _show_strays(stimuli, points, str(landmarks))


def _read_photos(photos: Path, pattern: str | None) -> "tuple[StimulusTable, pd.DataFrame]":
    """Return a table of photographs, and what else a folder holds."""
    import pandas as pd

    from fernet_neuro.stimuli.datasets.registry import DATASETS
    from fernet_neuro.stimuli.table import StimulusTable

    if photos.is_dir() and not (photos / "table.csv").is_file():
        found = DATASETS["folder"].read(photos, pattern=pattern or "(?P<photograph>.+)", verify=False)
        return found.table, found.left_out
    _check_photos(photos)
    if pattern is not None:
        raise ValueError("--pattern reads labels from the names in a folder; a table has its own columns.")
    table = StimulusTable.read(photos)
    return table, pd.DataFrame(columns=["path", "reason"], dtype=object)


def _check_photos(photos: Path) -> None:
    """Refuse what is neither a folder nor a table, for what it is."""
    from fernet_neuro.stimuli.images import say_format
    from fernet_neuro.stimuli.shipped import SETS

    if photos.is_dir() or photos.suffix.lower() in (".csv", ".parquet") or str(photos) in SETS:
        return
    if not photos.exists():
        raise ValueError(f"folder {photos} does not exist; {_WANTED}.")
    kind = say_format(photos) or "one photograph"
    raise ValueError(f"{photos} is {kind}; {_WANTED}.")


def _make_locate(
    landmarks: Path | None, detector: str | None, largest: bool, min_score: float | None
) -> "tuple[Locate, LandmarkTable | None]":
    from fernet_neuro.faces.aligned_set import locate_by_detector, locate_by_table
    from fernet_neuro.faces.landmarks import read_landmarks

    if landmarks is not None and detector is not None:
        raise ValueError("give --landmarks or --detector, not both.")
    if detector is not None:
        from fernet_neuro.faces.detectors import make_detector

        return locate_by_detector(make_detector(detector, min_score), largest=largest), None
    if landmarks is None:
        raise ValueError(
            "give the faces' points with --landmarks POINTS.csv, or find them with --detector NAME."
        )
    if largest:
        raise ValueError("--largest belongs to --detector; a table has one face per stimulus.")
    if min_score is not None:
        raise ValueError("--min-score belongs to --detector; landmarks of a table have no score.")
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
