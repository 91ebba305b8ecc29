"""Frames out of one video file, by OpenCV.

What belongs here: opening, decoding and writing the frames of one clip; which clips there are is in `clips`.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fernet_neuro._utils.hashing import hash_bytes
from fernet_neuro._utils.optional import import_optional
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.typing import PathLike

#: Frames that a container may state beyond those it holds: a share, and a number for short clips.
MISSING_SHARE, MISSING_FRAMES = 0.1, 2
#: Written fast: the frames are read far more often than they are made, and differ little in size.
PNG_LEVEL = 1
#: A file that states a higher rate than this is damaged, in frames per second.
HIGHEST_RATE = 10_000


@dataclass(frozen=True)
class FrameRule:
    """Which frames of a video become pictures, and how large.

    Parameters
    ----------
    every : int
        Keep one frame of this many, from the first on.
    size : int or None
        Largest length of a picture's shorter side in pixels; larger frames are scaled down, proportions kept.
    start_s, end_s : float or None
        Part of the video in seconds, from `start_s` on and before `end_s`; None is its start and end.
    allow_short : bool
        Whether to take a file that holds clearly fewer frames than it states.
    """

    every: int = 1
    size: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    allow_short: bool = False


@dataclass(frozen=True)
class ClipFrames:
    """What was written of one clip: numbers of the frames in the video, times in seconds, files and digests.

    `fps`: the video's own rate, in frames per second. `files`: names inside the clip's folder. `digests`:
    SHA-256 of the files.
    """

    fps: float
    frames: list[int]
    times_s: list[float]
    files: list[str]
    digests: list[str]

    def to_dict(self) -> dict:
        """Return plain values for JSON."""
        return asdict(self)


def write_frames(video: PathLike, folder: PathLike, rule: FrameRule | None = None) -> ClipFrames:
    """Decode a video at its own rate and write frames as PNG files ``000000.png`` into `folder`.

    Times are the container's time stamps where it has some, else the frame's number over the rate.

    `video`: any file that OpenCV decodes; a recorded rotation is applied. `folder`: where the pictures go;
    must exist. `rule`: by default all frames as they are. Raises StimulusError if the file is empty, corrupt,
    cut short, or has no frame or rate; reads ``kind: detail``; MissingDependencyError if OpenCV is not
    installed.
    """
    rule = rule or FrameRule()
    cv2 = import_cv2()
    if Path(video).stat().st_size == 0:
        raise StimulusError("empty: 0 bytes")
    capture = cv2.VideoCapture(str(video))
    try:
        return _Video(cv2, capture).write(Path(folder), rule)
    finally:
        capture.release()


def import_cv2() -> ModuleType:
    """Return OpenCV, with its decoder's own messages off: what it finds wrong is said in ours.

    Raises MissingDependencyError if it is not installed.
    """
    # Read when a file is first opened; -8 is ffmpeg's word for "nothing".
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    return import_optional("cv2", "decoding videos", "opencv-python-headless")


class _Video:
    """One open video: what it states about itself, and its frames."""

    def __init__(self, cv2: ModuleType, capture: Any) -> None:
        if not capture.isOpened():
            raise StimulusError("corrupt: cut short, damaged or no video that can be decoded")
        self._cv2, self._capture = cv2, capture
        self.fps = float(capture.get(cv2.CAP_PROP_FPS))
        if not 0 < self.fps < HIGHEST_RATE:
            raise StimulusError(f"no frame rate: the file states {self.fps:g} frames per second")

    def write(self, folder: Path, rule: FrameRule) -> ClipFrames:
        """Write the frames that `rule` keeps."""
        numbers, stamps, files, digests = [], [], [], []
        for number, stamp, picture in self._decode(rule):
            data = self._encode(picture, rule.size)
            (folder / f"{number:06d}.png").write_bytes(data)
            numbers.append(number)
            stamps.append(stamp)
            files.append(f"{number:06d}.png")
            digests.append(hash_bytes(data))
        if len(stamps) < 2 or any(later <= earlier for earlier, later in pairwise(stamps)):
            stamps = [number / self.fps for number in numbers]
        return ClipFrames(self.fps, numbers, [round(stamp, 6) for stamp in stamps], files, digests)

    def _decode(self, rule: FrameRule) -> Iterator[tuple[int, float, np.ndarray]]:
        """Yield (number, time stamp in seconds, BGR picture) of the frames that `rule` keeps."""
        first, last = self._find_part(rule)
        number = 0
        while number < last and self._capture.grab():
            if number >= first and (number - first) % rule.every == 0:
                stamp = float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC)) / 1000
                is_read, picture = self._capture.retrieve()
                if not is_read:
                    break
                yield number, stamp, picture
            number += 1
        self._check_length(number, first, last, allow_short=rule.allow_short)

    def _find_part(self, rule: FrameRule) -> tuple[int, float]:
        """Return the number of the first frame to keep, and that of the first one after the last."""
        # A frame that stands at the limit but for rounding belongs to what begins there.
        first, last = (
            math.ceil(limit * self.fps - 1e-6) if limit is not None else None
            for limit in (rule.start_s, rule.end_s)
        )
        return first or 0, math.inf if last is None else last

    def _check_length(self, number: int, first: int, last: float, *, allow_short: bool) -> None:
        """Raise if the video ended where it should not have; `number` frames were decoded."""
        # An estimate in some containers, and 0 or less in those that hold no count.
        wanted = min(float(self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT)), last)
        if number == 0:
            raise StimulusError("no frames: not one can be decoded")
        if number < wanted - max(MISSING_FRAMES, MISSING_SHARE * wanted) and not allow_short:
            raise StimulusError(f"cut short: {number} of {wanted:.0f} frames can be decoded")
        if number <= first:
            raise StimulusError("empty part: no frame of the video lies in it")

    def _encode(self, picture: np.ndarray, size: int | None) -> bytes:
        """Return a BGR picture as PNG, scaled down where its shorter side is longer than `size`."""
        height, width = picture.shape[:2]
        if size is not None and min(height, width) > size:
            scale = size / min(height, width)
            target = (max(round(width * scale), size), max(round(height * scale), size))
            picture = self._cv2.resize(picture, target, interpolation=self._cv2.INTER_AREA)
        parameters = [self._cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
        return self._cv2.imencode(".png", picture, parameters)[1].tobytes()
