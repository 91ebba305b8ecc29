"""The table of stimuli, one row per image, whose row order is part of its value.

What belongs here: the `StimulusTable` noun and its files; decoding is in `images`, partitioning in `splits`.
"""

import csv
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro._utils.digests import recall_digest
from fernet_neuro._utils.foreign import read_foreign
from fernet_neuro._utils.hashing import hash_json
from fernet_neuro._utils.labels import GAPS, note_alike, note_gaps, to_key, to_label
from fernet_neuro._utils.paths import lead_to
from fernet_neuro._utils.shown import Shown
from fernet_neuro._utils.tables import to_csv, to_text
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import AlignmentError, StimulusError
from fernet_neuro.stimuli._columns import to_canonical
from fernet_neuro.stimuli.shipped import find_table
from fernet_neuro.typing import PathLike

#: Columns that every table has; an unknown value is the empty string.
REQUIRED_COLUMNS = ("stimulus_id", "path", "identity", "expression", "view", "session")
#: Labels are text even where they look like numbers: identity "003" is not 3.
TEXT_COLUMNS = (*REQUIRED_COLUMNS, "licence", "digest")
#: Text columns that nothing is grouped by.
_UNIQUE_COLUMNS = ("stimulus_id", "path", "licence", "digest")


@dataclass(frozen=True, eq=False, repr=False)
class StimulusTable(Shown):
    """One row per image: unique id, path, who is shown, what the face feels, from where, and when.

    Build one with `from_frame` or `read`; the constructor expects a checked frame.

    Parameters
    ----------
    frame : DataFrame of shape (n_stimuli, n_columns)
        Columns ``stimulus_id, path, identity, expression, view, session`` (text; empty where unknown),
        optionally ``licence``, ``digest`` (SHA-256 of the image file) and any further factor, which is
        bool, int64 or float64 where all its values are, and text otherwise.
        Never edit it in place.
    root : Path or None
        Folder that relative paths start from; None is the working directory.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.read_stimuli("builtin")
    >>> faces["view"].unique().tolist(), len(faces.select(view="straight"))
    (['half_left', 'straight', 'half_right'], 84)
    """

    frame: pd.DataFrame
    root: Path | None = None

    def __post_init__(self) -> None:
        if self.root is not None:  # so that the frame, handed to a function by itself, is this table again
            self.frame.attrs["root"] = str(self.root)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, root: PathLike | None = None) -> "StimulusTable":
        """Check and normalise `frame` (a copy) and return the table.

        Missing factor columns are added empty; rows keep their order.

        Raises
        ------
        StimulusError
            If ``stimulus_id`` or ``path`` is missing or empty, an id or a column occurs twice, or a relative
            path leaves `root`.
        """
        frame = frame.reset_index(drop=True).copy()
        frame.columns = pd.Index([str(column) for column in frame.columns], dtype=object)
        _check_columns(frame)
        for column in REQUIRED_COLUMNS:
            if column not in frame:
                frame[column] = ""
        for column in list(frame.columns):
            if column != "path":
                frame[column] = _clean_labels(frame[column])
            frame[column] = (to_text if column in TEXT_COLUMNS else to_canonical)(frame[column])
        if root is not None:
            folder = Path(root)
            frame["path"] = [find_spelling(folder, item) for item in frame["path"]]
        others = [column for column in frame if column not in REQUIRED_COLUMNS]
        frame = frame[[*REQUIRED_COLUMNS, *others]]
        _check_ids(frame["stimulus_id"])
        _check_paths(frame)
        return cls(frame, Path(root).resolve() if root is not None else None)

    @classmethod
    def read(cls, path: PathLike, *, inside: bool = True) -> "StimulusTable":
        """Read a ``.csv`` or ``.parquet`` table, or a shipped one by name; image paths start from its folder.

        Relative paths stay inside that folder, but for tables of our own results (`inside` off), see `write`.

        Raises
        ------
        StimulusError
            If the file is missing, of another kind, damaged, or not a valid table.
        """
        source = find_table(path)
        read = _READERS[check_table_suffix(source)]
        if not source.is_file():
            raise StimulusError(f"stimulus table {source} does not exist.")
        try:
            frame = read(source)
            if not inside and "path" in frame:
                folder = str(source.parent.resolve())
                frame["path"] = [_follow_up(folder, str(item)) for item in frame["path"]]
            table = cls.from_frame(frame, root=source.parent)
        except StimulusError as error:
            raise StimulusError(f"stimulus table {source}: {error}") from error
        except Exception as error:  # pyarrow and pandas raise many kinds of a damaged file
            said = " ".join(str(error).split())
            raise StimulusError(f"stimulus table {source} cannot be read: {said}") from error
        _note_doubts(table.frame, source)
        return table

    def write(self, path: PathLike, *, inside: bool = True) -> Path:
        """Write the table as ``.csv`` or ``.parquet`` by its suffix, complete or not at all.

        Image paths inside the target's folder become relative to it, all others absolute; with `inside` off
        they lead there from the folder (``../faces/a.png``), which says nothing of the owner's machine.
        """
        target = Path(path)
        kind = check_table_suffix(target)
        folder = str(target.parent.resolve())
        frame = self.frame.copy()
        frame.attrs.clear()
        # Pictures share few folders, each of which is looked up once.
        resolve, lead = cache(os.path.realpath), cache(partial(lead_to, folder=folder))
        places = [_relative_to(item, folder, resolve) for item in self.paths()]
        if not inside:
            places = [_lead_to(item, lead) for item in places]
        frame["path"] = pd.Series(places, dtype=object)
        with atomic_file(target) as temporary:
            _WRITERS[kind](frame, temporary)
        return target

    def __len__(self) -> int:
        """Return the number of stimuli."""
        return len(self.frame)

    def describe(self) -> str:
        """Return how many stimuli there are, and how many values of each factor."""
        counts = {name: len(set(self.frame[name]) - {""}) for name in REQUIRED_COLUMNS[2:]}
        return ", ".join([f"{len(self)} stimuli", *(f"{name} {n}" for name, n in counts.items() if n)])

    @overload
    def __getitem__(self, name: str) -> pd.Series: ...
    @overload
    def __getitem__(self, name: "slice | pd.Series | np.ndarray") -> "StimulusTable": ...
    def __getitem__(self, name: Any) -> "pd.Series | StimulusTable":
        """Return a column, or the stimuli of a slice or a mask; cells of a column may be empty.

        Raises
        ------
        StimulusError
            If there is no such column.
        TypeError
            For several columns: those are of `frame`.

        Examples
        --------
        >>> frame = pd.DataFrame({"stimulus_id": ["a", "b"], "path": ["a.png", "b.png"], "view": ["l", "r"]})
        >>> StimulusTable.from_frame(frame)["view"].tolist()
        ['l', 'r']
        """
        if isinstance(name, slice):
            return self.select(np.arange(len(self))[name])
        if isinstance(name, pd.Series | np.ndarray):
            return self.select(np.asarray(name))
        if not isinstance(name, str):
            raise TypeError(f"a stimulus table gives one column by its name; got {name!r}. Use table.frame.")
        self.factor(name, complete=False)
        return self.frame[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a column."""
        return name in self.frame

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the columns, as a data frame does."""
        return map(str, self.frame)

    def head(self, n: int = 5) -> pd.DataFrame:
        """Return the first `n` rows as a data frame."""
        return self.frame.head(n)

    def __eq__(self, other: object) -> bool:
        """Return whether both tables hold the same rows in the same order and the same image files."""
        if not isinstance(other, StimulusTable):
            return NotImplemented
        files, other_files = self.paths(), other.paths()
        if files != other_files and [*map(os.path.realpath, files)] != [*map(os.path.realpath, other_files)]:
            return False
        return self._canonical_frame().equals(other._canonical_frame())

    __hash__ = None  # type: ignore[assignment]  # holds a DataFrame

    @property
    def stimulus_ids(self) -> np.ndarray:
        """Ids in row order, ndarray of str of shape (n_stimuli,)."""
        return self.frame["stimulus_id"].to_numpy(dtype=str)

    def factor(self, name: str, *, complete: bool = True) -> np.ndarray:
        """Return the column `name` in row order, shape (n_stimuli,).

        Raises
        ------
        StimulusError
            If there is no such column, or (with `complete`) a row has no value in it.
        """
        if name not in self.frame:
            raise StimulusError(
                f"the stimulus table has no factor {name!r}; it has: {format_options(self.frame.columns)}."
                f"{suggest(name, self.frame.columns)}"
            )
        values = self.frame[name]
        if complete:
            self._check_complete(name, values)
        return values.to_numpy(dtype=str) if values.dtype == object else values.to_numpy()

    def _check_complete(self, name: str, values: pd.Series) -> None:
        empty = values.isna().to_numpy() | (values == "").to_numpy()
        if empty.any():
            first = self.frame["stimulus_id"][empty].iloc[0]
            raise StimulusError(
                f"{int(empty.sum())} of {len(self)} stimuli have no {name!r} (first: {first!r}); "
                f"fill the column or leave those rows out."
            )

    def combine(self, *names: str) -> np.ndarray:
        r"""Return a text per row, shape (n_stimuli,), equal where all these columns are; empty values count.

        Examples
        --------
        >>> frame = pd.DataFrame({"stimulus_id": ["a", "b"], "path": ["a.png", "b.png"], "view": ["l", "r"]})
        >>> table = StimulusTable.from_frame(frame.assign(expression="fear"))
        >>> table.combine("expression", "view").tolist()
        ['fear\x1fl', 'fear\x1fr']
        """
        columns = [self.factor(name, complete=False).astype(str) for name in names]
        # A separator that no label holds, so that no two combinations are written alike.
        return np.array(["\x1f".join(row) for row in zip(*columns, strict=True)], dtype=str)

    def paths(self) -> list[Path]:
        """Return absolute image paths in row order."""
        base = self.root or Path.cwd()
        return [base / item for item in self.frame["path"]]  # an absolute item stays as it is

    def ways(self) -> list[str]:
        """Return the ways from the table's folder to its images, in row order, for lists without a folder."""
        folder = str(self.root or Path.cwd())
        return [lead_to(str(path), folder) for path in self.paths()]

    @property
    def image_digests(self) -> tuple[str, ...]:
        """SHA-256 of each image file as it is on disk now, in row order.

        A file is read again only if its size or time stamp changed since the last call.

        Raises
        ------
        StimulusError
            If a file is missing; the message names the first stimulus.
        """
        return tuple(
            self._digest_of(stimulus_id, path)
            for stimulus_id, path in zip(self.frame["stimulus_id"], self.paths(), strict=True)
        )

    def known_digests(self) -> list[str]:
        """Return as `image_digests`, with an empty text where a file is missing."""
        rows = zip(self.frame["stimulus_id"], self.paths(), strict=True)
        return [self._digest_of(name, path) if path.is_file() else "" for name, path in rows]

    def _digest_of(self, stimulus_id: str, path: Path) -> str:
        if not path.is_file():
            raise StimulusError(f"image of stimulus {stimulus_id!r} does not exist: {path}")
        return recall_digest(path)

    def digest(self) -> str:
        """Return the SHA-256 of ids, labels and image contents, in row order; paths do not count."""
        frame = self._canonical_frame().drop(columns="digest", errors="ignore")
        rows = [[str(value) for value in row] for row in frame.astype(object).to_numpy().tolist()]
        return hash_json({"columns": list(frame), "rows": rows, "images": list(self.image_digests)})

    def select(
        self, rows: Sequence[bool] | Sequence[int] | np.ndarray | None = None, **factors: Any
    ) -> "StimulusTable":
        """Return the rows of a mask or of indices, and whose factors have one of the given values.

        Examples
        --------
        >>> frame = pd.DataFrame({"stimulus_id": ["a", "b"], "path": ["a.png", "b.png"], "view": ["l", "r"]})
        >>> StimulusTable.from_frame(frame).select(view="r").stimulus_ids.tolist()
        ['b']
        """
        index = np.arange(len(self)) if rows is None else self._row_index(rows)
        for name, wanted in factors.items():
            values = self.factor(name, complete=False)[index]
            single = isinstance(wanted, str) or not isinstance(wanted, Iterable)
            options: list = [wanted] if single else list(wanted)
            if values.dtype.kind == "U":
                options = [to_label(str(option)) for option in options]
            index = index[np.isin(values, options)]
        frame = self.frame.iloc[index].reset_index(drop=True)
        return StimulusTable(frame, self.root)

    def _row_index(self, rows: Sequence[bool] | Sequence[int] | np.ndarray) -> np.ndarray:
        """Return row numbers for a mask or for indices, checked."""
        chosen = np.asarray(rows)
        if chosen.size == 0 and chosen.dtype.kind != "b":
            return np.arange(0)
        if chosen.ndim != 1 or chosen.dtype.kind not in "biu":
            raise ValueError(f"rows must be a 1-D mask or row numbers; got {chosen.dtype} {chosen.shape}.")
        if chosen.dtype.kind == "b" and len(chosen) != len(self):
            raise ValueError(f"rows is a mask of {len(chosen)} for a table of {len(self)} stimuli.")
        if chosen.dtype.kind != "b" and (chosen.max() >= len(self) or chosen.min() < -len(self)):
            raise ValueError(f"rows has row {chosen.max()}, but the table has {len(self)} stimuli.")
        return np.arange(len(self))[chosen]

    def _canonical_frame(self) -> pd.DataFrame:
        """Return all columns but the path as `from_frame` would form them, which a selection may change."""
        frame = self.frame.drop(columns="path")
        for name in set(frame.columns) - set(TEXT_COLUMNS):
            frame[name] = to_canonical(frame[name])
        return frame

    def align_to(self, stimulus_ids: Iterable[str]) -> "StimulusTable":
        """Return the rows of `stimulus_ids`, in that order: the one explicit way to reorder.

        Raises
        ------
        AlignmentError
            If an id is not in the table.
        """
        position = {name: row for row, name in enumerate(self.frame["stimulus_id"])}
        wanted = [to_label(str(name)) for name in stimulus_ids]
        absent = [name for name in wanted if name not in position]
        if absent:
            raise AlignmentError(f"{len(absent)} stimulus ids are not in the table (first: {absent[0]!r}).")
        return self.select(np.array([position[name] for name in wanted], dtype=int))


def read_stimuli(source: "StimulusTable | pd.DataFrame | PathLike") -> StimulusTable:
    """Return the stimulus table that `source` is, or that lies there.

    Parameters
    ----------
    source : StimulusTable, DataFrame or path
        A table as it is; a data frame with the columns ``stimulus_id`` and ``path``, such as some rows of a
        table's `frame`; a shipped set by name, such as ``"builtin"``; a file (.csv or .parquet) or the folder
        of a rendered set.

    Raises
    ------
    StimulusError
        If it is missing, damaged or not a valid table.
    TypeError
        If it is something else.

    Examples
    --------
    >>> len(read_stimuli("builtin"))
    252
    >>> read_stimuli(pd.DataFrame({"stimulus_id": ["a", "b"], "path": ["a.png", "b.png"]}))
    StimulusTable: 2 stimuli
    """
    if isinstance(source, StimulusTable):
        return source
    if isinstance(source, pd.DataFrame):
        table = StimulusTable.from_frame(source, root=source.attrs.get("root"))
        if "root" not in source.attrs:  # otherwise it is of a table, whose doubts were noted
            _note_doubts(table.frame, "the data frame")
        return table
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"stimuli must be a StimulusTable, a data frame or a path; got {source!r}.")
    return StimulusTable.read(source)


def concat_tables(tables: Sequence[StimulusTable]) -> StimulusTable:
    """Return one table with the rows of all, in order; paths become absolute.

    Raises
    ------
    StimulusError
        If a stimulus id occurs in two tables.
    """
    frames = [table.frame.assign(path=[str(path) for path in table.paths()]) for table in tables]
    return StimulusTable.from_frame(pd.concat(frames, ignore_index=True))


def check_same_stimuli(first: Iterable[str], second: Iterable[str], names: tuple[str, str]) -> None:
    """Raise unless two sequences of stimulus ids are equal, in order.

    Raises
    ------
    AlignmentError
        Naming the first position at which they differ.
    """
    left, right = [str(item) for item in first], [str(item) for item in second]
    if len(left) != len(right):
        raise AlignmentError(
            f"{names[0]} has {len(left)} stimuli and {names[1]} {len(right)}; they must be the same."
        )
    for row, (one, other) in enumerate(zip(left, right, strict=True)):
        if one != other:
            raise AlignmentError(
                f"{names[0]} and {names[1]} differ first at row {row}: {one!r} against {other!r}; "
                f"use align_to(ids) to reorder."
            )


def check_table_suffix(path: PathLike) -> str:
    """Return the suffix of a table's file name in lower case.

    Raises
    ------
    StimulusError
        If it is neither ``.csv`` nor ``.parquet``.
    """
    kind = Path(path).suffix.lower()
    if kind not in _READERS:
        raise StimulusError(f"stimulus table {path} must end in .csv or .parquet.")
    return kind


def _check_columns(frame: pd.DataFrame) -> None:
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise StimulusError(f"a stimulus table has one column of each name; {repeated[0]!r} occurs twice.")
    if "" in frame.columns:
        raise StimulusError("every column of a stimulus table needs a name; one has none.")
    for column in ("stimulus_id", "path"):
        if column not in frame:
            raise StimulusError(
                f"a stimulus table needs the column {column!r}; got: {format_options(frame.columns)}."
                f"{suggest(column, frame.columns)}"
            )
    keys = {to_key(column): column for column in frame.columns}
    for column in REQUIRED_COLUMNS:
        if column not in frame and to_key(column) in keys:
            raise StimulusError(
                f"the column {keys[to_key(column)]!r} must be called {column!r} to count as such."
            )


def _check_ids(ids: pd.Series) -> None:
    if (ids == "").any():
        raise StimulusError(
            f"row {int(np.flatnonzero(ids == '')[0])} of the stimulus table has no stimulus_id."
        )
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise StimulusError(
            f"stimulus ids must be unique; {repeated.nunique()} occur more than once "
            f"(first: {repeated.iloc[0]!r})."
        )


def _clean_labels(column: pd.Series) -> pd.Series:
    """Return a column whose texts are labels in their one form, empty where nobody is called so."""
    if column.dtype.kind != "O":
        return column
    # Text that pyarrow holds is slow to go through as it is.
    values = column.to_numpy(dtype=object)
    labels = [to_label(item) if isinstance(item, str) else item for item in values]
    filled = ["" if isinstance(item, str) and item in GAPS else item for item in labels]
    return pd.Series(filled, index=column.index, name=column.name, dtype=object)


def _note_doubts(frame: pd.DataFrame, source: Path | str) -> None:
    """Say which labels may be missing values, and which may be one label."""
    for column in REQUIRED_COLUMNS[2:]:
        note_gaps(frame[column], f"stimuli of {source} have the {column}")
    for name in frame.columns.difference(list(_UNIQUE_COLUMNS)):
        if frame[name].dtype.kind == "O":
            note_alike(frame[name], f"column {name!r} of {source}")


def find_spelling(root: Path, name: str) -> str:
    """Return the path of a file below `root` in the Unicode form that it has on disk."""
    if name.isascii():
        return name
    forms = (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
    try:
        return next((form for form in forms if (root / form).exists()), name)
    except ValueError:  # no path at all; who opens it says so
        return name


def _check_paths(frame: pd.DataFrame) -> None:
    for stimulus_id, item in zip(frame["stimulus_id"], frame["path"], strict=True):
        if item == "":
            raise StimulusError(f"stimulus {stimulus_id!r} has no path.")
        if ".." in item and not Path(item).is_absolute() and ".." in Path(item).parts:
            raise StimulusError(
                f"path of stimulus {stimulus_id!r} leaves the table's folder: {item!r}; use an absolute path."
            )


def _relative_to(path: Path, folder: str, resolve: Callable[[str], str]) -> str:
    """Return `path` from `folder` if it lies inside (links to pictures are not followed), else absolute.

    `resolve`: gives the true place of a folder.
    """
    # Text throughout: Path objects take minutes for the millions of photographs of the largest sets.
    inside = folder.rstrip(os.sep) + os.sep
    plain = os.path.normpath(path)
    if not plain.startswith(inside):
        head, name = os.path.split(plain)
        plain = os.path.join(resolve(head), name)  # noqa: PTH118
    return plain.removeprefix(inside).replace(os.sep, "/") if plain.startswith(inside) else plain


def _lead_to(path: str, lead: Callable[[str], str]) -> str:
    """Return the way to a path, with `lead` for its folder; one inside the table's folder stays as it is."""
    head, name = os.path.split(path)
    return f"{lead(head)}/{name}" if os.path.isabs(head) else path  # noqa: PTH117


def _follow_up(folder: str, path: str) -> str:
    """Return where a path that `lead_to` made leads to, as an absolute path if it leaves `folder`."""
    return os.path.normpath(os.path.join(folder, path)) if path.startswith("../") else path  # noqa: PTH118


def _read_csv(path: Path) -> pd.DataFrame:
    # All cells as text: from_frame turns into numbers only what would be written as the same text again.
    return read_foreign(path)


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    text = [frame[column] for column in frame if frame[column].dtype.kind == "O"]
    # A bare carriage return would end the line when read; pandas quotes it only if told to quote everything.
    returns = any("\r" in value for column in text for value in column)
    to_csv(frame, path, quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL, encoding="utf-8")


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _read_csv, ".parquet": pd.read_parquet}
_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": _write_csv,
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
}
