"""``fernet-neuro stimuli frames`` and ``select-frames``: pictures from videos.

What belongs here: options and messages; the work is in `stimuli.datasets.clips_frames` and `stimuli.frames`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_files
from fernet_neuro.cli.stimuli._common import MOST_SHOWN, describe_table, show_report

if TYPE_CHECKING:
    from fernet_neuro.stimuli.frames import FrameSelection


def frames(
    src: Annotated[Path, opt.argument("Folder of the videos.", "DIR")],
    out: Annotated[Path, opt.folder("Folder to write, outside the videos' own.")],
    pattern: Annotated[
        str | None, opt.text("Labels in the videos' names.  [default: '{identity}_{expression}_{clip}']")
    ] = None,
    csv: Annotated[
        Path | None,
        opt.text("Instead of a pattern: a row per clip; start_s and end_s make it part of a video."),
    ] = None,
    column: opt.Columns = [],
    every: Annotated[int, opt.count("Keep every so many-th frame: 3 keeps one of three.")] = 1,
    size: Annotated[int | None, opt.count("Shorter side in pixels to which frames are scaled down.")] = None,
    allow_short: Annotated[
        bool, opt.flag("--allow-short", "Take videos that hold fewer frames than they state.")
    ] = False,
    jobs: opt.Jobs = 2,
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Write the frames of videos as pictures, at each video's own rate, with a table of them.

    Videos that are empty, corrupt or without frames are left out and reported. An interrupted run goes on
    where it was: give the same command. Needs OpenCV: pip install opencv-python-headless.

    Examples
    --------
        # videos/ann_happiness_1.mp4
        fernet-neuro stimuli frames videos --out frames
        fernet-neuro stimuli frames videos \
            --pattern '{expression}/{identity}-{clip}' --every 3 --out frames
        # columns path, identity, expression, clip, and perhaps start_s and end_s
        fernet-neuro stimuli frames videos --csv actors.csv --size 256 --out frames
    """
    from fernet_neuro.stimuli.datasets.clips_frames import extract_frames

    report = extract_frames(
        src, out, pattern=pattern, csv=csv, columns=opt.parse_pairs("--column", column), every=every,
        size=size, allow_short=allow_short, n_jobs=jobs, verbose=not quiet, overwrite=overwrite,
    )  # fmt: skip
    n_clips = report.table.frame["path"].map(lambda path: path.rpartition("/")[0]).nunique()
    show_report(report, out / "table.csv", f" from {n_clips} clips")


def select_frames(
    table: opt.Table,
    model: Annotated[str, opt.text("Run folder of a network that names expressions.")],
    out: Annotated[Path, opt.table("Table of the chosen frames to write.")],
    top: Annotated[int, opt.count("Frames per actor, expression and clip.")] = 10,
    rest: Annotated[
        Path | None, opt.table("Also write the frames that were not chosen to this table.")
    ] = None,
    device: opt.Device = "auto",
    batch_size: opt.BatchSize = 64,
    jobs: opt.Jobs = 1,
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Keep the frames of each clip in which a trained network sees the clip's expression most clearly.

    The rule by which the dual-pathway paper makes its test frames of the IMAGEN face videos: per actor,
    expression and clip the 10 frames of highest probability. The network must be trained on the training set
    (the paper's: RAF-DB and AffectNet), never on these clips, or it chooses what it has learnt. Equal
    probabilities go to the earlier frame. What was chosen of each clip is written beside the table, as
    test.clips.csv beside test.csv. Frames of one clip are near-copies: a network that is trained on --rest
    must be tested on other actors.

    Examples
    --------
        fernet-neuro stimuli select-frames frames/table.csv \
            --model runs/expression --out test.csv
        fernet-neuro stimuli select-frames frames/table.csv --top 5 \
            --model runs/expression --out test.csv --rest train.csv
    """
    from fernet_neuro._utils.tables import write_csv
    from fernet_neuro.experiments.predictions import compute_class_probabilities
    from fernet_neuro.stimuli.frames import check_clips, select_top_frames
    from fernet_neuro.stimuli.table import StimulusTable, check_table_suffix
    from fernet_neuro.training.folder import find_trained_people

    beside = out.with_name(f"{out.stem}.clips.csv")
    written = [out, beside, *([] if rest is None else [rest])]
    for path in written:
        check_table_suffix(path)
    if len({path.resolve() for path in (table, *written)}) <= len(written):
        raise ValueError("the table, --out and --rest must be different files.")
    # Of a command that was interrupted before its last file, the table.
    begun = not out.exists() and _holds_counts(beside)
    check_out_files([out, *([] if begun else written[1:])], [table], overwrite=overwrite)
    stimuli = StimulusTable.read(table)
    check_clips(stimuli)  # before the network runs over all frames
    found = compute_class_probabilities(
        model, stimuli, device=device, batch_size=batch_size, n_jobs=jobs, verbose=not quiet
    )
    selection = select_top_frames(stimuli, found.values, found.classes, top=top)
    known = find_trained_people(model, stimuli.factor("identity"))
    if known.trained:
        typer.echo(f"{known}; if they are the same people, choose another network.", err=True)
    if begun and rest is not None and rest.exists() and StimulusTable.read(rest) != selection.rest:
        check_out_files([rest], [], overwrite=overwrite)
    write_csv(selection.clips, beside)
    if rest is not None and len(selection.rest):
        selection.rest.write(rest)
    selection.chosen.write(out)  # last: where it lies, all is there
    typer.echo(f"{out}: {describe_table(selection.chosen)}; each clip's counts are in {beside}.")
    if rest is not None:
        left = describe_table(selection.rest) if len(selection.rest) else "no frame is left, so not written"
        typer.echo(f"{rest}: {left}.")
    _show_selection(selection, top)


def _holds_counts(path: Path) -> bool:
    """Return whether a file is a table of what was chosen of each clip."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return {b"is_short", b"n_tied"} <= set(file.readline().strip().split(b","))


def _show_selection(selection: "FrameSelection", top: int) -> None:
    short = selection.clips[selection.clips["is_short"]]
    tied = selection.clips[selection.clips["n_tied"] > 0]
    for clips, what in (
        (short, f"clips have fewer than {top} frames and give all"),
        (tied, "clips have frames as probable as the last one chosen (the earliest were taken)"),
    ):
        if len(clips):
            names = ["/".join(map(str, row[:3])) for row in clips.head(MOST_SHOWN).itertuples(index=False)]
            more = ", ..." if len(clips) > MOST_SHOWN else ""
            typer.echo(f"{len(clips)} {what}: {', '.join(names)}{more}")
