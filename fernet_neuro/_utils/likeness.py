"""Which arrays hold the same values, told by a few numbers of each, so that none has to be kept.

What belongs here: the numbers and their comparison; what is refused is said where the arrays come from.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable
from operator import itemgetter
from typing import NamedTuple

import numpy as np

#: Parts of an array of which each becomes a number.
_N_PARTS = 16
#: Values that are looked at, of larger arrays some: what is measured anew differs everywhere.
_MOST_VALUES = 2**20
#: How much the numbers of equal arrays differ by rounding, as to 16 or 32 bits. Two means of one brain, which
#: share its anatomy, differ several times as much where they differ least, and in 16 numbers at once.
_ROUNDING = 6e-5
#: The same where little varies around large means of columns, which is what is rounded. The runs of a slice
#: of Haxby et al. (2001) differ by 0.35 and more, be they compared by volumes or by means of stimuli.
_MOST_ROUNDING = 0.02
#: Share of an array's size below which what varies in it is rounding.
_CONSTANT = 1e-9


class Sketch(NamedTuple):
    """A few numbers of an array, all 0 of one that is constant, and how much rounding may change them."""

    numbers: np.ndarray
    slack: float

    @property
    def is_constant(self) -> bool:
        """Whether nothing varies in the array, so that it tells nothing."""
        return not self.numbers.any()


def sketch(values: np.ndarray, *, by_column: bool = False) -> Sketch:
    """Return 16 numbers that are the same for equal arrays, whatever their dtype, offset and scale.

    They are sums of parts of the values less their mean, with random signs, over the length of all. A
    scale is positive. What is not finite counts as 0.

    Parameters
    ----------
    values : ndarray
        Of any shape; its first axis are rows, all others columns.
    by_column : bool, default=False
        Take each column's mean off where there are several rows: of a run, only what varies over time
        counts, and not what voxels share with those of another run.

    Examples
    --------
    >>> values = np.arange(100.0) ** 2
    >>> one, other = sketch(values), sketch((3 * values + 7).astype(np.float32))
    >>> bool(np.allclose(one.numbers, other.numbers, atol=1e-6)), sketch(np.ones(100)).is_constant
    (True, True)
    """
    nothing = Sketch(np.zeros(_N_PARTS), _ROUNDING)
    if not np.size(values):
        return nothing
    chosen = _choose(np.asarray(values), by_column)
    top = np.abs(chosen).max()
    if top == 0:
        return nothing
    chosen /= top
    rest = chosen - chosen.mean()
    spread = length = float(np.linalg.norm(rest))
    if by_column and len(chosen) > 1:
        rest -= rest.mean(axis=0)
        length = float(np.linalg.norm(rest))
    if length <= _CONSTANT * np.linalg.norm(chosen):
        return nothing
    signs = np.random.default_rng(0).choice([-1.0, 1.0], -(-rest.size // _N_PARTS))
    sums = [float(part @ signs[: len(part)]) for part in np.array_split(rest.ravel(), _N_PARTS)]
    return Sketch(np.array(sums) / length, min(_ROUNDING * spread / length, _MOST_ROUNDING))


def _choose(values: np.ndarray, by_column: bool) -> np.ndarray:
    """Return the values that are looked at, finite, as a new array of floats: some columns of all rows."""
    if by_column:
        values = values.reshape(len(values), -1)
        n_rows, n_columns = values.shape
        n_kept = max(1, _MOST_VALUES // n_rows)
        if n_columns > n_kept:  # at random: evenly spaced ones may all lie at one edge of a grid
            values = values[:, np.sort(np.random.default_rng(0).choice(n_columns, n_kept, replace=False))]
    else:
        flat = values.ravel()
        values = flat[:: -(-flat.size // _MOST_VALUES)]
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def are_alike(one: Sketch, other: Sketch) -> bool:
    """Return whether two sketches are of the same values; arrays that are constant tell nothing."""
    difference = np.abs(one.numbers - other.numbers).max()
    return not one.is_constant and bool(difference <= max(one.slack, other.slack))


class Seen:
    """Arrays that were seen, and what each was called.

    Parameters
    ----------
    fewest : int, default=32
        Arrays with fewer values may be equal by chance, and are never found.

    Examples
    --------
    >>> seen, values = Seen(), np.arange(100) ** 2
    >>> seen.find(values, "run 1"), seen.find(-values, "run 2"), seen.find(2 * values, "run 3")
    (None, None, 'run 1')
    """

    def __init__(self, fewest: int = 32) -> None:
        self._fewest = fewest
        # By the first of their numbers, so that few have to be compared.
        self._known: dict[Hashable, list[tuple[float, str, Sketch]]] = {}

    def find(
        self, values: np.ndarray, name: str, group: Hashable = "", *, by_column: bool = False
    ) -> str | None:
        """Return the name under which the same values of the same shape and group were seen, if they were.

        Else they are remembered. `by_column`: as in `sketch`.
        """
        if values.size < self._fewest:
            return None
        own = sketch(values, by_column=by_column)
        known = self._known.setdefault((group, values.shape), [])
        reach = _MOST_ROUNDING if by_column else _ROUNDING
        first = float(own.numbers[0])
        for place in range(bisect_left(known, first - reach, key=itemgetter(0)), len(known)):
            number, other, theirs = known[place]
            if number > first + reach:
                break
            if are_alike(own, theirs):
                return other
        insort(known, (first, name, own), key=itemgetter(0))
        return None
