"""Tables beside images: labels of volumes, events of a run, confounds of its volumes, all checked.

What belongs here: reading them as text and numbers; what they are used for is in `glm` and `labelled`.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fernet_neuro._utils.foreign import has_heading, read_comments, read_foreign, read_rows
from fernet_neuro._utils.labels import GAPS, note_alike, note_gaps, to_label
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.brain.bids import to_index
from fernet_neuro.exceptions import FernetWarning, StimulusError, StoreError
from fernet_neuro.typing import PathLike

#: Columns that name the stimulus of a volume or an event, in order of preference.
STIMULUS_COLUMNS = ("stimulus_id", "trial_type", "labels")
#: Columns that name the run of a volume, in order of preference.
RUN_COLUMNS = ("run", "chunks")
#: The six parameters of head motion, as fMRIPrep names them.
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


class _Realignment(NamedTuple):
    """Motion parameters of a program in files without a heading; translations are in mm."""

    program: str
    pattern: str
    columns: tuple[str, ...]
    angle: str


_REALIGNMENTS = (
    _Realignment("SPM", "rp*.txt", MOTION, "rad"),
    _Realignment("FSL", "*.par", (*MOTION[3:], *MOTION[:3]), "rad"),
    _Realignment("AFNI", "*.1D", ("rot_z", "rot_x", "rot_y", "trans_z", "trans_x", "trans_y"), "degrees"),
)
#: What AFNI calls them.
_AFNI = dict(zip(("roll", "pitch", "yaw", "dS", "dL", "dP"), _REALIGNMENTS[-1].columns, strict=True))
#: How BIDS writes a missing value, and how other tables do; R's NA may be the name of a stimulus.
_MISSING = frozenset((*GAPS, "", "nan", "NaN"))


def read_volume_labels(
    path: PathLike, *, stimulus_column: str | None = None, run_column: str | None = None
) -> pd.DataFrame:
    """Return the stimulus and the run of each volume, as text columns ``stimulus_id`` and ``run``.

    `path`: ``.tsv``, ``.csv``, or ``.txt`` with spaces between columns. A ``.txt`` with two columns and no
    heading holds stimulus and run, as PyMVPA's attribute files do. `stimulus_column`, `run_column`: None
    takes the first of `STIMULUS_COLUMNS` and `RUN_COLUMNS` that is there. Runs ``1``, ``01`` and ``1.0`` are
    one, under the name that comes first, which is noted. Raises StoreError if the file is
    missing or no table; StimulusError if a column is missing or a label is empty.
    """
    frame = _read_table(path)
    known = {*STIMULUS_COLUMNS, *RUN_COLUMNS, stimulus_column, run_column}
    if Path(path).suffix == ".txt" and frame.shape[1] == 2 and not known & set(frame.columns):
        frame = _read_table(path, names=["stimulus_id", "run"])
    columns = {
        "stimulus_id": pick_column(frame, stimulus_column, STIMULUS_COLUMNS, path, "the stimulus"),
        "run": pick_column(frame, run_column, RUN_COLUMNS, path, "the run"),
    }
    labels = pd.DataFrame({name: frame[column] for name, column in columns.items()})
    for name in labels:
        empty = np.flatnonzero(labels[name].isin(_MISSING))
        if len(empty):
            raise StimulusError(
                f"{path} has no {name} for {len(empty)} of {len(labels)} volumes (first: row {empty[0]}); "
                f"every volume needs one: call rest rest, and leave it out by name."
            )
    note_alike(labels["stimulus_id"], f"the stimuli of {path}")
    note_gaps(labels["stimulus_id"], f"volumes of {path} have the stimulus")
    return labels.assign(run=_join_spellings(labels["run"], path))


def _join_spellings(runs: pd.Series, path: PathLike) -> pd.Series:
    """Return runs under the first of the names by which their number is written, and say which are one."""
    names = runs.drop_duplicates()
    first = names.groupby(names.map(to_index), sort=False).transform("first")
    changed = np.flatnonzero(names != first)
    if len(changed):
        row = changed[0]
        warnings.warn(
            f"{path}: {first.iloc[row]!r} and {names.iloc[row]!r} are taken for one run; if they are two, "
            f"call them by more than a number.",
            FernetWarning,
            stacklevel=3,
        )
    return runs.map(dict(zip(names, first, strict=True)))


def read_events(
    path: PathLike, *, stimulus_column: str | None = None, duration: float | None = None
) -> pd.DataFrame:
    """Return the events of a run, columns ``onset`` and ``duration`` (seconds) and ``stimulus_id`` (text).

    Events without a stimulus (``n/a``) are those of `read_unlabelled_events`.

    `path`: ``events.tsv`` as in BIDS. `stimulus_column`: None takes the first of `STIMULUS_COLUMNS` that is
    there. `duration`: seconds that each event lasts instead of what the file says. Raises StoreError if the
    file is missing or no table; StimulusError if a column is missing, an onset or duration is not a number,
    no event has a stimulus, or one occurs twice at the same time.
    """
    frame = _read_table(path)
    column = pick_column(frame, stimulus_column, STIMULUS_COLUMNS, path, "the stimulus")
    if duration is not None:
        frame = frame.assign(duration=str(duration))
    shown = ~frame[column].isin(_MISSING).to_numpy()
    if not shown.any():
        raise StimulusError(f"{path} has no event with a stimulus in column {column!r}.")
    events = pd.DataFrame({name: _as_numbers(frame[shown], name, path) for name in ("onset", "duration")})
    if (events["duration"] < 0).any():
        raise StimulusError(f"{path} has an event with a negative duration.")
    events = events.assign(stimulus_id=frame.loc[shown, column].to_numpy(dtype=object)).reset_index(drop=True)
    _check_once(events, path)
    note_alike(events["stimulus_id"], f"the stimuli of {path}")
    note_gaps(events["stimulus_id"], f"events of {path} have the stimulus")
    return events


def _check_once(events: pd.DataFrame, path: PathLike) -> None:
    """Refuse events that are there twice: their estimates would be half of what they are."""
    again = np.flatnonzero(events.duplicated(["onset", "stimulus_id"]))
    if len(again):
        first = events.iloc[again[0]]
        raise StimulusError(
            f"{path} has {len(again)} events that repeat one of the same stimulus at the same time (first: "
            f"{first['stimulus_id']!r} at {first['onset']:g} s); take the repeated rows out."
        )


def read_unlabelled_events(
    path: PathLike, *, stimulus_column: str | None = None, duration: float | None = None
) -> pd.DataFrame | None:
    """Return the events of a run that have no stimulus, such as button presses; None where all have one.

    Returns
    -------
    DataFrame or None
        Columns ``onset`` and ``duration`` (seconds; 0 where the file does not say) and ``kind``, which is
        ``trial_type`` where that is another column than the stimuli's. Events without an onset are left out.

    Raises
    ------
    StoreError, StimulusError
        As `read_events`.
    """
    frame = _read_table(path)
    column = pick_column(frame, stimulus_column, STIMULUS_COLUMNS, path, "the stimulus")
    bare = frame[frame[column].isin(_MISSING)]
    bare = bare[~bare[pick_column(frame, "onset", (), path, "onset")].isin(_MISSING)]
    if bare.empty:
        return None
    lasting = bare["duration"] if "duration" in bare else pd.Series("0", index=bare.index)
    known = bare.assign(duration=lasting.mask(lasting.isin(_MISSING), "0"))
    events = pd.DataFrame({name: _as_numbers(known, name, path) for name in ("onset", "duration")})
    if duration is not None:
        events["duration"] = events["duration"].clip(upper=duration)
    kinds = bare["trial_type"] if "trial_type" in bare and column != "trial_type" else [""] * len(bare)
    return events.assign(kind=np.asarray(kinds, dtype=object)).drop_duplicates().reset_index(drop=True)


def check_events(events: pd.DataFrame, n_scans: int, t_r: float, path: PathLike) -> None:
    """Raise unless every event starts before the scan ends, and ends after it starts.

    Raises StimulusError naming the first that does not.
    """
    onsets = events["onset"].to_numpy()
    early = np.flatnonzero((onsets < 0) & (onsets + events["duration"].to_numpy() <= 0))
    if len(early):
        first = events.iloc[early[0]]
        raise StimulusError(
            f"{path} has {len(early)} of {len(events)} events that are over before the scan begins (first: "
            f"{first['stimulus_id']!r} at {first['onset']:g} s for {first['duration']:g} s); check that "
            f"onsets count from the first volume of the image, and take out events of volumes that were "
            f"discarded."
        )
    end = n_scans * t_r
    late = np.flatnonzero(onsets >= end)
    if len(late):
        first = events.iloc[late[0]]
        raise StimulusError(
            f"{path} has {len(late)} of {len(events)} events past the end of the scan (first: "
            f"{first['stimulus_id']!r} at {first['onset']:g} s; {n_scans} volumes of {t_r:g} s end at "
            f"{end:g} s); check the repetition time, and that events and images are of one run."
        )


def read_confounds(path: PathLike, columns: Sequence[str], n_scans: int) -> pd.DataFrame:
    """Return some columns of a table of confounds, shape (n_scans, n_columns), float.

    A value that is missing in the first volume, as those of differences between volumes are, becomes the
    column's mean; columns that are the same in all volumes are left out, for the model has a constant.

    `path`: ``desc-confounds_timeseries.tsv`` of fMRIPrep, or any table with one row per volume. `columns`:
    names, or patterns such as ``trans_*`` or ``a_comp_cor_0[0-4]``. Raises StoreError if the file is missing
    or no table; ValueError if a column that is named is missing, a value is missing later on, or there is
    not one row per volume.
    """
    frame = read_confounds_table(path)
    if len(frame) != n_scans:
        raise ValueError(
            f"{path} has {len(frame)} rows, its images {n_scans} volumes; they are not of one run."
        )
    names = list(dict.fromkeys(name for pattern in columns for name in match_columns(pattern, frame, path)))
    values = {}
    for name in names:
        numbers = pd.to_numeric(frame[name].mask(frame[name].isin({*_MISSING, "NA"})), errors="coerce")
        missing = np.flatnonzero(~np.isfinite(numbers))
        if len(missing) and (missing != 0).any():
            raise ValueError(f"{path} has no number in column {name!r} for volume {missing[-1]}.")
        numbers[missing] = np.nan
        values[name] = numbers.fillna(numbers.mean()).to_numpy(dtype=float)
    return pd.DataFrame({name: column for name, column in values.items() if np.ptp(column) > 0})


def read_confounds_table(path: PathLike) -> pd.DataFrame:
    """Return a table of confounds as text; the columns of SPM, FSL and AFNI, which have no heading, by name.

    Lines that begin with ``# ``, such as AFNI's with its command, are comments; where they name the columns
    of a table without a heading, those names count.

    Raises
    ------
    StoreError
        If the file is missing, no table, or has columns that nobody names, or more or fewer than the
        program has after whose motion parameters the file is called.
    """
    file = Path(path)
    if not file.is_file():
        raise StoreError(f"table {file} does not exist.")
    try:
        bare = not has_heading(file, comments=True)
        names = _find_names(file) if bare else None
    except (ValueError, OSError) as error:
        raise StoreError(f"table {file} cannot be read: {' '.join(str(error).split())}") from error
    if bare and names is None:
        raise StoreError(
            f"table {file} has no heading; write the columns' names into its first line, or call motion "
            f"parameters as SPM (rp*.txt), FSL (*.par) or AFNI (*.1D) do."
        )
    return _read_table(file, names=names, comments=True)


def _find_names(file: Path) -> list[str] | None:
    """Return what the columns of a table without a heading are called, by its comments or else its name."""
    n_columns = len(read_rows(file, comments=True)[0])
    said = _read_names(file, n_columns)
    if said:
        return [_AFNI.get(word, word) for word in said]
    known = _find_realignment(file)
    if known is None:
        return None
    if n_columns != len(known.columns):
        raise ValueError(
            f"files called {known.pattern} hold the {len(known.columns)} motion parameters of "
            f"{known.program}, and this one has {n_columns} columns; write their names into its first line."
        )
    return list(known.columns)


def _read_names(file: Path, n_columns: int) -> list[str]:
    """Return the last comment that names all columns of a table, word by word; empty where there is none."""
    comments = (re.split(r"[\s,;|]+", comment.strip()) for comment in reversed(read_comments(file)))
    naming = (words for words in comments if len(words) == n_columns and all(map(str.isidentifier, words)))
    return next(naming, [])


def _find_realignment(file: Path) -> _Realignment | None:
    return next((known for known in _REALIGNMENTS if fnmatchcase(file.name, known.pattern)), None)


def describe_realignment(path: PathLike) -> str:
    """Return as what a table of confounds is read by its name alone; "" where it names its columns itself.

    Raises
    ------
    StoreError
        As `read_confounds_table`.
    """
    file = Path(path)
    known = _find_realignment(file)
    if known is None:
        return ""
    n_columns = read_confounds_table(file).shape[1]
    if has_heading(file, comments=True) or _read_names(file, n_columns):
        return ""
    return (
        f"{path} has no heading; by its name it is read as the motion parameters of {known.program}: "
        f"{', '.join(known.columns)}; translations in mm, rotations in {known.angle}."
    )


def match_columns(pattern: str, frame: pd.DataFrame, path: PathLike) -> list[str]:
    """Return the columns that a name or pattern means; a pattern may mean none: some runs have no outliers.

    Raises
    ------
    ValueError
        If there is no column of a name.
    """
    have = [str(name) for name in frame]
    found = [name for name in have if fnmatchcase(name, pattern)]
    if not found and not set(pattern) & set("*?["):
        raise ValueError(
            f"{path} has no confound column {pattern!r}; it has: {format_options(have)}."
            f"{suggest(pattern, have)}"
        )
    return found


def pick_column(
    frame: pd.DataFrame, wanted: str | None, usual: Iterable[str], path: PathLike, what: str
) -> str:
    """Return the column that is asked for, or the first of the usual ones that is there.

    Raises StimulusError if there is none; the message lists those there are.
    """
    have = [str(name) for name in frame]
    found = [name for name in ([wanted] if wanted else usual) if name in have]
    if not found:
        asked = repr(wanted) if wanted else f"for {what} ({' or '.join(usual)})"
        hint = suggest(wanted, have) if wanted else " Name one."
        raise StimulusError(f"{path} has no column {asked}; it has: {format_options(have)}.{hint}")
    return found[0]


def _as_numbers(frame: pd.DataFrame, name: str, path: PathLike) -> np.ndarray:
    if name not in frame:
        raise StimulusError(f"{path} has no column {name!r}; it has: {format_options(map(str, frame))}.")
    numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise StimulusError(
            f"{path}: the {name} {frame[name].iloc[bad[0]]!r} in row {frame.index[bad[0]]} is not a number "
            f"of seconds{'; give one for all with --duration' if name == 'duration' else ''}."
        )
    return numbers


def _read_table(path: PathLike, names: list[str] | None = None, *, comments: bool = False) -> pd.DataFrame:
    file = Path(path)
    if not file.is_file():
        raise StoreError(f"table {file} does not exist.")
    try:
        frame = read_foreign(file, names=names, comments=comments)
    except (ValueError, OSError) as error:
        raise StoreError(f"table {file} cannot be read: {' '.join(str(error).split())}") from error
    if frame.empty:
        raise StoreError(f"table {file} has no rows.")
    return frame.apply(lambda column: column.map(to_label))
