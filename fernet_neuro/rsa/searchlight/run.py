"""A searchlight from files to a folder of maps: each participant's, and the group's with its tests.

What belongs here: settings checked before anything is read, and what is written; the search is in `search`,
the group's statistics are in `group`, files in `folder`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.atomic import atomic_folder, write_text
from fernet_neuro._utils.likeness import Seen
from fernet_neuro._utils.record import describe_surroundings
from fernet_neuro._utils.tables import write_csv
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.brain.derivatives import find_settings
from fernet_neuro.brain.group import CORRECTIONS, check_smallest_p
from fernet_neuro.brain.volumes import NOISE_KINDS, VolumeSource, read_volumes
from fernet_neuro.rsa.compare import COMPARISONS
from fernet_neuro.rsa.distances import DISTANCES
from fernet_neuro.rsa.rdms import NO_LABEL, RDMSet
from fernet_neuro.rsa.searchlight.folder import (
    KIND,
    SearchlightSettings,
    SubjectMaps,
    label_models,
    write_description,
    write_group_maps,
    write_subject_maps,
)
from fernet_neuro.rsa.searchlight.group import infer_maps, search_volume
from fernet_neuro.typing import PathLike

#: Level of the group's test.
LEVEL = 0.05


def make_searchlight_settings(
    radius: float | None = None,
    n_nearest: int | None = None,
    fewest: int = 10,
    distance: str = "crossnobis",
    comparison: str = "spearman",
    noise: str | None = None,
) -> SearchlightSettings:
    """Return settings that go together: 10 mm where no size is given, and the usual noise of the distance.

    Raises
    ------
    ValueError
        If a name is not known, both sizes are given, or the distance takes no noise.

    Examples
    --------
    >>> settings = make_searchlight_settings(distance="correlation")
    >>> settings.radius, settings.noise
    (10.0, 'none')
    """
    kind = DISTANCES[check_option("distance", distance, DISTANCES)]
    check_option("comparison", comparison, COMPARISONS)
    if radius is not None and n_nearest is not None:
        raise ValueError("give a radius or the number of nearest voxels, not both.")
    chosen = noise or ("univariate" if kind.takes_precision else "none")
    check_option("noise", chosen, NOISE_KINDS)
    if chosen != "none" and not kind.takes_precision:
        raise ValueError(f"noise={chosen!r} goes with crossnobis and mahalanobis; not with {distance}.")
    if n_nearest is None and radius is None:
        radius = 10.0
    return SearchlightSettings(radius, n_nearest, fewest, distance, comparison, chosen)


def check_group_test(correction: str, cluster_p: float, n_permutations: int) -> None:
    """Refuse a test of the group that could find nothing, before hours of work.

    Raises ValueError if the correction is not known, a p is out of range, or there are too few permutations.
    """
    check_option("correction", correction, CORRECTIONS)
    check_range("cluster_p", cluster_p, 0, 0.5)
    if n_permutations:
        # Of so many subjects that it is about the permutations only.
        check_smallest_p(64, n_permutations, LEVEL)


def run_searchlight(
    files: dict[str, list[VolumeSource]],
    models: RDMSet,
    out: PathLike,
    settings: SearchlightSettings,
    *,
    leave_out: Sequence[str] = (),
    detrend: bool = False,
    zscore: bool = False,
    correction: str = "max_t",
    cluster_p: float = 0.001,
    n_permutations: int = 10_000,
    seed: int = 0,
    n_jobs: int = 1,
    verbose: bool = False,
    finish: Callable[[Path, dict[str, Any], pd.DataFrame | None], object] | None = None,
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Compute and write the maps of each participant, and test the group where that can be.

    Parameters
    ----------
    files : dict of str to list of VolumeSource
        By participant, as ``brain.volumes.find_sources`` finds them.
    models : RDMSet
        Of the same stimuli.
    out : path
        Folder, which is replaced as a whole.
    settings : SearchlightSettings
    leave_out, detrend, zscore
        As in ``brain.volumes.read_volumes``.
    correction, cluster_p, n_permutations, seed
        As in ``brain.group.infer_group``; without permutations the group is not tested.
    n_jobs, verbose
        As in `search_patterns`.
    finish : callable, default=None
        Called with the folder, report and peaks before the folder takes its place, as to draw its figures.

    Returns
    -------
    report : dict
        What was done, as in ``settings.json`` of the folder.
    peaks : DataFrame or None
        None where the group is not tested; ``report["group"]["reason"]`` says why.

    Raises
    ------
    ValueError
        As in `check_group_test`, `search_volume` and `infer_maps`.
    StimulusError
        If two runs hold the same values, of whatever sessions and participants.
    """
    check_group_test(correction, cluster_p, n_permutations)
    reading: dict[str, Any] = {"leave_out": list(leave_out), "detrend": detrend, "zscore": zscore}
    test = {"correction": correction, "cluster_p": cluster_p, "n_permutations": n_permutations, "seed": seed}
    with atomic_folder(out) as folder:
        write_description(folder)
        maps, seen = [], Seen()
        for sources in files.values():
            volume = read_volumes(sources, **reading, seen=seen)
            maps.append(search_volume(volume, models, settings, n_jobs=n_jobs, verbose=verbose))
            write_subject_maps(folder, maps[-1], models.names, settings)
        group, peaks = _infer(maps, models, test, folder, n_jobs)
        layers = models.table["layer"].astype(str) if "layer" in models.table else [""] * models.n_rdms
        named = zip(models.names, label_models(models.names), layers, strict=True)
        report = {
            "kind": KIND,
            "models": [{"name": name, "label": label, **_tell_layer(layer)} for name, label, layer in named],
            **asdict(settings),
            **reading,
            "subjects": {item.subject: item.report for item in maps},
            "group": group,
            **describe_surroundings(),
        }
        write_text(folder / "settings.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
        if finish is not None:
            finish(folder, report, peaks)
    return report, peaks


def _tell_layer(layer: str) -> dict[str, str]:
    return {} if layer in NO_LABEL else {"layer": layer}


def _infer(
    maps: list[SubjectMaps], models: RDMSet, test: dict[str, Any], folder: Path, n_jobs: int
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Test and write the group where that can be; return what was done, or why not, and the peaks."""
    if not test["n_permutations"]:
        return {"tested": False, "reason": "no permutations were asked for."}, None
    try:
        check_smallest_p(len(maps), test["n_permutations"], LEVEL)
    except ValueError as error:
        return {"tested": False, "reason": str(error)}, None
    groups, mask, peaks = infer_maps(maps, models.names, level=LEVEL, n_jobs=n_jobs, **test)
    write_group_maps(folder, groups, mask, maps[0].affine, models.names)
    write_csv(peaks, folder / "peaks.csv")
    done = {"n_voxels": int(mask.sum()), "level": LEVEL, "smallest_p": groups[0].smallest_p}
    return {"tested": True, **test, **done}, peaks


def find_notices(sources: Sequence[PathLike]) -> list[str]:
    """Return a sentence about each folder of patterns whose images only hold the voxels of its regions."""
    found = []
    for source in sources:
        known = find_settings(Path(source)) or {}
        if known.get("mask") == "":
            names = ", ".join(str(region["name"]) for region in known.get("rois", []))
            found.append(
                f"{source} was made without --mask, so its images only have the voxels of its regions "
                f"({names}), and the searchlight moves through these together; for the whole brain, make "
                f"patterns with --mask, or name images; for one region, add --roi."
            )
    return found
