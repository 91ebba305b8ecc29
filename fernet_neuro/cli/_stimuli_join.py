"""``fernet-neuro stimuli join``: several data sets in one table.

What belongs here: options and messages; the rules are in `stimuli.join`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fernet_neuro.cli._options import parse_pairs
from fernet_neuro.cli._stimuli_common import check_outputs, describe_table


def register_join(group: typer.Typer) -> None:
    """Add the command to the group ``stimuli``."""
    group.command("join")(join)


def join(
    tables: Annotated[list[Path], typer.Argument(help="Two or more stimulus tables.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Table to write, .csv or .parquet.", show_default=False)],
    factor: Annotated[str, typer.Option(help="The labels that are matched by name.")] = "expression",
    renames: Annotated[
        list[str] | None,
        typer.Option("--map", help="OLD=NEW renames a label in all tables; repeatable."),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="A label whose stimuli are left out; repeatable.")
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="Keep labels that only some of the data sets have.")
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a data set, once per table in their order; by default the file's name (of a "
            "table.csv its folder's). A column 'dataset' in a table has precedence."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a table that exists.")] = False,
) -> None:
    """Join data sets by the names of their labels, never by numbers.

    Stimulus ids and identities are prefixed by the data set, which the column 'dataset' names. Labels that
    are spelled differently, or that only one set has, are refused until you say what to do with them.

    For example:

        fernet-neuro stimuli join rafdb.csv affectnet.csv --drop contempt --out joint.csv

        fernet-neuro stimuli join mine.csv rafdb.csv --map smiling=happiness --keep-all --out joint.csv
    """
    from collections import Counter

    from fernet_neuro.stimuli.join import join_tables, name_tables
    from fernet_neuro.stimuli.table import StimulusTable, check_table_suffix

    check_table_suffix(out)
    # Rendered faces are all called table.csv; their folder says which they are.
    names = name or [path.resolve().parent.name if path.stem == "table" else path.stem for path in tables]
    if len(names) != len(tables):
        raise ValueError(f"--name must be given once per table; got {len(names)} for {len(tables)} tables.")
    check_outputs([out], tables, overwrite)
    joint = join_tables(
        name_tables([StimulusTable.read(path) for path in tables], names),
        factor=factor,
        renames=parse_pairs("--map", renames or []),
        drop=drop or [],
        keep_all=keep_all,
    )
    joint.write(out)
    for dataset, count in Counter(joint.factor("dataset").tolist()).items():
        typer.echo(f"  {dataset}: {count} stimuli")
    typer.echo(f"{out}: {describe_table(joint)}.")
