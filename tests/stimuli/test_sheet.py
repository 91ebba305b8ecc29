"""The contact sheet shows each pair of values once, where its labels say."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.sheet import load_font, make_sheet
from fernet_neuro.stimuli.table import StimulusTable

COLOURS = {
    ("a", "x"): (250, 0, 0),
    ("a", "y"): (0, 250, 0),
    ("b", "x"): (0, 0, 250),
    ("c", "y"): (200, 200, 0),
}


@pytest.fixture
def colour_table(tmp_path) -> StimulusTable:
    rows = []
    for (identity, expression), colour in COLOURS.items():
        name = identity + expression
        Image.new("RGB", (20, 40), colour).save(tmp_path / f"{name}.png")
        rows.append((name, f"{name}.png", identity, expression))
    frame = pd.DataFrame(rows, columns=["stimulus_id", "path", "identity", "expression"])
    return StimulusTable.from_frame(frame, root=tmp_path)


def centre_of(pixels: np.ndarray, colour: tuple[int, int, int]) -> tuple[float, float]:
    found = np.argwhere((np.abs(pixels.astype(int) - colour) < 6).all(axis=2))
    assert len(found) > 50, colour
    return tuple(found.mean(axis=0))


def test_pictures_stand_in_the_row_and_column_of_their_labels(colour_table):
    pixels = np.asarray(make_sheet(colour_table, size=32))
    at = {pair: centre_of(pixels, colour) for pair, colour in COLOURS.items()}
    assert at["a", "x"][0] == pytest.approx(at["a", "y"][0], abs=1)
    assert at["a", "x"][1] == pytest.approx(at["b", "x"][1], abs=1)
    assert at["a", "x"][0] < at["b", "x"][0] < at["c", "y"][0]
    assert at["a", "y"][1] - at["a", "x"][1] == pytest.approx(36, abs=1)
    # Twice as high as wide, as in the file.
    red = np.argwhere((np.abs(pixels.astype(int) - COLOURS["a", "x"]) < 6).all(axis=2))
    height, width = np.ptp(red, axis=0) + 1
    assert (height, width) == (32, 16)


def test_rows_beyond_the_most_are_left_off(colour_table):
    whole, part = make_sheet(colour_table, size=32), make_sheet(colour_table, size=32, max_rows=1)
    assert whole.height - part.height == 2 * 36
    assert not (np.asarray(part)[:, :, 2].astype(int) - np.asarray(part)[:, :, 0] > 200).any()


def test_a_sheet_that_cannot_be_drawn_is_refused(colour_table, tmp_path):
    with pytest.raises(StimulusError, match="is empty"):
        make_sheet(colour_table.select([]))
    with pytest.raises(StimulusError, match="no factor 'identy'"):
        make_sheet(colour_table, rows="identy")
    with pytest.raises(ValueError, match="size must be >= 16"):
        make_sheet(colour_table, size=3)
    colour_table.paths()[1].unlink()
    with pytest.raises(StimulusError, match=r"ay\.png does not exist"):
        make_sheet(colour_table)


def test_letters_of_names_are_drawn_whatever_signs_they_have():
    font, missing = load_font(), bytes(load_font().getmask("\uffff"))
    for sign in "ëüñŁşЖΩ":
        assert bytes(font.getmask(sign)) != missing
