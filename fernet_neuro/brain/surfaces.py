"""Surface data as arrays, through nilearn's surface masker: GIFTI files of two hemispheres, left then right.

What belongs here: GIFTI files and the mesh that they share; volumes are in `images`.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro.brain.grids import as_labels
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

if TYPE_CHECKING:
    from nilearn.surface import PolyMesh, SurfaceImage

_HEMISPHERES = ("left", "right")
_END_OF_MAP = b"</DataArray>"


class SurfaceGrid:
    """The vertices of two hemispheres, left then right.

    `mesh`: with both hemispheres. `name`: what errors call it.
    """

    def __init__(self, mesh: "PolyMesh", name: str) -> None:
        self.mesh = mesh
        self.name = name
        self.n_vertices = {side: mesh.parts[side].n_vertices for side in _HEMISPHERES}

    @classmethod
    def of(cls, name: str) -> "SurfaceGrid":
        """Return the grid of two mesh files, ``LEFT,RIGHT``.

        Raises StoreError if a file is missing or no mesh.
        """
        from nilearn.surface import PolyMesh

        files = _split(name)
        try:
            return cls(PolyMesh(**files), name)
        except Exception as error:  # nibabel and the XML parser below it raise many kinds
            raise StoreError(f"mesh {name} cannot be read: {' '.join(str(error).split())}") from error

    @property
    def n_points(self) -> int:
        """Number of vertices of both hemispheres."""
        return sum(self.n_vertices.values())

    @property
    def coordinates(self) -> np.ndarray:
        """Where the vertices lie, ndarray of shape (n_points, 3), mm."""
        return np.concatenate([np.asarray(self.mesh.parts[side].coordinates) for side in _HEMISPHERES])

    def read(self, name: str, mask: np.ndarray) -> np.ndarray:
        """Return the values of two files inside a mask, ndarray of shape (n_volumes, n_inside), float64.

        Raises StoreError if a file is missing or damaged; ValueError if the files have other numbers of
        vertices than the mesh.
        """
        from nilearn.maskers import SurfaceMasker

        masker = SurfaceMasker(self._image_of(mask), standardize=None, reports=False).fit()
        values = np.asarray(masker.transform(self._load(name)), dtype=np.float64)
        return values[None] if values.ndim == 1 else values

    def read_mask(self, name: str) -> np.ndarray:
        """Return the mask of two files: where they are not 0, nor NaN.

        Raises ValueError if no vertex is inside, or there are two values besides 0.
        """
        values = np.nan_to_num(self._read_one(name, "mask"))
        kinds = np.unique(values[values != 0])
        if len(kinds) != 1:
            problem = (
                "is empty: no vertex is inside" if not len(kinds) else f"holds {len(kinds)} values besides 0"
            )
            raise ValueError(f"mask {name} {problem}.")
        return values != 0

    def read_labels(self, name: str) -> np.ndarray:
        """Return the whole numbers of an atlas of two files, ndarray of int of shape (n_points,)."""
        return as_labels(self._read_one(name, "atlas"), name, self.n_points)

    def write(self, stem: PathLike, values: np.ndarray, mask: np.ndarray) -> list[Path]:
        """Write values inside a mask as ``STEM_hemi-L.func.gii`` and ``STEM_hemi-R.func.gii``."""
        import nibabel

        rows = np.atleast_2d(np.asarray(values, dtype=np.float32))
        filled = np.zeros((len(rows), self.n_points), dtype=np.float32)
        filled[:, mask] = rows
        paths = []
        for side, part in zip("LR", self._split_points(filled), strict=True):
            arrays = [nibabel.gifti.GiftiDataArray(row, datatype="NIFTI_TYPE_FLOAT32") for row in part]
            content = nibabel.gifti.GiftiImage(darrays=arrays).to_bytes()
            paths.append(Path(f"{stem}_hemi-{side}.func.gii"))
            with atomic_file(paths[-1]) as temporary:
                temporary.write_bytes(content)
        return paths

    def _read_one(self, name: str, what: str) -> np.ndarray:
        parts = [np.asarray(self._load(name).data.parts[side], dtype=float) for side in _HEMISPHERES]
        if any(part.size != len(part) for part in parts):
            raise ValueError(f"{what} {name} has several values per vertex; it must have one.")
        return np.concatenate([part.ravel() for part in parts])

    def _load(self, name: str) -> "SurfaceImage":
        from nilearn.surface import PolyData, SurfaceImage, load_surf_data

        files = _split(name)
        try:
            data = PolyData(
                **{side: np.asarray(load_surf_data(file), dtype=float) for side, file in files.items()}
            )
        except Exception as error:  # nibabel and the XML parser below it raise many kinds
            raise StoreError(
                f"surface files {name} cannot be read: {' '.join(str(error).split())}"
            ) from error
        for side, part in data.parts.items():
            if len(part) != self.n_vertices[side]:
                raise ValueError(
                    f"surface file {files[side]} has {len(part)} vertices, the {side} mesh of {self.name} "
                    f"{self.n_vertices[side]}: another space; resample it to that mesh first."
                )
        return SurfaceImage(self.mesh, data)

    def _image_of(self, mask: np.ndarray) -> "SurfaceImage":
        from nilearn.surface import SurfaceImage

        parts: Any = dict(zip(_HEMISPHERES, self._split_points(mask[None]), strict=True))
        return SurfaceImage(self.mesh, {side: part[0] for side, part in parts.items()})

    def _split_points(self, values: np.ndarray) -> list[np.ndarray]:
        return np.split(values, [self.n_vertices["left"]], axis=1)


def read_maps(path: str, *, only_first: bool = False) -> np.ndarray:
    """Return the values of one file, ndarray of shape (n_maps, n_vertices); or of its first map alone.

    Raises StoreError if the file is missing or damaged.
    """
    import nibabel

    try:
        content = Path(path).read_bytes()
        if only_first:  # the file as if it ended there
            content = content.partition(_END_OF_MAP)[0] + _END_OF_MAP + b"</GIFTI>"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of maps that are announced and not there
            image = nibabel.gifti.GiftiImage.from_bytes(content)
        return np.stack([array.data for array in image.darrays])
    except Exception as error:  # nibabel and the XML parser below it raise many kinds
        raise StoreError(f"surface file {path} cannot be read: {' '.join(str(error).split())}") from error


def is_surface(name: str) -> bool:
    """Return whether a source is two surface files, ``LEFT,RIGHT``."""
    return name.endswith(".gii") or ".gii," in name


def _split(name: str) -> dict[str, str]:
    files = [part.strip() for part in name.split(",")]
    if len(files) != 2 or not all(files):
        raise ValueError(f"surface data {name!r} must be two files, LEFT,RIGHT.")
    for file in files:
        if not Path(file).is_file():
            raise StoreError(f"surface file {file} does not exist.")
    return dict(zip(_HEMISPHERES, files, strict=True))
