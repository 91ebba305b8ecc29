"""What RSA found: the `RSAResult` and its files.

What belongs here: labelled tables, reading and writing; nothing is computed and nothing drawn.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.atomic import atomic_files
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError
from fernet_neuro.stimuli._columns import to_text
from fernet_neuro.typing import PathLike

#: Columns of ``results.csv`` and their types; further columns of the models' table stand behind ``model``, as
#: text. Estimates, ceilings, intervals and standard errors are in the unit of the comparison (unitless).
ESTIMATE_COLUMNS: dict[str, type] = {
    "roi": str,
    "model": str,
    "comparison": str,
    "estimate": float,
    "standard_error": float,
    "low": float,
    "high": float,
    "p_value": float,
    "p_fdr": float,
    "p_bonferroni": float,
    "p_max": float,
    "p_permutation": float,
    "p_ceiling": float,
    "p_ceiling_fdr": float,
    "p_ceiling_bonferroni": float,
    "p_ceiling_max": float,
    "noise_ceiling_lower": float,
    "noise_ceiling_upper": float,
    "n_subjects": int,
    "n_stimuli": int,
    "dof": int,
}
#: Columns of ``pairwise.csv``: the first model less the second.
PAIRWISE_COLUMNS: dict[str, type] = {
    "roi": str,
    "model_1": str,
    "model_2": str,
    "difference": float,
    "standard_error": float,
    "low": float,
    "high": float,
    "p_value": float,
    "p_fdr": float,
    "p_bonferroni": float,
    "p_max": float,
}
#: Columns of ``subjects.csv``.
SUBJECT_COLUMNS: dict[str, type] = {"roi": str, "model": str, "subject": str, "value": float}
#: Columns of ``ceilings.csv``.
CEILING_COLUMNS: dict[str, type] = {
    "roi": str,
    "lower": float,
    "lower_low": float,
    "lower_high": float,
    "upper": float,
    "p_value": float,
}
#: Columns of ``peaks.csv``; positions count layers in forward order.
PEAK_COLUMNS: dict[str, type] = {
    "roi": str,
    "layer": str,
    "position": float,
    "low_layer": str,
    "high_layer": str,
    "low_position": float,
    "high_position": float,
    "share": float,
    "nested_score": float,
}
#: Columns of ``partition.csv``; shares are of variance.
PARTITION_COLUMNS: dict[str, type] = {
    "roi": str,
    "models": str,
    "component": str,
    "share": float,
    "low": float,
    "high": float,
}
#: Tables by attribute: file, columns, and whether it must have rows.
_TABLES: dict[str, tuple[str, dict[str, type], bool]] = {
    "estimates": ("results.csv", ESTIMATE_COLUMNS, True),
    "pairwise": ("pairwise.csv", PAIRWISE_COLUMNS, False),
    "subjects": ("subjects.csv", SUBJECT_COLUMNS, True),
    "ceilings": ("ceilings.csv", CEILING_COLUMNS, True),
    "peaks": ("peaks.csv", PEAK_COLUMNS, False),
    "partition": ("partition.csv", PARTITION_COLUMNS, False),
}
_SUMMARY = "summary.json"


@dataclass(frozen=True, eq=False)
class RSAResult:
    """How well models account for the geometry of brain regions, and how sure that is.

    Parameters
    ----------
    estimates : DataFrame
        One row per ROI and model: see `ESTIMATE_COLUMNS`. ``low`` and ``high`` are the interval at
        ``settings["level"]``; ``p_value`` is of the model against 0, one-sided, and the three columns behind
        it correct it over the models of a ROI; ``p_permutation`` is that of the condition labels;
        ``p_ceiling`` that the model stays below the lower noise ceiling, and the three columns behind it
        correct it over the models of a ROI. NaN where an inference does not exist, such as ceilings of one
        subject.
    pairwise : DataFrame
        One row per ROI and pair of models: see `PAIRWISE_COLUMNS`; p values are two-sided.
    subjects : DataFrame
        One row per ROI, model and subject: see `SUBJECT_COLUMNS`.
    ceilings : DataFrame
        One row per ROI: see `CEILING_COLUMNS`; ``p_value`` is of the lower ceiling against 0, one-sided.
    settings : dict
        What was asked for; plain values.
    peaks : DataFrame, default=no rows
        One row per ROI where the models are layers: see `PEAK_COLUMNS`.
    partition : DataFrame, default=no rows
        One row per ROI, set of models and component: see `PARTITION_COLUMNS`.

    Raises
    ------
    ValueError
        If a table lacks a column, or has no rows where it must.
    """

    estimates: pd.DataFrame
    pairwise: pd.DataFrame
    subjects: pd.DataFrame
    ceilings: pd.DataFrame
    settings: dict[str, Any]
    peaks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(PEAK_COLUMNS)))
    partition: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(PARTITION_COLUMNS)))

    def __post_init__(self) -> None:
        for name, (_, columns, is_filled) in _TABLES.items():
            typed = _as_typed(getattr(self, name), columns, is_filled, name)
            object.__setattr__(self, name, typed)

    def __eq__(self, other: object) -> bool:
        """Return whether all tables and the settings are equal."""
        if not isinstance(other, RSAResult):
            return NotImplemented
        return self.settings == other.settings and all(
            getattr(self, name).equals(getattr(other, name)) for name in _TABLES
        )

    __hash__ = None  # type: ignore[assignment]  # holds DataFrames

    @property
    def rois(self) -> list[str]:
        """The ROIs, in the order of the estimates."""
        return list(dict.fromkeys(self.estimates["roi"]))

    @property
    def models(self) -> list[str]:
        """The models, in the order of the estimates."""
        return list(dict.fromkeys(self.estimates["model"]))

    def select_roi(self, roi: str) -> pd.DataFrame:
        """Return the estimates of one ROI.

        Raises
        ------
        ValueError
            If there is no such ROI; the message lists those there are.
        """
        if roi not in self.rois:
            raise ValueError(f"there is no ROI {roi!r}; there are: {format_options(self.rois)}.")
        return self.estimates[self.estimates["roi"] == roi].reset_index(drop=True)

    def to_summary(self) -> dict[str, Any]:
        """Return the object of ``summary.json``: settings and estimates, null where there is no number."""
        rows = self.estimates.to_dict(orient="records")
        return {"kind": "rsa", "settings": self.settings, "models": [_plain_row(row) for row in rows]}

    def save(self, out: PathLike) -> Path:
        """Write the six tables (.csv) and ``summary.json`` into the folder `out`.

        All are written beside their names first and then renamed, the summary last: where it lies, the tables
        are whole. Other files in the folder stay.
        """
        folder = Path(out)
        summary = json.dumps(self.to_summary(), indent=2, allow_nan=False)
        with atomic_files(folder, [*(file for file, _, _ in _TABLES.values()), _SUMMARY]) as files:
            for name, (file, _, _) in _TABLES.items():
                getattr(self, name).to_csv(files[file], index=False, lineterminator="\n")
            files[_SUMMARY].write_text(summary + "\n", encoding="utf-8")
        return folder

    @classmethod
    def load(cls, out: PathLike) -> "RSAResult":
        """Read what `save` wrote.

        Raises
        ------
        StoreError
            If a file is missing or damaged, or the results are of another kind.
        """
        folder = Path(out)
        for file in (_SUMMARY, *(file for file, _, _ in _TABLES.values())):
            if not (folder / file).is_file():
                raise StoreError(
                    f"{folder / file} does not exist; make it with: "
                    f"fernet-neuro rsa --models FILE --brain FILE --out {folder}"
                )
        try:
            content = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
            if content["kind"] != "rsa":
                raise ValueError(f"summary.json is of kind {content['kind']!r}, not 'rsa'")
            tables = {
                name: _read(folder / file, columns, is_filled)
                for name, (file, columns, is_filled) in _TABLES.items()
            }
            return cls(settings=content["settings"], **tables)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"the RSA results in {folder} are damaged ({' '.join(str(error).split())}); make them again."
            ) from None


def _as_typed(frame: pd.DataFrame, columns: dict[str, type], is_filled: bool, name: str) -> pd.DataFrame:
    """Return `frame` with its columns in order and of their types; further ones as text behind ``model``."""
    absent = [column for column in columns if column not in frame]
    if absent:
        raise ValueError(f"{name} has no column {format_options(absent)}")
    if is_filled and frame.empty:
        raise ValueError(f"{name} has no rows")
    others = [str(column) for column in frame if column not in columns]
    order = list(columns)
    place = order.index("model") + 1 if others and "model" in order else len(order)
    order[place:place] = others
    kinds = {**columns, **dict.fromkeys(others, str)}
    # Text stays Python strings, empty where there is none: the file cannot tell other kinds of text apart.
    typed = {
        column: to_text(frame[column]) if kinds[column] is str else frame[column].astype(kinds[column])
        for column in order
    }
    return pd.DataFrame(typed).reset_index(drop=True)


def _read(path: Path, columns: dict[str, type], is_filled: bool) -> pd.DataFrame:
    # Labels stay text: a subject may be called "007" and a model "NA".
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    for name, kind in columns.items():
        if kind is not str and name in frame:
            frame[name] = frame[name].replace("", "nan").astype(float)
    try:
        return _as_typed(frame, columns, is_filled, path.name)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _plain_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
