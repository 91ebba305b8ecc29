"""``fernet-neuro stimuli frames``, ``select-frames``, ``landmarks`` and ``align``: videos and aligned faces.

What belongs here: options and messages; the work is in `stimuli.datasets.clips_frames`, `stimuli.frames` and
`faces`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fernet_neuro.faces.aligned_set import Locate
    from fernet_neuro.faces.landmarks import LandmarkTable
    from fernet_neuro.stimuli.datasets.report import ImportReport
    from fernet_neuro.stimuli.frames import FrameSelection
    from fernet_neuro.stimuli.table import StimulusTable

#: Short clips, tied clips and bad rows named one by one before only their number is given.
MOST_NAMED = 5

Table = Annotated[Path, typer.Argument(help="A stimulus table, .csv or .parquet.", show_default=False)]
Jobs = Annotated[int, typer.Option(min=1, help="Threads; the result does not depend on it.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


def register_faces(group: typer.Typer) -> None:
    """Add the commands to the group ``stimuli``."""
    group.command("frames")(frames)
    group.command("select-frames")(select_frames)
    group.command("landmarks")(landmarks)
    group.command("align")(align)


def frames(
    src: Annotated[Path, typer.Argument(help="Folder of the videos.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write, outside SRC.", show_default=False)],
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Labels in the videos' names; by default '{identity}_{expression}_{clip}'.",
            show_default=False,
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Instead of a pattern: a row per clip; start_s and end_s make it part of a video."),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="OURS=THEIRS renames a column of --csv; repeatable.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Keep one frame of this many.")] = 1,
    size: Annotated[
        int | None, typer.Option(min=1, help="Scale frames down to this shorter side in pixels.")
    ] = None,
    allow_short: Annotated[
        bool, typer.Option("--allow-short", help="Take videos that hold fewer frames than they state.")
    ] = False,
    n_jobs: Jobs = 2,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace clips in --out that were made otherwise.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write the frames of videos as pictures, at each video's own rate, with a table of them.

    Videos that are empty, corrupt or without frames are left out and reported. An interrupted run goes on
    where it was: give the same command. Needs OpenCV: pip install opencv-python-headless.

    For example:

        fernet-neuro stimuli frames videos --out frames                    (videos/ann_happiness_1.mp4)

        fernet-neuro stimuli frames videos --pattern '{expression}/{identity}-{clip}' --every 3 --out frames

        fernet-neuro stimuli frames videos --csv actors.csv --size 256 --out frames

    where actors.csv has the columns path, identity, expression, clip, and perhaps start_s and end_s.
    """
    from fernet_neuro.cli._options import parse_pairs
    from fernet_neuro.stimuli.datasets.clips_frames import extract_frames

    report = extract_frames(
        src,
        out,
        pattern=pattern,
        csv=csv,
        columns=parse_pairs("--column", column or []),
        every=every,
        size=size,
        allow_short=allow_short,
        n_jobs=n_jobs,
        verbose=not quiet,
        overwrite=overwrite,
    )
    _show_report(report, out, f"from {report.table.frame['path'].map(_parent).nunique()} clips")


def select_frames(
    table: Table,
    model: Annotated[
        str, typer.Option(help="Run folder of a network that names expressions.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Table of the chosen frames to write.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="Frames per actor, expression and clip.")] = 10,
    rest: Annotated[
        Path | None, typer.Option(help="Also write the frames that were not chosen to this table.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 64,
    n_jobs: Annotated[int, typer.Option(min=0, help="Threads that decode images; 0 is one.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace tables that exist already.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Keep the frames of each clip that a trained network takes most surely for the clip's own expression.

    The rule by which the dual-pathway paper makes its test frames of the IMAGEN face videos: per actor,
    expression and clip the 10 frames of highest probability. MODEL must be trained on the training set (the
    paper's: RAF-DB and AffectNet), never on these clips, or it chooses what it has learnt. Equal
    probabilities go to the earlier frame. What was chosen of each clip is written beside OUT, as
    test.clips.csv beside test.csv. Frames of one clip are near copies: a network that is trained on --rest
    must be tested on other actors.

    For example:

        fernet-neuro stimuli select-frames frames/table.csv --model runs/expression --out test.csv

        fernet-neuro stimuli select-frames frames/table.csv --model runs/expression --top 5
        --out test.csv --rest train.csv
    """
    from fernet_neuro.cli._stimuli_common import check_outputs, describe_table
    from fernet_neuro.cli.stimuli import _write_frame
    from fernet_neuro.experiments.predictions import compute_class_probabilities
    from fernet_neuro.stimuli.frames import check_clips, select_top_frames
    from fernet_neuro.stimuli.table import StimulusTable, check_table_suffix

    beside = out.with_name(f"{out.stem}.clips.csv")
    written = [out, beside, *([] if rest is None else [rest])]
    for path in written:
        check_table_suffix(path)
    if len({path.resolve() for path in (table, *written)}) <= len(written):
        raise ValueError("the table, --out and --rest must be different files.")
    check_outputs(written, [table], overwrite)
    stimuli = StimulusTable.read(table)
    check_clips(stimuli)  # before the network runs over all frames
    found = compute_class_probabilities(
        model, stimuli, device=device, batch_size=batch_size, n_jobs=n_jobs, verbose=not quiet
    )
    selection = select_top_frames(stimuli, found.values, found.classes, top=top)
    _show_trained(model, stimuli)
    selection.chosen.write(out)
    _write_frame(selection.clips, beside)
    if rest is not None and len(selection.rest):
        selection.rest.write(rest)
    _show_selection(selection, top)
    typer.echo(f"{out}: {describe_table(selection.chosen)}; each clip's counts are in {beside}.")
    if rest is not None:
        left = describe_table(selection.rest) if len(selection.rest) else "no frame is left, so not written"
        typer.echo(f"{rest}: {left}.")


def landmarks(
    table: Table,
    out: Annotated[Path, typer.Option(help="CSV to write.", show_default=False)],
    face_model: Annotated[
        str, typer.Option(help="What they were rendered from: 'builtin', or the path of an .npz file.")
    ] = "builtin",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write where eyes, nose and mouth truly are in rendered faces, for `stimuli align`.

    For example:

        fernet-neuro stimuli landmarks faces/table.csv --out faces_landmarks.csv
    """
    from fernet_neuro.cli._stimuli_common import check_outputs
    from fernet_neuro.faces.rendered import compute_rendered_landmarks
    from fernet_neuro.stimuli.table import StimulusTable

    check_outputs([out], [table], overwrite)
    found = compute_rendered_landmarks(StimulusTable.read(table), face_model=face_model, verbose=not quiet)
    found.write(out)
    typer.echo(f"{out}: five points of {len(found)} faces.")


def align(
    table: Table,
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    size: Annotated[int, typer.Option(help="Side of the aligned pictures in pixels: 112 or 224.")] = 112,
    landmark_table: Annotated[
        Path | None,
        typer.Option(
            "--landmarks",
            help="CSV with stimulus_id, left_eye_x, left_eye_y, right_eye_..., nose_..., left_mouth_..., "
            "right_mouth_... in pixels; left is the viewer's.",
        ),
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="ONNX file of the detector YuNet (needs OpenCV); none comes with us.")
    ] = None,
    largest: Annotated[
        bool, typer.Option("--largest", help="Of several faces take the largest, not none (--detector).")
    ] = False,
    min_score: Annotated[float, typer.Option(help="Least score of a face, 0 to 1 (--detector).")] = 0.9,
    n_jobs: Jobs = 2,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a folder that is not empty.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Turn, scale and move faces so that eyes, nose and mouth lie where all other faces have them.

    Five points of each face come from a table or from a detector; pictures without usable points are left out
    and reported, never guessed at. The points lie as in the template of the ArcFace networks (112 pixels; 224
    is its double). OUT/landmarks.csv keeps the points used, so that a detector need not run again.

    For example:

        fernet-neuro stimuli align faces.csv --landmarks points.csv --size 224 --out aligned

        fernet-neuro stimuli align faces.csv --detector face_detection_yunet_2023mar.onnx --out aligned
    """
    from fernet_neuro.faces.align import make_template
    from fernet_neuro.faces.aligned_set import align_stimuli
    from fernet_neuro.stimuli.table import StimulusTable

    make_template(size)
    stimuli = StimulusTable.read(table)
    locate, points = _make_locate(landmark_table, detector, largest, min_score)
    report = align_stimuli(
        stimuli, out, locate, size=size, n_jobs=n_jobs, verbose=not quiet, overwrite=overwrite
    )
    if points is not None:
        _show_strays(stimuli, points, str(landmark_table))
    _show_report(report, out, f"at {size} pixels")


def _make_locate(
    landmark_table: Path | None, detector: Path | None, largest: bool, min_score: float
) -> tuple[Locate, LandmarkTable | None]:
    from fernet_neuro.faces.aligned_set import locate_by_detector, locate_by_table

    if landmark_table is not None and detector is not None:
        raise ValueError("give --landmarks or --detector, not both.")
    if detector is not None:
        from fernet_neuro.faces.detect import FaceDetector

        return locate_by_detector(FaceDetector(detector, min_score=min_score), largest=largest), None
    if landmark_table is None:
        raise ValueError("give the faces' points with --landmarks POINTS.csv, or --detector YUNET.onnx.")
    if largest:
        raise ValueError("--largest belongs to --detector; a table has one face per stimulus.")
    from fernet_neuro.faces.landmarks import read_landmarks

    points = read_landmarks(landmark_table)
    return locate_by_table(points), points


def _show_strays(stimuli: StimulusTable, points: LandmarkTable, source: str) -> None:
    """Name rows of landmarks that belong to no stimulus; those that do are in the report."""
    known = set(stimuli.stimulus_ids.tolist())
    bad = points.left_out[~points.left_out["stimulus_id"].isin(known)]
    for row in bad.head(MOST_NAMED).itertuples():
        typer.echo(f"{source}, row {row.row}: {row.reason}")
    if len(bad) > MOST_NAMED:
        typer.echo(f"{source}: {len(bad) - MOST_NAMED} more rows cannot be read.")
    n_strays = sum(name not in known for name in points.stimulus_ids.tolist())
    if n_strays:
        typer.echo(f"{source}: {n_strays} rows belong to no stimulus of the table.")


def _show_trained(model: str, stimuli: StimulusTable) -> None:
    """Say so if the network was trained on people of the clips' names."""
    from fernet_neuro.training.folder import find_run

    folder = find_run(model)
    trained = (folder.read_train_identities() if folder else None) or set()
    actors = set(stimuli.factor("identity").tolist())
    if actors & trained:
        typer.echo(
            f"{len(actors & trained)} of {len(actors)} actors have names of people that {model} was trained "
            f"on (first: {min(actors & trained)!r}); if they are the same people, choose another network.",
            err=True,
        )


def _show_selection(selection: FrameSelection, top: int) -> None:
    short = selection.clips[selection.clips["is_short"]]
    tied = selection.clips[selection.clips["n_tied"] > 0]
    for clips, what in (
        (short, f"clips have fewer than {top} frames and give all"),
        (tied, "clips have frames as probable as the last one chosen (the earliest were taken)"),
    ):
        if len(clips):
            names = ["/".join(map(str, row[:3])) for row in clips.head(MOST_NAMED).itertuples(index=False)]
            more = ", ..." if len(clips) > MOST_NAMED else ""
            typer.echo(f"{len(clips)} {what}: {', '.join(names)}{more}")


def _show_report(report: ImportReport, out: Path, how: str) -> None:
    from fernet_neuro.cli._stimuli_common import describe_table
    from fernet_neuro.cli.stimuli import _write_left_out

    path = out / "table.csv"
    _write_left_out(report, path)
    typer.echo(f"{path}: {describe_table(report.table)} {how}.")


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
