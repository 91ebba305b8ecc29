"""Volumes of the scanner as arrays: images, masks and coordinates read, maps written.

What belongs here: NIfTI files and the grid that they share; surfaces are in `surfaces`, regions in `rois`.
Voxels are always in the order of ``np.nonzero(mask)``, which is that of nilearn's maskers.
"""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

#: Millimetres by which two affines may differ in any entry and still be one grid: headers hold float32.
AFFINE_TOLERANCE = 1e-3
#: What gzip can pack into one byte, and a little more.
_GZIP_RATIO = 1100
#: Level of gzip: twice as fast as the default and a few per cent larger.
_COMPRESSION = 4


def load_image(path: PathLike) -> "Nifti1Image":
    """Return the image of a file; its values are read only when asked for.

    Raises StoreError if the file is missing or no image.
    """
    import nibabel

    file = Path(path)
    if not file.is_file():
        raise StoreError(f"image {file} does not exist.")
    try:
        image: Any = nibabel.load(file)
        shape: tuple[int, ...] = getattr(image, "shape", ())
        affine = getattr(image, "affine", None)
    except Exception as error:  # nibabel and what is below it raise many kinds
        raise StoreError(f"image {file} cannot be read: {' '.join(str(error).split())}") from error
    if len(shape) < 3 or affine is None or not np.isfinite(affine).all():
        raise StoreError(f"image {file} is not a volume; give a NIfTI image, or GIFTI files as LEFT,RIGHT.")
    _check_size(image, file)
    # AFNI puts its volumes into the fifth axis, and the fourth is 1.
    if len(shape) == 5 and shape[3] == 1:
        return nibabel.Nifti1Image(read_array(image, file)[..., 0, :], affine)
    if len(shape) > 4:
        raise StoreError(f"image {file} has {len(shape)} axes, {shape}; it must have three, or four.")
    return image


def _check_size(image: Any, file: Path) -> None:
    """Raise if a header claims more than its file can hold, before memory is taken for it."""
    claimed = float(np.prod([float(n) for n in image.shape])) * image.get_data_dtype().itemsize
    most = file.stat().st_size * (_GZIP_RATIO if file.suffix == ".gz" else 1)
    if file.suffix in (".nii", ".gz") and (claimed > most or min(image.shape) < 1):
        raise StoreError(
            f"image {file} is damaged: its header claims {image.shape} values, which it cannot hold."
        )


def load_mask(
    path: PathLike, reference: "Nifti1Image | None" = None, reference_name: str = "the data"
) -> np.ndarray:
    """Return a mask as a boolean array of shape (n_x, n_y, n_z); voxels that are NaN lie outside.

    Raises StoreError if the file is missing or no image; ValueError if it holds two values besides 0, no
    voxel, or is on another grid than `reference`.
    """
    image = load_image(path)
    if reference is not None:
        check_same_grid(image, reference, f"mask {path}", reference_name)
    values = np.nan_to_num(read_array(image, path))
    values = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    if values.ndim != 3:
        raise ValueError(f"mask {path} has shape {values.shape}; a mask is one volume.")
    kinds = np.unique(values[values != 0])
    if len(kinds) > 1:
        raise ValueError(
            f"mask {path} holds {len(kinds)} values besides 0 (such as {kinds[0]:g} and {kinds[-1]:g}); "
            f"threshold it, or use it as an atlas with a label."
        )
    if not len(kinds):
        raise ValueError(f"mask {path} is empty: no voxel is inside.")
    return values != 0


def check_same_grid(
    image: "Nifti1Image", reference: "Nifti1Image", name: str = "the image", reference_name: str = "the data"
) -> None:
    """Raise unless two images have the same voxels in the same places.

    Raises ValueError naming both shapes, or both affines.
    """
    advice = f"resample it to the grid of {reference_name} first (nilearn.image.resample_to_img)"
    shapes = image.shape[:3], reference.shape[:3]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{name} has {shapes[0]} voxels, {reference_name} {shapes[1]}: another space; {advice}."
        )
    if not np.allclose(image.affine, reference.affine, rtol=0, atol=AFFINE_TOLERANCE):
        row, column = np.argwhere(np.abs(image.affine - reference.affine) > AFFINE_TOLERANCE)[0]
        raise ValueError(
            f"{name} has another affine than {reference_name} ({image.affine[row, column]:g} against "
            f"{reference.affine[row, column]:g} in row {row}, column {column}): another space; {advice}."
        )


def compute_coordinates(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return where the voxels of a mask lie, ndarray of shape (n_voxels, 3), in mm of the image's space.

    Examples
    --------
    >>> mask = np.zeros((3, 3, 3), dtype=bool)
    >>> mask[2, 1, 0] = True
    >>> compute_coordinates(mask, np.diag([2.0, 2.0, 3.0, 1.0])).tolist()
    [[4.0, 2.0, 0.0]]
    """
    return np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]


def read_array(image: "Nifti1Image", name: Any = "") -> np.ndarray:
    """Return the values of an image as they are on disk, scaled where its header says so.

    Raises StoreError if the file is cut short or damaged; the message has `name`.
    """
    return _read_values(lambda: image.dataobj, name)


def read_first(image: "Nifti1Image", name: Any = "") -> np.ndarray:
    """Return the first volume of an image as `read_array` does, without unpacking the others."""
    return _read_values(lambda: image.dataobj[..., 0] if len(image.shape) > 3 else image.dataobj, name)


def _read_values(read: Callable[[], Any], name: Any) -> np.ndarray:
    try:
        return np.asanyarray(read())
    except Exception as error:  # nibabel and what is below it raise many kinds, MemoryError among them
        raise StoreError(f"image {name} is damaged: {' '.join(str(error).split())}") from error


def read_volumes(image: "Nifti1Image", mask: np.ndarray, name: Any = "the image") -> np.ndarray:
    """Return the values inside a mask, ndarray of shape (n_volumes, n_voxels), float64.

    A 3-D image is one volume.

    Raises ValueError if the mask has another shape.
    """
    if mask.shape != image.shape[:3]:
        raise ValueError(f"the mask has shape {mask.shape}, {name} {image.shape[:3]} voxels.")
    values = read_array(image, name)[mask].astype(np.float64)
    return values[None] if values.ndim == 1 else np.ascontiguousarray(values.T)


def build_map(values: np.ndarray, mask: np.ndarray, affine: np.ndarray, fill: float = 0.0) -> "Nifti1Image":
    """Return an image of values inside a mask, `fill` outside, as float32.

    `values` (n_voxels,) or (n_volumes, n_voxels). `mask` (n_x, n_y, n_z). `affine` (4, 4). Raises ValueError
    if there is not one value per voxel of the mask.
    """
    import nibabel

    rows = np.asarray(values, dtype=np.float32)
    if rows.shape[-1] != np.count_nonzero(mask):
        raise ValueError(f"the mask has {np.count_nonzero(mask)} voxels, the values {rows.shape[-1]}.")
    data = np.full((*mask.shape, *rows.shape[:-1]), fill, dtype=np.float32)
    data[mask] = rows.T
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    return image


def write_image(path: PathLike, image: "Nifti1Image") -> None:
    """Write an image as ``.nii`` or ``.nii.gz``, complete or not at all; equal images give equal files.

    Raises ValueError if the name ends in something else.
    """
    name = str(path)
    if not name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"image {name} must end in .nii or .nii.gz.")
    content = image.to_bytes()
    with atomic_file(path) as temporary:
        # Compressed here: nibabel goes by the whole name, and would write the time into the file.
        temporary.write_bytes(
            gzip.compress(content, _COMPRESSION, mtime=0) if name.endswith(".gz") else content
        )


def write_map(
    path: PathLike, values: np.ndarray, mask: np.ndarray, affine: np.ndarray, fill: float = 0.0
) -> None:
    """Write values inside a mask as an image: see `build_map` and `write_image`."""
    write_image(path, build_map(values, mask, affine, fill))


def check_constant_voxels(values: np.ndarray, name: str) -> tuple[np.ndarray, dict[str, int]]:
    """Return which voxels can be used, and how many cannot for which reason.

    `values` (n_volumes, n_voxels). `name`: what errors call the voxels. Returns `keep` (n_voxels,): false
    where a voxel is somewhere not finite, or the same in all volumes. `left_out`: counts under ``not_finite``
    and ``constant``. Raises StimulusError if no voxel is left.
    """
    finite = np.isfinite(values).all(axis=0)
    constant = finite & (values == values[0]).all(axis=0) & (len(values) > 1)
    left_out = {"not_finite": int((~finite).sum()), "constant": int(constant.sum())}
    keep = finite & ~constant
    if not keep.any():
        raise StimulusError(
            f"{name}: all {values.shape[1]} voxels are NaN or constant ({left_out['not_finite']} and "
            f"{left_out['constant']}); is the region inside the scanned volume?"
        )
    return keep, left_out
