"""How the C library hands large blocks of memory back, for the length of a pass over many batches.

What belongs here: settings of the allocator; nothing here changes a number.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
#: What glibc's own adjustment arrives at in a program that has freed a block of 32 MB.
_USUAL = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 32 << 20, _M_TRIM_THRESHOLD: 64 << 20}
#: Largest value of a C int: never hand back.
_NEVER = 2**31 - 1


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Keep freed blocks for the next batch, and hand them back to the system at the end.

    glibc returns each large block when it is freed, and the system clears every page anew when the next
    batch touches it: about a sixth of the time of a forward pass on the CPU. With other C libraries nothing
    happens.
    """
    library = _find_glibc()
    if library is None:
        yield
        return
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        for key, value in _USUAL.items():
            library.mallopt(key, value)
        library.malloc_trim(0)


def _find_glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)
