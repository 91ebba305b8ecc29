"""Tables beside images: labels of volumes, events of a run, confounds of its volumes, all checked.

What belongs here: reading them as text and numbers; what they are used for is in `glm` and `labelled`.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from fernet_neuro._utils.tables import read_text
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.typing import PathLike

#: Columns that name the stimulus of a volume or an event, in order of preference.
STIMULUS_COLUMNS = ("stimulus_id", "trial_type", "labels")
#: Columns that name the run of a volume, in order of preference.
RUN_COLUMNS = ("run", "chunks")
#: The six parameters of head motion, as fMRIPrep names them.
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
#: How BIDS writes a missing value, and how other tables do.
_MISSING = frozenset(("n/a", "", "nan", "NaN"))


def read_volume_labels(
    path: PathLike, *, stimulus_column: str | None = None, run_column: str | None = None
) -> pd.DataFrame:
    """Return the stimulus and the run of each volume, as text columns ``stimulus_id`` and ``run``.

    `path`: ``.tsv``, ``.csv``, or ``.txt`` with spaces between columns. A ``.txt`` with two columns and no
    heading holds stimulus and run, as PyMVPA's attribute files do. `stimulus_column`, `run_column`: None
    takes the first of `STIMULUS_COLUMNS` and `RUN_COLUMNS` that is there. Raises StoreError if the file is
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
    return labels


def read_events(
    path: PathLike, *, stimulus_column: str | None = None, duration: float | None = None
) -> pd.DataFrame:
    """Return the events of a run, columns ``onset`` and ``duration`` (seconds) and ``stimulus_id`` (text).

    Events without a stimulus (``n/a``) are left out.

    `path`: ``events.tsv`` as in BIDS. `stimulus_column`: None takes the first of `STIMULUS_COLUMNS` that is
    there. `duration`: seconds that each event lasts instead of what the file says. Raises StoreError if the
    file is missing or no table; StimulusError if a column is missing, an onset or duration is not a number,
    or no event has a stimulus.
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
    return events.assign(stimulus_id=frame.loc[shown, column].to_numpy(dtype=object)).reset_index(drop=True)


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
    or no table; ValueError if a column is missing, a value is missing later on, or there is not one row per
    volume.
    """
    frame = _read_table(path)
    if len(frame) != n_scans:
        raise ValueError(
            f"{path} has {len(frame)} rows, its images {n_scans} volumes; they are not of one run."
        )
    names = list(dict.fromkeys(name for pattern in columns for name in _match(pattern, frame, path)))
    values = {}
    for name in names:
        numbers = pd.to_numeric(frame[name].mask(frame[name].isin(_MISSING)), errors="coerce")
        missing = np.flatnonzero(numbers.isna())
        if len(missing) and (missing != 0).any():
            raise ValueError(f"{path} has no number in column {name!r} for volume {missing[-1]}.")
        values[name] = numbers.fillna(numbers.mean()).to_numpy(dtype=float)
    return pd.DataFrame({name: column for name, column in values.items() if np.ptp(column) > 0})


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


def _match(pattern: str, frame: pd.DataFrame, path: PathLike) -> list[str]:
    have = [str(name) for name in frame]
    found = [name for name in have if fnmatchcase(name, pattern)]
    if not found:
        raise ValueError(
            f"{path} has no confound column {pattern!r}; it has: {format_options(have)}."
            f"{suggest(pattern, have)}"
        )
    return found


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


def _read_table(path: PathLike, names: list[str] | None = None) -> pd.DataFrame:
    file = Path(path)
    if not file.is_file():
        raise StoreError(f"table {file} does not exist.")
    separator = {".csv": ",", ".txt": r"\s+"}.get(file.suffix.lower(), "\t")
    try:
        frame = read_text(file, sep=separator, names=names, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise StoreError(f"table {file} cannot be read: {' '.join(str(error).split())}") from error
    if frame.empty:
        raise StoreError(f"table {file} has no rows.")
    return frame
