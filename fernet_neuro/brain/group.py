"""Maps of several participants as one: sign-flip permutation tests with family-wise correction, and peaks.

What belongs here: inference over maps, with nilearn's permutations; where the maps come from does not matter.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.validation import check_jobs, check_option, check_range
from fernet_neuro._utils.workers import in_processes

#: Corrections by name, and what nilearn calls their statistic; the null is that of its maximum over the map.
CORRECTIONS: dict[str, str] = {"max_t": "t", "cluster_size": "size", "cluster_mass": "mass", "tfce": "tfce"}
#: Columns of the table of peaks and their types.
PEAK_COLUMNS: dict[str, type] = {
    "model": str,
    "cluster": int,
    "x_mm": float,
    "y_mm": float,
    "z_mm": float,
    "n_voxels": int,
    "volume_mm3": float,
    "mean": float,
    "t": float,
    "statistic": float,
    "p_value": float,
    "is_significant": bool,
}
#: Permutations that one process draws at a time, each batch with a seed of its own.
_BATCH = 500
#: Statistics that agree to this share are equal: sums in another order differ in their last digits.
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class GroupMap:
    """One test per voxel over participants.

    Parameters
    ----------
    mean, t : ndarray of shape (n_voxels,)
        Over participants; `t` of the one-sample test against 0.
    statistic : ndarray of shape (n_voxels,)
        What was tested: `t`, or the size (voxels), mass or enhanced value of the voxel's cluster, 0 outside
        clusters.
    p_values : ndarray of shape (n_voxels,)
        One-sided (greater than 0), corrected over all voxels; 1 outside clusters.
    null : ndarray of shape (n_permutations,)
        Largest statistic of each permutation.
    correction : str
    n_subjects : int
    smallest_p : float
        No p-value can be smaller.
    """

    mean: np.ndarray
    t: np.ndarray
    statistic: np.ndarray
    p_values: np.ndarray
    null: np.ndarray
    correction: str
    n_subjects: int
    smallest_p: float


def infer_group(
    maps: np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    *,
    correction: str = "max_t",
    cluster_p: float = 0.001,
    n_permutations: int = 10_000,
    level: float = 0.05,
    seed: int = 0,
    n_jobs: int = 1,
) -> GroupMap:
    """Test at each voxel whether the mean over participants is above 0, corrected over voxels.

    Under the null hypothesis each participant's map may as well have the other sign [1]_: nilearn draws signs
    for whole maps, and each voxel's statistic is compared with the largest of each draw, which controls the
    chance of any false positive. Significant voxels (``max_t``, ``tfce`` [2]_) or clusters are found; a
    significant cluster says that something is in it, not where in it.

    Parameters
    ----------
    maps : ndarray of shape (n_subjects, n_voxels)
        Zero where there is no effect, such as correlations with a model.
    mask : ndarray of bool of shape (n_x, n_y, n_z)
        Where the voxels lie, in the order of ``np.nonzero``.
    affine : ndarray of shape (4, 4)
    correction : str, default="max_t"
        A name in `CORRECTIONS`.
    cluster_p : float, default=0.001
        Voxels below this uncorrected p form clusters; for ``cluster_size`` and ``cluster_mass``.
    n_permutations : int, default=10000
    level : float, default=0.05
        The test is refused where no p-value can reach it.
    seed : int, default=0
    n_jobs : int, default=1
        Processes that share the permutations; the draws do not depend on it.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, all participants have the same value in a voxel, or there
        are too few participants or permutations for a p-value of `level`; the message says how small it can
        get.

    References
    ----------
    .. [1] Nichols & Holmes (2002), Nonparametric permutation tests for functional neuroimaging, Human Brain
       Mapping 15(1).
    .. [2] Smith & Nichols (2009), Threshold-free cluster enhancement, NeuroImage 44(1).

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal([0, 3, 0], size=(8, 3))
    >>> found = infer_group(maps, np.ones((3, 1, 1), bool), np.eye(4), n_permutations=199)
    >>> (found.p_values < 0.05).tolist()
    [False, True, False]
    """
    name = CORRECTIONS[check_option("correction", correction, CORRECTIONS)]
    check_range("cluster_p", cluster_p, 0, 0.5)
    check_jobs("n_jobs", n_jobs)
    values = _check_maps(maps, mask)
    smallest = check_smallest_p(len(values), n_permutations, level)
    sizes = [len(part) for part in np.array_split(range(n_permutations), -(-n_permutations // _BATCH))]
    found = in_processes(n_jobs)(
        delayed(_permute)(values, mask, affine, name, cluster_p, size, _draw_seed(seed, number))
        for number, size in enumerate(sizes)
    )
    t, statistic = (np.asarray(found[0][key], dtype=np.float64).reshape(-1) for key in ("t", name))
    null = np.concatenate([np.asarray(part[f"h0_max_{name}"], dtype=np.float64).ravel() for part in found])
    # Differs from nilearn: its p-values of clusters leave out the observed draw and can be too small for the
    # number of sign flips; here all statistics are counted in the same way.
    p_values = _count_as_large(statistic, null, smallest)
    if name != "t":
        p_values = np.where(statistic > 0, p_values, 1.0)
    return GroupMap(values.mean(axis=0), t, statistic, p_values, null, correction, len(values), smallest)


def check_smallest_p(n_subjects: int, n_permutations: int, level: float = 0.05) -> float:
    """Return the smallest p-value that sign flips can give; it must reach `level`.

    Raises
    ------
    ValueError
        If it does not.

    Examples
    --------
    >>> check_smallest_p(8, 10_000)
    0.00390625
    """
    flips = 1 / 2**n_subjects
    draws = 1 / (1 + check_range("n_permutations", n_permutations, minimum=1))
    if flips > level:
        have = "subject has" if n_subjects == 1 else "subjects have"
        raise ValueError(
            f"{n_subjects} {have} {2**n_subjects} sign flips, so no p-value of the group can be smaller than "
            f"{flips:.3g}; a test at {level:g} needs {int(np.ceil(-np.log2(level)))} or more."
        )
    if draws > level:
        raise ValueError(
            f"with {n_permutations} permutations no p-value can be smaller than {draws:.3g}; a test at "
            f"{level:g} needs {int(np.ceil(1 / level)) - 1} or more."
        )
    return max(flips, draws)


def find_peaks(
    group: GroupMap, mask: np.ndarray, affine: np.ndarray, *, model: str = "", level: float = 0.05
) -> pd.DataFrame:
    """Return one row per cluster of significant voxels, largest t first: see `PEAK_COLUMNS`.

    Clusters are voxels that share a face. Position, mean, t and p-value are those of the voxel with the
    largest t. Where nothing is significant, there is one row for the largest t of the map, cluster 0.
    """
    from scipy import ndimage

    volume = np.zeros(mask.shape)
    volume[mask] = group.t
    significant = np.zeros(mask.shape, dtype=bool)
    significant[mask] = group.p_values <= level
    labels, n_clusters = ndimage.label(significant)
    if n_clusters:
        places = ndimage.maximum_position(volume, labels, range(1, n_clusters + 1))
        sizes = np.bincount(labels.ravel())[1:]
    else:
        volume[~mask] = -np.inf
        places, sizes = [np.unravel_index(int(volume.argmax()), mask.shape)], np.zeros(1, dtype=int)
    number_of = np.full(mask.shape, -1)
    number_of[mask] = np.arange(len(group.t))
    voxel_mm3 = round(float(abs(np.linalg.det(affine[:3, :3]))), 6)
    rows = []
    for place, size in zip(places, sizes, strict=True):
        voxel = number_of[tuple(place)]
        x, y, z = affine[:3, :3] @ np.array(place) + affine[:3, 3]
        rows.append(
            {
                "model": model, "x_mm": x, "y_mm": y, "z_mm": z, "n_voxels": size,
                "volume_mm3": size * voxel_mm3, "mean": group.mean[voxel], "t": group.t[voxel],
                "statistic": group.statistic[voxel], "p_value": group.p_values[voxel],
                "is_significant": bool(n_clusters),
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows).sort_values("t", ascending=False, kind="stable", ignore_index=True)
    frame["cluster"] = np.arange(1, len(frame) + 1) if n_clusters else 0
    kinds = {key: kind for key, kind in PEAK_COLUMNS.items() if kind is not str}
    return frame[list(PEAK_COLUMNS)].astype(kinds)


def _check_maps(maps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    values = np.asarray(maps, dtype=np.float64)
    n_voxels = int(np.count_nonzero(mask))
    if values.ndim != 2 or values.shape[1] != n_voxels or mask.ndim != 3:
        raise ValueError(
            f"maps must have shape (n_subjects, n_voxels), {n_voxels} voxels as in the mask; got "
            f"{values.shape}."
        )
    if not np.isfinite(values).all():
        row, voxel = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"the map of subject {row} is {values[row, voxel]} in voxel {voxel}.")
    same = np.flatnonzero((values == values[0]).all(axis=0))
    if len(values) > 1 and len(same):
        raise ValueError(
            f"all subjects have the same value in {len(same)} of {n_voxels} voxels (first: "
            f"{values[0, same[0]]:g} in voxel {same[0]}), so there is no t there; leave them out of the mask."
        )
    return values


def _permute(
    values: np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    name: str,
    cluster_p: float,
    n_permutations: int,
    seed: int,
) -> dict[str, Any]:
    """Return what nilearn's sign flips give: statistics, and the largest of each draw."""
    import nibabel
    from nilearn.maskers import NiftiMasker
    from nilearn.mass_univariate import permuted_ols

    options: dict[str, Any] = {}
    if name != "t":
        image = nibabel.Nifti1Image(mask.astype(np.int8), affine)
        options["masker"] = NiftiMasker(mask_img=image).fit()
        options |= {"tfce": True} if name == "tfce" else {"threshold": cluster_p}
    with warnings.catch_warnings():
        # nilearn makes an image of its own cluster sizes, and warns that they are 64-bit integers.
        warnings.filterwarnings("ignore", "Data array used to create a new image contains 64-bit ints")
        return permuted_ols(
            np.ones((len(values), 1)),
            values,
            n_perm=n_permutations,
            two_sided_test=False,
            random_state=seed,
            n_jobs=1,
            **options,
        )


def _draw_seed(seed: int, batch: int) -> int:
    return int(make_rng(seed, "sign flips", batch).integers(2**31 - 1))


def _count_as_large(statistic: np.ndarray, null: np.ndarray, smallest: float) -> np.ndarray:
    """Return the share of draws, the observed one among them, that are as large as each statistic."""
    tolerant = statistic - _TIE * np.abs(statistic)
    larger = len(null) - np.searchsorted(np.sort(null), tolerant, side="left")
    return np.maximum((1 + larger) / (1 + len(null)), smallest)
