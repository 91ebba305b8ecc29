"""Representational dissimilarity matrices, labelled by stimulus and by where they come from: `RDMSet`.

What belongs here: the noun, its reordering and its averages; files are in `io`, distances in `distances`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.archives import read_archive, read_header, write_archive
from fernet_neuro._utils.shown import Compared, Plotted, name_some
from fernet_neuro._utils.tables import to_text
from fernet_neuro._utils.validation import check_option, format_options, suggest
from fernet_neuro.exceptions import AlignmentError, StoreError
from fernet_neuro.rsa.pairs import count_stimuli, squares_to_vectors, take_pairs, vectors_to_squares
from fernet_neuro.stimuli import table as stimulus_table
from fernet_neuro.stimuli._columns import to_canonical
from fernet_neuro.typing import PathLike

FORMAT = "fernet-neuro rdms"
FORMAT_VERSION = 1
#: Columns that name an RDM alone, in order of preference; then those that name it together.
_NAME_COLUMNS = ("name", "model", "layer")
_NAME_PARTS = ("roi", "subject", "session")
#: Columns of labels: text, whatever they look like; layers of a plain sequence are called "0", "1".
LABEL_COLUMNS = (*_NAME_COLUMNS, "network", "source", "seed", *_NAME_PARTS)
#: What stands where there is no label, also as other programs write it.
NO_LABEL = ("", "nan", "None", "<NA>")


@dataclass(frozen=True, eq=False, repr=False)
class RDMSet(Compared, Plotted):
    """Several RDMs of the same stimuli, one row each.

    Parameters
    ----------
    dissimilarities : ndarray of shape (n_rdms, n_pairs), float64
        Pairs in the order of ``np.triu_indices(n_stimuli, 1)``; NaN where a pair is missing. Never edit it.
    stimulus_ids : ndarray of str of shape (n_stimuli,)
        Unique; their order is part of the value.
    table : DataFrame of shape (n_rdms, n_columns), default=no columns
        What each RDM is of: columns such as ``layer``, ``subject``, ``session``, ``roi``, ``model`` and
        ``name``. Those of labels (`LABEL_COLUMNS`, with or without ``model_`` in front) are text, empty where
        there is none; another is bool, int64 or float64 where all its values are, and text otherwise.
    distance : str, default=""
        Name as in ``distances.DISTANCES``, or of what else was measured; empty where unknown.
    unit : str, default=""
        Unit of the dissimilarities; empty where unknown.
    n_channels : int or None
        How many voxels or units the patterns had, where known.

    Raises
    ------
    ValueError
        If shapes do not fit together, an id occurs twice or a value is infinite.

    Examples
    --------
    >>> rdms = RDMSet(np.array([[0.1, 0.2, 0.3]]), np.array(["a", "b", "c"]))
    >>> rdms.align_to(["c", "a"]).dissimilarities
    array([[0.2]])
    """

    dissimilarities: np.ndarray
    stimulus_ids: np.ndarray
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    distance: str = ""
    unit: str = ""
    n_channels: int | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.dissimilarities, dtype=np.float64)
        ids = np.asarray(self.stimulus_ids, dtype=str)
        if values.ndim != 2 or ids.ndim != 1 or count_stimuli(values.shape[-1]) != len(ids):
            n_pairs = len(ids) * (len(ids) - 1) // 2
            raise ValueError(
                f"dissimilarities must be (n_rdms, n_pairs), {n_pairs} pairs for {len(ids)} stimulus ids; "
                f"got {values.shape}. Use RDMSet.from_squares for square matrices."
            )
        _check_unique(ids)
        table = _as_table(self.table, len(values))
        for row, vector in enumerate(values):
            if np.isinf(vector).any():
                raise ValueError(
                    f"dissimilarities of RDM {row} are infinite somewhere; a missing pair is NaN."
                )
        for name, value in (("dissimilarities", values), ("stimulus_ids", ids), ("table", table)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_squares(
        cls,
        squares: np.ndarray,
        stimulus_ids: Iterable[str],
        table: pd.DataFrame | None = None,
        **labels: Any,
    ) -> "RDMSet":
        """Return the set of symmetric matrices of shape (n_rdms, n_stimuli, n_stimuli) or one of them.

        The diagonal must be 0 or NaN. `labels` are ``distance``, ``unit`` and ``n_channels``.

        Raises
        ------
        ValueError
            If a matrix is not symmetric, or its diagonal holds anything else.
        """
        matrices = np.asarray(squares, dtype=np.float64)
        vectors = squares_to_vectors(matrices[None] if matrices.ndim == 2 else matrices)
        ids = np.array(list(stimulus_ids), dtype=str)
        return cls(vectors, ids, pd.DataFrame() if table is None else table, **labels)

    def describe(self) -> str:
        """Return what the RDMs are of."""
        how = f", {self.distance}" if self.distance else ""
        return f"{self.n_rdms} RDMs ({name_some(self.names)}) of {self.n_stimuli} stimuli{how}"

    def preview(self) -> pd.DataFrame:
        """Return what each RDM is of."""
        return self.table if len(self.table.columns) else pd.DataFrame({"name": self.names})

    @property
    def frame(self) -> pd.DataFrame:
        """One row per RDM and pair: the columns of the table, the two stimuli and their dissimilarity."""
        first, second = np.triu_indices(self.n_stimuli, 1)
        labels = self.preview().loc[np.repeat(np.arange(self.n_rdms), self.n_pairs)].reset_index(drop=True)
        return labels.assign(
            stimulus_1=np.tile(self.stimulus_ids[first], self.n_rdms),
            stimulus_2=np.tile(self.stimulus_ids[second], self.n_rdms),
            dissimilarity=self.dissimilarities.ravel(),
        )

    def __len__(self) -> int:
        """Return the number of RDMs."""
        return self.n_rdms

    def __getitem__(self, name: str) -> "RDMSet":
        """Return the RDM of that name, as `names` has it.

        Raises
        ------
        ValueError
            If there is none; the message suggests the closest.
        TypeError
            For a position, which `take` knows.
        """
        if not isinstance(name, str):
            raise TypeError(f"RDMs are called by name; got {name!r}. Use take([{name!r}]) for positions.")
        return self.take([self.names.index(check_option("RDM", name, self.names))])

    def __contains__(self, name: object) -> bool:
        """Return whether there is an RDM of that name."""
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the RDMs."""
        return iter(self.names)

    @property
    def n_rdms(self) -> int:
        """Number of RDMs."""
        return self.dissimilarities.shape[0]

    @property
    def n_stimuli(self) -> int:
        """Number of stimuli."""
        return len(self.stimulus_ids)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of stimuli."""
        return self.dissimilarities.shape[1]

    @property
    def names(self) -> list[str]:
        """A name of each RDM, from the first of the columns that tell them apart, or its number.

        Looked for are ``name``, ``model``, ``layer``; then each of them with ``seed``; then ``roi``,
        ``subject`` and ``session`` together; then all columns together.
        """
        parts = [column for column in _NAME_PARTS if column in self.table]
        choices = [[column] for column in _NAME_COLUMNS if column in self.table]
        seeds = [[*columns, "seed"] for columns in choices if "seed" in self.table]
        ways: list[list[str]] = [*choices, *seeds, parts, list(map(str, self.table))]
        for columns in ways:
            labels = [self.table[column].tolist() for column in columns]
            joined = [" | ".join(text for text in map(str, row) if text) for row in zip(*labels, strict=True)]
            if columns and len(set(joined)) == len(joined):
                return joined
        return [f"RDM {row}" for row in range(self.n_rdms)]

    def to_squares(self) -> np.ndarray:
        """Return the matrices (n_rdms, n_stimuli, n_stimuli), with 0 on the diagonal."""
        return vectors_to_squares(self.dissimilarities, self.n_stimuli)

    def take(self, rows: Sequence[int] | Sequence[bool] | np.ndarray) -> "RDMSet":
        """Return the RDMs of a mask or of row numbers, in their order."""
        index = np.arange(self.n_rdms)[np.asarray(rows)]
        return replace(self, dissimilarities=self.dissimilarities[index], table=self.table.iloc[index])

    def select(self, **columns: Any) -> "RDMSet":
        """Return the RDMs whose columns have one of the given values.

        Raises
        ------
        ValueError
            If there is no such column, or no RDM is left; the message says which there are.

        Examples
        --------
        >>> table = pd.DataFrame({"layer": ["conv1", "fc"]})
        >>> rdms = RDMSet(np.array([[1.0], [2.0]]), np.array(["a", "b"]), table)
        >>> rdms.select(layer="fc").dissimilarities
        array([[2.]])
        """
        keep = np.ones(self.n_rdms, dtype=bool)
        for name, wanted in columns.items():
            values = self._column(name)
            single = isinstance(wanted, str) or not isinstance(wanted, Iterable)
            options = [str(option) for option in ([wanted] if single else wanted)]
            found = values.astype(str).isin(options).to_numpy()
            if not found.any():
                have = list(dict.fromkeys(values.astype(str)))
                raise ValueError(
                    f"no RDM is of {name} {options[0]!r}; there are: {format_options(have)}."
                    f"{suggest(options[0], have)}"
                )
            keep &= found
        if not keep.any():
            raise ValueError(f"no RDM has all of {columns}.")
        return self.take(keep)

    def align_to(self, stimulus_ids: Iterable[str]) -> "RDMSet":
        """Return the RDMs over `stimulus_ids`, in that order: the one explicit way to reorder or leave out.

        Raises
        ------
        AlignmentError
            If an id is not among the stimuli.
        ValueError
            If an id is named twice.
        """
        position = {name: row for row, name in enumerate(self.stimulus_ids.tolist())}
        wanted = [str(name) for name in stimulus_ids]
        absent = [name for name in wanted if name not in position]
        if absent:
            raise AlignmentError(
                f"the RDMs have no {len(absent)} of the stimulus ids (first: {absent[0]!r})."
                f"{suggest(absent[0], position)}"
            )
        if wanted == list(position):
            return self
        _check_unique(np.array(wanted, dtype=str))
        order = np.array([position[name] for name in wanted], dtype=int)
        vectors = take_pairs(self.dissimilarities, self.n_stimuli, order)
        return replace(self, dissimilarities=vectors, stimulus_ids=self.stimulus_ids[order])

    def rows_by(self, column: str) -> dict[str, np.ndarray]:
        """Return the numbers of the rows of each label, in order; without the column, all are of ``""``."""
        labels = np.array(self.table[column].astype(str) if column in self.table else [""] * self.n_rdms)
        return {label: np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())}

    def mean(self, by: str | Sequence[str] | None = None) -> "RDMSet":
        """Return the mean RDM, or with `by` that of each group with equal values in those columns.

        A pair that is missing in some RDMs is the mean of those that have it; missing in all, it is missing.
        Groups keep their order; columns that are constant inside every group are kept.

        Raises
        ------
        ValueError
            If a column of `by` does not exist.
        """
        columns = [by] if isinstance(by, str) else list(by or ())
        keys = list(zip(*(self._column(name) for name in columns), strict=True)) or [()] * self.n_rdms
        groups: dict[tuple, list[int]] = {}
        for row, key in enumerate(keys):
            groups.setdefault(key, []).append(row)
        if len(groups) == self.n_rdms:
            return self  # each is its own mean
        vectors = np.stack([mean_of(self.dissimilarities[rows]) for rows in groups.values()])
        kept = [name for name in self.table if _is_constant(self.table[name], groups.values())]
        first = [rows[0] for rows in groups.values()]
        return replace(self, dissimilarities=vectors, table=self.table[kept].iloc[first])

    def save(self, path: PathLike) -> None:
        """Write the set as one ``.npz`` file, complete or not at all; `load` gives an equal set."""
        labels = {"distance": self.distance, "unit": self.unit, "n_channels": self.n_channels}
        header = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            **labels,
            "table": self.table.astype(object).to_dict(orient="list"),
        }
        arrays = {"stimulus_ids": self.stimulus_ids, "dissimilarities": self.dissimilarities}
        write_archive(path, header, arrays)

    @classmethod
    def load(cls, path: PathLike) -> "RDMSet":
        """Read a file that `save` wrote.

        Raises
        ------
        StoreError
            If it is missing, damaged or of another format; ``io.read_rdms`` reads other formats.
        """
        try:
            return from_archive(read_archive(path, "RDM"))
        except (KeyError, ValueError) as error:
            raise StoreError(f"RDM file {path} cannot be read: {error}") from error

    def _column(self, name: str) -> pd.Series:
        if name not in self.table:
            have = [str(column) for column in self.table]
            raise ValueError(
                f"the RDMs have no column {name!r}; they have: {format_options(have) or 'none'}."
                f"{suggest(name, have)}"
            )
        return self.table[name]


def concat_rdms(sets: Sequence[RDMSet]) -> RDMSet:
    """Return one set with the RDMs of all, in order.

    Where the sets differ in distance or unit, the result's is ``"mixed"``, and the distance goes to a column
    ``distance``; so it does where one of them has that column.

    Raises
    ------
    AlignmentError
        If two sets are of different stimuli, or of the same in another order.
    ValueError
        If there are none.

    Examples
    --------
    >>> one = RDMSet(np.array([[1.0]]), np.array(["a", "b"]), pd.DataFrame({"layer": ["conv1"]}))
    >>> concat_rdms([one, RDMSet(2 * one.dissimilarities, one.stimulus_ids, one.table)]).n_rdms
    2
    """
    if not sets:
        raise ValueError("concat_rdms needs at least one set of RDMs; got none.")
    for number, (one, other) in enumerate(pairwise(sets)):
        check_same_stimuli(one, other, (f"set {number}", f"set {number + 1}"))
    frames = [rdms.table for rdms in sets]
    distances, units = {rdms.distance for rdms in sets}, {rdms.unit for rdms in sets}
    channels = {rdms.n_channels for rdms in sets}
    if len(distances) > 1 or any("distance" in frame for frame in frames):
        frames = [
            rdms.table if "distance" in rdms.table else rdms.table.assign(distance=rdms.distance)
            for rdms in sets
        ]
    return RDMSet(
        np.concatenate([rdms.dissimilarities for rdms in sets]),
        sets[0].stimulus_ids,
        pd.concat([frame.astype(object) for frame in frames], ignore_index=True),
        distance=distances.pop() if len(distances) == 1 else "mixed",
        unit=units.pop() if len(units) == 1 else "mixed",
        n_channels=channels.pop() if len(channels) == 1 else None,
    )


def check_same_stimuli(
    first: RDMSet, second: RDMSet, names: tuple[str, str] = ("the first RDMs", "the second RDMs")
) -> None:
    """Raise unless two sets are of the same stimuli in the same order.

    Raises
    ------
    AlignmentError
        Naming the first stimulus that only one of them has, or the first place at which the order differs.
    """
    left, right = first.stimulus_ids, second.stimulus_ids
    if np.array_equal(left, right):
        return
    for ids, others, (name, other) in ((left, right, names), (right, left, names[::-1])):
        only = ids[~np.isin(ids, others)]
        if len(only):
            raise AlignmentError(
                f"{name} and {other} are of different stimuli: {len(only)} of {len(ids)} in {name} are not "
                f"in {other} (first: {str(only[0])!r}); use align_to(ids) to keep the common ones."
            )
    stimulus_table.check_same_stimuli(left, right, names)


def from_archive(archive: Mapping[str, np.ndarray]) -> RDMSet:
    """Return the set whose arrays `RDMSet.save` put into an archive."""
    header = read_header(archive, FORMAT, FORMAT_VERSION)
    labels = {name: header[name] for name in ("distance", "unit", "n_channels")}
    table = pd.DataFrame(header["table"])
    return RDMSet(archive["dissimilarities"], archive["stimulus_ids"], table, **labels)


def _as_table(table: pd.DataFrame, n_rdms: int) -> pd.DataFrame:
    frame = table.reset_index(drop=True)
    if not len(frame.columns):
        return pd.DataFrame(index=pd.RangeIndex(n_rdms))
    if len(frame) != n_rdms:
        raise ValueError(f"table must have one row per RDM, {n_rdms}; got {len(frame)}.")
    frame.columns = pd.Index([str(column) for column in frame.columns], dtype=object)
    labels = {*LABEL_COLUMNS, *(f"model_{name}" for name in LABEL_COLUMNS)}
    return pd.DataFrame({name: (to_text if name in labels else to_canonical)(frame[name]) for name in frame})


def _check_unique(ids: np.ndarray) -> None:
    names, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"stimulus_ids must be unique; {str(names[counts > 1][0])!r} occurs twice.")


def mean_of(vectors: np.ndarray) -> np.ndarray:
    """Return the mean of vectors (n, n_pairs); of pairs that some lack, of the others; NaN where all do."""
    present = ~np.isnan(vectors)
    counts = present.sum(axis=0)
    sums = np.where(present, vectors, 0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _is_constant(column: pd.Series, groups: Iterable[list[int]]) -> bool:
    return all(len(rows) == 1 or len(column.iloc[rows].drop_duplicates()) == 1 for rows in groups)
