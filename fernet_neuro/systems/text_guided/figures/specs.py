"""The figures of text-guided recognition: what each is called and made from."""

from functools import partial
from pathlib import Path

import yaml

from fernet_neuro.catalogue import Later
from fernet_neuro.figures.spec import FigureSpec, place_figure

_HERE = "fernet_neuro.systems.text_guided.figures"


def is_of_texts(results: Path, arms: str = "") -> bool:
    """Return whether a folder's recipe is a grid with a text-guided network, and its arms say `arms`."""
    recipe = results / "recipe.yaml"
    values = yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.is_file() else {}
    if arms not in yaml.safe_dump(values.get("arms", {})):
        return False
    tasks = {network.get("task") for network in values.get("networks", {}).values()}
    return values.get("experiment") == "grid" and bool(tasks & {"text-guided", "zero-shot"})


def leaves_out(results: Path) -> bool:
    """Return whether a folder's recipe is such a grid, and leaves an expression out of training."""
    return is_of_texts(results) and "left_out" in (results / "recipe.yaml").read_text("utf-8")


FIG1, FIG3 = (
    FigureSpec(
        name,
        title,
        ("arm_maps/*/settings.json",),
        read=partial(Later(f"{_HERE}.maps:read_arm_maps"), name=name),
        draw=Later(f"{_HERE}.maps:draw_arm_maps"),
        caption=partial(Later(f"{_HERE}.maps:caption_arm_maps"), name=name),
        applies=is_of_texts,
    )
    for name, title in {
        "text-guided-fig1": "Features learnt from discrete labels, and from text embeddings",
        "text-guided-fig3": "Features learnt by scores alone, and by the full loss",
    }.items()
)
FIG2 = place_figure(
    f"{_HERE}.diagram",
    "method",
    "text-guided-fig2",
    "Text-guided recognition, and the transformation from emotional to neutral",
)
FIG4 = place_figure(
    f"{_HERE}.arms",
    "contrasts",
    "text-guided-fig4",
    "Contrast around prompts, and self-contrast, by backbone",
    ("results.csv",),
    partial(is_of_texts, arms="text.contrast: prompt"),
)
FIG5 = place_figure(
    f"{_HERE}.arms",
    "weights",
    "text-guided-fig5",
    "Weights of the transformation and of self-contrast against each other",
    ("results.csv",),
    partial(is_of_texts, arms="text.transformation_weight"),
)
ZERO_SHOT = place_figure(
    f"{_HERE}.zero_shot",
    "left_out",
    "text-guided-zero-shot",
    "An expression that training never showed, named from its text",
    ("results.csv",),
    leaves_out,
)
