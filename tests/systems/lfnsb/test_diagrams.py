"""The drawn figures and the tables of counts: what they show is what the networks are."""

from pathlib import Path

import pytest

from fernet_neuro.figures.registry import FIGURES, build_figure
from fernet_neuro.models.registry import build_model, compute_layer_shapes

DRAWN = ("lfnsb-fig1", "lfnsb-fig2", "lfnsb-fig3", "lfnsb-fig4")


@pytest.mark.parametrize("name", [*DRAWN, "lfnsb-table1"])
def test_each_is_built_from_nothing(name: str, tmp_path: Path) -> None:
    written = build_figure(name, tmp_path, tmp_path / "out")
    assert [path.suffix for path in written] == [".pdf", ".png", ".csv", ".txt"]
    assert all(path.stat().st_size > 100 for path in written)


@pytest.mark.parametrize("name", DRAWN)
def test_arrows_lead_to_later_blocks_that_do_not_overlap(name: str) -> None:
    spec = FIGURES[name]
    blocks = spec.read(Path())
    for _, panel in blocks.groupby("panel"):
        places = {block: place for place, block in enumerate(panel["block"])}
        for block, feeds in zip(panel["block"], panel["feeds"], strict=True):
            assert all(places[target] > places[block] for target in filter(None, feeds.split(";")))
        left, right = panel["x"] - panel["width"] / 2, panel["x"] + panel["width"] / 2
        low, high = panel["y"] - panel["height"] / 2, panel["y"] + panel["height"] / 2
        for i in range(len(panel)):
            over = (
                (left < right.iloc[i]) & (right > left.iloc[i]) & (low < high.iloc[i]) & (high > low.iloc[i])
            )
            assert over.sum() == 1


def test_the_drawn_network_has_the_shapes_of_the_real_one() -> None:
    blocks = FIGURES["lfnsb-fig1"].read(Path())
    drawn = blocks[blocks["panel"] == "a"]["detail"].tolist()[1:-1]
    shapes = [shape for shape, _ in compute_layer_shapes(build_model("lfnsb")).values()][:-1]
    assert drawn == [f"{n}×{side}²" for n, side, _ in shapes]


def test_table_1_has_the_printed_and_the_released_factors() -> None:
    table = FIGURES["lfnsb-table1"].read(Path()).set_index("part")
    assert table["expansion_printed"].tolist() == ["-", "-", "2", "2", "4", "2", "8", "2", "-", "-", "-"]
    assert table["expansion"].tolist()[2:8] == ["1.5", "1.5", "3", "1.5", "6", "1.336"]
    kernels = table["kernels"].tolist()
    assert (kernels[:3], kernels[-3:]) == (["3", "3", "3, 5"], ["3, 1", "7", ""])
    assert table["params"].sum() == 2_736_372 - 512
    assert table["macs"].sum() == 386_483_204


def test_table_2_gives_each_figure_in_its_unit_and_all_in_one() -> None:
    spec = FIGURES["lfnsb-table2"]
    read = spec.read(Path())
    assert len(spec.draw(read, Path()).axes) == 1
    table = read.set_index("network")
    assert (table["as_printed"] + "M").tolist() == table["params_printed"].tolist()
    assert table["params_used"].tolist() == [1_204_103, 4_166_063, 2_676_147]
    operations = (table["flops_torchstat"] / 1e6).map("{:.2f}M".format)
    assert operations.tolist() == ["230.34M", "550.74M", "396.31M"]
    assert table["flops_printed"].tolist() == ["230.34M", "550.74M", "397.35M"]
    caption = spec.caption(read)
    assert "35.8 % fewer weights" in caption
    assert "28.0 % fewer operations" in caption
