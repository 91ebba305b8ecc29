"""Tables that others wrote: R, spreadsheets, BIDS tools, SPM; what would be read wrongly is refused.

What belongs here: encoding, delimiter, width and gaps of one text table; what its columns mean is for the
caller to know. Our own tables are in `tables`.
"""

import csv
import io
import re
import unicodedata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.tables import unescape_formulas
from fernet_neuro.typing import PathLike

_SPACES = r"\s+"
#: The delimiter of a suffix; another one is taken where the heading has none of these.
_DELIMITERS = {".csv": ",", ".txt": _SPACES, ".1d": _SPACES, ".par": _SPACES}
_OTHERS = (";", "\t", ",")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: A text in quotes, or a cell that is NA without them: R quotes text, and not its missing values.
_CELLS = r'"(?:[^"]|"")*"|(?<![^{0}\n])NA(?![^{0}\r\n])'
_GAP = "\x01"
_DECIMAL = re.compile(r"-?\d+(,\d+)?")
_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+")


def read_foreign(path: PathLike, *, names: list[str] | None = None) -> pd.DataFrame:
    """Return a text table, all of whose cells are text; absent ones are empty.

    Read are UTF-8 and UTF-16; commas, tabs, semicolons or (``.txt``, ``.1D``, ``.par``) spaces between
    columns; rows of R with their names in front, and rows that end in a delimiter, under a heading one field
    short; R's unquoted ``NA`` among quoted text, which is a gap; and numbers with a decimal comma.

    Parameters
    ----------
    path : path
    names : list of str or None
        The columns of a table without heading.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is in another encoding, rows and heading do not go together, or two columns have one name.
    """
    text = decode_text(Path(path).read_bytes())
    text, delimiter = _find_delimiter(text, Path(path).suffix.lower())
    marked = _mark_missing(text, delimiter)
    if names is not None:
        marked = (" " if delimiter == _SPACES else delimiter).join(names) + "\n" + marked
    frame = _fit_heading(_parse(marked, delimiter), marked, delimiter)
    if marked != text:
        frame = frame.replace(_GAP, "")
    return (frame if delimiter == "," else frame.apply(_read_decimal_commas)).apply(unescape_formulas)


def decode_text(content: bytes) -> str:
    """Return the text of a file in UTF-8 or, with its mark, UTF-16.

    Raises
    ------
    ValueError
        If it is in another encoding; the message says where, and how to convert it.
    """
    if content.startswith(_UTF16):
        return content.decode("utf-16")
    if 4 * content.count(b"\0") > len(content):
        raise ValueError("it is UTF-16 without its mark, or no text; save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} is not UTF-8 (byte 0x{content[error.start]:02x}), but perhaps Windows-1252; save "
            f"it as 'CSV UTF-8', or convert it: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW"
        ) from None


def read_rows(path: PathLike) -> list[list[str]]:
    """Return the rows of a text table, without blank ones, as they are.

    Raises
    ------
    OSError, ValueError
        As `read_foreign`.
    """
    text, delimiter = _find_delimiter(decode_text(Path(path).read_bytes()), Path(path).suffix.lower())
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [row for row in rows if row]
    except csv.Error as error:
        raise ValueError(str(error)) from None


def to_nfc(text: str) -> str:
    """Return text in the one Unicode form that labels have here: macOS writes names in another.

    Examples
    --------
    >>> to_nfc("Zoe\u0308") == "Zo\u00eb"
    True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def has_heading(path: PathLike) -> bool:
    """Return whether the first row of a table holds anything but numbers, as SPM's and FSL's do not."""
    text, delimiter = _find_delimiter(decode_text(Path(path).read_bytes()), Path(path).suffix.lower())
    first = next((line for line in text.splitlines() if line.strip()), "")
    return not all(map(_is_number, _split(first, delimiter)))


def _find_delimiter(text: str, suffix: str) -> tuple[str, str]:
    """Return the text without a spreadsheet's ``sep=`` line, and what stands between its columns."""
    named = re.match(r"sep=(.)\r?\n", text)
    if named:
        return text[named.end() :], named[1]
    usual = _DELIMITERS.get(suffix, "\t")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("it is empty.")
    if usual == _SPACES and "\t" in lines[0] and len({line.count("\t") for line in lines}) == 1:
        return text, "\t"  # spaces would close up empty cells
    if len(_split(lines[0], usual)) > 1:
        return text, usual
    return text, max((usual, *_OTHERS), key=lambda item: len(_split(lines[0], item)))


def _split(line: str, delimiter: str) -> list[str]:
    return line.split() if delimiter == _SPACES else next(csv.reader([line], delimiter=delimiter), [])


def _mark_missing(text: str, delimiter: str) -> str:
    """Return the text of R, which quotes its heading and all text, with a mark for its missing values."""
    heading = text.lstrip().split("\n", 1)[0].rstrip()
    separator = " " if delimiter == _SPACES else delimiter
    if not re.fullmatch(rf'"[^"]*"({re.escape(separator)}"[^"]*")*', heading) or _GAP in text:
        return text
    return re.sub(
        _CELLS.format(re.escape(separator)), lambda cell: _GAP if cell[0] == "NA" else cell[0], text
    )


def _parse(text: str, delimiter: str) -> pd.DataFrame:
    """Return all rows, the heading among them, with one column more than the first has."""
    options: dict[str, Any] = {
        "sep": delimiter, "header": None, "dtype": str, "na_filter": False, "index_col": False,
    }  # fmt: skip
    first: pd.DataFrame = pd.read_csv(io.StringIO(text, newline=""), nrows=1, **options)
    width = len(first.columns)
    names = list(range(width + 1))
    frame: pd.DataFrame = pd.read_csv(io.StringIO(text, newline=""), names=names, **options)
    short = np.flatnonzero((frame.iloc[:, -2] == "").to_numpy())
    if len(short) and delimiter == _SPACES:
        raise ValueError(f"row {short[0]} has fewer than the {width} fields of the first row.")
    return frame


def _fit_heading(frame: pd.DataFrame, text: str, delimiter: str) -> pd.DataFrame:
    """Return the rows below the heading; they may have one field more: a row's name, or an empty end."""
    names = frame.iloc[0, :-1].tolist()
    rows = frame.iloc[1:].reset_index(drop=True)
    first, filled = rows.iloc[:, 0], (rows.iloc[:, -1] != "").to_numpy()
    if len(rows) and filled.all() and first.is_unique:
        return _name_columns(rows.iloc[:, 1:], names)
    if filled.any():
        raise ValueError(
            f"row {np.flatnonzero(filled)[0] + 1} has more fields than the {len(names)} of the heading; does "
            f"a text with a delimiter in it lack its quotes?"
        )
    numbered = first.tolist() == [str(row) for row in range(1, len(rows) + 1)]
    if len(rows) and numbered and _count_fields(text, delimiter) > len(names):
        raise ValueError(
            f"rows have a field more than the heading: either a number in front, as R writes it (then name "
            f"it in the heading), or an empty end (then take the last {delimiter!r} off each row)."
        )
    return _name_columns(rows.iloc[:, :-1], names)


def _count_fields(text: str, delimiter: str) -> int:
    """Return how many fields the row below the heading has, empty ones too."""
    if delimiter == _SPACES:
        return 0
    rows = (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row)
    return len(next(islice(rows, 1, None), []))


def _name_columns(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return rows under their names, without empty columns that have none."""
    blank = [not name.strip() and not (rows.iloc[:, place] != "").any() for place, name in enumerate(names)]
    rows = rows.loc[:, [not item for item in blank]]
    kept = [name or f"Unnamed: {place}" for place, name in enumerate(names) if not blank[place]]
    repeated = next((name for name in kept if kept.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"two columns are called {repeated!r}; rename one of them.")
    return rows.set_axis(kept, axis=1)


def _read_decimal_commas(column: pd.Series) -> pd.Series:
    """Return a column of numbers with a comma before their decimals as Python writes them."""
    filled = [item for item in column if item]
    if not any("," in item for item in filled) or not all(map(_DECIMAL.fullmatch, filled)):
        return column
    if all("," not in item or _GROUPED.fullmatch(item) for item in filled):
        return column  # may be thousands
    return column.str.replace(",", ".", regex=False)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
