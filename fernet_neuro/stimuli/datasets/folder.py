"""Anybody's own photographs: class folders, labels in file names, or a CSV.

What belongs here: the three ways to label a folder of pictures that follows no published layout.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fernet_neuro._utils.foreign import read_foreign
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.report import LeftOut, Listing, lies_inside, list_files, sort_out
from fernet_neuro.stimuli.table import find_spelling
from fernet_neuro.typing import PathLike

#: Headings under which the file name is looked for in a CSV, in this order.
FILE_COLUMNS = ("path", "file", "filename", "image")

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def list_folder(
    src: Path,
    *,
    pattern: str | None = None,
    csv: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    folders_are: str = "expression",
) -> Listing:
    r"""List a folder of pictures, labelled in one of three ways.

    Without `pattern` and `csv`, pictures lie in class folders: ``SRC/<expression>/<picture>``.

    Parameters
    ----------
    src : path
        Folder of the pictures; nothing outside it is read.
    pattern : str, optional
        Where the labels stand in a picture's name without suffix (with folders, if the pattern has a ``/``).
        A template such as ``{identity}_{expression}``, in which a label never holds one of the template's own
        separators, or a regular expression with named groups, such as
        ``(?P<identity>\d+)_(?P<expression>\w+)``. The whole name must match.
    csv : path, optional
        Table with a row per picture: its file name, relative to `src`, under ``path``, ``file``, ``filename``
        or ``image``, and any factors; all columns are kept.
    columns : mapping of str to str, optional
        Our names of columns of `csv` that are called otherwise, such as ``{"identity": "person"}``.
    folders_are : str
        The factor that class folders stand for.

    Returns
    -------
    Listing
        Stimulus ids are the CSV's ``stimulus_id`` or the paths without suffix; rows are in sorted order of
        the paths, with a CSV in its order.

    Raises
    ------
    StimulusError
        If the pattern or the CSV cannot be used, or nothing is usable.
    ValueError
        If both `pattern` and `csv` are given.
    """
    if pattern is not None and csv is not None:
        raise ValueError("give either pattern or csv, not both.")
    if columns and csv is None:
        raise ValueError("columns renames columns of a CSV; give csv too.")
    if csv is not None:
        names, rows, left_out = _read_csv(src, Path(csv), dict(columns or {}))
    elif pattern is not None:
        names, rows, left_out = _read_pattern(src, pattern)
    else:
        names, rows, left_out = _read_class_folders(src, folders_are)
    return Listing(src, names, rows, left_out)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a template or of an expression with named groups.

    Raises
    ------
    StimulusError
        If it names no label, is not a valid expression, or two placeholders touch.

    Examples
    --------
    >>> compile_pattern("{identity}_{expression}").fullmatch("003_smiling").groupdict()
    {'identity': '003', 'expression': 'smiling'}
    >>> compile_pattern("{identity}_{expression}").fullmatch("a_b_smiling") is None
    True
    """
    expression = pattern if "(?P<" in pattern else _translate(pattern)
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise StimulusError(f"pattern {pattern!r} cannot be read: {error}.") from error
    if not compiled.groupindex:
        raise StimulusError(
            f"pattern {pattern!r} names no label; write {{identity}}_{{expression}} or named groups such as "
            f"(?P<identity>...)."
        )
    return compiled


def _translate(template: str) -> str:
    literals = _PLACEHOLDER.split(template)[::2]
    if any(part == "" for part in literals[1:-1]):
        raise StimulusError(f"pattern {template!r}: two placeholders touch; put a separator between them.")
    # A label holds no separator of the template, so a name with one too many is left out, not guessed at.
    separators = {character for part in literals for character in part if not character.isalnum()} | {"/"}
    label = f"[^{re.escape(''.join(sorted(separators)))}]+"
    parts = _PLACEHOLDER.split(template)
    return "".join(
        re.escape(part) if number % 2 == 0 else f"(?P<{part}>{label})" for number, part in enumerate(parts)
    )


def _read_class_folders(root: Path, factor: str) -> tuple[list[str], list[tuple], list[LeftOut]]:
    names, left_out = sort_out(root, list_files(root))
    rows = []
    for name in names:
        folders = name.split("/")[:-1]
        if len(folders) != 1:
            left_out.append((name, f"not in a class folder: expected <{factor}>/<picture>"))
            continue
        rows.append((strip_suffix(name), name, folders[0]))
    return ["stimulus_id", "path", factor], rows, left_out


def _read_pattern(root: Path, pattern: str) -> tuple[list[str], list[tuple], list[LeftOut]]:
    compiled = compile_pattern(pattern)
    labels = list(compiled.groupindex)
    names, left_out = sort_out(root, list_files(root))
    rows = []
    for name in names:
        plain = strip_suffix(name)
        match = compiled.fullmatch(plain if "/" in pattern else plain.rpartition("/")[2])
        if match is None:
            left_out.append((name, "no match: the name does not fit the pattern"))
            continue
        rows.append((plain, name, *(match[label] or "" for label in labels)))
    return ["stimulus_id", "path", *labels], rows, left_out


def _read_csv(
    root: Path, path: Path, columns: dict[str, str]
) -> tuple[list[str], list[tuple], list[LeftOut]]:
    frame = load_csv(path, columns)
    left_out: list[LeftOut] = []
    rows = []
    labels = [str(column) for column in frame if column not in ("stimulus_id", "path")]
    for record in frame.to_dict("records"):
        name = find_spelling(root, str(record["path"]).replace("\\", "/"))
        reason = find_path_fault(root, name)
        if reason:
            left_out.append((name, reason))
            continue
        stimulus_id = record.get("stimulus_id") or strip_suffix(name)
        rows.append((stimulus_id, name, *(record[label] for label in labels)))
    listed = {Path(row[1]).as_posix() for row in rows} | {name for name, _ in left_out}
    pictures, _ = sort_out(root, (name for name in list_files(root) if name not in listed))
    left_out += [(name, "not in the CSV") for name in pictures]
    return ["stimulus_id", "path", *labels], rows, left_out


def load_csv(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Return a CSV of labels as text, its file names under ``path``; `columns` are ours and their names.

    Raises StimulusError if it is missing, cannot be read, or lacks a column.
    """
    if not path.is_file():
        raise StimulusError(f"CSV {path} does not exist.")
    try:
        frame = read_foreign(path)
    except ValueError as error:  # pandas' parser and encoding errors are all ValueErrors
        raise StimulusError(f"CSV {path} cannot be read: {error}") from error
    for ours, theirs in columns.items():
        if theirs not in frame:
            raise StimulusError(
                f"CSV {path} has no column {theirs!r}; it has: {format_options(frame)}."
                f"{suggest(theirs, frame)}"
            )
        if ours in frame and ours != theirs:
            raise StimulusError(f"CSV {path} already has a column {ours!r}; {theirs!r} cannot take its name.")
    frame = frame.rename(columns={theirs: ours for ours, theirs in columns.items()})
    found = next((column for column in FILE_COLUMNS if column in frame), None)
    if found is None:
        raise StimulusError(
            f"CSV {path} has no column of file names ({', '.join(FILE_COLUMNS)}); it has: "
            f"{format_options(frame)}. Name it with columns={{'path': NAME}} "
            f"(--column path=NAME)."
        )
    return frame.rename(columns={found: "path"})


def find_path_fault(root: Path, name: str) -> str:
    """Return why the file `name` below `root` cannot be taken, or an empty string."""
    if not name:
        return "no file name"
    if Path(name).is_absolute() or not lies_inside(root, name):
        return "outside the source folder: the path or link leaves it"
    if ".." in Path(name).parts:
        return "outside the source folder: write the path without '..'"
    if not (root / name).is_file():
        return "missing: no such file"
    return ""


def strip_suffix(name: str) -> str:
    """Return a path without its suffix, with forward slashes."""
    return Path(name).with_suffix("").as_posix()
