"""Files of every kind that would run code if they were read without care, and a watch that sees it.

What belongs here: the files, whose payload writes a file or imports a module that does, and what counts as
running something. Used by ``tools/fuzz.py``.
"""

import io
import os
import pickle
import re
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

#: What payloads write, beside the file that is read, and the module there that writes it when it is imported.
MARKER, MODULE = "was_run", "hostile_payload"
#: Events by which Python tells that a program or code from outside is run.
_STARTS = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.fork", "os.forkpty",
    "pty.spawn", "subprocess.Popen", "pickle.find_class", "socket.connect", "urllib.Request", "code.__new__",
    "marshal.loads",
)  # fmt: skip
_events: list[str] | None = None
_is_hooked = False


class _Payload:
    """Unpickling it gives `line` to a shell."""

    def __init__(self, line: str) -> None:
        self._line = line

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._line,)


class _Importer:
    """Unpickling it imports the module that writes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return __import__, (MODULE,)


@contextmanager
def watching() -> Iterator[list[str]]:
    """Yield a list of what is run from outside in the block: programs, names of pickles, text as code."""
    global _events, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_look)  # for the life of the process; it does nothing outside such blocks
        _is_hooked = True
    _events = []
    try:
        yield _events
    finally:
        _events = None


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if _events is None:
        return
    if event in _STARTS:
        if event != "marshal.loads" or not _is_importing():
            _events.append(f"{event} {arguments!r:.120}")
    elif event == "exec":
        name = getattr(arguments[0], "co_filename", "")
        if not name.endswith((".py", ".pyc")) and not name.startswith("<frozen") and not _is_importing():
            _events.append(f"exec of {name}")
    elif event == "import" and str(arguments[0]).partition(".")[0] == MODULE:
        _events.append(f"import of {arguments[0]}")


def _is_importing() -> bool:
    """Return whether a module is being imported, whose own code may make classes from text."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def write_payload(folder: Path) -> None:
    """Write the module that writes the marker when it is imported."""
    (folder / f"{MODULE}.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")


def make_seeds(kind: str, name: str, content: bytes, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what hostile files of a kind are called in messages, and hold.

    `name`: the file's name; `content`: that of a whole one; `folder`: where it lies.
    """
    line = f"touch {folder / MARKER}"
    for what, item in (("a command", _Payload(line)), ("an import", _Importer())):
        for protocol in (0, 2, 5):
            yield (
                f"a pickle of {what}, protocol {protocol}",
                pickle.dumps({"fc.weight": item}, protocol=protocol),
            )
        yield f"an array of objects with {what}", _write_npy(item)
        yield f"an archive of such an array with {what}", _write_npz(item)
    yield "an array whose heading is code", _write_heading(f"__import__('os').system({line!r})")
    suffix = Path(name).suffix
    makers: dict[str, Callable[[str, bytes], Iterator[tuple[str, bytes]]]] = {
        ".yaml": _make_yaml, ".pth": _make_torch, ".parquet": _make_parquet, ".gii": _make_xml,
        ".png": _make_postscript, ".jpg": _make_postscript, ".npz": _make_archives, ".json": _make_json,
    }  # fmt: skip
    if suffix in makers:
        yield from makers[suffix](line, content)
    if kind == "network":
        yield (
            "a card that names code",
            content.replace(b'"resnet10-slim"', f'"{folder / MODULE}.py:make"'.encode()),
        )


def _write_npy(item: object) -> bytes:
    handle = io.BytesIO()
    np.save(handle, np.array([item], dtype=object), allow_pickle=True)
    return handle.getvalue()


def _write_npz(item: object) -> bytes:
    handle = io.BytesIO()
    np.savez(handle, rdms=np.array([item], dtype=object), stimulus_ids=np.array([item], dtype=object))
    return handle.getvalue()


def _write_heading(code: str) -> bytes:
    heading = f"{{'descr': {code} or '<f8', 'fortran_order': False, 'shape': (1,)}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(heading)) + heading.encode() + bytes(8)


def _make_archives(line: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield archives, each member of which in turn is an array of objects, or has code for a heading."""
    code = f"__import__('os').system({line!r})"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name in members:
        for what, item in (
            ("objects", _write_npy(_Payload(line))),
            ("code", _write_heading(code)),
        ):
            yield f"{name} of {what}", _zip({**members, name: item})


def _zip(members: dict[str, bytes]) -> bytes:
    handle = io.BytesIO()
    with zipfile.ZipFile(handle, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return handle.getvalue()


def _make_torch(line: str, _content: bytes) -> Iterator[tuple[str, bytes]]:
    import torch

    def make(item: object, **options: Any) -> bytes:
        handle = io.BytesIO()
        torch.save(item, handle, **options)
        return handle.getvalue()

    for is_zip in (True, False):
        content = make({"state_dict": _Payload(line)}, _use_new_zipfile_serialization=is_zip)
        yield f"a torch file, {'new' if is_zip else 'old'}", content
        content = make({"model": torch.nn.Linear(2, 2)}, _use_new_zipfile_serialization=is_zip)
        yield f"a whole module, {'new' if is_zip else 'old'}", content


def _make_yaml(line: str, _content: bytes) -> Iterator[tuple[str, bytes]]:
    for tag in (
        f"!!python/object/apply:os.system ['{line}']",
        f"!!python/object/new:os.system ['{line}']",
        f"!!python/module:{MODULE}",
        f"!!python/name:{MODULE}.x",
        f"!!python/object:{MODULE}.x {{}}",
        f"!!python/object/apply:subprocess.Popen [[touch, '{line.partition(' ')[2]}']]",
    ):
        yield tag.partition(" ")[0], f"task: {tag}\n".encode()


def _make_parquet(line: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a table with a column whose type older versions of pyarrow unpickled."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(_Payload(line)),
    }
    fields = [item.with_metadata(metadata) if item.name == "identity" else item for item in table.schema]
    handle = io.BytesIO()
    pq.write_table(table.cast(pa.schema(fields)), handle)
    yield "a type that is a pickle", handle.getvalue()


def _make_xml(line: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    place = Path(line.partition(" ")[2]).with_name(f"{MODULE}.py")
    head, mark, rest = re.sub(rb"<!DOCTYPE[^>]*>", b"", content).partition(b"?>")
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    for what, entities, name in (
        ("an outside entity", f'<!ENTITY e SYSTEM "file://{place}">', "e"),
        ("entities that grow", f'<!ENTITY e0 "ha">{levels}', "e9"),
    ):
        named = rest.replace(b"</Data>", f"&{name};</Data>".encode())
        yield what, head + mark + f"<!DOCTYPE GIFTI [{entities}]>".encode() + named


def _make_postscript(line: str, _content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a drawing that Pillow would give to Ghostscript."""
    program = (
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(%pipe%{line}) (w) file\nshowpage\n"
    )
    yield "a program in PostScript", program.encode()


def _make_json(line: str, _content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "tags of YAML", f"!!python/object/apply:os.system ['{line}']".encode()
