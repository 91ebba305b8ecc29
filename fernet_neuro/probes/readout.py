"""Scores one layer's read-out in every fold, for the true labels and for any number of other labellings.

What belongs here: the loop over folds and the nested choice; where labellings come from is `exchange`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import check_option
from fernet_neuro.probes._dual import Gram, inner_folds, pick_penalty
from fernet_neuro.probes._means import score_means
from fernet_neuro.probes._null import Labellings, balanced_accuracy
from fernet_neuro.probes._primal import Rows
from fernet_neuro.probes.penalties import (
    LOGISTIC_PENALTIES,
    RELATIVE_PENALTIES,
    check_penalties,
    check_penalty,
)
from fernet_neuro.stimuli.splits import Fold

#: Read-outs by name, with the grid of relative penalties that they choose from by default.
READOUTS: dict[str, tuple[float, ...] | None] = {
    "ridge": RELATIVE_PENALTIES,
    "lda": None,
    "nearest-mean": None,
    "logistic": LOGISTIC_PENALTIES,
    "sgd": None,
}
#: Read-outs that are fitted anew for each labelling, which takes long.
ITERATIVE = ("logistic", "sgd")
#: Read-outs that have a penalty to set.
PENALISED = ("ridge", "logistic")


@dataclass(frozen=True)
class ReadoutSettings:
    """Which read-out, and how its penalty is set.

    Parameters
    ----------
    name : {"ridge", "lda", "nearest-mean", "logistic", "sgd"}
    penalty : float or None
        Absolute penalty; None chooses from `penalties`.
    penalties : tuple of float or None
        Relative candidates; None for the read-out's own grid.
    n_inner_folds : int
        Inner folds of the choice.
    seed : int
        Seed of the order of the batches (sgd).
    """

    name: str = "ridge"
    penalty: float | None = None
    penalties: tuple[float, ...] | None = None
    n_inner_folds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_option("readout", self.name, READOUTS)
        if self.penalty is not None:
            check_penalty("penalty", self.penalty)
        if self.penalties is not None:
            check_penalties(self.penalties)

    @property
    def grid(self) -> tuple[float, ...] | None:
        """Relative candidates, or None where nothing is chosen."""
        default = READOUTS[self.name]
        if self.penalty is not None or default is None:
            return None
        return self.penalties or default

    def describe(self) -> dict[str, Any]:
        """Return what a summary records of it."""
        grid = self.grid
        if grid is None:
            return {"penalty": self.penalty if self.name in PENALISED else None}
        return {"penalties_relative": list(grid), "n_inner_folds": self.n_inner_folds}

    def check_inner(self, groups: np.ndarray) -> None:
        """Raise ValueError if the inner `groups` of a training part are one: nothing can be chosen."""
        if len(np.unique(groups)) < 2:
            raise ValueError(
                "the training folds hold one group of stimuli, so no penalty can be chosen inside them; "
                "give one, such as --relative-penalty 0.01 (penalties=(0.01,) in Python), or a read-out "
                "without a penalty (lda, nearest-mean)."
            )


def find_penalties(settings: ReadoutSettings, scale: float) -> list[float]:
    """Return the absolute penalties to choose from, given the mean squared length of a training row."""
    if settings.grid is None:
        return [settings.penalty or 1.0]
    return [relative * scale for relative in settings.grid]


@dataclass(frozen=True, eq=False)
class Labels:
    """Classes of the stimuli, and further labellings of the units that they form.

    `codes` (n_stimuli,): true class of each stimulus. `n_classes`: number of classes. `unit_of` (n_stimuli,):
    unit of each stimulus, for the labellings. `draws` (n_draws, n_units): class of each unit under each
    further labelling.
    """

    codes: np.ndarray
    n_classes: int
    unit_of: np.ndarray
    draws: np.ndarray

    def spread(self, draw: int) -> np.ndarray:
        """Return labelling number `draw`, one class per stimulus."""
        return self.draws[draw][self.unit_of].astype(int)

    def one_hot(self, rows: np.ndarray) -> np.ndarray:
        """Return the true classes of `rows` as indicators (n_rows, n_classes)."""
        return np.eye(self.n_classes)[self.codes[rows]]

    def relabel(self, train: np.ndarray, test: np.ndarray, which: np.ndarray | None = None) -> Labellings:
        """Return the further labellings of a fold, all or those of the mask `which`."""
        draws = self.draws if which is None else self.draws[which]
        if len(draws) == 0:
            return Labellings(np.empty(0, dtype=int), draws, draws, self.n_classes)
        # Stimuli of one unit always share a label, so their weights are summed once, before any labelling.
        units, member = np.unique(self.unit_of[train], return_inverse=True)
        shown = draws[:, self.unit_of[test]]
        return Labellings(member, draws[:, units], shown, self.n_classes)


@dataclass(frozen=True, eq=False)
class FoldScore:
    """One fold's outcome.

    `predicted` (n_test,): predicted class of each test stimulus. `balanced_accuracy`: mean recall over the
    classes that the test part shows. `penalty`: absolute penalty of the fit; NaN where there is none.
    `null_scores` (n_draws,): balanced accuracy under each further labelling, the penalty chosen anew.
    """

    predicted: np.ndarray
    balanced_accuracy: float
    penalty: float
    null_scores: np.ndarray = field(default_factory=lambda: np.empty(0))


def score_folds(
    features: Gram | Rows,
    labels: Labels,
    folds: Sequence[Fold],
    strata: np.ndarray,
    settings: ReadoutSettings,
    *,
    n_jobs: int = 1,
) -> list[FoldScore]:
    """Return the outcome of every fold.

    `features`: the activations, as `_dual.arrange` gives them. `labels`: the classes and the labellings.
    `folds`: training and test rows. `strata` (n_stimuli,): groups that inner folds keep whole where the folds
    themselves cannot serve; see `inner_groups`. `settings`: the read-out. `n_jobs`: threads; the result does
    not depend on them.
    """
    groups = [inner_groups(folds, k, strata, settings.n_inner_folds) for k in range(len(folds))]
    pairs = list(zip(folds, groups, strict=True))
    # Hundreds of small products: BLAS threads cost more than they bring, and change the last bits.
    with limit_threads(1, "blas"):
        if settings.name == "ridge":
            return [_score_ridge(features, labels, fold, inner, settings, n_jobs) for fold, inner in pairs]
        if settings.name not in ITERATIVE:
            return _score_by_means(features, labels, folds, settings)
        # SGD takes the features as they are, so their common offset counts; the other fits are free of it.
        rows = features.rotate(centre=settings.name != "sgd")
        return [_score_iterative(rows, labels, fold, inner, settings) for fold, inner in pairs]


def inner_groups(folds: Sequence[Fold], number: int, strata: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the inner test group of each training row of fold `number`, shape (n_train,).

    Where the test parts of the other folds partition the training rows, inner folds leave out some of those
    parts, so that they keep apart what the outer folds keep apart. Else (two folds, or folds that overlap)
    they leave out some of the `strata`.
    """
    train = folds[number].train
    owner = np.full(len(strata), -1)
    n_owners = np.zeros(len(strata), dtype=int)
    for other, fold in enumerate(folds):
        if other != number:
            owner[fold.test] = other
            n_owners[fold.test] += 1
    partition = (n_owners[train] == 1).all() and len(np.unique(owner[train])) > 1
    values = owner[train] if partition else strata[train]
    return np.unique(values, return_inverse=True)[1] % n_groups


def _score_ridge(
    features: Gram | Rows,
    labels: Labels,
    fold: Fold,
    inner: np.ndarray,
    settings: ReadoutSettings,
    n_jobs: int,
) -> FoldScore:
    held = features.fold(fold.train, fold.test)
    grid = settings.grid
    penalties = find_penalties(settings, held.scale)
    if grid is None or len(grid) == 1:
        best, null_best = 0, np.zeros(len(labels.draws), dtype=int)
    else:
        settings.check_inner(inner)
        best, null_best = _choose(features, labels, fold.train, inner, grid, n_jobs)
    classes = labels.one_hot(fold.train)
    null_scores = np.empty(len(labels.draws))
    for index in np.union1d(null_best, [best]):
        which = null_best == index
        labellings = labels.relabel(fold.train, fold.test, which)
        guesses, scores = held.refit([penalties[index]], classes, labellings, n_jobs=n_jobs)
        null_scores[which] = scores[0]
        if index == best:
            predicted = guesses[0]
    score = balanced_accuracy(labels.codes[fold.test], predicted, labels.n_classes)
    return FoldScore(predicted, score, penalties[best], null_scores)


def _choose(
    features: Gram | Rows,
    labels: Labels,
    train: np.ndarray,
    inner: np.ndarray,
    grid: Sequence[float],
    n_jobs: int,
) -> tuple[int, np.ndarray]:
    """Return the index of the penalty for the true labels, and for each further labelling."""
    scores = np.zeros(len(grid))
    null_scores = np.zeros((len(grid), len(labels.draws)))
    for fit, check in ((train[fit], train[check]) for fit, check in inner_folds(inner)):
        held = features.fold(fit, check)
        penalties = [relative * held.scale for relative in grid]
        labellings = labels.relabel(fit, check)
        guesses, found = held.refit(penalties, labels.one_hot(fit), labellings, n_jobs=n_jobs)
        scores += [balanced_accuracy(labels.codes[check], guess, labels.n_classes) for guess in guesses]
        null_scores += found
    return int(pick_penalty(scores, grid)), pick_penalty(null_scores.T, grid)


def _score_by_means(
    features: Gram | Rows, labels: Labels, folds: Sequence[Fold], settings: ReadoutSettings
) -> list[FoldScore]:
    rows, scores = features.rotate(centre=True), []
    for fold in folds:
        guesses, score, null_scores = score_means(
            settings.name, rows[fold.train], rows[fold.test], features.n_units, labels.codes[fold.train],
            labels.codes[fold.test], labels.relabel(fold.train, fold.test),
        )  # fmt: skip
        scores.append(FoldScore(guesses, score, float("nan"), null_scores))
    return scores


def _score_iterative(
    rows: np.ndarray, labels: Labels, fold: Fold, inner: np.ndarray, settings: ReadoutSettings
) -> FoldScore:
    predicted, penalty = _fit_predict(rows, labels.codes, fold, inner, settings)
    null_scores = np.empty(len(labels.draws))
    for draw in range(len(labels.draws)):
        codes = labels.spread(draw)
        guess, _ = _fit_predict(rows, codes, fold, inner, settings)
        null_scores[draw] = balanced_accuracy(codes[fold.test], guess, labels.n_classes)
    score = balanced_accuracy(labels.codes[fold.test], predicted, labels.n_classes)
    return FoldScore(predicted, score, penalty, null_scores)


def _fit_predict(
    rows: np.ndarray, codes: np.ndarray, fold: Fold, inner: np.ndarray, settings: ReadoutSettings
) -> tuple[np.ndarray, float]:
    """Return predicted codes of the test rows and the absolute penalty (NaN for sgd)."""
    from fernet_neuro.probes.linear import LogisticProbe, SgdProbe  # scikit-learn takes long to load

    X, y = rows[fold.train], codes[fold.train]
    if settings.name == "sgd":
        return SgdProbe(random_state=settings.seed).fit(X, y).predict(rows[fold.test]), float("nan")
    if settings.grid is None:
        model = LogisticProbe(settings.penalty or 1.0).fit(X, y)
    else:
        model = LogisticProbe(penalties=settings.grid, n_inner_folds=settings.n_inner_folds)
        model.fit(X, y, groups=inner)
    return model.predict(rows[fold.test]), model.penalty_
