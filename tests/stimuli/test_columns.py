"""What is a number and what a label, however a program writes it."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.stimuli._columns import to_canonical


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["20.00", "21.50", ""], [20.0, 21.5, np.nan]),
        ([".2000", "-.3", "+4.0"], [0.2, -0.3, 4.0]),
        (["2.000e+01", "2.15E1"], [20.0, 21.5]),
        (["0.12345678901234567", "NA", "3"], [0.12345678901234567, np.nan, 3.0]),
        (["1.50", "nan", "NULL"], [1.5, np.nan, np.nan]),
        (["3", "3.0", "-0.0", "0.0"], [3.0, 3.0, -0.0, 0.0]),
    ],
)
def test_numbers_as_spreadsheets_and_r_write_them_are_numbers(texts, numbers):
    found = to_canonical(pd.Series(texts))
    assert found.dtype == float
    np.testing.assert_array_equal(found, numbers)


@pytest.mark.parametrize(
    "texts",
    [
        ["1.1", "1.10"],
        ["003", "004"],
        ["01.50", "2.00"],
        ["1e3", "2e3"],
        ["1.50", "n"],
        ["1.2.3", "1.20"],
        ["NA", "nan"],
    ],
)
def test_what_may_be_a_label_stays_text(texts):
    assert to_canonical(pd.Series(texts)).tolist() == texts
