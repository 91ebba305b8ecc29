"""Files that come with the package and go by a name: recipes such as ``crpn/table3``, and trained networks.

What belongs here: names and where they lead; sets of stimuli are in `stimuli.shipped`.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from fernet_neuro._utils.cache import cache_folder
from fernet_neuro._utils.validation import suggest
from fernet_neuro.catalogue import System, list_places, list_systems
from fernet_neuro.typing import PathLike

PACKAGE = Path(__file__).resolve().parents[1]
#: Folder of recipes, in this package and in those that bring systems.
RECIPES = "recipes"
#: Folder of the recipes of single trainings, which names leave out.
TRAININGS = "train"
#: Folder of trained networks in packages that bring systems.
TRAINED = "trained"


def list_recipes() -> dict[str, Path]:
    """Return the built-in recipes by name, and those of systems of other packages behind the system's name.

    Examples
    --------
    >>> list_recipes()["crpn/table3"].name
    'table3.yaml'
    >>> list_recipes()["expression"].parent.name
    'train'
    """
    found = {}
    for prefix, root in _list_roots():
        for path in sorted(root.rglob("*.yaml")):
            parts = [prefix, *path.relative_to(root).with_suffix("").parts]
            found["/".join(part for part in parts if part not in ("", TRAININGS))] = path
    return found


def _list_roots() -> Iterator[tuple[str, Path]]:
    """Yield what the names of recipes begin with, and the folder of the recipes."""
    yield "", PACKAGE / RECIPES
    for system in list_systems().values():
        for place in list_folders(system, system.recipes):
            yield system.name, place / RECIPES


def list_folders(system: System, package: str) -> list[Path]:
    """Return where a package of a system lies; nowhere if its name is empty.

    Raises ValueError if there is no such package.
    """
    try:
        spec = find_spec(package) if package else None
    except ModuleNotFoundError:  # a parent is missing
        spec = None
    if package and (spec is None or not spec.submodule_search_locations):
        raise ValueError(
            f"system {system.name!r}: there is no package {package!r}, whose files it brings; mend or "
            f"uninstall what names it."
        )
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []


def list_trained() -> dict[str, Path]:
    """Return the run folders of the trained networks that come with systems, by name.

    Raises
    ------
    ValueError
        If a name is also that of a registered network, or two systems bring it.
    """
    found: dict[str, Path] = {}
    for system in list_systems().values():
        for package in list_folders(system, system.trained):
            for record in sorted((package / TRAINED).glob("*/record.json")):
                name = record.parent.name
                if name in found or name in list_places("networks"):
                    raise ValueError(
                        f"system {system.name!r} brings a trained network {name!r}, and there is another "
                        f"network of that name; rename it, or uninstall one of the packages."
                    )
                found[name] = record.parent
    return found


def find_trained(source: object) -> Path | None:
    """Return the run folder of the trained network that `source` names, shipped with a system or fetched.

    Raises ValueError if it is a published one that must be fetched first.
    """
    name = str(source)
    fetched = place_fetched(name)
    if is_fetched(name):
        return fetched
    if name in list_places("weights"):
        raise ValueError(
            f"the weights of {name} are not here yet; get them with: fernet-neuro models fetch {name}"
        )
    return list_trained().get(name)


def place_fetched(name: str) -> Path:
    """Return the folder in the user's cache where `fernet-neuro models fetch` puts the network `name`."""
    return cache_folder() / "networks" / quote(name, safe="@")


def is_fetched(name: str) -> bool:
    """Return whether the network `name` was fetched."""
    return (place_fetched(name) / "record.json").is_file()


def find_recipe(source: PathLike) -> Path:
    """Return the file of the recipe that `source` names: a path, or a built-in name.

    Raises ValueError if it is neither.
    """
    return find_shipped(source, list_recipes(), "recipe")


def describe_recipe(path: Path) -> str:
    """Return the first sentence of a recipe's comment, cut to a line.

    Examples
    --------
    >>> describe_recipe(list_recipes()["identification"])
    'Who is shown: cross-entropy over the people of a stimulus table.'
    """
    comment = re.match(r"(#.*\n)*", path.read_text(encoding="utf-8"))
    text = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
    return textwrap.shorten(re.split(r"(?<=[.?])(?<!al\.) ", text)[0], 110, placeholder=" ...")


def find_shipped(source: PathLike, shipped: Mapping[str, Path], kind: str) -> Path:
    """Return the file at the path `source`, or what is shipped under that name; the path comes first.

    `shipped`: what is built in, by name. `kind`: what it is, for the message. Raises ValueError if it is
    neither; the message lists the names.
    """
    path = Path(source)
    if path.is_file():
        return path
    if path.as_posix() in shipped:
        return shipped[path.as_posix()]
    close = suggest(path.with_suffix("").as_posix(), shipped) or suggest(path.stem, shipped)
    raise ValueError(
        f"{kind} {source} does not exist.{close} Give a file, or a built-in name: {', '.join(shipped)}."
    )
