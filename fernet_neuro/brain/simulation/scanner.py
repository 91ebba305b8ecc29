"""The scanner: a volume around the regions, its noise, and time series as it would store them.

What belongs here: arrays of voxels; files are in `dataset`.
"""

from dataclasses import dataclass

import numpy as np

from fernet_neuro.brain.images import compute_coordinates
from fernet_neuro.brain.simulation.settings import SimulationSettings

#: Mean signal inside the head: whole numbers resolve a hundredth of a per cent of it.
BASELINE = 10_000
#: Free space around the regions, mm.
_MARGIN = 6.0
#: An ellipsoid about as large as the brain in MNI space: centre and half axes, mm.
_HEAD_CENTRE, _HEAD_AXES = (0.0, -18.0, 10.0), (74.0, 92.0, 72.0)
#: Full width at half maximum of a Gaussian of standard deviation 1.
_FWHM = 2 * np.sqrt(2 * np.log(2))
#: Slow drifts: half cosine waves that fit into a run up to this order.
_DRIFT_ORDERS = 2


@dataclass(frozen=True, eq=False)
class Volume:
    """Where voxels lie.

    `affine` (4, 4): to mm in MNI space. `mask` (n_x, n_y, n_z): inside the head. `regions` (n_x, n_y, n_z).
    """

    affine: np.ndarray
    mask: np.ndarray
    regions: dict[str, np.ndarray]


def build_volume(settings: SimulationSettings) -> Volume:
    """Return a box around the regions, and which of its voxels lie in the head or in a region.

    Raises ValueError if a region holds no voxel, or two share one.
    """
    size = settings.voxel_size
    centres = np.array([region.centre for region in settings.regions.values()])
    radii = np.array([[region.radius] for region in settings.regions.values()])
    low = np.floor(((centres - radii).min(axis=0) - _MARGIN) / size) * size
    high = np.ceil(((centres + radii).max(axis=0) + _MARGIN) / size) * size
    shape = tuple(int(count) for count in np.round((high - low) / size) + 1)
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = low
    places = compute_coordinates(np.ones(shape, dtype=bool), affine)
    regions = {
        name: (np.linalg.norm(places - region.centre, axis=1) <= region.radius).reshape(shape)
        for name, region in settings.regions.items()
    }
    _check_regions(regions, size)
    head = (((places - _HEAD_CENTRE) / _HEAD_AXES) ** 2).sum(axis=1) <= 1
    mask = np.logical_or.reduce([head.reshape(shape), *regions.values()])
    return Volume(affine, mask, regions)


def scan_run(
    volume: Volume, signal: dict[str, np.ndarray], settings: SimulationSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return the volumes of a run, ndarray of int16 of shape (n_x, n_y, n_z, n_scans); 0 outside the head.

    `signal` (n_scans, n_voxels): by region, in standard deviations of the noise.
    """
    n_scans = len(next(iter(signal.values())))
    series = draw_noise(volume.mask.shape, n_scans, settings, rng)
    series += settings.drift * _draw_drift(volume.mask.shape, n_scans, rng)
    for name, values in signal.items():
        series[:, volume.regions[name]] += values
    raw = np.rint(BASELINE * (1 + settings.noise / 100 * series)) * volume.mask
    return np.ascontiguousarray(np.moveaxis(np.clip(raw, 0, 2**15 - 1).astype(np.int16), 0, -1))


def draw_noise(
    shape: tuple[int, ...], n_scans: int, settings: SimulationSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return noise of variance 1, ndarray of shape (n_scans, n_x, n_y, n_z), smooth in space and time."""
    from scipy.ndimage import gaussian_filter
    from scipy.signal import lfilter

    white = rng.standard_normal((n_scans, *shape), dtype=np.float32)
    width = settings.smoothness / _FWHM / settings.voxel_size
    if width > 0:
        point = np.zeros(shape, dtype=np.float32)
        point[tuple(count // 2 for count in shape)] = 1
        spread = gaussian_filter(point, width, mode="wrap")
        white = gaussian_filter(white, (0, width, width, width), mode="wrap") / np.sqrt((spread**2).sum())
    correlation = settings.autocorrelation
    white[1:] *= np.sqrt(1 - correlation**2)  # the first volume starts the series at its final variance
    return lfilter([1.0], [1.0, -correlation], white, axis=0)


def _draw_drift(shape: tuple[int, ...], n_scans: int, rng: np.random.Generator) -> np.ndarray:
    """Return slow drifts of variance 1, ndarray of shape (n_scans, n_x, n_y, n_z)."""
    times = (np.arange(n_scans) + 0.5) / n_scans
    waves = np.stack([np.cos(np.pi * order * times) for order in range(1, _DRIFT_ORDERS + 1)])
    weights = rng.standard_normal((_DRIFT_ORDERS, int(np.prod(shape))))
    return (waves.T @ weights / np.sqrt(_DRIFT_ORDERS / 2)).reshape(n_scans, *shape)


def _check_regions(regions: dict[str, np.ndarray], size: float) -> None:
    names = list(regions)
    for number, name in enumerate(names):
        if not regions[name].any():
            raise ValueError(f"region {name} holds no voxel of {size:g} mm; make its radius larger.")
        for other in names[:number]:
            if (regions[name] & regions[other]).any():
                raise ValueError(f"regions {other} and {name} overlap; move one, or make it smaller.")
