"""Results of a grid as tidy tables: every score, means over seeds, and arms against one another.

What belongs here: numbers in the layout of files; how they are laid out for readers is in
`tables`.
"""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.tables import read_mixed, write_csv
from fernet_neuro.evaluation.result import EvaluationReport
from fernet_neuro.evaluation.seeds import SEEDS
from fernet_neuro.experiments.recipe import HELD_OUT, SCORES, GridSettings
from fernet_neuro.stats.multiple import adjust_bonferroni
from fernet_neuro.stats.resampling import one_sample_p_value, stratified_t_interval
from fernet_neuro.training.folder import RunFolder

#: Seed of rows that are means over seeds, and fold of those that are means over folds.
MEAN = "mean"
#: What the interval over folds is called.
FOLDS = "folds"
_CASE = ["test", "epoch", "metric"]


def write_results(
    settings: GridSettings, folder: Path, reports: Mapping[str, Mapping[tuple[str, str], EvaluationReport]]
) -> None:
    """Write ``results.csv``, ``summary.csv``, ``differences.csv``, ``published.csv`` ``drops.csv``.

    `reports`: by fold ("" where there are none), and then by test and arm.
    """
    results = stack_folds({fold: build_results(settings, found) for fold, found in reports.items()})
    frames = {
        "results": results,
        "summary": build_summary(settings, results),
        "differences": build_differences(settings, results),
        "published": build_published(settings),
    }
    if settings.drop_from is not None:
        frames["drops"] = build_drops(settings, results)
    for name, frame in frames.items():
        write_csv(frame, folder / f"{name}.csv")


def stack_folds(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all folds, which a column ``fold`` names; no such column where the fold is ""."""
    parts = [frame.assign(fold=fold) if fold else frame for fold, frame in frames.items()]
    return pd.concat(parts, ignore_index=True)


def list_losses(places: Mapping[tuple[str, int], Path]) -> pd.DataFrame:
    """Return the training loss of each arm and seed, in the epochs that are tested."""
    rows = []
    for (arm, seed), place in places.items():
        run = RunFolder(place)
        log = read_mixed(run.log, ("split",), numbers=None)
        losses = log[log["split"] == "train"].set_index("epoch")["loss"]
        reached = {epoch: run.read_record().get(epoch) for epoch in ("last", "best")}
        rows += [(arm, seed, epoch, losses[found["epoch"]]) for epoch, found in reached.items() if found]
    return pd.DataFrame(rows, columns=["arm", "seed", "epoch", "training_loss"])


def build_results(
    settings: GridSettings, reports: Mapping[tuple[str, str], EvaluationReport]
) -> pd.DataFrame:
    """Return every score of every run: ``arm, network, variant, test, epoch, seed, metric, class, ...``.

    ``n_classes_shown`` of ``n_classes`` classes have images in the test; means over classes are over these.

    Rows of the seed "mean" are means over seeds, once with their interval over people (or images) and once
    over seeds; see `EvaluationReport`.
    """
    parts = []
    for (test, arm), report in reports.items():
        network, variant = settings.arms[arm].tested, settings.find_tested(arm).variant
        shown = report.metrics.loc[report.metrics["metric"] == "recall", "class"].nunique()
        classes = {"n_classes_shown": shown, "n_classes": len(report.settings["classes"])}
        columns = {"arm": arm, "network": network, "variant": variant, "test": test, **classes}
        parts.append(pd.concat([pd.DataFrame(columns, index=report.metrics.index), report.metrics], axis=1))
    return pd.concat(parts, ignore_index=True)


def build_summary(settings: GridSettings, results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per arm, test, epoch and metric: the mean over seeds and its interval.

    With one seed the interval is over people (or images) instead, and ``interval`` says so. With folds the
    mean and its interval (see `compare_folds`) are over folds, and there are ``n_folds`` and ``sd``, the
    standard deviation over folds, each of which is the mean over its seeds.
    """
    rows = results[results["class"] == ""]
    if settings.folds:
        cases = rows[rows["seed"] != MEAN].groupby(["arm", *_CASE], sort=False)
        rows = pd.DataFrame([_average_folds(case) for _, case in cases])
    elif len(settings.seeds) > 1:
        rows = rows[(rows["seed"] == MEAN) & rows["interval"].isin((SEEDS, ""))]
        rows = rows.drop_duplicates(["arm", *_CASE], keep="last")
    rows = rows.assign(
        label=rows["arm"].map(settings.label_of),
        test_label=rows["test"].map(lambda name: settings.shown_tests[name].label or name),
        n_seeds=len(settings.seeds),
        headline=(rows["metric"] == settings.metrics[0]) & (rows["epoch"] == settings.epoch),
    )
    columns = ["arm", "label", "network", "variant", "test", "test_label", "epoch", "metric", "headline"]
    columns += [
        "value",
        "low",
        "high",
        "interval",
        "n_seeds",
        "n",
        "n_classes_shown",
        "n_classes",
        "chance_level",
        *(("fold", "n_folds", "sd") if settings.folds else ()),
    ]
    return rows[columns].reset_index(drop=True)


def _average_folds(case: pd.DataFrame) -> dict[Any, Any]:
    """Return the row of the mean over folds of one arm, test, epoch and metric."""
    first: dict[Any, Any] = case.iloc[0].to_dict()
    folds = case.groupby("fold", sort=False)
    values = folds["value"].mean().to_numpy()
    found = compare_folds(values)
    limits = (0.0, 1.0) if first["metric"] in SCORES else (-np.inf, np.inf)
    low, high = np.clip([found["low"], found["high"]], *limits)
    mean = {"value": values.mean(), "low": low, "high": high, "interval": FOLDS, "fold": MEAN}
    counts = {"n": folds["n"].first().sum() if first["test"] == HELD_OUT else first["n"]}
    shown = {"n_classes_shown": case["n_classes_shown"].max(), "chance_level": case["chance_level"].mean()}
    return {**first, **mean, **counts, **shown, "n_folds": len(values), "sd": values.std(ddof=1)}


def build_differences(settings: GridSettings, results: pd.DataFrame) -> pd.DataFrame:
    """Return how far all pairs of arms are apart: paired by seed, since seeds share all they can.

    Returns
    -------
    DataFrame
        ``test, epoch, metric, arm, reference, difference, low, high, p_value, p_bonferroni, n_seeds``: the
        value of ``arm`` minus that of ``reference``, by Student's t over seeds. Of one test, epoch and metric
        the recipe's reference comes first, and ``p_bonferroni`` is corrected over its comparisons only, as
        they are chosen beforehand; that of other pairs is corrected over all pairs. Ends and p are empty
        where there are fewer than two seeds. With folds, differences are paired by fold and seed, and
        interval and p are over folds (see `compare_folds`), ``n_folds`` of them.
    """
    pairs = _list_pairs(settings)
    rows = results[(results["class"] == "") & (results["seed"] != MEAN)]
    paired_by = ["fold", "seed"] if settings.folds else ["seed"]
    values = rows.pivot_table(index=[*_CASE, *paired_by], columns="arm", values="value", sort=False)
    found = []
    for case, group in values.groupby(level=_CASE, sort=False):
        compared = [
            {**dict(zip(_CASE, case, strict=True)), "arm": arm, "reference": reference}
            | _compare(settings, group[arm] - group[reference])
            for arm, reference in pairs
        ]
        _correct(compared)
        _correct([row for row in compared if row["reference"] == settings.reference_arm])
        found += compared
    columns = [*_CASE, "arm", "reference", "difference", "low", "high", "p_value", "p_bonferroni", "n_seeds"]
    return pd.DataFrame(found, columns=[*columns, "n_folds"] if settings.folds else columns)


def _compare(settings: GridSettings, differences: pd.Series) -> dict[str, float | int | None]:
    """Return the comparison of two arms, paired by seed, or by fold of which each is a mean over seeds."""
    if settings.folds is None:
        return compare_paired(differences.to_numpy())
    found = compare_folds(differences.groupby(level="fold", sort=False).mean().to_numpy())
    return {**found, "n_seeds": len(settings.seeds), "n_folds": settings.folds}


def _list_pairs(settings: GridSettings) -> list[tuple[str, str]]:
    """Return all pairs of arms as (arm, what it is compared with), those with the reference arm first."""
    others = [arm for arm in settings.arms if arm != settings.reference_arm]
    planned = [(arm, settings.reference_arm) for arm in others]
    return planned + [(later, earlier) for earlier, later in combinations(others, 2)]


def _correct(compared: list[dict]) -> None:
    """Set ``p_bonferroni`` of these comparisons, corrected over those that have a p value."""
    known = [row for row in compared if row["p_value"] is not None]
    p_values = np.array([row["p_value"] for row in known], dtype=float)
    for row, p_value in zip(known, adjust_bonferroni(p_values), strict=True):
        row["p_bonferroni"] = p_value


def compare_paired(differences: np.ndarray) -> dict[str, float | int | None]:
    """Return mean, 95 % interval and two-sided p value of paired differences (n_seeds,) by Student's t."""
    n, mean = len(differences), float(differences.mean())
    low = high = np.nan
    if n > 1:
        low, high = stratified_t_interval(mean, (differences - mean) / n, np.zeros(n))
    p_value = one_sample_p_value(differences) if n > 1 else None
    return {"difference": mean, "low": low, "high": high, "p_value": p_value, "n_seeds": n}


def compare_folds(values: np.ndarray) -> dict[str, float | int | None]:
    """Return mean, 95 % interval and p value of one value per fold (n_folds,), as `compare_paired` does.

    Folds share training stimuli, so their spread alone says too little of how far the mean would move: its
    variance is taken to be 1 / n_folds + 1 / (n_folds - 1) times that of the folds [1]_. That is a rule of
    thumb, and no interval over independent replications.

    References
    ----------
    .. [1] Nadeau, C. and Bengio, Y. (2003). Inference for the generalization error. Machine Learning, 52,
       239-281.

    Examples
    --------
    >>> found = compare_folds(np.array([0.5, 0.6, 0.7]))
    >>> round(found["difference"], 2), round(found["low"], 2), round(found["high"], 2)
    (0.6, 0.21, 0.99)
    """
    n, mean = len(values), values.mean()
    return compare_paired(mean + (values - mean) * np.sqrt(1 + n / (n - 1)))


def build_drops(settings: GridSettings, results: pd.DataFrame) -> pd.DataFrame:
    """Return how far each arm falls from the test `drop_from` to every other one.

    Both are mean class accuracies over the classes that both tests show, so that a class which one of them
    lacks does not pass for a drop.

    Returns
    -------
    DataFrame
        ``epoch, arm, test, classes`` (names), ``p_value``, and in [0, 1], each with its ``_low`` and
        ``_high``: ``home`` (on `drop_from`), ``away`` (on ``test``) and ``drop``, the first minus the second,
        paired by seed. Intervals as in `build_differences`.
    """
    rows = results[(results["metric"] == "recall") & (results["seed"] != MEAN)]
    paired_by = ["fold", "seed"] if settings.folds else ["seed"]
    found = []
    for (epoch, arm), group in rows.groupby(["epoch", "arm"], sort=False):
        by_test = {
            test: part.pivot_table(index=paired_by, columns="class", values="value", sort=False)
            for test, part in group.groupby("test", sort=False)
        }
        home = by_test.pop(str(settings.drop_from))
        for test, away in by_test.items():
            classes = [str(name) for name in home if name in away]
            scores = {"home": home[classes].mean(axis=1), "away": away[classes].mean(axis=1)}
            scores["drop"] = scores["home"] - scores["away"]
            row = {"epoch": epoch, "arm": arm, "test": test, "classes": ", ".join(classes)}
            for name, values in scores.items():
                one = _compare(settings, values)
                least = -1.0 if name == "drop" else 0.0
                low, high = np.clip([one["low"], one["high"]], least, 1.0)
                row |= {name: one["difference"], f"{name}_low": low, f"{name}_high": high}
            found.append({**row, "p_value": one["p_value"]})
    return pd.DataFrame(found)


def build_published(settings: GridSettings) -> pd.DataFrame:
    """Return printed values in long form: ``arm, label, column, value, chance, source``.

    Numbers are accuracies in %; whatever else is printed is text.
    """
    rows = []
    for entries in (settings.published, settings.comparators):
        for name, values in entries.items():
            label = settings.label_of(name) if name in settings.arms else name
            for column, value in values.items():
                text = value if isinstance(value, str) else f"{value:.2f}"
                chance = settings.published_chance.get(column)
                rows.append((name, label, column, text, chance, settings.published_source))
    return pd.DataFrame(rows, columns=["arm", "label", "column", "value", "chance", "source"])
