"""Ridge read-out of a quantity, such as valence, age or yaw: predictions, their errors and those of nulls.

What belongs here: what tells a quantity from classes, and folds scored with numbers; labels are in `design`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import check_option
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.probes._dual import FoldKernel, Gram, inner_folds, pick_penalty
from fernet_neuro.probes._primal import FoldRows, Rows
from fernet_neuro.probes.readout import Labels, ReadoutSettings, find_penalties, inner_groups
from fernet_neuro.stimuli.splits import Fold
from fernet_neuro.stimuli.table import StimulusTable

#: How a target can be read out.
SCALES = ("auto", "classes", "numbers")
#: Factors whose values are names, also where they are written as numbers.
_NAMES = ("stimulus_id", "path", "identity", "expression", "view", "session")


def choose_scale(table: StimulusTable, target: str, scale: str = "auto") -> str:
    """Return ``"classes"`` or ``"numbers"``: how `target` is read out.

    "auto" takes a column that holds numbers for a quantity, unless it is identity, expression, view or
    session.

    Raises
    ------
    StimulusError
        If the table lacks the factor, or "auto" finds numbers and text in it.
    ValueError
        If `scale` is not known.
    """
    check_option("scale", scale, SCALES)
    values = table.factor(target, complete=False)
    if scale != "auto":
        return scale
    if target in _NAMES or values.dtype.kind == "b":
        return "classes"
    numbers = _as_numbers(values)
    n_numbers, n_filled = int(np.isfinite(numbers).sum()), int((~_is_empty(values)).sum())
    if 0 < n_numbers < n_filled:
        raise _mixed(table, target, values, numbers)
    return "numbers" if n_numbers else "classes"


def read_quantity(table: StimulusTable, target: str) -> np.ndarray:
    """Return the numbers of a factor, float array of shape (n_stimuli,).

    Raises
    ------
    StimulusError
        If a row has no number, or all have the same.
    """
    values = table.factor(target)
    numbers = _as_numbers(values)
    if not np.isfinite(numbers).all():
        raise _mixed(table, target, values, numbers)
    if np.ptp(numbers) == 0:
        raise StimulusError(
            f"target {target!r} is {numbers[0]:g} for all {len(table)} stimuli, so there is nothing to read "
            f"out; name another factor."
        )
    return numbers


def _as_numbers(values: np.ndarray) -> np.ndarray:
    return pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=float)


def _is_empty(values: np.ndarray) -> np.ndarray:
    return pd.isna(values) | (values.astype(str) == "")


def _mixed(table: StimulusTable, target: str, values: np.ndarray, numbers: np.ndarray) -> StimulusError:
    bad = np.flatnonzero(~np.isfinite(numbers) & ~_is_empty(values))
    return StimulusError(
        f"target {target!r} must hold numbers, and {len(bad)} of {len(table)} stimuli have something else "
        f"(first: {str(values[bad[0]])!r} of {str(table.stimulus_ids[bad[0]])!r}); mend the column, empty "
        f"those cells and leave them out (labelled_only=True), or read it out as classes "
        f"(scale='classes')."
    )


@dataclass(frozen=True, eq=False)
class QuantityScore:
    """One fold's outcome.

    `predicted` (n_test,): predicted values. `expected`: mean of the training part, the guess that R2 is
    against. `penalty`: absolute penalty. `null_errors`, `null_spreads` (n_draws,): under each further
    labelling, squared errors of the prediction and of the training mean, summed over the test part.
    `null_ranks` (n_draws,): rank correlation of predicted and shown values; NaN where one is constant.
    """

    predicted: np.ndarray
    expected: float
    penalty: float
    null_errors: np.ndarray
    null_spreads: np.ndarray
    null_ranks: np.ndarray


def score_quantity(
    features: Gram | Rows,
    values: np.ndarray,
    labels: Labels,
    folds: Sequence[Fold],
    strata: np.ndarray,
    settings: ReadoutSettings,
) -> list[QuantityScore]:
    """Return the outcome of every fold; arguments are those of `readout.score_folds`.

    `values` (n_classes,): the number that each code of `labels` stands for.
    """
    shown = np.vstack([values[labels.codes], values[labels.draws[:, labels.unit_of]]])
    scores = []
    with limit_threads(1, "blas"):
        for number, fold in enumerate(folds):
            inner = inner_groups(folds, number, strata, settings.n_inner_folds)
            scores.append(_score_fold(features, shown.T, fold, inner, settings))
    return scores


def _score_fold(
    features: Gram | Rows, shown: np.ndarray, fold: Fold, inner: np.ndarray, settings: ReadoutSettings
) -> QuantityScore:
    """`shown` (n_stimuli, 1 + n_draws): true values, and those of each further labelling."""
    held = features.fold(fold.train, fold.test)
    best = _choose(features, shown, fold.train, inner, settings)
    penalties, train, test = find_penalties(settings, held.scale), shown[fold.train], shown[fold.test].T
    predicted = np.empty_like(test)
    for index in np.unique(best):
        which = best == index
        predicted[which] = next(held.regress([penalties[index]], train[:, which]))
    expected = train.mean(axis=0)
    errors = np.square(test - predicted).sum(axis=1)
    spreads = np.square(test - expected[:, None]).sum(axis=1)
    ranks = correlate_ranks(test[1:], predicted[1:])
    return QuantityScore(predicted[0], float(expected[0]), penalties[best[0]], errors[1:], spreads[1:], ranks)


def _choose(
    features: Gram | Rows,
    shown: np.ndarray,
    train: np.ndarray,
    inner: np.ndarray,
    settings: ReadoutSettings,
) -> np.ndarray:
    """Return, for each column of `shown`, the index of the penalty with the least squared error inside."""
    if settings.grid is None or len(settings.grid) == 1:
        return np.zeros(shown.shape[1], dtype=int)
    settings.check_inner(inner)
    errors, spreads = np.zeros((len(settings.grid), shown.shape[1])), np.zeros(shown.shape[1])
    for fit, check in ((train[fit], train[check]) for fit, check in inner_folds(inner)):
        held = features.fold(fit, check)
        found = _inner_errors(held, find_penalties(settings, held.scale), shown[fit], shown[check].T)
        errors += found
        spreads += np.square(shown[check] - shown[fit].mean(axis=0)).sum(axis=0)
    return pick_penalty(-(errors / np.where(spreads > 0, spreads, 1)).T, settings.grid)


def _inner_errors(
    held: FoldKernel | FoldRows, penalties: Sequence[float], train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Return squared errors (n_penalties, n_columns), one penalty's predictions in memory at a time."""
    return np.array([np.square(guess - test).sum(axis=1) for guess in held.regress(penalties, train)])


def correlate_ranks(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each row, shape (n_rows,); NaN where a row is constant."""
    from scipy import stats

    if true.size == 0 or true.shape[1] < 2:
        return np.full(len(true), np.nan)
    first, second = (_standardise(stats.rankdata(part, axis=1)) for part in (true, predicted))
    return (first * second).sum(axis=1)


def _standardise(ranks: np.ndarray) -> np.ndarray:
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
    return centred / np.where(length > 0, length, np.nan)
