"""Decoding of image files to 8-bit RGB.

What belongs here: everything that opens a picture; resizing for a network is in `models.preprocessing`,
checks of whole tables are in `faults`.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.typing import PathLike

#: What transparent pixels show: the middle grey that most face experiments have as their background.
BACKGROUND = (128, 128, 128)
#: File name endings that count as pictures, in lower case.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".gif"}
)
#: File name endings that count as videos, in lower case.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv", ".3gp"}
)
_RAW_SUFFIXES = (
    ".raw", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef", ".srw",
)  # fmt: skip
#: What else comes in folders of photographs, by the ends of the files' names, and what to do.
_UNREAD: dict[str, str] = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "in HEIC: not read; save it as JPEG or PNG"),
    **dict.fromkeys((".eps", ".ps", ".ai"), "a drawing in PostScript: save it as PNG"),
    ".avif": "in AVIF: not read; save it as JPEG or PNG",
    ".jxl": "in JPEG XL: not read; save it as JPEG or PNG",
    **dict.fromkeys(_RAW_SUFFIXES, "in a camera's raw format: not read; develop it to JPEG, PNG or TIFF"),
    **dict.fromkeys((".psd", ".xcf"), "in an editor's format: not read; export it as PNG"),
    **dict.fromkeys((".zip", ".rar", ".7z", ".tar", ".gz"), "an archive: unpack it"),
    **dict.fromkeys(VIDEO_SUFFIXES, "a video: `fernet-neuro stimuli frames` takes pictures out of videos"),
}
#: Mean luminance (0-255) below which a photograph counts as almost black.
BLACK_BELOW = 16.0
#: Pillow's errors for damaged files; it has no common base class for them.
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, OverflowError,
    Image.DecompressionBombError,
)  # fmt: skip
#: Integer greys of more than 8 bits: Pillow's mode, and the file formats in which "I" means 0-65535.
_WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N")
_WIDE_FORMATS = ("PNG", "PPM")
#: First bytes of a PNG file.
_PNG_START = b"\x89PNG\r\n\x1a\n"
#: Bytes of a PNG file up to the end of its first chunk, whose last four are a checksum.
_PNG_HEADER = 33
#: Number of the EXIF field that says how a picture is turned.
_ORIENTATION = 274


def load_image(path: PathLike, *, background: tuple[int, int, int] = BACKGROUND) -> np.ndarray:
    """Return the picture in `path` upright, as 8-bit RGB.

    Grey, palette, CMYK and 1-bit pictures become RGB; 16-bit values v become v / 257, rounded for grey and
    rounded down for colour; EXIF rotation is applied; of an animation the first frame is taken.

    `path`: image file of any kind that Pillow reads by itself. `background`: RGB that transparent pixels
    show, 0-255 each. Returns an array (height, width, 3): a writable copy. Raises StimulusError if the file
    is missing, empty, truncated or not a picture, or the range of its values is not known.
    """
    with _open(path) as image:
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _to_rgb(upright, image.format, background)
        except StimulusError:
            raise
        except _DECODE_ERRORS as error:
            raise _unreadable(path, f"is damaged or truncated ({error})") from error


def say_format(name: PathLike) -> str:
    """Return why a file is not taken, by the end of its name, as ``kind: what to do``; "" for a picture.

    Examples
    --------
    >>> say_format("IMG_0001.HEIC")
    'in HEIC: not read; save it as JPEG or PNG'
    >>> say_format("notes.txt"), say_format("face.JPG")
    ('not a picture', '')
    """
    suffix = Path(name).suffix.lower()
    return "" if suffix in IMAGE_SUFFIXES else _UNREAD.get(suffix, "not a picture")


def read_image_size(path: PathLike) -> tuple[int, int]:
    """Return (width, height) of an image file in pixels, as stored, from its header.

    Raises StimulusError if the file is missing, empty or not a picture.
    """
    with _open(path) as image:
        return image.size


def say_fault(error: StimulusError, path: Path) -> str:
    """Return what is wrong with a picture, by its name alone where the error has its whole path."""
    return str(error).replace(str(path), path.name)


def measure_image(path: PathLike) -> tuple[tuple[int, int], float]:
    """Return ((width, height) in pixels as stored, mean luminance 0-255) of a picture, decoding all of it.

    JPEG files are decoded at a lower resolution, which still reads the file to its end and is several times
    as fast as `load_image`.

    Raises StimulusError as `load_image`.
    """
    with _open(path) as image:
        size = image.size
        try:
            image.draft("L", (max(1, size[0] // 4), max(1, size[1] // 4)))
            image.load()
            rgb = _to_rgb(image, image.format, BACKGROUND)
        except StimulusError:
            raise
        except _DECODE_ERRORS as error:
            raise _unreadable(path, f"is damaged or truncated ({error})") from error
    # ITU-R BT.601 weights, as in JPEG and in Pillow's own conversion to grey.
    return size, float(rgb.reshape(-1, 3).mean(axis=0) @ (0.299, 0.587, 0.114))


def glance(path: PathLike, part: int) -> tuple[str, np.ndarray] | None:
    """Return a part of a picture that is quick to decode, equal where two pictures of its kind are equal.

    JPEG files are decoded at a lower resolution and turned upright (kind "reduced"), of PNG files the upper
    rows are decoded (kind "rows").

    `path`: image file. `part`: how much less than all, 2 or more. Returns the kind and an array of uint8;
    None for a file of another format, for PNG files that are interlaced or turned by what is written beside
    the pixels, and where the part alone cannot be decoded. Raises StimulusError if the file is no picture.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(len(_PNG_START))
            if start == _PNG_START:
                rows = _decode_upper_rows(start + file.read(), part)
                return None if rows is None else ("rows", rows)
    except _DECODE_ERRORS:
        return None
    with _open(path) as image:
        less = max(2, part // 2)  # of each side, which JPEG can halve three times
        try:
            if image.draft("L", (max(1, image.width // less), max(1, image.height // less))) is None:
                return None
            image.load()
            return "reduced", np.array(ImageOps.exif_transpose(image))
        except _DECODE_ERRORS:
            return None


def _decode_upper_rows(data: bytes, part: int) -> np.ndarray | None:
    """Return the upper rows of a PNG file as `load_image` would, by a header that says there are no more."""
    header = bytearray(data[:_PNG_HEADER])
    is_interlaced = header[_PNG_HEADER - 5]
    n_rows = max(1, int.from_bytes(header[20:24], "big") // part)
    header[20:24] = n_rows.to_bytes(4, "big")
    header[-4:] = zlib.crc32(header[12:-4]).to_bytes(4, "big")
    if is_interlaced:
        return None
    with Image.open(io.BytesIO(header + data[_PNG_HEADER:])) as image:
        image.load()
        if image.getexif().get(_ORIENTATION, 1) != 1:
            return None
        return _to_rgb(image, image.format, BACKGROUND)


def _open(path: PathLike) -> Image.Image:
    source = Path(path)
    if not source.is_file():
        raise StimulusError(
            f"image {source} does not exist; correct the table's path or leave the row out (a store that was "
            f"moved leads to its pictures from its old place)."
        )
    if source.stat().st_size == 0:
        raise _unreadable(source, "is empty (0 bytes)")
    try:
        image = Image.open(source)
    except _DECODE_ERRORS as error:
        if source.suffix.lower() in _UNREAD:
            raise StimulusError(f"image {source} is {say_format(source)}.") from None
        raise _unreadable(source, "cannot be read as a picture") from error
    if image.format == "EPS":  # a program, which Pillow would let Ghostscript run
        image.close()
        raise StimulusError(f"image {source} is {_UNREAD['.eps']}.")
    return image


def _unreadable(path: PathLike, what: str) -> StimulusError:
    return StimulusError(f"image {path} {what}; get a fresh copy of the file or leave its row out.")


def _to_rgb(image: Image.Image, kind: str | None, background: tuple[int, int, int]) -> np.ndarray:
    if image.mode in _WIDE_MODES or (image.mode == "I" and kind in _WIDE_FORMATS):
        # Pillow's own conversion clips at 255 instead of scaling.
        wide = np.asarray(image).astype(np.uint32)
        grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if image.mode in ("I", "F"):
        raise StimulusError(
            f"image {getattr(image, 'filename', '')} has 32-bit values, whose range no standard fixes; "
            f"save it with 8 or 16 bits per channel."
        )
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        opaque = Image.new("RGBA", image.size, (*background, 255))
        return np.array(Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB"))
    return np.array(image.convert("RGB"))
