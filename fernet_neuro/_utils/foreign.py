"""Tables that others wrote: R, spreadsheets, BIDS tools, SPM; what would be read wrongly is refused.

What belongs here: encoding, delimiter, width and gaps of one text table; what its columns mean is for the
caller to know. Our own tables are in `tables`, the form of labels in `labels`.
"""

import csv
import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fernet_neuro._utils.labels import GAPS, PERHAPS_GAPS, note_alike, to_label
from fernet_neuro._utils.tables import unescape_formula
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import FernetWarning
from fernet_neuro.typing import PathLike

_SPACES = r"\s+"
#: The delimiter of a suffix; another one is taken where only that fits heading and rows.
_DELIMITERS = {".csv": ",", ".txt": _SPACES, ".1d": _SPACES, ".par": _SPACES}
_OTHERS = (";", "\t", ",", "|")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
#: A text in quotes, or a cell that is NA without them: R quotes text, and not its missing values.
_CELLS = r'"(?:[^"]|"")*"|(?<![^{0}\n])NA(?![^{0}\r\n])'
_GAP = "\x01"
#: White space between a closing quote and a delimiter.
_BEHIND_QUOTE = r'(?<!")"[ \u00a0]+(?=[{0}\r\n]|$)'
#: What R leaves without quotes where it quotes text: numbers, dates, truth values, missing ones.
_BARE = re.compile(rf"([+-]?[\d.:/ -]*\d([eE][+-]?\d+)?|NA|NaN|-?Inf|TRUE|FALSE|{_GAP})?", re.ASCII)
#: Cells that say nothing about whether a column holds numbers.
_NO_VALUES = frozenset((*GAPS, *PERHAPS_GAPS, _GAP))
_DECIMAL = re.compile(r"[+-]?\d*,?\d+([eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([,.]\d{3})+", re.ASCII)
#: A line that holds no row, as AFNI and NumPy write them; a name or number may begin with the sign alone.
_COMMENT = re.compile(r"^[ \t]*#(?=[ \t\r\n]|\Z)([^\r\n]*)", re.MULTILINE)
#: What a spreadsheet shows in place of a value: of a formula that failed, or in a column too narrow.
_FAILED = re.compile(r"#(REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!)|#{3,}")


class _Row(NamedTuple):
    """A row of a text table: its cells, the number of its first line, whether R may have written it.

    That is: its first cell is in quotes, and so is all its text. `lines` are its lines where there are
    several, else empty.
    """

    cells: list[str]
    line: int = 0
    is_of_r: bool = False
    lines: tuple[str, ...] = ()


def read_foreign(path: PathLike, *, names: list[str] | None = None, comments: bool = False) -> pd.DataFrame:
    """Return a text table; all cells are text without white space at its ends, absent ones are empty.

    Read are UTF-8 and UTF-16; commas, tabs, semicolons, ``|`` or (``.txt``, ``.1D``, ``.par``) spaces between
    columns; rows of R with their names in front, in quotes, under a heading in quotes and one field short;
    rows that end in a delimiter that their heading lacks; R's unquoted ``NA`` among quoted text, which is a
    gap; and numbers with a decimal comma. What is taken for granted and may be otherwise is noted.

    Parameters
    ----------
    path : path
    names : list of str or None
        The columns of a table without heading.
    comments : bool, default=False
        Leave out lines that begin with ``# ``.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is in another encoding, rows and heading do not go together or do so in two ways, a quote
        swallows rows, two columns have one name, or a cell holds an error of a spreadsheet.
    """
    text, delimiter = _read_text(path, comments=comments)
    has_quoted_names = _is_quoted_heading(text, delimiter)
    rows = list(_scan(_mark_missing(text, delimiter) if has_quoted_names else text, delimiter))
    if names is not None:
        rows = [_Row(names), *rows]
        _check_width(rows)
    _check_quotes(rows, delimiter, Path(path))
    is_r = (has_quoted_names and all(row.is_of_r for row in rows)) or _is_numbered(rows, delimiter)
    frame = _fit_heading(rows, delimiter, Path(path), is_r=is_r)
    note_alike(frame.columns, f"the heading of {path}")
    columns = {str(name): [cell.replace(_GAP, "").strip() for cell in frame[name]] for name in frame}
    _check_cells(columns)
    if delimiter != ",":
        columns = _read_decimal_commas(columns)
    plain = {name: list(map(unescape_formula, cells)) for name, cells in columns.items()}
    return pd.DataFrame(plain, index=frame.index, dtype="str")


def decode_text(content: bytes) -> str:
    """Return the text of a file in UTF-8 or, with its mark, UTF-16.

    Raises
    ------
    ValueError
        If it is in another encoding; the message says where, and how to convert it.
    """
    if content.startswith(_UTF32):
        raise ValueError("it is UTF-32; save it as UTF-8, or convert it: iconv -f UTF-32 -t UTF-8 OLD > NEW")
    is_utf16 = content.startswith(_UTF16)
    if not is_utf16 and 4 * content.count(b"\0") > len(content):
        raise ValueError("it is UTF-16 or UTF-32 without its mark, or no text; save it as UTF-8.")
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        if is_utf16:
            raise ValueError("it is UTF-16 that is damaged or cut short; save it as UTF-8.") from None
        line = len(re.findall(rb"\r\n?|\n", content[: error.start])) + 1
        raise ValueError(
            f"line {line} is not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8 ('CSV UTF-8' in "
            f"a spreadsheet), or convert it from the encoding that the program wrote: "
            f"iconv -f ENCODING -t UTF-8 OLD > NEW (iconv -l lists what ENCODING may be)"
        ) from None


def read_rows(path: PathLike, *, comments: bool = False) -> list[list[str]]:
    """Return the rows of a text table, without blank ones, as they are.

    `comments`: leave out lines that begin with ``# ``.

    Raises
    ------
    OSError, ValueError
        As `read_foreign`.
    """
    text, delimiter = _read_text(path, comments=comments)
    return [row.cells for row in _scan(text, delimiter)]


def read_comments(path: PathLike) -> list[str]:
    """Return the lines of a text that begin with ``# ``, without that sign."""
    return _COMMENT.findall(decode_text(Path(path).read_bytes()))


def has_heading(path: PathLike, *, comments: bool = False) -> bool:
    """Return whether the first row of a table holds anything but numbers, as SPM's and FSL's do not.

    `comments`: leave out lines that begin with ``# ``.
    """
    text, delimiter = _read_text(path, comments=comments)
    first = next((line for line in text.splitlines() if line.strip()), "")
    return not all(map(_is_number, _split(first, delimiter)))


def _read_text(path: PathLike, *, comments: bool) -> tuple[str, str]:
    """Return the text of a table, comments blank so that lines keep their numbers, and its delimiter."""
    text = decode_text(Path(path).read_bytes())
    return _find_delimiter(_COMMENT.sub("", text) if comments else text, Path(path).suffix.lower())


def _find_delimiter(text: str, suffix: str) -> tuple[str, str]:
    """Return the text without a spreadsheet's ``sep=`` line, and what stands between its columns.

    Of those that part the heading, it is the one by which all rows are as wide as the heading; tabs come
    first, for texts do not hold them, and spaces last, for they may follow a comma.

    Raises
    ------
    ValueError
        If there is nothing, or two of them part all rows.
    """
    named = re.match(r"sep=(.)\r?\n", text)
    if named:
        return text[named.end() :], _SPACES if named[1] == " " else named[1]
    usual = _DELIMITERS.get(suffix, "\t")
    heading = next((line for line in text.splitlines() if line.strip()), None)
    if heading is None:
        raise ValueError("it is empty.")
    others = [item for item in dict.fromkeys((usual, *_OTHERS)) if item != _SPACES]
    options = [item for item in others if len(_split(heading, item)) > 1]
    if usual == _SPACES and len(heading.split()) > 1:
        options.append(_SPACES)
    if len(options) < 2:
        return text, options[0] if options else usual
    fits = {item: _measure_fit(text, item) for item in options}
    even = [item for item in options if fits[item] == 1]
    if "\t" in even:
        return text, "\t"
    even = [item for item in even if item != _SPACES] or even
    if len(even) > 1:
        raise ValueError(
            f"both {even[0]!r} and {even[1]!r} part heading and rows alike; say which is between columns in "
            f"a first line: sep={even[0]} or sep={even[1]}"
        )
    return text, even[0] if even else max(options, key=lambda item: (fits[item], item == usual))


def _measure_fit(text: str, delimiter: str) -> float:
    """Return the share of rows that have as many fields as the heading; 0 where they cannot be parted."""
    try:
        widths = [len(row.cells) for row in _scan(text, delimiter)]
    except ValueError:
        return 0.0
    return float(np.mean([width == widths[0] for width in widths]))


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(_read_csv([line], delimiter, strict=False), [])
    except csv.Error:  # longer than any field
        return [line]


def _read_csv(lines: Iterable[str], delimiter: str, *, strict: bool) -> Any:
    if delimiter == _SPACES:  # csv leaves out spaces behind a space, but neither tabs nor the last of a line
        lines = (re.sub(r"[ \t]+", " ", line.strip()) + "\n" for line in lines)
    return csv.reader(lines, delimiter=_between(delimiter), skipinitialspace=True, strict=strict)


def _between(delimiter: str) -> str:
    """Return the one sign that stands between columns; of white space, a space."""
    return " " if delimiter == _SPACES else delimiter


def _part(line: str, delimiter: str) -> list[str]:
    """Return the fields of a line without minding quotes."""
    return line.split() if delimiter == _SPACES else line.strip("\r\n").split(delimiter)


def _scan(text: str, delimiter: str) -> Iterator[_Row]:
    """Yield all rows but blank ones.

    Raises
    ------
    ValueError
        If a quote is not closed, or text follows one that is.
    """
    lines: list[str] = []
    if '"' in text and delimiter != _SPACES:
        text = re.sub(_BEHIND_QUOTE.format(re.escape(delimiter)), '"', text)

    def take() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            lines.append(line)
            yield line

    found, first = _read_csv(take(), delimiter, strict=True), 1
    try:
        for cells in found:
            if any(line.strip() for line in lines):
                is_of_r = _quotes_text("".join(lines), delimiter)
                yield _Row(cells, first, is_of_r, tuple(lines) if len(lines) > 1 else ())
            first += len(lines)
            lines.clear()
    except csv.Error as error:
        raise ValueError(_explain(error, first, len(lines))) from None


def _quotes_text(row: str, delimiter: str) -> bool:
    """Return whether a row begins with a quote, and holds nothing without quotes but what R leaves so."""
    if not row.lstrip().startswith('"'):
        return False
    bare = re.sub(r'"(?:[^"]|"")*"', "", row)
    return all(_BARE.fullmatch(cell.strip()) for cell in _part(bare, delimiter))


def _explain(error: csv.Error, line: int, n_lines: int) -> str:
    if "unexpected end" in str(error) or "field limit" in str(error):
        return f"the quote that is opened in line {line} is not closed."
    if "expected after" in str(error):
        return (
            f"line {line + n_lines - 1} has text behind a closing quote; write a quote that is part of a "
            f"text twice, or close the one that is open."
        )
    return f"line {line}: {error}."


def _mark_missing(text: str, delimiter: str) -> str:
    """Return the text of R, which quotes its heading and all text, with a mark for its missing values."""
    if _GAP in text:
        return text
    cells = _CELLS.format(re.escape(_between(delimiter)))
    return re.sub(cells, lambda cell: _GAP if cell[0] == "NA" else cell[0], text)


def _is_quoted_heading(text: str, delimiter: str) -> bool:
    """Return whether all names in the heading of a text are in quotes, as R writes them."""
    heading = text.lstrip().split("\n", 1)[0].rstrip()
    separator = re.escape(_between(delimiter))
    return re.fullmatch(rf'"[^"]*"({separator}"[^"]*")*', heading) is not None


def _check_width(rows: list[_Row]) -> None:
    """Raise unless all rows have the fields that the first of them names."""
    names = rows[0].cells
    for number, row in enumerate(rows[1:], start=1):
        if len(row.cells) != len(names):
            raise ValueError(
                f"row {number} has {len(row.cells)} fields, not the {len(names)} of {format_options(names)}."
            )


def _is_numbered(rows: list[_Row], delimiter: str) -> bool:
    """Return whether rows are numbered between tabs, as R does; no text has a tab in it."""
    return delimiter == "\t" and [row.cells[0] for row in rows[1:]] == [str(n) for n in range(1, len(rows))]


def _check_quotes(rows: list[_Row], delimiter: str, path: Path) -> None:
    """Raise where a row runs over lines of which several look like whole rows, for a quote is missing.

    Where lines look like parts of rows, which a text of several lines may do too, it is said.
    """
    width = len(rows[0].cells)
    doubtful = []
    for row in rows if width > 1 else ():
        last = row.line + len(row.lines) - 1
        alike = [line for line in row.lines if width in _count_fields(line, delimiter)]
        if len(alike) > 1:
            raise ValueError(
                f"a quote makes lines {row.line} to {last} one row, and they look like rows of their own: "
                f"close it in its line, or, where a text has several lines, take out its line breaks."
            )
        if delimiter != _SPACES and any(delimiter in cell.partition("\n")[2] for cell in row.cells):
            doubtful.append(f"lines {row.line} to {last}")
    if doubtful:
        more = f" ({len(doubtful)} such rows)" if len(doubtful) > 1 else ""
        warnings.warn(
            f"a quote makes {doubtful[0]} of {path} one row{more}; if they are several, close it in its "
            f"line.",
            FernetWarning,
            stacklevel=3,
        )


def _count_fields(line: str, delimiter: str) -> set[int]:
    """Return how many fields a line has, with and without minding quotes."""
    return {len(_part(line, delimiter)), len(_split(line.strip("\r\n"), delimiter))}


def _fit_heading(rows: list[_Row], delimiter: str, path: Path, *, is_r: bool) -> pd.DataFrame:
    """Return the rows below the heading; they may have a field more: a row's name, or an empty end.

    `is_r`: whether heading and text are in quotes, as R writes them, or rows are numbered between tabs.
    """
    names = [to_label(name) for name in rows[0].cells]
    widths = np.array([len(row.cells) for row in rows[1:]], dtype=int)
    n_columns = len(names)
    _check_short(rows, names, delimiter, path)
    n_fields = max(n_columns, *widths, 0)
    cells = [row.cells + [""] * (n_fields - len(row.cells)) for row in rows[1:]]
    frame = pd.DataFrame(cells, columns=range(n_fields), dtype=object)
    if not (widths > n_columns).any():
        return _name_columns(frame, names)
    is_one_more = (widths == n_columns + 1).all() and frame[0].is_unique
    filled = (frame.iloc[:, n_columns:] != "").any(axis=1).to_numpy()
    if not filled.any():
        if is_one_more:
            _doubt_empty_end(frame, delimiter, path, is_r=is_r)
        return _name_columns(frame.iloc[:, :n_columns], names)
    if not is_one_more:
        row = int(np.flatnonzero(filled)[0])
        raise ValueError(
            f"row {row + 1} has {widths[row]} fields and the heading {n_columns}; does a text with "
            f"{_name(delimiter)} in it lack its quotes?"
        )
    if not is_r:
        example = rows[1].cells
        raise ValueError(
            f"each row has one field more than the {n_columns} of the heading (the first begins with "
            f"{example[0]!r} and ends in {example[-1]!r}): either names of rows stand in front, as R writes "
            f"them, or a text with {_name(delimiter)} in it lacks its quotes, or a column its name. Name all "
            f"columns in the heading, and put quotes around such a text."
        )
    return _name_columns(frame.iloc[:, 1:], names)


def _check_short(rows: list[_Row], names: list[str], delimiter: str, path: Path) -> None:
    """Refuse rows with less fields than the heading where spaces part them, and note them elsewhere."""
    n_columns = len(names)
    while n_columns and not names[n_columns - 1]:
        n_columns -= 1  # the heading ends in a delimiter
    short = [number for number, row in enumerate(rows[1:], start=1) if len(row.cells) < n_columns]
    if short and delimiter == _SPACES:
        raise ValueError(f"row {short[0]} has fewer than the {n_columns} fields of the first row.")
    if short:
        warnings.warn(
            f"{path} has {len(short)} rows with fewer fields than the {n_columns} of the heading (first: row "
            f"{short[0]}); their last cells are taken for empty.",
            FernetWarning,
            stacklevel=4,
        )


def _doubt_empty_end(frame: pd.DataFrame, delimiter: str, path: Path, *, is_r: bool) -> None:
    """Refuse or note rows that end in a delimiter, where their first cells may be R's names of rows."""
    numbers = [str(row) for row in range(len(frame) + 1)]
    if is_r or frame[0].tolist() in (numbers[1:], numbers[:-1]):
        raise ValueError(
            f"rows have a field more than the heading: either a number or a name in front, as R writes it "
            f"(then name it in the heading), or an empty end (then take the last {_name(delimiter)} off each "
            f"row)."
        )
    warnings.warn(
        f"each row of {path} ends in {_name(delimiter)}, which its heading does not: it is left out. If the "
        f"first cells are R's names of rows, name them in the heading.",
        FernetWarning,
        stacklevel=4,
    )


def _name(delimiter: str) -> str:
    return "a space" if delimiter == _SPACES else repr(delimiter)


def _name_columns(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return rows under their names, without empty columns that have none."""
    blank = [not name and not (rows.iloc[:, place] != "").any() for place, name in enumerate(names)]
    rows = rows.loc[:, [not item for item in blank]]
    kept = [name or f"Unnamed: {place}" for place, name in enumerate(names) if not blank[place]]
    repeated = next((name for name in kept if kept.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"two columns are called {repeated!r}; rename one of them.")
    return rows.set_axis(kept, axis=1)


def _check_cells(columns: Mapping[str, list[str]]) -> None:
    """Raise where a cell holds what a spreadsheet shows in place of a value."""
    for name, cells in columns.items():
        for row, cell in enumerate(cells, start=1):
            if cell.startswith("#") and _FAILED.fullmatch(cell):
                raise ValueError(
                    f"row {row} has {cell!r} under {name!r}, which a spreadsheet shows in place of a "
                    f"value; mend it there, or empty the cell."
                )


def _read_decimal_commas(columns: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the cells of a table with points in place of the commas before decimals.

    Raises ValueError where numbers of another column have a point before each three digits: where commas
    are decimal, points part thousands.
    """
    read = {name: _read_decimals(cells) for name, cells in columns.items()}
    changed = [name for name, cells in columns.items() if read[name] != cells]
    for name in columns if changed else ():
        numbers = [item for item in columns[name] if item and item not in _NO_VALUES]
        if any("." in item for item in numbers) and all(map(_GROUPED.fullmatch, numbers)):
            raise ValueError(
                f"{numbers[0]!r} under {name!r} may be {numbers[0].replace('.', '')} or have decimals: "
                f"{changed[0]!r} has commas before its decimals. Write both columns one way."
            )
    return read


def _read_decimals(cells: list[str]) -> list[str]:
    filled = [item for item in cells if item and item not in _NO_VALUES]
    if not any("," in item for item in filled) or not all(map(_DECIMAL.fullmatch, filled)):
        return cells
    if all("," not in item or _GROUPED.fullmatch(item) for item in filled):
        return cells  # may be thousands
    return [item.replace(",", ".") for item in cells]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
