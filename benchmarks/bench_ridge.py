"""Ridge probes of narrow layers: growth with the stimuli, rows against inner products, and himalaya.

10 folds, nested choice among six penalties, 1,000 permutations, 512 units. Rows are timed at every size, in
full; inner products (what wide layers take, and narrow ones took before rows) at the smallest, in turns with
rows, and with ``--one-fold`` in one fold at the largest too, which takes a quarter of an hour.

himalaya (not a dependency: the comparison is left out where it is missing) takes the largest size, the same
folds, inner folds, penalties and exchanges of labels. Its users would fit one `RidgeCV` per fold with the
indicators of all labellings as targets, so that each decomposition serves all of them; fits of one labelling
at a time would take hundreds of times as long. It chooses the penalty of each indicator by squared error,
where ours chooses that of each labelling by balanced accuracy. Folds are alike, so a few are timed and scaled
up (``--himalaya-folds 10`` times all). Prints one JSON object.

    python benchmarks/bench_ridge.py            # --quick for a small version
"""

import argparse
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from bench_probes import make_layer, make_table
from sklearn.model_selection import PredefinedSplit

from fernet_neuro.probes import evaluate
from fernet_neuro.probes._dual import arrange, compute_gram
from fernet_neuro.probes._null import balanced_accuracy, score_guesses
from fernet_neuro.probes.design import ProbeDesign, plan_design
from fernet_neuro.probes.penalties import RELATIVE_PENALTIES
from fernet_neuro.probes.readout import inner_groups
from fernet_neuro.stimuli.splits import make_folds

N_FOLDS = 10


def time_call(function: Callable[..., Any], *arguments: object, **options: object) -> tuple[Any, np.ndarray]:
    """Return what `function` returns, and its seconds of wall clock and of the processor."""
    start = np.array([time.perf_counter(), time.process_time()])
    result = function(*arguments, **options)
    return result, np.array([time.perf_counter(), time.process_time()]) - start


def time_probe(
    n_people: int, n_units: int, n_permutations: int, form: object, n_folds: int = N_FOLDS
) -> dict[str, float]:
    """Return seconds, accuracy and p value of one probe in `n_folds`, with activations arranged by `form`."""
    table = make_table(n_people, "A")
    evaluate.arrange = form
    result, (wall, processor) = time_call(
        evaluate.evaluate_probe,
        make_layer(table, n_units, 0),
        table,
        target="expression",
        folds=make_folds(table, "identity", n_folds=N_FOLDS)[:n_folds],
        holdout="identity",
        n_permutations=n_permutations,
        n_jobs=-1,
    )
    return {
        "stimuli": len(table),
        "seconds": round(float(wall), 2),
        "processor_seconds": round(float(processor), 2),
        "accuracy": result.balanced_accuracy,
        "p_value": result.p_value,
    }


def time_himalaya(n_people: int, n_units: int, n_permutations: int, n_folds: int) -> dict[str, float] | None:
    """Return seconds for all folds, from `n_folds` of them, and the accuracy in those; None without it."""
    if find_spec("himalaya") is None:
        print("himalaya is not installed: comparison left out")
        return None
    table = make_table(n_people, "A")
    folds = make_folds(table, "identity", n_folds=N_FOLDS)
    design = plan_design(table, "expression", "identity", folds, "auto", 0, n_permutations)
    X = np.asarray(make_layer(table, n_units, 0).values)
    draws = design.labels(n_permutations).draws[:, design.exchange.unit_of]
    labellings = np.vstack([design.codes.astype(draws.dtype), draws])
    found, seconds = time_call(lambda: [fit_fold(design, X, labellings, k) for k in range(n_folds)])
    wall, processor = seconds * N_FOLDS / n_folds
    return {
        "folds_timed": n_folds,
        "seconds": round(float(wall), 2),
        "processor_seconds": round(float(processor), 2),
        "accuracy": float(np.mean(found)),
    }


def fit_fold(design: ProbeDesign, X: np.ndarray, labellings: np.ndarray, number: int) -> float:
    """Fit and score all labellings (n_labellings, n_stimuli) in one fold; return the first one's accuracy."""
    from himalaya.ridge import RidgeCV

    fold, n_classes = design.folds[number], len(design.classes)
    rows = X[fold.train]
    scale = np.square(rows - rows.mean(axis=0)).sum() / len(rows)
    inner = inner_groups(design.folds, number, design.strata, 3)
    classes = np.arange(n_classes, dtype=labellings.dtype)
    marks = labellings[:, fold.train].T[:, :, None] == classes
    model = RidgeCV(
        alphas=scale * np.array(RELATIVE_PENALTIES),
        fit_intercept=True,
        cv=PredefinedSplit(inner),
        solver_params={"n_targets_batch": 100 * n_classes},
    ).fit(rows, marks.reshape(len(rows), -1).astype(np.float32))
    decisions = model.predict(X[fold.test]).reshape(len(fold.test), -1, n_classes)
    guesses = decisions.argmax(axis=2).T
    score_guesses(guesses, labellings[:, fold.test], n_classes)
    return balanced_accuracy(design.codes[fold.test], guesses[0], n_classes)


def main() -> None:
    """Time all of them and print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--himalaya-folds", type=int, default=2)
    parser.add_argument("--one-fold", action="store_true", help="time inner products at the largest size too")
    options = parser.parse_args()
    quick = options.quick
    sizes, n_units, n_permutations = ((20, 40), 32, 100) if quick else ((286, 715, 1429), 512, 1000)
    time_probe(10, 8, 20, arrange)  # compiles
    rows = [time_probe(size, n_units, n_permutations, arrange) for size in sizes]
    dual = time_probe(sizes[0], n_units, n_permutations, compute_gram)
    theirs = time_himalaya(sizes[-1], n_units, n_permutations, options.himalaya_folds)
    growth = np.log(rows[-1]["processor_seconds"] / rows[0]["processor_seconds"])
    growth /= np.log(sizes[-1] / sizes[0])
    result = {
        "units": n_units,
        "permutations": n_permutations,
        "rows": rows,
        "inner_products": dual,
        "times_faster": round(dual["seconds"] / rows[0]["seconds"], 1),
        "growth_exponent": round(float(growth), 2),
        "equal": dual["accuracy"] == rows[0]["accuracy"] and dual["p_value"] == rows[0]["p_value"],
        "himalaya": theirs,
    }
    result["passed"] = bool(result["equal"] and growth <= 1.1)
    if options.one_fold:
        ours, former = (
            time_probe(sizes[-1], n_units, n_permutations, form, n_folds=1)
            for form in (arrange, compute_gram)
        )
        result["one_fold"] = {"rows": ours, "inner_products": former}
        result["times_faster_in_one_fold"] = round(former["processor_seconds"] / ours["processor_seconds"], 1)
        result["passed"] &= bool(quick or result["times_faster_in_one_fold"] >= 15)
    if theirs:
        ratios = {key: theirs[key] / rows[-1][key] for key in ("seconds", "processor_seconds")}
        result["times_faster_than_himalaya"] = {key: round(ratio, 2) for key, ratio in ratios.items()}
        # The small version is all fixed costs.
        result["passed"] &= bool(quick or ratios["processor_seconds"] >= 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
