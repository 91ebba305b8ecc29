"""How much memory there is, and how the C library hands large blocks of it back.

What belongs here: the limits of this process, and settings of the allocator; nothing here changes a number.
"""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
#: What glibc's own adjustment arrives at in a program that has freed a block of 32 MB.
_USUAL = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 32 << 20, _M_TRIM_THRESHOLD: 64 << 20}
#: Largest value of a C int: never hand back.
_NEVER = 2**31 - 1

#: Where Linux says which control group this process is in, and where the groups lie.
_GROUP, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def find_memory() -> int:
    """Return how many bytes this process may fill: the machine's, or the limit of its job or container."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_list_limits()])


def _list_limits() -> Iterator[int]:
    """Yield the limits of this process's control group and those around it (Linux, both versions)."""
    try:
        lines = _GROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, place = line.split(":", 2)
        folders = {"": (_GROUPS, "memory.max"), "memory": (_GROUPS / "memory", "memory.limit_in_bytes")}
        if kinds in folders:
            root, name = folders[kinds]
            group = root / place.lstrip("/")
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):  # no such file, or "max"
                    yield int((folder / name).read_text(encoding="ascii"))


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
