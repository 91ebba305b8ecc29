"""Supervised contrast: features of one class drawn together, away from the rest, in several published forms.

What belongs here: losses of features and labels; losses of two sets of features are in `disentanglement`.

References
----------
[1] Khosla, P. et al. (2020). Supervised contrastive learning. NeurIPS.
[2] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

import torch
from torch import Tensor

from fernet_neuro._utils.validation import check_option
from fernet_neuro.losses._checks import check_matrix, check_targets

FORMS = ("mean_positives", "sum_positives", "sum_positives_self", "scalar_views")


def compute_balance_weights(targets: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return one minus the share of each image's class in the batch [2, Eq. 7].

    Parameters
    ----------
    targets : Tensor of shape (n,)
        Class indices.
    dtype : torch.dtype
        Of the weights.

    Returns
    -------
    Tensor of shape (n,)
        From 0, where the batch has one class, to below 1.

    Raises
    ------
    ValueError
        If `targets` are not class indices.

    Examples
    --------
    >>> compute_balance_weights(torch.tensor([0, 1, 0, 0])).tolist()
    [0.25, 0.75, 0.25, 0.25]
    """
    n_samples = check_targets(targets)
    _, inverse, counts = torch.unique(targets, return_inverse=True, return_counts=True)
    return 1.0 - counts[inverse].to(dtype) / n_samples


def concept_contrastive_loss(
    features: Tensor,
    targets: Tensor,
    *,
    temperature: float = 0.07,
    form: str = "mean_positives",
    balanced: bool = True,
) -> Tensor:
    """Return the supervised contrastive loss of a batch [1], each image weighed by its class [2, Eq. 6-8].

    Parameters
    ----------
    features : Tensor of shape (n, p)
        Rows of length 1.
    targets : Tensor of shape (n,)
        Class indices.
    temperature : float
        Divides the similarities; above 0.
    form : {"mean_positives", "sum_positives", "sum_positives_self", "scalar_views"}
        ``"mean_positives"``: an image is compared with all others, averaged over the others of its class [1].
        ``"sum_positives"``: summed over them. ``"sum_positives_self"``: summed, and the image itself is among
        those it is compared with, as [2] prints it. ``"scalar_views"``: as released with [2], each of the p
        numbers of an image is a view of its own; this needs memory for a few (n p) x (n p) matrices.
    balanced : bool
        Whether to multiply by `compute_balance_weights`; without, and with the first form, this is [1].

    Returns
    -------
    Tensor of shape ()
        Mean over images, in nats; an image that is alone in its class adds 0.

    Raises
    ------
    ValueError
        If shapes do not fit, `temperature` is not above 0, or `form` is not known.
    """
    n_samples = check_matrix("features", features)
    check_targets(targets, n_samples)
    check_option("form", form, FORMS)
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0; got {temperature!r}.")
    if form == "scalar_views":
        # A class keeps its share of the batch when every image is repeated equally often.
        targets = targets.repeat(features.shape[1])
        features = features.T.reshape(-1, 1)
    losses = _contrast(features @ features.T / temperature, targets, form)
    if balanced:
        losses = losses * compute_balance_weights(targets, dtype=losses.dtype)
    return losses.mean()


def _contrast(similarities: Tensor, targets: Tensor, form: str) -> Tensor:
    """Return one loss per row of a square matrix of similarities over temperature."""
    itself = torch.eye(len(targets), dtype=torch.bool, device=similarities.device)
    positive = (targets[:, None] == targets[None]) & ~itself
    compared = similarities
    if form != "sum_positives_self":
        # Finite: an image alone in its batch has nobody to be compared with, and the log of nothing is not.
        compared = similarities.masked_fill(itself, torch.finfo(similarities.dtype).min)
    log_p = similarities - compared.logsumexp(dim=1, keepdim=True)
    sums = -log_p.masked_fill(~positive, 0.0).sum(dim=1)
    return sums if form.startswith("sum_positives") else sums / positive.sum(dim=1).clamp_min(1)
