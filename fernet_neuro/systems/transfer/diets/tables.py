"""Tables of diets: every read-out beside untrained networks, and how diets differ from each other.

What belongs here: from reports to tidy tables, and the words for what they say.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.tables import read_mixed, write_csv
from fernet_neuro.experiments.results import compare_paired
from fernet_neuro.experiments.settings import ProbeSettings
from fernet_neuro.probes.result import ProbeReport
from fernet_neuro.stats.multiple import adjust_holm
from fernet_neuro.systems.transfer.diets.settings import Arm, DietsSettings, place_of
from fernet_neuro.viz.style import label_of

READOUTS, DIFFERENCES = "readouts.csv", "differences.csv"
_CASE = ["test", "target", "holdout", "layer"]
_TEXT = (
    "test", "test_label", "target", "holdout", "network", "diet", "diet_label", "group", "layer", "interval",
    "seed",
)  # fmt: skip


def write_tables(settings: DietsSettings, folder: Path) -> None:
    """Write ``readouts.csv`` and ``differences.csv`` (accuracies and differences in %)."""
    readouts = pd.DataFrame(list(_list_readouts(settings, folder)))
    readouts["difference_untrained_p_holm"] = _correct(readouts)
    write_csv(readouts, folder / READOUTS)
    write_csv(compare_diets(settings, readouts), folder / DIFFERENCES)


def read_readouts(folder: Path) -> pd.DataFrame:
    """Return ``readouts.csv``, whose columns `write_tables` describes."""
    return read_mixed(folder / READOUTS, _TEXT, None)


def _list_readouts(settings: DietsSettings, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row per test, read-out, network and layer: its mean over seeds, and each seed."""
    for test in settings.tests:
        for probe in settings.probes:
            for arm in settings.list_arms():
                report = ProbeReport.load(place_of(folder, test, arm.name, probe))
                yield from _list_layers(settings, report, _describe(settings, test, probe, arm))


def _describe(settings: DietsSettings, test: str, probe: ProbeSettings, arm: Arm) -> dict[str, Any]:
    label = settings.diets[arm.diet].label or arm.diet
    return {
        "test": test,
        "test_label": settings.tests[test].label or test,
        "target": probe.target,
        "holdout": probe.holdout,
        "network": arm.network,
        "diet": arm.diet,
        "diet_label": label,
        "group": label if arm.network == settings.fed else label_of(arm.network),
        "size": arm.size,
    }


def _list_layers(
    settings: DietsSettings, report: ProbeReport, case: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    found = {(row["source"], row["layer"]): row for row in report.layers}
    pixels = found["pixels", "pixels"]["balanced_accuracy"]
    folds = report.results[report.results["source"] == "network"]
    for layer in settings.layers:
        ours, twins = found["network", layer], found["untrained", layer]
        shared = {
            **case,
            "layer": layer,
            "headline": layer == settings.headline_layer,
            "chance_percent": 100 * ours["chance_level"],
            "pixels_percent": 100 * pixels,
            "untrained_percent": 100 * twins["balanced_accuracy"],
            "untrained_low_percent": 100 * twins.get("twin_low", np.nan),
            "untrained_high_percent": 100 * twins.get("twin_high", np.nan),
            "n_twins": twins.get("n_twins", 1),
        }
        yield {
            **shared,
            "seed": "mean",
            "accuracy_percent": 100 * ours["balanced_accuracy"],
            "low_percent": _percent(ours["balanced_accuracy_low"]),
            "high_percent": _percent(ours["balanced_accuracy_high"]),
            "interval": ours["interval"] or "",
            "difference_untrained_percent": 100 * ours["difference_untrained"],
            "difference_untrained_low_percent": _percent(ours["difference_untrained_low"]),
            "difference_untrained_high_percent": _percent(ours["difference_untrained_high"]),
            "difference_untrained_p": ours["difference_untrained_p"],
        }
        for seed, rows in folds[folds["layer"] == layer].groupby("seed", sort=False):
            number = settings.seeds[0] if len(settings.seeds) == 1 else seed
            yield {**shared, "seed": str(number), "accuracy_percent": 100 * rows["balanced_accuracy"].mean()}


def _percent(value: float | None) -> float:
    return np.nan if value is None else 100 * value


def _correct(readouts: pd.DataFrame) -> pd.Series:
    """Return p values against untrained networks, by Holm's method over the networks of a test and layer."""
    p_values = readouts["difference_untrained_p"].astype(float)
    corrected = pd.Series(np.nan, index=readouts.index)
    for _, rows in readouts[p_values.notna()].groupby(_CASE, sort=False):
        corrected[rows.index] = adjust_holm(p_values[rows.index].to_numpy())
    return corrected


def compare_diets(settings: DietsSettings, readouts: pd.DataFrame) -> pd.DataFrame:
    """Return how far every diet is from the first, for the network that got all of them.

    Returns
    -------
    DataFrame
        ``test, target, holdout, layer, size, diet, reference``, ``difference_percent`` with its 95 % interval
        ``low_percent, high_percent`` and ``p_value`` by Student's t over seeds, paired by seed, ``p_holm``
        over the diets of one row of cases, and ``n_seeds``. Ends and p are empty with one seed.
    """
    rows = readouts[(readouts["network"] == settings.fed) & (readouts["seed"] != "mean")]
    reference, *others = settings.diets
    compared = []
    for case, group in rows.groupby([*_CASE, "size"], sort=False):
        values = group.pivot_table(index="seed", columns="diet", values="accuracy_percent", sort=False)
        found = [
            {
                **dict(zip([*_CASE, "size"], case, strict=True)),
                "diet": diet,
                "reference": reference,
                **compare_paired((values[diet] - values[reference]).to_numpy()),
            }
            for diet in others
        ]
        p_values = np.array([row["p_value"] for row in found], dtype=float)
        holm = adjust_holm(p_values) if np.isfinite(p_values).all() else p_values
        compared += [{**row, "p_holm": value} for row, value in zip(found, holm, strict=True)]
    frame = pd.DataFrame(compared)
    return frame.rename(columns={name: f"{name}_percent" for name in ("difference", "low", "high")})
