"""File names made from ids, which may hold anything: names that stay inside their folder.

What belongs here: turning an id into a path on disk; ids themselves are never changed.
"""

import re

from fernet_neuro._utils.hashing import hash_bytes

#: Longest part of a path that is kept as it is; most disks allow 255 bytes with suffixes.
LONGEST_PART = 80
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]+")


def make_safe_path(text: str) -> str:
    """Return `text` as a relative path with forward slashes that no id can lead out of its folder.

    Parts of plain letters, digits and ``_ . + -`` stay as they are; any other part keeps what is plain and
    gains eight digits of its digest, so that different ids never share a file.

    Examples
    --------
    >>> make_safe_path("anger/clip_1")
    'anger/clip_1'
    >>> make_safe_path("../clip 1")
    'item-5ec1f7e7/clip_1-95f95409'
    """
    return "/".join(_make_safe_part(part) for part in text.split("/"))


def _make_safe_part(part: str) -> str:
    plain = _UNSAFE.sub("_", part).strip("._")[:LONGEST_PART]
    return plain if plain and plain == part else f"{plain or 'item'}-{hash_bytes(part.encode())[:8]}"
