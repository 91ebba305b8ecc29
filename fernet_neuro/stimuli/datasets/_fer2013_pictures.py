"""The pixels of FER2013, which its owners keep in a CSV file: checked, and written once as pictures.

What belongs here: rows of ``fer2013.csv`` become faces and pictures.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fernet_neuro._utils.atomic import atomic_file, is_foreign, write_text
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.progress import track
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.stimuli.datasets.rows import read_rows
from fernet_neuro.typing import PathLike

#: Width and height of every picture in pixels.
SIZE = (48, 48)
#: The owners' parts and ours.
PARTS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
HIGHEST_CODE = 6
#: The file of the challenge's archive, packed or unpacked, and the same of a later archive.
FILES = ("fer2013.csv", "fer2013/fer2013.csv", "icml_face_data.csv")
#: Where the owners offer it.
ORIGIN = (
    "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge"
)

_COLUMNS = ("emotion", "pixels", "Usage")
_MARKER = "pictures.json"


class Face(NamedTuple):
    """One row: its part, the code of its expression, its grey levels, and why they cannot be read or ""."""

    part: str
    code: int
    pixels: bytes
    fault: str


def name_face(row: int, part: str) -> str:
    """Return the stimulus id of a row, counted from 0.

    Examples
    --------
    >>> name_face(12, "train")
    'train/row00012'
    """
    return f"{part}/row{row:05d}"


def read_faces(path: Path) -> list[Face]:
    """Return the rows of ``fer2013.csv`` in their order.

    Raises StimulusError if the file is not the owners' CSV, or a row has another part or code; the line is
    named.
    """
    return [_read_face(f"{path}, line {line}", row) for line, row in read_rows(path, _COLUMNS)]


def read_part(where: str, row: dict[str, str]) -> str:
    """Return our name of the part that a row is of; raise StimulusError where it is another."""
    usage = row["Usage"].strip()
    if usage not in PARTS:
        raise StimulusError(f"{where}: Usage must be one of {', '.join(PARTS)}; got {usage!r}.")
    return PARTS[usage]


def _read_face(where: str, row: dict[str, str]) -> Face:
    part, code = read_part(where, row), row["emotion"].strip()
    if code not in map(str, range(HIGHEST_CODE + 1)):
        raise StimulusError(f"{where}: emotion must be 0 to {HIGHEST_CODE}; got {code!r}.")
    wanted = SIZE[0] * SIZE[1]
    try:
        pixels = bytes(map(int, row["pixels"].split()))
    except ValueError:
        return Face(part, int(code), b"", "corrupt pixels: not all are numbers from 0 to 255")
    fault = "" if len(pixels) == wanted else f"corrupt pixels: {len(pixels)} instead of {wanted}"
    return Face(part, int(code), pixels, fault)


def check_pictures(folder: PathLike | None) -> Path:
    """Return the folder in which pictures are to lie.

    Raises StimulusError if none is named; StoreError if it holds something else.
    """
    if folder is None:
        raise StimulusError(
            "fer2013.csv holds pixels and no pictures; say pictures=DIR (--pictures DIR): a folder in which "
            "to write them once."
        )
    place = Path(folder).resolve()
    if is_foreign(place, _MARKER):
        raise StoreError(
            f"{place} exists and holds something else than the pictures of fer2013.csv; choose another "
            f"folder for --pictures."
        )
    return place


def write_pictures(
    faces: Sequence[Face], source: Path, folder: Path, *, n_jobs: int = 1, verbose: bool = False
) -> None:
    """Write the `faces` of the file `source` as ``train/row00012.png``, but those that are there already.

    A picture is whole or absent, so what was interrupted goes on. Raises StoreError if `folder` holds the
    pictures of another file.
    """
    record = {"format": 1, "content": "pictures of fer2013.csv", "digest": hash_file(source)}
    marker, text = folder / _MARKER, json.dumps(record) + "\n"
    if marker.is_file() and marker.read_text(encoding="utf-8") != text:
        raise StoreError(
            f"{folder} holds the pictures of another file than {source}; choose another --pictures."
        )
    write_text(marker, text)

    def write(row: int) -> None:
        path = folder / f"{name_face(row, faces[row].part)}.png"
        if not path.exists():
            with atomic_file(path) as temporary:
                Image.frombytes("L", SIZE, faces[row].pixels).save(temporary)

    sound = [row for row, face in enumerate(faces) if not face.fault]
    with ThreadPoolExecutor(n_jobs) as pool:
        list(track(pool.map(write, sound), "writing pictures", total=len(sound), verbose=verbose))
