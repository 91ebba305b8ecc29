"""The table of a grid as rows and cells, ours and the printed numbers in columns apart.

What belongs here: which column holds what; numbers are computed in `results`, and written for readers
in `markup`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.p_values import format_p
from fernet_neuro._utils.tables import iterate_rows, read_mixed
from fernet_neuro.exceptions import StoreError
from fernet_neuro.experiments.recipe import GridSettings
from fernet_neuro.experiments.results import compare_folds, compare_paired
from fernet_neuro.typing import PathLike

#: What every column of printed numbers says of itself.
PUBLISHED = "published, on the paper's data"
EPOCHS = {"last": "last epoch", "best": "best epoch on validation"}
METRICS = {"accuracy": "accuracy", "mean_class_accuracy": "mean class accuracy", "macro_f1": "macro F1"}
COSTS = {"params": "Parameters", "macs": "Multiply-adds", "time": "Time ratio"}
_NOTHING = "–"


@dataclass(frozen=True)
class ResultFiles:
    """The tidy files of a results folder."""

    summary: pd.DataFrame
    differences: pd.DataFrame
    published: pd.DataFrame
    cost: pd.DataFrame | None
    training: pd.DataFrame | None = None
    drops: pd.DataFrame | None = None
    left_out: pd.DataFrame | None = None

    @classmethod
    def read(cls, folder: PathLike) -> "ResultFiles":
        """Read them.

        Raises StoreError if one is missing.
        """
        place = Path(folder)
        for name in ("summary", "differences", "published"):
            if not (place / f"{name}.csv").is_file():
                raise StoreError(
                    f"{place / f'{name}.csv'} does not exist; finish the experiment with --resume."
                )
        cost, training, drops, left_out = (
            place / f"{name}.csv" for name in ("cost", "training", "drops", "left_out")
        )
        return cls(
            read_mixed(place / "summary.csv", _LABELS, _NUMBERS),
            read_mixed(place / "differences.csv", _LABELS, _NUMBERS),
            read_mixed(place / "published.csv", ("arm", "label", "column", "value", "source")),
            read_mixed(cost, ("group", "name"), _COSTS) if cost.is_file() else None,
            read_mixed(training, ("arm", "epoch"), ("training_loss",)) if training.is_file() else None,
            read_mixed(drops, ("epoch", "arm", "test", "classes"), None) if drops.is_file() else None,
            read_mixed(left_out, ("test", "label"), ("n",)) if left_out.is_file() else None,
        )


_NUMBERS = ("value", "low", "high", "p_value", "p_bonferroni", "chance_level")
_COSTS = ("params", "macs", "milliseconds", "time_ratio", "time_ratio_low", "time_ratio_high")
_LABELS = ("arm", "reference", "label", "test", "test_label", "epoch", "metric", "interval")


def build_numbers(settings: GridSettings, files: ResultFiles) -> pd.DataFrame:
    """Return one row per epoch and arm; columns begin with ``ours_`` or ``published_``, or name the row.

    Ours are in %, each with ``_low`` and ``_high``; rows of other people's networks have published columns
    alone.
    """
    rows = []
    for epoch in list_epochs(settings, files):
        for arm in settings.arms:
            row: dict[str, object] = {"epoch": epoch, **_name_row(settings, arm)}
            for test in settings.shown_tests:
                for metric in settings.metrics:
                    found = _find(files.summary, arm, test, epoch, metric)
                    for end, column in (("", "value"), ("_low", "low"), ("_high", "high")):
                        row[f"ours_{test}_{metric}_percent{end}"] = 100 * float(found[column])
            row |= _find_loss(files.training, arm, epoch)
            rows.append({**row, **_find_cost(files.cost, arm), **_find_published(files.published, arm)})
    rows += [
        {"epoch": "", "arm": name, "label": name, **_find_published(files.published, name)}
        for name in settings.comparators
    ]
    return pd.DataFrame(rows)


def build_cells(settings: GridSettings, files: ResultFiles, epoch: str) -> pd.DataFrame:
    """Return the table of one epoch as text, one row per arm and comparator, headings in words."""
    published = list(dict.fromkeys(files.published["column"]))
    rows = []
    for name in (*settings.arms, *settings.comparators):
        is_arm = name in settings.arms
        row = {"Network": settings.label_of(name) if is_arm else name}
        row["Variant"] = str(_name_row(settings, name)["variant"]) if is_arm else _NOTHING
        row["Seeds"] = str(len(settings.seeds)) if is_arm else _NOTHING
        if settings.folds:
            row["Folds"] = str(settings.folds) if is_arm else _NOTHING
        for test, tested in settings.shown_tests.items():
            for metric in settings.metrics:
                heading = f"{tested.label or test}, {METRICS[metric]} (%)"
                row[heading] = (
                    _format_score(_find(files.summary, name, test, epoch, metric)) if is_arm else _NOTHING
                )
        if "training_loss" in settings.columns:
            row["Training loss"] = _format_loss(_find_loss(files.training, name, epoch))
        if files.cost is not None:
            row |= {
                COSTS[key]: value
                for key, value in _format_cost(files.cost, name).items()
                if key in settings.costs
            }
        given = _find_published(files.published, name)
        row |= {f"{column} ({PUBLISHED})": given.get(f"published_{column}", _NOTHING) for column in published}
        rows.append(row)
    return pd.DataFrame(rows)


def build_differences_cells(settings: GridSettings, files: ResultFiles, epoch: str) -> pd.DataFrame:
    """Return the differences to the reference arm, first metric, as text; no rows with a single arm."""
    chosen = _choose_differences(settings, files, epoch)
    reference = settings.label_of(settings.reference_arm)
    heading = f"minus {reference} (percentage points)"
    rows = [
        {"Network": settings.label_of(row.arm), **_describe_difference(settings, row, heading)}
        for row in iterate_rows(chosen[chosen["reference"] == settings.reference_arm])
    ]
    return pd.DataFrame(rows)


def build_pair_cells(settings: GridSettings, files: ResultFiles, epoch: str) -> pd.DataFrame:
    """Return the differences between the other arms, likewise; no rows with fewer than three arms."""
    chosen = _choose_differences(settings, files, epoch)
    rows = [
        {
            "Network": settings.label_of(row.arm),
            "minus": settings.label_of(row.reference),
            **_describe_difference(settings, row, "difference (percentage points)"),
        }
        for row in iterate_rows(chosen[chosen["reference"] != settings.reference_arm])
    ]
    return pd.DataFrame(rows)


def build_drop_cells(settings: GridSettings, files: ResultFiles, epoch: str) -> pd.DataFrame:
    """Return how far each arm falls from one test to others, as text; no rows where it is not asked for."""
    if files.drops is None:
        return pd.DataFrame()
    tests = {name: test.label or name for name, test in settings.shown_tests.items()}
    rows = [
        {
            "Network": settings.label_of(row.arm),
            "Tested on": tests[row.test],
            "Classes": str(len(row.classes.split(", "))),
            f"on {tests[str(settings.drop_from)]} (%)": _format_interval(
                row.home, row.home_low, row.home_high
            ),
            "there (%)": _format_interval(row.away, row.away_low, row.away_high),
            "drop (percentage points)": _format_interval(row.drop, row.drop_low, row.drop_high, "+"),
            "p": format_p(row.p_value),
        }
        for row in iterate_rows(files.drops[files.drops["epoch"] == epoch])
    ]
    return pd.DataFrame(rows)


def build_cost_cells(files: ResultFiles) -> pd.DataFrame:
    """Return the costs of networks that are no arms as text; no rows where there are none."""
    if files.cost is None:
        return pd.DataFrame()
    rows = files.cost[files.cost["group"] == "network"]
    return pd.DataFrame(
        [
            {"Network": row["name"], "Size (px)": str(row["size"])}
            | {COSTS[key]: text for key, text in _describe_cost(row).items()}
            for row in rows.to_dict("records")
        ]
    )


def list_epochs(settings: GridSettings, files: ResultFiles) -> list[str]:
    """Return the epochs that every arm has, the headline's first."""
    known = files.summary.groupby("epoch")["arm"].nunique()
    found = [epoch for epoch in EPOCHS if known.get(epoch, 0) == len(settings.arms)]
    return sorted(found, key=lambda epoch: epoch != settings.epoch)


def _name_row(settings: GridSettings, arm: str) -> dict[str, object]:
    network, variant = settings.arms[arm].tested, settings.find_tested(arm).variant
    named = {"arm": arm, "label": settings.label_of(arm), "network": network, "variant": variant}
    return {**named, "n_seeds": len(settings.seeds)}


def _choose_differences(settings: GridSettings, files: ResultFiles, epoch: str) -> pd.DataFrame:
    is_metric = files.differences["metric"] == settings.metrics[0]
    return files.differences[(files.differences["epoch"] == epoch) & is_metric]


def _describe_difference(settings: GridSettings, row: Any, heading: str) -> dict[str, str]:
    return {
        "Test": settings.shown_tests[row.test].label or row.test,
        heading: _format_interval(row.difference, row.low, row.high, "+"),
        "p": format_p(row.p_value),
        "p, corrected": format_p(row.p_bonferroni),
    }


def _find(summary: pd.DataFrame, arm: str, test: str, epoch: str, metric: str) -> pd.Series:
    keys = {"arm": arm, "test": test, "epoch": epoch, "metric": metric}
    rows = summary
    for name, value in keys.items():
        rows = rows[rows[name] == value]
    if len(rows) != 1:
        raise StoreError(f"summary.csv holds {len(rows)} rows of {keys}; one is needed. Run with --resume.")
    return rows.iloc[0]


def _find_published(published: pd.DataFrame, name: str) -> dict[str, str]:
    rows = published[published["arm"] == name]
    return {f"published_{row.column}": row.value for row in iterate_rows(rows)}


def _find_cost(cost: pd.DataFrame | None, arm: str) -> dict[str, float]:
    if cost is None:
        return {}
    rows = cost[(cost["group"] == "arm") & (cost["name"] == arm)]
    return {f"ours_{name}": rows.iloc[0][name] for name in _COSTS} if len(rows) else {}


def _format_cost(cost: pd.DataFrame, name: str) -> dict[str, str]:
    rows = cost[(cost["group"] == "arm") & (cost["name"] == name)]
    if rows.empty:
        return dict.fromkeys(COSTS, _NOTHING)
    return _describe_cost(rows.iloc[0].to_dict())


def _describe_cost(row: Mapping[Any, Any]) -> dict[str, str]:
    ratio = f"×{row['time_ratio']:.2f} [{row['time_ratio_low']:.2f}, {row['time_ratio_high']:.2f}]"
    return {"params": f"{int(row['params']):,}", "macs": f"{int(row['macs']) / 1e6:,.1f} M", "time": ratio}


def _find_loss(training: pd.DataFrame | None, arm: str, epoch: str) -> dict[str, float]:
    """Return the mean training loss of an arm over seeds or folds, and its interval by Student's t."""
    if training is None:
        return {}
    rows = training[(training["arm"] == arm) & (training["epoch"] == epoch)]
    if rows.empty:
        return {}
    if "fold" in rows:
        found = compare_folds(rows.groupby("fold")["training_loss"].mean().to_numpy())
    else:
        found = compare_paired(rows["training_loss"].to_numpy())
    ends = {"": "difference", "_low": "low", "_high": "high"}
    return {f"ours_training_loss{end}": float(found[key] or 0.0) for end, key in ends.items()}


def _format_loss(found: dict[str, float]) -> str:
    if not found:
        return _NOTHING
    value, low, high = found.values()
    return f"{value:.3g}" + ("" if pd.isna(low) else f" [{low:.3g}, {high:.3g}]")


def _format_score(row: pd.Series) -> str:
    return _format_interval(row["value"], row["low"], row["high"])


def _format_interval(value: float, low: float, high: float, sign: str = "") -> str:
    """Return a share and its interval in % with one decimal, two for differences."""
    form = "{:+.2f}" if sign else "{:.1f}"
    text = form.format(100 * value)
    ends = "" if pd.isna(low) else f" [{form.format(100 * low)}, {form.format(100 * high)}]"
    return (text + ends).replace("-", "−")
