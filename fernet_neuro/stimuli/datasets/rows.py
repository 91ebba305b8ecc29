"""Rows of the CSV files in which owners of data sets keep labels, votes or pixels.

What belongs here: reading such a file row by row, and saying which line is wrong.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StimulusError


def read_rows(
    path: Path, columns: Sequence[str], *, has_heading: bool = True
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number from 1, row) of a CSV file.

    Parameters
    ----------
    path : Path
        UTF-8; spaces after commas and around headings do not count.
    columns : sequence of str
        What the heading must hold, perhaps among others; without a heading, the names of all columns.
    has_heading : bool

    Raises
    ------
    StimulusError
        If the file is not CSV, lacks a column, or a row has too few or too many fields; the line is named.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = csv.DictReader(
                handle, fieldnames=None if has_heading else list(columns), skipinitialspace=True
            )
            header = [str(name).strip() for name in rows.fieldnames or []]
            rows.fieldnames = header
            for wanted in columns:
                if wanted not in header:
                    raise StimulusError(
                        f"{path}, line 1: the header has no {wanted!r}; it is: {format_options(header)}."
                        f"{suggest(wanted, header)}"
                    )
            for row in rows:
                if row.get(None) or None in row.values():  # csv's marks for too many and too few fields
                    raise StimulusError(
                        f"{path}, line {rows.line_num}: expected {len(header)} fields "
                        f"({next(iter(row.values()))})."
                    )
                yield rows.line_num, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise StimulusError(f"{path} cannot be read as a CSV file: {error}.") from error
