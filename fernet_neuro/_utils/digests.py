"""What has been computed of a file's content, remembered for as long as the process runs and the file stays.

What belongs here: when a file must be read again. What is computed of it is the caller's.
"""

import time
from collections.abc import Callable
from pathlib import Path

from fernet_neuro._utils.hashing import hash_file

#: A file younger than this may change again without a new time stamp, so its digest is not remembered.
_RACY_SECONDS = 2.0
#: With more digests than these (a quarter of a gigabyte), all are forgotten.
_MOST = 500_000
#: By path, size, time stamps and what was computed.
_known: dict[tuple[Path, str, tuple[int, ...]], str] = {}


def recall_digest(path: Path, what: str = "file", compute: Callable[[Path], str] = hash_file) -> str:
    """Return what `compute` makes of a file, made anew if its size or time stamp changed since last time.

    `path`: absolute, a file that exists. `what`: name of what is computed. An empty text, for what could not
    be read, is not remembered.
    """
    stat = path.stat()
    key = (path, what, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    known = _known.get(key)
    if known is not None:
        return known
    digest = compute(path)
    if digest and time.time() - max(stat.st_mtime, stat.st_ctime) > _RACY_SECONDS:
        if len(_known) >= _MOST:
            _known.clear()
        _known[key] = digest
    return digest
