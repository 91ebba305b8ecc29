"""Comparisons and noise ceilings of fixed models in all bootstrap samples at once.

What belongs here: values for each sample of subjects and stimuli, where all RDMs have the same pairs or lack
the same; other gaps are the business of `differences`, and what follows from the values that of `contrasts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fernet_neuro._utils.progress import track
from fernet_neuro.rsa.compare import INNER_PRODUCTS
from fernet_neuro.rsa.files.toolbox import compare_with_rsatoolbox, evaluate_draws
from fernet_neuro.rsa.inference.differences import compare_with_gaps
from fernet_neuro.rsa.inference.random_effects import Effects
from fernet_neuro.rsa.inference.resample import Compared, Resamples
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.weighted import RANK_COMPARISONS, compute_grams, divide

_BOTH = frozenset(["subjects", "stimuli"])
_SUBJECTS, _STIMULI = frozenset(["subjects"]), frozenset(["stimuli"])
#: One step takes as many models as there are subjects, but no fewer than this: of two models, inner products
#: are not needed, and those of subjects are computed anew each time.
_MODELS_AT_ONCE = 16
#: Inner products that one step holds in memory.
_AT_ONCE = 2**23


@dataclass(frozen=True, eq=False)
class SampleValues:
    """What each bootstrap sample says.

    `scores` (n_bootstraps, n_models): mean comparison over the subjects of the sample. `lower`, `upper`
    (n_bootstraps,): noise ceilings; NaN where fewer than two different subjects were drawn.
    """

    scores: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def covary(self) -> np.ndarray:
        """Return the covariance (n_models + 2, n_models + 2) over samples, the two ceilings last.

        Samples in which ceilings are not defined count for models alone.
        """
        ceilings = np.stack([self.lower, self.upper], axis=1)
        known = ~np.isnan(ceilings).any(axis=1)
        n_models = self.scores.shape[1]
        matrix = np.zeros((n_models + 2, n_models + 2))
        matrix[:n_models, :n_models] = _covary(self.scores)
        if known.sum() > 1:
            joint = _covary(np.concatenate([self.scores[known], ceilings[known]], axis=1))
            matrix[n_models:], matrix[:, n_models:] = joint[n_models:], joint[:, n_models:]
        return matrix


def evaluate_data(
    subjects: np.ndarray, models: np.ndarray, n_stimuli: int, comparison: str
) -> tuple[np.ndarray, float, float]:
    """Return the comparisons (n_subjects, n_models) of the data themselves, and both noise ceilings."""
    once = np.ones((1, n_stimuli), dtype=int)
    copies = np.ones((1, 1, len(subjects)), dtype=int)
    scores, lower, upper = compare_samples(Compared(subjects, models, once, copies, comparison))
    found = summarise(scores, lower[:, 0], upper[:, 0], copies[:, 0])
    return scores[0], float(found.lower[0]), float(found.upper[0])


def evaluate_samples(
    subjects: np.ndarray,
    models: np.ndarray,
    resamples: Resamples,
    comparison: str,
    wanted: Sequence[Effects],
    *,
    n_jobs: int = 1,
) -> dict[Effects, SampleValues]:
    """Return the values of all samples, by the random effects that were drawn anew in them.

    `subjects` (n_subjects, n_pairs) and `models` (n_models, n_pairs) are NaN where a pair is missing.
    """
    everyone = np.ones_like(resamples.subjects)
    draws = {_BOTH: resamples.subjects, _STIMULI: everyone}
    draws = {effects: copies for effects, copies in draws.items() if effects in wanted}
    values = {}
    if draws:
        stacked = np.stack(list(draws.values()), axis=1)
        asked = Compared(subjects, models, resamples.stimuli, stacked, comparison, resamples.blocks, n_jobs)
        scores, lower, upper = compare_samples(asked)
        for place, (effects, copies) in enumerate(draws.items()):
            values[effects] = summarise(scores, lower[:, place], upper[:, place], copies)
    if _SUBJECTS in wanted:
        once = np.ones((1, resamples.stimuli.shape[1]), dtype=int)
        copies = resamples.subjects
        scores, lower, upper = compare_samples(Compared(subjects, models, once, copies[None], comparison))
        values[_SUBJECTS] = summarise(scores, lower[0], upper[0], copies)
    return {effects: values[effects] for effects in wanted}


def evaluate_with_rsatoolbox(
    subjects: RDMSet,
    models: RDMSet,
    resamples: Resamples,
    comparison: str,
    wanted: Sequence[Effects],
    *,
    verbose: bool = False,
) -> dict[Effects, SampleValues]:
    """Return what `evaluate_samples` returns, by rsatoolbox: a reference that takes minutes for a second.

    Raises ValueError if RDMs lack different pairs: rsatoolbox compares only those that lack the same. Or if
    stimuli of a block are drawn together: it cannot weigh the pairs inside one otherwise than those between
    two.
    """
    if resamples.blocks is not None and any("stimuli" in effects for effects in wanted):
        raise ValueError(
            "engine='rsatoolbox' repeats stimuli and has no weights of pairs, so blocks of several stimuli "
            "cannot be drawn; use engine='own', or generalise_to='subjects'."
        )
    n = resamples.n_bootstraps
    values = {}
    for effects in wanted:
        rows = _list_drawn(resamples.subjects) if "subjects" in effects else [None] * n
        stimuli = _list_drawn(resamples.stimuli) if "stimuli" in effects else [None] * n
        draws = track(zip(rows, stimuli, strict=True), "rsatoolbox", total=n, verbose=verbose)
        values[effects] = SampleValues(*evaluate_draws(subjects, models, comparison, draws))
    return values


def evaluate_data_with_rsatoolbox(
    subjects: RDMSet, models: RDMSet, comparison: str
) -> tuple[np.ndarray, float, float]:
    """Return what `evaluate_data` returns, by rsatoolbox."""
    _, lower, upper = evaluate_draws(subjects, models, comparison, [(None, None)])
    return compare_with_rsatoolbox(subjects, models, comparison), float(lower[0]), float(upper[0])


def _list_drawn(counts: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of the units of each sample, as often as they are in it."""
    return [np.repeat(np.arange(counts.shape[1]), sample) for sample in counts]


def compare_samples(asked: Compared) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare each subject with each model, and with the pooled RDMs of the subjects drawn, in each sample.

    Returns scores (n_samples, n_subjects, n_models; n_subjects columns more if `asked.among`), and the lower
    and the upper noise ceilings (n_samples, n_draws, n_subjects), which mean nothing for subjects that were
    not drawn.
    """
    gaps = np.isnan(np.concatenate([asked.subjects, asked.models]))
    if (gaps != gaps[0]).any():
        if asked.among:
            models = np.concatenate([asked.models, asked.subjects])
            asked = replace(asked, models=models, among=False)
        return compare_with_gaps(asked, compare_alike)
    return compare_alike(asked, ~gaps[0])


def compare_alike(asked: Compared, present: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Do what `compare_samples` does over the `present` pairs, (n_pairs,) bool, which all RDMs have."""
    if asked.comparison in RANK_COMPARISONS:
        from fernet_neuro.rsa.inference.ranks import compare_ranked  # numba loads slowly

        return compare_ranked(asked, present)
    subjects, models, multiplicities = asked.subjects, asked.models, asked.multiplicities
    copies, comparison, blocks = asked.copies, asked.comparison, asked.blocks
    n_models = len(models)
    scores = np.empty((len(multiplicities), len(subjects), n_models + asked.among * len(subjects)))
    lower, upper = np.empty(copies.shape), np.empty(copies.shape)
    n_columns = max(_MODELS_AT_ONCE, len(subjects))
    width = len(subjects) + min(n_models, n_columns) + 1
    step = max(1, _AT_ONCE // width**2)
    for start in range(0, len(multiplicities), step):
        rows = slice(start, start + step)
        for first in range(0, n_models, n_columns):
            columns = slice(first, first + n_columns)
            stacked = np.concatenate([subjects, models[columns]])
            grams = compute_grams(stacked, multiplicities[rows], present, comparison, blocks)
            scores[rows, :, first : first + len(models[columns])] = _to_cosines(grams, len(subjects))
        if asked.among:
            scores[rows, :, n_models:] = _to_cosines(grams, len(subjects), slice(len(subjects)))
        if copies.shape[1]:
            inner = grams[:, : len(subjects), : len(subjects)]
            scale = _pooling_scale(subjects, multiplicities[rows], present, comparison, inner, blocks)
            lower[rows], upper[rows] = _compare_pooled(inner, scale, copies[rows])
    return scores, lower, upper


def summarise(scores: np.ndarray, lower: np.ndarray, upper: np.ndarray, copies: np.ndarray) -> SampleValues:
    """Average over the subjects of each sample.

    Scores count each copy of a subject. Ceilings count each subject drawn once, as in rsatoolbox: the others
    that a subject is compared with are then those of no copy of it.
    """
    shares = copies / copies.sum(axis=1, keepdims=True)
    means = shares @ scores[0] if len(scores) == 1 else np.einsum("bs,bsm->bm", shares, scores)
    drawn = copies > 0
    n_drawn = drawn.sum(axis=1)
    ceilings = [
        np.where(n_drawn > 1, np.where(drawn, values, 0).sum(axis=1) / n_drawn, np.nan)
        for values in (lower, upper)
    ]
    return SampleValues(means, *ceilings)


def _covary(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return centred.T @ centred / max(len(values) - 1, 1)


def _to_cosines(grams: np.ndarray, n_subjects: int, columns: slice | None = None) -> np.ndarray:
    others = slice(n_subjects, None) if columns is None else columns
    lengths = np.sqrt(np.einsum("bii->bi", grams))
    between = lengths[:, :n_subjects, None] * lengths[:, None, others]
    return divide(grams[:, :n_subjects, others], between)


def _pooling_scale(
    subjects: np.ndarray,
    multiplicities: np.ndarray,
    present: np.ndarray,
    comparison: str,
    inner: np.ndarray,
    blocks: np.ndarray | None,
) -> np.ndarray:
    """Return what brings each subject's RDM to one length before they are pooled, (n_samples, n_subjects).

    That length is the plain one also where comparisons are whitened, as in rsatoolbox.
    """
    if INNER_PRODUCTS[comparison].is_whitened:
        plain = comparison.removeprefix("whitened_")
        inner = compute_grams(subjects, multiplicities, present, plain, blocks)
    squares = np.einsum("bii->bi", inner)
    return divide(np.ones_like(squares), np.sqrt(squares))


def _compare_pooled(
    inner: np.ndarray, scale: np.ndarray, copies: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines of each subject with the sum of the others drawn, and with that of all.

    All follow from the inner products (n_samples, n_subjects, n_subjects) of the subjects.
    """
    pooled = inner * scale[:, :, None] * scale[:, None, :]
    own = np.einsum("bii->bi", pooled)[:, None, :]
    counts = copies.astype(float)
    with_all = counts @ pooled  # (n_samples, n_draws, n_subjects)
    square = (with_all * counts).sum(axis=2, keepdims=True)
    without = square - 2 * counts * with_all + counts**2 * own
    upper = divide(with_all, np.sqrt(square * own))
    lower = divide(with_all - counts * own, np.sqrt(np.maximum(without, 0) * own))
    return lower, upper
