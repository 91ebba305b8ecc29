"""Distillation: a student's class probabilities drawn to a teacher's, on the images where it is confident.

What belongs here: losses of two sets of logits; those of features are in `disentanglement`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

import torch
from torch import Tensor
from torch.nn import functional

from fernet_neuro.losses._checks import check_same_shape, check_vector


def masked_kl_divergence(
    student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Return the Kullback-Leibler divergence of the student from the teacher over chosen images [1, Eq. 12].

    Parameters
    ----------
    student_logits, teacher_logits : Tensor of shape (n, c)
        Of the same images and classes. Gradients reach both; detach a teacher that is not to learn.
    mask : Tensor of shape (n,), bool, optional
        Images that count; all by default. What the others hold does not matter, be it not a number.

    Returns
    -------
    Tensor of shape ()
        Mean over the images that count, in nats, at temperature 1; 0 where there is none.

    Raises
    ------
    ValueError
        If shapes differ, or `mask` is not of type bool.
    """
    n_samples = check_same_shape("student_logits", student_logits, "teacher_logits", teacher_logits)
    if mask is not None:
        check_vector("mask", mask, n_samples)
        if mask.dtype != torch.bool:
            raise ValueError(f"mask must be of type bool; got {mask.dtype}.")
        student_logits, teacher_logits = student_logits[mask], teacher_logits[mask]
    student = functional.log_softmax(student_logits, dim=1)
    teacher = functional.log_softmax(teacher_logits, dim=1)
    divergences = functional.kl_div(student, teacher, reduction="none", log_target=True)
    return divergences.sum() / max(len(student), 1)
