"""Variance components and the bootstrap on simulated groups: false positives, coverage, spread and power.

Every group is new: people, stimuli, models and noise. Designs for development are those on which the form of
the variance and its degrees of freedom were settled; designs for validation were written down before they
were run; small ones came last. A rate is the share of p values at or below .05, over models or pairs of
models that are exchangeable; the limit is the upper end of the central binomial 99 % interval for as many
tests as there are groups.
"Spread" is the root of the mean squared standard error over the true standard deviation of the estimates.
Coverage is of what estimates are on average over the groups. Passes where no rate of a validation design is
above the limit. Prints tables, and one JSON object on the last line.

`--spread`: nothing but the spread in three designs more, with its 95 % interval over groups; passes where all
are within 3 %. `--speed`: nothing but processor time of 200 people x 100 stimuli x 60 models, beside that
of the bootstrap; passes under 5 s.

    python benchmarks/bench_rsa_components.py            # --quick for few groups of a few designs
    python benchmarks/bench_rsa_components.py --spread --groups 10000
    python benchmarks/bench_rsa_components.py --speed
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import stats
from threadpoolctl import threadpool_limits

from fernet_neuro.rsa.analysis.null_data import level_means, list_pair_kinds
from fernet_neuro.rsa.compare import COMPARISONS
from fernet_neuro.rsa.files.toolbox import import_rsatoolbox, to_rsatoolbox
from fernet_neuro.rsa.inference.components import estimate_components, estimate_memory
from fernet_neuro.rsa.inference.fixed import evaluate, find_variation, infer_rsa
from fernet_neuro.rsa.inference.random_effects import Variation, compute_interval, compute_t
from fernet_neuro.rsa.inference.regions import Region
from fernet_neuro.rsa.inference.seeds import find_seed_variation, group_seeds
from fernet_neuro.rsa.inference.settings import InferenceSettings
from fernet_neuro.rsa.rdms import RDMSet

LEVEL = 0.05
N_MODELS, N_SEEDS = 3, 4


@dataclass(frozen=True)
class Design:
    """Who looks at what, and what is true of the models.

    `models`: "unrelated" to what people share; "equal": each the shared patterns and, `distance` times as
    strong, some of its own, `better` times that for the first; "categories": unrelated, of few values.
    `own`, `noise`: of people, beside shared
    patterns of variance 1. `dims`: of patterns. `clusters`: of stimuli; 0 for none. `tails`: degrees of
    freedom of t-distributed patterns; 0 for normal. `metric`: "squared", "correlation", or "crossnobis", with
    two runs. `per_block`: stimuli that are drawn together. `lacking`: stimuli that each person lacks.
    """

    n_people: int
    n_stimuli: int
    dims: int
    comparison: str = "pearson"
    models: str = "unrelated"
    metric: str = "squared"
    clusters: int = 0
    tails: int = 0
    own: float = 0.7
    noise: float = 0.7
    distance: float = 1.0
    better: float = 1.0
    shared: float = 1.0
    per_block: int = 1
    lacking: int = 0
    has_seeds: bool = False


DEVELOPMENT = {
    "10 x 28, 40 dimensions, rho_a": Design(10, 28, 40, "rho_a", metric="correlation"),
    "10 x 28, 3 dimensions": Design(10, 28, 3),
    "12 x 24, 2 dimensions in 4 clusters": Design(12, 24, 2, clusters=4),
    "5 x 12, 10 dimensions": Design(5, 12, 10),
    "20 x 48, 10 dimensions, spearman": Design(20, 48, 10, "spearman"),
    "10 x 28, equal, 3 dimensions": Design(10, 28, 3, models="equal"),
    "8 x 20, equal, very reliable": Design(8, 20, 10, models="equal", own=0.1, noise=0.1),
    "10 x 28 in 14 blocks": Design(10, 28, 10, per_block=2),
    # Further ones, on which the degrees of freedom were settled.
    "8 x 24, heavy tails": Design(8, 24, 10, tails=4),
    "10 x 32, equal, heavy tails, rho_a": Design(10, 32, 10, "rho_a", "equal", tails=3),
    "6 x 60, 10 dimensions": Design(6, 60, 10),
    "6 x 60, 40 dimensions, rho_a": Design(6, 60, 40, "rho_a", metric="correlation"),
    "12 x 30 in 10 blocks, equal": Design(12, 30, 10, models="equal", per_block=3),
    "14 x 28, equal, 2 dimensions": Design(14, 28, 2, models="equal"),
    "20 x 14, 10 dimensions": Design(20, 14, 10),
    "12 x 32, 20 dimensions, whitened_pearson": Design(12, 32, 20, "whitened_pearson"),
    "10 x 24, seeds": Design(10, 24, 5, has_seeds=True),
    "10 x 24, equal, seeds": Design(10, 24, 5, models="equal", has_seeds=True),
}
VALIDATION = {
    "5 x 12, 3 dimensions": Design(5, 12, 3),
    "5 x 100, 10 dimensions, rho_a": Design(5, 100, 10, "rho_a"),
    "20 x 12, 10 dimensions, spearman": Design(20, 12, 10, "spearman"),
    "20 x 60, 2 dimensions": Design(20, 60, 2),
    "8 x 40, equal, 40 dimensions, rho_a": Design(8, 40, 40, "rho_a", "equal", metric="correlation"),
    "12 x 60, 3 dimensions in 6 clusters": Design(12, 60, 3, clusters=6),
    "10 x 30, heavy tails": Design(10, 30, 10, tails=3),
    "6 x 16, equal, heavy tails, spearman": Design(6, 16, 10, "spearman", "equal", tails=3),
    "10 x 36, categories with ties, rho_a": Design(10, 36, 10, "rho_a", "categories"),
    "16 x 32, equal, very reliable": Design(16, 32, 10, models="equal", own=0.1, noise=0.1),
    "10 x 24, equal, 2 dimensions": Design(10, 24, 2, models="equal"),
    "10 x 28, crossnobis, whitened_cosine": Design(
        10, 28, 10, "whitened_cosine", metric="crossnobis", shared=0.0, own=0.0
    ),
    "10 x 28, whitened_pearson": Design(10, 28, 10, "whitened_pearson"),
    "12 x 40, equal, whitened_pearson": Design(12, 40, 10, "whitened_pearson", "equal"),
    "10 x 40 in 10 blocks": Design(10, 40, 10, per_block=4),
    "12 x 36 in 12 blocks, equal, rho_a": Design(12, 36, 10, "rho_a", "equal", per_block=3),
    "12 x 30, 4 stimuli lacking": Design(12, 30, 10, lacking=4),
    "10 x 28, seeds, rho_a": Design(10, 28, 10, "rho_a", has_seeds=True),
    "10 x 28, equal, seeds": Design(10, 28, 10, models="equal", has_seeds=True),
    "8 x 24, nothing shared": Design(8, 24, 10, shared=0.0, own=1.0),
}
#: Few stimuli, blocks or people, tried after components had become the default.
SMALL = {
    "10 x 5": Design(10, 5, 10),
    "5 x 6": Design(5, 6, 10),
    "20 x 6, rho_a": Design(20, 6, 10, "rho_a"),
    "8 x 8, 3 dimensions": Design(8, 8, 3),
    "20 x 8, equal": Design(20, 8, 10, models="equal"),
    "3 x 20": Design(3, 20, 10),
    "2 x 30": Design(2, 30, 10),
    "12 x 30 in 5 blocks": Design(12, 30, 10, per_block=6),
    "12 x 30 in 6 blocks, equal": Design(12, 30, 10, models="equal", per_block=5),
}
DESIGNS = {"development": DEVELOPMENT, "validation": VALIDATION, "small": SMALL}

#: For `--spread`: common sizes, three geometries and comparisons, equal models and unrelated.
SPREAD = {
    "12 x 36, equal, 5 dimensions": Design(12, 36, 5, models="equal"),
    "16 x 40, 10 dimensions, rho_a": Design(16, 40, 10, "rho_a"),
    "14 x 44, equal, whitened_pearson": Design(14, 44, 10, "whitened_pearson", "equal"),
}
#: How far standard errors may be from the spread.
SPREAD_LIMIT = 0.03
#: Processor seconds that a large study may take.
SPEED_LIMIT = 5.0

#: Models that are near what people share, the first of them nearer.
PLANTED = {
    "10 x 28, 40 dimensions, correlation distances, rho_a": Design(
        10, 28, 40, "rho_a", "equal", metric="correlation", distance=2.0, better=0.6
    ),
    "10 x 28, 10 dimensions": Design(10, 28, 10, models="equal", distance=1.8, better=0.5),
    "20 x 40, 10 dimensions": Design(20, 40, 10, models="equal", distance=2.6, better=0.5),
}


def make_group(design: Design, rng: np.random.Generator) -> tuple[RDMSet, RDMSet, np.ndarray | None]:
    """Return models, brains, and the block of each stimulus, if they are in blocks."""
    n = design.n_stimuli
    blocks = np.repeat(np.arange(n // design.per_block), design.per_block) if design.per_block > 1 else None
    shared = design.shared * draw(design, rng, 1, blocks)
    people = shared + design.own * draw(design, rng, design.n_people, blocks)
    runs = [people + design.noise * rng.standard_normal(people.shape) for _ in range(2)]
    brains = measure(*runs) if design.metric == "crossnobis" else measure(runs[0], None, design.metric)
    values = make_models(design, rng, shared, blocks)
    if blocks is not None and design.models == "unrelated":
        kinds = list_pair_kinds(blocks, n)
        brains, values = level_means(brains, kinds), level_means(values, kinds)
    left, right = np.triu_indices(n, 1)
    for row in brains if design.lacking else ():
        lacks = np.isin(np.arange(n), rng.choice(n, design.lacking, replace=False))
        row[lacks[left] | lacks[right]] = np.nan
    return *label(design, values, brains), blocks


def draw(design: Design, rng: np.random.Generator, count: int, blocks: np.ndarray | None) -> np.ndarray:
    """Return patterns (count, n_stimuli, dims)."""
    size = (count, design.n_stimuli, design.dims)
    drawn = rng.standard_t(design.tails, size) if design.tails else rng.standard_normal(size)
    if blocks is not None:
        return rng.standard_normal((count, blocks[-1] + 1, design.dims))[:, blocks] + 0.4 * drawn
    if not design.clusters:
        return drawn
    centres = 2 * rng.standard_normal((count, design.clusters, design.dims))
    which = rng.integers(0, design.clusters, size[:2])
    return 0.5 * drawn + np.take_along_axis(centres, which[:, :, None], axis=1)


def make_models(
    design: Design, rng: np.random.Generator, shared: np.ndarray, blocks: np.ndarray | None
) -> np.ndarray:
    """Return the models' distances (n_models, n_pairs)."""
    n_models = N_MODELS * (N_SEEDS if design.has_seeds else 1)
    if design.models == "categories":
        labels = rng.integers(0, 3, (n_models, design.n_stimuli))
        left, right = np.triu_indices(design.n_stimuli, 1)
        return (labels[:, left] != labels[:, right]).astype(float)
    models = draw(design, rng, N_MODELS, blocks).repeat(n_models // N_MODELS, axis=0)
    if design.has_seeds:
        models = models + draw(design, rng, n_models, blocks)
    if design.models == "equal":
        models[: n_models // N_MODELS] *= design.better
        models = shared + design.distance * models
    return measure(models, None, "squared" if design.metric == "crossnobis" else design.metric)


def measure(patterns: np.ndarray, others: np.ndarray | None = None, metric: str = "squared") -> np.ndarray:
    """Return distances (n, n_pairs) of patterns (n, n_stimuli, n_dims), or of two runs of them."""
    left, right = np.triu_indices(patterns.shape[1], 1)
    others = patterns if others is None else others
    if metric == "correlation":
        patterns = patterns - patterns.mean(axis=2, keepdims=True)
        patterns = others = patterns / np.linalg.norm(patterns, axis=2, keepdims=True)
    gram = patterns @ others.transpose(0, 2, 1)
    own = np.einsum("...ii->...i", gram)
    square = own[:, :, None] + own[:, None] - gram - gram.transpose(0, 2, 1)
    return square[:, left, right] / (2 if metric == "correlation" else patterns.shape[2])


def label(design: Design, values: np.ndarray, brains: np.ndarray) -> tuple[RDMSet, RDMSet]:
    """Return RDMs as sets."""
    ids = np.array([f"s{number:03d}" for number in range(design.n_stimuli)])
    names = [f"model{number // (N_SEEDS if design.has_seeds else 1)}" for number in range(len(values))]
    table = pd.DataFrame({"model": names})
    if design.has_seeds:
        table["seed"] = [str(number % N_SEEDS) for number in range(len(values))]
    subjects = pd.DataFrame({"subject": [f"{number:02d}" for number in range(design.n_people)]})
    distance = "crossnobis" if design.metric == "crossnobis" else ""
    return RDMSet(values, ids, table), RDMSet(brains, ids, subjects, distance=distance)


def analyse(design: Design, name: str, number: int, inference: str) -> dict[str, np.ndarray]:
    """Return estimate, standard error, p value and interval of one group's models, pairs and ceiling.

    As `infer_rsa` and `infer_seeds`, without what they draw for p values that are corrected over models.
    """
    models, brain, blocks = make_group(design, np.random.default_rng([7, *name.encode(), number]))
    settings = InferenceSettings(design.comparison, blocks=blocks, seed=number, inference=inference)
    region = Region("", brain.table["subject"].tolist(), brain)
    drawn = None if settings.is_closed else region.resample(settings)
    scores, ceilings = evaluate(models, region, settings)
    means = scores.mean(axis=0)
    variation: Variation
    if design.has_seeds:
        groups = group_seeds(models)
        variation = find_seed_variation(groups, models, region, drawn, settings, means)
        means = groups.means @ means
    else:
        variation = find_variation(models, region, drawn, settings)
    axes = np.eye(N_MODELS + 2)
    contrasts = {
        "models": axes[:N_MODELS],
        "pairs": contrast_pairs(N_MODELS + 2),
        "ceiling": axes[-2:-1],
    }
    values = np.concatenate([means, ceilings])
    return {
        kind: describe(contrast @ values, variation, contrast, kind == "pairs")
        for kind, contrast in contrasts.items()
    }


def describe(values: np.ndarray, variation: Variation, contrasts: np.ndarray, two_sided: bool) -> np.ndarray:
    """Return values, standard errors, p values and intervals, (n_tests, 5)."""
    errors, dof = variation.compute_errors(contrasts), variation.compute_dof(contrasts)
    t_values = compute_t(values, errors)
    p_values = stats.t.sf(np.abs(t_values) if two_sided else t_values, dof) * (2 if two_sided else 1)
    return np.stack([values, errors, p_values, *compute_interval(values, errors, dof, 1 - LEVEL)], axis=1)


def collect(design: Design, name: str, n_groups: int, n_jobs: int, inference: str) -> dict[str, np.ndarray]:
    """Return what `analyse` returns, of all groups, stacked."""
    tasks = (delayed(analyse)(design, name, number, inference) for number in range(n_groups))
    with threadpool_limits(limits=1, user_api="blas"):
        found = Parallel(n_jobs=n_jobs)(tasks)
    return {kind: np.stack([item[kind] for item in found]) for kind in found[0]}


def test_design(design: Design, name: str, n_groups: int, n_jobs: int, inference: str) -> Iterator[dict]:
    """Yield a row for models, pairs and the ceiling of a design: false positives, coverage and spread."""
    start = time.perf_counter()
    found = collect(design, name, n_groups, n_jobs, inference)
    seconds = (time.perf_counter() - start) / n_groups
    limit = stats.binom.ppf(0.995, n_groups, LEVEL) / n_groups
    is_null = {"models": design.models != "equal", "pairs": True, "ceiling": design.shared == 0}
    for kind in ("models", "pairs", "ceiling"):
        value, error, p_value, low, high = np.moveaxis(found[kind], 2, 0)
        # Clusters are those of one group, and what people share in them is its own: there is no one ceiling.
        has_truth = kind != "ceiling" or not design.clusters
        truth = 0.0 if is_null[kind] and kind != "ceiling" else value.mean()
        rate = float((p_value <= LEVEL).mean()) if is_null[kind] else None
        row = {
            "design": name, "kind": kind, "inference": inference, "rate": rate, "limit": limit,
            "coverage": None, "spread": None, "seconds": seconds,
        }  # fmt: skip
        if has_truth:
            row["coverage"] = float(((low <= truth) & (truth <= high)).mean())
            row["spread"] = float(np.sqrt((error**2).mean() / ((value - truth) ** 2).mean()))
        yield row


def measure_spread(design: Design, name: str, n_groups: int, n_jobs: int) -> Iterator[dict]:
    """Yield a row for models and for pairs: standard errors over the spread of estimates.

    `spread`: of the root mean squared error, with a 95 % `interval` over groups by the delta method.
    `mean_error`: of the plain mean of errors, which is smaller by how much they vary.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        found = np.stack(
            Parallel(n_jobs=n_jobs)(delayed(estimate)(design, name, number) for number in range(n_groups))
        )
    for kind, tests in (("models", slice(N_MODELS)), ("pairs", slice(N_MODELS, None))):
        value, error = found[:, 0, tests], found[:, 1, tests]
        truth = 0.0 if kind == "pairs" or design.models != "equal" else value.mean()
        expected, true = (error**2).mean(axis=1), ((value - truth) ** 2).mean(axis=1)
        ratio = np.sqrt(expected.mean() / true.mean())
        spread = np.std(expected / expected.mean() - true / true.mean()) / 2 / np.sqrt(n_groups)
        yield {
            "design": name, "kind": kind, "n_groups": n_groups, "spread": float(ratio),
            "interval": [float(ratio * (1 + sign * 1.96 * spread)) for sign in (-1, 1)],
            "mean_error": float(error.mean() / np.sqrt(true.mean())),
        }  # fmt: skip


def estimate(design: Design, name: str, number: int) -> np.ndarray:
    """Return estimates and standard errors of one group, of models and pairs (2, n_tests), nothing else."""
    models, brain, _ = make_group(design, np.random.default_rng([7, *name.encode(), number]))
    subjects, values = brain.dissimilarities, models.dissimilarities
    everywhere = np.ones(subjects.shape[1], dtype=bool)
    means = COMPARISONS[design.comparison](subjects, values, everywhere).mean(axis=0)
    sizes = {"subjects": design.n_people, "stimuli": design.n_stimuli}
    found = estimate_components(subjects, values, np.arange(design.n_stimuli), design.comparison, sizes)
    contrasts = np.vstack([np.eye(N_MODELS), contrast_pairs(N_MODELS)])
    return np.stack([contrasts @ means, found.compute_errors(np.pad(contrasts, ((0, 0), (0, 2))))])


def contrast_pairs(n_values: int) -> np.ndarray:
    """Return the differences between models, (n_pairs, n_values)."""
    axes = np.eye(n_values)
    return np.array([axes[one] - axes[other] for one, other in combinations(range(N_MODELS), 2)])


def report_spread(n_groups: int, n_jobs: int) -> dict[str, Any]:
    """Print and return the spread in all designs for it."""
    start = time.perf_counter()
    rows = []
    print(f"{'design':<40}{'':<9}{'root mean square':>17}{'interval':>16}{'mean':>8}")
    for name, design in SPREAD.items():
        for row in measure_spread(design, name, n_groups, n_jobs):
            low, high = row["interval"]
            print(
                f"{name:<40}{row['kind']:<9}{row['spread']:>17.3f}{low:>9.3f}-{high:.3f}"
                f"{row['mean_error']:>9.3f}",
                flush=True,
            )
            rows.append(row)
    passed = all(abs(row["spread"] - 1) <= SPREAD_LIMIT for row in rows)
    return {
        "benchmark": "bench_rsa_components --spread", "designs": rows, "passed": passed,
        "seconds": time.perf_counter() - start,
    }  # fmt: skip


def measure_power(design: Design, name: str, n_groups: int, n_jobs: int) -> dict[str, Any]:
    """Return how often either inference finds the first model, the others, and that they differ.

    And the standard deviation of these estimates over groups, with the root mean squared standard errors.
    """
    row: dict[str, Any] = {"design": name, "n_groups": n_groups}
    for inference in ("components", "bootstrap"):
        found = collect(design, f"planted {name}", n_groups, n_jobs, inference)
        parts = {
            "near model": found["models"][:, :1],
            "far models": found["models"][:, 1:],
            "near against far": found["pairs"][:, :2],
        }
        row[inference] = {claim: float((part[..., 2] <= LEVEL).mean()) for claim, part in parts.items()}
        row[f"error, {inference}"] = {
            claim: float(np.sqrt((part[..., 1] ** 2).mean())) for claim, part in parts.items()
        }
        row["spread"] = {
            claim: float(np.sqrt(part[..., 0].var(axis=0).mean())) for claim, part in parts.items()
        }
    return row


def draw_spread(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw standard errors of either inference against the true spread of estimates, as a PNG."""
    figure, axes = plt.subplots(figsize=(3.5, 3.3), layout="constrained")
    for inference, colour, marker in (("bootstrap", "#d55e00", "s"), ("components", "#0072b2", "o")):
        points = np.array(
            [
                (row["spread"][claim], row[f"error, {inference}"][claim])
                for row in rows
                for claim in row["spread"]
            ]
        )
        name = {"components": "variance components"}.get(inference, inference)
        axes.plot(*points.T, marker, color=colour, label=name, markersize=5)
    top = 1.05 * max(max(row["error, bootstrap"].values()) for row in rows)
    axes.plot([0, top], [0, top], color="0.6", linewidth=1, zorder=0)
    axes.annotate(
        "equal", (0.72 * top, 0.72 * top), (8, -14), textcoords="offset points", color="0.4", fontsize=8
    )
    axes.set(
        xlabel="spread of estimates over groups (SD)", ylabel="standard error (root mean square)",
        xlim=(0, top), ylim=(0, top), aspect="equal",
    )  # fmt: skip
    axes.tick_params(labelsize=8)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    figure.savefig(path, dpi=200)


def compare_with_rsatoolbox(design: Design, name: str, n_groups: int, n_bootstraps: int) -> dict[str, Any]:
    """Return rates and seconds of rsatoolbox's ``eval_dual_bootstrap`` and ours on the same groups.

    One-sided p values against 0 and two-sided ones of pairs, as rsatoolbox returns them.
    """
    import_rsatoolbox()  # without the warnings of its imports
    from rsatoolbox.inference import eval_dual_bootstrap
    from rsatoolbox.model import ModelFixed

    names = {"pearson": "corr", "rho_a": "rho-a"}
    hits: dict[str, list[np.ndarray]] = {"rsatoolbox": [], "components": [], "bootstrap": []}
    seconds = dict.fromkeys(hits, 0.0)
    for number in range(n_groups):
        models, brain, _ = make_group(design, np.random.default_rng([7, *name.encode(), number]))
        fixed = [ModelFixed(f"model{row}", to_rsatoolbox(models.take([row]))) for row in range(models.n_rdms)]
        start = time.perf_counter()
        found = eval_dual_bootstrap(
            fixed, to_rsatoolbox(brain), method=names[design.comparison], N=n_bootstraps, k_pattern=1, k_rdm=1
        )
        between = found.test_pairwise()[np.triu_indices(models.n_rdms, 1)]
        zero = found.test_zero()
        seconds["rsatoolbox"] += time.perf_counter() - start
        hits["rsatoolbox"].append(np.concatenate([zero, between]) <= LEVEL)
        for inference in ("components", "bootstrap"):
            start = time.perf_counter()
            ours = infer_rsa(
                models, brain, comparison=design.comparison, inference=inference, n_permutations=0,
                n_bootstraps=n_bootstraps, seed=number,
            )  # fmt: skip
            seconds[inference] += time.perf_counter() - start
            p_values = [ours.estimates["p_value"], ours.pairwise["p_value"]]
            hits[inference].append(np.concatenate(p_values) <= LEVEL)
    n_models = N_MODELS
    return {
        "design": name, "n_groups": n_groups, "n_bootstraps": n_bootstraps,
        **{
            which: {
                "models": float(np.mean([item[:n_models] for item in found])),
                "pairs": float(np.mean([item[n_models:] for item in found])),
                "seconds_per_group": seconds[which] / n_groups,
            }
            for which, found in hits.items()
        },
    }  # fmt: skip


def measure_speed(comparison: str, n_people: int, n_stimuli: int, n_models: int) -> dict[str, Any]:
    """Return processor seconds of a study with all tests, pairs and 1,000 permutations.

    Those of the bootstrap are projected to 1,000 samples from runs of 10 and of 60.
    """
    rng = np.random.default_rng(7)
    design = Design(n_people, n_stimuli, 10, comparison)
    n_pairs = n_stimuli * (n_stimuli - 1) // 2
    sides = [rng.uniform(size=(count, n_pairs)) for count in (n_models, n_people)]
    models, brain = label(design, *sides)

    def run(**options: Any) -> float:
        start = time.process_time()
        infer_rsa(models, brain, comparison=comparison, **options)
        return time.process_time() - start

    few, more = (run(inference="bootstrap", n_bootstraps=n, n_permutations=0) for n in (10, 60))
    return {
        "comparison": comparison, "people": n_people, "stimuli": n_stimuli, "models": n_models,
        "components": min(run(inference="components") for _ in range(3)),
        "bootstrap_projected": few + (more - few) / 50 * 990,
        "megabytes": estimate_memory(n_people, n_models, n_stimuli) / 1e6,
    }  # fmt: skip


def report_speed(is_quick: bool) -> dict[str, Any]:
    """Print and return the speed with ranks and without."""
    size = (20, 30, 6) if is_quick else (200, 100, 60)
    with threadpool_limits(limits=1, user_api="blas"):
        measure_speed("rho_a", 4, 10, 3)  # compiles
        rows = [measure_speed(comparison, *size) for comparison in ("rho_a", "pearson")]
    for row in rows:
        print(
            f"{row['comparison']:<10}{row['components']:8.1f} s{row['bootstrap_projected']:10.0f} s by the "
            f"bootstrap (projected){row['megabytes']:8.0f} MB"
        )
    passed = is_quick or max(row["components"] for row in rows) < SPEED_LIMIT
    return {"benchmark": "bench_rsa_components --speed", "rows": rows, "passed": passed}


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print false positives, coverage and spread as a table."""
    print(f"{'design':<40}{'':<9}{'rate %':>7}{'limit %':>8}{'cover %':>9}{'spread':>8}")
    for row in rows:
        cells = [
            "" if row[name] is None else f"{100 * row[name]:.1f}" for name in ("rate", "limit", "coverage")
        ]
        spread = "" if row["spread"] is None else f"{row['spread']:.3f}"
        print(
            f"{row['design']:<40}{row['kind']:<9}{cells[0]:>7}{cells[1]:>8}{cells[2]:>9}"
            f"{spread:>8}{'  ABOVE' if is_above(row) else ''}",
            flush=True,
        )


def is_above(row: dict[str, Any]) -> bool:
    """Return whether a rate is above the limit."""
    return row["rate"] is not None and row["rate"] > row["limit"]


def main() -> None:
    """Print the tables and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--designs", choices=tuple(DESIGNS), default="validation")
    parser.add_argument("--groups", type=int, default=1000, help="0 for power alone")
    parser.add_argument("--power-groups", type=int, default=200)
    parser.add_argument("--rsatoolbox-groups", type=int, default=15)
    parser.add_argument("--rsatoolbox-bootstraps", type=int, default=100)
    parser.add_argument("--inference", default="components")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--spread", action="store_true", help="standard errors against spread alone")
    parser.add_argument("--speed", action="store_true", help="processor seconds of a large study alone")
    parser.add_argument("--figure", type=Path, help="PNG of standard errors against spread")
    parser.add_argument("--quick", action="store_true", help="20 groups of three designs")
    options = parser.parse_args()
    if options.spread:
        print(json.dumps(report_spread(20 if options.quick else options.groups, options.jobs)))
        return
    if options.speed:
        print(json.dumps(report_speed(options.quick)))
        return
    designs = DESIGNS[options.designs]
    planted = dict(PLANTED)
    if options.quick:
        designs, planted = dict(list(designs.items())[:3]), dict(list(planted.items())[1:2])
        options.groups, options.power_groups, options.rsatoolbox_groups = 20, 5, 1
    start = time.perf_counter()
    rows = []
    for name, design in designs.items() if options.groups else ():
        part = list(test_design(design, name, options.groups, options.jobs, options.inference))
        print_rows(part)
        rows += part
    power = [
        measure_power(design, name, options.power_groups, options.jobs)
        for name, design in planted.items()
        if options.power_groups
    ]
    if options.figure and power:
        draw_spread(power, options.figure)
    unrelated = Design(10, 28, 10)
    beside = [
        compare_with_rsatoolbox(design, name, options.rsatoolbox_groups, options.rsatoolbox_bootstraps)
        for name, design in {
            "unrelated, 10 x 28": unrelated,
            "planted, 10 x 28": replace(unrelated, models="equal", distance=1.8, better=0.5),
        }.items()
        if options.rsatoolbox_groups
    ]
    report = {
        "benchmark": "bench_rsa_components", "designs": rows, "power": power, "rsatoolbox": beside,
        "passed": not any(is_above(row) for row in rows), "seconds": time.perf_counter() - start,
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    main()
