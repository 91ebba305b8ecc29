"""The table of stimuli, one row per image, whose row order is part of its value.

What belongs here: the `StimulusTable` noun and its files; decoding is in `images`, partitioning in `splits`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fernet_neuro._utils.atomic import atomic_file
from fernet_neuro._utils.hashing import hash_file, hash_json
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import AlignmentError, StimulusError
from fernet_neuro.typing import PathLike

#: Columns that every table has; an unknown value is the empty string.
REQUIRED_COLUMNS = ("stimulus_id", "path", "identity", "expression", "view", "session")
#: Labels are text even where they look like numbers: identity "003" is not 3.
TEXT_COLUMNS = (*REQUIRED_COLUMNS, "licence", "digest")


@dataclass(frozen=True, eq=False)
class StimulusTable:
    """One row per image: unique id, path, who is shown, what the face feels, from where, and when.

    Build one with `from_frame` or `read`; the constructor expects a checked frame.

    Parameters
    ----------
    frame : DataFrame of shape (n_stimuli, n_columns)
        Columns ``stimulus_id, path, identity, expression, view, session`` (text; empty where unknown),
        optionally ``licence``, ``digest`` (SHA-256 of the image file) and any further factor.
        Never edit it in place.
    root : Path or None
        Folder that relative paths start from.
    """

    frame: pd.DataFrame
    root: Path | None = field(default=None)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, root: PathLike | None = None) -> "StimulusTable":
        """Check and normalise `frame` (a copy) and return the table.

        Missing factor columns are added empty; rows keep their order.

        Raises
        ------
        StimulusError
            If ``stimulus_id`` or ``path`` is missing or empty, an id occurs twice, or a relative path
            leaves `root`.
        """
        frame = frame.reset_index(drop=True).copy()
        for column in ("stimulus_id", "path"):
            if column not in frame:
                raise StimulusError(
                    f"a stimulus table needs the column {column!r}; got: {format_options(frame.columns)}."
                )
        for column in REQUIRED_COLUMNS:
            if column not in frame:
                frame[column] = ""
        for column in TEXT_COLUMNS:
            if column in frame:
                frame[column] = frame[column].fillna("").astype(str).astype(object)
        others = [column for column in frame if column not in REQUIRED_COLUMNS]
        frame = frame[[*REQUIRED_COLUMNS, *others]]
        _check_ids(frame["stimulus_id"])
        _check_paths(frame)
        return cls(frame, Path(root).resolve() if root is not None else None)

    @classmethod
    def read(cls, path: PathLike) -> "StimulusTable":
        """Read a ``.csv`` or ``.parquet`` table; relative image paths start from its folder.

        Raises
        ------
        StimulusError
            If the file is missing, of another kind, damaged, or not a valid table.
        """
        source = Path(path)
        if source.is_dir() and (source / "table.csv").is_file():
            source = source / "table.csv"
        if not source.is_file():
            raise StimulusError(f"stimulus table {source} does not exist.")
        try:
            frame = _READERS[_table_kind(source)](source)
        except (ValueError, OSError) as error:
            if isinstance(error, StimulusError):
                raise
            raise StimulusError(f"stimulus table {source} cannot be read: {error}") from error
        return cls.from_frame(frame, root=source.parent)

    def write(self, path: PathLike) -> Path:
        """Write the table as ``.csv`` or ``.parquet`` by its suffix, complete or not at all.

        Image paths inside the target's folder become relative to it, all others absolute.
        """
        target = Path(path)
        kind = _table_kind(target)
        folder = target.parent.resolve()
        frame = self.frame.copy()
        frame["path"] = [_relative_to(item, folder) for item in self.paths()]
        with atomic_file(target) as temporary:
            _WRITERS[kind](frame, temporary)
        return target

    def __len__(self) -> int:
        """Return the number of stimuli."""
        return len(self.frame)

    def __eq__(self, other: object) -> bool:
        """Return whether both tables hold the same rows in the same order and the same image files."""
        if not isinstance(other, StimulusTable):
            return NotImplemented
        drop = {"columns": ["path"]}
        return self.paths() == other.paths() and self.frame.drop(**drop).equals(other.frame.drop(**drop))

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
        empty = values.isna() | (values.astype(str) == "")
        if complete and empty.any():
            first = self.frame["stimulus_id"][empty].iloc[0]
            raise StimulusError(
                f"{int(empty.sum())} of {len(self)} stimuli have no {name!r} (first: {first!r}); "
                f"fill the column or leave those rows out."
            )
        return values.to_numpy(dtype=str) if values.dtype == object else values.to_numpy()

    def paths(self) -> list[Path]:
        """Return absolute image paths in row order."""
        base = self.root or Path.cwd()
        return [Path(item) if Path(item).is_absolute() else base / item for item in self.frame["path"]]

    @cached_property
    def image_digests(self) -> tuple[str, ...]:
        """SHA-256 of each image file as it is on disk now, in row order.

        Raises
        ------
        StimulusError
            If a file is missing; the message names the first stimulus.
        """
        digests = []
        for stimulus_id, path in zip(self.frame["stimulus_id"], self.paths(), strict=True):
            if not path.is_file():
                raise StimulusError(f"image of stimulus {stimulus_id!r} does not exist: {path}")
            digests.append(hash_file(path))
        return tuple(digests)

    def digest(self) -> str:
        """Return the SHA-256 of ids, labels and image contents, in row order; paths do not count."""
        columns = [column for column in self.frame if column not in ("path", "digest")]
        rows = self.frame[columns].astype(str).to_numpy().tolist()
        return hash_json({"columns": list(columns), "rows": rows, "images": list(self.image_digests)})

    def select(
        self, rows: Sequence[bool] | Sequence[int] | np.ndarray | None = None, **factors: object
    ) -> "StimulusTable":
        """Return the rows of a mask or of indices, and whose factors have one of the given values.

        Examples
        --------
        >>> frame = pd.DataFrame({"stimulus_id": ["a", "b"], "path": ["a.png", "b.png"], "view": ["left", "right"]})
        >>> StimulusTable.from_frame(frame).select(view="right").stimulus_ids.tolist()
        ['b']
        """
        index = np.arange(len(self)) if rows is None else np.arange(len(self))[np.asarray(rows)]
        for name, wanted in factors.items():
            values = self.factor(name, complete=False)[index]
            options = (
                [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
            )
            index = index[np.isin(values, options)]
        return StimulusTable(self.frame.iloc[index].reset_index(drop=True), self.root)

    def align_to(self, stimulus_ids: Iterable[str]) -> "StimulusTable":
        """Return the rows of `stimulus_ids`, in that order: the one explicit way to reorder.

        Raises
        ------
        AlignmentError
            If an id is not in the table.
        """
        position = {name: row for row, name in enumerate(self.frame["stimulus_id"])}
        wanted = [str(name) for name in stimulus_ids]
        absent = [name for name in wanted if name not in position]
        if absent:
            raise AlignmentError(f"{len(absent)} stimulus ids are not in the table (first: {absent[0]!r}).")
        return self.select(np.array([position[name] for name in wanted], dtype=int))


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


def _check_ids(ids: pd.Series) -> None:
    if (ids == "").any():
        raise StimulusError(
            f"row {int(np.flatnonzero(ids == '')[0])} of the stimulus table has no stimulus_id."
        )
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise StimulusError(
            f"stimulus ids must be unique; {repeated.nunique()} occur more than once (first: {repeated.iloc[0]!r})."
        )


def _check_paths(frame: pd.DataFrame) -> None:
    for stimulus_id, item in zip(frame["stimulus_id"], frame["path"], strict=True):
        if item == "":
            raise StimulusError(f"stimulus {stimulus_id!r} has no path.")
        if not Path(item).is_absolute() and ".." in Path(item).parts:
            raise StimulusError(
                f"path of stimulus {stimulus_id!r} leaves the table's folder: {item!r}; use an absolute path."
            )


def _relative_to(path: Path, folder: Path) -> str:
    resolved = path.resolve()
    return resolved.relative_to(folder).as_posix() if resolved.is_relative_to(folder) else str(resolved)


def _table_kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in _READERS:
        raise StimulusError(f"stimulus table {path} must end in .csv or .parquet.")
    return kind


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(
        path, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False, na_values=[""], encoding="utf-8"
    )


_READERS = {".csv": _read_csv, ".parquet": pd.read_parquet}
_WRITERS = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
}
