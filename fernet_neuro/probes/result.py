"""What a probe found: one layer's `ProbeResult`, and the `ProbeReport` of many with its files.

What belongs here: scores as labelled tables, p values over layers, reading and writing; no fitting, no plots.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.p_values import say_p
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.shown import Compared, Plotted, Reported, name_some
from fernet_neuro._utils.tables import as_typed, loading, read_table, save_tables
from fernet_neuro.exceptions import AlignmentError
from fernet_neuro.stats.confusion import count_confusions, list_confusions
from fernet_neuro.stats.multiple import compute_p_values
from fernet_neuro.stats.resampling import bootstrap_mean_interval, one_sample_p_value, t_test
from fernet_neuro.typing import PathLike

#: Columns of ``results.csv`` and their types; accuracies are shares, the penalty in squared activation units.
RESULT_COLUMNS: dict[str, type] = {
    "source": str,
    "layer": str,
    "layer_index": int,
    "readout": str,
    "target": str,
    "holdout": str,
    "fold": str,
    "n_train": int,
    "n_test": int,
    "n_classes": int,
    "chance_level": float,
    "balanced_accuracy": float,
    "penalty": float,
    "seed": int,
}
#: Columns of ``results.csv`` of a quantity: R2 against the training mean, Spearman's correlation.
QUANTITY_COLUMNS: dict[str, type] = {
    **{name: RESULT_COLUMNS[name] for name in list(RESULT_COLUMNS)[:9]},
    "r2": float,
    "rank_correlation": float,
    "penalty": float,
    "seed": int,
}
#: Least and largest score of each measure.
_BOUNDS = {"balanced_accuracy": (0.0, 1.0), "r2": (-np.inf, 1.0)}
#: Columns of ``confusion.csv`` and their types.
CONFUSION_COLUMNS: dict[str, type] = {
    "source": str,
    "layer": str,
    "readout": str,
    "true": str,
    "predicted": str,
    "count": int,
    "seed": int,
}
#: Columns of ``predictions.csv`` of a quantity and their types: each test stimulus of each fold.
PREDICTION_COLUMNS: dict[str, type] = {
    "source": str,
    "layer": str,
    "readout": str,
    "fold": str,
    "stimulus_id": str,
    "true": float,
    "predicted": float,
    "seed": int,
}
#: Settings that must agree between training runs, or a mean over them means nothing.
_SAME_SETTINGS = (
    "target", "holdout", "layers", "readouts", "n_permutations", "permute_within", "n_folds", "seed",
    "scale",
)  # fmt: skip
#: Numbers of a summary that are averaged over training runs.
_MEAN_FIELDS = (
    "balanced_accuracy",
    "r2",
    "rank_correlation",
    "selectivity",
    "selectivity_task_accuracy",
    "selectivity_control_accuracy",
    "selectivity_task_r2",
    "selectivity_control_r2",
)
#: The network's accuracy minus that of a control.
_DIFFERENCES = ("difference_untrained", "difference_pixels")
#: Of so many untrained twins the spread is told.
FEWEST_TWINS = 4
#: One test: source, layer, read-out.
TestKey = tuple[str, str, str]
_SEPARATOR = "|"
_FILES = ("results.csv", "null.npz")
#: What classes have, and what a quantity has, beside these.
_CONFUSION, _PREDICTIONS = "confusion.csv", "predictions.csv"
#: Files of a report beside its summary, without their endings.
_PARTS = ("results", "confusion", "null", "predictions")


@dataclass(frozen=True, eq=False, repr=False)
class ProbeResult(Plotted):
    """How well one read-out of one layer tells the classes of the target, fold by fold.

    Parameters
    ----------
    source : str
        ``network``, ``untrained``, ``pixels`` or ``control-task``.
    layer, layer_index : str, int
        Name of the layer and its place in forward order; pixels have -1.
    readout, target, holdout : str
        Read-out, factor that is read out, and factor that the folds hold out.
    classes : tuple of str
        Values of the target, sorted; none where it is a quantity.
    folds : DataFrame
        One row per fold: ``fold, n_train, n_test, n_classes, chance_level, balanced_accuracy, penalty``; of a
        quantity ``fold, n_train, n_test, r2, rank_correlation, penalty``.
    predictions : DataFrame
        One row per fold and test stimulus: ``stimulus_id, fold, true, predicted``, and of a quantity
        ``expected``, the training mean; empty for control tasks.
    null_scores : ndarray of shape (n_permutations,)
        Score under each exchange of labels.
    interval : tuple of float and str, or None
        Ends of the 95 % interval of the score, and what it is over.
    settings : dict
        How it was made: exchangeable units, penalties, seed.
    control : dict
        What the control task gave: ``selectivity`` and its parts; empty where none was run.
    differences : dict
        The network's accuracy minus that of a control on the same stimuli, with its interval and p value:
        ``difference_untrained``, ``difference_pixels``; empty where none was run.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> from fernet_neuro.probes.evaluate import evaluate_probe
    >>> from fernet_neuro.stimuli.splits import make_folds
    >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    >>> units = fn.Activations(np.eye(7)[pd.factorize(faces["expression"])[0]], faces.stimulus_ids, "told")
    >>> folds = make_folds(faces, "identity", target="expression", n_folds=3)
    >>> evaluate_probe(units, faces, target="expression", folds=folds, n_permutations=0).balanced_accuracy
    1.0
    """

    source: str
    layer: str
    layer_index: int
    readout: str
    target: str
    holdout: str
    classes: tuple[str, ...]
    folds: pd.DataFrame
    predictions: pd.DataFrame
    null_scores: np.ndarray
    interval: tuple[float, float, str] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    control: dict[str, Any] = field(default_factory=dict)
    differences: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """Return what was read out of what, and how well."""
        p = "" if self.p_value is None else f", {say_p(self.p_value)}"
        if self.is_quantity:
            found = f"R2 {self.score:.3f}"
        else:
            found = f"accuracy {100 * self.score:.1f} %, chance {100 * self.chance_level:.1f} %"
        return (
            f"{self.target} from {self.layer} of {self.source} ({self.readout}), {self.holdout} held out: "
            f"{found}{p}"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """One row with all numbers of `summarise`."""
        return frame_of([self.summarise()])

    @property
    def is_quantity(self) -> bool:
        """Whether numbers are read out, not classes."""
        return not self.classes

    @property
    def measures(self) -> tuple[str, ...]:
        """What folds are scored by; the first is tested."""
        return ("r2", "rank_correlation") if self.is_quantity else ("balanced_accuracy",)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and largest score there can be."""
        return _BOUNDS[self.measures[0]]

    @property
    def difference_bounds(self) -> tuple[float, float]:
        """Least and largest difference of two scores there can be."""
        return (-np.inf, np.inf) if self.is_quantity else (-1.0, 1.0)

    @property
    def score(self) -> float:
        """Balanced accuracy (share), or R2 over all test stimuli against the mean of their training part."""
        if not self.is_quantity:
            return self.balanced_accuracy
        spread = np.square(self.predictions["true"] - self.predictions["expected"]).sum()
        return float(1 - np.square(self.predictions["true"] - self.predictions["predicted"]).sum() / spread)

    @property
    def balanced_accuracy(self) -> float:
        """Mean over folds (share, 0 to 1)."""
        return float(self.folds["balanced_accuracy"].mean())

    @property
    def chance_level(self) -> float:
        """Mean over folds of one over the number of classes that a read-out chooses from (share)."""
        return float(self.folds["chance_level"].mean())

    @property
    def p_value(self) -> float | None:
        """Permutation p value, uncorrected; None without permutations."""
        if len(self.null_scores) == 0:
            return None
        return float(compute_p_values(np.array([self.score]), self.null_scores[:, None])[0][0])

    @property
    def null_mean(self) -> float | None:
        """Mean score on exchanged labels, which need not be chance; None without any."""
        return float(self.null_scores.mean()) if len(self.null_scores) else None

    @property
    def per_class_accuracy(self) -> dict[str, float]:
        """Share of each class's test stimuli that were told rightly, pooled over folds."""
        rows = zip(self.classes, self._confusion.diagonal(), self._confusion.sum(axis=1), strict=True)
        return {name: float(right / n) for name, right, n in rows if n}

    @cached_property
    def _confusion(self) -> np.ndarray:
        return count_confusions(self.predictions["true"], self.predictions["predicted"], self.classes)

    def count_confusions(self) -> pd.DataFrame:
        """Return counts of all pairs of true and predicted class, pooled over folds, in long form."""
        return list_confusions(self._confusion, self.classes)

    def summarise(self) -> dict[str, Any]:
        """Return the object of ``summary.json``, without the correction over layers."""
        low, high, over = self.interval or (None, None, None)
        name = self.measures[0]
        if self.is_quantity:
            known = average_known(self.folds["rank_correlation"].to_numpy())
            scores = {"r2": self.score, "rank_correlation": None if np.isnan(known) else float(known)}
        else:
            scores = {
                "n_classes": len(self.classes),
                "chance_level": self.chance_level,
                "balanced_accuracy": self.score,
            }
        return {
            "source": self.source,
            "layer": self.layer,
            "layer_index": self.layer_index,
            "readout": self.readout,
            "target": self.target,
            "holdout": self.holdout,
            "n_folds": len(self.folds),
            **scores,
            f"{name}_low": low,
            f"{name}_high": high,
            "interval": over,
            **({} if self.is_quantity else {"per_class_accuracy": self.per_class_accuracy}),
            "null_mean": self.null_mean,
            "p_value": self.p_value,
            "p_value_max": None,
            "n_permutations": len(self.null_scores),
            **self.settings,
            **self.control,
            **self.differences,
        }


@dataclass(frozen=True, eq=False, repr=False)
class ProbeReport(Compared, Reported):
    """Read-outs of many layers, with their controls.

    Parameters
    ----------
    results : DataFrame
        One row per source, layer, read-out, fold and training seed; see `RESULT_COLUMNS`.
    confusion : DataFrame
        Counts in long form; see `CONFUSION_COLUMNS`.
    null_scores : dict of (source, layer, readout) to ndarray of shape (n_permutations,)
        Mean balanced accuracy over folds; row i comes from the same exchange of labels in every entry.
    layers : list of dict
        One object per source, layer and read-out.
    settings : dict
        What was asked for and with which versions and stores.
    predictions : DataFrame
        Of a quantity, true and predicted number of each test stimulus, from the network and the pixels; see
        `PREDICTION_COLUMNS`. Without rows for classes.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    >>> fn.probe("resnet10-slim", faces, layers=["layer1"], size=32, n_folds=3, n_permutations=9)
    ProbeReport: expression, identity held out: 1 layers (layer1); sources network, untrained, pixels
    """

    results: pd.DataFrame
    confusion: pd.DataFrame
    null_scores: dict[TestKey, np.ndarray]
    layers: list[dict[str, Any]]
    settings: dict[str, Any]
    predictions: pd.DataFrame = field(default_factory=lambda: _stack_predictions([]))

    def describe(self) -> str:
        """Return what was read out of how many layers."""
        sources = dict.fromkeys(item["source"] for item in self.layers)
        return (
            f"{self.settings['target']}, {self.settings['holdout']} held out: {len(self.settings['layers'])} "
            f"layers ({name_some(self.settings['layers'])}); sources {name_some(sources)}"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """One row per source, layer and read-out: accuracy with its interval, null and p values (shares)."""
        return frame_of(self.layers)

    @property
    def weights(self) -> str:
        """``"random weights"`` if the probed networks have none but those; otherwise empty."""
        found = {network["weights"] for network in self.settings.get("networks", [])}
        return found.pop() if len(found) == 1 else ""

    def label_sources(self, sources: Iterable[str]) -> list[str]:
        """Return sources as tables call them: a network with random weights is called so."""
        called = {"network": f"network ({self.weights})"} if self.weights else {}
        return [called.get(name, name) for name in sources]

    @classmethod
    def from_results(cls, results: Sequence[ProbeResult], settings: dict[str, Any]) -> "ProbeReport":
        """Gather the results of one network and correct p values over the layers of each source."""
        keys = [(item.source, item.layer, item.readout) for item in results]
        columns = QUANTITY_COLUMNS if results[0].is_quantity else RESULT_COLUMNS
        counted = [item for item in results if len(item.predictions) and not item.is_quantity]
        null_scores = {
            key: item.null_scores
            for key, item in zip(keys, results, strict=True)
            if len(item.null_scores) and item.source != "control-task"
        }
        layers = [item.summarise() for item in results]
        return cls(
            _stack_items(results, [item.folds for item in results], columns),
            _stack_items(counted, [item.count_confusions() for item in counted], CONFUSION_COLUMNS),
            null_scores,
            correct_over_layers(layers, null_scores),
            settings,
            _stack_predictions([item for item in results if item.is_quantity]),
        )

    def save(self, out: PathLike) -> Path:
        """Write ``results.csv``, ``null.npz`` and, last, ``summary.json`` into `out`.

        Classes have ``confusion.csv`` too, a quantity ``predictions.csv``; one that has no rows is removed.
        """
        arrays = {_SEPARATOR.join(key): scores for key, scores in self.null_scores.items()}
        tables: dict[str, Any] = dict(zip(_FILES, (self.results, arrays), strict=True))
        others = {_CONFUSION: self.confusion, _PREDICTIONS: self.predictions}
        tables |= {name: rows for name, rows in others.items() if len(rows)}
        folder = save_tables(out, tables, {"settings": self.settings, "layers": self.layers})
        for name in others.keys() - tables.keys():
            (folder / name).unlink(missing_ok=True)
        return folder

    @classmethod
    def load(cls, out: PathLike, *, tables: Collection[str] = _PARTS) -> "ProbeReport":
        """Read a report that `save` wrote, or some of its `tables`; the others have no rows then.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        """
        with loading(out, _list_needed(Path(out), tables), "probe RUN --stimuli TABLE") as folder:
            content = read_json(folder / "summary.json")
            is_quantity = content["settings"].get("scale") == "numbers"
            columns = QUANTITY_COLUMNS if is_quantity else RESULT_COLUMNS
            results = _read_part(folder, "results", columns, is_there="results" in tables)
            has_counts = "confusion" in tables and not is_quantity
            confusion = _read_part(folder, "confusion", CONFUSION_COLUMNS, is_there=has_counts)
            null_scores = _read_null(folder) if "null" in tables else {}
            # Folders of earlier versions have none.
            known = "predictions" in tables and is_quantity and (folder / _PREDICTIONS).is_file()
            predictions = _read_part(folder, "predictions", PREDICTION_COLUMNS, is_there=known)
            return cls(results, confusion, null_scores, content["layers"], content["settings"], predictions)


def _read_part(folder: Path, name: str, columns: dict[str, type], *, is_there: bool) -> pd.DataFrame:
    if is_there:
        return read_table(folder / f"{name}.csv", columns)
    return as_typed(pd.DataFrame(columns=list(columns)), columns, is_filled=False)


def _read_null(folder: Path) -> dict[TestKey, np.ndarray]:
    with (folder / "null.npz").open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
        return {_split_key(name): arrays[name] for name in arrays.files}


def _list_needed(folder: Path, tables: Collection[str]) -> tuple[str, ...]:
    """Return the files that `tables` of a report are read from; counts of classes are not a quantity's."""
    try:
        is_quantity = read_json(folder / "summary.json")["settings"].get("scale") == "numbers"
    except Exception:  # what is missing or damaged is said by who reads it
        is_quantity = False
    needed = (*_FILES, *(() if is_quantity else (_CONFUSION,)))
    return ("summary.json", *(name for name in needed if name.partition(".")[0] in tables))


def spread_twins(rows: Sequence[Mapping[Any, Any]], measure: str) -> pd.DataFrame:
    """Return how far to draw the spread of each row of a summary: its interval, or that of one twin more.

    Of fewer than four twins nobody knows how they are spread, and that interval spans nearly all scores: they
    have the scores of each instead.

    Returns
    -------
    DataFrame
        ``low`` and ``high``, missing where there is none; ``n_twins``, 1 of all other rows; and, where there
        are few twins, ``twin_1``, ``twin_2``, ``twin_3``.
    """
    found = []
    for row in rows:
        n_twins = int(row.get("n_twins") or 1) if row["source"] == "untrained" else 1
        low, high = (row[f"{measure}_{end}"] for end in ("low", "high"))
        scores: Sequence[float] = ()
        if n_twins >= FEWEST_TWINS:
            low, high = row["twin_low"], row["twin_high"]
        elif n_twins > 1:
            low, high, scores = None, None, row.get("twin_scores", ())
        each = {f"twin_{number}": score for number, score in enumerate(scores, 1)}
        found.append({"low": low, "high": high, "n_twins": n_twins, **each})
    return pd.DataFrame(found).astype(float)


def frame_of(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return rows of a summary as a table, without what is not one value, such as accuracies by class."""
    plain = [{key: value for key, value in row.items() if not isinstance(value, dict | list)} for row in rows]
    return pd.DataFrame(plain)


def _stack_items(
    items: Sequence[ProbeResult], frames: Sequence[pd.DataFrame], columns: Mapping[str, type]
) -> pd.DataFrame:
    """Return one table of all items in `columns`; those that theirs lack are what an item says of itself."""
    if not items:
        return as_typed(pd.DataFrame(columns=list(columns)), columns, is_filled=False)
    lengths = [len(frame) for frame in frames]
    said = [name for name in columns if name not in frames[0] and name != "seed"]
    labels = {name: np.repeat([getattr(item, name) for item in items], lengths) for name in said}
    return as_typed(pd.concat(frames).assign(**labels, seed=0)[list(columns)], columns)


def _stack_predictions(results: Sequence[ProbeResult]) -> pd.DataFrame:
    """Return what was predicted for each test stimulus, from the network and the pixels."""
    items = [item for item in results if item.source in ("network", "pixels")]
    return _stack_items(items, [item.predictions for item in items], PREDICTION_COLUMNS)


def measure_of(row: Mapping[str, Any]) -> str:
    """Return the name of the tested score in a row of a summary: balanced accuracy, or R2 of a quantity."""
    return "r2" if "r2" in row else "balanced_accuracy"


def average_known(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis of what is not NaN; NaN where all is."""
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def correct_over_layers(
    layers: Sequence[dict[str, Any]], null_scores: dict[TestKey, np.ndarray]
) -> list[dict[str, Any]]:
    """Return `layers` with p values, ``p_value_max`` corrected over the layers of a source and read-out.

    ``null_mean`` is the mean score on exchanged labels; a small p value says that a score lies above it.
    """
    corrected = [dict(item) for item in layers]
    families: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in corrected:
        if (item["source"], item["layer"], item["readout"]) in null_scores:
            families.setdefault((item["source"], item["readout"]), []).append(item)
    for (source, readout), items in families.items():
        scores = np.array([item[measure_of(item)] for item in items])
        nulls = np.column_stack([null_scores[source, item["layer"], readout] for item in items])
        for item, p_value, p_value_max in zip(items, *compute_p_values(scores, nulls), strict=True):
            item["p_value"], item["p_value_max"] = float(p_value), float(p_value_max)
            item["null_mean"] = float(null_scores[source, item["layer"], readout].mean())
    return corrected


def summarise_seeds(reports: Sequence[ProbeReport], seeds: Sequence[int] | None = None) -> ProbeReport:
    """Return one report over training runs that differ in their seed only.

    Fold scores and confusions of all runs are kept, told apart by the column ``seed``. Accuracies are means
    over runs with a 95 % interval over runs. All runs saw the same exchanges of labels, so the mean of their
    null scores, exchange by exchange, is the null of the mean accuracy. A source that does not depend on the
    run, such as the pixels or several untrained twins, keeps its own row.

    Parameters
    ----------
    reports : sequence of ProbeReport
        One per run, of the same stimuli and settings.
    seeds : sequence of int, default=None
        Training seed of each run, for the record; None numbers them from 0.

    Raises
    ------
    ValueError
        If there is no report, or `seeds` does not name each once.
    AlignmentError
        If reports are of other stimuli, settings or layers.
    """
    if not reports:
        raise ValueError("reports must hold at least one probe report; got none.")
    numbers = list(range(len(reports))) if seeds is None else [int(seed) for seed in seeds]
    if len(set(numbers)) != len(reports) or len(numbers) != len(reports):
        raise ValueError(f"seeds must name each of the {len(reports)} reports once; got {numbers}.")
    _check_comparable(reports)
    null_scores = {
        key: np.mean([report.null_scores[key] for report in reports], axis=0)
        for key in reports[0].null_scores
    }
    rows = [_average([report.layers[row] for report in reports]) for row in range(len(reports[0].layers))]
    settings = {
        **reports[0].settings,
        "training_seeds": numbers,
        "stores": {str(n): report.settings["stores"] for n, report in zip(numbers, reports, strict=True)},
        "networks": [network for report in reports for network in report.settings.get("networks", [])],
    }
    return ProbeReport(
        _stack([report.results for report in reports], numbers),
        _stack([report.confusion for report in reports], numbers),
        null_scores,
        correct_over_layers(rows, null_scores),
        settings,
        _stack([report.predictions for report in reports], numbers),
    )


def join_layers(reports: Sequence[ProbeReport]) -> ProbeReport:
    """Return one report over parts that probed some layers of one network each.

    Every part exchanged the labels alike, so the largest score over all layers has the null distribution that
    it has where they are probed at once. What all parts have in common, such as the pixels, counts once.

    Raises
    ------
    ValueError
        If there is no report.
    AlignmentError
        If reports are of other stimuli, settings or stores.
    """
    if not reports:
        raise ValueError("reports must hold at least one probe report; got none.")
    first = reports[0]
    own = ("stimuli", "stores", "controls", *(name for name in _SAME_SETTINGS if name != "layers"))
    for other in reports[1:]:
        differing = [name for name in own if other.settings[name] != first.settings[name]]
        if differing:
            raise AlignmentError(
                f"parts of a probe differ in {differing[0]!r}, so they cannot be one; run them alike."
            )
    rows = {_key(row): row for report in reversed(reports) for row in report.layers}
    places = {key: (_PLACES[key[0]], row["layer_index"]) for key, row in rows.items()}
    null_scores = {key: scores for report in reports for key, scores in report.null_scores.items()}
    keys = [key for report in reports for key in map(_key, report.layers)]
    ordered = sorted(dict.fromkeys(keys), key=places.__getitem__)
    layers = [key[1] for key in ordered if key[0] == "network"]
    return ProbeReport(
        _join([report.results for report in reports], places),
        _join([report.confusion for report in reports], places),
        {key: null_scores[key] for key in ordered if key in null_scores},
        correct_over_layers([rows[key] for key in ordered], null_scores),
        {**first.settings, "layers": list(dict.fromkeys(layers))},
        _join([report.predictions for report in reports], places),
    )


#: In which order the sources of a report come; a layer's control task stands behind the layer.
_PLACES = {"network": 0, "control-task": 0, "untrained": 1, "pixels": 2}


def _join(frames: Sequence[pd.DataFrame], places: Mapping[TestKey, tuple[int, int]]) -> pd.DataFrame:
    """Return the rows of all frames in the order of `places`, each test from the first frame that has it."""
    whose: dict[TestKey, int] = {}
    parts = []
    for number, frame in enumerate(frames):
        keys = [_key(row) for row in frame[["source", "layer", "readout"]].to_dict("records")]
        is_first = [whose.setdefault(key, number) == number for key in keys]
        parts.append(frame[np.array(is_first, dtype=bool)])
    joint = pd.concat(parts, ignore_index=True)
    keys = [_key(row) for row in joint[["source", "layer", "readout"]].to_dict("records")]
    order = sorted(range(len(keys)), key=lambda row: places[keys[row]])
    return joint.iloc[order].reset_index(drop=True)


def _stack(frames: Sequence[pd.DataFrame], numbers: Sequence[int]) -> pd.DataFrame:
    return pd.concat(
        [frame.assign(seed=n) for frame, n in zip(frames, numbers, strict=True)], ignore_index=True
    )


def _check_comparable(reports: Sequence[ProbeReport]) -> None:
    first = reports[0]
    for other in reports[1:]:
        if other.settings["stimuli"] != first.settings["stimuli"]:
            raise AlignmentError(
                "probe reports are of other stimuli, so no mean can be taken; probe one table."
            )
        for name in _SAME_SETTINGS:
            if other.settings[name] != first.settings[name]:
                raise AlignmentError(
                    f"probe reports differ in {name!r} ({first.settings[name]!r} against "
                    f"{other.settings[name]!r}), so no mean can be taken; run them alike."
                )
        if [_key(row) for row in other.layers] != [_key(row) for row in first.layers]:
            raise AlignmentError(
                "probe reports hold other sources or layers; run them with the same controls."
            )


def _key(row: Mapping[Any, Any]) -> TestKey:
    return row["source"], row["layer"], row["readout"]


def _average(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of one layer's summaries over training seeds."""
    measure = measure_of(rows[0])
    scores = [row[measure] for row in rows]
    shared = rows[0]["source"] == "pixels" or (rows[0]["source"] == "untrained" and "n_twins" in rows[0])
    if len(rows) == 1 or shared:
        return dict(rows[0])
    merged = dict(rows[0], n_training_seeds=len(rows))
    for name in _MEAN_FIELDS:
        if name in merged:
            known = [row[name] for row in rows if row[name] is not None]
            merged[name] = float(np.mean(known)) if known else None
    if "per_class_accuracy" in merged:
        merged["per_class_accuracy"] = {
            label: float(np.mean([row["per_class_accuracy"][label] for row in rows]))
            for label in merged["per_class_accuracy"]
        }
    if "rank_correlation_p" in merged:
        merged["rank_correlation_p"] = None  # of one run, not of their mean
    low, high = bootstrap_mean_interval(np.array(scores), rng=make_rng(0, "probe", "training seeds"))
    least, most = _BOUNDS[measure]
    merged[f"{measure}_low"], merged[f"{measure}_high"] = max(low, least), min(high, most)
    merged["interval"], most_apart = "training seeds", most - least
    for name in _DIFFERENCES:
        if name in merged:
            merged.update(_average_difference(name, [row[name] for row in rows], most_apart))
    if "difference_untrained" in merged and "n_twins" in merged:
        merged.update(_compare_seeds_with_twins(merged, np.array(scores), most_apart))
    return merged


def _average_difference(name: str, differences: Sequence[float], most: float) -> dict[str, Any]:
    """Return the mean over training seeds of a difference to a control, with its interval and p value.

    `most`: the largest difference there can be, either way.
    """
    values = np.array(differences)
    low, high = bootstrap_mean_interval(values, rng=make_rng(0, "probe", "training seeds"))
    return {
        name: float(values.mean()),
        f"{name}_low": max(low, -most),
        f"{name}_high": min(high, most),
        f"{name}_p": one_sample_p_value(values),
        "difference_interval": "training seeds",
    }


def _compare_seeds_with_twins(merged: dict[str, Any], scores: np.ndarray, most: float) -> dict[str, Any]:
    """Return the difference of trained networks to untrained ones, two samples of networks, by Welch's t."""
    parts = np.array([scores.var(ddof=1) / len(scores), merged["twin_sd"] ** 2 / merged["n_twins"]])
    spare = np.array([len(scores), merged["n_twins"]]) - 1
    freedom = parts.sum() ** 2 / max((parts**2 / spare).sum(), np.finfo(float).tiny)
    low, high, p_value = t_test(merged["difference_untrained"], float(parts.sum()), float(freedom))
    ends = {"low": max(low, -most), "high": min(high, most), "p": p_value}
    interval = {"difference_untrained_interval": "training seeds and untrained networks"}
    return {**{f"difference_untrained_{name}": value for name, value in ends.items()}, **interval}


def _split_key(name: str) -> TestKey:
    source, rest = name.split(_SEPARATOR, 1)
    layer, readout = rest.rsplit(_SEPARATOR, 1)
    return source, layer, readout
