"""Losses between two sets of features: independence of two factors, and likeness of a student to a teacher.

What belongs here: functions of two feature matrices without labels; contrasts between classes are in
`contrastive`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
[2] Bousmalis, K. et al. (2016). Domain separation networks. NeurIPS.
[3] Gretton, A. et al. (2012). A kernel two-sample test. JMLR 13.
"""

import torch
from torch import Tensor

from fernet_neuro._utils.validation import check_option
from fernet_neuro.losses._checks import check_same_shape

REDUCTIONS = ("mean", "frobenius")
FORMS = ("squared_l2", "mse_mean", "mmd_rbf")
#: Kernels of the discrepancy: widths double from a quarter of the mean squared distance to four times it.
N_KERNELS = 5
NORM_FLOOR = 1e-6


def orthogonality_loss(emotion: Tensor, non_emotion: Tensor, *, reduction: str = "mean") -> Tensor:
    """Return how far two sets of features are from being linearly unrelated [1, Eq. 1; 2].

    Parameters
    ----------
    emotion, non_emotion : Tensor of shape (n, p)
        Features of the same images.
    reduction : {"mean", "frobenius"}
        ``"mean"`` scales each row to length 1 (the length taken as a constant in the gradient) and averages
        the p x p squared entries of the cross-product; ``"frobenius"`` sums them, for the rows as they are.
        For unit rows the second is p x p times the first.

    Returns
    -------
    Tensor of shape ()
        At least 0; 0 where each emotion feature is orthogonal, over the batch, to each non-emotion feature.

    Raises
    ------
    ValueError
        If the shapes differ, or `reduction` is not known.

    Examples
    --------
    >>> rows = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> orthogonality_loss(rows, rows, reduction="frobenius").item()
    2.0
    """
    check_option("reduction", reduction, REDUCTIONS)
    check_same_shape("emotion", emotion, "non_emotion", non_emotion)
    if reduction == "frobenius":
        return (emotion.T @ non_emotion).square().sum()
    return (_scale_rows(emotion).T @ _scale_rows(non_emotion)).square().mean()


def _scale_rows(features: Tensor) -> Tensor:
    # The floor keeps a row of zeros finite; with the length a constant, rows gain nothing by shrinking.
    return features / (features.detach().norm(dim=1, keepdim=True) + NORM_FLOOR)


def similarity_loss(student: Tensor, teacher: Tensor, *, form: str = "squared_l2") -> Tensor:
    """Return how far a student's features are from a teacher's [1, Eq. 11].

    Parameters
    ----------
    student, teacher : Tensor of shape (n, p)
        Features of the same images. Gradients reach both; detach a teacher that is not to learn.
    form : {"squared_l2", "mse_mean", "mmd_rbf"}
        ``"squared_l2"``: squared distance of each pair of rows, averaged over images. ``"mse_mean"``: that
        divided by p. ``"mmd_rbf"``: the squared maximum mean discrepancy between the two sets of rows, which
        does not pair them, with five Gaussian kernels [3] whose widths follow the batch's mean squared
        distance (a constant in the gradient).

    Returns
    -------
    Tensor of shape ()
        At least 0; for unit rows ``"squared_l2"`` is at most 4.

    Raises
    ------
    ValueError
        If the shapes differ, or `form` is not known.

    Examples
    --------
    >>> similarity_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]])).item()
    4.0
    """
    check_option("form", form, FORMS)
    check_same_shape("student", student, "teacher", teacher)
    if form == "mmd_rbf":
        return _compute_discrepancy(student, teacher)
    squares = (student - teacher).square()
    return squares.mean() if form == "mse_mean" else squares.sum(dim=1).mean()


def _compute_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    rows = torch.cat([first, second])
    n_rows, n_first = len(rows), len(first)
    # Differences before squaring: rows that are equal are then exactly 0 apart.
    distances = (rows[:, None] - rows[None]).square().sum(dim=2)
    mean_distance = distances.detach().sum() / (n_rows * (n_rows - 1))
    narrowest = (mean_distance / 2 ** (N_KERNELS // 2)).clamp_min(torch.finfo(rows.dtype).tiny)
    kernel = torch.stack([(-distances / (narrowest * 2**step)).exp() for step in range(N_KERNELS)]).sum(dim=0)
    within = kernel[:n_first, :n_first].mean() + kernel[n_first:, n_first:].mean()
    return within - 2 * kernel[:n_first, n_first:].mean()
