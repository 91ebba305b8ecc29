"""What holds of every figure: its files, the size and place of its texts, and its hues in every palette."""

import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from fernet_neuro.figures.registry import FIGURES, build_figure
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, PALETTES, style
from tests.figures.hues import find_near, list_hues
from tests.figures.outlines import find_faults, outline_texts

MOST_HUES = 7


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_pdf_png_csv_and_caption(built, name):
    assert [path.name for path in built(name)] == [f"{name}{end}" for end in (".pdf", ".png", ".csv", ".txt")]
    pdf, png, csv, caption = built(name)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(pd.read_csv(csv)) > 0
    assert caption.read_text().strip().endswith(".")
    with Image.open(png) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        widths = [round(width / 25.4 * 300) for width in COLUMN_WIDTHS_MM.values()]
        assert min(abs(image.width - width) for width in widths) <= 1
        assert image.height / 300 * 25.4 < 225, "taller than a page"


@pytest.mark.parametrize("name", FIGURES)
def test_pdf_text_stays_text(built, name):
    content = built(name)[0].read_bytes()
    assert b"/Type3" not in content
    assert b"/CIDFontType2" in content or b"/TrueType" in content


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_results_give_the_same_bytes(built, results, tmp_path, name):
    for first, second in zip(built(name), build_figure(name, results, tmp_path), strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


@pytest.mark.parametrize("name", FIGURES)
def test_all_text_has_seven_points(drawn, name):
    texts = drawn(name)[1].findobj(Text)
    small = {text.get_text(): text.get_fontsize() for text in texts if text.get_text().strip()}
    assert {words: size for words, size in small.items() if size < 7} == {}


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("name", FIGURES)
def test_hues_are_few_and_stay_apart_for_colour_blind_readers(drawn, name, palette):
    hues = list_hues(drawn(name, palette)[1])
    assert len(hues) <= MOST_HUES
    assert find_near(hues) == []


@pytest.mark.parametrize("name", FIGURES)
def test_texts_are_on_the_page_and_apart(drawn, name):
    figure = drawn(name, "tol")[1]  # not the one that is written: to write a figure lays it out again
    with style():
        assert find_faults(figure, outline_texts(figure)) == []
