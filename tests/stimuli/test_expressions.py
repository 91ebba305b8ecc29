"""Words for expressions: ours, the owners' spellings of them, and no guesses."""

from pathlib import Path

import pytest

from fernet_neuro.stimuli.datasets import fedro
from fernet_neuro.stimuli.datasets.registry import DATASETS
from fernet_neuro.stimuli.expressions import EXPRESSION_NAMES, find_expression
from fernet_neuro.stimuli.rendering.action_units import EXPRESSIONS


def test_names_are_sorted_and_those_of_rendered_faces_and_contempt():
    assert list(EXPRESSION_NAMES) == sorted({*EXPRESSIONS, "contempt"})


CODES = {name: entry.codes for name, entry in DATASETS.items() if entry.codes}


@pytest.mark.parametrize("codes", CODES.values(), ids=CODES)
def test_every_data_set_speaks_our_names(codes):
    assert set(codes.values()) <= set(EXPRESSION_NAMES)
    assert len(set(codes.values())) == len(codes)
    assert set(EXPRESSION_NAMES) - set(fedro.EXPRESSIONS) == {"contempt"}


def test_the_guide_has_every_code_of_every_data_set():
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    lines = [["expression", *(f"`{name}`" for name in CODES)], ["---"] * (1 + len(CODES))]
    for name in EXPRESSION_NAMES:
        row = [{ours: str(code) for code, ours in codes.items()}.get(name, "") for codes in CODES.values()]
        lines.append([name, *row])
    rule = "|".join(lines.pop(1))
    rows = [f"| {' | '.join(line)} |" for line in lines]
    assert "\n".join([rows[0], f"|{rule}|", *rows[1:]]) in guide


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Happy", "happiness"),
        (" sad ", "sadness"),
        ("ANGRY", "anger"),
        ("afraid", "fear"),
        ("Surprised", "surprise"),
        ("neutral", "neutral"),
        ("joy", None),
        ("", None),
        ("4", None),
        ("hapiness", None),
    ],
)
def test_a_word_is_found_by_its_forms_and_never_guessed(word, name):
    assert find_expression(word) == name
