"""Folders of tables: CSV files beside one JSON file, written complete or absent, labels read as they were.

What belongs here: how every table is written and read, and the form of its columns; what a table means is the
business of others. Text stays text, as a class may be called "NA" or "007"; only numbers may be empty.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import atomic_file, atomic_files
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

#: With which a text begins that spreadsheets take for a formula, unless it is a number.
_FORMULA_SIGNS = tuple("=+-@\t\r")
_NUMBER = re.compile(r"[-+][\d.,]+(e[-+]?\d+)?", re.IGNORECASE)


def iterate_rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Yield each row as a named tuple, whose values have the types of their columns."""
    return frame.itertuples(index=False)


def write_csv(frame: pd.DataFrame, path: PathLike) -> None:
    """Write `frame` without its index, complete or not at all."""
    with atomic_file(path) as temporary:
        to_csv(frame, temporary)


def to_csv(frame: pd.DataFrame, path: PathLike | None = None, **options: Any) -> str | None:
    """Write `frame` as ``DataFrame.to_csv`` does, but with ``'`` before text that a spreadsheet would run."""
    safe = frame.copy(deep=False)
    for name in frame.columns[[kind.kind == "O" for kind in frame.dtypes]]:
        safe[name] = escape_formulas(frame[name])
    return safe.to_csv(path, **{"index": False, "lineterminator": "\n", **options})


def escape_formulas(column: pd.Series) -> pd.Series:
    """Return a column whose texts that a spreadsheet would run have ``'`` before them.

    Examples
    --------
    >>> escape_formulas(pd.Series(["=1+1", "-0.5", "fear", "'=x"])).tolist()
    ["'=1+1", '-0.5', 'fear', "''=x"]
    """
    return column.map(lambda item: f"'{item}" if isinstance(item, str) and _is_formula(item) else item)


def unescape_formulas(column: pd.Series) -> pd.Series:
    """Return what `escape_formulas` was given."""
    if column.dtype.kind != "O":
        return column
    return column.map(lambda item: unescape_formula(item) if isinstance(item, str) else item)


def unescape_formula(cell: str) -> str:
    """Return one cell that `escape_formulas` was given."""
    return cell[1:] if cell[:1] == "'" and _is_formula(cell[1:]) else cell


def _is_formula(text: str) -> bool:
    start = text.lstrip("'")
    return start[:1] in _FORMULA_SIGNS and not _NUMBER.fullmatch(start)


def save_tables(
    folder: PathLike, tables: Mapping[str, Any], content: object, *, name: str = "summary.json"
) -> Path:
    """Write tables (.csv), arrays (.npz) and `content` as JSON by file name into `folder`, and return it.

    All are written beside their names first and then renamed, the JSON last: where it lies, the others are
    whole. Other files in the folder stay.

    Raises ValueError if `content` holds a number that JSON lacks; nothing is written.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with atomic_files(folder, [*tables, name]) as files:
        for file, table in tables.items():
            if isinstance(table, pd.DataFrame):
                to_csv(table, files[file])
            else:
                np.savez_compressed(files[file], **table)
        files[name].write_text(text, encoding="utf-8")
    return Path(folder)


@contextmanager
def loading(folder: PathLike, files: Iterable[str], command: str) -> Iterator[Path]:
    """Yield the folder where all its files are there; what goes wrong then says that it is damaged.

    Raises StoreError if a file is missing or damaged; the message says by which command it is made again.
    """
    place = Path(folder)
    command = f"fernet-neuro {command} --out {place}"
    for name in files:
        if not (place / name).is_file():
            raise StoreError(f"{place / name} does not exist; make it with: {command}")
    try:
        yield place
    except Exception as error:  # whatever a damaged file makes of its reader
        said = " ".join(str(error).split())
        raise StoreError(f"{place} is damaged ({said}); make it again with: {command}") from error


def read_text(path: PathLike, **options: Any) -> pd.DataFrame:
    """Return a CSV file as text, empty where there is none; `options` are those of ``pandas.read_csv``."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, **{"encoding": "utf-8", **options})
    return frame.apply(unescape_formulas)


def read_mixed(path: PathLike, text: Iterable[str] = (), numbers: Iterable[str] | None = ()) -> pd.DataFrame:
    """Return a CSV file: columns in `text` are text; others in `numbers`, or None for all, may be empty."""
    empty: Any = [""] if numbers is None else {name: [""] for name in numbers}
    texts = list(text)
    frame = pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=empty)
    for name in (name for name in numbers or () if name in frame and frame[name].dtype.kind == "O"):
        try:
            parse(frame[[name]].fillna("").astype(str), {name: float})
        except ValueError as error:
            raise ValueError(f"{Path(path).name}: {error}") from None
    return frame.fillna(dict.fromkeys(texts, "")).apply(unescape_formulas)


def parse(frame: pd.DataFrame, kinds: Mapping[str, type]) -> pd.DataFrame:
    """Turn text into the numbers that Python wrote, to the last bit; an empty float is NaN.

    Raises ValueError if a text is none; the message says the row (the heading is the first) and column.
    """
    numbers = {
        name: [_parse(text, kind, row, name) for row, text in enumerate(frame[name], 2)]
        for name, kind in kinds.items()
        if kind is not str and name in frame
    }
    return frame.assign(**numbers)


def _parse(text: str, kind: type, row: int, column: str) -> float:
    try:
        return np.nan if kind is float and not text else kind(text)
    except ValueError:
        whole = "whole " if kind is int else ""
        raise ValueError(f"row {row} has {text!r} under {column!r}, which is no {whole}number") from None


def read_whole(path: Path, columns: Mapping[str, type] | None = None) -> pd.DataFrame:
    """Return a CSV file as text, and as numbers in the `columns` that are; None for text alone.

    Raises ValueError if a number is none, or the file ends within a row; the message begins with its name.
    """
    try:
        _check_end(path)
        return parse(read_text(path), columns or {})
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _check_end(path: Path) -> None:
    """Raise ValueError if the last row of a file is cut: it has no end and too few fields."""
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        rows = list(csv.reader(text.splitlines()))
        if len(rows[-1]) < len(rows[0]):
            raise ValueError(
                f"the file is cut in row {len(rows)}, which has {len(rows[-1])} of {len(rows[0])} fields"
            )


def read_table(path: Path, columns: Mapping[str, type], *, is_filled: bool = True) -> pd.DataFrame:
    """Return a CSV file in the form of `as_typed`.

    Raises ValueError if it lacks a column or a number, or has no rows where it must; the message begins with
    its name.
    """
    return as_typed(read_whole(path, columns), columns, path.name, is_filled=is_filled)


def as_typed(
    frame: pd.DataFrame, columns: Mapping[str, type], name: str = "the table", *, is_filled: bool = True
) -> pd.DataFrame:
    """Return `frame` with `columns` first and of their types; others are text, behind any ``model``.

    Raises ValueError if a column is missing or there twice, or there are no rows where there must be.
    """
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ValueError(f"{name} has two columns {str(twice[0])!r}")
    absent = [column for column in columns if column not in frame]
    if absent or (is_filled and frame.empty):
        raise ValueError(f"{name} has no {f'column {format_options(absent)}' if absent else 'rows'}")
    order = list(columns)
    place = order.index("model") + 1 if "model" in order else len(order)
    order[place:place] = [str(column) for column in frame if column not in columns]
    frame = frame.reset_index(drop=True)
    typed = {column: _as_kind(frame[column], columns.get(column, str)) for column in order}
    return pd.DataFrame(typed, index=frame.index)


def _as_kind(column: pd.Series, kind: type) -> pd.Series:
    if kind is str:  # Python strings: the file cannot tell other kinds of text apart
        return to_text(column)
    return column if column.dtype == kind else column.astype(kind)


def to_text(column: pd.Series) -> pd.Series:
    """Return `column` as Python strings (dtype object); missing values become the empty string.

    Whole floats lose their ``.0``: pandas turns integers with a gap into floats, and identity 3 is not "3.0".
    """
    values = column.to_numpy(dtype=object)
    text = ["" if gap else _label(value) for value, gap in zip(values, pd.isna(values), strict=True)]
    return pd.Series(text, index=column.index, name=column.name, dtype=object)


def _label(value: object) -> str:
    if type(value) is str:
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
