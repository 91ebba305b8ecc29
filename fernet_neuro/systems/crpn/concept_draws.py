"""Emotion concepts: means of a few confident images of a class, drawn anew for every doubtful one.

What belongs here: which images of a bank are drawn, as a function of only the generator and the image
[1, Eq. 10]; the bank itself is in `concept_bank`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

import numpy as np

from fernet_neuro._utils.validation import check_range
from fernet_neuro.systems.crpn.concept_bank import ConceptBank


def draw_concept_rows(
    bank: ConceptBank, rows: np.ndarray, n_concepts: int, percentile: float | None, rng: np.random.Generator
) -> np.ndarray:
    """Return for each image some different confident images of its class.

    `rows` (n_rows,): images of the bank. What one of them gets does not depend on which others are asked for.
    `n_concepts`: K, how many. `percentile`: None takes the bank's. Returns an array (n_rows, n_concepts):
    rows of the bank. An image of low confidence is in no pool, so it never gets itself. Raises ValueError if
    a class that is asked for has fewer than `n_concepts` confident images.
    """
    check_range("n_concepts", n_concepts, 1)
    # For the whole bank: a row's numbers are then its own.
    uniform = rng.random((len(bank), n_concepts))[rows]
    confident, labels = bank.find_confident(percentile), bank.targets[rows]
    drawn = np.empty((len(rows), n_concepts), dtype=int)
    for number in np.unique(labels):
        pool = np.flatnonzero(confident & (bank.targets == number))
        if len(pool) < n_concepts:
            raise ValueError(_explain_small_pool(bank, number, len(pool), n_concepts))
        drawn[labels == number] = pool[_draw_distinct(len(pool), uniform[labels == number])]
    return drawn


def draw_concepts(
    bank: ConceptBank, rows: np.ndarray, n_concepts: int, percentile: float | None, rng: np.random.Generator
) -> np.ndarray:
    """Return the mean features of what `draw_concept_rows` draws, shape (n_rows, p) [1, Eq. 10].

    They are not scaled to length 1 again, so they are shorter than a feature.
    """
    return average_rows(bank.emotion, draw_concept_rows(bank, rows, n_concepts, percentile, rng))


def average_rows(features: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the mean of some rows of `features` (n, p) for each row of numbers in `drawn` (n_rows, k)."""
    total = np.zeros((len(drawn), features.shape[1]), dtype=features.dtype)
    for column in drawn.T:  # one at a time: all together take k times the memory
        total += features[column]
    return total / drawn.shape[1]


def _draw_distinct(n: int, uniform: np.ndarray) -> np.ndarray:
    """Return numbers below `n` in the shape (n_rows, k) of `uniform`, different ones in each row.

    Every ordered choice is equally likely; memory does not grow with `n`.
    """
    taken = np.empty((len(uniform), 0), dtype=int)
    for step, draws in enumerate(uniform.T):
        number = (draws * (n - step)).astype(int)
        # The number-th of those that are left: each taken one at or below it moves it on by one.
        for other in np.sort(taken, axis=1).T:
            number += number >= other
        taken = np.column_stack([taken, number])
    return taken


def _explain_small_pool(bank: ConceptBank, number: int, n_pool: int, n_concepts: int) -> str:
    n_images = int((bank.targets == number).sum())
    return (
        f"class {bank.classes[number]!r} has {n_pool} confident images of {n_images}, and "
        f"n_concepts={n_concepts} different ones are needed; lower n_concepts to {n_pool} or less, lower the "
        f"percentile so that more count as confident, or add images of that class."
    )
