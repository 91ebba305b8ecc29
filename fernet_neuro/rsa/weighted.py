"""Comparisons of RDMs whose stimuli count several times or not at all: bootstrap samples, folds, and both.

What belongs here: inner products and ranks under multiplicities, for many samples at once. A pair of stimuli
counts the product of their multiplicities, and a pair inside a block that is drawn as one in proportion to
how often the block is; the pairs of a stimulus with its own copies are not pairs.
"""

import numpy as np

from fernet_neuro.rsa.compare import INNER_PRODUCTS
from fernet_neuro.rsa.pairs import vectors_to_squares

#: Comparisons of ranks. A fit in the space of one of them is a fit with ``pearson``.
RANK_COMPARISONS = ("spearman", "rho_a", "kendall_tau_a")
#: A vector of which centring leaves no more than this share of its square is constant but for round-off.
_CONSTANT = 1e-12
#: Values closer than this share of the largest are ties that a weighted sum has broken.
_TIE_DIGITS = 12
#: Parts of a pair that weights are whole numbers of: ranks of such weights are exact, and ties stay ties.
PARTS = 1024
#: Numbers that one step holds in memory.
_AT_ONCE = 2**23


def level_blocks(multiplicities: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return how often a pair inside a block counts for each time that the block is in a sample or fold.

    A block that is drawn m times is m independent ones: m pairs for each pair inside it, since pairs between
    its copies are not data, and m m' for each pair with a stimulus of another. The former count as often as
    makes them as large a part of all pairs of the sample as of the data. With B blocks of one size, of which
    n are drawn, that is (n^2 - sum of m^2) / (n (B - 1)): 1 for the data, (B - 1) / B on average over
    bootstrap samples, (k - 1) / (B - 1) for k different blocks, as in folds.

    `multiplicities` (..., n_stimuli): equal within a block. `blocks` (n_stimuli,): codes from 0. Returns an
    array (...): rounded to whole `PARTS`; 0 where there is no pair inside a block.
    """
    counts = multiplicities[..., np.unique(blocks, return_index=True)[1]].astype(float)
    sizes = np.bincount(blocks).astype(float)
    sampled, measured = (_divide_kinds(times, sizes) for times in (counts, np.ones_like(sizes)))
    return np.rint(PARTS * sampled / measured) / PARTS


def _divide_kinds(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the number of pairs between blocks by that of pairs inside; 0 where there are none."""
    drawn = counts * sizes
    between = drawn.sum(axis=-1) ** 2 - (drawn**2).sum(axis=-1)
    return divide(between, (drawn * (sizes - 1)).sum(axis=-1))


def weigh(
    first: np.ndarray, second: np.ndarray, is_within: np.ndarray, levels: np.ndarray | float
) -> np.ndarray:
    """Return how often pairs count whose stimuli are `first` and `second` times in a sample of blocks.

    `levels` are those of `level_blocks`. The arguments broadcast.
    """
    return np.where(is_within, first * levels, first * second)


def weigh_pairs(
    multiplicities: np.ndarray, present: np.ndarray, blocks: np.ndarray | None = None
) -> np.ndarray:
    """Return how often each present pair counts, shape (n_samples, n_present).

    `blocks` (n_stimuli,) are codes from 0, of stimuli drawn together; None where each stands for itself.
    """
    rows, columns = (index[present] for index in np.triu_indices(multiplicities.shape[1], 1))
    return _weigh_places(multiplicities, rows, columns, blocks)


def compute_grams(
    vectors: np.ndarray,
    multiplicities: np.ndarray,
    present: np.ndarray,
    comparison: str,
    blocks: np.ndarray | None = None,
) -> np.ndarray:
    """Return the inner products of all RDMs in the space of a comparison, for each sample.

    Parameters
    ----------
    vectors : ndarray of shape (n_rdms, n_pairs)
        Values of pairs that are not present are not looked at.
    multiplicities : ndarray of shape (n_samples, n_stimuli)
    present : ndarray of bool of shape (n_pairs,)
    comparison : str
        A name in ``compare.COMPARISONS``; ranks are compared in the space of ``pearson``.
    blocks : ndarray of int of shape (n_stimuli,), optional
        As in `weigh_pairs`.

    Returns
    -------
    ndarray of shape (n_samples, n_rdms, n_rdms)
        Their cosines are comparisons. Rows of RDMs that are constant in a sample are 0.
    """
    name = "pearson" if comparison in RANK_COMPARISONS else comparison
    is_centred, is_whitened = "cosine" not in name, INNER_PRODUCTS[name].is_whitened
    ready = np.where(present, vectors, 0.0)
    if is_centred:  # once over all pairs, so that little cancels when it is done for each sample
        ready = np.where(present, ready - ready.sum(axis=1, keepdims=True) / present.sum(), 0.0)
    ready = np.vstack([ready, present.astype(float)])
    plain = _multiply(ready, multiplicities, present, blocks)
    grams = _whiten(plain, ready, multiplicities, blocks) if is_whitened else plain
    lengths = np.einsum("bii->bi", grams).copy()
    if is_centred:
        grams = _centre(grams, plain)
    found = np.einsum("bii->bi", grams)
    alive = found > _CONSTANT * lengths
    grams = np.where(alive[:, :, None] & alive[:, None, :], grams, 0.0)
    return grams[:, :-1, :-1]


def rank_weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean ranks of values that count `weights` times, less the mean of all ranks.

    Shapes (..., n_pairs) broadcast; what the ranks of values of weight 0 are means nothing.
    """
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    steps = ordered[..., 1:] != ordered[..., :-1]
    edge = np.ones((*steps.shape[:-1], 1), dtype=bool)
    shape = np.broadcast_shapes(values.shape, weights.shape)
    order = np.broadcast_to(order, shape)
    counts = np.take_along_axis(np.broadcast_to(weights, shape), order, axis=-1)
    upto = np.cumsum(counts, axis=-1)
    first = np.concatenate([edge, steps], axis=-1)
    below = np.maximum.accumulate(np.where(first, upto - counts, 0.0), axis=-1)
    last = np.concatenate([steps, edge], axis=-1)
    within = np.where(last, upto, np.inf)
    within = np.minimum.accumulate(within[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(shape)
    np.put_along_axis(ranks, order, (below + within - upto[..., -1:]) / 2, axis=-1)
    return ranks


def compute_rank_grams(
    vectors: np.ndarray, multiplicities: np.ndarray, present: np.ndarray, blocks: np.ndarray | None = None
) -> np.ndarray:
    """Return the inner products of ranks less their means, ranks taken anew in each sample.

    Shapes are those of `compute_grams`.
    """
    kept = vectors[None][:, :, present]
    grams = np.empty((len(multiplicities), len(vectors), len(vectors)))
    step = max(1, _AT_ONCE // max(1, 4 * kept.size))
    for start in range(0, len(multiplicities), step):
        weights = weigh_pairs(multiplicities[start : start + step], present, blocks)[:, None]
        ranks = rank_weighted(kept, weights)
        grams[start : start + step] = (ranks * weights) @ ranks.transpose(0, 2, 1)
    return grams


def compare_ranks(first: np.ndarray, second: np.ndarray, weights: np.ndarray, comparison: str) -> np.ndarray:
    """Return rank comparisons of RDMs whose pairs count `weights` times.

    `first`, `second` (n_samples, n_first, n_pairs) and (n_samples, n_second, n_pairs): the first axis of each
    may be 1. `weights` (n_samples, n_pairs). `comparison`: one of `RANK_COMPARISONS`. Returns an array
    (n_samples, n_first, n_second): 0 where an RDM is constant: it puts nothing in order.
    """
    width = (first.shape[1] + second.shape[1]) * first.shape[2]
    width *= first.shape[2] if comparison == "kendall_tau_a" else 1
    step = max(1, _AT_ONCE // width)
    function = _compare_signs if comparison == "kendall_tau_a" else _compare_mean_ranks
    parts = []
    for start in range(0, len(weights), step):
        rows = slice(start, start + step)
        one, other = (side if len(side) == 1 else side[rows] for side in (first, second))
        parts.append(function(one, other, weights[rows], comparison))
    return np.concatenate(parts)


def settle_ties(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., n_pairs) in which sums that differ only by round-off are equal."""
    scale = np.abs(vectors).max(axis=-1, keepdims=True)
    return np.round(divide(vectors, scale), _TIE_DIGITS)


def divide(numerator: np.ndarray | float, denominator: np.ndarray) -> np.ndarray:
    """Return the quotient, and 0 where the denominator is: what is constant explains nothing."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(
        numerator, denominator, out=np.zeros(shape), where=np.broadcast_to(denominator, shape) > 0
    )


def _weigh_places(
    counts: np.ndarray, rows: np.ndarray, columns: np.ndarray, blocks: np.ndarray | None
) -> np.ndarray:
    if blocks is None:
        return counts[:, rows] * counts[:, columns]
    is_within = blocks[rows] == blocks[columns]
    return weigh(counts[:, rows], counts[:, columns], is_within, level_blocks(counts, blocks)[:, None])


def _multiply(
    ready: np.ndarray, multiplicities: np.ndarray, present: np.ndarray, blocks: np.ndarray | None
) -> np.ndarray:
    """Return the weighted inner products (n_samples, n_rdms, n_rdms)."""
    if blocks is None and multiplicities.max() == 1 and (multiplicities == 0).sum(axis=1).max() <= 1:
        return _leave_one_out(ready, multiplicities)
    n_rdms, n_samples = len(ready), len(multiplicities)
    left, right = np.triu_indices(n_rdms)
    flat = np.zeros((n_samples, len(left)))
    counts = multiplicities.astype(float)
    rows, columns = (index[present] for index in np.triu_indices(counts.shape[1], 1))
    kept = ready[:, present]
    step = max(1, _AT_ONCE // (n_samples + len(left)))
    for start in range(0, len(rows), step):
        pairs = slice(start, start + step)
        part = kept[:, pairs]
        weights = _weigh_places(counts, rows[pairs], columns[pairs], blocks)
        flat += weights @ (part[left] * part[right]).T
    grams = np.empty((n_samples, n_rdms, n_rdms))
    grams[:, left, right] = flat
    grams[:, right, left] = flat
    return grams


def _leave_one_out(ready: np.ndarray, multiplicities: np.ndarray) -> np.ndarray:
    """Return the inner products of samples that lack one stimulus or none: all less those of its pairs."""
    grams = np.tile(ready @ ready.T, (len(multiplicities), 1, 1))
    rows = vectors_to_squares(ready, multiplicities.shape[1]).transpose(1, 0, 2)
    for sample, stimulus in np.argwhere(multiplicities == 0):
        grams[sample] -= rows[stimulus] @ rows[stimulus].T
    return grams


def _whiten(
    plain: np.ndarray, ready: np.ndarray, multiplicities: np.ndarray, blocks: np.ndarray | None
) -> np.ndarray:
    """Return inner products by the inverse covariance of RDM entries, as ``compare.whiten`` for one sample.

    Copies of a stimulus have independent noise, and equal entries; so the system of all copies folds into one
    of as many unknowns as there are stimuli. A copy has pairs with all copies of stimuli of other blocks, and
    inside its block with those of the same draw.
    """
    n_stimuli = multiplicities.shape[1]
    squares, inside = split_blocks(vectors_to_squares(ready, n_stimuli), blocks)
    levels = np.ones(len(multiplicities)) if blocks is None else level_blocks(multiplicities, blocks)
    whitened = np.empty_like(plain)
    step = max(1, _AT_ONCE // (n_stimuli * (n_stimuli + len(ready))))
    for start in range(0, len(multiplicities), step):
        counts = multiplicities[start : start + step]
        level = levels[start : start + step, None, None]
        sums = np.tensordot(counts, squares, axes=(1, 2))  # (n_samples, n_rdms, n_stimuli)
        sums += level * inside.sum(axis=-1)
        # 1 where a pair is present, times its weight
        system = squares[-1] * counts[:, None, :] + level * inside[-1]
        system[:, range(n_stimuli), range(n_stimuli)] = 2 + sums[:, -1]
        solved = np.linalg.solve(system, sums.transpose(0, 2, 1))
        taken = (sums * counts[:, None, :]) @ solved
        whitened[start : start + step] = (plain[start : start + step] - taken) / 2
    return whitened


def split_blocks(squares: np.ndarray, blocks: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return entries (..., n_stimuli, n_stimuli) between blocks, and those inside; 0 for the other kind."""
    if blocks is None:
        return squares, np.zeros_like(squares)
    is_within = blocks[:, None] == blocks
    return np.where(is_within, 0.0, squares), np.where(is_within, squares, 0.0)


def _centre(grams: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Return inner products of the vectors less their means; the last RDM is that of ones."""
    means = divide(plain[:, :, -1], plain[:, -1:, -1])
    shift = means[:, :, None] * grams[:, None, :, -1]
    both = means[:, :, None] * means[:, None, :] * grams[:, -1:, -1:]
    return grams - shift - shift.transpose(0, 2, 1) + both


def _compare_mean_ranks(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, comparison: str
) -> np.ndarray:
    ranks = [rank_weighted(side, weights[:, None]) for side in (first, second)]
    heavy = ranks[0] * weights[:, None]
    shared = heavy @ ranks[1].transpose(0, 2, 1)
    if comparison == "rho_a":
        n = weights.sum(axis=1)[:, None, None]
        return 12 * shared / (n**3 - n)
    squares = [np.sqrt((side**2 * weights[:, None]).sum(axis=2)) for side in ranks]
    return divide(shared, squares[0][:, :, None] * squares[1][:, None, :])


def _compare_signs(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, _comparison: str
) -> np.ndarray:
    n_samples, n_pairs = weights.shape
    signs = [
        np.sign(side[..., :, None] - side[..., None, :]).reshape(len(side), side.shape[1], -1)
        for side in (first, second)
    ]
    counts = (weights[:, :, None] * weights[:, None, :]).reshape(n_samples, 1, n_pairs**2)
    total = weights.sum(axis=1)[:, None, None]
    return (signs[0] * counts) @ signs[1].transpose(0, 2, 1) / (total * (total - 1))
