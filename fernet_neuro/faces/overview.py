"""A picture of what alignment did: photographs with their five points, aligned faces, what was left out.

What belongs here: the sheet as a Pillow image, for the user's eye.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.sheet import load_font

#: Side of a picture, height of the text below, and distance, in pixels.
SIDE, TEXT, GAP = 128, 46, 8
#: Pairs in a row, most aligned faces, and most of those left out, that are shown.
COLUMNS, MOST_DONE, MOST_LEFT_OUT = 4, 40, 40
_PAPER, _INK, _BAD, _EMPTY = (255, 255, 255), (20, 20, 20), (170, 40, 30), (232, 232, 232)
#: Blue for the eyes, orange for the nose, pink for the mouth; told apart by colour-blind eyes.
_DOTS = ((0, 114, 178), (0, 114, 178), (230, 159, 0), (204, 121, 167), (204, 121, 167))


def draw_overview(
    done: Sequence[tuple[str, Path, np.ndarray, Path]], left_out: Sequence[tuple[str, Path, str]]
) -> Image.Image:
    """Return the sheet: those left out first, as they need a look, then the aligned ones.

    Parameters
    ----------
    done : sequence of (stimulus id, photograph, points (5, 2), aligned picture)
    left_out : sequence of (stimulus id, photograph, reason)
    """
    shown, others = done[:MOST_DONE], left_out[:MOST_LEFT_OUT]
    cells = [_draw_left_out(*item) for item in others] + [_draw_done(*item) for item in shown]
    rest = len(done) + len(left_out) - len(cells)
    note = f"{len(done)} aligned, {len(left_out)} left out" + (f"; {rest} of them not shown" if rest else "")
    width, height = 2 * SIDE + GAP, SIDE + TEXT
    n_rows = -(-len(cells) // COLUMNS)
    sheet = Image.new(
        "RGB", (COLUMNS * (width + 2 * GAP) + GAP, n_rows * (height + GAP) + 3 * GAP + 14), _PAPER
    )
    ImageDraw.Draw(sheet).text((GAP, GAP), note, fill=_INK, font=load_font(14))
    for number, cell in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        sheet.paste(cell, (GAP + column * (width + 2 * GAP), 3 * GAP + 14 + row * (height + GAP)))
    return sheet


def _start(text: str, colour: tuple[int, int, int]) -> Image.Image:
    cell = Image.new("RGB", (2 * SIDE + GAP, SIDE + TEXT), _PAPER)
    lines = textwrap.wrap(text, 42, max_lines=3, placeholder=" ...")
    ImageDraw.Draw(cell).text((0, SIDE + 2), "\n".join(lines), fill=colour, font=load_font(11))
    return cell


def _fit(picture: np.ndarray, points: np.ndarray | None = None) -> Image.Image:
    """Return a picture in a square, with dots where its points are."""
    image = Image.fromarray(picture)
    scale = SIDE / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    square = Image.new("RGB", (SIDE, SIDE), _EMPTY)
    corner = ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2)
    square.paste(image.resize(size, Image.Resampling.BOX), corner)
    pen = ImageDraw.Draw(square)
    for (x, y), colour in zip(() if points is None else points, _DOTS, strict=points is not None):
        middle = ((x + 0.5) * scale + corner[0], (y + 0.5) * scale + corner[1])
        pen.circle(middle, 3, fill=colour, outline=_PAPER)
    return square


def _draw_done(name: str, source: Path, points: np.ndarray, aligned: Path) -> Image.Image:
    cell = _start(name, _INK)
    cell.paste(_fit(load_image(source), points), (0, 0))
    cell.paste(_fit(load_image(aligned)), (SIDE + GAP, 0))
    return cell


def _draw_left_out(name: str, source: Path, reason: str) -> Image.Image:
    cell = _start(f"{name}: {reason}", _BAD)
    pen = ImageDraw.Draw(cell)
    try:
        cell.paste(_fit(load_image(source)), (0, 0))
    except StimulusError:
        pen.rectangle((0, 0, SIDE - 1, SIDE - 1), fill=_EMPTY)
    pen.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=_BAD, width=3)
    pen.text((SIDE + 2 * GAP, SIDE // 2 - 8), "left out", fill=_BAD, font=load_font(14))
    return cell
