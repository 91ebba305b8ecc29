"""Controls of a probe: what the picture, an untrained network, and arbitrary labels give.

What belongs here: the control task and its folds; pixels and twins are sources in `evaluate`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.probes._dual import Gram
from fernet_neuro.probes._primal import Rows
from fernet_neuro.probes.exchange import Exchange, plan_control_task, plan_number_exchange
from fernet_neuro.probes.quantity import QuantityScore, score_quantity
from fernet_neuro.probes.readout import FoldScore, Labels, ReadoutSettings, score_folds
from fernet_neuro.stimuli.splits import Fold, make_folds
from fernet_neuro.stimuli.table import StimulusTable

#: Controls by name, in the order of the report.
CONTROLS = ("pixels", "untrained", "random-labels")
#: Draws of arbitrary labels that are averaged; an iterative read-out is fitted anew for each.
N_DRAWS = {"ridge": 20, "lda": 20, "nearest-mean": 20, "logistic": 1, "sgd": 1}
#: Hold-outs under which the photographs of an item are on both sides, by preference.
_MATCHED = ("session", "view")


@dataclass(frozen=True, eq=False)
class ControlTask:
    """Arbitrary labels per item, and folds under which they can be learnt.

    `exchange`: items and how their labels are drawn. `folds`: every test stimulus's item is in the training
    part too. `holdout`: what the folds hold out. `is_matched`: false where these are the probe's own folds;
    True where those hold out whole items, so that arbitrary labels cannot be learnt by construction, and
    other folds stand in.
    """

    exchange: Exchange
    folds: list[Fold]
    holdout: str
    is_matched: bool


def plan_control(
    table: StimulusTable,
    target: str,
    holdout: str,
    folds: list[Fold],
    *,
    seed: int = 0,
    ranks: np.ndarray | None = None,
) -> ControlTask | str:
    """Return the control task of a probe, or the reason why there is none.

    `table`: the stimuli. `target`, `holdout`: what is read out, and what the probe's own folds hold out.
    `folds`: the probe's own folds. `seed`: seed of folds that are drawn. `ranks` (n_stimuli,): of each
    stimulus's number, where the target is a quantity; None for classes.
    """
    is_quantity = ranks is not None
    exchange = plan_control_task(table, target) if ranks is None else plan_number_exchange(table, ranks)
    if exchange is None:
        return "no person shows two items whose labels could be exchanged"
    if all(np.isin(exchange.unit_of[fold.test], exchange.unit_of[fold.train]).all() for fold in folds):
        return ControlTask(exchange, folds, holdout, is_matched=False)
    for name in _MATCHED:
        matched = _matched_folds(table, None if is_quantity else target, name, exchange.unit_of, seed)
        if matched:
            return ControlTask(exchange, matched, name, is_matched=True)
    return (
        f"holdout {holdout!r} keeps all photographs of an item on one side, and the table has neither two "
        f"sessions nor two views of each"
    )


def score_control(
    task: ControlTask,
    features: Gram | Rows,
    codes: np.ndarray,
    n_classes: int,
    strata: np.ndarray,
    settings: ReadoutSettings,
    *,
    seed: int,
    n_jobs: int = 1,
) -> list[FoldScore]:
    """Return the outcome of each of the task's folds: true labels, and arbitrary ones as `null_scores`."""
    draws = task.exchange.draw(N_DRAWS[settings.name], make_rng(seed, "probe", "control task"))
    labels = Labels(codes, n_classes, task.exchange.unit_of, draws)
    return score_folds(features, labels, task.folds, strata, settings, n_jobs=n_jobs)


def compare_control(task: ControlTask, scores: list[FoldScore], balanced_accuracy: float) -> dict[str, Any]:
    """Return the selectivity [1]_ of a read-out, with its parts.

    Selectivity is the balanced accuracy with true labels minus that with arbitrary ones, under the same
    folds: the probe's own, or where those hold out whole items, the matched ones.

    References
    ----------
    .. [1] Hewitt, J. and Liang, P. (2019). Designing and interpreting probes with control tasks.
       EMNLP-IJCNLP, 2733-2743.
    """
    control = float(np.mean([score.null_scores.mean() for score in scores]))
    task_accuracy = balanced_accuracy
    if task.is_matched:
        task_accuracy = float(np.mean([score.balanced_accuracy for score in scores]))
    return {
        "selectivity": task_accuracy - control,
        "selectivity_holdout": task.holdout,
        "selectivity_task_accuracy": task_accuracy,
        "selectivity_control_accuracy": control,
    }


def score_quantity_control(
    task: ControlTask,
    features: Gram | Rows,
    values: np.ndarray,
    codes: np.ndarray,
    strata: np.ndarray,
    settings: ReadoutSettings,
    *,
    seed: int,
) -> list[QuantityScore]:
    """Return the outcome of each of the task's folds: true numbers, and arbitrary ones as its null.

    `values` (n_numbers,): the numbers that occur, ascending; `codes` (n_stimuli,): which of them each has.
    """
    draws = task.exchange.draw(N_DRAWS[settings.name], make_rng(seed, "probe", "control task"))
    labels = Labels(codes, len(values), task.exchange.unit_of, draws)
    return score_quantity(features, values, labels, task.folds, strata, settings)


def compare_quantity_control(
    task: ControlTask, scores: list[QuantityScore], shown: np.ndarray, r2: float
) -> dict[str, Any]:
    """Return the selectivity of a quantity: R2 of true numbers minus that of arbitrary ones, and its parts.

    `shown` (n_stimuli,): true numbers. `r2`: of the probe's own folds, see `compare_control`.
    """
    errors, spreads = (
        np.sum([getattr(score, name) for score in scores], axis=0) for name in ("null_errors", "null_spreads")
    )
    control = float((1 - errors / spreads).mean())
    if task.is_matched:
        true = [shown[fold.test] for fold in task.folds]
        error = sum(np.square(y - score.predicted).sum() for y, score in zip(true, scores, strict=True))
        spread = sum(np.square(y - score.expected).sum() for y, score in zip(true, scores, strict=True))
        r2 = float(1 - error / spread)
    return {
        "selectivity": r2 - control,
        "selectivity_holdout": task.holdout,
        "selectivity_task_r2": r2,
        "selectivity_control_r2": control,
    }


def _matched_folds(
    table: StimulusTable, target: str | None, holdout: str, unit_of: np.ndarray, seed: int
) -> list[Fold]:
    """Return folds by `holdout` whose test stimuli all have their item in the training part, if possible."""
    try:
        folds = make_folds(table, holdout, target=target, seed=seed)
    except StimulusError:
        return []  # the table has no such factor, or one value of it
    kept = [
        Fold(fold.name, fold.train, fold.test[np.isin(unit_of[fold.test], unit_of[fold.train])])
        for fold in folds
    ]
    return kept if all(len(fold.test) for fold in kept) else []
