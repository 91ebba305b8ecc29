"""False-positive rates of every p value of an RSA, on simulated groups without the effect, and its power.

Each data set is new: random patterns of 10 subjects and 28 stimuli, new subjects and new stimuli alike, and
correlation distances (crossnobis where cosines need a true zero). A rate is the share of p values at or below
.05; those that correct for several models count a data set once, if any of them is. Passes where no rate is
above the upper end of the central binomial 99 % interval at .05, nor that of any single model or pair above
the end of the interval for as many tests (Bonferroni), and planted effects are found. Prints a table, and one
JSON object on the last line.

    python benchmarks/bench_rsa_calibration.py            # --quick for few data sets
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.rsa.analysis.null_data import level_means, list_pair_kinds
from fernet_neuro.rsa.brain_rdms import compute_brain_rdms
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.inference.fitted import infer_flexible
from fernet_neuro.rsa.inference.fixed import infer_rsa
from fernet_neuro.rsa.inference.seeds import infer_seeds
from fernet_neuro.rsa.models.flexible import FlexibleModel
from fernet_neuro.rsa.rdms import RDMSet, concat_rdms
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stats.calibration import false_positive_rate

N_SUBJECTS, N_STIMULI, N_VOXELS, N_RUNS = 10, 28, 60, 4
IDS = np.array([f"face{number:02d}" for number in range(N_STIMULI)])
#: Four photographs of each person.
PEOPLE = np.repeat(np.arange(N_STIMULI // 4), 4)
#: Two networks, each trained four times.
SEEDS = pd.DataFrame({"model": np.repeat(["one", "other"], 4), "seed": np.tile(list("0123"), 2)})
LEVEL = 0.05
#: A planted effect must be found at least so often.
LEAST_POWER = 0.8

Made = tuple[RDMSet, RDMSet]
#: Table, column, and whether a data set counts once.
MODELS = (
    ("estimates", "p_value", False),
    ("estimates", "p_permutation", False),
    ("estimates", "p_fdr", True),
    ("estimates", "p_bonferroni", True),
    ("estimates", "p_max", True),
)
PAIRS = (
    ("pairwise", "p_value", False),
    ("pairwise", "p_fdr", True),
    ("pairwise", "p_bonferroni", True),
    ("pairwise", "p_max", True),
)
CEILING = (("ceilings", "p_value", False),)
BELOW = (("estimates", "p_ceiling", False),)


def draw(rng: np.random.Generator, n: int = N_STIMULI) -> np.ndarray:
    """Return random patterns (n, N_VOXELS)."""
    return rng.standard_normal((n, N_VOXELS))


def make_set(patterns: list[np.ndarray], column: str) -> RDMSet:
    """Return correlation RDMs of patterns, one row each."""
    return concat_rdms(
        [
            compute_rdms(values, stimulus_ids=IDS, labels={column: f"{column}{number}"})
            for number, values in enumerate(patterns)
        ]
    )


def scan(shared: np.ndarray, rng: np.random.Generator, own: float = 1.0, noise: float = 1.0) -> RDMSet:
    """Return the brains of subjects who share patterns, and have some of their own beside noise."""
    return make_set([shared + own * draw(rng) + noise * draw(rng) for _ in range(N_SUBJECTS)], "subject")


def make_unrelated(rng: np.random.Generator) -> Made:
    """Brains with a common geometry, and four models that have no part in it."""
    return make_set([draw(rng) for _ in range(4)], "model"), scan(2 * draw(rng), rng)


def make_unshared(rng: np.random.Generator) -> Made:
    """Brains without a common geometry, and models."""
    return make_set([draw(rng) for _ in range(4)], "model"), scan(np.zeros((N_STIMULI, N_VOXELS)), rng)


def make_equal(rng: np.random.Generator) -> Made:
    """Four models that are equally far from the common geometry, each in its own direction."""
    shared = 2 * draw(rng)
    return make_set([shared + 2 * draw(rng) for _ in range(4)], "model"), scan(shared, rng)


def make_true(rng: np.random.Generator) -> Made:
    """A model that is the common geometry."""
    shared = 2 * draw(rng)
    return make_set([shared], "model"), scan(shared, rng)


def make_people(rng: np.random.Generator) -> Made:
    """Photographs of a person look alike; two models go astray person by person, one as far as the other."""

    people = draw_people(rng)
    models = [people + draw_people(rng, 1.5) for _ in range(2)]
    return make_set(models, "model"), scan(people, rng, own=0.5, noise=0.5)


def draw_people(rng: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    """Return random patterns (N_STIMULI, N_VOXELS) that are alike for photographs of one person."""
    return spread * draw(rng, N_STIMULI // 4)[PEOPLE] + 0.3 * draw(rng)


def level_people(rdms: RDMSet) -> RDMSet:
    """Return RDMs with one mean inside and between people, so that these alone relate nothing to anything."""
    kinds = list_pair_kinds(PEOPLE, N_STIMULI)
    return replace(rdms, dissimilarities=level_means(rdms.dissimilarities, kinds))


def make_unrelated_people(rng: np.random.Generator) -> Made:
    """Brains and four models in which each person has a place, and the places are unrelated."""
    models = make_set([draw_people(rng) for _ in range(4)], "model")
    return level_people(models), level_people(scan(draw_people(rng), rng, own=0.5, noise=0.5))


def make_unshared_people(rng: np.random.Generator) -> Made:
    """Brains in which people have other places in each, and models."""
    brain = make_set([draw_people(rng) + draw(rng) / 2 for _ in range(N_SUBJECTS)], "subject")
    return make_set([draw(rng) for _ in range(2)], "model"), level_people(brain)


def make_silent(rng: np.random.Generator) -> Made:
    """No stimulus differs from another in any brain: crossnobis distances of noise."""
    ids, runs = np.tile(IDS, N_RUNS), np.repeat([f"run{run}" for run in range(N_RUNS)], N_STIMULI)
    brains = [
        BrainPatterns(draw(rng, len(ids)), ids, runs, "region", f"subject{number}")
        for number in range(N_SUBJECTS)
    ]
    return make_set([draw(rng) for _ in range(4)], "model"), compute_brain_rdms(brains)


def make_unrelated_seeds(rng: np.random.Generator) -> Made:
    """Brains with a common geometry, and two networks of four seeds each that have no part in it."""
    models = make_set([draw(rng) for _ in range(8)], "model")
    return replace(models, table=SEEDS), scan(2 * draw(rng), rng)


def make_equal_seeds(rng: np.random.Generator) -> Made:
    """Two networks of four seeds, all as far from the common geometry, each seed in its own direction."""
    shared = 2 * draw(rng)
    models = make_set([shared + 2 * draw(rng) for _ in range(8)], "model")
    return replace(models, table=SEEDS), scan(shared, rng)


def make_planted(rng: np.random.Generator) -> Made:
    """A model close to the common geometry, a model farther from it, and one without any part in it."""
    shared = draw(rng)
    models = [shared + draw(rng), shared + 2 * draw(rng), draw(rng)]
    return make_set(models, "model"), scan(shared, rng)


@dataclass(frozen=True)
class Design:
    """Data, the analysis of them, and the p values whose claims are false in them."""

    make: Callable[[np.random.Generator], Made]
    claims: tuple[tuple[str, str, bool], ...]
    options: dict[str, Any] = field(default_factory=dict)
    infer: Callable[..., RSAResult] = infer_rsa


def infer_fitted(models: RDMSet, brain: RDMSet, **options: Any) -> RSAResult:
    """Return inference on the first model as it is, and on all of them selected from, summed and mixed."""
    fitted = {kind: FlexibleModel(models, kind) for kind in ("selected", "weighted", "interpolated")}
    return infer_flexible({"fixed": FlexibleModel(models.take([0])), **fitted}, brain, **options)


DESIGNS = {
    "unrelated models, rho_a": Design(make_unrelated, MODELS + PAIRS),
    "unrelated models, spearman": Design(make_unrelated, MODELS + PAIRS, {"comparison": "spearman"}),
    "unrelated models, whitened_pearson": Design(
        make_unrelated, MODELS + PAIRS, {"comparison": "whitened_pearson"}
    ),
    "no distances, whitened_cosine": Design(make_silent, MODELS + PAIRS, {"comparison": "whitened_cosine"}),
    "unrelated models, to new stimuli": Design(make_unrelated, MODELS + PAIRS, {"generalise_to": "stimuli"}),
    "no shared geometry, to new subjects": Design(
        make_unshared, MODELS + PAIRS, {"generalise_to": "subjects"}
    ),
    "no shared geometry": Design(make_unshared, CEILING),
    "equally good models": Design(make_equal, PAIRS),
    "a true model": Design(make_true, BELOW),
    "four photographs a person, in blocks": Design(
        make_people, PAIRS[:1], {"blocks": PEOPLE, "comparison": "pearson"}
    ),
    "unrelated models, in blocks": Design(
        make_unrelated_people, MODELS + PAIRS, {"blocks": PEOPLE, "comparison": "pearson"}
    ),
    "no shared geometry, in blocks": Design(
        make_unshared_people, CEILING, {"blocks": PEOPLE, "comparison": "pearson"}
    ),
    "fitted to unrelated models": Design(
        make_unrelated, MODELS + PAIRS, {"comparison": "pearson"}, infer_fitted
    ),
    "fitted to unrelated models, in blocks": Design(
        make_unrelated_people, MODELS + PAIRS, {"blocks": PEOPLE, "comparison": "pearson"}, infer_fitted
    ),
    "fitted to unrelated models, to new subjects": Design(
        make_unshared, MODELS + PAIRS, {"generalise_to": "subjects", "comparison": "pearson"}, infer_fitted
    ),
    "fitted, no shared geometry, in blocks": Design(
        make_unshared_people, CEILING, {"blocks": PEOPLE, "comparison": "pearson"}, infer_fitted
    ),
    "seeds of unrelated networks": Design(make_unrelated_seeds, MODELS + PAIRS, infer=infer_seeds),
    "seeds of equally good networks": Design(make_equal_seeds, PAIRS, infer=infer_seeds),
}
#: What blocks are for: the same data, single photographs drawn.
NAIVE = {
    "four photographs a person, without blocks": Design(make_people, PAIRS[:1], {"comparison": "pearson"})
}
PLANTED = Design(make_planted, MODELS)


def analyse(design: Design, name: str, dataset: int) -> dict[str, list[float]]:
    """Return the p values of one data set by table and column."""
    rng = np.random.default_rng([23, *name.encode(), dataset])
    models, brain = design.make(rng)
    columns = [column for _, column, _ in design.claims]
    options = {"n_permutations": 1000 if "p_permutation" in columns else 0, "inference": "bootstrap"}
    result = design.infer(models, brain, seed=dataset, **{**options, **design.options})
    tables = {"estimates": result.estimates, "pairwise": result.pairwise, "ceilings": result.ceilings}
    return {
        f"{table} {column}": tables[table][column].tolist()
        for table, frame in tables.items()
        for column in frame
        if column.startswith("p_")
    }


def calibrate(name: str, design: Design, n_datasets: int, n_jobs: int) -> list[dict[str, Any]]:
    """Return one row per claim of a design."""
    found = Parallel(n_jobs=n_jobs)(delayed(analyse)(design, name, dataset) for dataset in range(n_datasets))
    rows = []
    for table, column, is_family in design.claims:
        p_values = np.array([item[f"{table} {column}"] for item in found])
        hits = p_values <= LEVEL
        # One p value a data set carries the limits, which are those of independent tests.
        limits = false_positive_rate(p_values[:, 0], LEVEL)
        rate = hits.any(axis=1).mean() if is_family else hits.mean()
        strict = false_positive_rate(p_values[:, 0], LEVEL, confidence=1 - 0.01 / hits.shape[1])
        worst = hits.mean(axis=0).max()
        rows.append(
            {
                "design": name,
                "p": f"{table} {column}",
                "counts": "any" if is_family else "each",
                "rate": float(rate),
                "worst": float(worst),
                "limit": limits.limit,
                "worst_limit": strict.limit,
                "n_datasets": n_datasets,
                "is_calibrated": bool(rate <= limits.limit and worst <= strict.limit),
            }
        )
    return rows


def measure_power(n_datasets: int, n_jobs: int) -> dict[str, float]:
    """Return how often planted effects are found."""
    found = Parallel(n_jobs=n_jobs)(
        delayed(analyse)(PLANTED, "planted", dataset) for dataset in range(n_datasets)
    )
    above, labels, differ, ceiling, below = (
        np.array([item[key] for item in found])
        for key in (
            "estimates p_value",
            "estimates p_permutation",
            "pairwise p_value",
            "ceilings p_value",
            "estimates p_ceiling",
        )
    )
    return {
        "near model against 0": float((above[:, 0] <= LEVEL).mean()),
        "far model against 0": float((above[:, 1] <= LEVEL).mean()),
        "near model, labels permuted": float((labels[:, 0] <= LEVEL).mean()),
        "near against far model": float((differ[:, 0] <= LEVEL).mean()),
        "ceiling against 0": float((ceiling[:, 0] <= LEVEL).mean()),
        "far model below the ceiling": float((below[:, 1] <= LEVEL).mean()),
    }


def print_table(rows: list[dict[str, Any]], power: dict[str, float]) -> None:
    """Print rates as a table."""
    print(f"{'design':<46}{'p value':<26}{'counts':<8}{'rate %':>7}{'worst %':>9}{'limit %':>9}")
    for row in rows:
        print(
            f"{row['design']:<46}{row['p']:<26}{row['counts']:<8}{100 * row['rate']:>7.1f}"
            f"{100 * row['worst']:>9.1f}{100 * row['limit']:>9.1f}{'' if row['is_calibrated'] else '  ABOVE'}"
        )
    for name, share in power.items():
        print(f"planted: {name:<40}{100 * share:>7.1f} %")


def main() -> None:
    """Print the table and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--datasets", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--design", action="append", help="only designs whose name holds this")
    parser.add_argument("--quick", action="store_true", help="20 data sets of the first two designs")
    options = parser.parse_args()
    n_datasets = 20 if options.quick else options.datasets
    designs = dict(list(DESIGNS.items())[:2]) if options.quick else DESIGNS
    if options.design:
        designs = {
            name: design for name, design in designs.items() if any(part in name for part in options.design)
        }
    start = time.perf_counter()
    rows = [
        row for name, design in designs.items() for row in calibrate(name, design, n_datasets, options.jobs)
    ]
    naive = [
        row for name, design in NAIVE.items() for row in calibrate(name, design, n_datasets, options.jobs)
    ]
    power = measure_power(max(20, n_datasets // 2), options.jobs)
    print_table([*rows, *naive], power)
    report = {
        "benchmark": "bench_rsa_calibration",
        "n_subjects": N_SUBJECTS,
        "n_stimuli": N_STIMULI,
        "null": rows,
        "without_blocks": naive,
        "power": power,
        "passed": all(row["is_calibrated"] for row in rows) and power["near model against 0"] >= LEAST_POWER,
        "seconds": time.perf_counter() - start,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
