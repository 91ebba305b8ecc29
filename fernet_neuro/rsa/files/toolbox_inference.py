"""The second engine: the same bootstrap samples, one after the other, through rsatoolbox's own functions.

What belongs here: what `_bootstrap` computes, done by ``rsatoolbox.rdm.compare`` and its noise ceiling; a
reference that takes minutes where `_bootstrap` takes a second.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fernet_neuro._utils.progress import track
from fernet_neuro.rsa.files.toolbox import COMPARISON_NAMES, import_rsatoolbox, to_rsatoolbox
from fernet_neuro.rsa.inference.bootstrap import SampleValues
from fernet_neuro.rsa.inference.random_effects import Effects
from fernet_neuro.rsa.inference.resample import Resamples
from fernet_neuro.rsa.rdms import RDMSet


def evaluate_with_rsatoolbox(
    subjects: RDMSet,
    models: RDMSet,
    resamples: Resamples,
    comparison: str,
    wanted: Sequence[Effects],
    *,
    verbose: bool = False,
) -> dict[Effects, SampleValues]:
    """Return what ``_bootstrap.evaluate_samples`` returns.

    Raises
    ------
    ValueError
        If RDMs lack different pairs: rsatoolbox compares those alone that lack the same. Or if stimuli of a
        block are drawn together: it cannot weigh the pairs inside one otherwise than those between two.
    """
    if resamples.blocks is not None and any("stimuli" in effects for effects in wanted):
        raise ValueError(
            "engine='rsatoolbox' repeats stimuli and has no weights of pairs, so blocks of several stimuli "
            "cannot be drawn; use engine='own', or generalise_to='subjects'."
        )
    method = COMPARISON_NAMES[comparison]
    values = {
        effects: SampleValues(
            np.empty((resamples.n_bootstraps, models.n_rdms)),
            np.empty(resamples.n_bootstraps),
            np.empty(resamples.n_bootstraps),
        )
        for effects in wanted
    }
    sides = (_convert(subjects), _convert(models))
    samples = track(range(resamples.n_bootstraps), "rsatoolbox", verbose=verbose)
    for sample in samples:
        for effects, found in values.items():
            rows = _repeat(resamples.subjects[sample]) if "subjects" in effects else None
            stimuli = _repeat(resamples.stimuli[sample]) if "stimuli" in effects else None
            found.scores[sample], found.lower[sample], found.upper[sample] = _evaluate(
                *sides, rows, stimuli, method
            )
    return values


def evaluate_data_with_rsatoolbox(
    subjects: RDMSet, models: RDMSet, comparison: str
) -> tuple[np.ndarray, float, float]:
    """Return the comparisons (n_subjects, n_models) of the data themselves, and both noise ceilings."""
    method = COMPARISON_NAMES[comparison]
    sides = (_convert(subjects), _convert(models))
    scores = import_rsatoolbox().rdm.compare(*sides, method)
    _, lower, upper = _evaluate(*sides, None, None, method)
    return scores, lower, upper


def _evaluate(
    subjects: Any, models: Any, rows: np.ndarray | None, stimuli: np.ndarray | None, method: str
) -> tuple[np.ndarray, float, float]:
    """Return the mean comparison with each model, and the noise ceilings, of one sample."""
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


def _convert(rdms: RDMSet) -> Any:
    # Without the table: a column of it that is called "index" would take the place of rsatoolbox's own.
    return to_rsatoolbox(RDMSet(rdms.dissimilarities, rdms.stimulus_ids))


def _repeat(counts: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)
