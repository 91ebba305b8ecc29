"""The tables of a grid as files: CSV, Markdown, LaTeX, and the sentences that stand below them.

What belongs here: markup; what a cell says is in `dual_pathway_tables`.
"""

from pathlib import Path

import pandas as pd

from fernet_neuro._utils.atomic import atomic_file, write_text
from fernet_neuro.experiments.recipe import DualPathwaySettings
from fernet_neuro.experiments.tables import (
    EPOCHS,
    PUBLISHED,
    ResultFiles,
    build_cells,
    build_cost_cells,
    build_differences_cells,
    build_numbers,
    build_pair_cells,
    list_epochs,
)

_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$", "–": "--",
    "−": "$-$", "α": r"$\alpha$",
}  # fmt: skip


def write_tables(settings: DualPathwaySettings, folder: Path) -> None:
    """Write ``table.csv`` (numbers), ``table.md`` and ``table.tex`` (for reading) into a results folder."""
    files = ResultFiles.read(folder)
    with atomic_file(folder / "table.csv") as temporary:
        build_numbers(settings, files).to_csv(temporary, index=False, lineterminator="\n")
    write_text(folder / "table.md", format_markdown(settings, files))
    write_text(folder / "table.tex", format_latex(settings, files))


def list_notes(settings: DualPathwaySettings, files: ResultFiles) -> list[str]:
    """Return what a reader must know of the tables, in sentences."""
    kinds = ", ".join(name for name in dict.fromkeys(files.summary["interval"]) if name) or "nothing"
    what = "mean over seeds" if len(settings.seeds) > 1 else "one training run"
    fixed = "the test stimuli" if len(settings.seeds) > 1 else "the network"
    notes = [f"Ours: {what} [95 % interval over {kinds}], {fixed} held fixed."]
    if len(settings.seeds) > 1 and len(settings.arms) > 1:
        notes.append(
            "Differences are paired by seed, intervals and p by Student's t over seeds; corrected p: "
            "Bonferroni over the comparisons with the reference of one test, or over all pairs of arms where "
            "the reference is not one of the two."
        )
    if settings.identity is not None and settings.identity_seed is not None and len(settings.seeds) > 1:
        notes.append(
            f"One identity network (seed {settings.identity_seed}) serves all seeds: intervals and tests "
            f"over seeds are for this network, and leave out how another would have come out."
        )
    if len(files.published):
        notes.append(
            f"Columns named “{PUBLISHED}” are printed in {settings.published_source}. They were measured on "
            f"other photographs with other networks: compare their order with ours, never the numbers."
        )
    if files.cost is not None:
        notes.append(
            "Parameters, multiply-adds and time are those of the network in use, without the frozen encoder "
            "that trains it. Time ratio: median [quartiles] over interleaved repeats, one image at a time."
        )
    return [*notes, *_describe_tests(settings, files), *settings.list_notes()]


def _describe_tests(settings: DualPathwaySettings, files: ResultFiles) -> list[str]:
    """Return a sentence on each test that lacks classes or leaves out rows."""
    notes = []
    for name, rows in files.summary.groupby("test", sort=False):
        row, test = rows.iloc[0], settings.tests[str(name)]
        if row["n_classes_shown"] < row["n_classes"]:
            notes.append(
                f"{test.label or name}: {row['n']} images show {row['n_classes_shown']} of "
                f"{row['n_classes']} classes; means over classes are over these, and naming another class is "
                f"an error."
            )
        if test.only_known:
            notes.append(f"{test.label or name}: rows whose label is no class are left out.")
    return notes


def format_markdown(settings: DualPathwaySettings, files: ResultFiles) -> str:
    """Return the page of tables as Markdown."""
    parts = [f"# {settings.title}"]
    for epoch in list_epochs(settings, files):
        parts += [f"## {EPOCHS[epoch].capitalize()}", _as_markdown(build_cells(settings, files, epoch))]
        for build in (build_differences_cells, build_pair_cells):
            differences = build(settings, files, epoch)
            if len(differences):
                parts.append(_as_markdown(differences))
    costs = build_cost_cells(files)
    if len(costs):
        parts += ["## Cost of further networks", _as_markdown(costs)]
    parts += [f"- {note}" for note in list_notes(settings, files)]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ").replace("|\n- ", "|\n\n- ") + "\n"


def format_latex(settings: DualPathwaySettings, files: ResultFiles) -> str:
    """Return the table of the headline epoch as a LaTeX ``tabular``, its notes as comments."""
    cells = build_cells(settings, files, settings.epoch)
    lines = [f"% {settings.title}, {EPOCHS[settings.epoch]}"]
    lines += [f"% {note}" for note in list_notes(settings, files)]
    lines += [r"\begin{tabular}{l" + "c" * (cells.shape[1] - 1) + "}", r"\hline"]
    lines += [" & ".join(escape_latex(name) for name in cells) + r" \\", r"\hline"]
    lines += [" & ".join(escape_latex(item) for item in row) + r" \\" for row in cells.to_numpy().tolist()]
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def escape_latex(text: str) -> str:
    r"""Return `text` with what LaTeX would take for commands as characters.

    Examples
    --------
    >>> escape_latex("50 % of a_b")
    '50 \\% of a\\_b'
    """
    return "".join(_TEX.get(letter, letter) for letter in str(text))


def _as_markdown(cells: pd.DataFrame) -> str:
    rows = [list(cells), ["---"] * cells.shape[1], *cells.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(item).replace("|", r"\|") for item in row) + " |" for row in rows)
