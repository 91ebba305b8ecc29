"""``fernet-neuro stimuli``: import, look at, check, split and render face images.

What belongs here: options and messages; the work is in `fernet_neuro.stimuli`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fernet_neuro.cli._options import parse_pairs
from fernet_neuro.cli._render import register_render
from fernet_neuro.cli._stimuli_common import check_outputs, describe_table
from fernet_neuro.cli._stimuli_faces import register_faces
from fernet_neuro.cli._stimuli_join import register_join

if TYPE_CHECKING:
    import pandas as pd

    from fernet_neuro.stimuli.datasets.report import ImportReport
    from fernet_neuro.stimuli.table import StimulusTable

#: Factors with more values than this are summed up instead of listed.
MOST_LISTED = 12
#: Values are cut to LONGEST characters; columns with more than MOST_LONG longer ones are named only.
LONGEST, MOST_LONG = 32, 30
#: Factors that are listed before any other column.
LABELS = ("identity", "expression", "view", "session")
#: Lines of a listing before it refers to the file.
MOST_SHOWN = 5

Table = Annotated[Path, typer.Argument(help="A stimulus table, .csv or .parquet.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace tables that exist already.")]


def register(app: typer.Typer) -> None:
    """Add the group to `app`."""
    group = typer.Typer(no_args_is_help=True, help="Import, look at, check, split and render face images.")
    group.command("import")(import_stimuli)
    group.command("show")(show)
    group.command("check")(check)
    group.command("sheet")(sheet)
    group.command("split")(split)
    register_join(group)
    register_render(group)
    register_faces(group)
    app.add_typer(group, name="stimuli")


def import_stimuli(
    dataset: Annotated[
        str,
        typer.Argument(
            help="Layout: folder, kdef, lfw, vggface2, celeba, rafdb, affectnet or fedro.", show_default=False
        ),
    ],
    src: Annotated[Path, typer.Argument(help="Folder as its owners distribute it.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Table to write, .csv or .parquet.", show_default=False)],
    pattern: Annotated[
        str | None, typer.Option(help="folder: labels in file names, such as '{identity}_{expression}'.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="folder: table with a row per picture; all its columns are kept.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="folder: OURS=THEIRS renames a column of --csv; repeatable.")
    ] = None,
    folders_are: Annotated[
        str | None,
        typer.Option(help="folder: the factor that class folders stand for; by default expression."),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="rafdb: 'aligned' or 'original' pictures; by default aligned.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="affectnet: 8, or 7 without contempt; by default 8.")
    ] = None,
    list_file: Annotated[
        Path | None, typer.Option("--list", help="fedro: lines of a path and a label, instead of folders.")
    ] = None,
    code: Annotated[
        list[str] | None, typer.Option(help="fedro: CODE=NAME says what a number means; repeatable.")
    ] = None,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Decode all pictures, leave faulty ones out (by default not of the largest sets).",
            show_default=False,
        ),
    ] = None,
    n_jobs: Annotated[int, typer.Option(help="Threads that decode pictures.")] = 2,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Write a stimulus table from photographs in their owner's layout.

    Faulty files are left out and reported, never guessed at; the full list is written beside the table, as
    faces.left_out.csv beside faces.csv.

    For example:

        fernet-neuro stimuli import kdef KDEF_and_AKDEF --out kdef.csv

        fernet-neuro stimuli import folder photos --out faces.csv          (photos/happiness/001.jpg)

        fernet-neuro stimuli import folder photos --pattern '{identity}_{expression}' --out faces.csv

        fernet-neuro stimuli import folder photos --csv labels.csv --column identity=person --out faces.csv

        fernet-neuro stimuli import rafdb RAF-DB/basic --out rafdb.csv

        fernet-neuro stimuli import affectnet AffectNet --classes 7 --out affectnet.csv
    """
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.stimuli.datasets.registry import DATASETS
    from fernet_neuro.stimuli.table import check_table_suffix

    check_table_suffix(out)
    entry = DATASETS[check_option("dataset", dataset, DATASETS)]
    given = {
        "pattern": pattern, "csv": csv, "folders_are": folders_are, "images": images, "classes": classes,
        "columns": parse_pairs("--column", column) if column else None, "list_file": list_file,
        "codes": parse_pairs("--code", code) if code else None,
    }  # fmt: skip
    own = {name: value for name, value in given.items() if value is not None}
    _check_own_options(dataset, own)
    check_outputs([out, _left_out_path(out)], [path for path in (csv, list_file) if path], overwrite)
    report = entry.read(
        src, **own, verify=entry.verify if verify is None else verify, n_jobs=n_jobs, verbose=not quiet
    )
    report.table.write(out)
    _write_left_out(report, out)
    for note in report.notes:
        typer.echo(note)
    typer.echo(f"{out}: {describe_table(report.table)}.")


def show(
    table: Table,
    as_json: Annotated[bool, typer.Option("--json", help="Counts as JSON.")] = False,
) -> None:
    """Count the stimuli per value of each factor.

    For example:

        fernet-neuro stimuli show faces.csv

        fernet-neuro stimuli show faces.csv --json
    """
    import json

    from fernet_neuro.stimuli.table import StimulusTable

    stimuli = StimulusTable.read(table)
    hidden = ("stimulus_id", "path", "digest")
    names = [name for name in LABELS if name in stimuli.frame]
    names += [name for name in map(str, stimuli.frame) if name not in (*hidden, *LABELS)]
    counts: dict[str, dict[str, int]] = {}
    for name in names:
        counted = stimuli.frame[name].astype(str).value_counts(sort=False).sort_index()
        counts[name] = {str(value): int(count) for value, count in counted.items()}
    if as_json:
        typer.echo(json.dumps({"n_stimuli": len(stimuli), "factors": counts}, ensure_ascii=False))
        return
    typer.echo(f"{table}: {len(stimuli)} stimuli")
    wordy = [name for name in names if sum(len(value) > LONGEST for value in counts[name]) > MOST_LONG]
    for name in names:
        if name not in wordy:
            typer.echo(f"  {name:<14} {_describe_values(counts[name])}")
    if wordy:
        typer.echo(f"  not listed, as their values are long and many: {', '.join(wordy)}")


def check(
    table: Table,
    out: Annotated[Path | None, typer.Option(help="Also write the faults to this CSV.")] = None,
    n_jobs: Annotated[int, typer.Option(help="Threads that decode pictures.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Decode every picture; list missing, damaged, black, duplicate, changed and odd-sized ones.

    Exit code 2 if there is any fault.

    For example:

        fernet-neuro stimuli check faces.csv

        fernet-neuro stimuli check faces.csv --out faults.csv
    """
    from fernet_neuro.stimuli.images import check_images
    from fernet_neuro.stimuli.table import StimulusTable

    if out is not None:
        check_outputs([out], [table], overwrite=True)
    stimuli = StimulusTable.read(table)
    if len(stimuli) == 0:
        raise ValueError(f"{table} has no stimuli; there is nothing to check.")
    faults = check_images(stimuli, n_jobs=n_jobs, verbose=not quiet)
    if out is not None:
        _write_frame(faults, out)
    if faults.empty:
        typer.echo(f"{table}: all {len(stimuli)} pictures are sound.")
        return
    typer.echo(f"{table}: {faults['stimulus_id'].nunique()} of {len(stimuli)} stimuli have a fault.")
    for row in faults.itertuples():
        typer.echo(f"  {row.fault:<13} {row.stimulus_id}  {row.path}  ({row.detail})")
    raise typer.Exit(2)


def sheet(
    table: Table,
    out: Annotated[Path, typer.Option(help="Picture to write, such as sheet.png.", show_default=False)],
    rows: Annotated[str, typer.Option(help="Factor down.")] = "identity",
    columns: Annotated[str, typer.Option(help="Factor across.")] = "expression",
    where: Annotated[
        list[str] | None, typer.Option(help="FACTOR=VALUE narrows the table; repeatable.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of a cell in pixels.")] = 96,
    max_rows: Annotated[int, typer.Option(help="Most rows.")] = 12,
    max_columns: Annotated[int, typer.Option(help="Most columns.")] = 24,
) -> None:
    """Draw a contact sheet: one picture per value of two factors.

    For example:

        fernet-neuro stimuli sheet faces.csv --out sheet.png

        fernet-neuro stimuli sheet faces.csv --columns view --where expression=neutral --out sheet.png
    """
    from fernet_neuro._utils.atomic import atomic_file
    from fernet_neuro.stimuli.sheet import make_sheet
    from fernet_neuro.stimuli.table import StimulusTable

    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ValueError(f"--out {out} must end in .png, .jpg or .webp.")
    stimuli = StimulusTable.read(table)
    for name, value in parse_pairs("--where", where or []).items():
        stimuli = _narrow(stimuli, name, value)
    picture = make_sheet(
        stimuli, rows=rows, columns=columns, size=size, max_rows=max_rows, max_columns=max_columns
    )
    with atomic_file(out) as temporary:
        picture.save(temporary)
    typer.echo(f"{out}: {picture.width} x {picture.height} pixels.")


def split(
    table: Table,
    out_train: Annotated[Path, typer.Option(help="Table of the training part.", show_default=False)],
    out_test: Annotated[Path, typer.Option(help="Table of the test part.", show_default=False)],
    by: Annotated[str, typer.Option(help="Factor whose values go to one side whole.")] = "identity",
    test_share: Annotated[float, typer.Option(help="Share of the values that go to the test part.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Split a table into two that share no identity (or no value of another factor).

    For example:

        fernet-neuro stimuli split faces.csv --out-train train.csv --out-test test.csv

        fernet-neuro stimuli split faces.csv --by session --test-share 0.5 --out-train a.csv --out-test b.csv
    """
    from fernet_neuro.stimuli.splits import split_table
    from fernet_neuro.stimuli.table import StimulusTable, check_table_suffix

    for path in (out_train, out_test):
        check_table_suffix(path)
    if len({path.resolve() for path in (table, out_train, out_test)}) < 3:
        raise ValueError("the table, --out-train and --out-test must be three different files.")
    check_outputs([out_train, out_test], [table], overwrite)
    train, test = split_table(StimulusTable.read(table), by=by, test_share=test_share, seed=seed)
    for part, path in ((train, out_train), (test, out_test)):
        part.write(path)
        typer.echo(f"{path}: {describe_table(part)}.")


def _check_own_options(dataset: str, given: Iterable[str]) -> None:
    """Raise if an option is given that belongs to other layouts.

    Raises
    ------
    ValueError
        Naming the option and its layout.
    """
    from fernet_neuro.stimuli.datasets.registry import DATASETS

    flags = {"columns": "column", "list_file": "list", "codes": "code", "folders_are": "folders-are"}
    for name in given:
        if name not in DATASETS[dataset].options:
            owners = ", ".join(repr(key) for key, entry in DATASETS.items() if name in entry.options)
            raise ValueError(
                f"--{flags.get(name, name)} belongs to the layout {owners}; {dataset!r} has no such option."
            )


def _narrow(stimuli: StimulusTable, name: str, value: str) -> StimulusTable:
    from fernet_neuro._utils.validation import check_option

    values = stimuli.factor(name, complete=False).astype(str)
    return stimuli.select(values == check_option(name, value, sorted(set(values.tolist()))))


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    from fernet_neuro._utils.atomic import atomic_file

    with atomic_file(path) as temporary:
        frame.to_csv(temporary, index=False)


def _left_out_path(out: Path) -> Path:
    return out.with_name(f"{out.stem}.left_out.csv")


def _write_left_out(report: ImportReport, out: Path) -> None:
    path = _left_out_path(out)
    _write_frame(report.left_out, path)
    if report.left_out.empty:
        return
    typer.echo(f"{len(report.left_out)} entries left out (all in {path}):")
    for reason, count in report.count_reasons().items():
        typer.echo(f"  {count:>6}  {reason}")
    for row in report.left_out.head(MOST_SHOWN).itertuples():
        typer.echo(f"  {row.path}: {row.reason}")
    if len(report.left_out) > MOST_SHOWN:
        typer.echo("  ...")


def _describe_values(counts: dict[str, int]) -> str:
    if set(counts) == {""}:
        return "(empty)"
    if len(counts) > MOST_LISTED:
        low, high = min(counts.values()), max(counts.values())
        each = f"{low}" if low == high else f"{low} to {high}"
        return f"{len(counts)} values, {each} stimuli each"
    return ", ".join(f"{_cut(value) or '(empty)'} {count}" for value, count in counts.items())


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 3]}..."
