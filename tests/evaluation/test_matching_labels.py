import numpy as np
import pytest

from fernet_neuro.evaluation.labels import match_labels
from fernet_neuro.exceptions import StimulusError

CLASSES = ("anger", "fear", "happiness", "neutral")


def test_labels_that_are_classes_stay():
    names, known = match_labels(np.array(["fear", "anger", "fear"]), CLASSES)
    assert list(names) == ["fear", "anger", "fear"]
    assert known.all()


def test_labels_are_renamed_as_told_and_several_may_become_one():
    mapping = {"joy": "happiness", "delight": "happiness"}
    names, known = match_labels(np.array(["joy", "anger", "delight"]), CLASSES, mapping=mapping)
    assert list(names) == ["happiness", "anger", "happiness"]
    assert known.all()


def test_unknown_labels_are_refused_with_the_options_that_map_them():
    labels = np.array(["happy", "anger", "afraid", "happy", "xyz"])
    with pytest.raises(StimulusError) as error:
        match_labels(labels, CLASSES)
    message = str(error.value)
    assert "4 of 5 stimuli" in message
    assert "--map afraid=fear --map happy=happiness --map xyz=CLASS" in message
    assert "\n" not in message


def test_only_known_marks_the_rest():
    labels = np.array(["happy", "anger", ""])
    _, known = match_labels(labels, CLASSES, only_known=True)
    assert list(known) == [False, True, False]


def test_no_known_label_at_all_is_refused():
    with pytest.raises(StimulusError, match="no stimulus shows a class of the network"):
        match_labels(np.array(["happy"]), CLASSES, only_known=True)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"hapy": "happiness"}, "label to map='hapy' is not known.*Did you mean 'happy'"),
        ({"happy": "hapiness"}, "class to map to='hapiness' is not known.*Did you mean 'happiness'"),
    ],
)
def test_a_mapping_names_what_is_there(mapping, message):
    with pytest.raises(ValueError, match=message):
        match_labels(np.array(["happy", "anger"]), CLASSES, mapping=mapping)
