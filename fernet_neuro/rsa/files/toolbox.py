"""The one door to rsatoolbox: conversion, its files, and its distances and comparisons as an oracle.

What belongs here: every import of rsatoolbox, and the fences around what it does silently: it sorts
conditions by name, and keeps and edits its caller's dictionaries.
"""

import warnings
from collections.abc import Iterable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro._utils.validation import check_option, format_options, suggest
from fernet_neuro.brain.spheres import Neighbourhoods
from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli
from fernet_neuro.typing import PathLike

#: Our names of comparisons and distances, and rsatoolbox's where the definitions agree.
COMPARISON_NAMES = {
    "pearson": "corr",
    "spearman": "spearman",
    "kendall_tau_a": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "whitened_pearson": "corr_cov",
    "whitened_cosine": "cosine_cov",
}
DISTANCE_NAMES = {
    "correlation": "correlation",
    "squared_euclidean": "euclidean",
    "mahalanobis": "mahalanobis",
    "crossnobis": "crossnobis",
}
#: What rsatoolbox calls the measures it computes, and our names.
_MEASURES = {
    "correlation": "correlation",
    "squared euclidean": "squared_euclidean",
    "squared mahalanobis": "mahalanobis",
    "crossnobis": "crossnobis",
}
#: Pattern descriptors that hold stimulus ids, in order of preference (the third is its Meadows reader's).
_ID_DESCRIPTORS = ("stimulus_id", "stimulus", "conds", "condition", "conditions")


def import_rsatoolbox() -> ModuleType:
    """Return rsatoolbox; warnings of its own imports are not the caller's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import rsatoolbox
        import rsatoolbox.rdm
    return rsatoolbox


def to_rsatoolbox(rdms: RDMSet) -> Any:
    """Return a copy as ``rsatoolbox.rdm.RDMs``: the table as RDM descriptors, ``stimulus_id`` of patterns."""
    return import_rsatoolbox().rdm.RDMs(
        rdms.dissimilarities.copy(),
        dissimilarity_measure=rdms.distance or None,
        descriptors={"unit": rdms.unit} if rdms.unit else {},
        rdm_descriptors={name: rdms.table[name].tolist() for name in rdms.table},
        pattern_descriptors={"stimulus_id": rdms.stimulus_ids.tolist()},
    )


def from_rsatoolbox(rdms: Any, stimuli: str | None = None) -> RDMSet:
    """Return a copy of ``rsatoolbox.rdm.RDMs``.

    `stimuli`: the pattern descriptor with the stimulus ids; by default ``stimulus_id``, ``stimulus``,
    ``conds``, ``condition``, ``conditions`` or the only one there is, and else ``index``. Raises ValueError
    if there is no such descriptor, or its values are not unique.
    """
    described = {str(name): _plain(values) for name, values in rdms.pattern_descriptors.items()}
    if stimuli is not None and stimuli not in described:
        raise ValueError(
            f"the RDMs have no pattern descriptor {stimuli!r}; they have: {format_options(described)}."
            f"{suggest(stimuli, described)}"
        )
    others = [name for name in described if name != "index"]
    known = [name for name in _ID_DESCRIPTORS if name in described]
    chosen = stimuli or (known or (others if len(others) == 1 else ["index"]))[0]
    table = {
        str(name): _plain(values) for name, values in rdms.rdm_descriptors.items() if str(name) != "index"
    }
    measure = str(rdms.dissimilarity_measure or "")
    return RDMSet(
        np.array(rdms.dissimilarities, dtype=np.float64),
        np.array([str(item) for item in described[chosen]], dtype=str),
        pd.DataFrame(table),
        distance=_MEASURES.get(measure, measure),
        unit=str((rdms.descriptors or {}).get("unit", "")),
    )


def read_hdf5(path: PathLike, stimuli: str | None = None, _n_stimuli: int | None = None) -> RDMSet:
    """Read an HDF5 file that rsatoolbox wrote."""
    if not Path(path).is_file():
        raise StoreError(f"RDM file {path} does not exist.")
    try:
        loaded = import_rsatoolbox().rdm.load_rdm(str(path), file_type="hdf5")
        if stimuli is None or stimuli in loaded.pattern_descriptors:
            return from_rsatoolbox(loaded, stimuli)
    except Exception as error:  # h5py and rsatoolbox raise many kinds, RuntimeError among them
        raise StoreError(f"RDM file {path} is not an HDF5 file of rsatoolbox's RDMs: {error}") from error
    return from_rsatoolbox(loaded, stimuli)  # says which descriptors there are


def write_hdf5(rdms: RDMSet, path: PathLike) -> None:
    """Write a file that ``rsatoolbox.rdm.load_rdm`` reads, complete or not at all."""
    with atomic_file(path) as temporary:
        try:
            to_rsatoolbox(rdms).save(str(temporary), file_type="hdf5")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"rsatoolbox's HDF5 files hold ASCII alone; {error.object!r} is not. Write .npz instead."
            ) from error


def compare_with_rsatoolbox(first: RDMSet, second: RDMSet, comparison: str) -> np.ndarray:
    """Return rsatoolbox's comparison of all RDMs of two sets, shape (n_first, n_second), unitless."""
    check_option("comparison", comparison, COMPARISON_NAMES)
    check_same_stimuli(first, second)
    module = import_rsatoolbox()
    return module.rdm.compare(
        to_rsatoolbox(first), to_rsatoolbox(second), method=COMPARISON_NAMES[comparison]
    )


def evaluate_draws(
    subjects: RDMSet,
    models: RDMSet,
    comparison: str,
    draws: Iterable[tuple[np.ndarray | None, np.ndarray | None]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rsatoolbox's mean comparison with each model, and its noise ceilings, of samples one by one.

    `draws`: the numbers of the subjects and of the stimuli drawn, as often as they are; None for all, once.
    Returns `scores` (n_draws, n_models). `lower, upper` (n_draws,): NaN where fewer than two different
    subjects were drawn.
    """
    # Without the tables: a column that is called "index" would take the place of rsatoolbox's own.
    sides = [to_rsatoolbox(RDMSet(rdms.dissimilarities, rdms.stimulus_ids)) for rdms in (subjects, models)]
    method = COMPARISON_NAMES[comparison]
    found = [_evaluate_draw(sides[0], sides[1], *draw, method) for draw in draws]
    scores, lower, upper = zip(*found, strict=True)
    return np.stack(scores), np.array(lower), np.array(upper)


def _evaluate_draw(
    subjects: Any, models: Any, rows: np.ndarray | None, stimuli: np.ndarray | None, method: str
) -> tuple[np.ndarray, float, float]:
    module = import_rsatoolbox()
    if rows is not None:
        subjects = subjects.subsample("index", rows)
    if stimuli is not None:
        subjects = subjects.subsample_pattern("index", stimuli)
        models = models.subsample_pattern("index", stimuli)
    scores = module.rdm.compare(models, subjects, method).mean(axis=1)
    if len(np.unique(subjects.rdm_descriptors["index"])) < 2:
        # Differs from rsatoolbox, which compares the only subject with itself.
        return scores, np.nan, np.nan
    with warnings.catch_warnings():
        # It says that RDMs are pooled by mean ranks for Kendall's tau: for each subject of each sample.
        warnings.filterwarnings("ignore", message="Noise ceiling for tau")
        lower, upper = module.inference.boot_noise_ceiling(subjects, method=method, rdm_descriptor="index")
    return scores, float(lower), float(upper)


def compute_with_rsatoolbox(
    patterns: np.ndarray,
    stimulus_ids: Iterable[str],
    distance: str,
    *,
    runs: Iterable[Any] | None = None,
    precision: Any = None,
) -> RDMSet:
    """Return rsatoolbox's RDM of patterns (n_rows, n_channels), stimuli in the order of first occurrence."""
    check_option("distance", distance, DISTANCE_NAMES)
    module = import_rsatoolbox()
    ids = [str(item) for item in stimulus_ids]
    described: dict[str, Any] = {"stimulus_id": np.array(ids)}
    if runs is not None:
        described["run"] = np.array(list(runs))
    dataset = module.data.Dataset(np.array(patterns, dtype=np.float64), obs_descriptors=described)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it fills whole numbers with NaN on the way
        found = module.rdm.calc_rdm(
            dataset,
            method=DISTANCE_NAMES[distance],
            descriptor="stimulus_id",
            noise=precision,
            cv_descriptor=None if runs is None else "run",
        )
    # calc_rdm sorts conditions by name.
    return from_rsatoolbox(found).align_to(dict.fromkeys(ids))


def search_with_rsatoolbox(
    patterns: np.ndarray,
    models: RDMSet,
    neighbourhoods: Neighbourhoods,
    stimulus_ids: Iterable[str],
    *,
    distance: str = "correlation",
    comparison: str = "spearman",
) -> np.ndarray:
    """Return what rsatoolbox's searchlight functions give for fixed models, shape (n_models, n_centres)."""
    check_option("distance", distance, ("correlation", "squared_euclidean"))
    check_option("comparison", comparison, COMPARISON_NAMES)
    import_rsatoolbox()
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        # Its bars cannot be turned off; of one RDM alone it computes a noise ceiling, an empty mean.
        warnings.simplefilter("ignore", RuntimeWarning)
        from rsatoolbox.inference import eval_fixed
        from rsatoolbox.model import ModelFixed
        from rsatoolbox.util import searchlight

        near = [neighbourhoods.get(number) for number in range(neighbourhoods.n_centres)]
        ids = np.array([str(item) for item in stimulus_ids])
        rdms = searchlight.get_searchlight_RDMs(
            patterns, neighbourhoods.centres, near, ids, method=DISTANCE_NAMES[distance]
        )
        # The RDMs come without names, sorted by them.
        ordered = models.align_to(sorted(set(ids.tolist())))
        fixed = [
            ModelFixed(name, vector)
            for name, vector in zip(ordered.names, ordered.dissimilarities, strict=True)
        ]
        results = searchlight.evaluate_models_searchlight(
            rdms, fixed, eval_fixed, method=COMPARISON_NAMES[comparison]
        )
    return np.concatenate([result.evaluations[0] for result in results], axis=1)


def _plain(values: Any) -> list[Any]:
    return [item.item() if isinstance(item, np.generic) else item for item in list(values)]
