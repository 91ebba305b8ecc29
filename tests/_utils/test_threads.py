import sys
from types import ModuleType

import numpy as np  # noqa: F401  (has a pool)
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fernet_neuro._utils import threads
from fernet_neuro._utils.threads import limit_threads


def count_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize("user_api", ["blas", None])
def test_pools_are_held_inside_the_block_alone(user_api):
    with threadpool_limits(2):
        for _ in range(2):
            with limit_threads(1, user_api):
                assert count_threads() == {1}
            assert count_threads() == {2}


def test_libraries_are_looked_for_again_once_more_modules_are_loaded(monkeypatch):
    looked = []
    look = threads.ThreadpoolController
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: looked.append(1) or look())
    threads._find_pools.cache_clear()
    for _ in range(2):
        with limit_threads(1):
            pass
    assert len(looked) == 1
    monkeypatch.setitem(sys.modules, "brought_another_pool", ModuleType("brought_another_pool"))
    with limit_threads(1):
        assert len(looked) == 2
