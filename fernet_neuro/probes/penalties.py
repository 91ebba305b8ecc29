"""Penalties of read-outs: the grids that they choose from, and what a penalty may be."""

from collections.abc import Sequence
from math import inf

from fernet_neuro._utils.validation import check_between

#: Relative penalties of the nested choice: from nearly none to shrinking every direction of average variance.
RELATIVE_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: The logistic read-out is fitted iteratively, so its grid is shorter.
LOGISTIC_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


def check_penalty(argument: str, value: float) -> float:
    """Return `value` if it is a finite number above zero.

    Raises
    ------
    ValueError
        If it is not.
    """
    return float(check_between(argument, value, high=inf))


def check_penalties(values: Sequence[float]) -> tuple[float, ...]:
    """Return the grid as a tuple of positive numbers.

    Raises
    ------
    ValueError
        If it is empty or holds a number that is not positive.
    """
    grid = tuple(check_penalty("penalties", float(value)) for value in values)
    if not grid:
        raise ValueError("penalties must name at least one candidate; got an empty grid.")
    return grid
