"""What an evaluation found: one network's `EvaluationResult`, and the `EvaluationReport` of many.

What belongs here: scores as labelled tables, reading and writing; nothing is computed but ends of intervals.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.shown import Plotted, Reported, name_some
from fernet_neuro._utils.tables import loading, read_whole, save_tables
from fernet_neuro._utils.validation import format_options
from fernet_neuro.evaluation.intervals import Spread
from fernet_neuro.stats.confusion import count_confusions, list_confusions
from fernet_neuro.typing import PathLike

#: Columns of ``metrics.csv`` behind ``epoch`` and ``seed``, and their types; shares are from 0 to 1.
METRIC_COLUMNS: dict[str, type] = {
    "metric": str,
    "class": str,
    "value": float,
    "low": float,
    "high": float,
    "interval": str,
    "n": int,
    "n_units": int,
    "chance_level": float,
}
#: What tells the rows of one network from those of others in every file.
KEY_COLUMNS = ("epoch", "seed")
_FILES = ("metrics", "confusion", "calibration", "predictions")
_TEXT = ("epoch", "seed", "metric", "class", "interval", "true", "predicted", "stimulus_id", "identity")
_WHOLE = ("n", "n_units", "count", "bin")


@dataclass(frozen=True, eq=False)
class Score:
    """One score of one network.

    Parameters
    ----------
    metric, label : str
        Name of the score, and of the class that it is of (empty for all).
    spread : Spread
        Its value and what resampling says of it.
    n : int
        Images that it is over.
    chance_level : float
        What an answer that ignores the image reaches: accuracy, by the most frequent class; mean class
        accuracy, F1, recall and precision, by naming classes as often as they occur (1 over the number of
        classes shown, for the means); log-likelihood and Brier score, by the classes' frequencies as
        probabilities; calibration error, what true probabilities show through noise alone.
    """

    metric: str
    label: str
    spread: Spread
    n: int
    chance_level: float


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationResult(Plotted):
    """How well one network names the labels of images.

    Parameters
    ----------
    classes : tuple of str
        Names of the network's classes, in the order of its logits.
    scores : tuple of Score
        Overall scores, then recall, precision and F1 of each class that the labels show.
    predictions : DataFrame
        One row per image: ``stimulus_id, identity, true, predicted, confidence`` and a probability per class.
    calibration : DataFrame
        One row per bin of confidence: its ends, ``n``, mean ``confidence``, ``accuracy`` and its ends.
    settings : dict
        Level, bootstrap samples, bins, seed, and what the intervals are over.
    notes : list of str
        What a reader must know, in sentences.

    Examples
    --------
    >>> from fernet_neuro.evaluation.metrics import evaluate_predictions
    >>> logits = np.array([[3.0, 0.0], [0.0, 3.0], [2.0, 0.0], [0.0, 2.0]])
    >>> evaluate_predictions(logits, np.array(["fear", "fear", "fear", "joy"]), ("fear", "joy"))
    EvaluationResult: accuracy 75.0 % of 4 images, 2 classes
    """

    classes: tuple[str, ...]
    scores: tuple[Score, ...]
    predictions: pd.DataFrame
    calibration: pd.DataFrame
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Counts of images by true (rows) and predicted class, shape (n_classes, n_classes)."""
        return count_confusions(self.predictions["true"], self.predictions["predicted"], self.classes)

    def __getitem__(self, metric: str) -> float:
        """Return the value of an overall metric, such as ``result["accuracy"]``."""
        values = {score.metric: score.spread.value for score in self.scores if not score.label}
        if metric not in values:
            raise KeyError(f"there is no overall metric {metric!r}; there are: {format_options(values)}.")
        return values[metric]

    def describe(self) -> str:
        """Return how many images were named how well."""
        n_images, n_classes = len(self.predictions), len(self.classes)
        return f"accuracy {100 * self['accuracy']:.1f} % of {n_images} images, {n_classes} classes"

    @property
    def frame(self) -> pd.DataFrame:
        """One row per score: see `METRIC_COLUMNS`; ``class`` is empty for overall scores."""
        return build_rows(self.scores, self.settings)

    def count_confusions(self) -> pd.DataFrame:
        """Return counts of all pairs of true and predicted class in long form."""
        return list_confusions(self.confusion, self.classes)

    def save(self, out: PathLike) -> Path:
        """Write the files of an `EvaluationReport` of only this network."""
        return EvaluationReport.from_results({("", ""): self}).save(out)


def build_rows(scores: "tuple[Score, ...] | list[Score]", settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return scores with their intervals over images or identities, one row each."""
    rows = []
    for score in scores:
        ends = score.spread.interval(settings["level"])
        rows.append(
            {
                "metric": score.metric,
                "class": score.label,
                "value": score.spread.value,
                "low": np.nan if ends is None else min(ends[0], score.spread.value),
                "high": np.nan if ends is None else max(ends[1], score.spread.value),
                "interval": "" if ends is None else settings["units"],
                "n": score.n,
                "n_units": settings["n_units"],
                "chance_level": score.chance_level,
            }
        )
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS)).astype(METRIC_COLUMNS)


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationReport(Reported):
    """Evaluations of one recipe: several epochs by name, several training seeds.

    Parameters
    ----------
    metrics : DataFrame
        `KEY_COLUMNS` and `METRIC_COLUMNS`. Rows of the seed "mean" are means over training runs, once with
        their interval over images (or identities) and once over training seeds.
    confusion : DataFrame
        `KEY_COLUMNS`, ``true, predicted, count``.
    calibration, predictions : DataFrame
        `KEY_COLUMNS` and the columns of `EvaluationResult`.
    settings : dict
        What was asked for, of what, and with which versions.
    notes : list of str
        What a reader must know, in sentences.

    Examples
    --------
    >>> from fernet_neuro.evaluation.metrics import evaluate_predictions
    >>> one = evaluate_predictions(np.eye(2), np.array(["fear", "joy"]), ("fear", "joy"))
    >>> EvaluationReport.from_results({("last", "0"): one})
    EvaluationReport: 2 classes; accuracy last 0 100.0 %
    """

    metrics: pd.DataFrame
    confusion: pd.DataFrame
    calibration: pd.DataFrame
    predictions: pd.DataFrame
    settings: dict[str, Any]
    notes: list[str]

    @classmethod
    def from_results(
        cls,
        results: Mapping[tuple[str, str], EvaluationResult],
        *,
        means: Mapping[str, pd.DataFrame] | None = None,
        settings: Mapping[str, Any] | None = None,
        notes: "list[str] | tuple[str, ...]" = (),
    ) -> "EvaluationReport":
        """Gather results by epoch and seed, and means over seeds by epoch (see `seeds.summarise_runs`)."""
        first = next(iter(results.values()))
        metrics = {key: result.frame for key, result in results.items()}
        metrics.update({(epoch, "mean"): frame for epoch, frame in (means or {}).items()})
        said = dict.fromkeys([*notes, *(note for result in results.values() for note in result.notes)])
        return cls(
            _stack(metrics),
            _stack({key: result.count_confusions() for key, result in results.items()}),
            _stack({key: result.calibration for key, result in results.items()}),
            _stack({key: result.predictions for key, result in results.items()}),
            {**(settings or {}), **first.settings, "classes": list(first.classes)},
            list(said),
        )

    def describe(self) -> str:
        """Return how many runs were tested, and how well they name labels."""
        overall = self.metrics[(self.metrics["metric"] == "accuracy") & (self.metrics["class"] == "")]
        scores = [
            " ".join(filter(None, [epoch, seed, f"{100 * value:.1f} %"]))
            for epoch, seed, value in zip(overall["epoch"], overall["seed"], overall["value"], strict=True)
        ]
        return f"{len(self.settings['classes'])} classes; accuracy {name_some(scores)}"

    @property
    def frame(self) -> pd.DataFrame:
        """The metrics: one row per epoch, training seed and score."""
        return self.metrics

    def to_dict(self) -> dict[str, Any]:
        """Return ``summary.json``: settings, notes and all metrics, null where there is no number."""
        rows = [
            {name: None if value != value else value for name, value in row.items()}  # NaN is not itself
            for row in self.metrics.to_dict("records")
        ]
        return {"settings": self.settings, "notes": self.notes, "metrics": rows}

    def save(self, out: PathLike) -> Path:
        """Write ``metrics, confusion, calibration, predictions`` (.csv) and, last, ``summary.json``."""
        return save_tables(out, {f"{name}.csv": getattr(self, name) for name in _FILES}, self.to_dict())

    @classmethod
    def load(cls, out: PathLike, *, tables: Collection[str] = _FILES) -> "EvaluationReport":
        """Read a report that `save` wrote, or some of its `tables`; the others have no rows then.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        """
        files = ("summary.json", *(f"{name}.csv" for name in tables))
        with loading(out, files, "evaluate RUN --stimuli TABLE") as folder:
            content = read_json(folder / "summary.json")
            frames = {
                name: _read_frame(folder / f"{name}.csv") if name in tables else pd.DataFrame()
                for name in _FILES
            }
            n_rows, n_known = len(frames["metrics"]), len(content["metrics"])
            if "metrics" in tables and n_rows != n_known:
                raise ValueError(f"metrics.csv has {n_rows} rows, and summary.json {n_known}")
            return cls(**frames, settings=content["settings"], notes=content["notes"])


def _stack(frames: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    parts = []
    for key, frame in frames.items():
        part = frame.copy()
        for place, (name, value) in enumerate(zip(KEY_COLUMNS, key, strict=True)):
            part.insert(place, name, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _read_frame(path: Path) -> pd.DataFrame:
    kinds = {
        name: int if name in _WHOLE else float for name in map(str, read_whole(path)) if name not in _TEXT
    }
    frame = read_whole(path, kinds)
    absent = [name for name in KEY_COLUMNS if name not in frame]
    if absent:
        raise KeyError(f"{path.name} lacks the column {absent[0]!r}")
    return frame
