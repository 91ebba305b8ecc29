"""Inference on networks that were trained several times: training seeds as a further random effect.

What belongs here: means over seeds and what their spread adds to every standard error; inference on single
networks is in `fixed`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import format_options
from fernet_neuro.rsa.inference.bootstrap import SampleValues
from fernet_neuro.rsa.inference.components import Components
from fernet_neuro.rsa.inference.contrasts import Estimates
from fernet_neuro.rsa.inference.fixed import draw_values, evaluate, find_components
from fernet_neuro.rsa.inference.permutation import find_p_values
from fernet_neuro.rsa.inference.random_effects import BootstrapVariation, Effects, Variation
from fernet_neuro.rsa.inference.regions import Region, choose_inference, explain_bootstrap, infer_by_region
from fernet_neuro.rsa.inference.resample import Resamples
from fernet_neuro.rsa.inference.settings import InferenceSettings, settle
from fernet_neuro.rsa.inference.tables import fill_tables, label_models
from fernet_neuro.rsa.rdms import NO_LABEL, RDMSet, check_same_stimuli
from fernet_neuro.rsa.result import RSAResult


@dataclass(frozen=True, eq=False)
class SeedGroups:
    """Which RDMs are of one model trained with different seeds.

    `models`: one row per model: its first RDM, and the columns that all its RDMs share. `means` (n_models,
    n_rdms): times the scores of all RDMs, the mean over seeds of each model. `seeds`: seeds of each model;
    empty for a model without. `rows`: rows of each model.
    """

    models: RDMSet
    means: np.ndarray
    seeds: list[list[str]]
    rows: list[np.ndarray]

    @property
    def n_seeds(self) -> int:
        """Fewest seeds of a model that has any."""
        return min(len(seeds) for seeds in self.seeds if seeds)


def infer_seeds(
    models: RDMSet,
    brain: RDMSet,
    settings: InferenceSettings | None = None,
    *,
    by: Sequence[str] | None = None,
    **changes: Any,
) -> RSAResult:
    """Compare models with brains as means over training seeds, for networks trained anew.

    Networks that differ only in their seed differ in their RDMs [1]_, so one trained network says little
    about its architecture and training. Estimates are means over seeds. Their standard errors are those of
    subjects, stimuli and seeds at once: what varies with several of the three is counted once, as in
    `infer_rsa` for two. Resampling seeds needs no draws: the variance of a mean over seeds drawn with
    replacement is known for each sample of subjects and stimuli. Two models with the same seeds are compared
    seed by seed, and their seeds resampled together; others have independent seeds.

    Parameters
    ----------
    models : RDMSet
        Its table needs ``seed``. A model that has none (pixels, a factor) leaves it empty, or NaN.
    brain : RDMSet
        Its table needs ``subject``; ``roi`` and ``session`` are optional. Sessions are averaged. Of the same
        stimuli as `models`, in the same order.
    by : sequence of str, optional
        Columns whose values, taken together, say which model an RDM is of; all but ``seed`` by default.
    settings, **changes
        As in `infer_rsa`; labels are permuted for all seeds alike, and null scores are means over seeds. What
        it generalises to are always new seeds as well.

    Returns
    -------
    RSAResult
        As `infer_rsa` returns, one row per model and region, with columns ``n_seeds`` and ``seeds``. By the
        bootstrap, degrees of freedom are one less than there are subjects, stimuli or seeds, whichever are
        fewest.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        If the table has no seeds, a model has one seed only or one twice, or there are too few subjects,
        stimuli or blocks.

    References
    ----------
    .. [1] Mehrer et al. (2020), Individual differences among deep neural network models, Nature
       Communications 11.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids = np.array([f"face{row}" for row in range(9)])
    >>> shape = rng.uniform(size=36)
    >>> table = pd.DataFrame({"model": ["net"] * 4 + ["pixels"], "seed": ["0", "1", "2", "3", ""]})
    >>> models = RDMSet(np.vstack([shape + 0.2 * rng.normal(size=(4, 36)), rng.uniform(size=36)]), ids, table)
    >>> brain = RDMSet(shape + 0.2 * rng.normal(size=(5, 36)), ids, pd.DataFrame({"subject": list("abcde")}))
    >>> found = infer_seeds(models, brain, n_permutations=99).estimates
    >>> found[["model", "n_seeds", "seeds"]].values.tolist()
    [['net', '4', '0 1 2 3'], ['pixels', '0', '']]
    """
    asked = settle(settings, changes, InferenceSettings())
    chosen, why = choose_inference(asked, models.n_stimuli), explain_bootstrap(asked, models.n_stimuli)
    chosen.check_own_engine("inference over training seeds")
    check_same_stimuli(models, brain, ("the models", "the brain RDMs"))
    groups = group_seeds(models, by)
    infer_region = partial(_infer_region, groups, models, chosen)
    with limit_threads(1, "blas"):  # many small products: threads only wait
        return infer_by_region(models, brain, chosen, infer_region, why, n_seeds=groups.n_seeds)


def _infer_region(
    groups: SeedGroups,
    models: RDMSet,
    settings: InferenceSettings,
    region: Region,
    drawn: Resamples | None,
    orders: np.ndarray | None,
) -> dict[str, pd.DataFrame]:
    scores, ceilings = evaluate(models, region, settings)
    observed = groups.means @ scores.mean(axis=0)
    variation = find_seed_variation(groups, models, region, drawn, settings, scores.mean(axis=0))
    tests = Estimates(np.concatenate([observed, ceilings]), variation, settings.level)
    sides = (region.rdms.dissimilarities, models.dissimilarities)
    p_permutation = find_p_values(sides, orders, observed, settings, groups.means)
    labels = label_models(groups.models.names, groups.models.table).assign(
        n_seeds=[len(seeds) for seeds in groups.seeds], seeds=[" ".join(seeds) for seeds in groups.seeds]
    )
    return fill_tables(labels, p_permutation, region, tests, groups.means @ scores.T, settings)


def group_seeds(models: RDMSet, by: Sequence[str] | None = None) -> SeedGroups:
    """Return which RDMs are of one model."""
    table = models.table
    absent = [name for name in ("seed", *(by or ())) if name not in table]
    if absent:
        raise ValueError(
            f"the models' RDMs need a column {absent[0]!r}; they have: {format_options(table) or 'none'}."
        )
    columns = list(by) if by is not None else [str(name) for name in table if name != "seed"]
    if not columns:
        keys = np.zeros(len(table), dtype=int)
    else:
        keys = table.groupby(columns, sort=False, dropna=False).ngroup().to_numpy()
    labels = np.where(table["seed"].isin(NO_LABEL), "", table["seed"])
    rows = [np.flatnonzero(keys == key) for key in dict.fromkeys(keys.tolist())]
    seeds = [[label for label in labels[chosen].tolist() if label] for chosen in rows]
    names = models.names
    for chosen, found in zip(rows, seeds, strict=True):
        _check_seeds(names[chosen[0]], len(chosen), found, columns)
    if not any(seeds):
        raise ValueError("no model has a training seed; use infer_rsa.")
    kept = [
        name
        for name in table
        if name != "seed" and all(len(table[name].iloc[chosen].drop_duplicates()) == 1 for chosen in rows)
    ]
    first = models.take(np.array([chosen[0] for chosen in rows]))
    means = np.zeros((len(rows), models.n_rdms))
    for place, chosen in enumerate(rows):
        means[place, chosen] = 1 / len(chosen)
    shared = RDMSet(first.dissimilarities, first.stimulus_ids, first.table[kept])
    return SeedGroups(shared, means, seeds, rows)


def _check_seeds(name: str, n_rdms: int, seeds: list[str], columns: Sequence[str]) -> None:
    repeated = [seed for place, seed in enumerate(seeds) if seed in seeds[:place]]
    told = f"RDMs are of one model where these columns agree: {format_options(columns) or 'none'}"
    if repeated:
        raise ValueError(f"{name!r} has two RDMs of seed {repeated[0]!r}; {told}.")
    if (seeds and len(seeds) < n_rdms) or (not seeds and n_rdms > 1):
        raise ValueError(f"{name!r} has {n_rdms} RDMs and {len(seeds)} seeds; {told}.")
    if len(seeds) == 1:
        raise ValueError(
            f"{name!r} has one seed ({seeds[0]}), which tells nothing about others; {told}. Choose them with "
            f"by=, or train it again."
        )


def find_seed_variation(
    groups: SeedGroups,
    models: RDMSet,
    region: Region,
    drawn: Resamples | None,
    settings: InferenceSettings,
    scores: np.ndarray,
) -> Variation:
    """Return how means over seeds and ceilings vary, of RDMs with these mean scores (n_rdms,)."""
    sizes = {**region.count(settings), "seeds": groups.n_seeds}
    if drawn is None:
        return _add_seeds(groups, find_components(models, region, settings), scores, sizes)
    return _combine(groups, scores, draw_values(models, region, drawn, settings), sizes)


def _add_seeds(
    groups: SeedGroups, components: Components, scores: np.ndarray, sizes: Mapping[str, int]
) -> Components:
    """Return the components of means over seeds: of single RDMs, averaged, and of seeds."""
    means = _extend(groups.means)
    seeds = frozenset(["seeds"])
    shares = {seeds: _share_seeds(groups, np.outer(scores, scores))}
    for chosen, matrix in components.shares.items():
        shares[chosen] = means @ matrix @ means.T
        shares[chosen | seeds] = _share_seeds(groups, matrix)
    return Components(shares, means @ components.pairs @ means.T, sizes, components.steps @ means.T)


def _combine(
    groups: SeedGroups, scores: np.ndarray, samples: Mapping[Effects, SampleValues], sizes: Mapping[str, int]
) -> BootstrapVariation:
    """Return how means over seeds, of the mean scores (n_rdms,), and ceilings vary over samples."""
    seeds = frozenset(["seeds"])
    # Divided so that n / (n - 1) of the fewest seeds makes it right for these.
    smaller = (groups.n_seeds - 1) / groups.n_seeds
    covariances: dict[Effects, np.ndarray] = {seeds: smaller * _share_seeds(groups, np.outer(scores, scores))}
    for chosen, found in samples.items():
        means = SampleValues(found.scores @ groups.means.T, found.lower, found.upper)
        covariances[chosen] = means.covary()
        # Over samples of these effects and of seeds: how the mean over seeds varies with the former, and how
        # much, on average over them, it varies with the latter.
        moments = found.scores.T @ found.scores / len(found.scores)
        covariances[chosen | seeds] = covariances[chosen] + smaller * _share_seeds(groups, moments)
    return BootstrapVariation(covariances, sizes)


def _extend(means: np.ndarray) -> np.ndarray:
    """Return means of models with rows and columns of both noise ceilings, which have no seeds."""
    extended = np.zeros((means.shape[0] + 2, means.shape[1] + 2))
    extended[:-2, :-2] = means
    extended[-2:, -2:] = np.eye(2)
    return extended


def _share_seeds(groups: SeedGroups, matrix: np.ndarray) -> np.ndarray:
    """Return the covariance of means over seeds, of RDMs with these products (n_rdms, n_rdms).

    Shape (n_models + 2, n_models + 2); 0 for ceilings, models without seeds, and models of other seeds.
    """
    n = len(groups.rows)
    shares = np.zeros((n + 2, n + 2))
    labelled = zip(groups.rows, groups.seeds, strict=True)
    ordered = [rows[np.argsort(seeds)] if seeds else rows for rows, seeds in labelled]
    for one in range(n):
        for other in range(one, n):
            if not groups.seeds[one] or sorted(groups.seeds[one]) != sorted(groups.seeds[other]):
                continue
            part = matrix[np.ix_(ordered[one], ordered[other])]
            size = len(part)
            apart = (np.trace(part) - part.sum() / size) / (size * (size - 1))
            shares[one, other] = shares[other, one] = apart
    return shares
