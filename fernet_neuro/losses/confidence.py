"""Classification losses that weigh images or classes, and the ranking that keeps the weights apart.

What belongs here: losses of class scores, a confidence per image, or both; comparing a student with a teacher
is in `distillation`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
[2] Wang, K. et al. (2020). Suppressing uncertainties for large-scale facial expression recognition. CVPR.
[3] Lin, T.-Y. et al. (2017). Focal loss for dense object detection. ICCV.
"""

import torch
from torch import Tensor
from torch.nn import functional

from fernet_neuro._utils.validation import check_range
from fernet_neuro.losses._checks import check_matrix, check_targets, check_vector


def logit_weighted_cross_entropy(scores: Tensor, confidence: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of class scores times each image's confidence [1, Eq. 3; 2].

    Parameters
    ----------
    scores : Tensor of shape (n, c)
        Class scores before they are weighted.
    confidence : Tensor of shape (n,)
        Weight of each image, 0-1; it multiplies all of the image's scores.
    targets : Tensor of shape (n,)
        Class indices.

    Returns
    -------
    Tensor of shape ()
        Mean over images, in nats; with confidence 0 everywhere the logarithm of c.

    Raises
    ------
    ValueError
        If shapes do not fit or a target is not a class.

    Notes
    -----
    The printed equation gives the weights in the denominator a class's index; no such weight exists, and [2],
    its source, multiplies all scores of an image by that image's weight.
    """
    n_samples = check_matrix("scores", scores)
    check_vector("confidence", confidence, n_samples)
    check_targets(targets, n_samples, scores.shape[1])
    return functional.cross_entropy(confidence[:, None] * scores, targets.long())


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    class_weights: Tensor | None = None,
    epsilon: float = 0.0,
) -> Tensor:
    """Return the focal loss: cross-entropy with images that are already right weighed less [3].

    Parameters
    ----------
    logits : Tensor of shape (n, c)
        Of the classes.
    targets : Tensor of shape (n,)
        Class indices.
    gamma : float
        Exponent of one minus the target's probability, at least 0; 0 gives the plain cross-entropy.
    class_weights : Tensor of shape (c,), optional
        Weight of each class; 1 by default.
    epsilon : float
        Added to the target's probability; 1e-8 in released code.

    Returns
    -------
    Tensor of shape ()
        Sum of the weighted terms over n (not over the sum of the weights), in nats.

    Raises
    ------
    ValueError
        If shapes do not fit, a target is not a class, or `gamma` is negative.
    """
    n_samples = check_matrix("logits", logits)
    n_classes = logits.shape[1]
    check_targets(targets, n_samples, n_classes)
    check_range("gamma", gamma, 0)
    labels = targets.long()
    log_p = functional.log_softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    # The floor keeps the gradient finite where p is 1 and gamma lies between 0 and 1.
    missing = (-torch.expm1(log_p) - epsilon).clamp_min(torch.finfo(log_p.dtype).eps)
    terms = -(missing**gamma) * (torch.log(log_p.exp() + epsilon) if epsilon else log_p)
    if class_weights is not None:
        check_vector("class_weights", class_weights, n_classes)
        terms = terms * class_weights.to(terms)[labels]
    return terms.mean()


def rank_regularisation(confidence: Tensor, *, share: float = 0.7, margin: float = 0.15) -> Tensor:
    """Return by how much the more confident part of a batch fails to stand out from the rest [1, Eq. 5; 2].

    Parameters
    ----------
    confidence : Tensor of shape (n,)
        Weight of each image.
    share : float
        Part of the batch that counts as confident, 0-1; the integer part of share times n images.
    margin : float
        By how much its mean must exceed that of the rest, at least 0.

    Returns
    -------
    Tensor of shape ()
        The larger of 0 and margin minus the difference; 0 where one of the two parts is empty.

    Raises
    ------
    ValueError
        If `confidence` is not a vector, or `share` or `margin` is out of range.
    """
    n_samples = check_vector("confidence", confidence)
    check_range("share", share, 0, 1)
    check_range("margin", margin, 0)
    n_high = int(share * n_samples)
    if n_high in (0, n_samples):
        return confidence.sum() * 0.0  # keeps its place in the graph
    ranked = confidence.sort(descending=True).values
    return (margin - (ranked[:n_high].mean() - ranked[n_high:].mean())).clamp_min(0.0)
