"""Inference on fixed models: how well each accounts for the RDMs of brains, and how sure that is.

What belongs here: the one function that goes from two sets of RDMs to a result; models with parameters are in
`fitted`, single comparisons in `compare`.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro.rsa.inference.bootstrap import (
    SampleValues,
    evaluate_data,
    evaluate_data_with_rsatoolbox,
    evaluate_samples,
    evaluate_with_rsatoolbox,
)
from fernet_neuro.rsa.inference.components import Components, estimate_components
from fernet_neuro.rsa.inference.contrasts import Estimates
from fernet_neuro.rsa.inference.permutation import find_p_values
from fernet_neuro.rsa.inference.random_effects import BootstrapVariation, Effects, Variation
from fernet_neuro.rsa.inference.regions import Region, choose_inference, explain_bootstrap, infer_by_region
from fernet_neuro.rsa.inference.resample import Resamples, code_blocks
from fernet_neuro.rsa.inference.settings import InferenceSettings, settle
from fernet_neuro.rsa.inference.tables import fill_tables, label_models
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult


def infer_rsa(
    models: RDMSet, brain: RDMSet, settings: InferenceSettings | None = None, **changes: Any
) -> RSAResult:
    """Compare fixed models with the brains of subjects, region by region, with noise ceilings and tests.

    An estimate is the mean comparison over subjects. Its variance is that of components in closed form
    (`components`), or comes from bootstrap samples of subjects and of stimuli: of both, and of either alone,
    because the samples of both count the interaction of the two more than once [1]_. A bootstrap sample
    leaves out the pairs of a stimulus with its own copies. Intervals and tests are Student's t; by the
    bootstrap it has as many degrees of freedom as there are subjects or stimuli, whichever are fewer, less
    one.

    The lower noise ceiling is the mean comparison of each subject with the pooled RDM of the others, the
    upper one that with the pooled RDM of all; samples are the same for both.

    Parameters
    ----------
    models : RDMSet
        One RDM per model. Columns of its table go into the results.
    brain : RDMSet
        Its table needs ``subject``; ``roi`` and ``session`` are optional. Sessions of a subject are averaged.
        Of the same stimuli as `models`, in the same order.
    settings : InferenceSettings, optional
        Comparison, bootstrap, permutations and so on; the defaults if there are none.
    **changes
        Single settings by their names, such as ``n_bootstraps=5000``.

    Returns
    -------
    RSAResult
        ``p_max`` takes the largest t value of the joint null of all models of a region (or of all pairs of
        them): a multivariate t with the correlations of their estimates.

    Raises
    ------
    AlignmentError
        If models and brain are of different stimuli or order; the message names the first that differ.
    ValueError
        If there are too few subjects, stimuli or blocks for what is asked, an RDM is constant, or a setting
        is out of range.
    TypeError
        If a change names no setting.

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
    asked = settle(settings, changes, InferenceSettings())
    chosen, why = choose_inference(asked, models.n_stimuli), explain_bootstrap(asked, models.n_stimuli)
    return infer_by_region(models, brain, chosen, partial(_infer_region, models, chosen), why)


def _infer_region(
    models: RDMSet,
    settings: InferenceSettings,
    region: Region,
    drawn: Resamples | None,
    orders: np.ndarray | None,
) -> dict[str, pd.DataFrame]:
    scores, ceilings = evaluate(models, region, settings)
    means = scores.mean(axis=0)
    variation = find_variation(models, region, drawn, settings)
    tests = Estimates(np.concatenate([means, ceilings]), variation, settings.level)
    sides = (region.rdms.dissimilarities, models.dissimilarities)
    p_permutation = find_p_values(sides, orders, means, settings)
    labels = label_models(models.names, models.table)
    return fill_tables(labels, p_permutation, region, tests, scores.T, settings)


def evaluate(models: RDMSet, region: Region, settings: InferenceSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (n_subjects, n_models) and both ceilings of the data themselves."""
    if settings.engine == "rsatoolbox":
        data = evaluate_data_with_rsatoolbox(region.rdms, models, settings.comparison)
    else:
        sides = (region.rdms.dissimilarities, models.dissimilarities)
        data = evaluate_data(*sides, models.n_stimuli, settings.comparison)
    return data[0], np.array(data[1:])


def find_variation(
    models: RDMSet, region: Region, drawn: Resamples | None, settings: InferenceSettings
) -> Variation:
    """Return how models and ceilings vary: over the samples `drawn`, or in closed form where none are."""
    sizes = region.count(settings)
    if drawn is None:
        return find_components(models, region, settings)
    samples = draw_values(models, region, drawn, settings)
    return BootstrapVariation({effects: values.covary() for effects, values in samples.items()}, sizes)


def find_components(models: RDMSet, region: Region, settings: InferenceSettings) -> Components:
    """Return the variance components of models and ceilings."""
    sides = (region.rdms.dissimilarities, models.dissimilarities)
    codes = code_blocks(settings.blocks, models.n_stimuli)
    return estimate_components(
        *sides, codes, settings.comparison, region.count(settings), n_jobs=settings.n_jobs
    )


def draw_values(
    models: RDMSet, region: Region, drawn: Resamples, settings: InferenceSettings
) -> dict[Effects, SampleValues]:
    """Return the values of all bootstrap samples, by the effects that were drawn."""
    comparison, wanted = settings.comparison, settings.effect_sets
    if settings.engine == "rsatoolbox":
        return evaluate_with_rsatoolbox(
            region.rdms, models, drawn, comparison, wanted, verbose=settings.verbose
        )
    sides = (region.rdms.dissimilarities, models.dissimilarities)
    return evaluate_samples(*sides, drawn, comparison, wanted, n_jobs=settings.n_jobs)
