"""The form that a table's columns take in memory, so that no file format can change a label.

What belongs here: turning any column into text, bool, int64 or float64 by one rule that CSV and Parquet keep.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.labels import PERHAPS_GAPS

#: Decimals as spreadsheets and R write them (20.00, .5, 2.000e+01); leading zeros are those of codes.
_DECIMALS = re.compile(r"[+-]?(0|[1-9]\d*)?\.\d+(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


def to_canonical(column: pd.Series) -> pd.Series:
    """Return a factor column as bool, int64, float64 or text, whatever file it came from.

    Text turns into numbers only where every value is written as programs write numbers, and different texts
    are different numbers: "3", "0.5" and "20.00" are numbers, "003" and "1e3" stay labels, and so do "1.1"
    and "1.10" together. "NA" and "nan" are labels too but among numbers, where they are gaps. A gap is NaN
    among numbers and the empty string elsewhere.
    """
    if pd.api.types.is_bool_dtype(column.dtype) and not column.isna().any():
        return column.astype(bool)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return _numbers(column)
    text = _list_texts(column)
    numbers = ["" if item in PERHAPS_GAPS else item for item in text]
    if any(numbers) and _are_numbers([item for item in numbers if item]):
        text = numbers
    filled = [item for item in text if item]
    is_full = len(filled) == len(text)
    if filled and is_full and set(filled) <= {"True", "False"}:
        return _replace([item == "True" for item in text], column, bool)
    if filled and is_full and all(map(_is_integer, filled)):
        return _replace(list(map(int, text)), column, "int64")
    if filled and _are_numbers(filled):
        return _replace([float(item) if item else math.nan for item in text], column, float)
    return _replace(text, column, object)


def _replace(values: Sequence[Any] | np.ndarray, column: pd.Series, dtype: type | str) -> pd.Series:
    """Return `values` in the place of those of a column."""
    return pd.Series(values, index=column.index, name=column.name, dtype=dtype)


def _list_texts(column: pd.Series) -> list[str]:
    values = column.to_numpy(dtype=object)
    return [
        "" if gap else str(value.item() if isinstance(value, np.generic) else value)
        for value, gap in zip(values, pd.isna(values), strict=True)
    ]


def _numbers(column: pd.Series) -> pd.Series:
    if column.isna().all() and len(column):
        return _replace([""] * len(column), column, object)  # a CSV could not tell
    if pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any():
        if column.dtype.kind == "u" and len(column) and int(column.max()) >= 2**63:
            return _replace(_list_texts(column), column, object)
        return column.astype("int64")
    if pd.api.types.is_complex_dtype(column.dtype):
        return _replace(_list_texts(column), column, object)
    return _replace(column.to_numpy(dtype=float, na_value=math.nan), column, float)


def _are_numbers(texts: list[str]) -> bool:
    """Return whether each text is a number as Python writes it, or as others do without two that are one."""
    different = set(texts)
    others = {text for text in different if not (_is_integer(text) or _is_float(text))}
    if not all(map(_DECIMALS.fullmatch, others)):
        return False
    return not others or len(set(map(float, different))) == len(different)


def _is_integer(text: str) -> bool:
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        return False
    return str(int(text)) == text and -(2**63) <= int(text) < 2**63


def _is_float(text: str) -> bool:
    if len(text) > 32 or text == "nan":
        return False
    try:
        return repr(float(text)) == text
    except ValueError:
        return False
