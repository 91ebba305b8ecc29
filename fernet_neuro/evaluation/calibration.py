"""Are a network's probabilities true? Log-likelihood, Brier score, and confidence against accuracy in bins.

What belongs here: values per image and bins of confidence; their means and intervals are in `metrics`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from fernet_neuro._utils.validation import check_range


@dataclass(frozen=True, eq=False)
class Certainty:
    """What each answer says about how sure it is, shapes (n_images,) unless said otherwise.

    `predicted`: class of the largest logit, the first among equals. `confidence`: its probability.
    `log_loss`: negative log-likelihood of the true class, in nats. `brier`: squared distance of the
    probabilities to the truth, summed over classes, from 0 to 2. `probabilities` (n_images, n_classes).
    """

    predicted: np.ndarray
    confidence: np.ndarray
    log_loss: np.ndarray
    brier: np.ndarray
    probabilities: np.ndarray


def compute_certainty(logits: np.ndarray, targets: np.ndarray) -> Certainty:
    """Return the certainty of `logits` (n_images, n_classes) where class `targets` (n_images,) is true.

    References
    ----------
    .. [1] Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. Monthly Weather
       Review, 78(1), 1-3.
    """
    logs = log_softmax(np.asarray(logits, dtype=float), axis=1)
    probabilities, rows = np.exp(logs), np.arange(len(logs))
    # The largest logit, since probabilities of a very sure network are equal after rounding.
    predicted = np.argmax(logits, axis=1)
    squares = (probabilities**2).sum(axis=1) - probabilities[rows, targets] ** 2
    brier = squares + (1 - probabilities[rows, targets]) ** 2
    return Certainty(predicted, probabilities[rows, predicted], -logs[rows, targets], brier, probabilities)


def bin_confidence(confidence: np.ndarray, n_bins: int = 15) -> np.ndarray:
    """Return the bin of each image, from 0, in bins of equal numbers of images.

    Equal confidences share a bin, so that the order of images does not matter; where many are equal there
    are fewer bins than asked for.

    Parameters
    ----------
    confidence : ndarray of shape (n_images,)
    n_bins : int
        Most bins.

    References
    ----------
    .. [1] Nguyen, K. and O'Connor, B. (2015). Posterior calibration and exploratory analysis for natural
       language processing models. EMNLP, 1587-1598.

    Examples
    --------
    >>> bin_confidence(np.array([0.9, 0.4, 0.5, 0.9, 0.9, 0.6]), 3).tolist()
    [1, 0, 0, 1, 1, 1]
    """
    check_range("n_bins", n_bins, minimum=1)
    shares = np.arange(1, n_bins) / n_bins
    edges = np.quantile(confidence, shares, method="inverted_cdf") if n_bins > 1 else np.empty(0)
    return np.unique(np.searchsorted(np.unique(edges), confidence, side="left"), return_inverse=True)[1]
