"""Gabor energy: how much contrast of each orientation and width a picture has in each place.

What belongs here: the filters and the features, a baseline of what early visual cortex could tell apart.
"""

import math

import numpy as np
from scipy import fft

from fernet_neuro._utils.validation import check_range
from fernet_neuro.activations.array import Activations

#: Cycles per picture of the filters; the finest that fits has four pixels per cycle.
FREQUENCIES = (3.0, 6.0, 12.0, 24.0)
N_ORIENTATIONS = 8
#: Side of the grid of places over which energy is averaged.
N_PLACES = 8
#: Width of the envelope in cycles: half amplitude at about one octave [1]_.
ENVELOPE = 0.56


def compute_gabor_energy(
    pictures: Activations,
    *,
    frequencies: tuple[float, ...] = FREQUENCIES,
    n_orientations: int = N_ORIENTATIONS,
    n_places: int = N_PLACES,
) -> Activations:
    """Return the energy of quadrature pairs of Gabor filters, averaged inside each cell of a grid.

    Energy is the root of the summed squares of the even and the odd answer, so that it does not depend on
    where exactly an edge lies, nor on its sign. Edges of the picture are mirrored.

    Parameters
    ----------
    pictures : Activations
        Grey levels with ``unit_shape`` (height, width), such as `activations.pixels.compute_pixels` gives.
    frequencies : tuple of float, default=FREQUENCIES
        Cycles per picture height; those with fewer than four pixels per cycle are refused.
    n_orientations : int, default=8
        Evenly spaced from 0 up to 180 degrees; 0 answers to vertical edges.
    n_places : int, default=8
        Cells of the grid along each side.

    Returns
    -------
    Activations
        Layer ``"gabor"``, ``unit_shape`` (n_frequencies, n_orientations, n_places, n_places), in grey levels.

    Raises
    ------
    ValueError
        If pictures are not two-dimensional, a frequency is too fine, or the grid finer than the picture.

    References
    ----------
    .. [1] Daugman (1985), Uncertainty relation for resolution in space, spatial frequency, and orientation
       optimized by two-dimensional visual cortical filters, Journal of the Optical Society of America A 2.
    .. [2] Adelson & Bergen (1985), Spatiotemporal energy models for the perception of motion, same journal.
    """
    if len(pictures.unit_shape) != 2:
        raise ValueError(f"pictures must have unit_shape (height, width); got {pictures.unit_shape}.")
    height, width = pictures.unit_shape
    check_range("n_places", n_places, 1, min(height, width))
    check_range("n_orientations", n_orientations, 1)
    for frequency in frequencies:
        check_range("frequency", frequency, 1, height / 4)
    margin = _margin(height, frequencies)
    filters = _build_filters(height, width, margin, frequencies, n_orientations)
    shape = (len(frequencies), n_orientations, n_places, n_places)
    energies = np.empty((pictures.n_stimuli, *shape), dtype=np.float32)
    for row, picture in enumerate(pictures.maps):
        padded = np.pad(picture.astype(np.float32), margin, mode="symmetric")
        answers = fft.ifft2(fft.fft2(padded) * filters, overwrite_x=True)
        inside = np.abs(answers[:, margin : margin + height, margin : margin + width])
        energies[row] = _average_cells(inside, n_places).reshape(shape)
    return Activations.from_maps(energies, pictures.stimulus_ids, "gabor")


def _margin(height: int, frequencies: tuple[float, ...]) -> int:
    """Return how far the widest filter reaches: two standard deviations."""
    reach = min(math.ceil(2 * ENVELOPE * height / min(frequencies)), height - 1)
    return (fft.next_fast_len(height + 2 * reach) - height) // 2


def _build_filters(
    height: int, width: int, margin: int, frequencies: tuple[float, ...], n_orientations: int
) -> np.ndarray:
    """Return the filters' spectra (n_frequencies * n_orientations, padded height, padded width).

    A Gaussian around one frequency alone gives an even answer as its real part and an odd one as its
    imaginary part; its value at frequency zero is taken off as a second Gaussian, so that mean grey has none.
    """
    y = np.fft.fftfreq(height + 2 * margin)[:, None]
    x = np.fft.fftfreq(width + 2 * margin)[None]
    filters = []
    for frequency in frequencies:
        centre = frequency / height
        sharpness = 2 * (math.pi * ENVELOPE / centre) ** 2
        at_zero = np.exp(-sharpness * (x**2 + y**2))
        for number in range(n_orientations):
            angle = math.pi * number / n_orientations
            to_centre = (x - centre * math.cos(angle)) ** 2 + (y - centre * math.sin(angle)) ** 2
            leak = math.exp(-sharpness * centre**2)
            filters.append(2 * (np.exp(-sharpness * to_centre) - leak * at_zero))
    return np.stack(filters).astype(np.float32)  # half the time; features are float32 too


def _average_cells(maps: np.ndarray, n_places: int) -> np.ndarray:
    """Return the means (n_maps, n_places, n_places) of maps (n_maps, height, width) in cells of a grid."""
    for axis in (1, 2):
        bounds = np.linspace(0, maps.shape[axis], n_places + 1).round().astype(int)
        sums = np.add.reduceat(maps, bounds[:-1], axis=axis)
        counts = np.diff(bounds).reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
        maps = sums / counts
    return maps
