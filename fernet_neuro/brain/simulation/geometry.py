"""The planted geometry: which stimuli a region tells apart, and patterns of voxels that do so.

What belongs here: from factors and shares to patterns; regions and files are elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist, squareform

from fernet_neuro.brain.simulation.settings import SimulationSettings
from fernet_neuro.exceptions import AlignmentError, StimulusError
from fernet_neuro.stimuli.table import StimulusTable

#: Dimensions of the geometry that is a person's own: few, so that it is not the same for all pairs.
_OWN_DIMENSIONS = 6


@dataclass(frozen=True, eq=False)
class PlantedGeometry:
    """What regions tell apart.

    `kernels` (n_stimuli, n_stimuli): per factor, the inner products of centred features, scaled so that the
    mean over pairs of stimuli of the squared distance is 2. `shares`: by region and factor, as planted: those
    of factors that vary, adding up to 1. `notices`: what differs from what was asked for, in sentences.
    """

    kernels: dict[str, np.ndarray]
    shares: dict[str, dict[str, float]]
    notices: tuple[str, ...]

    def mix(self, region: str) -> np.ndarray:
        """Return the kernel of a region: the sum of its factors', weighted by their shares."""
        parts = [share * self.kernels[name] for name, share in self.shares[region].items()]
        return sum(parts, start=np.zeros_like(parts[0]))


def plant_geometry(
    table: StimulusTable, settings: SimulationSettings, features: Mapping[str, np.ndarray] | None = None
) -> PlantedGeometry:
    """Return what the regions of a group tell apart among the stimuli of a table.

    Labels are the same or not; numbers differ by so much; features by their squared Euclidean distance. These
    are the RDMs of ``rsa/models/factors.py`` (pixels with squared_euclidean), scaled to one mean.

    `features` (n_stimuli, n_features): such as ``{"pixels": compute_pixels(table).values}``; they go before
    columns of that name. Raises StimulusError if there are fewer than three stimuli, a factor is neither a
    column nor among the features, has gaps, or nothing that a region tells apart varies; AlignmentError if
    features are of another number of stimuli.
    """
    if len(table) < 3:
        raise StimulusError(f"a simulated group needs three or more stimuli; the table has {len(table)}.")
    given = dict(features or {})
    names = dict.fromkeys(
        name for region in settings.regions.values() for name, share in region.shares.items() if share > 0
    )
    found = {name: _compute_kernel(table, name, given) for name in names}
    kernels = {name: kernel for name, kernel in found.items() if kernel is not None}
    shares, notices = {}, []
    for region, section in settings.regions.items():
        shares[region], notice = _renormalise(region, section.shares, kernels)
        notices += notice
    return PlantedGeometry(kernels, shares, tuple(notices))


def draw_patterns(
    kernel: np.ndarray, n_voxels: int, individual: float, rng: np.random.Generator
) -> np.ndarray:
    """Return patterns, ndarray of shape (n_stimuli, n_voxels), whose expected geometry is that of a kernel.

    Voxels are independent, each a random projection of the features behind the kernel. The expected squared
    Euclidean RDM, divided by the number of voxels, is that of ``(1 - individual) * kernel`` plus a constant:
    the person's own geometry is drawn anew, the same for all pairs on average.

    Parameters
    ----------
    kernel : ndarray of shape (n_stimuli, n_stimuli)
        As in `PlantedGeometry`.
    n_voxels : int
    individual : float
        Share of the variance that is the person's own.
    rng : Generator

    Examples
    --------
    >>> kernel = np.eye(3) - 1 / 3  # three stimuli, each as far from the others
    >>> patterns = draw_patterns(kernel, 10_000, 0.0, np.random.default_rng(0))
    >>> (pdist(patterns, "sqeuclidean") / 10_000).round(1).tolist()
    [2.0, 2.0, 2.0]
    """
    n_stimuli = len(kernel)
    own = _scale(_centre_gram(rng.standard_normal((n_stimuli, _OWN_DIMENSIONS))))
    values, vectors = np.linalg.eigh((1 - individual) * kernel + individual * own)
    # The symmetric root does not depend on the signs of the eigenvectors, which differ between libraries.
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root @ rng.standard_normal((n_stimuli, n_voxels))


def _compute_kernel(table: StimulusTable, name: str, features: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Return the kernel of a factor, or None where all stimuli are the same in it."""
    if name in features:
        values = np.asarray(features[name], dtype=np.float64)
        if values.ndim != 2 or len(values) != len(table):
            raise AlignmentError(
                f"features {name!r} must have shape (n_stimuli, n_features), {len(table)} stimuli as in the "
                f"table; got {values.shape}."
            )
        distances = pdist(values, "sqeuclidean")
    elif name == "pixels" and name not in table.frame:
        raise StimulusError("regions have a share of 'pixels': give features={'pixels': ...} with them.")
    elif {str(value) for value in table.factor(name, complete=False)} <= {"", "nan"}:
        return None  # a column that no stimulus has a value in, as imported tables have them
    else:
        distances = _compare_labels(table, name)
    if not distances.any():
        return None
    squares = squareform(distances)
    centre = np.eye(len(table)) - 1 / len(table)
    return _scale(-0.5 * centre @ squares @ centre)


def _compare_labels(table: StimulusTable, name: str) -> np.ndarray:
    values = table.factor(name)
    if values.dtype.kind in "if":
        if not np.isfinite(values).all():
            raise StimulusError(f"factor {name!r} holds values that are not finite.")
        return pdist(values[:, None].astype(np.float64), "cityblock")
    codes = np.unique(values, return_inverse=True)[1].astype(np.float64)
    return np.sign(pdist(codes[:, None], "cityblock"))


def _centre_gram(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return centred @ centred.T


def _scale(kernel: np.ndarray) -> np.ndarray:
    """Return a centred kernel with a mean squared distance of 2: that of one voxel of variance 1."""
    return kernel * ((len(kernel) - 1) / np.trace(kernel))


def _renormalise(
    region: str, shares: Mapping[str, float], kernels: Mapping[str, np.ndarray]
) -> tuple[dict[str, float], list[str]]:
    """Return the shares of factors that vary, adding up to 1, and a notice where others were left out."""
    left = {name: share for name, share in shares.items() if name in kernels and share > 0}
    out = [name for name, share in shares.items() if name not in kernels and share > 0]
    if not left:
        raise StimulusError(
            f"region {region} tells stimuli apart by {', '.join(map(repr, out))} alone, in which all of them "
            f"are the same; give it other shares, or stimuli that vary."
        )
    total = sum(left.values())
    scaled = {name: share / total for name, share in left.items()}
    if not out:
        return scaled, []
    now = ", ".join(f"{name} {share:.2f}" for name, share in scaled.items())
    return scaled, [f"{region}: all stimuli are the same in {', '.join(out)}; its shares are now {now}."]
