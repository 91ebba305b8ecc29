"""Folds over subjects and stimuli at once, and scores of fitted models in them.

What belongs here: which stimuli and subjects a fit may see, for many bootstrap samples together; what follows
from the scores is in `fitted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fernet_neuro.rsa.inference.bootstrap import compare_alike
from fernet_neuro.rsa.inference.resample import Compared, count_fewest
from fernet_neuro.rsa.models.flexible import MODEL_KINDS
from fernet_neuro.rsa.weighted import (
    RANK_COMPARISONS,
    compare_ranks,
    compute_grams,
    divide,
    level_blocks,
    rank_weighted,
    settle_ties,
    weigh,
)

#: Share of the units that a bootstrap sample holds at least once, on average: 1 - 1 / e.
SHARE_DRAWN = 0.632
#: A prediction of which no more than this share of its square is left is constant but for round-off.
_CONSTANT = 1e-12
#: Numbers that one step holds in memory.
_AT_ONCE = 2**23


@dataclass(frozen=True, eq=False)
class Splits:
    """Samples of subjects and stimuli, each cut into folds.

    `subjects`, `stimuli` (n_samples, n_subjects) and (n_samples, n_stimuli): how often each is in a sample.
    `subject_folds`, `stimulus_folds`: in which fold it is tested. `n_subject_folds`, `n_stimulus_folds`: with
    one subject fold, subjects are not cross-validated. `blocks` (n_stimuli,): codes from 0, of stimuli that
    are never parted: see ``weighted.level_blocks``.
    """

    subjects: np.ndarray
    stimuli: np.ndarray
    subject_folds: np.ndarray
    stimulus_folds: np.ndarray
    n_subject_folds: int
    n_stimulus_folds: int
    blocks: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.subjects)

    def take(self, rows: slice) -> "Splits":
        """Return some of the samples."""
        names = ("subjects", "stimuli", "subject_folds", "stimulus_folds")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def count_stimuli(self, *, is_test: bool) -> np.ndarray:
        """Return how often each stimulus is in each fold's test or training set.

        Shape (n_samples, n_stimulus_folds, n_stimuli).
        """
        inside = self.stimulus_folds[:, None, :] == np.arange(self.n_stimulus_folds)[:, None]
        return self.stimuli[:, None, :] * (inside if is_test else ~inside)

    def count_training_subjects(self) -> np.ndarray:
        """Return how often each subject trains a fold, shape (n_samples, n_subject_folds, n_subjects)."""
        if self.n_subject_folds == 1:
            return self.subjects[:, None, :]
        outside = self.subject_folds[:, None, :] != np.arange(self.n_subject_folds)[:, None]
        return self.subjects[:, None, :] * outside


@dataclass(frozen=True, eq=False)
class Scores:
    """Cross-validated scores of each subject, means over the folds of stimuli.

    `values` (n_samples, n_models, n_subjects). `lower`, `upper` (n_samples, n_subjects): noise ceilings in
    the same folds: what the mean of the training subjects reaches, and that of all. `weights` (n_samples,
    n_stimulus_folds, n_subject_folds, n_rdms): the fitted weights of each model.
    """

    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    weights: list[np.ndarray]


@dataclass(frozen=True, eq=False)
class Design:
    """The RDMs that are compared, all over the same pairs.

    `models` (n_rdms, n_pairs): the RDMs of each model. `kinds`: names in ``models.MODEL_KINDS``. `data`
    (n_subjects, n_pairs). `present` (n_pairs,): pairs that all have.
    """

    models: Sequence[np.ndarray]
    kinds: Sequence[str]
    data: np.ndarray
    present: np.ndarray
    comparison: str

    @cached_property
    def candidates(self) -> np.ndarray:
        """The different RDMs (n_rdms, n_pairs) of all models, with 0 for pairs that some lack."""
        return self._stacked[0]

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """Which of `candidates` each model is made of."""
        stops = np.cumsum([len(rdms) for rdms in self.models]).tolist()
        return [
            self._stacked[1][stop - len(rdms) : stop] for stop, rdms in zip(stops, self.models, strict=True)
        ]

    @cached_property
    def vectors(self) -> np.ndarray:
        """The candidates, and behind them the RDMs of the subjects."""
        return np.vstack([self.candidates, np.where(self.present, self.data, 0.0)])

    @cached_property
    def _stacked(self) -> tuple[np.ndarray, np.ndarray]:
        # Models are often made of the same RDMs, which are then compared with the data only once.
        stacked = np.where(self.present, np.vstack(self.models), 0.0)
        found, places = np.unique(stacked, axis=0, return_inverse=True)
        return found, places.ravel()


def choose_n_subject_folds(n_subjects: int) -> int:
    """Return 2 to 5, so that nearly every bootstrap sample has several subjects for each fold."""
    return 2 + int(np.searchsorted([6, 12, 20], SHARE_DRAWN * n_subjects, side="right"))


def choose_n_stimulus_folds(blocks: np.ndarray) -> int:
    """Return 2 to 5, so that nearly every bootstrap sample has three stimuli for each test fold."""
    wanted = 2 + int(np.searchsorted([12, 24, 40], SHARE_DRAWN * len(blocks), side="right"))
    while wanted > 2 and SHARE_DRAWN * (blocks.max() + 1) < count_blocks_needed(blocks, wanted):
        wanted -= 1
    return wanted


def count_blocks_needed(blocks: np.ndarray, n_folds: int) -> int:
    """Return how many different blocks a sample must have for two blocks and three stimuli in each fold."""
    return n_folds * count_fewest(blocks)


def draw_folds(counts: np.ndarray, blocks: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return folds (n_samples, n_units) of units, at random and as even as can be.

    Units that are not in a sample (`counts` of shape (n_samples, n_units) are 0) do not fill folds. Units of
    one block (codes from 0) are in one fold, and equally often in a sample.
    """
    first = np.unique(blocks, return_index=True)[1]
    keys = np.where(counts[:, first] > 0, rng.random((len(counts), len(first))), 2.0)
    places = np.argsort(np.argsort(keys, axis=1), axis=1)
    return (places % n_folds)[:, blocks]


def cross_validate(design: Design, splits: Splits) -> Scores:
    """Fit each model in the training part of every fold, and score it in the test part.

    A fit sees neither the test subjects nor a pair with a test stimulus. A prediction that is constant in a
    test fold puts nothing in order, and scores 0 there.
    """
    n_subjects = len(design.data)
    width = 2 * splits.n_stimulus_folds * (len(design.vectors) + 1) ** 2
    if design.comparison in RANK_COMPARISONS:
        n_test = int((splits.count_stimuli(is_test=True) > 0).sum(axis=2).max())
        n_rows = (len(design.models) + 1) * splits.n_subject_folds + n_subjects + len(design.candidates)
        width += splits.n_stimulus_folds * n_rows * n_test * (n_test - 1) // 2
    step = max(1, _AT_ONCE // width)
    parts = [_cross_validate(design, splits.take(slice(at, at + step))) for at in range(0, len(splits), step)]
    return Scores(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.lower for part in parts]),
        np.concatenate([part.upper for part in parts]),
        [np.concatenate(items) for items in zip(*(part.weights for part in parts), strict=True)],
    )


def _cross_validate(design: Design, splits: Splits) -> Scores:
    vectors, n = design.vectors, len(design.candidates)
    training = _compute(design, vectors, splits.count_stimuli(is_test=False), splits.blocks)
    weights = _fit(design, splits, training, vectors)
    test_counts = splits.count_stimuli(is_test=True)
    if design.comparison in RANK_COMPARISONS:
        found = _score_ranks(design, splits, weights, vectors, test_counts)
    else:
        test = _compute(design, vectors, test_counts, splits.blocks)
        found = _score_products(design, splits, weights, test, n)
    # (n_samples, n_stimulus_folds, n_models + 1, n_subject_folds, n_subjects), and the upper ceiling's.
    own, upper = found
    chosen = np.take_along_axis(own, splits.subject_folds[:, None, None, None, :], axis=3)[:, :, :, 0]
    means = chosen.mean(axis=1)
    return Scores(means[:, :-1], means[:, -1], upper.mean(axis=1), weights)


def _compute(
    design: Design, vectors: np.ndarray, counts: np.ndarray, blocks: np.ndarray | None
) -> np.ndarray:
    """Return inner products (n_samples, n_stimulus_folds, n_vectors, n_vectors)."""
    flat = counts.reshape(-1, counts.shape[-1])
    grams = compute_grams(vectors, flat, design.present, design.comparison, blocks)
    return grams.reshape(*counts.shape[:2], *grams.shape[1:])


def _fit(design: Design, splits: Splits, training: np.ndarray, vectors: np.ndarray) -> list[np.ndarray]:
    n = len(design.candidates)
    shape = (len(splits), splits.n_stimulus_folds, splits.n_subject_folds)
    lengths = np.sqrt(np.einsum("bfii->bfi", training))
    counts = splits.count_training_subjects()[:, None]  # one for all folds of stimuli
    units = training[:, :, :n, n:] * divide(1.0, lengths[:, :, None, n:])
    cross = counts @ units.transpose(0, 1, 3, 2)  # (n_samples, n_stimulus_folds, n_subject_folds, n_rdms)
    scores = divide(cross, lengths[:, :, None, :n])
    if "selected" in design.kinds and design.comparison in RANK_COMPARISONS:
        scores = _score_candidates(design, splits, vectors)
    found = []
    for part, kind in zip(design.rows, design.kinds, strict=True):
        inner = training[:, :, part[:, None], part][:, :, None]
        gram = np.broadcast_to(inner, (*shape, len(part), len(part)))
        parts = (gram.reshape(-1, *gram.shape[-2:]), cross[..., part], scores[..., part])
        flat = [item.reshape(-1, *item.shape[3:]) for item in parts[1:]]
        found.append(MODEL_KINDS[kind](parts[0], *flat).reshape(*shape, -1))
    return found


def _score_candidates(design: Design, splits: Splits, vectors: np.ndarray) -> np.ndarray:
    """Return the comparisons of single RDMs with the training data, ranks taken in the training part."""
    counts = splits.count_stimuli(is_test=False)
    flat = counts.reshape(-1, counts.shape[-1])
    none = np.empty((len(flat), 0, len(design.data)), dtype=int)
    data = vectors[len(design.candidates) :]
    asked = Compared(data, design.candidates, flat, none, design.comparison, splits.blocks)
    found = compare_alike(asked, design.present)[0]
    return splits.count_training_subjects()[:, None] @ found.reshape(*counts.shape[:2], *found.shape[1:])


def _score_products(
    design: Design, splits: Splits, weights: list[np.ndarray], test: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    squares = np.einsum("bfii->bfi", test)
    lengths = np.sqrt(squares[:, :, None, n:])
    rows = []
    for part, shares in zip(design.rows, weights, strict=True):
        along = shares @ test[:, :, part, n:]
        square = np.einsum("bfgi,bfij,bfgj->bfg", shares, test[:, :, part[:, None], part], shares)
        most = (shares**2 @ squares[:, :, part, None])[..., 0]
        length = np.sqrt(np.where(square > _CONSTANT * most, square, 0.0))[..., None]
        rows.append(divide(along, length * lengths))
    cosines = divide(test[:, :, n:, n:], lengths.transpose(0, 1, 3, 2) * lengths)
    lower, upper = (
        _compare_pooled(cosines, counts)
        for counts in (splits.count_training_subjects(), splits.subjects[:, None])
    )
    return np.stack([*rows, lower], axis=2), upper[:, :, 0]


def _compare_pooled(cosines: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return cosines (n_samples, n_stimulus_folds, n_pools, n_subjects) with sums of the data's vectors."""
    pools = counts[:, None]
    along = pools @ cosines
    return divide(along, np.sqrt(np.maximum((along * pools).sum(axis=-1, keepdims=True), 0)))


def _score_ranks(
    design: Design, splits: Splits, weights: list[np.ndarray], vectors: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    pairs, pair_counts = _gather_pairs(counts, design.present, splits.blocks)
    n, n_pairs = len(design.candidates), pairs.shape[-1]
    values = vectors[:, pairs].transpose(1, 2, 0, 3)  # (n_samples, n_stimulus_folds, n_vectors, n_pairs)
    predicted = [
        settle_ties(shares @ values[:, :, part]) for part, shares in zip(design.rows, weights, strict=True)
    ]
    data = values[:, :, n:]
    ranks = rank_weighted(data, pair_counts[:, :, None])
    lower = splits.count_training_subjects()[:, None] @ ranks
    upper = splits.subjects[:, None, None, :] @ ranks
    rows = np.concatenate([*predicted, lower, upper], axis=2)
    found = compare_ranks(
        rows.reshape(-1, rows.shape[2], n_pairs),
        data.reshape(-1, data.shape[2], n_pairs),
        pair_counts.reshape(-1, n_pairs),
        design.comparison,
    ).reshape(*rows.shape[:3], -1)
    own = found[:, :, :-1].reshape(*rows.shape[:2], -1, splits.n_subject_folds, found.shape[-1])
    return own, found[:, :, -1]


def _gather_pairs(
    counts: np.ndarray, present: np.ndarray, blocks: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers and the weights of the pairs within each test fold.

    Folds of fewer stimuli are filled up with pairs of weight 0.
    """
    n_stimuli = counts.shape[-1]
    numbers = np.zeros((n_stimuli, n_stimuli), dtype=int)
    numbers[np.triu_indices(n_stimuli, 1)] = np.arange(len(present))
    numbers += numbers.T
    n_test = int((counts > 0).sum(axis=2).max())
    members = np.sort(np.argsort(counts == 0, axis=2, kind="stable")[..., :n_test], axis=2)
    chosen = np.take_along_axis(counts, members, axis=2)
    rows, columns = np.triu_indices(n_test, 1)
    pairs = numbers[members[..., rows], members[..., columns]]
    first, second = chosen[..., rows], chosen[..., columns]
    if blocks is None:
        return pairs, first * second * present[pairs]
    is_within = blocks[members[..., rows]] == blocks[members[..., columns]]
    levels = level_blocks(counts, blocks)[..., None]
    return pairs, weigh(first, second, is_within, levels) * present[pairs]
