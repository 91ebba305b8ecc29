"""Inference on models with parameters: two-dimensional cross-validation inside the bootstrap.

What belongs here: the order of steps and the tables they fill; fits are in `models`, folds in `folds`,
inference on fixed models without folds in `fixed`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.progress import track
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.threads import limit_threads
from fernet_neuro.rsa.inference.contrasts import Estimates
from fernet_neuro.rsa.inference.folds import (
    SHARE_DRAWN,
    Design,
    Scores,
    Splits,
    choose_n_stimulus_folds,
    choose_n_subject_folds,
    count_blocks_needed,
    cross_validate,
    draw_folds,
)
from fernet_neuro.rsa.inference.permutation import compare_with_permuted
from fernet_neuro.rsa.inference.random_effects import BootstrapVariation, Effects
from fernet_neuro.rsa.inference.regions import Region, check_subjects, describe, join_tables, split_regions
from fernet_neuro.rsa.inference.resample import code_blocks, draw_counts, draw_permutations, find_shared
from fernet_neuro.rsa.inference.settings import InferenceSettings, settle
from fernet_neuro.rsa.inference.tables import fill_tables
from fernet_neuro.rsa.models.flexible import FlexibleModel, find_present, fit_model
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.rsa.weighted import RANK_COMPARISONS

#: Assignments to folds per bootstrap sample: their covariance is free of the variance of assignments.
_N_PER_SAMPLE = 2
#: Assignments over which a permutation's score is a mean.
_N_PER_PERMUTATION = 4
#: With fewer, too few bootstrap samples hold different subjects on both sides of a fold.
_FEWEST_SUBJECTS = 4


@dataclass(frozen=True, eq=False)
class _Folds:
    """How subjects and stimuli of a region are cut."""

    n_subjects: int
    blocks: np.ndarray
    n_subject_folds: int
    n_stimulus_folds: int

    def draw(self, subjects: np.ndarray, stimuli: np.ndarray, rng: np.random.Generator) -> Splits:
        alone = np.arange(self.n_subjects)
        return Splits(
            subjects,
            stimuli,
            draw_folds(subjects, alone, self.n_subject_folds, rng),
            draw_folds(stimuli, self.blocks, self.n_stimulus_folds, rng),
            self.n_subject_folds,
            self.n_stimulus_folds,
            find_shared(self.blocks),
        )

    def draw_whole(self, n: int, rng: np.random.Generator) -> Splits:
        """Return n assignments of all subjects and stimuli."""
        return self.draw(np.ones((n, self.n_subjects)), np.ones((n, len(self.blocks))), rng)


def infer_flexible(
    models: Mapping[str, FlexibleModel],
    brain: RDMSet,
    settings: InferenceSettings | None = None,
    **changes: Any,
) -> RSAResult:
    """Score fixed and fitted models in the same folds over subjects and stimuli, with inference [1]_.

    Parameters are fitted to the training subjects' RDMs of the training stimuli and scored on the test
    subjects' RDMs of the test stimuli, so a model with more parameters has no advantage. Scores are means
    over the folds of stimuli and over many random assignments. Each bootstrap sample is cross-validated
    twice, all copies of a stimulus or a subject in one fold; the covariance of the two scores over samples is
    their variance without that of the assignment. Scores, and noise ceilings, are over pairs within a test
    fold, and therefore not those of `infer_rsa`: put fixed models that are to be compared into `models`.

    Parameters
    ----------
    models : mapping of str to FlexibleModel
        Models by name, of the same stimuli as `brain` in the same order.
    brain : RDMSet
        Its table needs ``subject``; ``roi`` and ``session`` are optional. Sessions are averaged.
    settings, **changes
        As in `infer_rsa`; see `fit_model` for what is fitted where ranks are compared. Folds are over both
        subjects and stimuli, whatever it generalises to.

    Returns
    -------
    RSAResult
        As `infer_rsa` returns, and a column ``kind`` beside ``model``. Its settings hold the weights that
        each model has when fitted to all the data.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        If there are too few subjects, stimuli or blocks for folds inside a bootstrap, or an option is not
        known.

    References
    ----------
    .. [1] Schuett et al. (2023), Statistical inference on representational geometries, eLife 12.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids = np.array([f"face{row:02d}" for row in range(16)])
    >>> parts = RDMSet(rng.uniform(size=(3, 120)), ids)
    >>> noisy = parts.dissimilarities[0] + 0.5 * parts.dissimilarities[1] + 0.3 * rng.normal(size=(5, 120))
    >>> brain = RDMSet(noisy, ids, pd.DataFrame({"subject": list("abcde")}))
    >>> models = {"first": FlexibleModel(parts.take([0])), "sum": FlexibleModel(parts, "weighted")}
    >>> result = infer_flexible(models, brain, comparison="pearson", n_bootstraps=50, n_permutations=19)
    >>> result.estimates["estimate"].is_monotonic_increasing
    True
    """
    chosen = settle(settings, changes, InferenceSettings())
    chosen.check_own_engine("inference on fitted models")
    if not models:
        raise ValueError("infer_flexible needs at least one model; got none.")
    for name, model in models.items():
        check_same_stimuli(model.rdms, brain, (f"model {name!r}", "the brain RDMs"))
    codes = code_blocks(chosen.blocks, brain.n_stimuli)
    regions = split_regions(brain)
    folds = [_plan_folds(region, codes, chosen) for region in regions]  # refuses before anything is computed
    weights: dict[str, dict[str, dict[str, float]]] = {}
    tables = []
    with limit_threads(1, "blas"):  # many small products: threads only wait
        for region, cut in zip(regions, folds, strict=True):
            tables.append(_infer_region(models, region, cut, chosen))
            weights[region.roi] = {
                name: _name_weights(model, region, chosen) for name, model in models.items()
            }
    described = describe(
        replace(chosen, inference="bootstrap"), regions, codes, cross_validated=True,
        n_assignments=chosen.n_assignments, weights=weights,
        fitted_with="pearson" if chosen.comparison in RANK_COMPARISONS else chosen.comparison,
        n_subject_folds={
            region.roi: cut.n_subject_folds for region, cut in zip(regions, folds, strict=True)
        },
        n_stimulus_folds=folds[0].n_stimulus_folds,
    )  # fmt: skip
    if chosen.inference != "bootstrap":
        described["notes"].append(
            "variance components of fitted models have no closed form: intervals and tests are by the "
            "bootstrap."
        )
    return RSAResult(settings=described, **join_tables(tables))


def score_once(
    models: Sequence[FlexibleModel],
    region: Region,
    blocks: np.ndarray,
    settings: InferenceSettings,
    rng: np.random.Generator,
) -> Scores:
    """Return cross-validated scores of all the data under random assignments, without inference.

    Two or three subjects are cut as well, and one is not: then only stimuli are cross-validated.
    """
    design = _design(models, region, settings.comparison)
    return cross_validate(design, _plan_folds(region, blocks, None).draw_whole(settings.n_assignments, rng))


def _plan_folds(region: Region, blocks: np.ndarray, settings: InferenceSettings | None) -> _Folds:
    """Return the folds of a region; None where nothing is resampled."""
    if settings is not None:
        check_subjects([region], settings, _FEWEST_SUBJECTS)
    n_blocks, needed = int(blocks.max()) + 1, count_blocks_needed(blocks, 2)
    share = SHARE_DRAWN if settings is not None and "stimuli" in settings.effects else 1.0
    if share * n_blocks < needed:
        remains = "; what remains is generalise_to='subjects' (--generalise-to subjects)"
        raise ValueError(
            f"{len(blocks)} stimuli in {n_blocks} blocks are too few for two folds, each of two blocks "
            f"and three stimuli"
            f"{' inside a bootstrap over them' if share < 1 else ''}: {int(np.ceil(needed / share))} blocks "
            f"are needed{remains if n_blocks >= needed else ''}."
        )
    n_subject_folds = 1 if region.n_subjects == 1 else choose_n_subject_folds(region.n_subjects)
    return _Folds(region.n_subjects, blocks, n_subject_folds, choose_n_stimulus_folds(blocks))


def _design(models: Sequence[FlexibleModel], region: Region, comparison: str) -> Design:
    parts = [model.rdms.dissimilarities for model in models]
    data = region.rdms.dissimilarities
    present = find_present(np.vstack([*parts, data]))
    return Design(parts, [model.kind for model in models], data, present, comparison)


def _infer_region(
    models: Mapping[str, FlexibleModel], region: Region, folds: _Folds, settings: InferenceSettings
) -> dict[str, pd.DataFrame]:
    design = _design(list(models.values()), region, settings.comparison)
    whole = folds.draw_whole(settings.n_assignments, make_rng(settings.seed, "assignments", region.roi))
    scores = cross_validate(design, whole)
    found = list(_bootstrap(design, region, folds, settings))
    covariances = {chosen: shared for chosen, shared, _ in found}
    per_subject = scores.values.mean(axis=0)
    ceilings = np.array([scores.lower.mean(), scores.upper.mean()])
    if region.n_subjects == 1:
        ceilings[:] = np.nan
    values = np.concatenate([per_subject.mean(axis=1), ceilings])
    variation = BootstrapVariation(covariances, region.count(settings), found[-1][2])
    tests = Estimates(values, variation, settings.level)
    kinds = [model.kind for model in models.values()]
    labels = pd.DataFrame({"model": list(models), "kind": kinds})
    p_permutation = _test_labels(design, folds, settings, region.roi)
    return fill_tables(labels, p_permutation, region, tests, per_subject, settings)


def _bootstrap(
    design: Design, region: Region, folds: _Folds, settings: InferenceSettings
) -> Iterator[tuple[Effects, np.ndarray, np.ndarray]]:
    """Yield for each set of random effects how models and ceilings vary.

    Two matrices (n_models + 2, n_models + 2): the covariance, and what so many samples cannot tell from none.
    """
    rng = make_rng(settings.seed, "bootstrap", region.roi)
    n = settings.n_bootstraps
    alone = np.arange(region.n_subjects)
    needed = count_blocks_needed(folds.blocks, folds.n_stimulus_folds)
    subjects, stimuli = np.ones((n, region.n_subjects)), np.ones((n, len(folds.blocks)))
    effects, effect_sets = settings.effects, settings.effect_sets
    drawn = {  # the same samples for all sets of random effects, so that their differences are less noisy
        "subjects": draw_counts(n, alone, rng, folds.n_subject_folds) if "subjects" in effects else subjects,
        "stimuli": draw_counts(n, folds.blocks, rng, needed) if "stimuli" in effects else stimuli,
    }
    title = f"bootstrap {region.roi}".strip()
    for chosen in track(effect_sets, title, total=len(effect_sets), verbose=settings.verbose):
        counts = (
            drawn["subjects"] if "subjects" in chosen else subjects,
            drawn["stimuli"] if "stimuli" in chosen else stimuli,
        )
        halves = [
            _average_subjects(cross_validate(design, folds.draw(*counts, rng)), counts[0])
            for _ in range(_N_PER_SAMPLE)
        ]
        one, other = (half - half.mean(axis=0) for half in halves)
        # With the two scores of a sample a + e and a + f, e and f of the assignments, this is the variance
        # of a; that of their mean, corrected as in [1] of `infer_flexible`, is the same number.
        shared = one.T @ other / (n - 1)
        single = (one.T @ one + other.T @ other) / 2 / (n - 1)
        yield chosen, (shared + shared.T) / 2, single / np.sqrt(n)


def _average_subjects(scores: Scores, subjects: np.ndarray) -> np.ndarray:
    """Return the means (n_samples, n_models + 2) over the subjects of each sample."""
    rows = np.concatenate([scores.values, scores.lower[:, None], scores.upper[:, None]], axis=1)
    return (rows * subjects[:, None]).sum(axis=2) / subjects.sum(axis=1, keepdims=True)


def _test_labels(design: Design, folds: _Folds, settings: InferenceSettings, roi: str) -> np.ndarray:
    """Return p values (n_models,) of the labels: whether models know which stimulus is which."""
    if not settings.n_permutations:
        return np.full(len(design.models), np.nan)
    splits = folds.draw_whole(_N_PER_PERMUTATION, make_rng(settings.seed, "permutation folds", roi))
    observed = cross_validate(design, splits).values.mean(axis=(0, 2))
    n_stimuli = len(folds.blocks)
    square = np.zeros((n_stimuli, n_stimuli), dtype=int)
    rows, columns = np.triu_indices(n_stimuli, 1)
    square[rows, columns] = square[columns, rows] = np.arange(len(rows))
    null = np.empty((settings.n_permutations, len(observed)))
    orders = draw_permutations(settings.n_permutations, n_stimuli, blocks=folds.blocks, seed=settings.seed)
    kept = np.where(design.present, design.data, 0.0)
    has_models = ~np.isnan(np.vstack(design.models)).any(axis=0)
    title = f"permute {roi}".strip()
    for number, order in enumerate(track(orders, title, total=len(orders), verbose=settings.verbose)):
        moved = square[order[rows], order[columns]]
        # The data move against models, folds and all: fits and scores see one labelling throughout.
        shuffled = replace(design, data=kept[:, moved], present=design.present[moved] & has_models)
        null[number] = cross_validate(shuffled, splits).values.mean(axis=(0, 2))
    return compare_with_permuted(observed, null)


def _name_weights(model: FlexibleModel, region: Region, settings: InferenceSettings) -> dict[str, float]:
    found = fit_model(model, region.rdms, settings.comparison)
    return {name: float(weight) for name, weight in zip(model.rdms.names, found, strict=True)}
