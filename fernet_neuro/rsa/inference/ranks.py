"""Comparisons of ranks in many samples and permutations at once, for arrays of RDMs.

What belongs here: what the compiled `rank_kernels` need to be given, and threads to run them in.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from fernet_neuro.rsa.compare import sort_ties
from fernet_neuro.rsa.inference.rank_kernels import run_permuted, run_samples
from fernet_neuro.rsa.inference.resample import Compared
from fernet_neuro.rsa.weighted import PARTS, level_blocks

#: Comparisons of ranks and what the kernels call them.
KINDS = {"spearman": 0, "rho_a": 1, "kendall_tau_a": 2}


def compare_ranked(asked: Compared, present: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rank comparisons of subjects with models and with each other's pooled ranks, for each sample.

    As `bootstrap.compare_alike`, where values of pairs that are not `present` are not looked at; ceilings are
    NaN for subjects not drawn, and 0 where ranks are constant.
    """
    subjects, models, multiplicities = asked.subjects, asked.models, asked.multiplicities
    copies, blocks = asked.copies, asked.blocks
    n_stimuli = multiplicities.shape[1]
    left, right = (index[present] for index in np.triu_indices(n_stimuli, 1))
    stacked = np.concatenate([subjects, models])[:, present]
    orders, steps, ties = sort_ties(stacked)
    is_within = np.zeros(len(left), dtype=bool) if blocks is None else blocks[left] == blocks[right]
    unit = 1 if blocks is None else PARTS
    levels = np.zeros(len(multiplicities)) if blocks is None else level_blocks(multiplicities, blocks)
    times = np.rint(PARTS * levels).astype(np.int64)
    n_others = len(models) + asked.among * len(subjects)
    scores = np.empty((len(multiplicities), len(subjects), n_others))
    lower, upper = np.full(copies.shape, np.nan), np.full(copies.shape, np.nan)
    counts = multiplicities.astype(np.int64)
    drawn = np.ascontiguousarray(copies, dtype=np.int64)

    def work(part: slice) -> None:
        run_samples(
            counts[part], drawn[part], left, right, is_within, times[part], unit, orders, steps, ties,
            len(subjects), KINDS[asked.comparison], scores[part], lower[part], upper[part],
        )  # fmt: skip

    run_in_parts(work, len(counts), asked.n_jobs)
    return scores, lower, upper


def permute_signs(
    subjects: np.ndarray, models: np.ndarray, pairs: np.ndarray, *, n_jobs: int = 1
) -> np.ndarray:
    """Return Kendall's tau-a (n_permutations, n_models), averaged over subjects whose pairs are exchanged.

    `pairs` (n_permutations, n_pairs) says which pair of the subjects takes the place of each; without gaps.
    """
    groups = [sort_ties(side)[2].astype(np.int64) for side in (subjects, models)]
    orders = sort_ties(models)[0]
    out = np.empty((len(pairs), len(models)))

    def work(part: slice) -> None:
        run_permuted(pairs[part], orders, groups[1], orders, groups[0].max(axis=1) + 1, groups[0], out[part])

    run_in_parts(work, len(pairs), n_jobs)
    return out


def run_in_parts(work: Callable[[slice], None], n_items: int, n_jobs: int) -> None:
    """Call `work` with slices that cover `n_items`, in `n_jobs` threads."""
    edges = np.linspace(0, n_items, max(1, min(n_jobs, n_items)) + 1).astype(int)
    parts = [slice(int(start), int(stop)) for start, stop in pairwise(edges)]
    if len(parts) == 1:
        work(parts[0])
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, parts))
