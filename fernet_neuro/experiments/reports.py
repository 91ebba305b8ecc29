"""The report of one command: its figures, and a page with the answer, tables, methods and the command.

What belongs here: putting figures and page beside results; what is said of each result is in `report_texts`.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from fernet_neuro.experiments.page import Section, read_pictures, render, write_sections
from fernet_neuro.experiments.report_texts import ReportText
from fernet_neuro.figures.registry import build_all
from fernet_neuro.typing import PathLike


class Saved(Protocol):
    """A result that writes itself into a folder, the file that says "complete" last."""

    def save(self, out: PathLike) -> Any:
        """Write it."""


def save_with_report(result: Saved, out: Path, text: ReportText, command: Sequence[str]) -> list[str]:
    """Write a result with its figures and ``index.html``, the result itself last; return figures left out.

    Whoever finds the result's own files complete finds the report too.

    Parameters
    ----------
    result : Saved
    out : Path
        Folder of the results.
    text : ReportText
        What the page says.
    command : sequence of str
        The command line that made it, for the page.
    """
    try:
        with TemporaryDirectory() as stage:
            folder = Path(stage)
            result.save(folder)
            left_out = write_report(folder, text, command, str(out))
            out.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder / "figures", out / "figures", dirs_exist_ok=True)
            shutil.copy(folder / "index.html", out / "index.html")
    finally:
        result.save(out)  # whatever happens to a picture, the results are kept
    return left_out


def write_report(folder: Path, text: ReportText, command: Sequence[str], name: str) -> list[str]:
    """Draw what there is in a folder of results, write its page, and return what was left out and why.

    `name`: what the folder is called on the page.
    """
    (folder / "figures").mkdir()
    built, left_out = build_all(folder, folder / "figures")
    notes = [f"{figure} ({reason})" for figure, reason in left_out.items()]
    sections = [
        _section("Figures", "report_figures.html.j2", pictures=read_pictures(folder, built), left_out=notes),
        _section("Tables", "material.html.j2", tables=text.tables),
        _section("Methods", "report_methods.html.j2", text=text),
        _section("Repeat", "report_repeat.html.j2", command=" ".join(command), figures=name),
    ]
    write_sections(folder, text.title, text.answer, sections)
    return notes


def _section(heading: str, template: str, **context: Any) -> Section:
    return Section(heading.lower(), heading, render(template, **context))
