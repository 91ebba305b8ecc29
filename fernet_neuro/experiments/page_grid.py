"""The page of a dual-pathway experiment: its tables, figure, stimuli, training and settings.

What belongs here: which sections the page has; sections that all pages share are in `report`.
"""

from html import escape
from pathlib import Path

from fernet_neuro.experiments.markup import list_notes
from fernet_neuro.experiments.page import (
    Section,
    show_figures,
    show_material,
    show_settings,
    write_sections,
)
from fernet_neuro.experiments.page_tables import format_table
from fernet_neuro.experiments.recipe import DualPathwaySettings
from fernet_neuro.experiments.tables import (
    EPOCHS,
    ResultFiles,
    build_cells,
    build_cost_cells,
    build_differences_cells,
    build_pair_cells,
    list_epochs,
)

_FILES = (
    "table.csv",
    "table.md",
    "table.tex",
    "results.csv",
    "summary.csv",
    "differences.csv",
    "published.csv",
    "cost.csv",
    "runs.csv",
)


def write_page(settings: DualPathwaySettings, folder: Path) -> Path:
    """Write ``index.html`` into a results folder with finished tables and return its path.

    Raises
    ------
    StoreError
        If a table is missing.
    """
    files = ResultFiles.read(folder)
    lead = (
        f"{len(settings.arms)} arms, {len(settings.seeds)} training seeds each, tested on "
        f"{len(settings.tests)} sets. Printed numbers stand in columns of their own: other photographs, "
        f"other networks."
    )
    sections = [
        _show_tables(settings, files, folder),
        show_figures(folder),
        show_material(folder),
        show_settings(folder, "crpn-table"),
    ]
    return write_sections(folder, settings.title, escape(lead), sections)


def _show_tables(settings: DualPathwaySettings, files: ResultFiles, folder: Path) -> Section:
    parts = []
    for epoch in list_epochs(settings, files):
        name = EPOCHS[epoch].capitalize()
        parts.append(format_table(build_cells(settings, files, epoch), name))
        for build, which in ((build_differences_cells, "differences"), (build_pair_cells, "other pairs")):
            differences = build(settings, files, epoch)
            if len(differences):
                parts.append(format_table(differences, f"{name}: {which}, seed by seed"))
    costs = build_cost_cells(files)
    if len(costs):
        parts.append(format_table(costs, "Cost of further networks"))
    notes = "".join(f"<li>{escape(note)}</li>" for note in list_notes(settings, files))
    links = " · ".join(f'<a href="{name}">{name}</a>' for name in _FILES if (folder / name).is_file())
    return Section("tables", "Tables", "\n".join([*parts, f"<ul>{notes}</ul>", f"<p>{links}</p>"]))
