"""Partitions of a stimulus table that keep identities, views and sessions apart.

What belongs here: who is in the training part and who in the test part; what is fitted on them is not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.shown import Shown
from fernet_neuro._utils.validation import check_between, check_option, check_range, format_options
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.near_copies import find_near_copies
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import Holdout

#: Share of the stimuli of each class that the hold-out "random" tests on.
RANDOM_TEST_SHARE = 0.2
#: The ten sets of seven KDEF identities that the lab held out in turn; identity i is the i-th of 70 in sorted
#: order, which for KDEF is F01..F35, M01..M35. The sets are those of the lab's own scripts, in their order.
KDEF_SETS: tuple[tuple[int, ...], ...] = (
    (8, 15, 31, 38, 47, 57, 66),
    (9, 16, 32, 39, 48, 58, 67),
    (10, 17, 33, 40, 49, 59, 68),
    (11, 18, 34, 41, 50, 60, 69),
    (12, 19, 35, 42, 51, 61, 0),
    (13, 20, 36, 43, 52, 62, 1),
    (14, 21, 25, 44, 53, 63, 2),
    (22, 45, 54, 64, 3, 4, 5),
    (23, 24, 55, 65, 6, 7, 56),
    (46, 37, 26, 27, 28, 29, 30),
)


@dataclass(frozen=True, repr=False)
class Fold(Shown):
    """Row numbers of one partition of a table.

    Parameters
    ----------
    name : str
        Such as ``"identity-03"`` or ``"view=straight"``.
    train, test : ndarray of int
        Row numbers, ascending; no row is in both, and every class of the test part is in the training part.
    """

    name: str
    train: np.ndarray
    test: np.ndarray

    def describe(self) -> str:
        """Return its name and sizes."""
        return f"{self.name}, {len(self.train)} train, {len(self.test)} test"


def make_folds(
    table: StimulusTable, holdout: str, *, target: str | None = "expression", n_folds: int = 10, seed: int = 0
) -> list[Fold]:
    """Return folds for reading out `target` with `holdout` kept apart.

    ============ ==========================================================================================
    hold-out     test part of each fold
    ============ ==========================================================================================
    identity     one of `n_folds` groups of identities, drawn by `seed`, of near equal numbers of stimuli
    view         one view, all others train; likewise ``expression`` and ``session``
    random       `n_folds` independent draws of a fifth of each class, at least one stimulus; draws overlap
    kdef10       one of the lab's ten sets of seven identities; needs 70 identities, numbered in sorted order
    ============ ==========================================================================================

    "random" keeps the photographs of one identity, expression and view on one side, since two photographs of
    one pose are nearly one photograph (see `find_near_copies`). It does not keep identities apart.

    Parameters
    ----------
    table : StimulusTable
        Stimuli; the factor held out and `target` must have a value in every row.
    holdout : {"identity", "view", "expression", "session", "random", "kdef10"}
        What no test stimulus shares with a training stimulus.
    target : str or None
        Factor whose values are the classes; None where what is read out has none, as a number.
    n_folds : int
        Number of folds for "identity" and "random"; the others have their own number.
    seed : int
        Seed of the draws of "identity" and "random".

    Returns
    -------
    list of Fold
        Folds of row numbers into `table`.

    Raises
    ------
    StimulusError
        If there is one class only, in the table or in a part of a fold, the target is itself held out, there
        are too few values to hold out, the test part of a fold has a class that its training part lacks, or
        all stimuli of a class are near-copies that "random" cannot part.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(f"{i}{e}", f"{i}{e}.png", i, e) for i in "abcd" for e in ("anger", "fear")]
    >>> frame = pd.DataFrame(rows, columns=["stimulus_id", "path", "identity", "expression"])
    >>> folds = make_folds(StimulusTable.from_frame(frame), "identity", n_folds=2)
    >>> [(fold.name, len(fold.train), len(fold.test)) for fold in folds]
    [('identity-01', 4, 4), ('identity-02', 4, 4)]
    """
    check_option("holdout", holdout, get_args(Holdout))
    check_range("n_folds", n_folds, 2)
    classes = np.full(len(table), "") if target is None else table.factor(target).astype(str)
    factor = {"kdef10": "identity", "random": None}.get(holdout, holdout)
    if factor is not None and factor == target:
        raise StimulusError(
            f"target {target!r} cannot be read out while it is held out (holdout={holdout!r}); "
            f"hold out another factor."
        )
    if target is not None and len(set(classes)) < 2:
        found = format_options(sorted(set(classes))) or "none"
        raise StimulusError(f"target {target!r} needs at least two classes; the table has: {found}.")
    if factor is None:
        folds = _random_folds(table, classes, n_folds, seed)
    else:
        groups = table.factor(factor).astype(str)
        if holdout == "identity":
            folds = _identity_folds(groups, classes, n_folds, seed)
        else:
            folds = _kdef_folds(groups) if holdout == "kdef10" else _leave_one_out(groups, factor)
        for fold in folds:
            check_disjoint(groups[fold.train], groups[fold.test], f"{factor} (fold {fold.name})")
    for fold in folds if target is not None else ():
        _check_classes(fold, classes, str(target))
    return folds


def partition_table(
    table: StimulusTable, n_folds: int, *, target: str = "expression", seed: int = 0
) -> list[Fold]:
    """Return folds whose test parts hold every stimulus once, with near equal numbers of each class.

    All stimuli of one identity are in one test part, and so are near-copies. A stimulus without an identity
    stands alone.

    Parameters
    ----------
    table : StimulusTable
        `target` must have a value in every row.
    n_folds : int
        2 or more.
    target : str
        Factor whose values are the classes.
    seed : int
        Seed of the draw.

    Raises
    ------
    StimulusError
        If there are more folds than identities or than stimuli of the smallest class, or a part of a fold
        lacks a class.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"stimulus_id": list("abcdef"), "expression": ["anger", "fear"] * 3})
    >>> folds = partition_table(StimulusTable.from_frame(frame.assign(path="a.png")), 3)
    >>> [sorted(frame["expression"][fold.test]) for fold in folds]
    [['anger', 'fear'], ['anger', 'fear'], ['anger', 'fear']]
    """
    check_range("n_folds", n_folds, 2)
    classes = table.factor(target).astype(str)
    names, counts = np.unique(classes, return_counts=True)
    if counts.min() < n_folds:
        raise StimulusError(
            f"{n_folds} folds need at least {n_folds} stimuli of each class; "
            f"{str(names[counts.argmin()])!r} has {counts.min()}. Use fewer folds, or leave that class out."
        )
    people = table.factor("identity", complete=False).astype(str)
    member = np.empty(len(table), dtype=int)
    named = np.flatnonzero(people != "")
    if len(named):
        for number, fold in enumerate(_identity_folds(people[named], classes[named], n_folds, seed)):
            member[named[fold.test]] = number
    alone = make_rng(seed, "folds", "alone").permutation(np.flatnonzero(people == ""))
    alone = alone[np.argsort(classes[alone], kind="stable")]
    member[alone] = np.arange(len(alone)) % n_folds
    folds = [_fold_of_mask(str(number + 1), member == number) for number in range(n_folds)]
    for fold in folds:
        _check_classes(fold, classes, target)
        lacking = sorted(set(names.tolist()) - set(classes[fold.test].tolist()))
        if lacking:
            raise StimulusError(
                f"fold {fold.name} of {n_folds} has no stimulus of {lacking[0]!r} to test, since all "
                f"pictures of one identity are in one fold; use fewer folds, or leave that class out."
            )
    return folds


def split_table(
    table: StimulusTable, *, by: str = "identity", test_share: float = 0.2, seed: int = 0
) -> tuple[StimulusTable, StimulusTable]:
    """Return (train, test) tables that share no value of the factor `by`; rows keep their order.

    Parameters
    ----------
    table : StimulusTable
        What to split.
    by : str
        Factor whose values go to one side whole.
    test_share : float
        Share of the values (not of the stimuli) that go to the test side, between 0 and 1; at least one
        value goes to each side.
    seed : int
        Seed of the draw.

    Raises
    ------
    StimulusError
        If `by` has fewer than two values.
    ValueError
        If `test_share` is not between 0 and 1.
    """
    check_between("test_share", test_share)
    groups = table.factor(by).astype(str)
    names = np.unique(groups)
    if len(names) < 2:
        raise StimulusError(
            f"splitting by {by!r} needs at least two values of it; the table has {len(names)}."
        )
    n_test = min(max(1, round(test_share * len(names))), len(names) - 1)
    chosen = make_rng(seed, "split", by).permutation(names)[:n_test]
    in_test = np.isin(groups, chosen)
    return table.select(~in_test), table.select(in_test)


def check_disjoint(train_groups: Iterable[str], test_groups: Iterable[str], name: str) -> None:
    """Raise if a value of the factor `name` is on both sides of a split.

    Raises
    ------
    StimulusError
        Naming the first value, in sorted order, that is on both sides.
    """
    both = sorted({str(group) for group in train_groups} & {str(group) for group in test_groups})
    if both:
        raise StimulusError(
            f"{len(both)} values of {name} are in both the training and the test part (first: {both[0]!r}); "
            f"make the parts with `fernet-neuro stimuli split`."
        )


def _identity_folds(groups: np.ndarray, classes: np.ndarray, n_folds: int, seed: int) -> list[Fold]:
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < n_folds:
        raise StimulusError(
            f"{n_folds} folds by identity need at least {n_folds} of them; the table has {len(names)}. "
            f"Use n_folds={max(2, len(names))} or fewer."
        )
    labels, code = np.unique(classes, return_inverse=True)
    counts = np.zeros((len(names), len(labels)), dtype=int)
    np.add.at(counts, (index, code), 1)
    member = _spread(counts, n_folds, make_rng(seed, "folds", "identity"))
    return [_fold_of_mask(f"identity-{number + 1:02d}", member[index] == number) for number in range(n_folds)]


def _spread(counts: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each group so that the folds hold near equal numbers of groups and of each class.

    Groups come in random order, those with the most stimuli first, and go to the fold that has the fewest of
    the classes they bring (by rarity of the class), among the folds with the fewest groups.
    """
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    weight = 1.0 / np.maximum(counts.sum(axis=0), 1)
    totals = np.zeros((n_folds, counts.shape[1]))
    sizes = np.zeros(n_folds, dtype=int)
    member = np.empty(len(counts), dtype=int)
    for group in order:
        load = (totals * weight * (counts[group] > 0)).sum(axis=1)
        fold = int(np.lexsort((totals.sum(axis=1), np.round(load, 12), sizes))[0])
        member[group] = fold
        totals[fold] += counts[group]
        sizes[fold] += 1
    return member


def _kdef_folds(groups: np.ndarray) -> list[Fold]:
    names = np.unique(groups)
    n_wanted = sum(map(len, KDEF_SETS))
    if len(names) != n_wanted:
        raise StimulusError(
            f"holdout 'kdef10' needs the {n_wanted} identities of KDEF; the table has {len(names)}. "
            f"Use holdout='identity'."
        )
    return [
        _fold_of_mask(f"kdef10-{number + 1:02d}", np.isin(groups, names[list(members)]))
        for number, members in enumerate(KDEF_SETS)
    ]


def _leave_one_out(groups: np.ndarray, factor: str) -> list[Fold]:
    names = np.unique(groups)
    if len(names) < 2:
        raise StimulusError(
            f"holdout {factor!r} needs at least two of them; the table has only {str(names[0])!r}."
        )
    return [_fold_of_mask(f"{factor}={name}", groups == name) for name in names]


def _random_folds(table: StimulusTable, classes: np.ndarray, n_folds: int, seed: int) -> list[Fold]:
    # Numbered in the order of rows: draws depend on it.
    group = pd.factorize(find_near_copies(table))[0]
    _check_poses(classes, group)
    # A group's stratum is the set of its classes: one class, unless the target varies within a pose.
    members: dict[int, set[str]] = {}
    for number, name in zip(group.tolist(), classes.tolist(), strict=True):
        members.setdefault(number, set()).add(str(name))
    strata: dict[tuple[str, ...], list[int]] = {}
    for number in sorted(members):
        strata.setdefault(tuple(sorted(members[number])), []).append(number)
    folds = []
    for draw in range(n_folds):
        rng = make_rng(seed, "folds", "random", draw)
        chosen: list[int] = []
        for key in sorted(strata):
            n_test = max(1, round(RANDOM_TEST_SHARE * len(strata[key])))
            chosen += rng.permutation(strata[key])[:n_test].tolist()
        folds.append(_fold_of_mask(f"random-{draw + 1:02d}", np.isin(group, chosen)))
    return folds


def _check_poses(classes: np.ndarray, group: np.ndarray) -> None:
    """Raise if several stimuli are all that show a class, and all of them are near-copies of one another."""
    poses = pd.Series(group).groupby(classes)
    single = [str(name) for name, rows in poses if len(rows) > 1 and rows.min() == rows.max()]
    if single:
        raise StimulusError(
            f"holdout 'random' keeps photographs of one identity, expression and view on one side, and "
            f"{len(single)} of {poses.ngroups} classes have no others (first: {single[0]!r}); give more "
            f"expressions or views of them, or hold out another factor."
        )


def _fold_of_mask(name: str, in_test: np.ndarray) -> Fold:
    return Fold(name, np.flatnonzero(~in_test), np.flatnonzero(in_test))


def _check_classes(fold: Fold, classes: np.ndarray, target: str) -> None:
    """Raise unless the test part has two classes or more, all of them in the training part.

    Classes that only training has are allowed: one missing photograph must not make a design impossible.
    """
    train, test = (set(classes[rows].tolist()) for rows in (fold.train, fold.test))
    advice = "use fewer folds, leave that class out, or hold out another factor."
    unseen = sorted(test - train)
    if unseen:
        raise StimulusError(
            f"{len(unseen)} of {len(test)} classes of {target!r} in the test part of fold {fold.name!r} "
            f"have no stimulus in its training part (first: {unseen[0]!r}); {advice}"
        )
    if len(test) < 2:
        raise StimulusError(
            f"the test part of fold {fold.name!r} shows one class of {target!r} only "
            f"({format_options(sorted(test)) or 'none'}), so telling classes apart cannot be tested on it; "
            f"use fewer folds, or hold out another factor."
        )
