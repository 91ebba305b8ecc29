"""Can a printed accuracy be a share of N? Which count of right answers gives it, by which rounding.

What belongs here: exact arithmetic on printed percentages; accuracies of networks are in `metrics`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from scipy import stats

from fernet_neuro._utils.validation import check_option, check_range

#: How a share may have become the printed number. They differ for exact halves of the last digit alone,
#: except "truncated", which drops further digits. Spreadsheets round half up; Python and NumPy round half to
#: even; binary fractions that stand for a half may fall to either side.
ROUNDINGS = ("half_up", "half_even", "half_down", "truncated")
#: Printed percentages have no more digits than this after the point.
_MOST_DECIMALS = 9


@dataclass(frozen=True)
class GridAudit:
    """Whether a printed percentage can be a share of `n` images, and what lies next to it.

    Parameters
    ----------
    percent : str
        The number as printed, with `decimals` digits after the point.
    n, decimals : int
        Number of images, digits after the point.
    counts : dict of str to tuple of int
        Numbers of right answers that print as `percent`, by rounding convention; empty where none does.
    below, above : tuple of (int, str) or None
        Nearest attainable neighbours: number of right answers and how it prints, rounded half up.
    chance_rate : float
        Share of all numbers from 0 to 100 with so many digits that are attainable by rounding at this `n`:
        how often a number drawn blindly would pass.
    """

    percent: str
    n: int
    decimals: int
    counts: dict[str, tuple[int, ...]]
    below: tuple[int, str] | None
    above: tuple[int, str] | None
    chance_rate: float

    @property
    def conventions(self) -> tuple[str, ...]:
        """The rounding conventions under which the number is attainable."""
        return tuple(name for name in ROUNDINGS if self.counts[name])

    @property
    def is_attainable(self) -> bool:
        """Whether any way of rounding to the nearest number (not truncation) gives it."""
        return any(name != "truncated" for name in self.conventions)


def is_attainable(
    percent: str | float | Decimal, n: int, decimals: int = 2, *, rounding: str = "half_up"
) -> bool:
    """Return whether some number of right answers out of `n` prints as `percent`.

    Raises
    ------
    ValueError
        If an argument is out of range, or `percent` has more digits than `decimals`.

    Examples
    --------
    >>> is_attainable("63.12", 3999), is_attainable("63.12", 4000)
    (True, False)
    >>> is_attainable("63.12", 4000, rounding="half_even")
    True
    """
    check_option("rounding", rounding, ROUNDINGS)
    return bool(_list_counts(_parse(percent, decimals), _check_n(n), decimals, rounding))


def audit_accuracy(percent: str | float | Decimal, n: int, decimals: int = 2) -> GridAudit:
    """Return by which counts and conventions a printed percentage can be a share of `n` images.

    Parameters
    ----------
    percent : str, float or Decimal
        As printed, in per cent; text keeps its digits exactly.
    n : int
        Number of images in the test set.
    decimals : int
        Digits after the point that were printed.

    Raises
    ------
    ValueError
        If `percent` is no number from 0 to 100 with at most `decimals` digits after the point, or `n` or
        `decimals` is out of range.

    References
    ----------
    .. [1] Brown, N. J. L. and Heathers, J. A. J. (2017). The GRIM test: a simple technique detects numerous
       anomalies in the reporting of results in psychology. Social Psychological and Personality Science,
       8(4), 363-369.

    Examples
    --------
    >>> audit = audit_accuracy("91.07", 3068)
    >>> audit.is_attainable, audit.counts["half_up"], round(audit.chance_rate, 2)
    (True, (2794,), 0.31)
    """
    value, n = _parse(percent, decimals), _check_n(n)
    counts = {name: _list_counts(value, n, decimals, name) for name in ROUNDINGS}
    below, above = _find_neighbours(value, n, decimals)
    return GridAudit(
        f"{Decimal(value.numerator) / value.denominator:.{decimals}f}",
        n,
        decimals,
        counts,
        _describe(below, n, decimals),
        _describe(above, n, decimals),
        compute_chance_rate(n, decimals),
    )


def compute_chance_rate(n: int, decimals: int = 2) -> float:
    """Return the share of all numbers 0 to 100 with `decimals` digits that rounding can give at `n`.

    Steps of 1/n wider than the last digit all print differently; narrower ones reach every number.

    Examples
    --------
    >>> round(compute_chance_rate(3068), 3), compute_chance_rate(20000)
    (0.307, 1.0)
    """
    steps = 100 * 10 ** _check_decimals(decimals)
    return (min(_check_n(n), steps) + 1) / (steps + 1)


def compute_hit_probability(audits: Sequence[GridAudit]) -> float:
    """Return how likely as many or more of the numbers would be attainable by chance, at one `n`.

    A binomial tail at the chance rate, as if each had been drawn blindly from all numbers with so many
    digits.

    Raises ValueError if there is no audit, or they differ in `n` or `decimals`.
    """
    if len({(audit.n, audit.decimals) for audit in audits}) != 1:
        raise ValueError("the audits must be one or more, all of one n and one number of decimals.")
    hits = sum(bool(audit.counts["half_up"]) for audit in audits)
    return float(stats.binom.sf(hits - 1, len(audits), audits[0].chance_rate))


def count_decimals(percent: str) -> int:
    """Return the digits after the point of a printed number.

    Examples
    --------
    >>> count_decimals("90.30"), count_decimals("73")
    (2, 0)
    """
    return len(percent.strip().partition(".")[2])


def _parse(percent: str | float | Decimal, decimals: int) -> Fraction:
    """Return the printed number exactly."""
    _check_decimals(decimals)
    try:
        value = Decimal(str(percent).strip())
    except InvalidOperation:
        value = Decimal("nan")
    if not (value.is_finite() and 0 <= value <= 100):
        raise ValueError(f"an accuracy must be a number from 0 to 100, in per cent; got {str(percent)!r}.")
    exact = Fraction(value)
    if (exact * 10**decimals).denominator != 1:
        raise ValueError(
            f"{percent} has more than {decimals} digits after the point; set the decimals to fit."
        )
    return exact


def _check_n(n: int) -> int:
    return int(check_range("n", n, minimum=1))


def _check_decimals(decimals: int) -> int:
    return int(check_range("decimals", decimals, minimum=0, maximum=_MOST_DECIMALS))


def _list_counts(value: Fraction, n: int, decimals: int, rounding: str) -> tuple[int, ...]:
    """Return all numbers of right answers that print as `value`."""
    unit = Fraction(1, 10**decimals)
    is_even = (value / unit).numerator % 2 == 0
    ends: dict[str, tuple[Fraction, Fraction, bool, bool]] = {
        "half_up": (value - unit / 2, value + unit / 2, True, False),
        "half_down": (value - unit / 2, value + unit / 2, False, True),
        "half_even": (value - unit / 2, value + unit / 2, is_even, is_even),
        "truncated": (value, value + unit, True, False),
    }
    low, high, with_low, with_high = ends[rounding]
    first, last = math.ceil(low * n / 100), math.floor(high * n / 100)
    first += first * 100 == low * n and not with_low
    last -= last * 100 == high * n and not with_high
    return tuple(range(max(first, 0), min(last, n) + 1))


def _find_neighbours(value: Fraction, n: int, decimals: int) -> tuple[int | None, int | None]:
    """Return the counts that print just below and just above `value`, rounded half up."""
    unit = Fraction(1, 10**decimals)
    below = math.ceil((value - unit / 2) * n / 100) - 1
    above = math.ceil((value + unit / 2) * n / 100)
    return (below if below >= 0 else None), (above if above <= n else None)


def _describe(count: int | None, n: int, decimals: int) -> tuple[int, str] | None:
    if count is None:
        return None
    units = math.floor(Fraction(100 * count * 10**decimals, n) + Fraction(1, 2))
    return count, f"{Decimal(units).scaleb(-decimals):.{decimals}f}"
