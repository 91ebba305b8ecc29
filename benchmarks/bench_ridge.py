"""Ridge probes of narrow layers: growth with the stimuli, and rows against inner products.

10 folds, nested choice among six penalties, 1,000 permutations, 512 units. Rows are timed at every size, in
full; inner products (what wide layers take) at the smallest, in turns with rows. Prints one JSON object.

    python benchmarks/bench_ridge.py            # --quick for a small version
"""

import argparse
import json
import time

import numpy as np
from bench_probes import make_layer, make_table

from fernet_neuro.probes import evaluate
from fernet_neuro.probes._dual import arrange, compute_gram
from fernet_neuro.stimuli.splits import make_folds


def time_probe(n_people: int, n_units: int, n_permutations: int, form: object) -> dict[str, float]:
    """Return seconds, accuracy and p value of one probe, with activations arranged by `form`."""
    table = make_table(n_people, "A")
    layer = make_layer(table, n_units, 0)
    folds = make_folds(table, "identity", n_folds=10)
    evaluate.arrange = form
    start = time.perf_counter()
    result = evaluate.evaluate_probe(
        layer,
        table,
        target="expression",
        folds=folds,
        holdout="identity",
        n_permutations=n_permutations,
        n_jobs=-1,
    )
    seconds = time.perf_counter() - start
    return {
        "stimuli": len(table),
        "seconds": round(seconds, 2),
        "accuracy": result.balanced_accuracy,
        "p_value": result.p_value,
    }


def main() -> None:
    """Time both forms and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    sizes, n_units, n_permutations = ((20, 40), 32, 100) if quick else ((286, 715, 1429), 512, 1000)
    time_probe(10, 8, 20, arrange)  # compiles
    rows = [time_probe(size, n_units, n_permutations, arrange) for size in sizes]
    dual = time_probe(sizes[0], n_units, n_permutations, compute_gram)
    growth = np.log(rows[-1]["seconds"] / rows[0]["seconds"]) / np.log(sizes[-1] / sizes[0])
    result = {
        "units": n_units,
        "permutations": n_permutations,
        "rows": rows,
        "inner_products": dual,
        "times_faster": round(dual["seconds"] / rows[0]["seconds"], 1),
        "growth_exponent": round(float(growth), 2),
        "equal": dual["accuracy"] == rows[0]["accuracy"] and dual["p_value"] == rows[0]["p_value"],
    }
    result["passed"] = bool(result["equal"] and growth <= 1.1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
