"""What pages of results are made of: sections, pictures with their captions, stimuli, settings.

What belongs here: reading what is in the folder and giving it to templates, which hold all words and markup
(``templates/*.html.j2``) and in which all text is escaped; nothing is computed anew.
"""

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from fernet_neuro import __version__
from fernet_neuro._utils.atomic import write_text
from fernet_neuro.experiments import page_tables as tables

#: Pixels of a picture, at 300 dpi, to one of the page, so that letters are of one size in all pictures.
_PIXELS_TO_ONE = 2
_HERE = "fernet_neuro.experiments"


@dataclass(frozen=True)
class Section:
    """One section of a page.

    Parameters
    ----------
    anchor, heading : str
    body : Markup
        What `render` gave; a section without any is not shown.
    figures : tuple of str
        Figures that stand in this section, and not among the others.
    """

    anchor: str
    heading: str
    body: Markup
    figures: tuple[str, ...] = ()


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys((package, _HERE))]),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= tables.FILTERS
    return environment


def render(template: str, package: str = _HERE, **context: Any) -> Markup:
    """Return a template of the folder ``templates`` of `package`, filled; text is escaped in ``.html.j2``.

    Templates find those of this package beside their own, such as ``macros.html.j2``.
    """
    return Markup(_environment(package).get_template(template).render(context))


def write_sections(folder: Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write ``index.html`` into `folder`: a heading, a sentence, and the sections that say anything."""
    shown = [section for section in sections if section.body.strip()]
    page = render("page.html.j2", title=title, lead=lead, sections=shown, version=__version__)
    write_text(folder / "index.html", page)
    return folder / "index.html"


def show_figures(folder: Path, *, first: Sequence[str] = (), leave_out: Collection[str] = ()) -> Section:
    """Return the section with all figures of a results folder but those to leave out; `first` come first."""
    found = [path.stem for path in sorted((folder / "figures").glob("*.png")) if path.stem not in leave_out]
    names = [name for name in first if name in found]
    names += [name for name in found if name not in names]
    body = render("figures.html.j2", pictures=read_pictures(folder, names))
    return Section("figures", "Figures", body)


def read_pictures(folder: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return those of the named figures that are in a results folder, as ``macros.html.j2`` shows them."""
    paths = [folder / "figures" / f"{name}.png" for name in names]
    return [_read_picture(path) for path in paths if path.is_file()]


def _read_picture(path: Path) -> dict[str, Any]:
    with Image.open(path) as image:
        heading, (width, height) = str(image.info.get("Title", path.stem)), image.size
    note = path.with_suffix(".txt")
    links = ((".pdf", "PDF"), (".png", "PNG"), (".csv", "source data (CSV)"))
    return {
        "name": path.stem,
        "heading": heading,
        "caption": note.read_text(encoding="utf-8").strip() if note.is_file() else "",
        "data": base64.b64encode(path.read_bytes()).decode("ascii"),
        "width": width,
        "height": height,
        "shown_px": width // _PIXELS_TO_ONE,
        "links": [link for link in links if path.with_suffix(link[0]).is_file()],
    }


def show_material(folder: Path) -> Section:
    """Return the section on the stimuli and the training runs of a results folder."""
    frames = {
        "Stimuli": tables.describe_stimuli(folder),
        "Training, last epoch": tables.training_table(folder),
    }
    return Section("material", "Stimuli and training", render("material.html.j2", tables=frames))


def show_settings(folder: Path, figures: str = "all") -> Section:
    """Return the section with the recipe of a results folder and how to run it, or its `figures`, again."""
    path = folder / "recipe.yaml"
    recipe = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    name = folder.name or "demo"
    body = render("reproduce.html.j2", name=name, recipe=recipe, figures=figures, version=__version__)
    return Section("reproduce", "Settings and how to reproduce", body)


def list_links(folder: Path, names: Sequence[str]) -> list[str]:
    """Return those of the named files that are in a results folder."""
    return [name for name in names if (folder / name).is_file()]
