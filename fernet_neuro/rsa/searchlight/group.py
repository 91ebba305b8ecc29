"""Searchlight maps of participants and of their group.

What belongs here: from `VolumePatterns` to maps in the space of the mask, and the group's tests; the search
itself is in `search`, the permutations are in ``brain/group.py``, files are in `folder`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.likeness import Seen
from fernet_neuro.brain import images
from fernet_neuro.brain.copies import check_new
from fernet_neuro.brain.group import GroupMap, find_peaks, infer_group
from fernet_neuro.brain.spheres import build_neighbourhoods
from fernet_neuro.brain.volumes import VolumePatterns
from fernet_neuro.exceptions import FernetError
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.searchlight.folder import SearchlightSettings, SubjectMaps
from fernet_neuro.rsa.searchlight.search import search_patterns


def search_volume(
    volume: VolumePatterns,
    models: RDMSet,
    settings: SearchlightSettings,
    *,
    n_jobs: int = 1,
    verbose: bool = False,
) -> SubjectMaps:
    """Return the maps of one participant.

    `models`: of the same stimuli. `n_jobs`, `verbose`: as in ``search.search_patterns``. Raises ValueError as
    there, or as in ``spheres.build_neighbourhoods``; the message names the participant.
    """
    try:
        near = build_neighbourhoods(
            volume.coordinates, radius=settings.radius, n_nearest=settings.n_nearest, fewest=settings.fewest
        )
        takes_noise = settings.distance in ("crossnobis", "mahalanobis")
        found = search_patterns(
            volume.values, models, near,
            stimulus_ids=volume.stimulus_ids, runs=volume.runs, distance=settings.distance,
            comparison=settings.comparison, n_jobs=n_jobs, verbose=verbose,
            description=f"searchlight, subject {volume.subject}",
            **(volume.describe_noise(settings.noise) if takes_noise else {}),
        )  # fmt: skip
    except (FernetError, ValueError) as error:
        raise type(error)(f"subject {volume.subject}: {error}") from error
    centres = np.zeros(volume.mask.shape, dtype=bool)
    centres[tuple(np.argwhere(volume.mask)[near.centres].T)] = True
    report = {
        "n_stimuli": models.n_stimuli,
        "n_runs": len(set(volume.runs.tolist())),
        "n_voxels": volume.n_voxels,
        "n_centres": near.n_centres,
        "mean_voxels_per_centre": round(float(near.sizes.mean()), 3),
        "voxels_left_out": volume.left_out,
    }
    return SubjectMaps(found.values, centres, volume.affine, volume.subject, volume.task, report)


def combine_maps(maps: Sequence[SubjectMaps]) -> tuple[np.ndarray, np.ndarray]:
    """Return the maps of several participants over the voxels that are centres in all of them.

    Returns `values` (n_models, n_subjects, n_voxels). `mask` (n_x, n_y, n_z). Raises ValueError if they lie
    in different spaces, or have no voxel in common, StimulusError if two are the same; the message names the
    participants.
    """
    first, seen = maps[0], Seen()
    for other in maps:
        if other.mask.shape != first.mask.shape or not np.allclose(
            other.affine, first.affine, rtol=0, atol=images.AFFINE_TOLERANCE
        ):
            raise ValueError(
                f"the maps of subjects {first.subject} and {other.subject} lie in different spaces "
                f"({first.mask.shape} and {other.mask.shape} voxels); a group needs one: resample the images "
                f"to a common template first."
            )
        check_new(other.values, f"the map of subject {other.subject}", seen)
    mask = np.logical_and.reduce([item.mask for item in maps])
    if not mask.any():
        raise ValueError(f"the maps of {len(maps)} subjects have no voxel in common.")
    return np.stack([item.values[:, mask[item.mask]] for item in maps], axis=1), mask


def infer_maps(
    maps: Sequence[SubjectMaps], names: Sequence[str], *, level: float = 0.05, **options: Any
) -> tuple[list[GroupMap], np.ndarray, pd.DataFrame]:
    """Test each model's maps over participants.

    Corrected p-values are over voxels, of each model by itself.

    `names`: of the models. `level`: of the table of peaks. `**options`: of ``group.infer_group``. Returns
    `groups`: one per model. `mask` (n_x, n_y, n_z). `peaks`: as ``group.find_peaks`` gives them, of all
    models. Raises ValueError as in `combine_maps` and ``group.infer_group``.
    """
    values, mask = combine_maps(maps)
    affine = maps[0].affine
    groups = [infer_group(rows, mask, affine, level=level, **options) for rows in values]
    peaks = [
        find_peaks(group, mask, affine, model=name, level=level)
        for group, name in zip(groups, names, strict=True)
    ]
    return groups, mask, pd.concat(peaks, ignore_index=True)
