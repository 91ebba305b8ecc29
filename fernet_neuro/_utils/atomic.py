"""Complete or absent: files and folders are written beside their name and renamed at the end.

What a process that was killed has left of that is removed, and what it had moved away is put back, by the
next one that writes into the same folder.
"""

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from fernet_neuro._utils.hashing import hash_bytes
from fernet_neuro.exceptions import StoreError
from fernet_neuro.typing import PathLike

#: Prefix of folders in the place for temporary files, which are gone when a command ends.
SCRATCH = "fernet-neuro-"
_SCRATCH = re.compile(SCRATCH + r"[0-9a-f]{6}-(?P<pid>\d+)-\w+")


@contextmanager
def atomic_file(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it replaces `path`, on failure it is removed.

    The temporary name keeps the suffix, since writers choose their format by it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(target.parent)
    temporary = target.with_name(f".{target.stem}.{_name_process()}.tmp{target.suffix}")
    try:
        yield temporary
        if temporary.is_file():
            _open_up(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_files(folder: PathLike, names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Yield a temporary path for each of several files of a folder; on success they replace those, in order.

    The last, such as a summary, is taken away before: where it lies, all others are whole.
    """
    with ExitStack() as stack:
        # Renamed in reverse order of entering.
        paths = {name: stack.enter_context(atomic_file(Path(folder) / name)) for name in reversed(names)}
        yield paths
        (Path(folder) / names[-1]).unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it replaces `path`, on failure it is removed."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(target.parent)
    temporary = _make_beside(target, "tmp")
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for path in temporary.rglob("*"):
            if path.is_file() and not path.is_symlink():
                _open_up(path)
        _swap_folder(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder in the place for temporary files, which is removed at the end."""
    folder = make_scratch()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_scratch() -> Path:
    """Make a folder in the place for temporary files, and remove those that killed processes have left."""
    place = Path(tempfile.gettempdir())
    for path in place.glob(f"{SCRATCH}{name_host()}-*"):
        found = _SCRATCH.fullmatch(path.name)
        if found and not is_alive(int(found["pid"])):
            shutil.rmtree(path, ignore_errors=True)  # another user's stays
    return Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{_name_process()}-"))


def check_empty(out: PathLike, overwrite: bool) -> None:
    """Raise unless a new folder may be put at `out`.

    Raises StoreError if it is a file, or a folder that is not empty and `overwrite` is off.
    """
    target = Path(out)
    clear_leftovers(target.parent)
    clear_leftovers(target)
    if target.exists() and not target.is_dir():
        raise StoreError(f"out={str(target)!r} is a file; give the name of a folder.")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise StoreError(f"out={str(target)!r} is not empty; choose another folder or pass --overwrite.")


def is_foreign(folder: Path, marker: str) -> bool:
    """Return whether `folder` holds something, but not the file `marker` by which we know what is ours."""
    return (
        not (folder / marker).is_file() and folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    )


def replace_folder(new: PathLike, target: PathLike) -> None:
    """Rename the finished folder `new` to `target` on the same disk; what was there goes only then."""
    _swap_folder(Path(new), Path(target))


def _swap_folder(new: Path, target: Path) -> None:
    """Put `new` at `target`; what was there stays until the new one can take its place."""
    if not target.exists():
        new.rename(target)
        return
    old = _make_beside(target, "old") / "old"
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old.parent, ignore_errors=True)


def clear_interrupted(folder: PathLike, last: str, others: Iterable[str]) -> None:
    """Remove those of `others` that `atomic_files` had renamed when it was killed; `last` comes after them.

    Files of these names that it had not come to, such as a user's own, stay.
    """
    place = Path(folder)
    begun = {name + path.suffix for path, name in _find_leftovers(place)}
    if last in begun and not (place / last).exists():
        for name in others:
            if name not in begun:
                (place / name).unlink(missing_ok=True)


def clear_leftovers(folder: PathLike) -> None:
    """Remove what killed processes of this machine left half written in `folder`; put back what they moved.

    A folder is looked through once by each process.
    """
    _clear(Path(folder).absolute(), os.getpid())


@cache
def _clear(folder: Path, _: int) -> None:
    for path, name in _find_leftovers(folder):
        target = path.with_name(name)
        if path.suffix == ".old" and (path / "old").exists() and not target.exists():
            (path / "old").rename(target)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _find_leftovers(folder: Path) -> list[tuple[Path, str]]:
    """Return what killed processes of this machine left in `folder`, each with the name it was beside."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _LEFTOVER.fullmatch(path.name)
        if match and match["host"] == name_host() and not is_alive(int(match["pid"])):
            found.append((path, match["name"]))
    return found


#: What is written beside a name: the name, whose it is, and what it is for.
_LEFTOVER = re.compile(
    r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{6})-(?P<pid>\d+)(?:-\w+)?\.(?:tmp|old)(?:\.[^.]+)?"
)


@cache
def name_host() -> str:
    """Return six signs for this machine, which do not tell its name."""
    return hash_bytes(socket.gethostname().encode())[:6]


def _name_process() -> str:
    return f"{name_host()}-{os.getpid()}"


def _make_beside(target: Path, use: str) -> Path:
    prefix = f".{target.name}.{_name_process()}-"
    return Path(tempfile.mkdtemp(prefix=prefix, suffix=f".{use}", dir=target.parent))


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine runs, or may run."""
    if os.name == "nt":  # pragma: no cover
        return True  # asking would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not _is_defunct(pid)


def _is_defunct(pid: int) -> bool:
    """Return whether a process has ended and only waits for its parent to take notice (Linux)."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    return False


def _open_up(path: Path) -> None:
    """Give a new file the mode that files of this process have: some writers make it private."""
    path.chmod(path.stat().st_mode | (0o666 & ~_umask()))


def _umask() -> int:
    """Return the process's umask (reading it means setting it for an instant)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: PathLike, text: str) -> None:
    """Write `text` to `path`, complete or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
