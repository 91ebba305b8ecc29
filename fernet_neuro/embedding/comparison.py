"""Who may be whose neighbour when a factor is judged, and which labels trade places under the null.

What belongs here: groups read from the stimulus table; distances and scores are in `quality`.
"""

from dataclasses import dataclass

import numpy as np

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stats.resampling import permute_within
from fernet_neuro.stimuli.near_copies import find_near_copies
from fernet_neuro.stimuli.table import StimulusTable

#: Where no person is known, intervals are over at most so many random blocks of stimuli.
_MOST_BLOCKS = 50


@dataclass(frozen=True, eq=False)
class Comparison:
    """How one factor is judged; arrays have the shape (n_stimuli,).

    Parameters
    ----------
    factor : str
        The factor.
    across : str or None
        Neighbours must differ in this factor; None: they must not be near-copies (sessions of one pose).
    within : str or None
        The null exchanges labels inside each value of this factor; None: freely.
    units : str
        What keeps one label under the null, in words.
    classes : tuple of str
        Values of the factor, sorted.
    codes : ndarray of int
        Class of each stimulus.
    groups : ndarray of int
        Stimuli of one group are never each other's neighbours.
    blocks : ndarray of int
        Stimuli of one block keep one common label under the null.
    people : ndarray of int
        Units that intervals are over.
    over : str
        What those are, in words.
    """

    factor: str
    across: str | None
    within: str | None
    units: str
    classes: tuple[str, ...]
    codes: np.ndarray
    groups: np.ndarray
    blocks: np.ndarray
    people: np.ndarray
    over: str

    def count_matches(self) -> np.ndarray:
        """Return how many possible neighbours of each stimulus have its label, shape (n_stimuli,)."""
        pairs = _cross(self.groups, self.codes)
        return np.bincount(self.codes)[self.codes] - np.bincount(pairs)[pairs]

    def count_candidates(self) -> np.ndarray:
        """Return how many possible neighbours each stimulus has, shape (n_stimuli,)."""
        return len(self.groups) - np.bincount(self.groups)[self.groups]

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return `n` labellings of shape (n, n_stimuli): the same for every layer, map and score."""
        if n == 0:
            return np.empty((0, len(self.codes)), dtype=np.int16)
        rng = make_rng(seed, "embedding", "permutations", self.factor)
        groups = self.groups if self.within else None
        return permute_within(self.codes.astype(np.int16), groups, rng, n, blocks=self.blocks)


def plan_comparison(table: StimulusTable, factor: str) -> Comparison:
    """Return how `factor` is judged on `table`.

    ========== ============================ ===============================================================
    factor     neighbours must differ in    the null exchanges, as one, the stimuli of one
    ========== ============================ ===============================================================
    expression identity                     identity with one expression, within identity
    identity   expression                   expression with one identity, within expression
    identity   view (one expression only)   view with one identity, within view
    another    identity                     identity with one value, within identity; freely if constant in
                                            each
    ========== ============================ ===============================================================

    A face's nearest neighbours are mostly the same person's other photographs. If those counted, expressions
    would look mixed where people form clusters, and look pure where sessions are near-copies; neither says
    whether an expression is alike in different people. So neighbours of expression are other people's, and
    likewise neighbours of identity show another expression: no near-copy (another session of one person,
    expression and view) can be anyone's neighbour. Where that factor is empty in the whole table, each
    stimulus stands alone and labels are exchanged freely; `across` is then None, and reports say so.

    Raises StimulusError if the factor has one value or empty rows, the factor to compare across is filled in
    part only, or no stimulus has a possible neighbour with its label.
    """
    values = table.factor(factor).astype(str)
    classes, codes = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise StimulusError(
            f"factor {factor!r} needs at least two values to be judged; "
            f"the table has only {str(classes[0])!r}."
        )
    across = _choose_across(table, factor, codes)
    groups = find_near_copies(table) if across is None else _codes(table, across)
    blocks = groups if across is None else _cross(groups, codes)
    varies = across is not None and len(np.unique(blocks)) > len(np.unique(groups))
    units = "single pictures" if across is None else f"{across} x {factor}"
    people, over = _people(table)
    plan = Comparison(
        factor,
        across,
        across if varies else None,
        units,
        tuple(str(name) for name in classes),
        codes,
        groups,
        blocks,
        people,
        over,
    )
    if not plan.count_matches().any():
        raise StimulusError(_explain_no_match(factor, across))
    return plan


def _choose_across(table: StimulusTable, factor: str, codes: np.ndarray) -> str | None:
    if factor != "identity":
        return "identity" if _is_known(table, "identity") else None
    for option in ("expression", "view"):
        if _is_known(table, option) and _has_matches(codes, _codes(table, option)):
            return option
    return None


def _has_matches(codes: np.ndarray, groups: np.ndarray) -> bool:
    """Return whether a label occurs in two groups, and a group holds two labels."""
    pairs = np.unique(np.column_stack([codes, groups]), axis=0)
    return bool(np.bincount(pairs[:, 0]).max() > 1 and np.bincount(pairs[:, 1]).max() > 1)


def _is_known(table: StimulusTable, factor: str) -> bool:
    """Return whether all rows have a value, or none has.

    Raises StimulusError if some have and some have not.
    """
    values = table.factor(factor, complete=False).astype(str)
    if (values == "").all():
        return False
    table.factor(factor)
    return True


def _people(table: StimulusTable) -> tuple[np.ndarray, str]:
    if _is_known(table, "identity"):
        codes = _codes(table, "identity")
        return codes, f"{codes.max() + 1} identities"
    n_blocks = min(_MOST_BLOCKS, len(table))
    codes = make_rng(0, "embedding", "blocks").permutation(np.arange(len(table)) % n_blocks)
    return codes, f"{n_blocks} random blocks of pictures"


def _codes(table: StimulusTable, factor: str) -> np.ndarray:
    return np.unique(table.factor(factor).astype(str), return_inverse=True)[1]


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return one number per pair of values that occurs."""
    return np.unique(first * (int(second.max()) + 1) + second, return_inverse=True)[1]


def _explain_no_match(factor: str, across: str | None) -> str:
    if across is None:
        return (
            f"{factor!r} cannot be judged: no {factor} has two pictures that are not sessions of one pose, "
            f"and those are near-copies; give other expressions or views, or colour by another factor."
        )
    return (
        f"{factor!r} is judged between stimuli that differ in {across!r}, and no value of {factor!r} occurs "
        f"with two values of {across!r}; give more of them, or colour by another factor."
    )
