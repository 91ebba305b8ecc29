"""Which arrays hold the same values, told by a few numbers of each, so that none has to be kept.

What belongs here: the numbers and their comparison; what is refused is said where the arrays come from.
"""

from collections.abc import Hashable

import numpy as np

#: Parts of an array of which each becomes a number.
_N_PARTS = 16
#: Values that are looked at, of larger arrays evenly spaced ones: what is measured anew differs everywhere.
_MOST_VALUES = 2**20
#: How much those of equal arrays differ by rounding, as to 16 or 32 bits. Two runs of one brain, which share
#: its anatomy, differ several times as much where they differ least, and in 16 numbers at once.
_ROUNDING = 3e-5
#: Share of its mean below which what varies in an array is rounding.
_CONSTANT = 1e-9


def sketch(values: np.ndarray) -> np.ndarray:
    """Return 17 numbers that are the same for equal arrays, whatever their dtype and offset.

    They are sums of parts of the values less their mean, with random signs, over the length of all, and the
    logarithm of that length. What is not finite counts as 0. An array whose values are all one has zeros.

    Examples
    --------
    >>> values = np.arange(100.0) ** 2
    >>> bool(np.allclose(sketch(values), sketch((values + 7).astype(np.float32)), atol=1e-6))
    True
    >>> sketch(np.ones(100)).any()
    np.False_
    """
    flat = np.asarray(values).ravel()
    flat = flat[:: -(-flat.size // _MOST_VALUES) or 1]
    if not np.isfinite(flat).all():
        flat = np.nan_to_num(flat, posinf=0.0, neginf=0.0)
    if not flat.size:
        return np.zeros(_N_PARTS + 1)
    mean = float(flat.mean(dtype=np.float64))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], -(-flat.size // _N_PARTS))
    sums, squares = [], 0.0
    for part in np.array_split(flat, _N_PARTS):  # so that no copy of all is made
        rest = part - np.float64(mean)
        sums.append(float(rest @ signs[: len(rest)]))
        squares += float(rest @ rest)
    if np.sqrt(squares / flat.size) <= _CONSTANT * abs(mean):
        return np.zeros(_N_PARTS + 1)
    length = np.sqrt(squares)
    return np.append(np.array(sums) / length, np.log(length))


def are_alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two sketches are of the same values; arrays that are constant tell nothing."""
    return bool(one.any() and np.abs(one - other).max() <= _ROUNDING)


class Seen:
    """Arrays that were seen, and what each was called.

    Parameters
    ----------
    fewest : int, default=32
        Arrays with fewer values may be equal by chance, and are never found.

    Examples
    --------
    >>> seen, values = Seen(), np.arange(100) ** 2
    >>> seen.find(values, "run 1"), seen.find(-values, "run 2"), seen.find(values, "run 3")
    (None, None, 'run 1')
    """

    def __init__(self, fewest: int = 32) -> None:
        self._fewest = fewest
        self._known: dict[Hashable, list[tuple[str, np.ndarray]]] = {}

    def find(self, values: np.ndarray, name: str, group: Hashable = "") -> str | None:
        """Return the name under which the same values of the same shape and group were seen, if they were.

        Else they are remembered.
        """
        if values.size < self._fewest:
            return None
        own = sketch(values)
        # Alike are only arrays whose first numbers lie in one cell, or in two that touch.
        place = int(own[0] // _ROUNDING)
        for cell in (place - 1, place, place + 1):
            for other, known in self._known.get((group, values.shape, cell), ()):
                if are_alike(own, known):
                    return other
        self._known.setdefault((group, values.shape, place), []).append((name, own))
        return None
