"""Where values lie: the voxels of an image, or the vertices of two hemispheres, by one interface.

What belongs here: the volume grid and what both kinds have in common; surfaces are in `surfaces`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fernet_neuro.brain import images
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image


class Grid(Protocol):
    """Points at which there are values, in a fixed order.

    A mask of a grid is an ndarray of bool of shape (n_points,). A file is named by its path; that of a
    surface by two, ``LEFT,RIGHT``.
    """

    @property
    def n_points(self) -> int:
        """Number of voxels or vertices."""
        ...

    @property
    def coordinates(self) -> np.ndarray:
        """Where they lie, ndarray of shape (n_points, 3), mm."""
        ...

    def read(self, name: str, mask: np.ndarray) -> np.ndarray:
        """Return the values of a file inside a mask, ndarray of shape (n_volumes, n_inside)."""
        ...

    def read_mask(self, name: str) -> np.ndarray:
        """Return the mask of a file."""
        ...

    def read_labels(self, name: str) -> np.ndarray:
        """Return the whole numbers of an atlas, ndarray of int of shape (n_points,)."""
        ...

    def write(self, stem: PathLike, values: np.ndarray, mask: np.ndarray) -> list[Path]:
        """Write values inside a mask, 0 outside, to files whose names start with `stem`."""
        ...


class VolumeGrid:
    """The voxels of an image, in C order.

    `reference`: any image on the grid; all others must be on it. `name`: what errors call the grid.
    """

    def __init__(self, reference: "Nifti1Image", name: str) -> None:
        self.reference = reference
        self.name = name
        self.shape: tuple[int, ...] = reference.shape[:3]

    @classmethod
    def of(cls, path: str) -> "VolumeGrid":
        """Return the grid of an image file."""
        return cls(images.load_image(path), path)

    @property
    def n_points(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def coordinates(self) -> np.ndarray:
        """Centres of the voxels, ndarray of shape (n_points, 3), in mm of the image's space."""
        return images.compute_coordinates(np.ones(self.shape, dtype=bool), self.reference.affine)

    def read(self, name: str, mask: np.ndarray) -> np.ndarray:
        """Return the values of an image inside a mask, ndarray of shape (n_volumes, n_inside).

        Raises StoreError if the image is missing or damaged; ValueError if it is on another grid.
        """
        image = images.load_image(name)
        images.check_same_grid(image, self.reference, f"image {name}", self.name)
        return images.read_volumes(image, mask.reshape(self.shape), name)

    def read_mask(self, name: str) -> np.ndarray:
        """Return the mask of an image: see `images.load_mask`."""
        return images.load_mask(name, self.reference, self.name).ravel()

    def read_labels(self, name: str) -> np.ndarray:
        """Return the whole numbers of an atlas image, ndarray of int of shape (n_points,).

        Raises ValueError if it is on another grid, or holds other numbers.
        """
        image = images.load_image(name)
        images.check_same_grid(image, self.reference, f"atlas {name}", self.name)
        return as_labels(images.read_array(image, name), name, self.n_points)

    def write(self, stem: PathLike, values: np.ndarray, mask: np.ndarray) -> list[Path]:
        """Write values inside a mask as ``STEM.nii.gz``."""
        path = Path(f"{stem}.nii.gz")
        images.write_map(path, values, mask.reshape(self.shape), self.reference.affine)
        return [path]


def as_labels(values: np.ndarray, name: str, n_points: int) -> np.ndarray:
    """Return the values of an atlas as whole numbers, one per point; NaN is 0.

    Raises ValueError if there is not one whole number per point.
    """
    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64)).ravel()
    if len(numbers) != n_points:
        raise ValueError(
            f"atlas {name} has {len(numbers)} values for {n_points} places; an atlas is one volume."
        )
    labels = np.rint(numbers).astype(int)
    if np.abs(numbers - labels).max() > 0:
        raise ValueError(f"atlas {name} holds numbers that are not whole; probabilities need a threshold.")
    return labels
