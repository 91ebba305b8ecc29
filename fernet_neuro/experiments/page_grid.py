"""The page of a grid: its tables, figure, stimuli, training and settings.

What belongs here: which sections the page has; sections that all pages share are in `page`.
"""

from pathlib import Path

from fernet_neuro.catalogue import Entries
from fernet_neuro.experiments.markup import list_notes, list_tables
from fernet_neuro.experiments.page import (
    Section,
    list_links,
    render,
    show_figures,
    show_material,
    show_settings,
    write_sections,
)
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.experiments.tables import ResultFiles

_FILES = (
    "table.csv", "table.md", "table.tex", "results.csv", "summary.csv", "differences.csv", "published.csv",
    "drops.csv", "left_out.csv", "cost.csv", "runs.csv", "folds.csv",
)  # fmt: skip


def write_page(settings: GridSettings, folder: Path) -> Path:
    """Write ``index.html`` into a results folder with finished tables and return its path.

    Raises StoreError if a table is missing.
    """
    files = ResultFiles.read(folder)
    folds, n_tests = f" in {settings.folds} folds" if settings.folds else "", len(settings.shown_tests)
    lead = (
        f"{len(settings.arms)} arms, {len(settings.seeds)} training seeds each{folds}, tested on "
        f"{n_tests} sets. Printed numbers stand in columns of their own: other photographs, "
        f"other networks."
    )
    further = [show(folder) for show in Entries("sections").values()]
    sections = [
        _show_tables(settings, files, folder),
        show_figures(folder, leave_out=[name for section in further for name in section.figures]),
        *further,
        show_material(folder),
        show_settings(folder, "grid"),
    ]
    return write_sections(folder, settings.title, lead, sections)


def _show_tables(settings: GridSettings, files: ResultFiles, folder: Path) -> Section:
    body = render(
        "grid.html.j2",
        groups=list_tables(settings, files),
        notes=list_notes(settings, files),
        files=list_links(folder, _FILES),
    )
    return Section("tables", "Tables", body)
