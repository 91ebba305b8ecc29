"""The figures of the lightweight network: what each is called and made from."""

from functools import partial
from pathlib import Path

from fernet_neuro.catalogue import Later
from fernet_neuro.figures.spec import FigureSpec, place_figure

_HERE = "fernet_neuro.systems.lfnsb.figures"


def is_of_lightweight(results: Path) -> bool:
    """Return whether a folder's recipe trains by the task of these networks."""
    recipe = results / "recipe.yaml"
    return recipe.is_file() and "task: lightweight" in recipe.read_text(encoding="utf-8")


FIG1, FIG2, FIG3, FIG4 = (
    FigureSpec(
        name,
        title,
        (),
        read=partial(Later(f"{_HERE}.diagrams:read_blocks"), name=name),
        draw=partial(Later(f"{_HERE}.diagrams:draw_blocks"), name=name),
        caption=partial(Later(f"{_HERE}.diagrams:caption_blocks"), name=name),
    )
    for name, title in {
        "lfnsb-fig1": "The lightweight network with spatial bias",
        "lfnsb-fig2": "A convolution and its batch normalisation become one convolution",
        "lfnsb-fig3": "RepVGGDW, in training and in use",
        "lfnsb-fig4": "Spatial bias",
    }.items()
)
FIG5 = place_figure(
    f"{_HERE}.fig5",
    "losses",
    "lfnsb-fig5",
    "Loss over epochs of a training run, or of each arm of a table",
    ("log.csv", "runs.csv"),
    is_of_lightweight,
)
FIG6 = place_figure(
    f"{_HERE}.fig6",
    "matrices",
    "lfnsb-fig6",
    "Confusion matrices over whole test sets, one per report of `evaluate`",
    ("evaluation/**/confusion.csv",),
    is_of_lightweight,
)
TABLE1, TABLE2 = (
    FigureSpec(
        name,
        title,
        (),
        read=Later(f"{_HERE}.tables:read_{subject}"),
        draw=Later(f"{_HERE}.tables:draw_table"),
        caption=Later(f"{_HERE}.tables:caption_{subject}"),
    )
    for name, subject, title in (
        ("lfnsb-table1", "parts", "Parts of the lightweight network"),
        ("lfnsb-table2", "costs", "Weights and operations, printed and counted"),
    )
)
