"""Comparisons and noise ceilings in bootstrap samples where RDMs lack different pairs.

What belongs here: the slower way, over the pairs that two RDMs share, for `bootstrap`.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fernet_neuro.rsa.compare import INNER_PRODUCTS, iterate_present
from fernet_neuro.rsa.inference.resample import Compared
from fernet_neuro.rsa.pairs import vectors_to_squares
from fernet_neuro.rsa.weighted import (
    RANK_COMPARISONS,
    compare_ranks,
    divide,
    level_blocks,
    rank_weighted,
    settle_ties,
    split_blocks,
    weigh_pairs,
)


def compare_with_gaps(
    asked: Compared, compare_alike: Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what ``bootstrap.compare_samples`` returns, each comparison over the pairs that both RDMs have.

    The pooled RDM has a pair that any of its subjects has: the mean over those that have it, each brought to
    one length (or one range of ranks) over the pairs of its own.
    """
    subjects, models, copies = asked.subjects, asked.models, asked.copies
    scores = np.empty((len(asked.multiplicities), len(subjects), len(models)))
    for rows, columns, present in iterate_present(subjects, models):
        part = replace(asked, subjects=subjects[rows], models=models[columns], copies=copies[:, :0, rows])
        scores[:, rows[:, None], columns] = compare_alike(part, present)[0]
    lower, upper = np.full(copies.shape, np.nan), np.full(copies.shape, np.nan)
    if not copies.shape[1]:
        return scores, lower, upper
    for sample, counts in enumerate(asked.multiplicities):
        pairs = _Sample(subjects, counts, asked.comparison, asked.blocks)
        for draw in range(copies.shape[1]):
            drawn = np.flatnonzero(copies[sample, draw])
            lower[sample, draw, drawn], upper[sample, draw, drawn] = pairs.compare_pooled(
                copies[sample, draw], drawn
            )
    return scores, lower, upper


class _Sample:
    """The RDMs of all subjects in one sample of stimuli.

    `subjects` (n_subjects, n_pairs). `counts` (n_stimuli,). `blocks` (n_stimuli,): as in
    ``weighted.weigh_pairs``.
    """

    def __init__(
        self, subjects: np.ndarray, counts: np.ndarray, comparison: str, blocks: np.ndarray | None
    ) -> None:
        weights = weigh_pairs(counts[None], np.ones(subjects.shape[1], dtype=bool), blocks)[0]
        self.active = weights > 0
        self.counts = counts.astype(float)
        self.comparison = comparison
        self.blocks = blocks
        self.level = 1.0 if blocks is None else level_blocks(counts, blocks)
        self.values = subjects[:, self.active]
        self.has = ~np.isnan(self.values)
        self.weights = weights[self.active] * self.has
        self.ready = _bring_to_one_length(np.where(self.has, self.values, np.inf), self.weights, comparison)

    def compare_pooled(self, copies: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the comparison of each drawn subject with the mean of the others drawn, and of all."""
        counts = copies[drawn, None]
        total, number = copies @ self.ready, copies @ self.has
        others = number - counts * self.has[drawn]
        lower = self._compare(drawn, total - counts * self.ready[drawn], others)
        upper = self._compare(drawn, np.tile(total, (len(drawn), 1)), np.tile(number, (len(drawn), 1)))
        return lower, upper

    def _compare(self, drawn: np.ndarray, total: np.ndarray, number: np.ndarray) -> np.ndarray:
        pooled = divide(total, number.astype(float))
        weights = self.weights[drawn] * (number > 0)
        values = np.where(weights > 0, self.values[drawn], 0.0)
        pooled = np.where(weights > 0, pooled, 0.0)
        if self.comparison in RANK_COMPARISONS:
            pooled = settle_ties(pooled)
            found = compare_ranks(pooled[:, None], values[:, None], weights, self.comparison)
            return found[:, 0, 0]
        return self._cosines(pooled, values, weights)

    def _cosines(self, first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the cosine of each row of `first` with that of `second`, (n_rows,)."""
        product = INNER_PRODUCTS[self.comparison]
        stacked = np.stack([first, second], axis=1)
        if "cosine" not in self.comparison:
            means = divide((stacked * weights[:, None]).sum(axis=2), weights.sum(axis=1)[:, None])
            stacked = np.where(weights[:, None] > 0, stacked - means[:, :, None], 0.0)
        grams = np.einsum("kap,kbp,kp->kab", stacked, stacked, weights)
        if product.is_whitened:
            grams = grams - self._shared_noise(stacked, weights)
        square = np.maximum(grams[:, 0, 0], 0) * np.maximum(grams[:, 1, 1], 0)
        return divide(grams[:, 0, 1], np.sqrt(square))

    def _shared_noise(self, stacked: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return what ``compare.whiten`` takes off, (n_rows, 2, 2), with as many copies as the sample has."""
        n_rows, n_stimuli = len(stacked), len(self.counts)
        full = np.zeros((n_rows, 3, len(self.active)))
        full[:, :2, self.active] = stacked
        full[:, 2, self.active] = weights > 0
        squares = vectors_to_squares(full.reshape(3 * n_rows, -1), n_stimuli)
        squares, inside = split_blocks(squares.reshape(n_rows, 3, n_stimuli, n_stimuli), self.blocks)
        inside = self.level * inside
        sums = squares @ self.counts + inside.sum(axis=-1)
        system = squares[:, 2] * self.counts + inside[:, 2]
        system[:, range(n_stimuli), range(n_stimuli)] = 2 + sums[:, 2]
        solved = np.linalg.solve(system, sums[:, :2].transpose(0, 2, 1))
        return (sums[:, :2] * self.counts) @ solved


def _bring_to_one_length(values: np.ndarray, weights: np.ndarray, comparison: str) -> np.ndarray:
    """Return values (n_subjects, n_active) comparable between subjects, 0 where a pair is missing."""
    totals = weights.sum(axis=1, keepdims=True)
    if comparison in RANK_COMPARISONS:
        return np.where(weights > 0, divide(rank_weighted(values, weights), totals), 0.0)
    known = np.where(weights > 0, values, 0.0)
    if "cosine" not in comparison:
        means = divide((known * weights).sum(axis=1, keepdims=True), totals)
        known = np.where(weights > 0, known - means, 0.0)
    lengths = np.sqrt(divide((known**2 * weights).sum(axis=1, keepdims=True), totals))
    return divide(known, lengths)
