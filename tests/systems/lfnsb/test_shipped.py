"""The networks that are shipped: their weights are those of the card, and they know what they learnt."""

import numpy as np
import pytest

import fernet_neuro as fn
from fernet_neuro._utils.shipped import find_trained
from fernet_neuro.experiments.predictions import compute_class_probabilities
from fernet_neuro.training.folder import RunFolder

EXPRESSION = ("lfnsb-rendered", "lfnsb-tiny-rendered")
IDENTITY = "lfnsb-rendered-identity"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Return nearly straight faces of ten people, numbered as nobody in training is, in two sessions."""
    out = tmp_path_factory.mktemp("faces") / "set"
    return fn.render_faces(identities=10, views=1, size=64, out=out)


@pytest.mark.parametrize("name", [*EXPRESSION, IDENTITY])
def test_weights_are_those_of_the_record_and_the_card_says_what_was_measured(name):
    model = fn.load_model(name)
    record = RunFolder(find_trained(name)).read_record()
    assert model.weight_digest() == record["digests"]["weights"]
    assert "rendered" in model.card.training_data
    assert {"London photographs"} <= {row["stimuli"] for row in model.card.measured}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPRESSION)
def test_expressions_of_new_rendered_people_are_named_above_chance(name, faces):
    found = compute_class_probabilities(name, faces)
    named = np.array(found.classes)[found.values.argmax(1)] == faces.factor("expression")
    assert named.mean() > 2 / 7  # 1/7 by chance; 140 faces


def test_new_rendered_people_are_told_apart_from_session_to_session(faces):
    neutral = faces[faces["expression"] == "neutral"]
    store = fn.extract(fn.load_model(IDENTITY), neutral, ["spatial_bias"], None)
    values = np.array(store["spatial_bias"].values).reshape(20, -1)
    first, second = (values[neutral.factor("session") == name] for name in "AB")
    likeness = np.corrcoef(first, second)[:10, 10:]
    assert (likeness.argmax(1) == np.arange(10)).mean() > 0.3  # 0.1 by chance
