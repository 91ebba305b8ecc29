"""What is resampled: images, or all images of a person together; and sums over them, resample by resample.

What belongs here: units and weighted sums; what the sums mean is in `metrics`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fernet_neuro._utils.validation import check_range

#: Multiplicities that are held in memory at once.
_WEIGHTS_AT_ONCE = 2**21
#: Bytes that resampled sums may take.
_MOST_BYTES = 2**31


@dataclass(frozen=True, eq=False)
class Units:
    """Which images come and go together.

    `codes` (n_images,): unit of each image, from 0. `name`: "images" or "identities". `n_unnamed`: images
    without an identity among others that have one; each is a unit of its own.
    """

    codes: np.ndarray
    name: str
    n_unnamed: int

    def __len__(self) -> int:
        """Return the number of units."""
        return int(self.codes.max()) + 1

    @property
    def is_grouped(self) -> bool:
        """Whether units are people rather than images."""
        return self.name != "images"


def find_units(groups: np.ndarray | None, n_images: int) -> Units:
    """Return people as units where `groups` names them, else images.

    `groups` (n_images,): who is shown; empty where unknown. Raises ValueError if `groups` is of another
    length.
    """
    if groups is None or not np.any(np.asarray(groups, dtype=str) != ""):
        return Units(np.arange(n_images), "images", 0)
    names = np.asarray(groups, dtype=str)
    if names.shape != (n_images,):
        raise ValueError(f"groups must name one per image, shape ({n_images},); got {names.shape}.")
    unnamed = names == ""
    codes = np.unique(names, return_inverse=True)[1]
    codes[unnamed] = codes.max() + 1 + np.arange(unnamed.sum())
    return Units(np.unique(codes, return_inverse=True)[1], "identities", int(unnamed.sum()))


def sum_units(features: sparse.csr_array, units: Units) -> sparse.csr_array:
    """Return the sums of `features` (n_images, n_features) over the images of each unit."""
    n_images = len(units.codes)
    belongs = sparse.csr_array((np.ones(n_images), (units.codes, np.arange(n_images))))
    return sparse.csr_array(belongs @ features)


def resample_sums(sums: sparse.csr_array, n_boot: int, rng: np.random.Generator) -> np.ndarray:
    """Return sums over bootstrap samples of units.

    `sums` (n_units, n_features): one row per unit, such as from `sum_units`. `n_boot`: number of resamples,
    each of n_units units drawn with replacement. Returns an array (n_boot, n_features). Raises ValueError if
    `n_boot` is below 1, or the result would take more than 2 GB.
    """
    check_range("n_boot", n_boot, minimum=1)
    n_units, n_features = sums.shape
    if 8 * n_boot * n_features > _MOST_BYTES:
        most = _MOST_BYTES // (8 * n_features)
        raise ValueError(f"n_boot={n_boot} with so many classes takes too much memory; use at most {most}.")
    draws = np.empty((n_boot, n_features))
    across = sparse.csr_array(sums.T)
    step = max(1, _WEIGHTS_AT_ONCE // n_units)
    for start in range(0, n_boot, step):
        n = min(step, n_boot - start)
        picks = rng.integers(0, n_units, (n, n_units)) + n_units * np.arange(n)[:, None]
        weights = np.bincount(picks.ravel(), minlength=n * n_units).reshape(n, n_units)
        draws[start : start + n] = (across @ weights.T.astype(float)).T
    return draws
