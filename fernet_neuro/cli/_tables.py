"""How commands print: tables of text, and results as lines or as JSON.

What belongs here: the form of what is printed; what it says is up to each command.
"""

import json
import re
import string
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from fernet_neuro._utils.p_values import format_p, say_p

if TYPE_CHECKING:
    import pandas as pd

#: A cell in which a value is missing.
MISSING = "-"
_P_VALUES = {"p": format_p, "p=": say_p}
Row = Mapping[str, Any]


class _Cells(string.Formatter):
    """Python's format specifications, ``pct`` (``.1pct`` of 0.1234 is 12.3), ``p`` and ``p=`` (p values)."""

    def format_field(self, value: Any, spec: str) -> str:
        if spec.endswith("pct"):
            return format(100 * value, f"{spec[:-3]}f")
        if spec in _P_VALUES:
            return _P_VALUES[spec](value)
        return str(format(value, spec))


_CELLS = _Cells()


def format_table(rows: "pd.DataFrame | Iterable[Row]", columns: Mapping[str, Any]) -> list[str]:
    r"""Return a table as lines of text: a header, then a line per row.

    Parameters
    ----------
    rows : DataFrame or iterable of mappings
    columns : mapping of str to str or callable
        Heads, and what stands below each: a template such as ``"{share:.3f}"`` or
        ``"[{low:.3f}, {high:.3f}]"``, or a function of a row. A cell with a missing value reads "-"; a
        column of such cells is left out. Columns of one formatted number are aligned to the right.

    Examples
    --------
    >>> rows = [{"roi": "FFA", "r": 0.5, "p": 0.00001}, {"roi": "aSTS", "r": -0.125, "p": None}]
    >>> print("\n".join(format_table(rows, {"region": "{roi}", "r": "{r:.2f}", "p": "{p:p}"})))
    region      r       p
    FFA      0.50  < .001
    aSTS    -0.12       -
    """
    records = list_records(rows)
    cells = {head: [format_cell(form, row) for row in records] for head, form in columns.items()}
    cells = {head: found for head, found in cells.items() if not records or set(found) != {MISSING}}
    widths = {head: max(map(len, [head, *found])) for head, found in cells.items()}
    right = {head for head in cells if re.fullmatch(r"\{\w+:[^{}]+\}", str(columns[head]))}
    lines = [dict(zip(cells, cells, strict=True))]
    lines += [dict(zip(cells, values, strict=True)) for values in zip(*cells.values(), strict=True)]
    return [
        "  ".join(
            text.rjust(widths[head]) if head in right else text.ljust(widths[head])
            for head, text in line.items()
        ).rstrip()
        for line in lines
    ]


def format_seconds(seconds: float) -> str:
    """Return a time in the unit that suits it.

    Examples
    --------
    >>> format_seconds(12.34), format_seconds(150), format_seconds(20_000), format_seconds(400_000)
    ('12.3 s', '2.5 min', '5.6 h', '4.6 days')
    """
    for unit, length in (("days", 172_800), ("h", 7200), ("min", 120)):
        if seconds >= length:
            return f"{seconds / {'days': 86_400, 'h': 3600, 'min': 60}[unit]:.1f} {unit}"
    return f"{seconds:.1f} s"


def format_cell(form: str | Callable[[Row], str], row: Row) -> str:
    """Return a template filled with the values of a row, or "-" if it lacks one of them."""
    if callable(form):
        return form(row)
    names = [name for _, name, _, _ in _CELLS.parse(form) if name]
    values = [row.get(name) for name in names]
    is_missing = any(value is None or value != value for value in values)  # NaN differs from itself
    return MISSING if is_missing else _CELLS.vformat(form, (), row)


def list_records(rows: "pd.DataFrame | Iterable[Row]") -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, None (null in JSON) where there is none."""
    if hasattr(rows, "itertuples"):
        frame: Any = rows
        plain = frame.astype(object)
        rows = list(plain.where(plain.notna(), None).to_dict(orient="records"))
    return [{str(name): value for name, value in row.items()} for row in rows]


def show(lines: Iterable[str], *, as_json: bool = False, values: Any = None) -> None:
    """Print `lines`, or `values` as one JSON text."""
    typer.echo(json.dumps(values) if as_json else "\n".join(lines))
