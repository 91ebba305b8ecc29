import platform
import resource
import subprocess
import sys

import pytest

from fernet_neuro._utils import memory
from fernet_neuro._utils.memory import find_memory, keeping_memory

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


@pytest.mark.parametrize(
    ("group", "limits", "expected"),
    [
        ("0::/system.slice/job_3/step_0\n", {"system.slice/job_3/memory.max": "3000000"}, 3_000_000),
        (
            "9:cpu:/\n4:memory:/slurm/job_3\n",
            {"memory/slurm/job_3/memory.limit_in_bytes": "2000000"},
            2_000_000,
        ),
        ("0::/free\n", {"free/memory.max": "max"}, None),
        (None, {}, None),
    ],
)
def test_a_job_has_the_memory_that_it_was_given(tmp_path, monkeypatch, group, limits, expected):
    monkeypatch.setattr(memory, "_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    machine = find_memory()
    assert machine > 10**8
    if group is not None:
        (tmp_path / "cgroup").write_text(group)
    for name, limit in limits.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True)
        path.write_text(limit + "\n")
    assert find_memory() == (expected or machine)


def test_an_error_inside_is_passed_on():
    with pytest.raises(KeyError, match="mine"), keeping_memory():
        raise KeyError("mine")
