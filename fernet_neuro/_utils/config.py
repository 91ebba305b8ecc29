"""Settings: frozen pydantic models read from YAML, with ``--set key=value`` on top and wrong keys refused."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fernet_neuro._utils.foreign import decode_text
from fernet_neuro._utils.paths import lead_to
from fernet_neuro._utils.shipped import find_recipe
from fernet_neuro._utils.validation import suggest
from fernet_neuro.typing import PathLike

#: What a path in a recipe begins with that leads from the recipe's own folder.
HERE = "$here/"


class Settings(BaseModel):
    """Base of all recipes: immutable; an unknown key, and a number that is not finite, is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S], path: PathLike | None = None, overrides: Iterable[str] = ()) -> S:
    """Read `kind` from a YAML file, then apply ``a.b=value`` overrides (values are YAML too).

    Raises ValueError if the file is missing or no YAML mapping, or a key or value is wrong; the message names
    the key.
    """
    source = f"recipe {path}" if path is not None else "settings"
    return _validate(kind, read_recipe(path, overrides), source)


def fill_settings(
    kind: type[S], recipe: S | Mapping[str, Any] | PathLike | None, changes: Mapping[str, Any]
) -> S:
    """Return the settings that `recipe` is, names or holds, with keys by name on top.

    Raises
    ------
    ValueError
        As `read_settings`.

    Examples
    --------
    >>> class Bench(Settings):
    ...     height: float = 1.0
    >>> fill_settings(Bench, {"height": 2}, {}).height, fill_settings(Bench, None, {"height": 3}).height
    (2.0, 3.0)
    """
    if isinstance(recipe, Settings):
        if isinstance(recipe, kind) and not changes:
            return recipe
        values = recipe.model_dump(exclude_unset=True)
    else:
        values = dict(recipe) if isinstance(recipe, Mapping) else read_recipe(recipe)
    return _validate(kind, merge_values(values, dict(changes)), "settings")


def _validate(kind: type[S], values: dict[str, Any], source: str) -> S:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        # Unknown keys first: a misspelt key is often why another one is missing.
        faults = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        raise ValueError(f"{source}: " + "; ".join(_explain(kind, item) for item in faults)) from None


def read_recipe(path: PathLike | None, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Return the plain values of a YAML recipe, with its bases filled in and ``a.b=value`` overrides on top.

    `path` is a file or the name of a built-in recipe, such as ``crpn/table3``. Any mapping in a recipe may
    name another one as its ``base``, a file relative to its own or a built-in name: it then has all that the
    other has, and its own keys, which win, key by key in mappings and as a whole in all else. Paths that
    begin with ``$here/`` lead from the folder of the file that has them, and are returned as absolute ones.

    Raises ValueError if a file is missing, is no YAML mapping or is its own base, or an override is not of
    that form.
    """
    values = _read_yaml(find_recipe(path)) if path is not None else {}
    for override in overrides:
        _apply_override(values, override)
    return values


def read_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """Return ``a.b=value`` texts as nested values, each value read as YAML.

    Raises ValueError if one is not of that form.
    """
    return read_recipe(None, overrides)


def write_settings(settings: Settings, path: PathLike) -> None:
    """Write `settings` as YAML, complete or not at all; see `keep_ways` for the paths in it."""
    from fernet_neuro._utils.atomic import write_text

    values = keep_ways(settings.model_dump(mode="json"), Path(path).parent)
    write_text(path, yaml.safe_dump(values, sort_keys=False))


def keep_ways(values: dict[str, Any], folder: PathLike) -> dict[str, Any]:
    """Return plain values as they are kept in `folder`, with ``$here/../faces.csv`` for a path.

    What is kept says nothing of the owner's machine, and holds from any working folder, and where all was
    moved together. A single word stays, as it may be a name, and so does what leads to nothing.
    """
    here = str(Path(folder).resolve())

    def keep(text: str) -> str:
        path = Path(text)
        is_path = path.suffix or len(path.parts) > 1
        if not (is_path and os.path.exists(text)):  # noqa: PTH110 - texts that are too long for a path
            return text
        way = lead_to(str(path.parent.resolve() / path.name), here)  # a link itself stays
        return text if Path(way).is_absolute() else HERE + way

    return _change_texts(values, keep)


def _follow_ways(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return plain values out of a file in `folder` with absolute paths for those that lead from there."""
    here = folder.resolve()

    def follow(text: str) -> str:
        return os.path.normpath(here / text.removeprefix(HERE)) if text.startswith(HERE) else text

    return _change_texts(values, follow)


def _change_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return nested values in which every text, keys apart, is changed."""
    if isinstance(value, dict):
        return {key: _change_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_change_texts(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _read_yaml(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in above:
        raise ValueError(f"recipe {path} is its own base; take the key `base` out of one of the files.")
    try:
        values = yaml.safe_load(decode_text(path.read_bytes()))
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise ValueError(f"recipe {path} is not valid YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"recipe {path} must be a mapping of keys to values; got {type(values).__name__}.")
    return _fill_bases(_follow_ways(values, path.parent), path, (*above, path.resolve()))


def _fill_bases(values: dict[str, Any], path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """Return `values` with what the file that a mapping names as its ``base`` has and the mapping lacks."""
    filled = {
        key: _fill_bases(value, path, above) if isinstance(value, dict) else value
        for key, value in values.items()
        if key != "base"
    }
    if "base" not in values:
        return filled
    if not isinstance(values["base"], str):
        raise ValueError(f"recipe {path}: base must be the name of a file; got {values['base']!r}.")
    beside = path.parent / values["base"]
    base = beside if beside.is_file() else find_recipe(values["base"])
    return merge_values(_read_yaml(base, above), filled)


def merge_values(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return nested values with the keys of both; those of `above` win.

    Examples
    --------
    >>> merge_values({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    both = {
        key: merge_values(below[key], value)
        if isinstance(value, dict) and isinstance(below.get(key), dict)
        else value
        for key, value in above.items()
    }
    return {**below, **both}


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {override!r} must have the form key=value, such as --set epochs=5.")
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ValueError(f"--set {override!r}: {parent!r} is a single value and has no keys below it.")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {override!r} is not valid YAML: {' '.join(str(error).split())}") from None


def _explain(kind: type[Settings], item: Any) -> str:
    """Return one validation error as a sentence with the key's path and the nearest valid key."""
    key = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r}.{suggest(str(item['loc'][-1]), _all_keys(kind))}"
    if item["type"] == "missing":
        return f"{key!r} is missing."
    if not key:  # a rule about several keys; its input is the whole recipe
        return message
    got = item.get("input")
    return f"{key!r}: {message}" + ("" if isinstance(got, dict) else f" (got {got!r})")


def _all_keys(kind: type[BaseModel]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        yield name
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                for model in (inner, *inner.__subclasses__()):  # sections of tasks have a base in common
                    yield from _all_keys(model)
