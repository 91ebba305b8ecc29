"""Checks of shapes and labels that all losses share; each raises a ValueError of one line.

What belongs here: what more than one family of losses asks of its tensors.
"""

import torch
from torch import Tensor


def check_matrix(name: str, values: Tensor) -> int:
    """Return the number of rows of `values`, a floating-point matrix with at least one row and one column.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if values.ndim != 2 or 0 in values.shape or not values.is_floating_point():
        raise ValueError(
            f"{name} must be a floating-point tensor of shape (n, p) with n, p >= 1; "
            f"got shape {tuple(values.shape)}, {values.dtype}."
        )
    return len(values)


def check_same_shape(first_name: str, first: Tensor, second_name: str, second: Tensor) -> int:
    """Return the number of rows of two matrices of one shape.

    Raises
    ------
    ValueError
        If one is not a matrix, or the shapes differ.
    """
    n_rows = check_matrix(first_name, first)
    check_matrix(second_name, second)
    if first.shape != second.shape:
        raise ValueError(
            f"{first_name} and {second_name} must have one shape; "
            f"got {tuple(first.shape)} and {tuple(second.shape)}."
        )
    return n_rows


def check_vector(name: str, values: Tensor, n_samples: int | None = None) -> int:
    """Return the length of `values`, one number per sample.

    Raises
    ------
    ValueError
        If it is not a vector, is empty, or has another length than `n_samples`.
    """
    wanted = "n" if n_samples is None else str(n_samples)
    if values.ndim != 1 or len(values) == 0 or n_samples not in (None, len(values)):
        raise ValueError(f"{name} must have shape ({wanted},), not empty; got {tuple(values.shape)}.")
    return len(values)


def check_targets(targets: Tensor, n_samples: int | None = None, n_classes: int | None = None) -> int:
    """Return the number of `targets`, class indices from 0, all below `n_classes` where that is given.

    Raises
    ------
    ValueError
        If shape, type or a value does not fit; without this, torch leaves a target of -100 out silently.
    """
    n_targets = check_vector("targets", targets, n_samples)
    if targets.dtype not in (torch.int64, torch.int32, torch.uint8):
        raise ValueError(f"targets must be class indices of type int64; got {targets.dtype}.")
    low, high = (int(bound) for bound in targets.aminmax())
    if low < 0 or (n_classes is not None and high >= n_classes):
        wanted = ">= 0" if n_classes is None else f"from 0 to {n_classes - 1}"
        raise ValueError(f"targets must be {wanted}; got values from {low} to {high}.")
    return n_targets
