"""Copies are not independent: the same run under two numbers, the same file of two people."""

import numpy as np
import pytest

from fernet_neuro.brain.copies import check_files_differ, check_runs_differ
from fernet_neuro.exceptions import StimulusError

RNG = np.random.default_rng(4)


def test_a_run_under_two_numbers_is_refused():
    one, two = RNG.normal(size=(2, 4, 10))
    check_runs_differ(np.concatenate([one, two]), np.repeat(["1", "2"], 4), "a.nii")
    with pytest.raises(StimulusError, match=r"run 3 of a.nii holds the same values as run 1 of a\.nii"):
        check_runs_differ(np.concatenate([one, two, one]), np.repeat(["1", "2", "3"], 4), "a.nii")


def test_few_numbers_may_be_equal_by_chance():
    check_runs_differ(np.ones((4, 2)), ["1", "1", "2", "2"], "a.nii")


def test_files_are_compared_by_content(tmp_path):
    content = RNG.bytes(5000)
    changed = bytearray(content)
    changed[2] ^= 1
    for name, data in {"a": content, "b": bytes(changed), "c": content[:-1], "d": content}.items():
        (tmp_path / name).write_bytes(data)
    owners = {str(tmp_path / name): f"subject {name}" for name in "abcd"}
    with pytest.raises(StimulusError, match=r"d of subject d is the same file as .*a of subject a"):
        check_files_differ(owners)
    check_files_differ({path: owner for path, owner in owners.items() if not path.endswith("d")})


def test_files_that_differ_in_their_inside_alone_are_told_apart(tmp_path):
    content = bytearray(RNG.bytes(5 << 20))
    (tmp_path / "a").write_bytes(content)
    content[3 << 19] ^= 1  # in none of the pieces that are read first
    (tmp_path / "b").write_bytes(content)
    check_files_differ({str(tmp_path / name): name for name in "ab"})
