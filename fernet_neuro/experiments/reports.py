"""The report of one result: its figures, and a page with the answer, tables, methods and how to repeat it.

What belongs here: putting figures and page beside results; what is said of each result is in `report_texts`.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from fernet_neuro._utils.atomic import scratch_folder
from fernet_neuro.exceptions import StoreError
from fernet_neuro.experiments import report_texts as texts
from fernet_neuro.experiments.page import Section, read_pictures, render, write_sections
from fernet_neuro.experiments.report_texts import ReportText
from fernet_neuro.figures.registry import build_all
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.typing import PathLike


class Saved(Protocol):
    """A result that writes itself into a folder, the file that says "complete" last."""

    def save(self, out: PathLike) -> Any:
        """Write it."""


#: What the page of each result says, by its type.
_TEXTS: dict[str, Callable[[Any], ReportText]] = {
    "ProbeReport": texts.describe_probe,
    "EvaluationReport": texts.describe_evaluation,
    "EmbeddingResult": texts.describe_embedding,
    "RSAResult": texts.describe_rsa,
}


def report_result(result: Saved, out: PathLike) -> Path:
    """Write a result with its figures and page into the folder `out`, and return the page.

    An `RSAResult` whose RDMs `rsa` kept in `out` is drawn with them.

    Raises
    ------
    StoreError
        If `out` is a file.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; name a folder.")
    text = _TEXTS[type(result).__name__](result)
    kept = _find_rdms(result, folder) if isinstance(result, RSAResult) else None
    save_with_report(
        kept or result, folder, text, [f"# in Python: {type(result).__name__}.report({str(out)!r})"]
    )
    return folder / "index.html"


def _find_rdms(result: RSAResult, folder: Path) -> Saved | None:
    """Return the result with what it compared, where a folder holds both."""
    from fernet_neuro.rsa.analysis.run import MODELS, SUMMARY, RSAFolder

    if not (folder / SUMMARY).is_file() or not (folder / MODELS).is_file():
        return None
    kept = RSAFolder.load(folder)
    return kept if kept.result == result else None


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
        with scratch_folder() as folder:
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
