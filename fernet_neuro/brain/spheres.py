"""Neighbourhoods of voxels: which voxels lie around each one, from their positions in mm.

What belongs here: `Neighbourhoods` and how they are built; what is computed in each is in
``rsa/searchlight/search.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fernet_neuro._utils.validation import check_range

#: Share of the radius by which a voxel may lie beyond it: positions come from an affine in single precision,
#: and a voxel at exactly the radius must not be in on one side of the centre and out on the other.
_ROUND_OFF = 1e-5
#: Voxels that a neighbourhood should have: correlations over fewer are mostly noise.
FEWEST_VOXELS = 10


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Sets of voxels, each around one of them, all in one array.

    Parameters
    ----------
    centres : ndarray of int of shape (n_centres,)
        Number of the voxel in the middle of each neighbourhood.
    members : ndarray of int of shape (n_members,)
        The voxels of all neighbourhoods, one after the other.
    starts : ndarray of int of shape (n_centres + 1,)
        Where each neighbourhood begins in `members`, and the end.
    n_voxels : int
        Number of voxels there are.

    Raises
    ------
    ValueError
        If there is none, shapes do not fit, a neighbourhood is empty, or a voxel does not exist.

    Examples
    --------
    >>> line = np.array([[0.0, 0, 0], [3, 0, 0], [6, 0, 0]])
    >>> build_neighbourhoods(line, radius=3, fewest=1).get(1).tolist()
    [0, 1, 2]
    """

    centres: np.ndarray
    members: np.ndarray
    starts: np.ndarray
    n_voxels: int

    def __post_init__(self) -> None:
        for name in ("centres", "members", "starts"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.int64))
        if not len(self.centres):
            raise ValueError("there is no neighbourhood; name one voxel or more.")
        if len(self.starts) != len(self.centres) + 1 or self.starts[-1] != len(self.members):
            raise ValueError(
                f"starts must have one entry per centre and the number of members, "
                f"{len(self.centres) + 1} in all; got {len(self.starts)}."
            )
        empty = np.flatnonzero(self.sizes < 1)
        if len(empty):
            raise ValueError(
                f"{len(empty)} of {self.n_centres} neighbourhoods are empty (first: that of voxel "
                f"{self.centres[empty[0]]})."
            )
        for numbers in (self.centres, self.members):
            if numbers.min() < 0 or numbers.max() >= self.n_voxels:
                raise ValueError(
                    f"neighbourhoods name voxels {numbers.min()} to {numbers.max()}; there are "
                    f"{self.n_voxels}, from 0 on."
                )

    @classmethod
    def from_lists(
        cls, neighbourhoods: Sequence[Sequence[int] | np.ndarray], centres: Sequence[int], n_voxels: int
    ) -> "Neighbourhoods":
        """Return the neighbourhoods that are given as one list of voxel numbers for each of `centres`.

        Raises ValueError if there is not one list per centre, a list is empty, or a voxel does not exist.
        """
        if len(neighbourhoods) != len(centres):
            raise ValueError(f"there are {len(neighbourhoods)} neighbourhoods but {len(centres)} centres.")
        parts = [np.asarray(part, dtype=np.int64).ravel() for part in neighbourhoods]
        starts = np.cumsum([0, *(len(part) for part in parts)])
        members = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        return cls(np.asarray(centres), members, starts, n_voxels)

    @property
    def n_centres(self) -> int:
        """Number of neighbourhoods."""
        return len(self.centres)

    @property
    def sizes(self) -> np.ndarray:
        """Number of voxels of each neighbourhood, shape (n_centres,)."""
        return np.diff(self.starts)

    def get(self, number: int) -> np.ndarray:
        """Return the voxels of one neighbourhood."""
        return self.members[self.starts[number] : self.starts[number + 1]]


def build_neighbourhoods(
    positions: np.ndarray,
    *,
    radius: float | None = None,
    n_nearest: int | None = None,
    fewest: int = FEWEST_VOXELS,
) -> Neighbourhoods:
    """Return the neighbourhood of every voxel, by radius or by number of voxels.

    Parameters
    ----------
    positions : ndarray of shape (n_voxels, 3)
        In mm, as from `images.compute_coordinates`.
    radius : float or None
        In mm: voxels no farther from the centre belong to it. Near the edge of the mask there are fewer.
    n_nearest : int or None
        Instead of a radius: as many voxels, the centre among them, near the edge from farther away. Of
        voxels that are equally far, those come first that the search tree finds first.
    fewest : int, default=10
        Voxels with a smaller neighbourhood are not centres; they still belong to those of others.

    Raises
    ------
    ValueError
        If not exactly one of `radius` and `n_nearest` is given, or no voxel has a neighbourhood of `fewest`
        voxels; the message says how many the largest has.
    """
    from scipy.spatial import cKDTree

    where = _check_positions(positions)
    check_range("fewest", fewest, minimum=1)
    tree = cKDTree(where)
    if radius is not None and n_nearest is None:
        check_range("radius", radius, minimum=0)
        found = tree.query_ball_point(where, radius * (1 + _ROUND_OFF), return_sorted=True)
        sizes = np.array([len(part) for part in found])
        members = np.concatenate([np.asarray(part, dtype=np.int64) for part in found])
    elif n_nearest is not None and radius is None:
        check_range("n_nearest", n_nearest, minimum=1, maximum=len(where))
        members = np.sort(tree.query(where, k=[*range(1, n_nearest + 1)])[1], axis=1).ravel()
        sizes = np.full(len(where), n_nearest)
    else:
        raise ValueError("give either radius=MM or n_nearest=VOXELS.")
    return _keep_large(members, sizes, fewest, radius)


def _check_positions(positions: np.ndarray) -> np.ndarray:
    where = np.asarray(positions, dtype=np.float64)
    if where.ndim != 2 or where.shape[1] != 3 or not len(where):
        raise ValueError(f"positions must have shape (n_voxels, 3), one or more voxels; got {where.shape}.")
    if not np.isfinite(where).all():
        raise ValueError("positions must be finite.")
    return where


def _keep_large(members: np.ndarray, sizes: np.ndarray, fewest: int, radius: float | None) -> Neighbourhoods:
    keep = sizes >= fewest
    if not keep.any():
        how = "n_nearest" if radius is None else f"a radius of {radius:g} mm"
        raise ValueError(
            f"no voxel has a neighbourhood of {fewest} voxels: with {how} the largest has {sizes.max()}; "
            f"take a larger one, or a smaller fewest."
        )
    kept = members[np.repeat(keep, sizes)]
    starts = np.concatenate([[0], np.cumsum(sizes[keep])])
    return Neighbourhoods(np.flatnonzero(keep), kept, starts, len(sizes))
