"""Faces turned, scaled and moved so that five points lie where all other faces have them.

What belongs here: the transform, the template and the warped picture; sets of pictures are in `aligned_set`.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fernet_neuro._utils.validation import check_option
from fernet_neuro.stimuli.images import BACKGROUND

#: Side of the pictures that the template's numbers are for, in pixels.
TEMPLATE_SIDE = 112
#: Where five points go in a picture of 112 x 112 pixels, in the order of `landmarks.POINTS`: the numbers that
#: the networks of the ArcFace family are trained with, as published in the InsightFace repository
#: (python-package/insightface/utils/face_align.py, ``arcface_dst``).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
#: The same for dlib's face recognition network, in a picture of 150 x 150 pixels: where the points lie on
#: average in the chips that dlib cuts for it (measured on 40 photographs, left and right made alike).
DLIB_SIDE = 150
DLIB_TEMPLATE = np.array([[46.35, 46.5], [101.05, 46.5], [73.7, 72.7], [49.6, 102.1], [97.8, 102.1]])
#: Sides that faces are aligned to.
SIDES = (112, DLIB_SIDE, 224)


@dataclass(frozen=True, eq=False)
class Similarity:
    """A turn, a scale and a shift of the plane: ``matrix @ [x, y, 1]``.

    `matrix` (2, 3). `residual`: root mean squared distance of the moved points from their targets, in pixels
    of the target.
    """

    matrix: np.ndarray
    residual: float

    @property
    def scale(self) -> float:
        """Length in the target of what is 1 long in the source."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    @property
    def angle(self) -> float:
        """Turn in degrees, clockwise as the viewer sees it, from -180 to 180."""
        return float(np.degrees(np.arctan2(self.matrix[1, 0], self.matrix[0, 0])))

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return points (n, 2) moved."""
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]


def estimate_similarity(source: np.ndarray, target: np.ndarray) -> Similarity:
    """Return the turn, scale and shift that bring `source` nearest to `target` in least squares.

    Never mirrors: of a mirrored face the best turn is returned, with a large residual.

    Parameters
    ----------
    source, target : ndarray of shape (n_points, 2)
        Two or more points that differ, in the same order.

    Raises
    ------
    ValueError
        If the shapes differ, a coordinate is not finite, or all points of one side are at one place.

    References
    ----------
    Umeyama (1991), Least-squares estimation of transformation parameters between two point patterns, IEEE
    Transactions on Pattern Analysis and Machine Intelligence 13(4), equations 34-43.
    """
    source, target = (np.asarray(points, dtype=float) for points in (source, target))
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise ValueError(
            f"source and target must both have shape (n_points, 2) with two or more points; got "
            f"{source.shape} and {target.shape}."
        )
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("source and target must be finite; a coordinate is not.")
    middle, goal = source.mean(axis=0), target.mean(axis=0)
    spread = float(((source - middle) ** 2).sum(axis=1).mean())
    if spread == 0 or not (target != target[0]).any():
        raise ValueError("source and target must each have points that differ; all are at one place.")
    covariance = (target - goal).T @ (source - middle) / len(source)
    left, sizes, right = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0 if np.linalg.det(left) * np.linalg.det(right) > 0 else -1.0])
    rotation = left @ np.diag(signs) @ right
    scale = float(sizes @ signs) / spread
    matrix = np.column_stack([scale * rotation, goal - scale * rotation @ middle])
    moved = source @ matrix[:, :2].T + matrix[:, 2]
    return Similarity(matrix, float(np.sqrt(((moved - target) ** 2).sum(axis=1).mean())))


def make_template(size: int) -> np.ndarray:
    """Return where five points go in a picture of `size` x `size` pixels, shape (5, 2).

    At 150 the tighter one of dlib's network, else that of ArcFace, scaled as in common use, without a shift
    by half a pixel.

    Raises ValueError if `size` is none of 112, 150, 224.
    """
    check_option("size", str(size), [str(side) for side in SIDES])
    if size == DLIB_SIDE:
        return DLIB_TEMPLATE.copy()
    return TEMPLATE * (size / TEMPLATE_SIDE)


def align_face(
    picture: np.ndarray,
    points: np.ndarray,
    size: int = TEMPLATE_SIDE,
    *,
    background: tuple[int, int, int] = BACKGROUND,
) -> tuple[np.ndarray, Similarity]:
    """Return a face brought to the template, and the transform.

    Values between pixels are interpolated linearly; a face that shrinks to less than half is averaged over
    blocks of pixels first, so that nothing fine is missed between the samples.

    `picture` (height, width, 3). `points` (5, 2): in pixels, as in `landmarks.LandmarkTable`. `size`: one of
    112, 150, 224; side of the result in pixels. `background`: RGB beyond the picture's edge, 0-255 each.
    Returns `aligned` (size, size, 3). `similarity`. Raises ValueError if `size` is another, or the points are
    at one place or not finite.
    """
    similarity = estimate_similarity(points, make_template(size))
    return warp_picture(picture, similarity, size, background=background), similarity


def warp_picture(
    picture: np.ndarray, similarity: Similarity, size: int, *, background: tuple[int, int, int] = BACKGROUND
) -> np.ndarray:
    """Return what `similarity` shows of a picture (height, width, 3) in size x size pixels, uint8.

    Raises ValueError if the transform shrinks everything to a point.
    """
    if similarity.scale == 0:
        raise ValueError("the points fit the template only at scale 0; they are no face.")
    image = Image.fromarray(picture)
    factor = max(int(1 / similarity.scale), 1)
    if factor > 1:
        image = image.reduce(factor)
    inverse = np.linalg.inv(np.vstack([similarity.matrix, [0, 0, 1]]))
    # Points count from the centre of the first pixel, Pillow from its corner; then in blocks of `factor`.
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    back = np.diag([1 / factor, 1 / factor, 1]) @ shift @ inverse @ np.linalg.inv(shift)
    warped = image.transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(back[:2].ravel()),
        resample=Image.Resampling.BILINEAR,
        fillcolor=background,
    )
    return np.array(warped)
