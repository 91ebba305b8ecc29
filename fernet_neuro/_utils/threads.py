"""How many threads the libraries for linear algebra use."""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")


def limit_threads(limit: int, user_api: str | None = None) -> Any:
    """Return what holds thread pools to `limit` threads inside a ``with`` block: of "blas", or None for all.

    As `threadpoolctl.threadpool_limits`, which looks for the libraries at every call: as long as the fit of a
    small read-out.

    Examples
    --------
    >>> with limit_threads(1, "blas"):
    ...     pass
    """
    return _find_pools(len(sys.modules)).limit(limits=limit, user_api=user_api)


def do_in_threads(do: Callable[[T], None], items: Iterable[T], n_threads: int) -> None:
    """Do something with each item, in this thread where one is asked for: starting another takes time.

    Examples
    --------
    >>> found = []
    >>> do_in_threads(found.append, "ab", 1)
    >>> found
    ['a', 'b']
    """
    if n_threads <= 1:
        for item in items:
            do(item)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(do, items))


@lru_cache(maxsize=1)
def _find_pools(_n_modules: int) -> ThreadpoolController:
    """Return the pools of what is loaded; modules that were imported since may have brought others."""
    return ThreadpoolController()
