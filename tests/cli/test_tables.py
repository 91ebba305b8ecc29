"""Tables of reports: columns fit their content, and what is missing is said or left out."""

import math

import pandas as pd
import pytest

from fernet_neuro.cli._tables import format_cell, format_table, list_records, show


def test_numbers_are_right_text_is_left_and_empty_columns_go():
    frame = pd.DataFrame({"roi": ["FFA", "OFA"], "r": [0.5, math.nan], "p": [None, None]})
    columns = {"region": "{roi}", "r %": "{r:.1pct}", "interval": "[{r:.2f}, {r:.2f}]", "p": "{p:p}"}
    assert format_table(frame, columns) == [
        "region   r %  interval",
        "FFA     50.0  [0.50, 0.50]",
        "OFA        -  -",
    ]


def test_a_table_without_rows_is_its_header():
    assert format_table([], {"region": "{roi}", "r": "{r:.2f}"}) == ["region  r"]


@pytest.mark.parametrize(
    ("p", "text"), [(0.0009, "< .001"), (0.001, ".001"), (0.04567, ".046"), (1.0, "1.000"), (None, "-")]
)
def test_p_values_are_those_of_pages(p, text):
    assert format_cell("{p:p}", {"p": p}) == text


def test_records_are_plain_and_missing_is_none(capsys):
    rows = list_records(pd.DataFrame({"a": [1.5, math.nan], "b": ["x", None]}))
    assert rows == [{"a": 1.5, "b": "x"}, {"a": None, "b": None}]
    show(["one", "two"])
    show([], as_json=True, values=rows)
    assert capsys.readouterr().out == 'one\ntwo\n[{"a": 1.5, "b": "x"}, {"a": null, "b": null}]\n'
