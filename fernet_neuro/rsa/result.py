"""What RSA found: the `RSAResult` and its files.

What belongs here: labelled tables, reading and writing; nothing is computed and nothing drawn.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.shown import Compared, Reported, name_some
from fernet_neuro._utils.tables import as_typed, loading, read_table, save_tables
from fernet_neuro._utils.validation import format_options
from fernet_neuro.activations.network import say_model
from fernet_neuro.rsa.rdms import NO_LABEL
from fernet_neuro.typing import PathLike

#: Columns of ``results.csv`` and their types; further columns of the models' table stand behind ``model``, as
#: text. Estimates, ceilings, intervals and standard errors are in the unit of the comparison (unitless).
ESTIMATE_COLUMNS: dict[str, type] = {
    **dict.fromkeys(("roi", "model", "comparison"), str),
    **dict.fromkeys(("estimate", "standard_error", "low", "high"), float),
    **dict.fromkeys(("p_value", "p_fdr", "p_bonferroni", "p_max", "p_permutation"), float),
    **dict.fromkeys(("p_ceiling", "p_ceiling_fdr", "p_ceiling_bonferroni", "p_ceiling_max"), float),
    **dict.fromkeys(("noise_ceiling_lower", "noise_ceiling_upper"), float),
    **dict.fromkeys(("n_subjects", "n_stimuli"), int),
    "dof": float,
}
#: Columns of ``pairwise.csv``: the first model less the second.
PAIRWISE_COLUMNS: dict[str, type] = {
    **dict.fromkeys(("roi", "model_1", "model_2"), str),
    **dict.fromkeys(("difference", "standard_error", "low", "high"), float),
    **dict.fromkeys(("p_value", "p_fdr", "p_bonferroni", "p_max"), float),
}
#: Columns of ``subjects.csv``.
SUBJECT_COLUMNS: dict[str, type] = {"roi": str, "model": str, "subject": str, "value": float}
#: Columns of ``ceilings.csv``.
CEILING_COLUMNS: dict[str, type] = {
    "roi": str,
    **dict.fromkeys(("lower", "lower_low", "lower_high", "upper", "p_value"), float),
}
#: Columns of ``peaks.csv``; positions count layers in forward order.
PEAK_COLUMNS: dict[str, type] = {
    **{"roi": str, "layer": str, "position": float, "low_layer": str, "high_layer": str},
    **dict.fromkeys(("low_position", "high_position", "share", "nested_score"), float),
}
#: Columns of ``partition.csv``; shares are of variance.
PARTITION_COLUMNS: dict[str, type] = {
    **dict.fromkeys(("roi", "models", "component"), str),
    **dict.fromkeys(("share", "low", "high"), float),
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
_SUMMARY, _COMMAND = "summary.json", "rsa --models FILE --brain FILE"


@dataclass(frozen=True, eq=False, repr=False)
class RSAResult(Compared, Reported):
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

    Examples
    --------
    >>> import numpy as np
    >>> import fernet_neuro as fn
    >>> ids = np.array(list("abcdefg"))
    >>> model = fn.RDMSet(np.arange(21.0)[None], ids, pd.DataFrame({"name": ["steps"]}))
    >>> noise = np.random.default_rng(0).normal(size=(3, 21))
    >>> brain = fn.RDMSet(np.arange(21.0) + noise, ids, pd.DataFrame({"subject": list("xyz")}))
    >>> fn.rsa(model, brain, n_bootstraps=50, n_permutations=50).frame["estimate"].item() > 0.9
    True
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
            typed = as_typed(getattr(self, name), columns, name, is_filled=is_filled)
            object.__setattr__(self, name, typed)

    def describe(self) -> str:
        """Return how many models were compared with which regions."""
        first = self.estimates.iloc[0]
        return (
            f"{len(self.models)} models ({name_some(self.models)}) against {len(self.rois)} regions "
            f"({name_some(self.rois)}), {first['comparison']}; {first['n_subjects']} subjects, "
            f"{first['n_stimuli']} stimuli"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """The estimates: one row per ROI and model."""
        return self.estimates

    @property
    def rois(self) -> list[str]:
        """The ROIs, in the order of the estimates."""
        return list(dict.fromkeys(self.estimates["roi"]))

    @property
    def models(self) -> list[str]:
        """The models, in the order of the estimates."""
        return list(dict.fromkeys(self.estimates["model"]))

    @property
    def words(self) -> dict[str, str]:
        """The models as a reader is told of them, by their names: layers in words."""
        return say_words(self.estimates)

    @property
    def used_inference(self) -> str:
        """How it was found out how results vary: ``variance components`` or ``bootstrap``."""
        return say_inference(self.settings)

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
        """Write the six tables (.csv) and, last, ``summary.json`` into the folder `out`."""
        tables = {file: getattr(self, name) for name, (file, _, _) in _TABLES.items()}
        return save_tables(out, tables, self.to_summary())

    @classmethod
    def load(cls, out: PathLike) -> "RSAResult":
        """Read what `save` wrote.

        Raises
        ------
        StoreError
            If a file is missing or damaged, or the results are of another kind.
        """
        return cls(settings=read_settings(out), **{name: read_part(out, name) for name in _TABLES})


def say_words(estimates: pd.DataFrame) -> dict[str, str]:
    """Return the models of estimates as a reader is told of them, by their names: layers in words."""
    layers = estimates["layer"].astype(str) if "layer" in estimates else [""] * len(estimates)
    named = zip(estimates["model"], layers, strict=True)
    return {name: say_model(name, "" if layer in NO_LABEL else layer) for name, layer in named}


def say_inference(settings: Mapping[str, Any]) -> str:
    """Return how it was found out how results vary: ``variance components`` or ``bootstrap``."""
    return "variance components" if settings.get("used_inference") == "components" else "bootstrap"


def read_settings(out: PathLike) -> dict[str, Any]:
    """Return what was asked for, of results that `RSAResult.save` wrote.

    Raises StoreError if ``summary.json`` is missing, damaged or of results of another kind.
    """
    with loading(out, [_SUMMARY], _COMMAND) as folder:
        content = read_json(folder / _SUMMARY)
        if content["kind"] != "rsa":
            raise ValueError(f"summary.json is of kind {content['kind']!r}, not 'rsa'")
        return dict(content["settings"])


def read_part(out: PathLike, name: str) -> pd.DataFrame:
    """Return one table of an `RSAResult` from its folder, by the attribute's name.

    Raises StoreError if its file is missing or damaged.
    """
    file, columns, is_filled = _TABLES[name]
    with loading(out, [file], _COMMAND) as folder:
        return read_table(folder / file, columns, is_filled=is_filled)


def _plain_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
