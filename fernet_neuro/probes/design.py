"""Labels, folds and exchanges of a probe: all that is the same for every layer, checked before any long work.

What belongs here: the `ProbeDesign`; scores are computed from it in `readout` and gathered in `gather`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.probes.exchange import (
    Exchange,
    check_permute_within,
    keep_class_counts,
    plan_exchange,
    plan_number_exchange,
    plan_strata,
)
from fernet_neuro.probes.quantity import read_quantity
from fernet_neuro.probes.readout import Labels
from fernet_neuro.stimuli.copies import check_copies_apart
from fernet_neuro.stimuli.splits import Fold, check_disjoint
from fernet_neuro.stimuli.table import StimulusTable

#: Factor that each hold-out keeps apart; "random" keeps none apart.
_FACTOR_OF = {"kdef10": "identity", "random": None, "custom": None}


@dataclass(frozen=True, eq=False)
class ProbeDesign:
    """Everything about the labels and folds that is the same for all layers.

    `classes`: names of the classes, or the numbers that occur, ascending; `codes` (n_stimuli,): which of them
    each stimulus has.
    """

    table: StimulusTable
    target: str
    holdout: str
    folds: list[Fold]
    classes: np.ndarray
    codes: np.ndarray
    exchange: Exchange
    strata: np.ndarray
    seed: int

    @property
    def is_quantity(self) -> bool:
        """Whether numbers are read out."""
        return self.classes.dtype.kind == "f"

    def labels(self, n_draws: int) -> Labels:
        """Return the classes with `n_draws` exchanges, the same for every layer and read-out."""
        draws = self.exchange.draw(n_draws, make_rng(self.seed, "probe", "permutations"))
        return Labels(self.codes, len(self.classes), self.exchange.unit_of, draws)


def plan_design(
    table: StimulusTable,
    target: str,
    holdout: str,
    folds: Sequence[Fold],
    permute_within: str | None,
    seed: int,
    n_permutations: int,
    scale: str = "classes",
) -> ProbeDesign:
    """Check labels and folds once, before any long work; `scale`: "classes" or "numbers"."""
    is_quantity = scale == "numbers"
    values = read_quantity(table, target) if is_quantity else table.factor(target).astype(str)
    classes, codes = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise StimulusError(
            f"target {target!r} needs at least two classes; the table has only {str(classes[0])!r}."
        )
    if not folds:
        raise ValueError("folds must hold at least one fold; make them with make_folds.")
    factor = _FACTOR_OF.get(holdout, holdout)
    groups = None if factor is None else table.factor(factor).astype(str)
    for fold in folds:
        _check_fold(fold, table, classes, codes, target)
        if groups is not None:
            check_disjoint(groups[fold.train], groups[fold.test], f"{factor} (fold {fold.name})")
    check_copies_apart(table, folds)
    check_permute_within(table, permute_within)
    if is_quantity:
        exchange = plan_number_exchange(table, codes, permute_within)
    else:
        exchange = keep_class_counts(plan_exchange(table, target, holdout, permute_within), folds)
    if n_permutations > 0:
        exchange.check()
    return ProbeDesign(
        table, target, holdout, list(folds), classes, codes, exchange, plan_strata(table, target), seed
    )


def find_labelled(
    table: StimulusTable, target: str, holdout: str, permute_within: str | None = "auto"
) -> np.ndarray:
    """Return which rows have a value in every factor that a probe goes by, a mask of shape (n_stimuli,).

    Those are the target, what is held out and exchanged within, the people, and where people are read out
    their expressions. A factor besides the target that no row has a value of is not gone by.
    """
    names = {target, _FACTOR_OF.get(holdout, holdout), permute_within, "identity"} - {None, "auto"}
    if target == "identity":
        names |= {"expression"}
    columns = [table.factor(str(name), complete=False) for name in sorted(map(str, names))]
    filled = [~pd.isna(column) & (column.astype(str) != "") for column in columns]
    return np.all([mask | ~mask.any() for mask in filled], axis=0)


def _check_fold(
    fold: Fold, table: StimulusTable, classes: np.ndarray, codes: np.ndarray, target: str
) -> None:
    both = np.intersect1d(fold.train, fold.test)
    if len(both):
        raise StimulusError(
            f"stimulus {str(table.stimulus_ids[both[0]])!r} is in both the training and the test part of "
            f"fold {fold.name!r}."
        )
    if classes.dtype.kind == "f":
        if len(fold.test) == 0 or len(np.unique(codes[fold.train])) < 2:
            raise StimulusError(
                f"fold {fold.name!r} has no test stimulus, or one value of {target!r} to train on; use fewer "
                f"folds or hold out another factor."
            )
        return
    unseen = np.setdiff1d(codes[fold.test], codes[fold.train])
    if len(unseen) or len(fold.test) == 0:
        what = (
            f"no training stimulus of class {str(classes[unseen[0]])!r}"
            if len(unseen)
            else "no test stimulus"
        )
        raise StimulusError(f"fold {fold.name!r} has {what}; use fewer folds or hold out another factor.")


def digest_labels(table: StimulusTable, target: str) -> str:
    """Return a digest of the stimulus ids and classes in order, by which reports can be compared."""
    return hash_json([table.stimulus_ids.tolist(), table.factor(target).astype(str).tolist()])
