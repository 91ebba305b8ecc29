from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fernet_neuro._utils.shown import Compared


@dataclass(frozen=True, eq=False)
class Noun(Compared):
    value: Any
    name: str = "a"


class Other(Noun):
    pass


EQUAL = [
    (np.array([1.0, np.nan]), np.array([1.0, np.nan])),
    (np.array(["a", "b"]), np.array(["a", "b"], dtype="U9")),
    (pd.DataFrame({"x": [1.0, np.nan]}), pd.DataFrame({"x": [1.0, np.nan]})),
    ({"r": np.arange(3), "s": {"t": [1]}}, {"s": {"t": [1]}, "r": np.arange(3)}),
    (None, None),
]
UNEQUAL = [
    (np.array([1.0, 2.0]), np.array([1.0, 3.0])),
    (np.array([1.0, 2.0]), np.array([[1.0, 2.0]])),
    (np.array([1.0]), np.array([1.0], dtype=np.float32)),
    (np.array(["1"]), np.array([1])),
    (pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [1.0]})),
    ({"r": np.arange(3)}, {"r": np.arange(3), "s": None}),
    (np.array([1.0]), None),
    ({"n": 1}, {"n": "1"}),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_content_is_equal(one, other):
    assert Noun(one) == Noun(other)


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_other_content_is_not(one, other):
    assert Noun(one) != Noun(other)
    assert Noun(other) != Noun(one)


def test_every_field_and_the_type_count():
    noun = Noun(np.arange(3))
    assert noun != replace(noun, name="b")
    assert noun != Other(np.arange(3))
    with pytest.raises(TypeError, match="unhashable"):
        hash(noun)
