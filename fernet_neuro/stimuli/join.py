"""Several data sets in one table, joined by the names of their labels.

What belongs here: the rules by which labels of data sets count as the same, and ids that stay unique.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.expressions import find_expression
from fernet_neuro.stimuli.table import StimulusTable, concat_tables

#: Share of common letters (as difflib counts them) from which two labels may be one, spelled differently.
ALIKE = 0.6


def join_tables(
    tables: Mapping[str, StimulusTable],
    *,
    factor: str = "expression",
    renames: Mapping[str, str] | None = None,
    drop: Iterable[str] = (),
    keep_all: bool = False,
) -> StimulusTable:
    """Return the stimuli of several data sets in one table, their labels matched by name.

    Stimulus ids, and identities where known, are prefixed by the data set (``rafdb/train_00001``), which a
    column ``dataset`` names: people whom two data sets number alike stay apart.

    Parameters
    ----------
    tables : mapping of str to StimulusTable
        At least two, by a name for those that have no column ``dataset``.
    factor : str
        The labels; every stimulus needs one.
    renames : mapping of str to str, optional
        New names of labels, in all tables.
    drop : iterable of str
        Labels (after renaming) whose stimuli are left out.
    keep_all : bool
        Whether labels that some of the data sets lack are kept.

    Returns
    -------
    StimulusTable
        The rows of all tables, in their order; a column that a table lacks is empty there.

    Raises
    ------
    StimulusError
        If two labels are spellings of one word (the message gives the renaming), some data sets lack a label
        and it is neither dropped nor all are kept, no table has a label that is renamed or dropped, a
        stimulus has no label, two tables share a stimulus or a picture, or nothing is left.
    ValueError
        If fewer than two tables are given.

    Examples
    --------
    >>> import pandas as pd
    >>> def make(label):
    ...     row = {"stimulus_id": ["1"], "path": [f"{label}.png"], "expression": [label]}
    ...     return StimulusTable.from_frame(pd.DataFrame(row))
    >>> pair = {"a": make("happy"), "b": make("happiness")}
    >>> join_tables(pair, renames={"happy": "happiness"}).stimulus_ids.tolist()
    ['a/1', 'b/1']
    """
    if len(tables) < 2:
        raise ValueError(f"a joint set needs at least two tables; got {len(tables)}.")
    named = {name: _rename(table, name, factor, renames or {}) for name, table in tables.items()}
    _check_known(tables, factor, "rename", renames or {})
    _check_known(named, factor, "drop", drop)
    wanted = {name: _drop(table, factor, set(drop)) for name, table in named.items()}
    if not any(map(len, wanted.values())):
        raise StimulusError(f"no stimulus is left of {', '.join(tables)}; drop fewer labels.")
    _check_spellings(wanted, factor)
    if not keep_all:
        _check_shared(wanted, factor)
    _check_pictures(wanted)
    return concat_tables([_prefix(table, name, factor) for name, table in wanted.items()])


def name_tables(tables: Sequence[StimulusTable], names: Sequence[str]) -> dict[str, StimulusTable]:
    """Return `tables` by name, for `join_tables`.

    `tables`: the tables. `names`: a name for each, such as its file's. Raises StimulusError if a name is
    empty or holds a slash, or two are alike.
    """
    for name in names:
        if not name or "/" in name:
            raise StimulusError(f"a data set needs a name without slashes; got {name!r}.")
    repeated = next((name for name in names if list(names).count(name) > 1), None)
    if repeated is not None:
        raise StimulusError(f"two data sets are called {repeated!r}; give each a name of its own (--name).")
    return dict(zip(names, tables, strict=True))


def _get_labels(tables: Mapping[str, StimulusTable], factor: str) -> dict[str, dict[str, int]]:
    """Return, by label and data set, the number of stimuli, in sorted order of the labels."""
    counts: dict[str, dict[str, int]] = {}
    for name, table in tables.items():
        values, numbers = np.unique(table.factor(factor).astype(str), return_counts=True)
        for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
            counts.setdefault(value, {})[name] = number
    return dict(sorted(counts.items()))


def _rename(table: StimulusTable, name: str, factor: str, renames: Mapping[str, str]) -> StimulusTable:
    try:
        values = [str(value) for value in table.factor(factor)]
    except StimulusError as error:
        raise StimulusError(f"{name}: {error}") from error
    frame = table.frame.assign(**{factor: [renames.get(value, value) for value in values]})
    return StimulusTable.from_frame(frame, root=table.root)


def _drop(table: StimulusTable, factor: str, unwanted: set[str]) -> StimulusTable:
    return table.select([str(value) not in unwanted for value in table.factor(factor)])


def _check_known(tables: Mapping[str, StimulusTable], factor: str, verb: str, wanted: Iterable[str]) -> None:
    labels = _get_labels(tables, factor)
    for label in wanted:
        if label not in labels:
            raise StimulusError(
                f"there is no {factor} {label!r} to {verb}; the tables have: {format_options(labels)}."
                f"{suggest(label, labels)}"
            )


def _check_spellings(tables: Mapping[str, StimulusTable], factor: str) -> None:
    labels = _get_labels(tables, factor)
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(find_expression(label) or " ".join(label.casefold().split()), []).append(label)
    pairs = []
    for word, spellings in groups.items():
        if len(spellings) > 1:
            # Our own name, or else the commonest spelling, is the one to keep.
            kept = word if word in spellings else max(spellings, key=lambda item: sum(labels[item].values()))
            pairs += [(other, kept) for other in spellings if other != kept]
    if pairs:
        raise StimulusError(_describe_pairs(pairs, labels, factor))


def _check_shared(tables: Mapping[str, StimulusTable], factor: str) -> None:
    labels = _get_labels(tables, factor)
    partial = {label: counts for label, counts in labels.items() if len(counts) < len(tables)}
    if not partial:
        return
    pairs = _find_likely_pairs(partial)
    if pairs:
        raise StimulusError(
            f"{_describe_pairs(pairs, labels, factor)} Otherwise leave them out (--drop) or keep them "
            f"(--keep-all)."
        )
    what = "; ".join(f"{label!r} only in {_list_sets(counts)}" for label, counts in partial.items())
    drops = " ".join(f"--drop {shlex.quote(label)}" for label in partial)
    raise StimulusError(
        f"some data sets lack some {factor} labels: {what}. Leave them out with {drops}, rename them with "
        f"--map OLD=NEW, or keep them with --keep-all."
    )


def _find_likely_pairs(partial: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str]]:
    """Return pairs of similar labels that no data set has both of; the commoner one comes second."""
    pairs: list[tuple[str, str]] = []
    used: set[str] = set()
    for label, counts in partial.items():
        others = [
            other
            for other in partial
            if other not in {label, *used} and not set(partial[other]) & set(counts)
        ]
        close = get_close_matches(label.casefold(), [other.casefold() for other in others], 1, ALIKE)
        if close and label not in used:
            other = next(other for other in others if other.casefold() == close[0])
            used |= {label, other}
            rarer, commoner = sorted((label, other), key=lambda item: sum(partial[item].values()))
            pairs.append((rarer, commoner))
    return pairs


def _describe_pairs(
    pairs: Sequence[tuple[str, str]], labels: Mapping[str, Mapping[str, int]], factor: str
) -> str:
    each = "; ".join(
        f"{one!r} in {_list_sets(labels[one])} and {other!r} in {_list_sets(labels[other])}"
        for one, other in pairs
    )
    renames = " ".join(f"--map {shlex.quote(f'{one}={other}')}" for one, other in pairs)
    return f"{factor} labels that are spelled differently: {each}. If each pair is one label, give {renames}."


def _list_sets(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({number})" for name, number in counts.items())


def _check_pictures(tables: Mapping[str, StimulusTable]) -> None:
    seen: dict[str, str] = {}
    for name, table in tables.items():
        for path in map(str, table.paths()):
            if seen.setdefault(path, name) != name:
                raise StimulusError(
                    f"{seen[path]} and {name} both hold the picture {path}; join each set once."
                )


def _prefix(table: StimulusTable, name: str, factor: str) -> StimulusTable:
    frame = table.frame.copy()
    own = frame["dataset"].astype(str) if "dataset" in frame else [""] * len(frame)
    sets = [value or name for value in own]
    frame["dataset"] = sets
    for column in ("stimulus_id", *(() if factor == "identity" else ("identity",))):
        frame[column] = [
            value if not value or value.startswith(f"{prefix}/") else f"{prefix}/{value}"
            for prefix, value in zip(sets, frame[column], strict=True)
        ]
    return StimulusTable.from_frame(frame, root=table.root)
