"""Digests are SHA-256 of contents, and of nothing else."""

import hashlib

import numpy as np
import pytest

from fernet_neuro._utils.hashing import canonical_json, hash_array, hash_bytes, hash_file, hash_json


def test_files_and_bytes_have_the_standard_digest(tmp_path):
    # The digest of "abc" in FIPS 180-2, appendix B.1.
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_bytes(b"abc") == hash_file(tmp_path / "a") == wanted


def test_a_file_longer_than_a_buffer_is_read_whole(tmp_path, rng):
    content = rng.bytes(3_000_001)
    (tmp_path / "a").write_bytes(content)
    assert hash_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_arrays_differ_by_value_shape_and_dtype_but_not_by_memory_order():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    same = [array.copy(), np.asfortranarray(array), np.repeat(array, 2, axis=0)[::2]]
    other = [array.reshape(4, 3), array.astype(np.float64), array + 1, array.ravel()]
    assert {hash_array(item) for item in same} == {hash_array(array)}
    assert len({hash_array(item) for item in [array, *other]}) == 5


def test_json_ignores_the_order_of_keys_but_not_of_lists():
    assert hash_json({"a": 1, "b": [1, 2]}) == hash_json({"b": [1, 2], "a": 1})
    assert hash_json([1, 2]) != hash_json([2, 1])
    assert canonical_json({"b": "é", "a": None}) == '{"a":null,"b":"é"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        hash_json({"a": float("nan")})
