"""A contact sheet: one picture that shows a stimulus table at a glance.

What belongs here: the sheet as a Pillow image, for a quick look; the figure for print is in `figures`.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fernet_neuro._utils.validation import check_range
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable

#: Distance between pictures and size of the labels, in pixels.
GAP = 4
FONT_SIZE = 13
_PAPER, _INK, _EMPTY = (255, 255, 255), (20, 20, 20), (232, 232, 232)


def make_sheet(
    table: StimulusTable,
    *,
    rows: str = "identity",
    columns: str = "expression",
    size: int = 96,
    max_rows: int = 12,
    max_columns: int = 24,
) -> Image.Image:
    """Return a labelled grid with one picture per pair of values of two factors.

    Each cell shows the first stimulus of its pair in table order, fitted into a square with its proportions
    kept; a cell without a stimulus stays grey. Values run in order of appearance.

    Parameters
    ----------
    table : StimulusTable
        What to show; narrow it with ``table.select(view="straight")`` first.
    rows, columns : str
        Factors down and across.
    size : int
        Side of a cell in pixels, 16-1024.
    max_rows, max_columns : int
        Most values to show; the rest is left off, which the corner of the sheet says.

    Returns
    -------
    Image
        RGB.

    Raises
    ------
    StimulusError
        If a factor is missing or incomplete, the table is empty, or a picture cannot be read.
    ValueError
        If a number is out of range.
    """
    check_range("size", size, 16, 1024)
    check_range("max_rows", max_rows, 1)
    check_range("max_columns", max_columns, 1)
    if not len(table):
        raise StimulusError("the stimulus table is empty; there is nothing to show.")
    down, across = table.factor(rows).astype(str), table.factor(columns).astype(str)
    row_names, column_names = _in_order(down), _in_order(across)
    cells = _first_rows(down, across)
    paths = table.paths()
    shown_rows, shown_columns = row_names[:max_rows], column_names[:max_columns]
    left = _text_width(shown_rows) + 2 * GAP
    top = FONT_SIZE + 3 * GAP
    bottom = FONT_SIZE + 2 * GAP
    step = size + GAP
    note = _describe_rest(rows, len(row_names), max_rows, columns, len(column_names), max_columns)
    width = max(left + step * len(shown_columns), _text_width([note]) + 2 * GAP)
    sheet = Image.new("RGB", (width, top + step * len(shown_rows) + bottom), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(shown_columns):
        _write(pen, _shorten(name, size), (left + column * step, GAP))
    for row, name in enumerate(shown_rows):
        y = top + row * step
        _write(pen, name, (GAP, y + (size - FONT_SIZE) // 2))
        for column, other in enumerate(shown_columns):
            box = (left + column * step, y)
            index = cells.get((name, other))
            sheet.paste(_EMPTY, (*box, box[0] + size, box[1] + size))
            if index is not None:
                _paste(sheet, load_image(paths[index]), box, size)
    _write(pen, note, (GAP, top + step * len(shown_rows)))
    return sheet


def _in_order(values: np.ndarray) -> list[str]:
    return list(dict.fromkeys(values.tolist()))


def _first_rows(down: np.ndarray, across: np.ndarray) -> dict[tuple[str, str], int]:
    cells: dict[tuple[str, str], int] = {}
    for index, pair in enumerate(zip(down.tolist(), across.tolist(), strict=True)):
        cells.setdefault(pair, index)
    return cells


def _paste(sheet: Image.Image, pixels: np.ndarray, corner: tuple[int, int], size: int) -> None:
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(pixels).resize(fitted, Image.Resampling.LANCZOS)
    sheet.paste(picture, (corner[0] + (size - fitted[0]) // 2, corner[1] + (size - fitted[1]) // 2))


def load_font(size: int = FONT_SIZE) -> ImageFont.FreeTypeFont:
    """Return Matplotlib's own sans serif: Latin, Greek and Cyrillic letters with all their signs."""
    found = find_spec("matplotlib")  # its fonts lie beside it; nothing of it is loaded
    folder = Path(str(found.origin if found else "")).parent
    return ImageFont.truetype(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _text_width(names: Sequence[str]) -> int:
    font = load_font()
    return max(int(np.ceil(font.getlength(name))) for name in names)


def _shorten(name: str, width: int) -> str:
    if _text_width([name]) <= width:
        return name
    while name and _text_width([name + "..."]) > width:
        name = name[:-1]
    return name + "..."


def _write(pen: ImageDraw.ImageDraw, text: str, corner: tuple[int, int]) -> None:
    if text:
        pen.text(corner, text, fill=_INK, font=load_font())


def _describe_rest(rows: str, n_rows: int, max_rows: int, columns: str, n_columns: int, most: int) -> str:
    parts = []
    if n_rows > max_rows:
        parts.append(f"{max_rows} of {n_rows} values of {rows}")
    if n_columns > most:
        parts.append(f"{most} of {n_columns} values of {columns}")
    return f"shown: {', '.join(parts)}" if parts else ""
