"""Two-factor bootstrap of fixed models against rsatoolbox: 16 models x 20 subjects x 70 conditions, N = 1000.

For each comparison our engine computes all samples of subjects and stimuli, of either alone, and the noise
ceilings of each. rsatoolbox gets the same samples, one after the other, through the functions that its own
``eval_dual_bootstrap`` calls. It would take minutes for each comparison, so it gets the first few samples,
and its time for all is that time in proportion ("extrapolated"): every sample costs it the same work. Both
run in turn on the same cores, ours several times and the best counts. Values of these samples must differ by
at most 1e-8. Prints one JSON object.

    python benchmarks/bench_rsa_inference.py      # --quick for a small version
"""

import argparse
import json
import os
import time

import numpy as np

from fernet_neuro.rsa.inference.bootstrap import SampleValues, evaluate_samples, evaluate_with_rsatoolbox
from fernet_neuro.rsa.inference.random_effects import Effects, list_effect_sets
from fernet_neuro.rsa.inference.resample import Resamples, draw_resamples
from fernet_neuro.rsa.rdms import RDMSet

COMPARISONS = ("pearson", "cosine", "spearman", "rho_a", "whitened_pearson", "whitened_cosine")
WANTED = list_effect_sets(["subjects", "stimuli"])
TARGET_RATIO = 100
#: The two comparisons that are one matrix product for all samples.
SECONDS_OF_PRODUCTS = 0.5


def make_data(n_models: int, n_subjects: int, n_stimuli: int) -> tuple[RDMSet, RDMSet]:
    """Return subjects and models whose patterns share something; every third model has ties."""
    rng = np.random.default_rng(0)
    left, right = np.triu_indices(n_stimuli, 1)

    def to_rdm(patterns: np.ndarray) -> np.ndarray:
        return ((patterns[left] - patterns[right]) ** 2).mean(axis=1)

    shared = rng.standard_normal((n_stimuli, 10))
    vectors = np.stack(
        [
            to_rdm(shared + rng.standard_normal((n_stimuli, 10)) * rng.uniform(0.5, 2))
            for _ in range(n_subjects + n_models)
        ]
    )
    vectors[n_subjects::3] = np.digitize(vectors[n_subjects::3], [1.5, 2.5])
    ids = [f"s{row:02d}" for row in range(n_stimuli)]
    return RDMSet(vectors[:n_subjects], ids), RDMSet(vectors[n_subjects:], ids)


def differ(ours: dict[Effects, SampleValues], theirs: dict[Effects, SampleValues]) -> float:
    """Return the largest difference in the samples that both have."""
    largest = 0.0
    for factors, found in theirs.items():
        for name in ("scores", "lower", "upper"):
            other = getattr(found, name)
            mine = getattr(ours[factors], name)[: len(other)]
            if (np.isnan(mine) != np.isnan(other)).any():
                return float("inf")
            largest = max(largest, float(np.nanmax(np.abs(mine - other))))
    return largest


def measure(
    subjects: RDMSet, models: RDMSet, samples: Resamples, comparison: str, n_theirs: int, repeats: int
) -> dict[str, float | int]:
    """Return seconds of both, their ratio and the largest difference of one comparison."""
    few = Resamples(samples.subjects[:n_theirs], samples.stimuli[:n_theirs], samples.n_units)
    sides = (subjects.dissimilarities, models.dissimilarities)
    evaluate_samples(*sides, few, comparison, WANTED)  # compiled and loaded
    evaluate_with_rsatoolbox(subjects, models, _first(samples), comparison, WANTED)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        ours = evaluate_samples(*sides, samples, comparison, WANTED)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    theirs = evaluate_with_rsatoolbox(subjects, models, few, comparison, WANTED)
    spent = time.perf_counter() - start
    extrapolated = spent * samples.n_bootstraps / n_theirs
    return {
        "seconds_ours": min(seconds),
        "seconds_rsatoolbox_measured": spent,
        "samples_rsatoolbox_measured": n_theirs,
        "seconds_rsatoolbox_extrapolated": extrapolated,
        "ratio": extrapolated / min(seconds),
        "largest_difference": differ(ours, theirs),
    }


def _first(samples: Resamples) -> Resamples:
    return Resamples(samples.subjects[:1], samples.stimuli[:1], samples.n_units)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", type=int, default=16)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--stimuli", type=int, default=70)
    parser.add_argument("--bootstraps", type=int, default=1000)
    parser.add_argument("--rsatoolbox-samples", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="4 models x 6 subjects x 20 stimuli, N = 100")
    options = parser.parse_args()
    if options.quick:
        options.models, options.subjects, options.stimuli = 4, 6, 20
        options.bootstraps, options.rsatoolbox_samples = 100, 5
    subjects, models = make_data(options.models, options.subjects, options.stimuli)
    samples = draw_resamples(options.bootstraps, options.subjects, options.stimuli, seed=0)
    n_theirs = min(options.rsatoolbox_samples, options.bootstraps)
    found = {
        name: measure(subjects, models, samples, name, n_theirs, options.repeats) for name in COMPARISONS
    }
    worst = max(item["largest_difference"] for item in found.values())
    slowest = min(item["ratio"] for item in found.values())
    products = max(found[name]["seconds_ours"] for name in ("pearson", "cosine"))
    report = {
        "benchmark": "bench_rsa_inference",
        "n_models": options.models,
        "n_subjects": options.subjects,
        "n_stimuli": options.stimuli,
        "n_bootstraps": options.bootstraps,
        "n_cores": os.cpu_count(),
        "comparisons": found,
        "lowest_ratio": slowest,
        "target_ratio": TARGET_RATIO,
        "target_seconds_of_pearson_and_cosine": SECONDS_OF_PRODUCTS,
        "largest_difference": worst,
        "target_difference": 1e-8,
    }
    # The small version is too short a run for ratios: fixed costs count for more.
    is_fast = options.quick or (slowest >= TARGET_RATIO and products <= SECONDS_OF_PRODUCTS)
    report["passed"] = bool(is_fast and worst <= report["target_difference"])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
