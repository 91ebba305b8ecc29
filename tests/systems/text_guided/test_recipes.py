"""The paper's recipes for other data sets: settings as on RAF-DB."""

import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro.training.config import TrainSettings

WHO = ("select", "val_select", "val_share")


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("affectnet8", ({"split": "train"}, {"split": ["val"]}, 0.1)),
        ("ferplus", ({"split": "train"}, {"split": "val"}, 0.1)),
        ("ckplus", ({}, {}, 0.0)),
    ],
)
def test_other_sets_are_trained_as_rafdb_and_differ_in_who_trains(name, who):
    ours, rafdb = (
        read_settings(TrainSettings, f"text_guided/{recipe}").model_dump() for recipe in (name, "rafdb")
    )
    assert tuple(ours.pop(key) for key in WHO) == who
    assert ours == {key: value for key, value in rafdb.items() if key not in WHO}
