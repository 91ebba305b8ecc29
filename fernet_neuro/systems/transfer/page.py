"""The page of a transfer experiment: headline numbers, figures, tables, what further systems and brains show.

What belongs here: which sections there are, in which order; nothing is computed anew.
"""

from pathlib import Path
from typing import Any

from fernet_neuro.catalogue import Entries
from fernet_neuro.experiments import page_tables as tables
from fernet_neuro.experiments.page import (
    Section,
    render,
    show_figures,
    show_material,
    show_settings,
    write_sections,
)
from fernet_neuro.experiments.page_brain import show_brain
from fernet_neuro.figures.results import find_networks, find_targets
from fernet_neuro.typing import PathLike

TITLE = "What does a network that knows who you are know about what you feel?"
#: Order of the figures on the page; any other follows by name.
_FIGURE_ORDER = ("transfer-bars", "layer-profile", "confusion", "stimulus-sheet", "architecture")


def write_report(folder: PathLike, *, title: str = TITLE) -> Path:
    """Write ``index.html`` into a results folder and return its path.

    The page is one file: pictures are embedded, and nothing is loaded from elsewhere. Links lead to the PDF,
    CSV and result files beside it. The same results give the same page.

    `folder`: results folder with ``probes/`` and, where there are, ``figures/``, ``stimuli/``, ``runs/``,
    ``pathways/`` with ``evaluation/``, ``brain/`` with ``rsa/``, and ``recipe.yaml``. `title`: heading of the
    page. Raises StoreError if there is no probe in the folder, or one is damaged.
    """
    place = Path(folder)
    rows = {target: tables.headline_rows(place, target) for target in find_targets(place)}
    target = next(iter(rows))
    further = [show(place) for show in (*Entries("sections").values(), show_brain)]
    placed = [name for section in further for name in section.figures]
    sections = [
        _show_numbers(rows),
        show_figures(place, first=_FIGURE_ORDER, leave_out=placed),
        _show_tables(place),
        *further,
        show_material(place),
        show_settings(place),
    ]
    return write_sections(place, title, render("lead.html.j2", target=target, rows=rows[target]), sections)


def _show_numbers(targets: dict[str, list[dict[str, Any]]]) -> Section:
    rows = [row for found in targets.values() for row in found]
    layers = dict.fromkeys(row["layer"] for row in rows if row["source"] != "pixels")
    body = render("numbers.html.j2", targets=targets, layers=list(layers))
    return Section("numbers", "Headline numbers", body)


def _show_tables(folder: Path) -> Section:
    targets = find_targets(folder)
    files = [
        (network, target, name)
        for target in targets
        for network in find_networks(folder, target)
        for name in ("results.csv", "summary.json", "confusion.csv")
        if (folder / "probes" / network / target / name).is_file()
    ]
    frames = {target: tables.layer_table(folder, target) for target in targets}
    return Section("tables", "Tables", render("tables.html.j2", tables=frames, files=files))
