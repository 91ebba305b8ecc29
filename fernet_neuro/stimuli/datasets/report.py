"""What an adapter gives back: the table, and every file that it left out with the reason.

What belongs here: `Listing` and `ImportReport`, and the steps between them that all adapters share.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.progress import track
from fernet_neuro._utils.tables import write_csv
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.images import IMAGE_SUFFIXES, measure_image, say_fault, say_format
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

#: How the names of pictures end, in words.
ENDINGS = ", ".join(sorted(IMAGE_SUFFIXES))
#: A path (relative to the source folder, with forward slashes) and why it was left out.
LeftOut = tuple[str, str]


def left_out_path(table: Path) -> Path:
    """Return where the list of what is not in a table lies: beside it."""
    return table.with_name(f"{table.stem}.left_out.csv")


@dataclass(frozen=True)
class ImportReport:
    """The stimuli that an adapter found, and the files that it did not take.

    Parameters
    ----------
    table : StimulusTable
        What was taken, in sorted order of the paths unless the adapter says otherwise.
    left_out : DataFrame of shape (n_left_out, 2)
        Columns ``path`` (relative to the source folder) and ``reason``, which reads ``kind`` or
        ``kind: detail``.
    notes : tuple of str
        What else is worth knowing, a line each, such as how many stimuli the owners published.
    """

    table: StimulusTable
    left_out: pd.DataFrame
    notes: tuple[str, ...] = ()

    def count_reasons(self) -> dict[str, int]:
        """Return the number of files left out by kind of reason, most frequent first."""
        return _count_kinds(self.left_out["reason"])

    def write_left_out(self, table: Path) -> Path:
        """Write what was left out beside the file `table`, and return where; before the table itself."""
        path = left_out_path(table)
        write_csv(self.left_out, path)
        return path


@dataclass(frozen=True)
class Demands:
    """What a photograph must fulfil to be taken.

    Parameters
    ----------
    size : tuple of int or None
        Wanted (width, height) in pixels; None takes any.
    black_below : float or None
        Smallest mean luminance (0-255); None takes any.
    """

    size: tuple[int, int] | None = None
    black_below: float | None = None


@dataclass(frozen=True)
class Listing:
    """What an adapter lists of a folder, before any picture is decoded.

    Parameters
    ----------
    root : Path
        Folder that the paths start from.
    columns : sequence of str
        Names of the fields of each row; ``stimulus_id`` and ``path`` come first.
    rows : sequence of tuple
        One per stimulus.
    left_out : sequence of (path, reason)
        What the adapter has left out already.
    demands : Demands
        What a verified picture must fulfil.
    published : mapping
        Published numbers of stimuli: by part (the column ``split``), in all or by expression.
    """

    root: Path
    columns: Sequence[str]
    rows: Sequence[tuple]
    left_out: Sequence[LeftOut]
    demands: Demands = Demands()
    published: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)


def check_source(src: PathLike) -> Path:
    """Return `src` as an absolute path.

    Raises StimulusError if it is not a folder.
    """
    source = Path(src)
    if not source.is_dir():
        raise StimulusError(f"source folder {source} does not exist or is not a folder.")
    return source.resolve()


def find_one(source: Path, candidates: Sequence[str], what: str) -> Path:
    """Return the one of `candidates` that exists below `source`; ``"."`` stands for `source` itself.

    Raises StimulusError if none or several of them exist.
    """
    found = [name for name in candidates if (source / name).exists()]
    if not found:
        raise StimulusError(f"{source} holds no {what}; looked for: {', '.join(candidates)}.")
    if len(found) > 1:
        raise StimulusError(
            f"{source} holds several copies of {what} ({', '.join(found)}); give the folder of one of them."
        )
    return source / found[0]


def list_files(folder: Path) -> Iterator[str]:
    """Yield all files below `folder` but hidden ones, relative with forward slashes, folders sorted."""
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = Path(base).relative_to(folder).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        yield from (prefix + name for name in sorted(names) if not name.startswith("."))


def sort_out(folder: Path, names: Iterable[str]) -> tuple[list[str], list[LeftOut]]:
    """Return (pictures inside `folder`, what is left out because it is none or lies outside)."""
    pictures, left_out = [], []
    for name in names:
        if reason := say_format(name):
            left_out.append((name, reason))
        elif not lies_inside(folder, name):
            left_out.append((name, "outside the source folder: the path or link leaves it"))
        else:
            pictures.append(name)
    return pictures, left_out


def lies_inside(folder: Path, name: str) -> bool:
    """Return whether `name`, taken from `folder` and with links followed, stays inside `folder`."""
    return (folder / name).resolve().is_relative_to(folder.resolve())


def make_report(listing: Listing, *, verify: bool, n_jobs: int, verbose: bool) -> ImportReport:
    """Return the report on the rows, with `verify` on those whose pictures can be decoded, and their digests.

    Raises StimulusError if nothing remains.
    """
    root, (rows, repeats) = listing.root, _drop_repeats(listing.rows)
    faults = [*listing.left_out, *repeats]
    frame = pd.DataFrame(rows, columns=list(listing.columns), dtype=object)
    if verify:
        with ThreadPoolExecutor(n_jobs) as pool:
            checks = pool.map(lambda row: _verify(root, row[1], listing.demands), rows)
            found = list(track(checks, "verifying", total=len(rows), verbose=verbose))
        faults += [(row[1], reason) for row, (reason, _) in zip(rows, found, strict=True) if reason]
        frame = frame.assign(digest=[digest for _, digest in found])
        frame = frame[[not reason for reason, _ in found]]
    report = pd.DataFrame(sorted(faults), columns=["path", "reason"], dtype=object)
    if frame.empty:
        raise StimulusError(f"no usable picture was found in {root}{_explain_nothing(root, report)}.")
    return ImportReport(StimulusTable.from_frame(frame, root=root), report)


def _explain_nothing(root: Path, left_out: pd.DataFrame) -> str:
    names = list(list_files(root))
    if not names:
        return ", which holds no files"
    others = "" if any(not say_format(name) for name in names) else f"; pictures end in {ENDINGS}"
    return explain_left_out(left_out) + others


def explain_left_out(left_out: pd.DataFrame) -> str:
    """Return the end of a sentence that says why nothing was taken, or "" where nothing was left out.

    Examples
    --------
    >>> left_out = {"path": ["a.png", "b.txt"], "reason": ["unreadable: cut short", "not a picture"]}
    >>> explain_left_out(pd.DataFrame(left_out))
    '; 2 left out: 1 unreadable (a.png: cut short), 1 not a picture (b.txt)'
    """
    if left_out.empty:
        return ""
    kinds = left_out["reason"].str.partition(":")
    parts = []
    for kind, count in _count_kinds(left_out["reason"]).items():
        place = int((kinds[0] == kind).to_numpy().argmax())
        detail = kinds[2].iloc[place].strip().rstrip(".")
        example = ": ".join(filter(None, (left_out["path"].iloc[place], detail)))
        parts.append(f"{count} {kind} ({'first: ' * (count > 1)}{example})")
    return f"; {len(left_out)} left out: {', '.join(parts)}"


def _count_kinds(reasons: Iterable[str]) -> dict[str, int]:
    return dict(Counter(reason.partition(":")[0] for reason in reasons).most_common())


def _drop_repeats(rows: Sequence[tuple]) -> tuple[list[tuple], list[LeftOut]]:
    kept: dict[str, tuple] = {}
    repeats = []
    for row in rows:
        first = kept.setdefault(row[0], row)
        if first is not row:
            repeats.append((row[1], f"id occurs twice: {row[0]!r} is already {first[1]}"))
    return list(kept.values()), repeats


def _verify(root: Path, name: str, demands: Demands) -> LeftOut:
    """Return (reason or "", digest or "") of one picture."""
    path = root / name
    if not path.is_file():
        return "missing: no such file", ""
    try:
        size, luminance = measure_image(path)
    except StimulusError as error:
        return f"unreadable: {say_fault(error, path)}", ""
    if demands.size is not None and size != demands.size:
        wanted = f"{demands.size[0]} x {demands.size[1]}"
        return f"odd size: {size[0]} x {size[1]} pixels instead of {wanted}", ""
    if demands.black_below is not None and luminance < demands.black_below:
        return f"almost black: mean luminance {luminance:.1f} of 255", ""
    return "", hash_file(path)
