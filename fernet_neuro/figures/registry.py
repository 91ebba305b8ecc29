"""The figures by name, and the one way to write them: PDF, PNG, source-data CSV and caption."""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from textwrap import shorten

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro import __version__
from fernet_neuro._utils.atomic import atomic_file, write_text
from fernet_neuro._utils.tables import to_csv
from fernet_neuro._utils.validation import check_option
from fernet_neuro.catalogue import GENERAL, list_systems
from fernet_neuro.exceptions import FernetError, StoreError
from fernet_neuro.figures.spec import FIGURES, FigureSpec
from fernet_neuro.typing import PathLike
from fernet_neuro.viz.style import Look, style

#: Kinds of pictures.
FORMATS = ("pdf", "png", "svg")
#: What is said of a failure that is not ours has at most so many letters.
_MOST_LETTERS = 160
#: Commands whose results figures are made from.
_MAKERS = "run, probe, embed, evaluate, rsa or brain searchlight"


def build_figure(
    name: str,
    results: PathLike,
    out: PathLike,
    *,
    look: Look | None = None,
    formats: Sequence[str] = ("pdf", "png"),
) -> list[Path]:
    """Draw the figure `name` from the folder `results` and write it to the folder `out`.

    The same results give the same bytes: no dates, no host names, no random numbers.

    `look`: width, font and palette; None for the figure's own. `formats`: of "pdf", "png" and "svg".

    Returns
    -------
    list of Path
        ``NAME.pdf`` (text stays text), ``NAME.png`` (300 dpi), ``NAME.csv`` (what is drawn, tidy)
        and ``NAME.txt`` (the caption).

    Raises
    ------
    ValueError
        If there is no such figure; the message suggests the closest name.
    StoreError
        If a result is missing or damaged; the message says how to make it.

    Examples
    --------
    >>> import tempfile
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    >>> maps = fn.embed("resnet10-slim", faces, layers=["layer1"], size=32, n_permutations=19)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = fn.build_figure("embedding-maps", maps.save(folder), folder)
    >>> [path.suffix for path in files]
    ['.pdf', '.png', '.csv', '.txt']
    """
    check_option("figure", name, FIGURES)
    for one in formats:
        check_option("format", one, FORMATS)
    spec, folder = FIGURES[name], Path(results)
    if not spec.needs:
        _check_folder(folder)
    source = spec.read(folder)  # says which recipe or command makes what is missing
    with style(look=look):
        return write_figure(spec, source, spec.draw(source, folder), Path(out), formats)


def find_buildable(results: PathLike) -> list[str]:
    """Return the figures of whose results something is in the folder, and diagrams of their systems.

    Raises
    ------
    StoreError
        If there is no such folder; the message names the commands that make results.
    """
    folder = Path(results)
    _check_folder(folder)
    found = [name for name, spec in FIGURES.items() if _has_results(spec, folder)]
    systems = _find_systems(folder, found)
    return [name for name, spec in FIGURES.items() if name in found or (not spec.needs and name in systems)]


def build_all(
    results: PathLike,
    out: PathLike,
    *,
    look: Look | None = None,
    formats: Sequence[str] = ("pdf", "png"),
) -> tuple[list[str], dict[str, str]]:
    """Build the figures that a folder has results for; return their names, and why others were left out.

    A figure that fails, whatever raised it, costs no other.

    `look`, `formats`: as in `build_figure`.

    Raises
    ------
    StoreError
        If there is no such folder.
    ValueError
        If a format is not known.
    """
    for one in formats:
        check_option("format", one, FORMATS)
    names = find_buildable(results)
    if names:
        Path(out).mkdir(parents=True, exist_ok=True)  # refused by the system once, not once a figure
    built, left_out = [], {}
    for name in names:
        try:
            build_figure(name, results, out, look=look, formats=formats)
        except Exception as error:
            left_out[name] = _say_why(error)
        else:
            built.append(name)
    return built, left_out


def _say_why(error: Exception) -> str:
    """Return why a figure failed in one short line; errors that are not ours say their kind."""
    words = " ".join(str(error).split())
    if isinstance(error, FernetError):
        return words
    if not isinstance(error, ValueError) or not words:
        words = f"{type(error).__name__}: {words}".removesuffix(": ")
    return shorten(words, _MOST_LETTERS, placeholder=" ...")


def list_files(name: str, out: Path) -> list[Path]:
    """Return the files of a built figure, pictures first."""
    found = [out / f"{name}{suffix}" for suffix in (".pdf", ".png", ".svg", ".csv", ".txt")]
    return [path for path in found if path.is_file()]


def _find_systems(folder: Path, found: Collection[str]) -> set[str]:
    """Return the figures of systems that the folder has figures of, or whose parts its recipe names."""
    path = folder / "recipe.yaml"
    words = set(re.findall(r"[\w.-]+", path.read_text(encoding="utf-8"))) if path.is_file() else set()
    systems = [
        system
        for system in list_systems().values()
        if system is not GENERAL
        and (
            system.figures.keys() & set(found)
            or words & {*system.networks, *system.tasks, *system.experiments}
        )
    ]
    return {name for system in systems for name in system.figures}


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise StoreError(
            f"results folder {folder} does not exist; make it with fernet-neuro {_MAKERS} and --out {folder} "
            f"(`fernet-neuro figures list` says what each figure is made from)."
        )


def _has_results(spec: FigureSpec, folder: Path) -> bool:
    return any(next(folder.glob(need), None) is not None for need in spec.needs) and _applies(spec, folder)


def _applies(spec: FigureSpec, folder: Path) -> bool:
    """Return whether the results hold what is drawn; where that cannot be found out, drawing says why."""
    try:
        return spec.applies is None or spec.applies(folder)
    except Exception:
        return True


def write_figure(
    spec: FigureSpec, source: pd.DataFrame, figure: Figure, out: Path, formats: Sequence[str]
) -> list[Path]:
    """Write a drawn figure, its numbers (.csv) and its caption (.txt), and return their paths."""
    lay_out(figure)
    writers: dict[str, Callable[[Path], object]] = {
        # Dates in the files would make two builds of the same results differ.
        ".pdf": lambda path: figure.savefig(
            path, metadata={"Title": spec.title, "Creator": _SOFTWARE, "Producer": None, "CreationDate": None}
        ),
        ".png": lambda path: figure.savefig(path, metadata={"Title": spec.title, "Software": _SOFTWARE}),
        ".svg": lambda path: figure.savefig(
            path, metadata={"Title": spec.title, "Creator": _SOFTWARE, "Date": None}
        ),
        ".csv": lambda path: to_csv(source, path, float_format="%.10g"),
    }
    writers = {suffix: write for suffix, write in writers.items() if suffix[1:] in (*formats, "csv")}
    written = [out / f"{spec.name}{suffix}" for suffix in (*writers, ".txt")]
    for path, write in zip(written, writers.values(), strict=False):
        with atomic_file(path) as temporary:
            write(temporary)
    write_text(written[-1], spec.caption(source) + "\n")
    return written


def lay_out(figure: Figure) -> None:
    """Place all panels for good, so that all kinds of pictures show the same.

    Panels of a fixed shape are in their place at the second time only: labels around them may leave the page
    before.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        engine.execute(figure)
        # With an engine, even one that does nothing more, each picture would be drawn twice.
        figure.set_layout_engine(None)


_SOFTWARE = f"fernet-neuro {__version__}"
