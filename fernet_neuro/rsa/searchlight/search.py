"""Searchlights: model RDMs against the RDM of every neighbourhood of voxels, as maps.

What belongs here: `search_patterns` and its result; how RDMs are computed fast is in `engines`,
neighbourhoods are in ``brain/spheres.py``, inference over subjects in ``brain/group.py``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs

from fernet_neuro._utils.progress import track
from fernet_neuro._utils.shown import Plotted, name_some
from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import check_jobs, check_option, format_options, suggest
from fernet_neuro.brain.noise import COVARIANCES
from fernet_neuro.brain.spheres import Neighbourhoods
from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.rsa.compare import COMPARISONS, InnerProduct, compare_rdms, compare_rho_a, iterate_present
from fernet_neuro.rsa.distances import DISTANCES
from fernet_neuro.rsa.labelled import LabelledPatterns, label_patterns
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.searchlight import engines
from fernet_neuro.rsa.searchlight.kernels import rank_rows

#: Bytes of the RDMs that one worker holds at a time; more would leave the second-level cache.
BLOCK_BYTES = 1 << 20
#: Most neighbourhoods of a block, so that few of them still spread over workers, and the bar moves.
_MOST_ROWS = 512
Compare = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class SearchlightMap(Plotted):
    """How well models match the RDM around each voxel.

    Parameters
    ----------
    values : ndarray of shape (n_models, n_centres)
        Unitless.
    names : list of str
        One per model.
    centres : ndarray of int of shape (n_centres,)
        The voxel of each column.
    sizes : ndarray of int of shape (n_centres,)
        Voxels of each neighbourhood.
    n_voxels : int
        Of the mask, with those that are not centres.
    distance, comparison : str

    Examples
    --------
    >>> centres, sizes = np.array([0, 2]), np.array([5, 4])
    >>> SearchlightMap(np.array([[0.1, 0.3]]), ["who"], centres, sizes, 3, "cosine", "rho_a")
    SearchlightMap: 1 models (who), 2 centres of 3 voxels, rho_a of cosine RDMs
    """

    values: np.ndarray
    names: list[str]
    centres: np.ndarray
    sizes: np.ndarray
    n_voxels: int
    distance: str
    comparison: str

    def to_voxels(self) -> np.ndarray:
        """Return the values as (n_models, n_voxels), NaN for voxels that are not centres."""
        filled = np.full((len(self.values), self.n_voxels), np.nan)
        filled[:, self.centres] = self.values
        return filled

    def describe(self) -> str:
        """Return which models were searched for in how many places."""
        places = f"{len(self.centres)} centres of {self.n_voxels} voxels"
        how = f"{self.comparison} of {self.distance} RDMs"
        return f"{len(self.names)} models ({name_some(self.names)}), {places}, {how}"

    @property
    def frame(self) -> pd.DataFrame:
        """One row per model and centre: model, voxel, n_voxels, distance, comparison and value."""
        n_models, n_centres = self.values.shape
        return pd.DataFrame(
            {
                "model": np.repeat(np.array(self.names, dtype=object), n_centres),
                "voxel": np.tile(self.centres, n_models),
                "n_voxels": np.tile(self.sizes, n_models),
                "distance": self.distance,
                "comparison": self.comparison,
                "value": self.values.ravel(),
            }
        )


def search_patterns(
    patterns: np.ndarray,
    models: RDMSet,
    neighbourhoods: Neighbourhoods,
    *,
    stimulus_ids: Iterable[str],
    runs: Iterable[Any] | None = None,
    distance: str = "correlation",
    comparison: str = "spearman",
    noise: np.ndarray | Mapping[Any, np.ndarray] | None = None,
    residuals: np.ndarray | None = None,
    noise_method: str = "shrinkage_eye",
    n_jobs: int = 1,
    verbose: bool = False,
    description: str = "searchlight",
) -> SearchlightMap:
    """Compare model RDMs with the RDM of the voxels around every voxel [1]_.

    The values are those that `distances.compute_rdms` and `compare.compare_rdms` give for each neighbourhood.
    Memory beside the patterns is bounded: blocks of RDMs, and for squared_euclidean and crossnobis at most
    half a gigabyte of dissimilarities of single voxels.

    Parameters
    ----------
    patterns : ndarray of shape (n_observations, n_voxels)
        Finite; no voxel constant.
    models : RDMSet
        Of the same stimuli, in any order: patterns are put into theirs.
    neighbourhoods : Neighbourhoods
        Of the same voxels.
    stimulus_ids : iterable of str of length n_observations
    runs : iterable of length n_observations or None
        For crossnobis; other distances average all rows of a stimulus.
    distance : str, default="correlation"
        A name in `distances.DISTANCES`.
    comparison : str, default="spearman"
        A name in `compare.COMPARISONS`.
    noise : ndarray of shape (n_voxels,) or (n_voxels, n_voxels), mapping from run to the latter, or None
        Noise variance of each voxel (univariate normalisation: crossnobis stays as fast as without); or noise
        covariance, of which the block of each neighbourhood is inverted.
    residuals : ndarray of shape (n_samples, n_voxels) or None
        Instead: residuals of the model that gave the patterns. Each neighbourhood's covariance is estimated
        by `noise_method` and inverted, about fifty times the work.
    noise_method : str, default="shrinkage_eye"
        A name in `brain.noise.COVARIANCES`, for `residuals`.
    n_jobs : int, default=1
        Threads; -1 for one per core. The numbers do not depend on it.
    verbose, description : bool and str
        Show a progress bar on standard error, called `description`.

    Raises
    ------
    AlignmentError
        If patterns and models are of different stimuli (the message names the first), or there is not one id,
        or one run, per row.
    ValueError
        If an argument does not go with the distance, a voxel is not finite or constant, neighbourhoods are of
        other voxels, a run lacks a stimulus, or a comparison is not defined somewhere.

    References
    ----------
    .. [1] Kriegeskorte, Goebel & Bandettini (2006), Information-based functional brain mapping, PNAS 103(10).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> near = Neighbourhoods.from_lists([[0, 1, 2], [1, 2, 3]], [1, 2], 4)
    >>> models = RDMSet(np.array([[1.0, 2, 3]]), np.array(["a", "b", "c"]))
    >>> search_patterns(rng.normal(size=(3, 4)), models, near, stimulus_ids=["a", "b", "c"]).values.shape
    (1, 2)
    """
    check_option("comparison", comparison, COMPARISONS)
    check_jobs("n_jobs", n_jobs)
    labelled = _label(np.asarray(patterns), models, stimulus_ids, runs, distance)
    _check_voxels(labelled.values, neighbourhoods)
    engine = _make_engine(labelled, distance, noise, residuals, noise_method)
    compare = _make_comparison(models, comparison)
    values = np.empty((models.n_rdms, neighbourhoods.n_centres))
    # Threads of BLAS beside those of the blocks would wait for each other.
    with limit_threads(1):
        work = _search(engine, neighbourhoods, compare, models.n_pairs, effective_n_jobs(n_jobs))
        steps = len(_plan_blocks(0, neighbourhoods.n_centres, models.n_pairs))
        for block, found in track(work, description, total=steps, verbose=verbose):
            values[:, block] = found
    undefined = np.argwhere(np.isnan(values))
    if len(undefined):
        model, centre = undefined[0]
        raise ValueError(
            f"{comparison} is not defined in {len(np.unique(undefined[:, 1]))} of "
            f"{neighbourhoods.n_centres} neighbourhoods (first: around voxel "
            f"{neighbourhoods.centres[centre]}, model {models.names[model]!r}): all dissimilarities there "
            f"are the same, or zero."
        )
    sizes = neighbourhoods.sizes
    return SearchlightMap(
        values, models.names, neighbourhoods.centres, sizes, neighbourhoods.n_voxels, distance, comparison
    )


def _search(
    engine: engines.Engine, near: Neighbourhoods, compare: Callable, n_pairs: int, n_jobs: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the columns of each block of neighbourhoods and their values (n_models, n_block), in order."""
    for start, stop in engines.plan_parts(near, engine.bytes_per_voxel, engines.TABLE_BYTES):
        fill = engine.open(near, start, stop, n_jobs)
        blocks = _plan_blocks(start, stop, n_pairs)
        yield from Parallel(n_jobs=n_jobs, backend="threading", return_as="generator")(
            delayed(_search_block)(fill, compare, block) for block in blocks
        )


def _search_block(fill: engines.Fill, compare: Callable, block: slice) -> tuple[slice, np.ndarray]:
    return block, compare(fill(block.start, block.stop))


def _plan_blocks(start: int, stop: int, n_pairs: int) -> list[slice]:
    height = min(max(BLOCK_BYTES // (8 * n_pairs), 1), _MOST_ROWS)
    return [slice(row, min(row + height, stop)) for row in range(start, stop, height)]


def _label(
    patterns: np.ndarray,
    models: RDMSet,
    stimulus_ids: Iterable[str],
    runs: Iterable[Any] | None,
    distance: str,
) -> LabelledPatterns:
    """Return the patterns with their stimuli in the models' order."""
    kind = DISTANCES[check_option("distance", distance, DISTANCES)]
    if runs is None and kind.needs_runs:
        raise ValueError(f"distance {distance!r} needs runs, the run of each row of the patterns.")
    labelled = label_patterns(patterns, stimulus_ids, runs if kind.needs_runs else None, "patterns")
    names, wanted = labelled.stimulus_ids.tolist(), models.stimulus_ids.tolist()
    for these, others, (what, other) in (
        (names, wanted, ("the patterns", "the models")),
        (wanted, names, ("the models", "the patterns")),
    ):
        only = [name for name in these if name not in set(others)]
        if only:
            raise AlignmentError(
                f"{what} are of {len(only)} stimuli that {other} do not have (first: {only[0]!r}); use "
                f"align_to of the models, or leave those rows out of the patterns.{suggest(only[0], others)}"
            )
    place = {name: number for number, name in enumerate(wanted)}
    numbers = np.array([place[name] for name in names])
    return replace(labelled, stimulus_ids=models.stimulus_ids, stimulus_of=numbers[labelled.stimulus_of])


def _check_voxels(values: np.ndarray, near: Neighbourhoods) -> None:
    if near.n_voxels != values.shape[1]:
        raise ValueError(
            f"the neighbourhoods are of {near.n_voxels} voxels, but patterns have {values.shape[1]}."
        )
    for what, bad in (
        ("hold values that are not finite", ~np.isfinite(values).all(axis=0)),
        ("are constant over all observations", (values == values[0]).all(axis=0)),
    ):
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} of {values.shape[1]} voxels {what} (first: voxel "
                f"{int(np.flatnonzero(bad)[0])}); leave them out of the mask."
            )


def _make_engine(
    labelled: LabelledPatterns,
    distance: str,
    noise: np.ndarray | Mapping[Any, np.ndarray] | None,
    residuals: np.ndarray | None,
    noise_method: str,
) -> engines.Engine:
    kind = DISTANCES[distance]
    has_noise = noise is not None or residuals is not None
    if has_noise and not kind.takes_precision:
        raise ValueError(f"distance {distance!r} takes no noise; mahalanobis and crossnobis do.")
    if not has_noise and kind.needs_precision:
        raise ValueError(f"distance {distance!r} needs noise or residuals.")
    if noise is not None and residuals is not None:
        raise ValueError("give noise or residuals, not both.")
    is_univariate = noise is None or (not isinstance(noise, Mapping) and np.ndim(noise) == 1)
    if residuals is not None or not is_univariate or distance == "mahalanobis":
        finder = _make_finder(labelled, noise, residuals, noise_method)
        return engines.make_plain_engine(_reduce(labelled, kind.needs_runs), distance, finder)
    if distance in ("correlation", "cosine"):
        values = np.ascontiguousarray(_average(labelled).T)
        return engines.make_cosine_engine(values, labelled.stimulus_ids, centred=distance == "correlation")
    by_run = labelled.run_means() if kind.needs_runs else [_average(labelled)]
    values = np.ascontiguousarray(np.stack(by_run).transpose(2, 0, 1))
    if noise is not None:
        values /= np.sqrt(_check_variances(noise, labelled.n_channels))[:, None, None]
    return engines.make_sum_engine(values)


def _make_finder(
    labelled: LabelledPatterns,
    noise: np.ndarray | Mapping[Any, np.ndarray] | None,
    residuals: np.ndarray | None,
    noise_method: str,
) -> Callable[[np.ndarray], Any]:
    """Return what finds the noise precision of the voxels of a neighbourhood."""
    n_voxels = labelled.n_channels
    if residuals is not None:
        check_option("noise_method", noise_method, COVARIANCES)
        rows = np.asarray(residuals, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != n_voxels:
            raise ValueError(f"residuals must have shape (n_samples, {n_voxels}); got {rows.shape}.")
        return engines.make_residual_finder(rows, noise_method)
    if isinstance(noise, Mapping):
        absent = [run for run in labelled.runs if run not in noise]
        if absent or not labelled.runs:
            raise ValueError(
                f"there is no noise covariance for run {absent[0]!r}; there are: {format_options(noise)}."
                if absent
                else "one noise covariance per run is for crossnobis."
            )
        return engines.make_covariance_finder(
            {run: _check_covariance(noise[run], n_voxels) for run in labelled.runs}
        )
    if np.asarray(noise).ndim == 1:
        return engines.make_covariance_finder(np.diag(_check_variances(noise, n_voxels)))
    return engines.make_covariance_finder(_check_covariance(noise, n_voxels))


def _check_variances(noise: Any, n_voxels: int) -> np.ndarray:
    variances = np.asarray(noise, dtype=np.float64)
    if variances.shape != (n_voxels,):
        raise ValueError(f"noise variances must have shape ({n_voxels},); got {variances.shape}.")
    bad = np.flatnonzero(~(np.isfinite(variances) & (variances > 0)))
    if len(bad):
        raise ValueError(
            f"noise variances must be positive and finite; {len(bad)} of {n_voxels} are not (first: "
            f"{variances[bad[0]]:g} of voxel {bad[0]}); leave those voxels out of the mask."
        )
    return variances


def _check_covariance(noise: Any, n_voxels: int) -> np.ndarray:
    covariance = np.asarray(noise, dtype=np.float64)
    if covariance.shape != (n_voxels, n_voxels):
        raise ValueError(
            f"noise must have shape ({n_voxels},) or ({n_voxels}, {n_voxels}), as the patterns have voxels; "
            f"got {covariance.shape}."
        )
    if not np.isfinite(covariance).all():
        raise ValueError("the noise covariance holds values that are not finite.")
    return covariance


def _average(labelled: LabelledPatterns) -> np.ndarray:
    """Return one pattern per stimulus, in the order of `stimulus_ids`, shape (n_stimuli, n_voxels)."""
    n_stimuli = len(labelled.stimulus_ids)
    if len(labelled.values) == n_stimuli:
        means = np.empty(labelled.values.shape)
        means[labelled.stimulus_of] = labelled.values
        return means
    return labelled.stimulus_means


def _reduce(labelled: LabelledPatterns, keep_runs: bool) -> engines.MeanPatterns:
    """Return one row per stimulus, and run where they count, in order."""
    n_stimuli = len(labelled.stimulus_ids)
    values = np.concatenate(labelled.run_means()) if keep_runs else _average(labelled)
    n_runs = len(values) // n_stimuli
    return engines.MeanPatterns(
        values,
        labelled.stimulus_ids,
        np.tile(np.arange(n_stimuli), n_runs),
        labelled.runs,
        np.repeat(np.arange(n_runs), n_stimuli),
        labelled.name,
    )


def _make_comparison(models: RDMSet, comparison: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from RDMs (n_rows, n_pairs) to the models' values (n_models, n_rows)."""
    compare_rdms(models, models, comparison)  # refuses models that are constant, or have too few pairs
    compare = _FAST.get(comparison, COMPARISONS[comparison])
    whole = np.zeros((1, models.n_pairs))
    groups = [
        (columns, None if present.all() else present, models.dissimilarities[columns][:, present])
        for _, columns, present in iterate_present(whole, models.dissimilarities)
    ]

    def apply(rdms: np.ndarray) -> np.ndarray:
        values = np.empty((models.n_rdms, len(rdms)))
        for columns, present, vectors in groups:
            here = rdms if present is None else rdms[:, present]
            mask = np.ones(models.n_pairs, dtype=bool) if present is None else present
            values[columns] = compare(here, vectors, mask).T
        return values

    return apply


#: Comparisons of ranks, which is what takes the time with thousands of RDMs, by the compiled kernel.
_FAST: dict[str, Compare] = {
    "spearman": InnerProduct(rank_rows).compare,
    "rho_a": partial(compare_rho_a, rank=rank_rows),
}
