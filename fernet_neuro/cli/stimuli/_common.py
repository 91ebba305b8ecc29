"""What the commands of ``fernet-neuro stimuli`` share: how a table is summed up, and what was left out."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fernet_neuro.stimuli.datasets.report import ImportReport
    from fernet_neuro.stimuli.table import StimulusTable

#: Lines of a listing before it refers to the file, or only gives their number.
MOST_SHOWN = 5


def describe_table(table: "StimulusTable") -> str:
    """Return such as ``"12 stimuli, 3 identities, 2 expressions"``."""
    parts = ["1 stimulus" if len(table) == 1 else f"{len(table)} stimuli"]
    words = {"identity": "identities", "expression": "expressions", "view": "views", "session": "sessions"}
    for name, plural in words.items():
        values = set(table.factor(name, complete=False).tolist()) - {""}
        if values:
            parts.append(f"{len(values)} {plural if len(values) > 1 else name}")
    return ", ".join(parts)


def is_left_out(path: Path) -> bool:
    """Return whether a file is a list that `ImportReport.write_left_out` wrote."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline().strip() == b"path,reason"


def show_report(report: "ImportReport", out: Path, how: str = "") -> None:
    """Say what is in the table `out`, and sum up what was left out."""
    from fernet_neuro.stimuli.datasets.report import left_out_path

    typer.echo(f"{out}: {describe_table(report.table)}{how}.")
    if not report.left_out.empty:
        entries = "1 entry" if len(report.left_out) == 1 else f"{len(report.left_out)} entries"
        typer.echo(f"{entries} left out (all in {left_out_path(out)}):")
        show_list([f"{count:>6}  {reason}" for reason, count in report.count_reasons().items()], most=None)
        show_list(f"{row.path}: {row.reason}" for row in report.left_out.itertuples())
    for note in report.notes:
        typer.echo(note)


def show_list(lines: Iterable[str], most: int | None = MOST_SHOWN) -> None:
    """Print lines below a heading, the first `most` of them."""
    texts = list(lines)
    for text in texts[:most]:
        typer.echo(f"  {text}")
    if most is not None and len(texts) > most:
        typer.echo("  ...")
