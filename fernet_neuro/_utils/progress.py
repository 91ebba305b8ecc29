"""Progress bars on standard error, with time left; off unless asked for."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
#: Characters of a terminal that has room for more than the first of a bar's further columns.
WIDE = 130


def track(
    items: Iterable[T], description: str, *, total: int | None = None, verbose: bool = False
) -> Iterator[T]:
    """Yield `items`, showing a bar called `description` when `verbose`.

    Rich is imported only then, so that library use and ``--help`` stay light. An error takes the bar off, so
    that its own line stands alone.
    """
    if not verbose:
        yield from items
        return
    with make_progress() as progress:
        try:
            yield from progress.track(items, description=description, total=total)
        except BaseException:
            progress.live.transient = True
            raise


def make_progress(*columns: str, disable: bool = False) -> "Progress":
    """Return a `rich.progress.Progress` for standard error with bar, count, time spent and time left.

    `*columns`: further text columns in rich's format syntax, such as ``"loss {task.fields[loss]:.3f}"``.
    Terminals of fewer than `WIDE` characters have room for the first alone. `disable`: show nothing.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    is_wide = console.width >= WIDE
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=10 if columns or not is_wide else 40),
        MofNCompleteColumn(),
        *(TextColumn(column) for column in (columns if is_wide else columns[:1])),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=disable,
    )
