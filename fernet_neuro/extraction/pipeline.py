"""Work beside the forward pass: batches decoded ahead of it, results written behind it.

What belongs here: bounded queues over threads, so that memory does not grow with the number of stimuli.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(function: Callable[[T], R], items: Iterable[T], *, n_threads: int, n_ahead: int) -> Iterator[R]:
    """Yield ``function(item)`` in order while threads compute at most `n_ahead` results in advance."""
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="decode")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > n_ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class WriteBehind(Generic[T]):
    """Hand items to `function` in one background thread, in order, with at most `n_behind` waiting.

    An error in the thread is raised by the next `put` or when the block is left without another error.

    `function`: takes one item. `n_behind`: items that may wait before `put` blocks.
    """

    def __init__(self, function: Callable[[T], Any], n_behind: int = 2) -> None:
        self._function = function
        self._n_behind = n_behind
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._pending: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        """Start."""
        return self

    def put(self, item: T) -> None:
        """Queue `item`; block while too many are waiting."""
        while len(self._pending) >= self._n_behind or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(self._function, item))

    def drain(self) -> None:
        """Wait until all that is queued is done."""
        while self._pending:
            self._pending.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for what is queued; after an error, only for the item in work."""
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            for future in self._pending:
                future.result()
