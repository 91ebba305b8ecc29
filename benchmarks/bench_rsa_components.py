"""Variance components and the bootstrap on simulated groups: false positives, coverage, spread and power.

Every group is new: people, stimuli, models and noise. Designs for development are those on which the form of
the variance and its degrees of freedom were settled; designs for validation were written down before, and run
once. A rate is the share of p values at or below .05, over models or pairs of models that are exchangeable;
the limit is the upper end of the central binomial 99 % interval for as many tests as there are groups.
"Spread" is the root of the mean squared standard error over the true standard deviation of the estimates.
Coverage is of what estimates are on average over the groups. Passes where no rate of a validation design is
above the limit. Prints tables, and one JSON object on the last line.

    python benchmarks/bench_rsa_components.py            # --quick for few groups of a few designs
"""

import argparse
import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fernet_neuro.rsa.analysis.null_data import level_means, list_pair_kinds
from fernet_neuro.rsa.rdms import RDMSet

LEVEL = 0.05
N_MODELS, N_SEEDS = 3, 4


@dataclass(frozen=True)
class Design:
    """Who looks at what, and what is true of the models.

    `models`: "unrelated" to what people share; "equal": each the shared patterns and, `distance` times as
    strong, some of its own; "categories": unrelated, of few values. `own`, `noise`: of people, beside shared
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


def make_group(design: Design, rng: np.random.Generator) -> tuple[RDMSet, RDMSet, np.ndarray | None]:
    """Return models, brains, and the block of each stimulus, if they are in blocks."""
    n, n_people = design.n_stimuli, design.n_people
    blocks = np.repeat(np.arange(n // design.per_block), design.per_block) if design.per_block > 1 else None

    def draw(count: int) -> np.ndarray:
        size = (count, n, design.dims)
        drawn = rng.standard_t(design.tails, size) if design.tails else rng.standard_normal(size)
        if blocks is not None:
            return rng.standard_normal((count, blocks[-1] + 1, design.dims))[:, blocks] + 0.4 * drawn
        if design.clusters:
            centres = 2 * rng.standard_normal((count, design.clusters, design.dims))
            which = rng.integers(0, design.clusters, (count, n))
            return 0.5 * drawn + np.take_along_axis(centres, which[:, :, None], axis=1)
        return drawn

    shared = design.shared * draw(1)
    people = shared + design.own * draw(n_people)
    noise = [design.noise * rng.standard_normal(people.shape) for _ in range(2)]
    n_models = N_MODELS * (N_SEEDS if design.has_seeds else 1)
    models = draw(N_MODELS).repeat(n_models // N_MODELS, axis=0)
    if design.has_seeds:
        models = models + draw(n_models)
    if design.models == "equal":
        models = shared + design.distance * models
    if design.metric == "crossnobis":
        brains = measure(people + noise[0], people + noise[1])
    else:
        brains = measure(people + noise[0], None, design.metric)
    values = measure(models, None, "squared" if design.metric == "crossnobis" else design.metric)
    if design.models == "categories":
        labels = rng.integers(0, 3, (n_models, n))
        left, right = np.triu_indices(n, 1)
        values = (labels[:, left] != labels[:, right]).astype(float)
    if blocks is not None and design.models == "unrelated":
        kinds = list_pair_kinds(blocks, n)
        brains, values = level_means(brains, kinds), level_means(values, kinds)
    if design.lacking:
        left, right = np.triu_indices(n, 1)
        for row in brains:
            lacks = np.isin(np.arange(n), rng.choice(n, design.lacking, replace=False))
            row[lacks[left] | lacks[right]] = np.nan
    return *label(design, values, brains), blocks


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
