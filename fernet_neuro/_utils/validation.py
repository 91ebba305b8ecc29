"""Checks at the border: each says what was got, what is wanted, and the closest valid name."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from math import isfinite
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)


def suggest(name: str, options: Iterable[object]) -> str:
    """Return ``" Did you mean 'x'?"`` for the option closest to `name`, or an empty string."""
    close = get_close_matches(str(name), [str(option) for option in options], n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def format_options(options: Iterable[object], most: int = 12) -> str:
    """Return `options` as a comma-separated list, cut after `most` entries."""
    names = [str(option) for option in options]
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def check_option(argument: str, value: str, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`.

    Raises ValueError if it is not; the message lists the options and suggests the closest.
    """
    names = list(options)
    if value not in names:
        raise ValueError(
            f"{argument}={value!r} is not known; use one of: {format_options(names)}.{suggest(value, names)}"
        )
    return value


def check_label(argument: str, value: str, *, may_be_empty: bool = False) -> str:
    """Return `value` if it has only letters (A to Z) and digits, so that it can be part of a file's name.

    Raises ValueError if it has other signs, or is empty and may not be.
    """
    if not re.fullmatch("[0-9A-Za-z]*" if may_be_empty else "[0-9A-Za-z]+", value):
        raise ValueError(f"{argument} {value!r} may have only letters (A to Z) and digits.")
    return value


def check_jobs(argument: str, value: int) -> int:
    """Return `value` if it is a number of jobs as joblib counts them: 1 or more, or -1 for one per core.

    Raises ValueError if it is 0; below 0 means all cores but so many.
    """
    if value == 0:
        raise ValueError(f"{argument} must be 1 or more, or -1 for one per core; got 0.")
    return value


def check_range(
    argument: str, value: Number, minimum: float | None = None, maximum: float | None = None
) -> Number:
    """Return `value` if it lies in the closed interval [`minimum`, `maximum`].

    Raises ValueError if it lies outside, or is not a number.
    """
    low = minimum is None or value >= minimum
    high = maximum is None or value <= maximum
    if not (low and high):
        wanted = " and ".join(
            f"{sign} {bound}" for sign, bound in ((">=", minimum), ("<=", maximum)) if bound is not None
        )
        raise ValueError(f"{argument} must be {wanted}; got {value!r}.")
    return value


def check_between(
    argument: str, value: Number, low: float = 0.0, high: float = 1.0, *, ends: bool = False
) -> Number:
    """Return `value` if it is a finite number between `low` and `high`, which may be infinite.

    `ends`: whether it may be one of these. Raises ValueError if it lies elsewhere.
    """
    inside = low <= value <= high if ends else low < value < high
    if not (inside and isfinite(value)):
        raise ValueError(f"{argument} must {_describe_range(low, high, ends)}; got {value!r}.")
    return value


def _describe_range(low: float, high: float, ends: bool) -> str:
    if isfinite(high):
        return f"be from {low:g} to {high:g}" if ends else f"lie between {low:g} and {high:g}"
    if isfinite(low):
        return f"be a finite number {f'of {low:g} or more' if ends else f'above {low:g}'}"
    return "be a finite number"


def check_type(argument: str, value: Any, types: type | tuple[type, ...]) -> Any:
    """Return `value` if it is an instance of `types`; ``bool`` never passes for a number.

    Raises TypeError if it is of another type.
    """
    kinds = types if isinstance(types, tuple) else (types,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{argument} must be {wanted}; got {type(value).__name__} ({value!r}).")
    return value
