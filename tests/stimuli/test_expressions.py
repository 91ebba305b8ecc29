"""Words for expressions: ours, the owners' spellings of them, and no guesses."""

import pytest

from fernet_neuro.stimuli.datasets import affectnet, fedro, kdef, rafdb
from fernet_neuro.stimuli.expressions import EXPRESSION_NAMES, find_expression
from fernet_neuro.stimuli.rendering.action_units import EXPRESSIONS


def test_names_are_sorted_and_those_of_rendered_faces_and_contempt():
    assert list(EXPRESSION_NAMES) == sorted({*EXPRESSIONS, "contempt"})


@pytest.mark.parametrize("codes", [kdef.EXPRESSIONS, rafdb.EXPRESSIONS, affectnet.EXPRESSIONS])
def test_every_data_set_speaks_our_names(codes):
    assert set(codes.values()) <= set(EXPRESSION_NAMES)
    assert len(set(codes.values())) == len(codes)
    assert set(EXPRESSION_NAMES) - set(fedro.EXPRESSIONS) == {"contempt"}


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
