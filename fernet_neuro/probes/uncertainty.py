"""How sure is a score, and the difference of two? Intervals and sign flips over the people of the test parts.

What belongs here: what each person adds to the score as reported; the statistics of units are in `stats`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.probes.design import ProbeDesign
from fernet_neuro.probes.result import ProbeResult
from fernet_neuro.stats.resampling import (
    bootstrap_mean_interval,
    sign_flip_p_value,
    stratified_t_interval,
    t_test,
)

#: Controls that the network is compared with, layer by layer.
COMPARED = ("untrained", "pixels")


@dataclass(frozen=True, eq=False)
class Units:
    """A score as a sum over units (people, or stimuli where people are not known).

    `shares` (n_units, n_classes): weight of each unit's photographs in the score, class by class; all
    together sum to 1. `sums` (n_units, n_classes): the same weights times the value of each photograph: all
    together sum to the score. `over`: what the units are.
    """

    shares: np.ndarray
    sums: np.ndarray
    over: str

    @classmethod
    def of_people(cls, values: np.ndarray) -> "Units":
        """Return the mean of one value per person, shape (n_people,)."""
        return cls(np.full((len(values), 1), 1 / len(values)), values[:, None] / len(values), "identities")

    @property
    def score(self) -> float:
        """The sum."""
        return float(self.sums.sum())

    def influences(self) -> np.ndarray:
        """Return how far each unit moves the score, shape (n_units,): its part beyond its classes' recall."""
        recalls = self.sums.sum(axis=0) / self.shares.sum(axis=0)
        return (self.sums - self.shares * recalls).sum(axis=1)

    def variance_of(self, influences: np.ndarray) -> np.ndarray:
        """Return the variance over people of sums of influences, the last axis of which is the units."""
        shown = self.shares > 0
        if shown.shape[1] == 1 or (shown.sum(axis=1) > 1).any():
            return (influences**2).sum(axis=-1) * len(shown) / (len(shown) - 1)
        counts = shown.sum(axis=0)
        return (influences**2) @ (counts / (counts - 1))[self.shares.argmax(axis=1)]

    def soften(self, bounds: tuple[float, float]) -> "Units":
        """Return the units with one more of each extreme in every class, all shares scaled back.

        Eight people all told wrongly do not prove that the ninth will be; see Agresti and Caffo (2000).
        """
        counts = (self.shares > 0).sum(axis=0)
        mean = np.diag(self.shares.sum(axis=0) / counts)
        shares = np.vstack([self.shares, mean, mean])
        sums = np.vstack([self.sums, bounds[0] * mean, bounds[1] * mean])
        scale = counts / (counts + 2)
        return Units(shares * scale, sums * scale, self.over)

    def tells_spread(self) -> bool:
        """Return whether there are two people or more, of each class that some people share."""
        shown = self.shares > 0
        return len(shown) > 1 and bool((shown.sum(axis=0) > 1).all())

    def interval(self, bounds: tuple[float, float], seed: int) -> tuple[float, float] | None:
        """Return the 95 % interval of the score over units, or None where their spread cannot be known."""
        shown = self.shares > 0
        n = len(shown)
        if not self.tells_spread():
            return None
        if shown.shape[1] == 1 or (shown.sum(axis=1) > 1).any():
            # People show several classes: the mean of these values is the score, their spread that of its
            # linear part. Where all people show all classes alike, each is that person's mean recall.
            values = self.score + n * self.influences()
            return bootstrap_mean_interval(values, rng=make_rng(seed, "probe", "interval"))
        soft = self.soften(bounds)
        return stratified_t_interval(soft.score, soft.influences(), soft.shares.argmax(axis=1))


def interval_of(
    design: ProbeDesign, values: np.ndarray, score: float, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float, str] | None:
    """Return the 95 % interval of the mean over folds of the class-balanced mean of `values`.

    Read-outs are held fixed: it says how far the score would move with other people in the test parts.

    Parameters
    ----------
    design : ProbeDesign
        Labels and folds.
    values : ndarray of shape (n_tests,)
        One value per fold and test stimulus, folds after each other: 1 where told rightly, 0 where not, or a
        difference of two such values.
    score : float
        The score of `values` as reported, which the interval contains to the last bit.
    bounds : tuple of float, default=(0, 1)
        Least and largest score there can be.

    Returns
    -------
    tuple of float and str, or None
        Ends and what the interval is over; None if a class of a target that some people share is shown by one
        person only, so that nothing tells how people of that class differ.

    References
    ----------
    .. [1] Agresti, A. and Caffo, B. (2000). Simple and effective confidence intervals for proportions and
       differences of proportions result from adding two successes and two failures. The American
       Statistician, 54(4), 280-288.
    """
    return _interval(_units_of(design, values), score, bounds, design.seed)


def interval_of_quantity(design: ProbeDesign, predictions: pd.DataFrame) -> tuple[float, float, str] | None:
    """Return the 95 % interval of R2 over people, read-outs held fixed; see `interval_of`.

    `predictions`: as in `ProbeResult`, folds after each other.
    """
    units = _group(design, *_weigh_numbers(predictions))
    return _interval(units, units.score, (-np.inf, 1.0), design.seed)


def _interval(
    units: Units, score: float, bounds: tuple[float, float], seed: int
) -> tuple[float, float, str] | None:
    ends = units.interval(bounds, seed)
    return None if ends is None else (*_enclose(score, ends, bounds), units.over)


def compare_sources(design: ProbeDesign, results: list[ProbeResult]) -> None:
    """Add to each result of the network its difference to the untrained twins' layer and to the pixels.

    Both of a pair were tested on the same photographs of the same folds, so each person gives one difference,
    in which what makes that person easy or hard cancels.
    """
    controls: dict[tuple[str, str, str], list[ProbeResult]] = {}
    for item in results:
        if item.source in COMPARED:
            controls.setdefault((item.source, item.readout, item.layer), []).append(item)
    for item in results:
        if item.source != "network":
            continue
        for source in COMPARED:
            layer = item.layer if source == "untrained" else "pixels"
            others = controls.get((source, item.readout, layer), [])
            if len(others) == 1:
                units = _difference(design, item, others[0])
                found = compare_paired(
                    item.score - others[0].score, units, source, design.seed, item.difference_bounds
                )
                item.differences.update(found)
            elif others:
                item.differences.update(_compare_twins(design, item, others))


def pool_twins(design: ProbeDesign, results: list[ProbeResult]) -> list[ProbeResult]:
    """Return results in which the untrained twins' of one layer and read-out are one.

    Its accuracies are means over twins, its guesses those of all. ``twin_low`` and ``twin_high`` enclose 95 %
    of such networks: Student's prediction interval of one more. ``twin_scores`` are the scores of each.
    """
    groups: dict[tuple[str, str, str], list[ProbeResult]] = {}
    for number, item in enumerate(results):
        alone = "" if item.source == "untrained" else str(number)
        groups.setdefault((alone, item.layer, item.readout), []).append(item)
    return [_pool(design, items) if len(items) > 1 else items[0] for items in groups.values()]


def _pool(design: ProbeDesign, twins: list[ProbeResult]) -> ProbeResult:
    first, numbers = twins[0], [*twins[0].measures, "penalty"]
    means = {name: np.mean([twin.folds[name] for twin in twins], axis=0) for name in numbers}
    scores = [twin.score for twin in twins]
    mean, sd, n = _spread(scores)
    low, high, _ = t_test(mean, sd**2 * (1 + 1 / n), n - 1)
    least, most = first.bounds
    ends = {"twin_low": max(low, least), "twin_high": min(high, most)}
    spread = {"n_twins": n, "twin_sd": sd, **ends, "twin_scores": [float(score) for score in scores]}
    parts = np.mean([_worth(design, twin)[1] for twin in twins], axis=0)
    units = _group(design, _worth(design, first)[0], parts)
    return replace(
        first,
        folds=first.folds.assign(**means),
        predictions=pd.concat([twin.predictions for twin in twins], ignore_index=True),
        interval=_interval(units, mean, first.bounds, design.seed),
        control={**first.control, **spread},
    )


def _spread(scores: Sequence[float]) -> tuple[float, float, int]:
    return float(np.mean(scores)), float(np.std(scores, ddof=1)), len(scores)


def compare_with_twins(
    score: float,
    twins: Sequence[float],
    differences: Sequence[Units],
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> dict[str, Any]:
    """Return how far a network lies from the untrained ones, of which the twins are a sample.

    A twin more would differ from their mean with variance s^2 (1 + 1 / K) [1]_. People are the second random
    effect; what of their variance is already in that between twins is taken off, as in a two-factor
    bootstrap.

    `score`, `twins`: of the network, and of each of two twins or more. `differences`: of the network to each
    twin, as sums over people. `bounds`: least and largest difference there can be.

    References
    ----------
    .. [1] Crawford and Howell (1998), as in `evaluate.run_probe`.
    """
    mean, sd, n = _spread(twins)
    variance, freedom, over = sd**2 * (1 + 1 / n), n - 1, "untrained networks"
    units = differences[0]
    if units.tells_spread():
        influences = np.array([item.influences() for item in differences])
        people = float(units.variance_of(influences.mean(axis=0)))
        apart = units.variance_of(influences - influences.mean(axis=0)).sum() / (n - 1)
        variance = max(variance + people - apart * (1 + 1 / n), variance, people)
        freedom, over = min(n, len(units.shares)) - 1, f"untrained networks and {units.over}"
    low, high, p_value = t_test(score - mean, variance, freedom)
    return {
        "difference_untrained": score - mean,
        "difference_untrained_low": max(low, bounds[0]),
        "difference_untrained_high": min(high, bounds[1]),
        "difference_untrained_p": p_value,
        "difference_untrained_interval": over,
        "n_twins": n,
        "twin_sd": sd,
    }


def _compare_twins(design: ProbeDesign, ours: ProbeResult, twins: list[ProbeResult]) -> dict[str, Any]:
    units = [_difference(design, ours, twin) for twin in twins]
    return compare_with_twins(ours.score, [twin.score for twin in twins], units, ours.difference_bounds)


def compare_paired(
    difference: float, units: Units, name: str, seed: int, bounds: tuple[float, float] = (-1.0, 1.0)
) -> dict[str, Any]:
    """Return a difference, which `units` sum to, with its interval and two-sided p value over them.

    Keys begin with ``difference_`` and `name`, that of the other source; None where there is no interval.
    """
    ends = units.interval(bounds, seed)
    low, high = (None, None) if ends is None else _enclose(difference, ends, bounds)
    rng = make_rng(seed, "probe", "sign flips")
    return {
        f"difference_{name}": difference,
        f"difference_{name}_low": low,
        f"difference_{name}_high": high,
        f"difference_{name}_p": sign_flip_p_value(units.sums.sum(axis=1), rng=rng),
        "difference_interval": units.over,
    }


def _enclose(score: float, ends: tuple[float, float], bounds: tuple[float, float]) -> tuple[float, float]:
    """Return an interval that has `score` in it to the last bit, cut at the least and largest score."""
    return max(min(ends[0], score), bounds[0]), min(max(ends[1], score), bounds[1])


def _rightness(result: ProbeResult) -> np.ndarray:
    return (result.predictions["true"] == result.predictions["predicted"]).to_numpy(dtype=float)


def _worth(design: ProbeDesign, result: ProbeResult) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of each test stimulus in the score, and its part of the score, both (n_tests,)."""
    if design.is_quantity:
        return _weigh_numbers(result.predictions)
    weights = _weigh_classes(design)
    return weights, weights * _rightness(result)


def _difference(design: ProbeDesign, ours: ProbeResult, other: ProbeResult) -> Units:
    (weights, parts), (_, others) = _worth(design, ours), _worth(design, other)
    return _group(design, weights, parts - others)


def _weigh_numbers(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each stimulus in the spread around the training means, and in what is explained."""
    true, guess, mean = (predictions[name].to_numpy() for name in ("true", "predicted", "expected"))
    spreads, errors = np.square(true - mean), np.square(true - guess)
    return spreads / spreads.sum(), (spreads - errors) / spreads.sum()


def _weigh_classes(design: ProbeDesign) -> np.ndarray:
    folds = design.folds
    return np.concatenate([_weigh(design.codes[fold.test]) for fold in folds]) / len(folds)


def _units_of(design: ProbeDesign, values: np.ndarray) -> Units:
    weights = _weigh_classes(design)
    return _group(design, weights, weights * values)


def _group(design: ProbeDesign, weights: np.ndarray, parts: np.ndarray) -> Units:
    """Return parts of a score, one per fold and test stimulus, as sums over people."""
    rows = np.concatenate([fold.test for fold in design.folds])
    codes = np.zeros(len(rows), dtype=int) if design.is_quantity else design.codes[rows]
    names = design.table.factor("identity", complete=False).astype(str)[rows]
    over = "identities"
    if (names == "").any() or len(np.unique(names)) < 2:
        over, names = "stimuli", rows
    people, unit_of = np.unique(names, return_inverse=True)
    if len(people) == len(np.unique(np.stack([unit_of, codes]), axis=1).T) == len(np.unique(codes)):
        # Each class is one person: classes are then the random units, and none is a stratum.
        codes = np.zeros_like(codes)
    n_classes = int(codes.max()) + 1
    shares = np.bincount(unit_of * n_classes + codes, weights, len(people) * n_classes)
    sums = np.bincount(unit_of * n_classes + codes, parts, len(people) * n_classes)
    shares, sums = shares.reshape(len(people), n_classes), sums.reshape(len(people), n_classes)
    shown = shares.sum(axis=0) > 0
    return Units(shares[:, shown], sums[:, shown], over)


def _weigh(codes: np.ndarray) -> np.ndarray:
    """Return the weights of test stimuli with which rightness sums to balanced accuracy."""
    counts = np.bincount(codes)
    return 1.0 / (counts[codes] * (counts > 0).sum())
