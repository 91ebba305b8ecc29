"""``fernet-neuro stimuli show``, ``check``, ``sheet`` and ``split``: look at a table, check it, divide it.

What belongs here: options and messages; the work is in `fernet_neuro.stimuli`.
"""

from pathlib import Path
from typing import Annotated

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_file, check_out_files
from fernet_neuro.cli._tables import format_table, show
from fernet_neuro.cli.stimuli._common import describe_table

#: Factors with more values than this are summed up instead of listed.
MOST_LISTED = 12
#: Values are cut to LONGEST characters; columns with more than MOST_LONG longer ones are named only.
LONGEST, MOST_LONG = 32, 30
#: Factors that are listed before any other column.
LABELS = ("identity", "expression", "view", "session")


def show_table(table: opt.Table, as_json: opt.Json = False) -> None:
    """Count the stimuli per value of each factor.

    Examples
    --------
        fernet-neuro stimuli show faces.csv
        fernet-neuro stimuli show faces.csv --json
    """
    from fernet_neuro.stimuli.table import StimulusTable

    stimuli = StimulusTable.read(table)
    names = [name for name in LABELS if name in stimuli.frame]
    hidden = ("stimulus_id", "path", "digest", *LABELS)
    names += [name for name in map(str, stimuli.frame) if name not in hidden]
    counts: dict[str, dict[str, int]] = {}
    for name in names:
        counted = stimuli.frame[name].astype(str).value_counts(sort=False).sort_index()
        counts[name] = {str(value): int(count) for value, count in counted.items()}
    wordy = [name for name in names if sum(len(value) > LONGEST for value in counts[name]) > MOST_LONG]
    lines = [f"{table}: {len(stimuli)} stimuli"]
    lines += [f"  {name:<14} {_describe_values(counts[name])}" for name in names if name not in wordy]
    if wordy:
        lines.append(f"  not listed, as their values are long and many: {', '.join(wordy)}")
    show(lines, as_json=as_json, values={"n_stimuli": len(stimuli), "factors": counts})


def check(
    table: opt.Table,
    out: Annotated[Path | None, opt.text("Also write the faults to this file.")] = None,
    jobs: opt.Jobs = 2,
    quiet: opt.Quiet = False,
) -> None:
    """Decode every picture; list missing, damaged, black, duplicate, changed and odd-sized ones.

    Exit code 2 if there is any fault.

    Examples
    --------
        fernet-neuro stimuli check faces.csv
        fernet-neuro stimuli check faces.csv --out faults.csv
    """
    from fernet_neuro._utils.tables import write_csv
    from fernet_neuro.stimuli.faults import check_images
    from fernet_neuro.stimuli.table import StimulusTable

    if out is not None:
        check_out_files([out], [table], overwrite=True)
    stimuli = StimulusTable.read(table)
    if len(stimuli) == 0:
        raise ValueError(f"{table} has no stimuli; there is nothing to check.")
    faults = check_images(stimuli, n_jobs=jobs, verbose=not quiet)
    if out is not None:
        write_csv(faults, out)
    if faults.empty:
        typer.echo(f"{table}: all {len(stimuli)} pictures are sound.")
        return
    head = f"{table}: {faults['stimulus_id'].nunique()} of {len(stimuli)} stimuli have a fault."
    columns = {"fault": "{fault}", "stimulus": "{stimulus_id}", "path": "{path}", "": "({detail})"}
    show([head, "", *format_table(faults, columns)])
    raise typer.Exit(2)


def sheet(
    table: opt.Table,
    out: Annotated[Path, opt.file("Picture to write, such as sheet.png.")],
    rows: Annotated[str, opt.text("Factor of the rows.")] = "identity",
    columns: Annotated[str, opt.text("Factor of the columns.")] = "expression",
    select: opt.Selection = [],
    size: Annotated[int, opt.count("Side of a cell in pixels.")] = 96,
    max_rows: Annotated[int, opt.count("Largest number of rows.")] = 12,
    max_columns: Annotated[int, opt.count("Largest number of columns.")] = 24,
) -> None:
    r"""Draw a contact sheet: one picture per value of two factors.

    Examples
    --------
        fernet-neuro stimuli sheet faces.csv --out sheet.png
        fernet-neuro stimuli sheet faces.csv --columns view \
            --select expression=neutral --out sheet.png
    """
    from fernet_neuro._utils.atomic import atomic_file
    from fernet_neuro.stimuli.sheet import make_sheet

    check_out_file(out, (".png", ".jpg", ".jpeg", ".webp"), overwrite=True)
    stimuli = opt.read_selected(table, select)
    picture = make_sheet(
        stimuli, rows=rows, columns=columns, size=size, max_rows=max_rows, max_columns=max_columns
    )
    with atomic_file(out) as temporary:
        picture.save(temporary)
    typer.echo(f"{out}: {picture.width} x {picture.height} pixels.")


def split(
    table: opt.Table,
    out_train: Annotated[Path, opt.table("Table of the training part.")],
    out_test: Annotated[Path, opt.table("Table of the test part.")],
    by: Annotated[str, opt.text("Factor whose values are never divided between the parts.")] = "identity",
    test_share: Annotated[float, opt.real("Share of the values that go to the test part.")] = 0.2,
    seed: opt.Seed = 0,
    overwrite: opt.Overwrite = False,
) -> None:
    r"""Split a table into two that share no identity (or no value of another factor).

    Examples
    --------
        fernet-neuro stimuli split faces.csv --out-train train.csv \
            --out-test test.csv
        fernet-neuro stimuli split faces.csv --by session --test-share 0.5 \
            --out-train a.csv --out-test b.csv
    """
    from fernet_neuro.stimuli.copies import describe_shared
    from fernet_neuro.stimuli.splits import split_table
    from fernet_neuro.stimuli.table import StimulusTable, check_table_suffix

    for path in (out_train, out_test):
        check_table_suffix(path)
    if len({path.resolve() for path in (table, out_train, out_test)}) < 3:
        raise ValueError("the table, --out-train and --out-test must be three different files.")
    train, test = split_table(StimulusTable.read(table), by=by, test_share=test_share, seed=seed)
    parts = ((train, out_train), (test, out_test))
    # One that an earlier, interrupted call wrote is no reason to stop.
    others = [path for part, path in parts if not path.is_file() or StimulusTable.read(path) != part]
    check_out_files(others, [table], overwrite=overwrite)
    for part, path in parts:
        part.write(path)
        typer.echo(f"{path}: {describe_table(part)}.")
    if said := describe_shared(train, test, "the test part"):
        typer.echo(f"Note: {said}", err=True)


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
