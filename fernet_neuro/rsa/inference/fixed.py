"""Inference on fixed models: how well each accounts for the RDMs of brains, and how sure that is.

What belongs here: the one function that goes from two sets of RDMs to a result; models with parameters are in
`crossvalidation`, single comparisons in `compare`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.progress import track
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.rsa.compare import COMPARISONS, compare_rdms
from fernet_neuro.rsa.inference.bootstrap import SampleValues, evaluate_data, evaluate_samples
from fernet_neuro.rsa.inference.contrasts import BootstrapValues
from fernet_neuro.rsa.inference.factors import Factors
from fernet_neuro.rsa.inference.permutation import compare_with_permuted, permute_scores
from fernet_neuro.rsa.inference.regions import SIGNED_DISTANCES as SIGNED_DISTANCES
from fernet_neuro.rsa.inference.regions import (
    Region,
    check_level,
    check_stimuli,
    check_subjects,
    list_notes,
    list_targets,
    split_regions,
)
from fernet_neuro.rsa.inference.resample import Resamples, code_blocks, draw_permutations, draw_resamples
from fernet_neuro.rsa.inference.tables import fill_tables, label_models
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli
from fernet_neuro.rsa.result import RSAResult

#: What computes the values of bootstrap samples.
ENGINES = ("own", "rsatoolbox")


@dataclass(frozen=True)
class _Plan:
    """What was asked for."""

    comparison: str
    generalise_to: str
    n_bootstraps: int
    n_permutations: int
    engine: str
    level: float
    seed: int
    n_jobs: int
    verbose: bool

    @property
    def factors(self) -> tuple[str, ...]:
        return list_targets(self.generalise_to)[0]


def infer_rsa(
    models: RDMSet,
    brain: RDMSet,
    *,
    comparison: str = "rho_a",
    generalise_to: str = "both",
    n_bootstraps: int = 1000,
    n_permutations: int = 1000,
    blocks: np.ndarray | None = None,
    engine: str = "own",
    level: float = 0.95,
    seed: int = 0,
    n_jobs: int = 1,
    verbose: bool = False,
) -> RSAResult:
    """Compare fixed models with the brains of subjects, region by region, with noise ceilings and tests.

    An estimate is the mean comparison over subjects. Its variance comes from bootstrap samples of subjects
    and of stimuli: of both, and of either alone, because the samples of both count the interaction of the two
    more than once [1]_. Intervals and tests are Student's t with as many degrees of freedom as there are
    subjects or stimuli, whichever are fewer, less one. A bootstrap sample leaves out the pairs of a stimulus
    with its own copies.

    The lower noise ceiling is the mean comparison of each subject with the pooled RDM of the others, the
    upper one that with the pooled RDM of all; both are drawn in the same samples.

    Parameters
    ----------
    models : RDMSet
        One RDM per model. Columns of its table go into the results.
    brain : RDMSet
        Its table needs ``subject``; ``roi`` and ``session`` are optional. Sessions of a subject are averaged.
        Of the same stimuli as `models`, in the same order.
    comparison : str, default="rho_a"
        A name in ``compare.COMPARISONS``. Cosines are 0 by chance with ``crossnobis`` distances alone; for
        others a note in the settings says what tests against 0 are worth.
    generalise_to : str, default="both"
        ``both``: to new subjects and new stimuli. ``subjects``: to new subjects with these stimuli.
        ``stimuli``: to new stimuli with these subjects.
    n_bootstraps : int, default=1000
    n_permutations : int, default=1000
        Random exchanges of the stimuli's names for ``p_permutation``, the test that a model tells nothing
        about which stimulus is which in these subjects; 0 for none.
    blocks : ndarray of shape (n_stimuli,), default=None
        Labels, such as the identity shown. Stimuli with one label are drawn together, and count as one in
        the degrees of freedom; names are exchanged within blocks and between whole blocks of equal size, so
        that a model that only tells blocks apart has no ``p_permutation`` (NaN).
    engine : str, default="own"
        ``own``: all samples at once. ``rsatoolbox``: the same samples, one after the other, by its functions;
        not with blocks of several stimuli, whose pairs it cannot weigh.
    level : float, default=0.95
        Probability of the intervals.
    seed : int, default=0
    n_jobs : int, default=1
        Threads; comparisons of ranks use them.
    verbose : bool, default=False
        Whether to show progress.

    Returns
    -------
    RSAResult
        ``p_max`` takes the largest t value of the joint null of all models of a region (or of all pairs of
        them): a multivariate t with their correlations over bootstrap samples.

    Raises
    ------
    AlignmentError
        If models and brain are of different stimuli or order; the message names the first that differ.
    ValueError
        If there are too few subjects, stimuli or blocks for what is asked, an RDM is constant, or an option
        is not known.

    References
    ----------
    .. [1] Schuett et al. (2023), Statistical inference on representational geometries, eLife 12.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids = np.array([f"face{row}" for row in range(9)])
    >>> models = RDMSet(rng.uniform(size=(2, 36)), ids, pd.DataFrame({"model": ["shape", "other"]}))
    >>> noisy = models.dissimilarities[0] + 0.2 * rng.normal(size=(5, 36))
    >>> brain = RDMSet(noisy, ids, pd.DataFrame({"subject": list("abcde")}))
    >>> result = infer_rsa(models, brain, n_bootstraps=200, n_permutations=99)
    >>> (result.estimates["p_value"] < 0.05).tolist()
    [True, False]
    """
    plan = _Plan(
        comparison, generalise_to, n_bootstraps, n_permutations, engine, level, seed, n_jobs, verbose
    )
    _check_options(plan)
    check_same_stimuli(models, brain, ("the models", "the brain RDMs"))
    codes = code_blocks(blocks, brain.n_stimuli)
    regions = split_regions(brain)
    check_subjects(regions, plan.factors)
    check_stimuli(codes, generalise_to)
    for region in regions:
        compare_rdms(region.rdms, models, comparison)  # says which RDM is constant, or shares too few pairs
    orders = (
        draw_permutations(n_permutations, brain.n_stimuli, blocks=blocks, seed=seed)
        if n_permutations
        else None
    )
    tables: dict[str, list[pd.DataFrame]] = {}
    for region in track(regions, "regions", total=len(regions), verbose=verbose):
        drawn = draw_resamples(n_bootstraps, region.n_subjects, brain.n_stimuli, blocks=blocks, seed=seed)
        for name, table in _infer_region(models, region, drawn, orders, plan).items():
            tables.setdefault(name, []).append(table)
    joined = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    return RSAResult(settings=_describe(plan, regions, codes, blocks is not None), **joined)


def _check_options(plan: _Plan) -> None:
    check_option("comparison", plan.comparison, COMPARISONS)
    list_targets(plan.generalise_to)
    check_option("engine", plan.engine, ENGINES)
    check_range("n_bootstraps", plan.n_bootstraps, minimum=10)
    check_range("n_permutations", plan.n_permutations, minimum=0)
    check_range("n_jobs", plan.n_jobs, minimum=1)
    check_level(plan.level)


def _infer_region(
    models: RDMSet, region: Region, drawn: Resamples, orders: np.ndarray | None, plan: _Plan
) -> dict[str, pd.DataFrame]:
    scores, ceilings, samples = _evaluate(models, region, drawn, plan)
    counted = {"subjects": region.n_subjects, "stimuli": drawn.n_units}
    tests = BootstrapValues(
        np.concatenate([scores.mean(axis=0), ceilings]),
        {factors: values.covary() for factors, values in samples.items()},
        {name: counted[name] for name in plan.factors},
        plan.level,
    )
    labels = label_models(models.names, models.table).assign(
        comparison=plan.comparison,
        p_permutation=_permute(models, region, scores, orders, plan),
        n_stimuli=models.n_stimuli,
    )
    rng = make_rng(plan.seed, "maxima", region.roi)
    return fill_tables(labels, region, tests, scores.T, plan.factors, rng)


def _evaluate(
    models: RDMSet, region: Region, drawn: Resamples, plan: _Plan
) -> tuple[np.ndarray, np.ndarray, dict[Factors, SampleValues]]:
    """Return scores (n_subjects, n_models), both ceilings, and the values of all bootstrap samples."""
    wanted = list_targets(plan.generalise_to)[1]
    if plan.engine == "rsatoolbox":
        from fernet_neuro.rsa.files import toolbox_inference as peer

        data = peer.evaluate_data_with_rsatoolbox(region.rdms, models, plan.comparison)
        samples = peer.evaluate_with_rsatoolbox(
            region.rdms, models, drawn, plan.comparison, wanted, verbose=plan.verbose
        )
    else:
        sides = (region.rdms.dissimilarities, models.dissimilarities)
        data = evaluate_data(*sides, models.n_stimuli, plan.comparison)
        samples = evaluate_samples(*sides, drawn, plan.comparison, wanted, n_jobs=plan.n_jobs)
    return data[0], np.array(data[1:]), samples


def _permute(
    models: RDMSet, region: Region, scores: np.ndarray, orders: np.ndarray | None, plan: _Plan
) -> np.ndarray:
    """Return the p values (n_models,) of the condition labels."""
    if orders is None:
        return np.full(models.n_rdms, np.nan)
    sides = (region.rdms.dissimilarities, models.dissimilarities)
    null_scores = permute_scores(*sides, orders, plan.comparison, n_jobs=plan.n_jobs)
    return compare_with_permuted(scores.mean(axis=0), null_scores)


def _describe(plan: _Plan, regions: list[Region], codes: np.ndarray, has_blocks: bool) -> dict[str, Any]:
    """Return the settings, and notes on inferences that do not exist."""
    return {
        "engine": plan.engine,
        "cross_validated": False,
        "comparison": plan.comparison,
        "generalise_to": plan.generalise_to,
        "n_bootstraps": plan.n_bootstraps,
        "n_permutations": plan.n_permutations,
        "n_blocks": int(codes.max()) + 1 if has_blocks else None,
        "level": plan.level,
        "seed": plan.seed,
        "n_subjects": {region.roi: region.n_subjects for region in regions},
        "notes": list_notes(regions, plan.comparison, plan.factors),
    }
