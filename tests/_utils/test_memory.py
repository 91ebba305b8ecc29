import platform
import resource
import subprocess
import sys

import pytest

from fernet_neuro._utils.memory import keeping_memory

PROGRAM = """
import resource
import numpy as np
from fernet_neuro._utils.memory import keeping_memory

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(40_000_000, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

count_faults()
with keeping_memory():
    np.ones(40_000_000, dtype=np.uint8)
    inside, held = count_faults(), rss()
print(inside, count_faults(), held - rss())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator alone is set")
def test_blocks_are_used_again_inside_and_handed_back_afterwards():
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    inside, after, returned = (int(value) for value in done.stdout.split())
    n_pages = 20 * 40_000_000 // resource.getpagesize()
    assert inside < 0.1 * n_pages
    assert after > 5 * inside
    assert returned > 30_000_000


def test_an_error_inside_is_passed_on():
    with pytest.raises(KeyError, match="mine"), keeping_memory():
        raise KeyError("mine")
