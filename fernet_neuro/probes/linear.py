"""Linear read-outs as scikit-learn estimators: ridge, logistic, and the paper's re-trained last layer.

What belongs here: estimators on plain arrays; labelled stimuli, nulls and controls are in `evaluate`.
"""

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fernet_neuro._utils.validation import check_range
from fernet_neuro.probes._dual import arrange, inner_folds, pick_penalty
from fernet_neuro.probes._null import balanced_accuracy
from fernet_neuro.probes._sgd import fit_sgd
from fernet_neuro.probes.penalties import check_penalties, check_penalty


class _LinearProbe(ClassifierMixin, BaseEstimator):
    """Shared border: checks, class codes, decisions; children fit `coef_` and `intercept_`."""

    def _check_fit(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes; y holds 1 class "
                f"({str(self.classes_[0])!r})."
            )
        return X, codes

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return decisions of shape (n_samples, n_classes), or (n_samples,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        scores = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the predicted class of each row, shape (n_samples,)."""
        codes = _pick_class(self.decision_function(X))
        return self.classes_[codes]


class _PenalisedProbe(_LinearProbe):
    """Shared choice of the penalty; children fit with one in `_fit` and score candidates in `_score`."""

    def __init__(
        self, penalty: float = 1.0, *, penalties: Sequence[float] | None = None, n_inner_folds: int = 3
    ) -> None:
        self.penalty = penalty
        self.penalties = penalties
        self.n_inner_folds = n_inner_folds

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Self:
        """Fit to X of shape (n_samples, n_features); `groups` stay together in the inner folds.

        Raises
        ------
        ValueError
            If y holds one class only, or a penalty is not positive.
        """
        X, codes = self._check_fit(X, y)
        relative = None
        if self.penalties is not None:
            grid = check_penalties(self.penalties)
            folds = _inner_splits(codes, groups, self.n_inner_folds)
            scores = [self._score(X, codes, train, test, grid) for train, test in folds]
            relative = grid[int(pick_penalty(np.mean(scores, axis=0), grid))]
        self._fit(X, codes, relative)
        return self


class RidgeProbe(_PenalisedProbe):
    """Ridge regression on one column of +1 and -1 per class, the largest of which is predicted.

    For a fixed penalty it is `sklearn.linear_model.RidgeClassifier` with ``alpha=penalty``. With `penalties`
    the penalty is chosen by balanced accuracy in an inner cross-validation over the groups passed to `fit`.
    Features are centred on the training mean and not scaled one by one, which keeps the read-out invariant to
    rotations of the features.

    Parameters
    ----------
    penalty : float, default=1.0
        Strength of the squared penalty in the features' squared unit; used when `penalties` is None.
    penalties : sequence of float or None, default=None
        Candidates, relative to the mean squared length of a centred training row (unitless).
    n_inner_folds : int, default=3
        Inner folds for the choice.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes
    intercept_ : ndarray of shape (n_classes,) or (1,)
    penalty_ : float
        Absolute penalty of the fit.

    References
    ----------
    .. [1] Hoerl, A. E. and Kennard, R. W. (1970). Ridge regression: biased estimation for nonorthogonal
       problems. Technometrics, 12(1), 55-67.
    """

    def _fit(self, X: np.ndarray, codes: np.ndarray, relative: float | None) -> None:
        if relative is None:
            self.penalty_ = check_penalty("penalty", self.penalty)
        else:
            everything = np.arange(len(X))
            self.penalty_ = relative * arrange(X).fold(everything, everything[:1]).scale
        fitted = RidgeClassifier(alpha=self.penalty_).fit(X, codes)
        self.coef_, self.intercept_ = np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)

    def _score(
        self, X: np.ndarray, codes: np.ndarray, train: np.ndarray, test: np.ndarray, grid: Sequence[float]
    ) -> list[float]:
        held, onehot = arrange(X).fold(train, test), np.eye(len(self.classes_))[codes[train]]
        guesses, _ = held.refit([relative * held.scale for relative in grid], onehot)
        return [balanced_accuracy(codes[test], guess, len(self.classes_)) for guess in guesses]


class LogisticProbe(_PenalisedProbe):
    """Multinomial logistic regression with a squared penalty.

    For a fixed penalty it is `sklearn.linear_model.LogisticRegression` with ``C=1/penalty``, solved to a
    tighter tolerance. With `penalties` the penalty is chosen as in `RidgeProbe`.

    Parameters
    ----------
    penalty, penalties, n_inner_folds
        As in `RidgeProbe`.
    tol : float, default=1e-6
        Largest gradient at the solution, of the mean loss on features of unit mean squared length.
    max_iter : int, default=10000
        Most iterations.

    Attributes
    ----------
    classes_, coef_, intercept_, penalty_
        As in `RidgeProbe`.
    n_iter_ : ndarray of int
        Iterations of the solver.
    """

    def __init__(
        self,
        penalty: float = 1.0,
        *,
        penalties: Sequence[float] | None = None,
        n_inner_folds: int = 3,
        tol: float = 1e-6,
        max_iter: int = 10000,
    ) -> None:
        super().__init__(penalty, penalties=penalties, n_inner_folds=n_inner_folds)
        self.tol = tol
        self.max_iter = max_iter

    def _fit(self, X: np.ndarray, codes: np.ndarray, relative: float | None) -> None:
        if relative is None:
            relative = check_penalty("penalty", self.penalty) / _mean_square(X)
        self.penalty_ = relative * _mean_square(X)
        fit = next(self._solve(X, codes, [relative]))
        self.coef_, self.intercept_, self.n_iter_ = fit

    def _solve(
        self, X: np.ndarray, codes: np.ndarray, penalties: Sequence[float]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield coefficients and intercepts for `X` as given, and iterations, for each relative penalty.

        Each fit starts where the one before it ended.
        """
        mean, scale = X.mean(axis=0), np.sqrt(_mean_square(X))
        # Centred rows of unit mean squared length: the same optimum, reached in fewer iterations.
        rows = (X - mean) / scale
        model = LogisticRegression(tol=self.tol, max_iter=self.max_iter, warm_start=True)
        for penalty in penalties:
            model.set_params(C=1.0 / penalty).fit(rows, codes)
            coef = model.coef_ / scale
            yield coef, model.intercept_ - coef @ mean, model.n_iter_

    def _score(
        self, X: np.ndarray, codes: np.ndarray, train: np.ndarray, test: np.ndarray, grid: Sequence[float]
    ) -> list[float]:
        present, strongest_first = np.unique(codes[train]), sorted(grid, reverse=True)
        scores = {}
        for penalty, fit in zip(
            strongest_first, self._solve(X[train], codes[train], strongest_first), strict=True
        ):
            guess = present[_pick_class(X[test] @ fit[0].T + fit[1])]
            scores[penalty] = balanced_accuracy(codes[test], guess, len(self.classes_))
        return [scores[penalty] for penalty in grid]


class SgdProbe(_LinearProbe):
    """A re-trained last layer: softmax cross-entropy by stochastic gradient descent with momentum.

    The defaults are the laboratory's settings: rate 0.1, momentum 0.9, no weight decay, batches of 32, 100
    epochs, features as they are. Weights start at zero, so that they stay in the span of the training rows
    and a rotation of the features changes nothing.

    Parameters
    ----------
    lr : float, default=0.1
        Learning rate.
    momentum : float, default=0.9
        Momentum, in PyTorch's form (``v = momentum * v + g; w = w - lr * v``).
    weight_decay : float, default=0.0
        Factor of the weights added to their gradient.
    batch_size : int, default=32
        Rows per step; the last batch of an epoch may be smaller.
    epochs : int, default=100
        Passes over the rows, each in a new order.
    random_state : int or None, default=0
        Seed of the orders.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    coef_ : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes
        With two classes, the weights of the second minus those of the first.
    intercept_ : ndarray of shape (n_classes,) or (1,)
    """

    def __init__(
        self,
        *,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        batch_size: int = 32,
        epochs: int = 100,
        random_state: int | None = 0,
    ) -> None:
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit to X of shape (n_samples, n_features).

        Raises
        ------
        ValueError
            If y holds one class only, a setting is out of range, or the weights grow beyond finite numbers.
        """
        X, codes = self._check_fit(X, y)
        check_range("batch_size", self.batch_size, minimum=1)
        check_range("epochs", self.epochs, minimum=1)
        weights, biases = fit_sgd(
            X,
            codes,
            len(self.classes_),
            lr=check_penalty("lr", self.lr),
            momentum=check_range("momentum", self.momentum, 0, 1),
            weight_decay=check_range("weight_decay", self.weight_decay, 0),
            batch_size=self.batch_size,
            epochs=self.epochs,
            rng=np.random.default_rng(self.random_state),
        )
        two = len(self.classes_) == 2
        self.coef_ = weights[1:] - weights[:1] if two else weights
        self.intercept_ = biases[1:] - biases[:1] if two else biases
        return self


def _pick_class(scores: np.ndarray) -> np.ndarray:
    """Return the code of the largest of (n, n_classes) decisions, or of the sign of (n,) or (n, 1)."""
    if scores.ndim == 1 or scores.shape[1] == 1:
        return (scores.ravel() > 0).astype(int)
    return scores.argmax(axis=1)


def _inner_splits(
    codes: np.ndarray, groups: np.ndarray | None, n_folds: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return inner folds: whole groups where given, else stratified by class, in the order of the rows."""
    if groups is None:
        most = int(np.bincount(codes).min())
        if most < 2:
            raise ValueError(
                "choosing among penalties needs at least two rows of each class; give groups or one penalty."
            )
        return list(StratifiedKFold(min(n_folds, most)).split(codes, codes))
    groups = np.asarray(groups)
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ValueError("choosing among penalties needs at least two groups; got 1: give one penalty.")
    if n_groups <= n_folds:
        return list(inner_folds(groups))
    return list(GroupKFold(n_folds).split(codes, codes, groups))


def _mean_square(X: np.ndarray) -> float:
    """Mean squared length of a centred row; 1 where all rows are equal."""
    return float(X.var(axis=0).sum()) or 1.0
