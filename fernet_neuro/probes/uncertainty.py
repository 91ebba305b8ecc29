"""How sure is a score, and the difference of two? Intervals and sign flips over the people of the test parts.

What belongs here: what each person adds to the score as reported; the statistics of units are in `stats`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.probes.design import ProbeDesign
from fernet_neuro.probes.result import ProbeResult
from fernet_neuro.stats.resampling import bootstrap_mean_interval, sign_flip_p_value, stratified_t_interval

#: Controls that the network is compared with, layer by layer.
COMPARED = ("untrained", "pixels")


@dataclass(frozen=True, eq=False)
class _Units:
    """The reported score as a sum over units (people, or stimuli where people are not known).

    `shares` (n_units, n_classes): weight of each unit's photographs in the score, class by class; all
    together sum to 1. `sums` (n_units, n_classes): the same weights times the value of each photograph: all
    together sum to the score. `over`: what the units are.
    """

    shares: np.ndarray
    sums: np.ndarray
    over: str

    @property
    def score(self) -> float:
        return float(self.sums.sum())

    def influences(self) -> np.ndarray:
        """Return how far each unit moves the score, shape (n_units,): its part beyond its classes' recall."""
        recalls = self.sums.sum(axis=0) / self.shares.sum(axis=0)
        return (self.sums - self.shares * recalls).sum(axis=1)

    def soften(self, bounds: tuple[float, float]) -> "_Units":
        """Return the units with one more of each extreme in every class, all shares scaled back.

        Eight people all told wrongly do not prove that the ninth will be; see Agresti and Caffo (2000).
        """
        counts = (self.shares > 0).sum(axis=0)
        mean = np.diag(self.shares.sum(axis=0) / counts)
        shares = np.vstack([self.shares, mean, mean])
        sums = np.vstack([self.sums, bounds[0] * mean, bounds[1] * mean])
        scale = counts / (counts + 2)
        return _Units(shares * scale, sums * scale, self.over)

    def interval(self, bounds: tuple[float, float], seed: int) -> tuple[float, float] | None:
        """Return the 95 % interval of the score over units, or None where their spread cannot be known."""
        shown = self.shares > 0
        n = len(shown)
        if n < 2 or (shown.sum(axis=0) < 2).any():
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
    units = _units_of(design, values)
    ends = units.interval(bounds, design.seed)
    if ends is None:
        return None
    low, high = min(ends[0], score), max(ends[1], score)
    return max(low, bounds[0]), min(high, bounds[1]), units.over


def compare_sources(design: ProbeDesign, results: list[ProbeResult]) -> None:
    """Add to each result of the network its difference to the untrained twin's layer and to the pixels.

    Both of a pair were tested on the same photographs of the same folds, so each person gives one difference,
    in which what makes that person easy or hard cancels.
    """
    controls = {
        (item.source, item.readout, item.layer if item.source == "untrained" else "pixels"): item
        for item in results
        if item.source in COMPARED
    }
    for item in results:
        if item.source != "network":
            continue
        for source in COMPARED:
            layer = item.layer if source == "untrained" else "pixels"
            other = controls.get((source, item.readout, layer))
            if other is not None:
                item.differences.update(_compare(design, item, other))


def _compare(design: ProbeDesign, ours: ProbeResult, theirs: ProbeResult) -> dict[str, Any]:
    """Return the difference of two scores, with its interval and two-sided p value over units."""
    values = _rightness(ours) - _rightness(theirs)
    units = _units_of(design, values)
    difference = ours.balanced_accuracy - theirs.balanced_accuracy
    low, high, _ = interval_of(design, values, difference, (-1.0, 1.0)) or (None, None, None)
    rng = make_rng(design.seed, "probe", "sign flips")
    name = f"difference_{theirs.source}"
    return {
        name: difference,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_p": sign_flip_p_value(units.sums.sum(axis=1), rng=rng),
        "difference_interval": units.over,
    }


def _rightness(result: ProbeResult) -> np.ndarray:
    return (result.predictions["true"] == result.predictions["predicted"]).to_numpy(dtype=float)


def _units_of(design: ProbeDesign, values: np.ndarray) -> _Units:
    rows = np.concatenate([fold.test for fold in design.folds])
    codes = design.codes[rows]
    weights = np.concatenate([_weigh(design.codes[fold.test]) for fold in design.folds]) / len(design.folds)
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
    sums = np.bincount(unit_of * n_classes + codes, weights * values, len(people) * n_classes)
    shares, sums = shares.reshape(len(people), n_classes), sums.reshape(len(people), n_classes)
    shown = shares.sum(axis=0) > 0
    return _Units(shares[:, shown], sums[:, shown], over)


def _weigh(codes: np.ndarray) -> np.ndarray:
    """Return the weights of test stimuli with which rightness sums to balanced accuracy."""
    counts = np.bincount(codes)
    return 1.0 / (counts[codes] * (counts > 0).sum())
