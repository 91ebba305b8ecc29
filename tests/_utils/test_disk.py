"""Room on a disk: what is there already counts, and a message says what to do."""

import shutil

import pytest

from fernet_neuro._utils.disk import check_free
from fernet_neuro.exceptions import StoreError


def test_only_what_the_disk_does_not_hold_yet_needs_room(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=2 * 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    check_free(tmp_path, 2e9, "a store", "take less")
    check_free(tmp_path, 5e9, "a store", "take less", n_kept=3 * 10**9)
    with pytest.raises(StoreError, match=r"^a store needs 5.00 GB and .* has 4.50 GB free; take less\.$"):
        check_free(tmp_path, 5e9, "a store", "take less", n_kept=25 * 10**8)
