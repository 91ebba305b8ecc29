"""Stochastic gradient descent on a softmax layer, in NumPy.

What belongs here: the loop of `SgdProbe`; the estimator around it is in `linear`.
"""

import numpy as np


def fit_sgd(
    X: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    batch_size: int,
    epochs: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (n_classes, n_features) and biases (n_classes,) after `epochs` passes, from zero.

    Raises ValueError if the weights are no longer finite.
    """
    # The bias is the weight of a constant feature; like torch.optim.SGD, decay (if any) acts on it too.
    features = np.column_stack([X, np.ones(len(X))]).astype(np.float64)
    targets = np.eye(n_classes)[codes]
    weights = np.zeros((features.shape[1], n_classes))
    velocity = np.zeros_like(weights)
    for _ in range(epochs):
        order = rng.permutation(len(X))
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            gradient = _gradient(features[rows], targets[rows], weights) + weight_decay * weights
            velocity = momentum * velocity + gradient
            weights = weights - lr * velocity
    if not np.isfinite(weights).all():
        raise ValueError("the sgd read-out diverged; scale the activations down or lower the learning rate.")
    return np.ascontiguousarray(weights[:-1].T), weights[-1].copy()


def _gradient(features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the gradient of the batch's mean cross-entropy."""
    logits = features @ weights
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    return features.T @ (shares - targets) / len(features)
