"""What holds of every figure: its files, the size and place of its texts, and its hues in every palette."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from fernet_neuro.figures.registry import FIGURES, build_figure, write_figure
from fernet_neuro.viz.style import COLUMN_WIDTHS_MM, PALETTES, Look, style
from tests.figures.again import MORE
from tests.figures.hues import find_near, list_hues
from tests.figures.outlines import find_faults, outline_texts

MOST_HUES = 7
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=FIGURES)
def name(request):
    """All tests of one figure come before those of the next, so that few figures are held at a time."""
    return request.param


@pytest.fixture(scope="module")
def source(name, results):
    return FIGURES[name].read(results)


@pytest.fixture(scope="module")
def drawn(name, source, results):
    """The figure in each palette."""
    figures = {}
    for palette in PALETTES:
        with style(look=Look(palette=palette)):
            figures[palette] = FIGURES[name].draw(source, results)
    return figures


@pytest.fixture(scope="module")
def built(name, source, drawn, tmp_path_factory):
    with style():
        return write_figure(
            FIGURES[name], source, drawn["okabe-ito"], tmp_path_factory.mktemp("built"), ("pdf", "png")
        )


def test_a_figure_is_pdf_png_csv_and_caption(built, name):
    assert [path.name for path in built] == [f"{name}{end}" for end in (".pdf", ".png", ".csv", ".txt")]
    pdf, png, csv, caption = built
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(pd.read_csv(csv)) > 0
    assert caption.read_text().strip().endswith(".")
    with Image.open(png) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert set(image.info) == {"Title", "Software", "dpi"}, "a date would differ the next time"
        widths = [round(width / 25.4 * 300) for width in COLUMN_WIDTHS_MM.values()]
        assert min(abs(image.width - width) for width in widths) <= 1
        assert image.height / 300 * 25.4 < 225, "taller than a page"


def test_pdf_text_stays_text(built):
    content = built[0].read_bytes()
    assert b"/Type3" not in content
    assert b"/CIDFontType2" in content or b"/TrueType" in content


@pytest.fixture(scope="module")
def again(results, tmp_path_factory):
    """All figures as another process built them, whose sets have another order."""
    out = tmp_path_factory.mktemp("again")
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"
    command = [sys.executable, "-m", "tests.figures.again", results, out]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, timeout=300)
    return out


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(built, again, results, tmp_path, name):
    ends = {".csv", ".txt", ".pdf", *(f".{end}" for end in MORE.get(name, ()))}
    assert {path.suffix for path in again.glob(f"{name}.*")} == ends
    if ".svg" in ends:
        built = [*built, *build_figure(name, results, tmp_path, formats=("svg",))]
    for path in built:
        if path.suffix in ends:
            assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_all_text_has_seven_points(drawn):
    texts = drawn["okabe-ito"].findobj(Text)
    small = {text.get_text(): text.get_fontsize() for text in texts if text.get_text().strip()}
    assert {words: size for words, size in small.items() if size < 7} == {}


@pytest.mark.parametrize("palette", PALETTES)
def test_hues_are_few_and_stay_apart_for_colour_blind_readers(drawn, palette):
    hues = list_hues(drawn[palette])
    assert len(hues) <= MOST_HUES
    assert find_near(hues) == []


@pytest.mark.usefixtures("built")
def test_texts_are_on_the_page_and_apart(drawn):
    figure = drawn["okabe-ito"]  # laid out as it was written
    with style():
        assert find_faults(figure, outline_texts(figure)) == []
