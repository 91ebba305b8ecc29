"""The page that shows a results folder: headline numbers, figures, tables, settings, how to reproduce.

What belongs here: reading what is in the folder and putting it into the template; nothing is computed anew.
"""

import base64
from collections.abc import Collection
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import pandas as pd
from PIL import Image

from fernet_neuro import __version__
from fernet_neuro._utils.atomic import write_text
from fernet_neuro.experiments.page_brain import brain_tables, describe_brain, has_brain
from fernet_neuro.experiments.page_tables import (
    describe_stimuli,
    format_table,
    headline_rows,
    layer_table,
    training_table,
)
from fernet_neuro.figures.results import find_networks, find_targets
from fernet_neuro.systems.crpn.page import describe_pathways, has_pathways, pathway_tables
from fernet_neuro.typing import PathLike

TITLE = "What does a network that knows who you are know about what you feel?"
#: Order of the figures on the page; any other follows by name.
_FIGURE_ORDER = ("transfer-bars", "layer-profile", "confusion", "stimulus-sheet", "architecture")
#: Figures that stand with the dual pathway's tables where there are any.
_PATHWAY_FIGURES = ("crpn-fig2",)
#: And figures that stand with the simulated group's.
_BRAIN_FIGURES = ("rsa-layer-roi",)
#: Pictures narrower than this (in pixels at 300 dpi) are not stretched over the page.
_WIDE_PX = 1800


@dataclass(frozen=True)
class Section:
    """One section of a page; its body is HTML."""

    anchor: str
    heading: str
    body: str


def write_report(folder: PathLike, *, title: str = TITLE) -> Path:
    """Write ``index.html`` into a results folder and return its path.

    The page is one file: pictures are embedded, and nothing is loaded from elsewhere. Links lead to the
    PDF, CSV and result files beside it. The same results give the same page.

    Parameters
    ----------
    folder : path
        Results folder with ``probes/`` and, where there are, ``figures/``, ``stimuli/``, ``runs/``,
        ``pathways/`` with ``evaluation/``, ``brain/`` with ``rsa/``, and ``recipe.yaml``.
    title : str
        Heading of the page.

    Raises
    ------
    StoreError
        If there is no probe in the folder, or one is damaged.
    """
    place = Path(folder)
    sections = [
        _headline_section(place),
        show_figures(place, leave_out=_list_placed(place)),
        _table_section(place),
        _pathways_section(place),
        _brain_section(place),
        show_material(place),
        show_settings(place),
    ]
    return write_sections(place, title, _lead(place), sections)


def write_sections(folder: Path, title: str, lead: str, sections: list["Section"]) -> Path:
    """Write ``index.html`` into `folder`: a heading, a sentence (HTML), the sections that say anything."""
    shown = [section for section in sections if section.body]
    page = _template().substitute(
        title=escape(title),
        lead=lead,
        navigation=" ".join(f'<a href="#{item.anchor}">{escape(item.heading)}</a>' for item in shown),
        sections="\n".join(
            f'<section id="{item.anchor}">\n<h2>{escape(item.heading)}</h2>\n{item.body}\n</section>'
            for item in shown
        ),
        footer=f"Made with fernet-neuro {escape(__version__)}; all numbers are from files in this folder.",
    )
    write_text(folder / "index.html", page)
    return folder / "index.html"


def _template() -> Template:
    path = files("fernet_neuro.experiments") / "templates" / "index.html"
    return Template(path.read_text(encoding="utf-8"))


def _lead(folder: Path) -> str:
    """Return the answer in one sentence, from the numbers."""
    target = find_targets(folder)[0]
    rows = headline_rows(folder, target)
    first, controls = rows[0], {row.network: row for row in rows if row.is_control}
    beside = [f"chance is {first.chance:.1f} %"]
    beside += [f"{_CONTROL_WORDS[name]} {row.value:.1f} %" for name, row in controls.items()]
    text = (
        f"From layer {first.layer} of the {first.label.lower()}, a linear read-out names the {target} "
        f"({first.n_classes} classes, {first.holdout}) with a balanced accuracy of {first.value:.1f} % "
        f"[{first.low:.1f}, {first.high:.1f}]; {', '.join(beside)}."
    )
    return escape(text)


_CONTROL_WORDS = {"untrained": "its untrained twin reaches", "pixels": "pixels reach"}


def _headline_section(folder: Path) -> Section:
    parts, layers, intervals = [], [], []
    for target in find_targets(folder):
        rows = headline_rows(folder, target)
        layers += [row.layer for row in rows if row.network != "pixels"]
        intervals += [f"{row.interval} ({target})" for row in rows[:1]]
        parts.append(
            f"<h3>{escape(target.capitalize())} read-out, {escape(rows[0].holdout)} "
            f"({rows[0].n_classes} classes, chance {rows[0].chance:.1f} %)</h3>"
        )
        items = "".join(
            f"<li><b>{row.value:.1f} %</b><span>{escape(row.label)}</span>"
            f"<span>95 %: {row.low:.1f} to {row.high:.1f}</span><span>{escape(row.p_text)}</span></li>"
            for row in rows
        )
        parts.append(f'<ul class="numbers">{items}</ul>')
    parts.append(
        f'<p class="soft">Balanced accuracy of one layer that was fixed beforehand ('
        f"{escape(', '.join(dict.fromkeys(layers)))}), not chosen by its score. 95 % intervals are over "
        f"{escape(', '.join(intervals))}; p-values come from label permutations.</p>"
    )
    return Section("numbers", "Headline numbers", "\n".join(parts))


def show_figures(folder: Path, *, leave_out: Collection[str] = ()) -> Section:
    """Return the section with all figures of a results folder but those to leave out."""
    pictures = sorted((folder / "figures").glob("*.png"))
    found = {path.stem: path for path in pictures if path.stem not in leave_out}
    names = [name for name in _FIGURE_ORDER if name in found]
    names += [name for name in found if name not in names]
    return Section("figures", "Figures", "\n".join(_figure(found[name]) for name in names))


def _figure(path: Path) -> str:
    """Return one embedded picture with its caption and links."""
    with Image.open(path) as image:
        heading = str(image.info.get("Title", path.stem))
        width, height = image.size
    note = path.with_suffix(".txt")
    caption = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    links = [
        f'<a href="figures/{escape(path.stem)}{suffix}">{label}</a>'
        for suffix, label in ((".pdf", "PDF"), (".png", "PNG"), (".csv", "source data (CSV)"))
        if path.with_suffix(suffix).is_file()
    ]
    alt = f"Figure: {heading}. {caption.split('. ')[0]}".strip()
    return (
        f'<figure id="figure-{escape(path.stem)}"{"" if width >= _WIDE_PX else _NARROW}>\n'
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{escape(alt)}">\n'
        f"<figcaption><strong>{escape(heading)}.</strong> {escape(caption)} {' · '.join(links)}"
        f"</figcaption>\n"
        f"</figure>"
    )


_NARROW = ' class="narrow"'


def _table_section(folder: Path) -> Section:
    parts = [
        f"<details open><summary>{target.capitalize()} read-out by layer</summary>"
        + format_table(layer_table(folder, target), "Balanced accuracy (%) [95 % interval]")
        + "</details>"
        for target in find_targets(folder)
    ]
    parts.append(
        '<p class="soft">* p &lt; .05, corrected for the number of layers (maximum statistic). '
        "Untrained: the twin of the network with random weights. Control task: labels drawn at random, so "
        "that a read-out succeeds only by learning them by heart. Where folds hold out whole items it has no "
        "answer, so its folds hold out sessions or views; selectivity_holdout in summary.json names it.</p>"
    )
    links = [
        f'<a href="probes/{escape(network)}/{target}/{name}">{escape(network)}, {target}: {name}</a>'
        for target in find_targets(folder)
        for network in find_networks(folder, target)
        for name in ("results.csv", "summary.json", "confusion.csv")
        if (folder / "probes" / network / target / name).is_file()
    ]
    listed = "".join(f"<li>{link}</li>" for link in links)
    parts.append(f"<details><summary>All result files</summary><ul>{listed}</ul></details>")
    return Section("tables", "Tables", "\n".join(parts))


def _pathways_section(folder: Path) -> Section:
    """Return what came out of the dual pathway; empty where it was not asked for."""
    body = []
    if has_pathways(folder):
        pictures = [folder / "figures" / f"{name}.png" for name in _PATHWAY_FIGURES]
        figures = [_figure(path) for path in pictures if path.is_file()]
        body = [describe_pathways(folder), *figures, pathway_tables(folder)]
    return Section("pathways", "The dual pathway: emotion and non-emotion features", "\n".join(body))


def _brain_section(folder: Path) -> Section:
    """Return what came out of the simulated group; empty where it was not asked for."""
    body = []
    if has_brain(folder):
        pictures = [folder / "figures" / f"{name}.png" for name in _BRAIN_FIGURES]
        figures = [_figure(path) for path in pictures if path.is_file()]
        body = [describe_brain(folder), *figures, brain_tables(folder)]
    return Section("brain", "Networks against a simulated brain", "\n".join(body))


def _list_placed(folder: Path) -> list[str]:
    """Return the figures that stand in a section of their own."""
    return [
        *(_PATHWAY_FIGURES if has_pathways(folder) else ()),
        *(_BRAIN_FIGURES if has_brain(folder) else ()),
    ]


def show_material(folder: Path) -> Section:
    """Return the section on the stimuli and the training runs of a results folder."""
    tables: list[tuple[pd.DataFrame, str]] = [
        (describe_stimuli(folder), "Stimuli"),
        (training_table(folder), "Training, last epoch"),
    ]
    parts = [format_table(frame, caption) for frame, caption in tables if len(frame)]
    return Section("material", "Stimuli and training", "\n".join(parts))


def show_settings(folder: Path, figures: str = "all") -> Section:
    """Return the section with the recipe of a results folder and how to run it, or its `figures`, again."""
    name, recipe = escape(folder.name or "demo"), folder / "recipe.yaml"
    commands = [
        f"fernet-neuro run {name}/recipe.yaml --out {name}-again     # everything, from the settings below",
        f"fernet-neuro figures build {figures} --results {name}            # the figures alone",
    ]
    body = (
        f"<pre><code>{chr(10).join(commands if recipe.is_file() else commands[1:])}</code></pre>"
        f'<p class="soft">Version {escape(__version__)}. Every training run keeps its settings and the '
        f"versions of what it ran with in <code>runs/</code>.</p>"
    )
    if recipe.is_file():
        text = escape(recipe.read_text(encoding="utf-8").strip())
        body += f"<details><summary>Settings (recipe.yaml)</summary><pre><code>{text}</code></pre></details>"
    return Section("reproduce", "Settings and how to reproduce", body)
