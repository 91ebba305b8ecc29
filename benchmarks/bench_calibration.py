"""Are the probe's p values honest, and do they find what is there?

Simulates activations of 10 people x 7 expressions x 2 near-duplicate sessions (x 2 views), without any signal
of the target that generalises, and with one. Each person has a pattern, and so has each person's version of
an expression: the two photographs of it are nearly the same picture. Prints, for each hold-out, the rate of
false positives at .05 over the data sets, its exact 99 % interval, the largest rate that chance allows a
calibrated test, and the same for a null that exchanges single photographs (over at most 40 data sets). Then
the power.

Designs of their own read out what is constant in each person (``group``: 4 people against 16, and others),
and a quantity of each picture or person (``quantity``), also against scikit-learn's ridge on the same folds.

    python benchmarks/bench_calibration.py --datasets 200
    python benchmarks/bench_calibration.py --design group --datasets 500
    python benchmarks/bench_calibration.py --design quantity --datasets 500
"""

import argparse
import json
import time

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from fernet_neuro.activations.array import Activations
from fernet_neuro.probes._dual import compute_gram
from fernet_neuro.probes.evaluate import evaluate_probe
from fernet_neuro.probes.exchange import plan_strata
from fernet_neuro.probes.readout import Labels, ReadoutSettings, score_folds
from fernet_neuro.stats.calibration import false_positive_rate
from fernet_neuro.stats.resampling import permute_within
from fernet_neuro.stimuli.splits import make_folds
from fernet_neuro.stimuli.table import StimulusTable

EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
#: Read-outs that are calibrated: target, hold-out, views.
DESIGNS = (
    ("expression", "identity", 1),
    ("expression", "session", 1),
    ("expression", "random", 2),
    ("expression", "view", 2),
    ("identity", "expression", 1),
    ("identity", "session", 1),
    ("identity", "view", 2),
)
N_PEOPLE, N_UNITS = 10, 60
#: People of the two groups, folds, and an effect that is often found, but not always.
GROUPS = ((4, 16, 4, 0.42), (8, 32, 8, 0.3), (10, 10, 5, 0.4))
#: Data sets for the null that exchanges single photographs: its rates are far from .05.
N_NAIVE = 40


def make_table(n_views: int) -> StimulusTable:
    """Return the design, sessions varying fastest."""
    rows = [
        {"identity": f"id{i:02d}", "expression": e, "view": f"view{v}", "session": s}
        for i in range(N_PEOPLE)
        for e in EXPRESSIONS
        for v in range(n_views)
        for s in "AB"
    ]
    frame = pd.DataFrame(rows)
    frame["stimulus_id"] = frame.agg("_".join, axis=1)
    frame["path"] = frame["stimulus_id"] + ".png"
    return StimulusTable.from_frame(frame)


def simulate(
    table: StimulusTable, target: str, holdout: str, effect: float, rng: np.random.Generator
) -> Activations:
    """Return activations whose only signal of the target, besides `effect`, is in what cannot generalise."""

    def effects(*factors: str) -> np.ndarray:
        """Return one random pattern per combination of factors, in row order."""
        keys = table.frame[list(factors)].agg("|".join, axis=1)
        codes = np.unique(keys, return_inverse=True)[1]
        return rng.standard_normal((codes.max() + 1, N_UNITS))[codes]

    values = 0.3 * effects("identity", "expression", "view", "session") + effects("view")
    if (target, holdout) == ("identity", "view"):
        values += effects("identity", "view") + effects("expression")
    else:
        values += effects("identity", "expression") + 0.5 * effects("identity", "expression", "view")
        values += 2 * effects("identity" if target == "expression" else "expression")
    values += effect * effects(target)
    return Activations(values, table.stimulus_ids, "simulated")


def naive_p_value(
    activations: Activations, table: StimulusTable, target: str, folds: list, seed: int, n: int
) -> float:
    """Return the p value of a null that exchanges without regard for folds.

    Single photographs are exchanged within people (expression) or freely, what is constant in each person
    (group) between people anywhere.
    """
    classes, codes = np.unique(table.factor(target), return_inverse=True)
    within, blocks = {"expression": ("identity", None), "group": (None, "identity")}.get(target, (None, None))
    draws = permute_within(
        codes, within and table.factor(within), np.random.default_rng(seed), n,
        blocks=blocks and table.factor(blocks),
    ).astype(np.int16)  # fmt: skip
    labels = Labels(codes, len(classes), np.arange(len(codes)), draws)
    gram = compute_gram(activations.values)
    scores = score_folds(gram, labels, folds, plan_strata(table, target), ReadoutSettings())
    null = np.mean([score.null_scores for score in scores], axis=0)
    return (1 + int((null >= np.mean([s.balanced_accuracy for s in scores]) - 1e-12).sum())) / (1 + n)


def calibrate(
    target: str, holdout: str, n_views: int, n_datasets: int, n_permutations: int, effect: float
) -> dict:
    """Return rates over data sets for one design."""
    table = make_table(n_views)
    folds = make_folds(table, holdout, target=target, n_folds=5)
    p_values, naive, accuracies = [], [], []
    for dataset in range(n_datasets):
        activations = simulate(table, target, holdout, effect, np.random.default_rng([7, dataset]))
        result = evaluate_probe(
            activations,
            table,
            target=target,
            folds=folds,
            holdout=holdout,
            n_permutations=n_permutations,
            seed=dataset,
        )
        p_values.append(result.p_value)
        accuracies.append(result.balanced_accuracy)
        if effect == 0 and dataset < N_NAIVE:
            naive.append(naive_p_value(activations, table, target, folds, dataset, n_permutations))
    rate = false_positive_rate(np.array(p_values))
    report = {
        "target": target,
        "holdout": holdout,
        "n_views": n_views,
        "effect": effect,
        "mean_accuracy": float(np.mean(accuracies)),
        "chance_level": result.chance_level,
        "rate_of_p_below_05": rate.rate,
        "interval_99": [rate.low, rate.high],
        "n_datasets": n_datasets,
    }
    if effect == 0:
        report |= {
            "limit": rate.limit,
            "is_calibrated": rate.is_calibrated,
            "rate_if_single_photographs_are_exchanged": false_positive_rate(np.array(naive)).rate,
        }
    return report


def calibrate_group(
    few: int, many: int, n_folds: int, effect: float, n_datasets: int, n_permutations: int
) -> dict:
    """Return rates and powers for a factor that is constant in each of `few` + `many` people.

    Beside those of the probe stand those of a null that gives people labels of one another anywhere, while
    folds keep the shares of the true labels.
    """
    rates, anywhere = {}, {}
    for size in (0.0, effect):
        p_values, naive = [], []
        for dataset in range(n_datasets):
            rng = np.random.default_rng([13, dataset])
            people, shown = np.arange(few + many).repeat(6), np.tile(np.arange(6), few + many)
            group = np.isin(people, rng.permutation(few + many)[:few]).astype(int)
            frame = pd.DataFrame({"identity": people, "expression": shown, "group": group}).astype(str)
            frame["stimulus_id"] = frame["identity"] + "_" + frame["expression"]
            table = StimulusTable.from_frame(frame.assign(path=frame["stimulus_id"] + ".png"))
            values = rng.standard_normal((few + many, N_UNITS))[people]
            values += 0.5 * rng.standard_normal((len(people), N_UNITS))
            values += size * rng.standard_normal((2, N_UNITS))[group]
            folds = make_folds(table, "identity", target="group", n_folds=n_folds, seed=dataset)
            activations = Activations(values, table.stimulus_ids, "simulated")
            result = evaluate_probe(
                activations, table, target="group", folds=folds,
                holdout="identity", n_permutations=n_permutations, seed=dataset,
            )  # fmt: skip
            p_values.append(result.p_value)
            naive.append(naive_p_value(activations, table, "group", folds, dataset, n_permutations))
        rates[size], anywhere[size] = (false_positive_rate(np.array(each)) for each in (p_values, naive))
    null = rates[0.0]
    return {
        "design": f"group:{few}+{many}", "n_folds": n_folds, "n_datasets": n_datasets,
        "rate_of_p_below_05": null.rate, "interval_99": [null.low, null.high], "limit": null.limit,
        "is_calibrated": null.is_calibrated, "effect": effect, "power": rates[effect].rate,
        "rate_if_people_are_exchanged_anywhere": anywhere[0.0].rate,
        "power_if_people_are_exchanged_anywhere": anywhere[effect].rate,
    }  # fmt: skip


def calibrate_quantity(of: str, n_datasets: int, n_permutations: int) -> dict:
    """Return rate, power and the largest difference from scikit-learn, for a number of each `of`."""
    rates, largest = {}, 0.0
    for effect in (0.0, 0.15):
        p_values = []
        for dataset in range(n_datasets):
            rng = np.random.default_rng([17, dataset])
            people, shown = np.arange(N_PEOPLE).repeat(6), np.tile(np.arange(6), N_PEOPLE)
            numbers = (
                rng.standard_normal(N_PEOPLE)[people] if of == "person" else rng.standard_normal(len(people))
            )
            frame = pd.DataFrame({"identity": people, "expression": shown, "valence": numbers}).astype(str)
            frame["stimulus_id"] = frame["identity"] + "_" + frame["expression"]
            table = StimulusTable.from_frame(frame.assign(path=frame["stimulus_id"] + ".png"))
            values = 0.5 * rng.standard_normal((N_PEOPLE, N_UNITS))[people]
            values += rng.standard_normal((len(people), N_UNITS))
            values += effect * np.outer(numbers, rng.standard_normal(N_UNITS))
            folds = make_folds(table, "identity", n_folds=5, seed=dataset)
            result = evaluate_probe(
                Activations(values, table.stimulus_ids, "simulated"), table, target="valence", folds=folds,
                holdout="identity", n_permutations=n_permutations, seed=dataset, penalties=(1.0,),
            )  # fmt: skip
            p_values.append(result.p_value)
            largest = max(largest, abs(result.score - score_by_sklearn(values, numbers, folds)))
        rates[effect] = false_positive_rate(np.array(p_values))
    null = rates[0.0]
    return {
        "design": f"quantity of each {of}", "n_datasets": n_datasets, "rate_of_p_below_05": null.rate,
        "interval_99": [null.low, null.high], "limit": null.limit, "is_calibrated": null.is_calibrated,
        "effect": 0.15, "power": rates[0.15].rate, "largest_difference_from_sklearn": largest,
    }  # fmt: skip


def score_by_sklearn(values: np.ndarray, numbers: np.ndarray, folds: list) -> float:
    """Return R2 over all test stimuli, against the training means, of scikit-learn's ridge."""
    wrong = spread = 0.0
    for fold in folds:
        shown, told = values[fold.train], numbers[fold.train]
        scale = np.square(shown - shown.mean(axis=0)).sum() / len(shown)
        guesses = Ridge(alpha=scale).fit(shown, told).predict(values[fold.test])
        wrong += np.square(guesses - numbers[fold.test]).sum()
        spread += np.square(told.mean() - numbers[fold.test]).sum()
    return 1 - wrong / spread


def main() -> None:
    """Print one JSON object with all designs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--datasets", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--effect", type=float, default=0.6, help="size of the planted effect")
    parser.add_argument(
        "--design", action="append", help="only TARGET:HOLDOUT, such as expression:identity; group"
    )
    parser.add_argument("--quick", action="store_true", help="20 data sets, first design only")
    options = parser.parse_args()
    n_datasets = 20 if options.quick else options.datasets
    designs = DESIGNS[:1] if options.quick else DESIGNS
    if options.design:
        designs = [item for item in DESIGNS if f"{item[0]}:{item[1]}" in options.design]
    groups = GROUPS if not options.design or "group" in options.design else ()
    groups = () if options.quick else groups
    numbered = ("picture", "person") if not options.design or "quantity" in options.design else ()
    numbered = () if options.quick else numbered
    start = time.perf_counter()
    null = [calibrate(*design, n_datasets, options.permutations, 0.0) for design in designs]
    planted = [
        calibrate(*design, max(10, n_datasets // 10), options.permutations, options.effect)
        for design in designs
    ]
    grouped = [calibrate_group(*group, n_datasets, options.permutations) for group in groups]
    quantities = [calibrate_quantity(of, n_datasets, options.permutations) for of in numbered]
    report = {
        "benchmark": "bench_calibration",
        "groups": grouped,
        "quantities": quantities,
        "null": null,
        "planted": planted,
        "passed": all(item["is_calibrated"] for item in [*null, *grouped, *quantities]),
        "seconds": time.perf_counter() - start,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
