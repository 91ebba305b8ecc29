"""Condition-label permutation of fixed models: what chance gives when names of stimuli mean nothing.

What belongs here: null scores, averaged over subjects, and their p values, where a model has one.
"""

import numpy as np

from fernet_neuro.rsa.compare import (
    COMPARISONS,
    FEWEST_PAIRS,
    INNER_PRODUCTS,
    InnerProduct,
    iterate_present,
    whiten,
)
from fernet_neuro.rsa.inference.settings import InferenceSettings
from fernet_neuro.rsa.pairs import row_slices, take_pairs, vectors_to_squares
from fernet_neuro.rsa.weighted import divide
from fernet_neuro.stats.multiple import compute_p_values

#: Numbers that one step holds in memory.
_AT_ONCE = 2**22
#: Scores that no exchange of names moves by more than this are round-off of one number.
_UNMOVED = 1e-9


def permute_scores(
    subjects: np.ndarray, models: np.ndarray, orders: np.ndarray, comparison: str, *, n_jobs: int = 1
) -> np.ndarray:
    """Return mean comparisons (n_permutations, n_models) with subjects whose stimuli have changed names.

    `orders` (n_permutations, n_stimuli) says which stimulus takes the place of each. Exchanging the names in
    the subjects' RDMs or in the models' gives the same null distribution. Threads are for ``kendall_tau_a``.
    """
    if np.isnan(subjects).any() or np.isnan(models).any():
        return np.stack([_permute_with_gaps(subjects, models, order, comparison) for order in orders])
    null_scores = np.empty((len(orders), len(models)))
    step = max(1, _AT_ONCE // models.shape[1])
    if comparison != "kendall_tau_a":
        # Neither lengths nor ranks depend on the names, so the mean over subjects is one vector.
        mean, units = _to_units(subjects, models, comparison)
        square = vectors_to_squares(mean[None], orders.shape[1])[0]
        left, right = np.triu_indices(orders.shape[1], 1)
    for start in range(0, len(orders), step):
        rows = slice(start, start + step)
        if comparison == "kendall_tau_a":
            from fernet_neuro.rsa.inference.ranks import (
                permute_signs,  # numba loads slowly, and signs alone need it
            )

            null_scores[rows] = permute_signs(subjects, models, permute_pairs(orders[rows]), n_jobs=n_jobs)
        else:
            null_scores[rows] = square[orders[rows][:, left], orders[rows][:, right]] @ units.T
    return null_scores


def find_p_values(
    sides: tuple[np.ndarray, np.ndarray],
    orders: np.ndarray | None,
    observed: np.ndarray,
    settings: InferenceSettings,
    means: np.ndarray | None = None,
) -> np.ndarray:
    """Return the p values (n_models,) of `observed` scores; NaN without permutations.

    `sides` are the RDMs of subjects and models; `means` (n_models, n_rdms) makes models' scores of RDMs'.
    """
    if orders is None:
        return np.full(len(observed), np.nan)
    null_scores = permute_scores(*sides, orders, settings.comparison, n_jobs=settings.n_jobs)
    return compare_with_permuted(observed, null_scores if means is None else null_scores @ means.T)


def compare_with_permuted(scores: np.ndarray, null_scores: np.ndarray) -> np.ndarray:
    """Return the p values (n_models,) of scores (n_models,) against (n_permutations, n_models).

    NaN for a model that no exchange of names changes, such as one that only tells blocks apart where names
    are exchanged within blocks: the permutation then says nothing about it.
    """
    p_values = compute_p_values(scores, null_scores)[0]
    unmoved = np.abs(null_scores - scores).max(axis=0) <= _UNMOVED
    return np.where(unmoved, np.nan, p_values)


def permute_pairs(orders: np.ndarray) -> np.ndarray:
    """Return which pair takes the place of each, (n_permutations, n_pairs) int."""
    n_stimuli = orders.shape[1]
    starts = np.array([part.start for part in row_slices(n_stimuli)])
    left, right = np.triu_indices(n_stimuli, 1)
    low = np.minimum(orders[:, left], orders[:, right])
    high = np.maximum(orders[:, left], orders[:, right])
    return starts[low] + high - low - 1


def _to_units(subjects: np.ndarray, models: np.ndarray, comparison: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a vector (n_pairs,) and models (n_models, n_pairs) whose products are mean comparisons."""
    present = np.ones(subjects.shape[1], dtype=bool)
    if comparison == "rho_a":
        n = subjects.shape[1]
        sides = [INNER_PRODUCTS["spearman"].prepare(side) for side in (subjects, models)]
        return sides[0].mean(axis=0), sides[1] * 12 / (n**3 - n)
    product = INNER_PRODUCTS[comparison]
    units = [_shorten(product, side, present) for side in (subjects, models)]
    mean = units[0].mean(axis=0)
    return (whiten(mean[None], present)[0] if product.is_whitened else mean), units[1]


def _shorten(product: InnerProduct, vectors: np.ndarray, present: np.ndarray) -> np.ndarray:
    ready = product.prepare(vectors)
    return divide(ready, product.measure(ready, present)[:, None])


def _permute_with_gaps(
    subjects: np.ndarray, models: np.ndarray, order: np.ndarray, comparison: str
) -> np.ndarray:
    moved = take_pairs(subjects, len(order), order)
    scores = np.zeros((len(subjects), len(models)))
    for rows, columns, present in iterate_present(moved, models):
        if present.sum() >= FEWEST_PAIRS:
            found = COMPARISONS[comparison](moved[rows][:, present], models[columns][:, present], present)
            scores[np.ix_(rows, columns)] = np.nan_to_num(found)
    return scores.mean(axis=0)
