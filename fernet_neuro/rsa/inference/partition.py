"""Variance partitioning with intervals: what models explain of a region alone, together and in all.

What belongs here: shares over subjects and their bootstrap; those of single RDMs are in `models.partition`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import check_option
from fernet_neuro.rsa.compare import INNER_PRODUCTS
from fernet_neuro.rsa.inference.random_effects import (
    Effects,
    combine_effects,
    combine_variances,
    compute_interval,
    count_fewest_dof,
)
from fernet_neuro.rsa.inference.regions import Region, open_regions
from fernet_neuro.rsa.inference.resample import Resamples
from fernet_neuro.rsa.inference.settings import InferenceSettings, settle
from fernet_neuro.rsa.models.flexible import find_present
from fernet_neuro.rsa.models.partition import label_components, list_subsets, mix_subsets, partition_variance
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.weighted import compute_grams, compute_rank_grams, divide

#: Keeps the inner products of models regular that are sums of one another in a sample; far below any share.
_RIDGE = 1e-9
#: Numbers that one step holds in memory.
_AT_ONCE = 2**23


def infer_partition(
    models: RDMSet, brain: RDMSet, settings: InferenceSettings | None = None, **changes: Any
) -> pd.DataFrame:
    """Split the variance of regions into what models explain alone, together and in all, with intervals.

    Shares are those of `partition_variance`, averaged over subjects, less their bias: a model that explains
    nothing still fits the noise of these subjects and stimuli, and its plain share is never below 0. By how
    much a bootstrap over subjects and stimuli lifts the shares says how much they are lifted already; what
    counts twice when both are resampled is taken off as it is for variances [1]_. Debiased shares still add
    up to the total; those of models without effect scatter around 0.

    Parameters
    ----------
    models : RDMSet
        2 to 8 models of the same stimuli as `brain` in the same order.
    brain : RDMSet
        Its table needs ``subject``; ``roi`` and ``session`` are optional. Sessions are averaged.
    settings, **changes
        As in `infer_rsa`, but for the comparison: the space in which variance is measured, a name in
        ``compare.INNER_PRODUCTS``, by default ``pearson``. There are no permutations here.

    Returns
    -------
    DataFrame
        As ``RSAResult.partition``: one row per region, set of models and component, and a column
        ``uncorrected``, the plain share.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        As `partition_variance`, or if a region has too few subjects for what is asked.

    References
    ----------
    .. [1] Schuett et al. (2023), Statistical inference on representational geometries, eLife 12.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ids = np.array([f"face{row:02d}" for row in range(14)])
    >>> models = RDMSet(rng.uniform(size=(2, 91)), ids, pd.DataFrame({"model": ["identity", "view"]}))
    >>> noisy = models.dissimilarities[0] + 0.1 * rng.normal(size=(5, 91))
    >>> brain = RDMSet(noisy, ids, pd.DataFrame({"subject": list("abcde"), "roi": "FFA"}))
    >>> found = infer_partition(models, brain, n_bootstraps=100).set_index("models")
    >>> bool(found.loc["identity", "low"] > 0.5), bool(found.loc["view", "high"] < 0.1)
    (True, True)
    """
    chosen = settle(settings, changes, InferenceSettings("pearson"))
    check_option("comparison", chosen.comparison, INNER_PRODUCTS)
    regions, _ = open_regions(models, brain, chosen)
    for region in regions:
        partition_variance(region.rdms, models, chosen.comparison)  # refuses models that are too much alike
    with limit_threads(1, "blas"):  # many small systems: threads only wait
        tables = [_infer_region(models, region, chosen) for region in regions]
    return pd.concat(tables, ignore_index=True)


def _infer_region(models: RDMSet, region: Region, settings: InferenceSettings) -> pd.DataFrame:
    samples = region.resample(settings)
    sizes = region.count(settings)
    vectors = np.vstack([models.dissimilarities, region.rdms.dissimilarities])
    once = np.ones((1, samples.stimuli.shape[1]))
    whole = _compute_shares(vectors, once, models.n_rdms, settings.comparison)
    plain = whole.mean(axis=2)[0]
    means: dict[Effects, np.ndarray] = {}
    variances: dict[Effects, np.ndarray] = {}
    for effects, found in _resample_shares(vectors, whole, samples, models.n_rdms, settings):
        means[effects] = found.mean(axis=0) - plain
        variances[effects] = found.var(axis=0, ddof=1)
    shares = plain - combine_effects(means, sizes)
    errors = np.sqrt(combine_variances(variances, sizes))
    low, high = compute_interval(shares, errors, count_fewest_dof(sizes), settings.level)
    labels = label_components(models.names)
    return labels.assign(roi=region.roi, share=shares, low=low, high=high, uncorrected=plain)[
        ["roi", "models", "component", "share", "low", "high", "uncorrected"]
    ]


def _resample_shares(
    vectors: np.ndarray, whole: np.ndarray, samples: Resamples, n_models: int, settings: InferenceSettings
) -> Iterator[tuple[Effects, np.ndarray]]:
    """Yield the mean shares (n_bootstraps, n_components) for each set of random effects."""
    drawn = whole
    if "stimuli" in settings.effects:
        counts = samples.stimuli.astype(float)
        drawn = _compute_shares(vectors, counts, n_models, settings.comparison, samples.blocks)
    weights = samples.subjects[:, :, None] / samples.subjects.sum(axis=1)[:, None, None]
    for effects in settings.effect_sets:
        shares = drawn if "stimuli" in effects else whole
        yield effects, (shares @ weights)[:, :, 0] if "subjects" in effects else shares.mean(axis=2)


def _compute_shares(
    vectors: np.ndarray,
    multiplicities: np.ndarray,
    n_models: int,
    comparison: str,
    blocks: np.ndarray | None = None,
) -> np.ndarray:
    """Return shares (n_samples, n_components, n_subjects) in the order of `label_components`."""
    present = find_present(vectors)
    if comparison == "spearman":
        grams = compute_rank_grams(vectors, multiplicities, present, blocks)
    else:
        grams = compute_grams(vectors, multiplicities, present, comparison, blocks)
    lengths = np.sqrt(np.einsum("bii->bi", grams))
    cosines = divide(grams, lengths[:, :, None] * lengths[:, None, :])
    between = cosines[:, :n_models, :n_models].copy()
    between[:, range(n_models), range(n_models)] = 1 + _RIDGE  # also of models constant in a sample
    explained = _explain(between, cosines[:, :n_models, n_models:])
    return np.einsum("ct,bts->bcs", mix_subsets(n_models), explained)


def _explain(between: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return R^2 (n_samples, n_subsets, n_subjects) of all subsets of models, the empty one first."""
    n_models = between.shape[1]
    subsets = list_subsets(n_models)
    member = np.array([[model in chosen for model in range(n_models)] for chosen in subsets])
    # Models outside a subset are cut off from the others, so that all subsets are systems of one size.
    both = member[:, :, None] & member[:, None, :] | np.eye(n_models, dtype=bool)
    explained = np.empty((len(between), len(subsets), across.shape[2]))
    step = max(1, _AT_ONCE // (len(subsets) * n_models * (n_models + 2 * across.shape[2])))
    for start in range(0, len(between), step):
        rows = slice(start, start + step)
        targets = across[rows, None] * member[:, :, None]
        solved = np.linalg.solve(between[rows, None] * both, targets)
        explained[rows] = (targets * solved).sum(axis=2)
    return explained
