"""Faces found in pictures: what a detector is, and YuNet, a small one that OpenCV runs.

What belongs here: the detector and what it finds; no weights come with this package. Detectors that come as
packages are in `detectors`.
"""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fernet_neuro._utils.optional import import_optional
from fernet_neuro._utils.validation import check_range
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

#: Pictures are searched at most this large (longer side): YuNet knows faces of about 10 to 300 pixels.
SEARCH_SIDE = 640
#: Boxes that overlap by more than this share show one face.
OVERLAP = 0.3
#: Eyes of a face to be aligned are at least this far apart, in pixels, and tilted at most so far, in degrees.
FEWEST_PIXELS, MOST_TILTED = 8, 45
#: Eyes so far apart are those of a face of about so many pixels.
LEAST_SIDE = 20


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """One face.

    `box` (4,): left, top, width and height in pixels. `points` (5, 2): eyes, nose and corners of the mouth in
    pixels, in the order of `landmarks.POINTS`. `score`: how sure the detector is, 0 to 1.
    """

    box: np.ndarray
    points: np.ndarray
    score: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return float(self.box[2] * self.box[3])

    @property
    def angle(self) -> float:
        """How far the line through the eyes is turned, in degrees, clockwise as the viewer sees it."""
        x, y = self.points[1] - self.points[0]
        return float(np.degrees(np.arctan2(y, x)))


class Detector(ABC):
    """Finds the faces of a picture.

    `least_side`: it finds none in pictures whose shorter side has fewer pixels.
    """

    least_side = LEAST_SIDE

    @abstractmethod
    def detect(self, picture: np.ndarray) -> list[DetectedFace]:
        """Return the faces in an RGB picture (height, width, 3), uint8, the largest first."""

    def locate(self, picture: np.ndarray, *, largest: bool = False) -> np.ndarray | str:
        """Return the five points (5, 2) of the one face in a picture, or why there are none.

        `picture` (height, width, 3): RGB. `largest`: whether to take the largest of several faces instead of
        none.
        """
        faces = self.detect(picture)
        if not faces:
            return self._explain_none(picture)
        if len(faces) > 1 and not largest:
            return f"several faces: the detector found {len(faces)}"
        (left, right), angle = faces[0].points[:2], faces[0].angle
        apart = float(np.hypot(*(right - left)))
        if apart < FEWEST_PIXELS:
            return f"tiny face: its eyes are {apart:.0f} pixels apart, and {FEWEST_PIXELS} are needed"
        if abs(angle) > MOST_TILTED:
            return f"rotated: the face is tilted by {angle:.0f} degrees; turn the picture"
        return faces[0].points

    def _explain_none(self, picture: np.ndarray) -> str:
        """Return why no face was found; there may be one when the picture is turned."""
        height, width = picture.shape[:2]
        if min(height, width) < self.least_side:
            return (
                f"too small: the picture has {width} x {height} pixels, and this detector finds faces from "
                f"about {self.least_side} pixels on"
            )
        for turns in (1, 3, 2):
            if self.detect(np.ascontiguousarray(np.rot90(picture, -turns))):
                return (
                    f"rotated: a face is found when the picture is turned by {90 * turns} degrees clockwise"
                )
        return "no face: the detector found none"


class FaceDetector(Detector):
    """YuNet from a model file; may be used by several threads.

    Parameters
    ----------
    model : path
        An ONNX file of YuNet, as in OpenCV's model zoo (``face_detection_yunet_2023mar.onnx``).
    min_score : float
        Least score of a face, 0 to 1.

    Raises
    ------
    StoreError
        If the file is missing or is no YuNet that OpenCV can run.
    MissingDependencyError
        If OpenCV is not installed.
    ValueError
        If `min_score` is out of range.

    References
    ----------
    Wu, Peng & Yu (2023), YuNet: A tiny millisecond-level face detector, Machine Intelligence Research 20.
    """

    def __init__(self, model: PathLike, *, min_score: float = 0.9) -> None:
        check_range("min_score", min_score, 0.0, 1.0)
        self._cv2 = import_optional("cv2", "detecting faces", "opencv-python-headless")
        path = Path(model)
        if not path.is_file():
            raise StoreError(
                f"detector {path} does not exist; give an ONNX file of YuNet, as in OpenCV's model zoo "
                f"(face_detection_yunet), or landmarks of your own."
            )
        self._lock = threading.Lock()
        # OpenCV 5 warns of a setting that we do not make.
        messages = self._cv2.utils.logging
        level = messages.getLogLevel()
        messages.setLogLevel(messages.LOG_LEVEL_ERROR)
        try:
            self._net = self._cv2.FaceDetectorYN.create(str(path), "", (64, 64), min_score, OVERLAP)
            # A network of another kind is read without complaint and fails when it is run.
            self.detect(np.zeros((64, 64, 3), dtype=np.uint8))
        except self._cv2.error as error:
            reason = str(error).strip().rpartition("error: ")[2].partition(" in function")[0]
            raise StoreError(
                f"detector {path} is no ONNX file of YuNet that OpenCV can run: {reason}."
            ) from None
        finally:
            messages.setLogLevel(level)

    def detect(self, picture: np.ndarray) -> list[DetectedFace]:
        """Return the faces in an RGB picture (height, width, 3), uint8, the largest first."""
        height, width = picture.shape[:2]
        scale = min(SEARCH_SIDE / max(height, width), 1.0)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = picture if scale == 1 else self._cv2.resize(picture, size, interpolation=self._cv2.INTER_AREA)
        with self._lock:
            self._net.setInputSize(size)
            # YuNet expects blue first, as OpenCV reads pictures.
            _, found = self._net.detect(np.ascontiguousarray(small[:, :, ::-1]))
        rows = np.zeros((0, 15)) if found is None else np.asarray(found, dtype=float)
        stretch = np.array([width / size[0], height / size[1]])
        faces = [_read_face(row, stretch) for row in rows]
        return sorted(faces, key=lambda face: (-face.area, *face.box.tolist()))


def _read_face(row: np.ndarray, stretch: np.ndarray) -> DetectedFace:
    """Return one row of YuNet's answer: box, five points (the person's right eye first), score."""
    # The person's right is the viewer's left, so the order is ours. Points count from a pixel's centre.
    points = (row[4:14].reshape(5, 2) + 0.5) * stretch - 0.5
    return DetectedFace(row[:4] * np.tile(stretch, 2), points, float(row[14]))
