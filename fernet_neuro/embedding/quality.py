"""How well neighbours in features, or in a map of them, share a label: purity and held-out k-NN accuracy.

What belongs here: neighbours, the two scores, their null and intervals, and the map's trustworthiness; who
may be whose neighbour is decided in `comparison`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.validation import check_range
from fernet_neuro.embedding.comparison import Comparison
from fernet_neuro.stats.resampling import clopper_pearson

#: The two scores, in the order in which `score_labels` returns them.
MEASURES = ("neighbour_purity", "knn_balanced_accuracy")
#: Default number of neighbours, where every stimulus has that many with its label.
N_NEIGHBOURS = 10
#: Numbers held in memory at once while labellings are scored or distances sorted.
_AT_ONCE = 2**23
#: Above so many stimuli, trustworthiness (which sorts all pairs) is that of a random sample.
_MOST_FOR_TRUST = 4000


@dataclass(frozen=True, eq=False)
class QualityScore:
    """One score of one factor in one space.

    `measure`: one of `MEASURES`. `value`, `chance_level`: shares, 0 to 1; each class counts once. `low`,
    `high`: 95 % interval over `Comparison.people`; NaN where it cannot be known. `null_scores`
    (n_permutations,): scores of the labellings of `Comparison.draw`. `n_neighbours`: k.
    """

    measure: str
    value: float
    chance_level: float
    low: float
    high: float
    null_scores: np.ndarray
    n_neighbours: int


def compute_quality(
    positions: np.ndarray,
    comparison: Comparison,
    *,
    n_neighbours: int | None = None,
    n_permutations: int = 1000,
    seed: int = 0,
) -> list[QualityScore]:
    """Return neighbour purity and held-out k-NN accuracy of a factor, with nulls and intervals.

    Purity is the share of a stimulus's k nearest neighbours that have its label. The k-NN read-out predicts
    the label that most of them have (the nearest of those that tie). Neighbours come from the other values of
    ``comparison.across`` alone, so every prediction is for a held-out identity (expression) or a held-out
    expression (identity). Both are averaged class by class. The null relabels the fixed positions as
    ``comparison.draw`` says; since a map never sees labels, this is exact for maps too.

    Parameters
    ----------
    positions : ndarray of shape (n_stimuli, n_dimensions)
        Features or map coordinates; distances are Euclidean.
    comparison : Comparison
        From `plan_comparison`, on the same stimuli in the same order.
    n_neighbours : int, optional
        k; by default 10, or the median number of possible neighbours with one's label where that is less.
    n_permutations : int, default=1000
        Labellings of the null.
    seed : int, default=0
        Seed of the labellings, and of the order of neighbours at equal distance.

    Returns
    -------
    list of QualityScore
        One per name of `MEASURES`, in order. Intervals are those of the delete-one-person jackknife with
        Student's t [1]_ in log odds; a person left out is missing as a stimulus and as a neighbour. A map is
        taken as given.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or k is larger than the number of possible neighbours.

    References
    ----------
    .. [1] Efron, B. and Stein, C. (1981). The jackknife estimate of variance. Annals of Statistics, 9(3),
       586-596.
    """
    positions = _check_positions(positions, comparison)
    check_range("n_permutations", n_permutations, minimum=0)
    k = choose_n_neighbours(comparison, n_neighbours)
    n_spare = int(np.bincount(comparison.people).max())
    nearest = find_neighbours(positions, comparison.groups, k + n_spare, seed)
    values = score_labels(comparison.codes[None], nearest[:, :k])[:, 0]
    null = score_labels(comparison.draw(n_permutations, seed), nearest[:, :k])
    intervals = _jackknife(values, comparison, nearest, k)
    chances = (compute_chance(comparison), 1 / len(comparison.classes))
    return [
        QualityScore(measure, float(value), float(chance), *interval, scores, k)
        for measure, value, chance, interval, scores in zip(
            MEASURES, values, chances, intervals, null, strict=True
        )
    ]


def choose_n_neighbours(comparison: Comparison, n_neighbours: int | None = None) -> int:
    """Return k, checked or chosen; see `compute_quality`."""
    largest = int(comparison.count_candidates().min())
    if n_neighbours is not None:
        return int(check_range("n_neighbours", n_neighbours, minimum=1, maximum=largest))
    matches = comparison.count_matches()
    return max(1, min(N_NEIGHBOURS, int(np.median(matches[matches > 0])), largest))


def find_neighbours(positions: np.ndarray, groups: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Return each stimulus's nearest others outside its group, nearest first, of shape (n_stimuli, n).

    Equal distances come in an order drawn by `seed`, never in that of the table, which may be sorted by
    label. Where there are fewer than `n`, the rest is -1.
    """
    n = min(n, len(positions) - 1)
    order = make_rng(seed, "embedding", "ties").permutation(len(positions))
    mean = positions.mean(axis=0, dtype=float)
    nearest = np.empty((len(positions), n), dtype=np.intp)
    step = max(1, _AT_ONCE // len(positions))
    for start in range(0, len(positions), step):
        rows = slice(start, start + step)
        distances = _compute_distances(positions, mean, rows, step)[:, order]
        distances[groups[rows, None] == groups[order]] = np.inf
        chosen = np.argpartition(distances, n - 1, axis=1)[:, :n]
        chosen.sort(axis=1)
        found = np.take_along_axis(distances, chosen, axis=1)
        ranks = np.argsort(found, axis=1, kind="stable")
        nearest[rows] = order[np.take_along_axis(chosen, ranks, axis=1)]
        nearest[rows][np.isinf(np.take_along_axis(found, ranks, axis=1))] = -1
    return nearest


def _compute_distances(positions: np.ndarray, mean: np.ndarray, rows: slice, n_units: int) -> np.ndarray:
    """Return squared distances of `rows` from all, each row's less a number of its own, (n_rows, n_stimuli).

    A layer is as wide as memory allows: `n_units` of it at a time are copied in double precision.
    """
    distances = np.zeros((len(positions[rows]), len(positions)))
    for start in range(0, positions.shape[1], n_units):
        units = slice(start, start + n_units)
        part = positions[:, units] - mean[units]
        distances -= 2 * part[rows] @ part.T
        # The squared length of the row itself is the same for all its neighbours, and left out.
        distances += np.einsum("ij,ij->i", part, part)
    return distances


def score_labels(labels: np.ndarray, nearest: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Return purity and balanced k-NN accuracy of labellings, shape (2, n_labellings).

    `labels` (n_labellings, n_stimuli): class numbers. `nearest` (n_rows, k): neighbours, nearest first.
    `rows` (n_rows,): the stimuli that they are the neighbours of; all by default.
    """
    scores = np.empty((2, len(labels)))
    step = max(1, _AT_ONCE // max(1, nearest.size))
    for start in range(0, len(labels), step):
        part = labels[start : start + step]
        own = part if rows is None else part[:, rows]
        for score, values in zip(scores, _score_rows(part, nearest, own), strict=True):
            score[start : start + step] = _mean_by_class(values, own)
    return scores


def _score_rows(labels: np.ndarray, nearest: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shares of neighbours with one's `own` label (n_labellings, n_rows), and whether most have it."""
    # Small numbers, one neighbour's place after the other: that is what goes through the processor quickly.
    kind = np.int16 if labels.max(initial=0) < 2**15 else labels.dtype
    theirs = labels.astype(kind)[:, nearest.T]
    own = own.astype(kind)
    return (theirs == own[:, None]).mean(axis=1), _vote(theirs) == own


def compute_chance(comparison: Comparison) -> float:
    """Return the purity of neighbours drawn at random from all possible ones (share)."""
    share = comparison.count_matches() / comparison.count_candidates()
    return float(_mean_by_class(share[None], comparison.codes[None])[0])


def compute_trustworthiness(X: np.ndarray, coordinates: np.ndarray, seed: int = 0) -> tuple[float, int]:
    """Return how few strangers a map makes neighbours of, and the number of neighbours looked at.

    1 means that all near neighbours in the map are near in the features [1]_; 10 neighbours, or fewer than
    half the stimuli. Above 4000 stimuli that of a random sample is returned.

    References
    ----------
    .. [1] Venna, J. and Kaski, S. (2001). Neighborhood preservation in nonlinear projection methods: an
       experimental study. ICANN 2001, 485-491.
    """
    from sklearn.manifold import trustworthiness

    if len(X) > _MOST_FOR_TRUST:
        rows = make_rng(seed, "embedding", "trust").permutation(len(X))[:_MOST_FOR_TRUST]
        X, coordinates = X[rows], coordinates[rows]
    k = min(N_NEIGHBOURS, (len(X) - 1) // 2)
    return float(trustworthiness(X, coordinates, n_neighbors=k)), k


def _check_positions(positions: np.ndarray, comparison: Comparison) -> np.ndarray:
    positions = np.asarray(positions)
    if positions.ndim != 2 or len(positions) != len(comparison.codes) or not np.isfinite(positions).all():
        raise ValueError(
            f"positions must be finite, of shape ({len(comparison.codes)}, n_dimensions) as the stimuli "
            f"compared; got {positions.shape}."
        )
    return positions


def _vote(theirs: np.ndarray) -> np.ndarray:
    """Return the label that most of k neighbours have, (m, k, n) to (m, n); among equals the nearest's."""
    best = theirs[:, 0].copy()
    most = np.zeros(best.shape, dtype=np.int16)
    for place in range(theirs.shape[1]):
        count = np.zeros_like(most)
        for other in range(theirs.shape[1]):
            count += theirs[:, other] == theirs[:, place]
        np.copyto(best, theirs[:, place], where=count > most)
        np.maximum(most, count, out=most)
    return best


def _mean_by_class(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean over classes of the mean over their stimuli, (m, n) to (m,)."""
    n_classes = int(labels.max()) + 1
    cells = (labels + n_classes * np.arange(len(labels))[:, None]).ravel()
    shape = (len(labels), n_classes)
    counts = np.bincount(cells, minlength=labels.shape[0] * n_classes).reshape(shape)
    sums = np.bincount(cells, values.ravel(), minlength=labels.shape[0] * n_classes).reshape(shape)
    return (sums / np.maximum(counts, 1)).sum(axis=1) / (counts > 0).sum(axis=1)


def _jackknife(
    values: np.ndarray, comparison: Comparison, nearest: np.ndarray, k: int
) -> list[tuple[float, float]]:
    """Return intervals of both scores; each person is left out in turn, as a stimulus and as a neighbour."""
    people, n = comparison.people, int(comparison.people.max()) + 1
    unknown = [(np.nan, np.nan)] * len(values)
    if n < 3:
        return unknown
    codes, owners = comparison.codes[None], people[nearest]
    complete = np.concatenate(_score_rows(codes, nearest[:, :k], codes))
    reduced = np.empty((len(values), n))
    for person in range(n):
        stays = people != person
        # Nothing changes for those that have no neighbour of this person.
        rows = np.flatnonzero(stays & (owners[:, :k] == person).any(axis=1))
        left = np.where(owners[rows] == person, -1, nearest[rows])
        # Those that stay move up, in order; -1 marks who is missing.
        ranks = np.argsort(left < 0, axis=1, kind="stable")[:, :k]
        remaining = np.take_along_axis(left, ranks, axis=1)
        if (remaining < 0).any():
            return unknown
        scored = complete.copy()
        scored[:, rows] = np.concatenate(_score_rows(codes, remaining, codes[:, rows]))
        reduced[:, person] = _mean_by_class(scored[:, stays], np.repeat(codes[:, stays], len(scored), axis=0))
    deviations = reduced - reduced.mean(axis=1, keepdims=True)
    errors = np.sqrt((n - 1) / n * (deviations**2).sum(axis=1))
    return [_interval(float(value), float(error), n) for value, error in zip(values, errors, strict=True)]


def _interval(share: float, error: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share with a standard error over `n` people.

    Symmetric in log odds, since shares near 0 or 1 have one long tail. Where all are right, or all wrong,
    the error is 0 and says nothing: the exact bound of `n` people, each right or wrong as a whole, is used.
    """
    if share < 1e-9 or share > 1 - 1e-9:
        return clopper_pearson(n if share > 0.5 else 0, n)
    margin = stats.t.ppf(0.975, n - 1) * error / (share * (1 - share))
    low, high = special.expit(special.logit(share) + np.array([-margin, margin]))
    return float(low), float(high)
