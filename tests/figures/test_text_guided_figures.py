"""Figures of text-guided networks: what is drawn is what results say, and every text can be read."""

import shutil
from functools import cache

import pandas as pd
import pytest
import yaml
from matplotlib.text import Text

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.registry import FIGURES, build_figure, find_buildable
from fernet_neuro.systems.text_guided.figures.arms import say_ratio
from fernet_neuro.systems.text_guided.settings import TextGuidedSettings
from fernet_neuro.viz.style import style

NAMES = [name for name in FIGURES if name.startswith("text-guided-fig")] + ["text-guided-zero-shot"]
DRAWN = [name for name in NAMES if name != "text-guided-fig2"]


@pytest.fixture(scope="module")
def read(results):
    """The source of a figure by name, read once."""
    return cache(lambda name: FIGURES[name].read(results))


@pytest.fixture
def copy(results, tmp_path):
    """The files of a grid, to change."""
    place = tmp_path / "copy"
    place.mkdir()
    for name in ("recipe.yaml", "results.csv", "summary.csv", "published.csv"):
        shutil.copy(results / name, place)
    return place


def change_recipe(folder, **keys):
    values = yaml.safe_load((folder / "recipe.yaml").read_text())
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**values, **keys}, sort_keys=False))


@pytest.mark.parametrize("name", DRAWN)
def test_every_text_is_large_enough_and_inside_the_page(results, read, name):
    spec = FIGURES[name]
    with style():
        figure = spec.draw(read(name), results)
        figure.draw_without_rendering()
        width, height = figure.canvas.get_width_height()
        for text in figure.findobj(Text):
            box = text.get_window_extent()
            if not text.get_text().strip() or not text.get_visible() or box.width == 0:
                continue
            assert text.get_fontsize() >= 7, text
            assert box.x0 >= -1, text
            assert box.x1 <= width + 1, text
            assert -1 <= box.y0 <= box.y1 <= height + 1, text


def test_contrasts_are_told_by_backbone_and_loss(results, read):
    source = read("text-guided-fig4")
    series = source.drop_duplicates("arm").set_index("arm")["series"].to_dict()
    assert series == {"alone": "self", "distilled": "prompt", "concept": "self"}
    assert set(source["group"]) == {"resnet18"}
    found = pd.read_csv(results / "results.csv").query(
        "arm == 'distilled' and test == 'drawn' and metric == 'accuracy' and seed == 'mean'"
    )
    drawn = source.query("arm == 'distilled' and test == 'drawn' and seed == 'mean'")
    assert drawn["value_percent"].to_numpy() == pytest.approx(100 * found["value"].to_numpy())
    assert set(drawn["interval"]) == {"identities", "training seeds"}


@pytest.mark.parametrize(
    ("weights", "said"), [((1, 1), "1 : 1"), ((0.5, 2), "1 : 4"), ((3, 1), "3 : 1"), ((0, 2), "0 : 1")]
)
def test_ratios_are_whole_numbers(weights, said):
    own = TextGuidedSettings(transformation_weight=weights[0], contrast_weight=weights[1])
    assert say_ratio(own) == said


def test_ratios_stand_in_order_and_the_default_is_marked(results, copy):
    recipe = yaml.safe_load((results / "recipe.yaml").read_text())
    for arm, weight in (("alone", 2.0), ("distilled", 0.25)):
        recipe["arms"][arm]["set"] = {"guided.text.transformation_weight": weight}
    change_recipe(copy, arms=recipe["arms"])
    source = FIGURES["text-guided-fig5"].read(copy)
    assert list(dict.fromkeys(source["group"])) == ["1 : 4", "1 : 1", "2 : 1"]
    assert set(source.loc[source["series"] == "default", "group"]) == {"1 : 1"}


def test_recall_of_what_was_left_out_is_held_against_guessing(read):
    source = read("text-guided-zero-shot")
    assert source.query("metric == 'recall'")["chance_percent"].unique() == pytest.approx([100 / 7])
    assert source.drop_duplicates("arm").set_index("arm")["series"].to_dict() == {
        "alone": "shown", "distilled": "shown", "concept": "left out",
    }  # fmt: skip
    assert list(dict.fromkeys(zip(source["panel"], source["test"], source["metric"], strict=True))) == [
        ("a", "drawn", "recall"), ("b", "drawn", "precision"),
        ("c", "people", "recall"), ("d", "people", "precision"),
    ]  # fmt: skip


def test_maps_bear_the_labels_of_their_arms(read):
    source = read("text-guided-fig1")
    points = source.query("kind == 'point'").drop_duplicates("layer")
    assert dict(zip(points["layer"], points["arm_label"], strict=True)) == {
        "alone": "Alone",
        "concept": "concept",
    }
    assert list(points["panel"]) == ["a", "b"]


def test_only_grids_of_text_guided_arms_are_drawn(copy):
    assert {"text-guided-fig4", "text-guided-fig5", "text-guided-zero-shot"} <= set(find_buildable(copy))
    change_recipe(copy, networks={"guided": {"task": "expression"}}, arms={"alone": {"tested": "guided"}})
    assert "text-guided-fig4" not in find_buildable(copy)
    with pytest.raises(StoreError, match=r"no arm of .* is text-guided; run text_guided/fig4"):
        build_figure("text-guided-fig4", copy, copy / "out")


def test_folds_are_left_to_the_figure_that_shows_them(copy):
    change_recipe(copy, folds=3)
    with pytest.raises(StoreError, match="cross-validated; its folds are shown by `figures build grid`"):
        FIGURES["text-guided-fig5"].read(copy)
