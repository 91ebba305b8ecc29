"""The picture itself as a layer: what a read-out can do without any network.

What belongs here: image-level controls computed with NumPy and Pillow.
"""

import numpy as np
from PIL import Image

from fernet_neuro._utils.validation import check_range
from fernet_neuro.activations.array import Activations
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable

#: Luma of red, green and blue as Pillow and torchvision weigh them (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def compute_pixels(table: StimulusTable, size: int = 48) -> Activations:
    """Return each stimulus's grey levels as the layer ``"pixels"``.

    The largest centred square is averaged over areas, not sampled, so that no detail aliases.

    `table`: stimuli, in the order of the rows returned. `size`: side of the reduced picture, in pixels.
    Returns activations (n_stimuli, size * size): grey levels from 0 (black) to 1 (white), float32. Raises
    StimulusError if an image is missing or cannot be decoded.
    """
    check_range("size", size, minimum=1)
    maps = np.empty((len(table), size, size), dtype=np.float32)
    for row, path in enumerate(table.paths()):
        maps[row] = _reduce_grey(load_image(path), size)
    return Activations.from_maps(maps, table.stimulus_ids, "pixels")


def _reduce_grey(image: np.ndarray, size: int) -> np.ndarray:
    """Return grey levels (size, size) in 0..1 of the centred square of a uint8 image (height, width, 3)."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    grey = Image.fromarray((square.astype(np.float32) / 255.0) @ _LUMA)
    return np.asarray(grey.resize((size, size), Image.Resampling.BOX))
