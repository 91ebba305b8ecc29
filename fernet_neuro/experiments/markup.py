"""The tables of a grid as files: CSV, Markdown, LaTeX, and the sentences that stand below them.

What belongs here: markup; what a cell says is in `tables`.
"""

from pathlib import Path

import pandas as pd

from fernet_neuro._utils.atomic import write_text
from fernet_neuro._utils.tables import write_csv
from fernet_neuro.experiments.page import render
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.experiments.tables import (
    EPOCHS,
    PUBLISHED,
    ResultFiles,
    build_cells,
    build_cost_cells,
    build_differences_cells,
    build_drop_cells,
    build_numbers,
    build_pair_cells,
    list_epochs,
)


def write_tables(settings: GridSettings, folder: Path) -> None:
    """Write ``table.csv`` (numbers), ``table.md`` and ``table.tex`` (for reading) into a results folder."""
    files = ResultFiles.read(folder)
    write_csv(build_numbers(settings, files), folder / "table.csv")
    write_text(folder / "table.md", format_markdown(settings, files))
    write_text(folder / "table.tex", format_latex(settings, files))


def list_tables(settings: GridSettings, files: ResultFiles) -> list[tuple[str, dict[str, pd.DataFrame]]]:
    """Return all tables as text, by caption, in groups with a heading each."""
    groups, pairing = [], "fold by fold" if settings.folds else "seed by seed"
    for epoch in list_epochs(settings, files):
        name = EPOCHS[epoch].capitalize()
        tables = {
            name: build_cells(settings, files, epoch),
            f"{name}: differences, {pairing}": build_differences_cells(settings, files, epoch),
            f"{name}: other pairs, {pairing}": build_pair_cells(settings, files, epoch),
            f"{name}: from one test to others, {pairing}": build_drop_cells(settings, files, epoch),
        }
        groups.append((name, {caption: frame for caption, frame in tables.items() if len(frame)}))
    costs, name = build_cost_cells(files), "Cost of further networks"
    return [*groups, (name, {name: costs})] if len(costs) else groups


def list_notes(settings: GridSettings, files: ResultFiles) -> list[str]:
    """Return what a reader must know of the tables, in sentences."""
    shown = settings.shown_tests
    left_out = pd.DataFrame(columns=["test", "label", "n"]) if files.left_out is None else files.left_out
    tests = [
        (shown[str(name)].label or name, rows.iloc[0], left_out[left_out["test"] == name].to_dict("records"))
        for name, rows in files.summary.groupby("test", sort=False)
    ]
    text = render(
        "notes.txt.j2",
        settings=settings,
        kinds=[name for name in dict.fromkeys(files.summary["interval"]) if name],
        tests=tests,
        has_published=len(files.published) > 0,
        has_cost=files.cost is not None,
        published=PUBLISHED,
    )
    return [*str(text).splitlines(), *settings.list_notes()]


def format_markdown(settings: GridSettings, files: ResultFiles) -> str:
    """Return the page of tables as Markdown."""
    groups, notes = list_tables(settings, files), list_notes(settings, files)
    return render("table.md.j2", title=settings.title, groups=groups, notes=notes)


def format_latex(settings: GridSettings, files: ResultFiles) -> str:
    """Return the table of the headline epoch as a LaTeX ``tabular``, its notes as comments."""
    title = f"{settings.title}, {EPOCHS[settings.epoch]}"
    frame, notes = build_cells(settings, files, settings.epoch), list_notes(settings, files)
    return render("table.tex.j2", title=title, frame=frame, notes=notes)
