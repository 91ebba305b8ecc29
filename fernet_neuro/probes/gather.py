"""From scores by number to results by name.

What belongs here: labels put back on folds, predictions and intervals; no fitting.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fernet_neuro.probes.controls import ControlTask
from fernet_neuro.probes.design import ProbeDesign
from fernet_neuro.probes.quantity import QuantityScore, correlate_ranks
from fernet_neuro.probes.readout import FoldScore, ReadoutSettings
from fernet_neuro.probes.result import ProbeResult, average_known
from fernet_neuro.probes.uncertainty import interval_of, interval_of_quantity
from fernet_neuro.stimuli.splits import Fold


def gather_result(
    design: ProbeDesign,
    scores: Sequence[FoldScore],
    fit: ReadoutSettings,
    source: str,
    layer: str,
    layer_index: int,
) -> ProbeResult:
    """Return fold scores as a labelled result."""
    true = np.concatenate([design.codes[fold.test] for fold in design.folds])
    frame = _fold_frame(design.folds, design.codes, scores, [score.balanced_accuracy for score in scores])
    predicted = np.concatenate([score.predicted for score in scores])
    return ProbeResult(
        source,
        layer,
        layer_index,
        fit.name,
        design.target,
        design.holdout,
        tuple(str(name) for name in design.classes),
        frame,
        _list_predictions(design, predicted=design.classes[predicted]),
        np.mean([score.null_scores for score in scores], axis=0),
        interval_of(design, (predicted == true).astype(float), float(frame["balanced_accuracy"].mean())),
        fit.describe(),
    )


def gather_quantity(
    design: ProbeDesign,
    scores: Sequence[QuantityScore],
    fit: ReadoutSettings,
    source: str,
    layer: str,
    layer_index: int,
) -> ProbeResult:
    """Return the scores of a quantity as a labelled result."""
    predictions = _list_predictions(
        design,
        predicted=np.concatenate([score.predicted for score in scores]),
        expected=np.repeat([score.expected for score in scores], [len(score.predicted) for score in scores]),
    )
    errors, spreads = (np.sum([getattr(score, name) for score in scores], axis=0)
                       for name in ("null_errors", "null_spreads"))  # fmt: skip
    null_scores = 1 - errors / spreads
    frame = pd.DataFrame(
        {
            "fold": [fold.name for fold in design.folds],
            "n_train": [len(fold.train) for fold in design.folds],
            "n_test": [len(fold.test) for fold in design.folds],
            "r2": [_r2(rows) for _, rows in predictions.groupby("fold", sort=False)],
            "rank_correlation": [
                correlate_ranks(rows[["true"]].to_numpy().T, rows[["predicted"]].to_numpy().T)[0]
                for _, rows in predictions.groupby("fold", sort=False)
            ],
            "penalty": [score.penalty for score in scores],
        }
    )
    ranks = average_known(np.array([score.null_ranks for score in scores]))
    control = {"rank_correlation_p": _rank_p(average_known(frame["rank_correlation"].to_numpy()), ranks)}
    return ProbeResult(
        source, layer, layer_index, fit.name, design.target, design.holdout, (), frame, predictions,
        null_scores, interval_of_quantity(design, predictions), fit.describe(), control,
    )  # fmt: skip


def _list_predictions(design: ProbeDesign, **columns: np.ndarray) -> pd.DataFrame:
    """Return a row for each stimulus of each test fold, with `columns` of their values in that order."""
    rows = np.concatenate([fold.test for fold in design.folds])
    folds = np.repeat([fold.name for fold in design.folds], [len(fold.test) for fold in design.folds])
    known = {"stimulus_id": design.table.stimulus_ids[rows], "fold": folds}
    return pd.DataFrame({**known, "true": design.classes[design.codes[rows]], **columns})


def _r2(rows: pd.DataFrame) -> float:
    spread = np.square(rows["true"] - rows["expected"]).sum()
    return float(1 - np.square(rows["true"] - rows["predicted"]).sum() / spread) if spread > 0 else np.nan


def _rank_p(observed: np.ndarray, null: np.ndarray) -> float | None:
    """Return the share of exchanges with as large a rank correlation; None without any."""
    known = null[np.isfinite(null)]
    if len(known) == 0 or not np.isfinite(observed):
        return None
    return float((1 + (known >= observed - 1e-12).sum()) / (1 + len(known)))


def gather_control(
    design: ProbeDesign,
    task: ControlTask,
    scores: Sequence[FoldScore],
    fit: ReadoutSettings,
    layer: str,
    layer_index: int,
) -> ProbeResult:
    """Return the control task as a result of its own: accuracies are means over draws of labels."""
    means = [float(score.null_scores.mean()) for score in scores]
    frame = _fold_frame(task.folds, design.codes, scores, means).assign(penalty=np.nan)
    empty = pd.DataFrame({name: [] for name in ("stimulus_id", "fold", "true", "predicted")}, dtype=str)
    return ProbeResult(
        "control-task",
        layer,
        layer_index,
        fit.name,
        design.target,
        task.holdout,
        tuple(str(name) for name in design.classes),
        frame,
        empty,
        np.empty(0),
        None,
        {**fit.describe(), "n_draws": len(scores[0].null_scores)},
    )


def _fold_frame(
    folds: Sequence[Fold], codes: np.ndarray, scores: Sequence[FoldScore], accuracies: Sequence[float]
) -> pd.DataFrame:
    # A guess is one of the classes trained on, whichever of them the test part shows.
    n_classes = [len(np.unique(codes[fold.train])) for fold in folds]
    return pd.DataFrame(
        {
            "fold": [fold.name for fold in folds],
            "n_train": [len(fold.train) for fold in folds],
            "n_test": [len(fold.test) for fold in folds],
            "n_classes": n_classes,
            "chance_level": [1 / count for count in n_classes],
            "balanced_accuracy": accuracies,
            "penalty": [score.penalty for score in scores],
        }
    )
