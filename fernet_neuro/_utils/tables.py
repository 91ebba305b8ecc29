"""Folders of tables: CSV files beside one JSON file, written complete or absent, labels read as they were.

What belongs here: how every table is written and read, and the form of its columns; what a table means is the
business of others. Text stays text, as a class may be called "NA" or "007"; only numbers may be empty.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import atomic_file, atomic_files
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike


def iterate_rows(frame: pd.DataFrame) -> Iterator[Any]:
    """Yield each row as a named tuple, whose values have the types of their columns."""
    return frame.itertuples(index=False)


def write_csv(frame: pd.DataFrame, path: PathLike) -> None:
    """Write `frame` without its index, complete or not at all."""
    with atomic_file(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


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
                table.to_csv(files[file], index=False, lineterminator="\n")
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
    except (ValueError, KeyError, TypeError, AttributeError, BadZipFile, EOFError, OSError) as error:
        said = " ".join(str(error).split())
        raise StoreError(f"{place} is damaged ({said}); make it again with: {command}") from error


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_text(path: PathLike, **options: Any) -> pd.DataFrame:
    """Return a CSV file as text, empty where there is none; `options` are those of ``pandas.read_csv``."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, **{"encoding": "utf-8", **options})


def read_mixed(path: PathLike, text: Iterable[str] = (), numbers: Iterable[str] | None = ()) -> pd.DataFrame:
    """Return a CSV file: columns in `text` are text; others in `numbers`, or None for all, may be empty."""
    empty: Any = [""] if numbers is None else {name: [""] for name in numbers}
    texts = list(text)
    frame = pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=empty)
    return frame.fillna(dict.fromkeys(texts, ""))


def parse(frame: pd.DataFrame, kinds: Mapping[str, type]) -> pd.DataFrame:
    """Turn text into the numbers that Python wrote, to the last bit; an empty float is NaN."""
    numbers = {
        name: [kind(text) if text or kind is int else np.nan for text in frame[name]]
        for name, kind in kinds.items()
        if kind is not str and name in frame
    }
    return frame.assign(**numbers)


def read_table(path: Path, columns: Mapping[str, type], *, is_filled: bool = True) -> pd.DataFrame:
    """Return a CSV file in the form of `as_typed`.

    Raises ValueError if it lacks a column or a number, or has no rows where it must; the message begins with
    its name.
    """
    try:
        frame = parse(read_text(path), columns)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    return as_typed(frame, columns, path.name, is_filled=is_filled)


def as_typed(
    frame: pd.DataFrame, columns: Mapping[str, type], name: str = "the table", *, is_filled: bool = True
) -> pd.DataFrame:
    """Return `frame` with `columns` first and of their types; others are text, behind any ``model``.

    Raises ValueError if a column is missing, or there are no rows where there must be.
    """
    absent = [column for column in columns if column not in frame]
    if absent or (is_filled and frame.empty):
        raise ValueError(f"{name} has no {f'column {format_options(absent)}' if absent else 'rows'}")
    order = list(columns)
    place = order.index("model") + 1 if "model" in order else len(order)
    order[place:place] = [str(column) for column in frame if column not in columns]
    # Text stays Python strings: the file cannot tell other kinds of text apart.
    typed = {
        column: to_text(frame[column]) if kind is str else frame[column].astype(kind)
        for column, kind in ((column, columns.get(column, str)) for column in order)
    }
    return pd.DataFrame(typed).reset_index(drop=True)


def to_text(column: pd.Series) -> pd.Series:
    """Return `column` as Python strings (dtype object); missing values become the empty string.

    Whole floats lose their ``.0``: pandas turns integers with a gap into floats, and identity 3 is not "3.0".
    """
    values = column.astype(object)
    missing = column.isna().to_numpy()
    text = ["" if gap else _label(value) for value, gap in zip(values, missing, strict=True)]
    return pd.Series(text, index=column.index, name=column.name, dtype=object)


def _label(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
