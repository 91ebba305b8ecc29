"""Brain RDMs without the effect, made of measured ones: for each claim of an RSA, data in which it is false.

What belongs here: drawing subjects, labels and true models; running the analysis on them is in `calibration`.
"""

from dataclasses import replace

import numpy as np

from fernet_neuro.rsa.inference.regions import SIGNED_DISTANCES
from fernet_neuro.rsa.inference.resample import code_blocks, draw_permutations
from fernet_neuro.rsa.pairs import take_pairs
from fernet_neuro.rsa.rdms import RDMSet, mean_of


def draw_subjects(brain: RDMSet, rng: np.random.Generator) -> RDMSet:
    """Return as many new subjects of each region, from a population like the measured one.

    The population's RDMs are normal, with the mean and the covariance of the subjects measured; a region with
    one subject stays as it is. Drawing the measured subjects with replacement instead would repeat some, with
    their noise: repeated noise is agreement, and ceilings would rise. A subject's draw is one for all
    regions, so these stay as dependent as they were.
    """
    names = brain.table["subject"].astype(str).to_numpy()
    everyone = list(dict.fromkeys(names.tolist()))
    mixing = rng.standard_normal((len(everyone), len(everyone)))
    made = brain.dissimilarities.copy()
    for rows in brain.rows_by("roi").values():
        if len(rows) < 2:
            continue
        means = mean_of(brain.dissimilarities[rows])
        deviations = np.nan_to_num(brain.dissimilarities[rows] - means)
        who = [everyone.index(name) for name in names[rows]]
        shift = mixing[np.ix_(who, who)] @ deviations / np.sqrt(len(rows) - 1)
        made[rows] = np.where(np.isnan(brain.dissimilarities[rows]), np.nan, means + shift)
    return replace(brain, dissimilarities=made)


def relabel(
    brain: RDMSet,
    rng: np.random.Generator,
    *,
    blocks: np.ndarray | None = None,
    by_subject: bool = False,
    comparison: str = "rho_a",
) -> RDMSet:
    """Return the RDMs under permuted stimulus labels: no relation to any model is left in expectation.

    Labels of blocks of equal size change places, and labels inside each block. What pairs have in common that
    no such permutation can move (two stimuli of one block are of one block ever after) is levelled first:
    every kind of pair gets the same mean. For cosines of distances that are 0 on average without a difference
    (`is_centred`), each RDM's mean is taken off as well. Distances that are never negative keep theirs, as
    they would without an effect: their cosine with any model stays above zero, and tests against 0 find it.

    `brain`: one RDM per region and subject. `blocks` (n_stimuli,). `by_subject`: whether each subject gets
    labels of its own, in all regions. With common labels, geometry, reliability and noise ceilings stay what
    they are; with own ones no geometry is shared either.
    """
    kinds = list_pair_kinds(blocks, brain.n_stimuli)
    vectors = level_means(brain.dissimilarities, kinds, is_centred=is_centred(brain, comparison))
    names = brain.table["subject"].astype(str).to_numpy() if by_subject else np.full(brain.n_rdms, "")
    for name in dict.fromkeys(names.tolist()):
        seed = int(rng.integers(2**31))
        order = draw_permutations(1, brain.n_stimuli, blocks=blocks, seed=seed)[0]
        rows = names == name
        vectors[rows] = take_pairs(vectors[rows], brain.n_stimuli, order)
    return replace(brain, dissimilarities=vectors)


def is_centred(brain: RDMSet, comparison: str) -> bool:
    """Return whether no effect means dissimilarities of 0: to cosines, of distances that may be negative."""
    return "cosine" in comparison and brain.distance in SIGNED_DISTANCES


def plant_model(brain: RDMSet, model: np.ndarray, comparison: str) -> RDMSet:
    """Return the RDMs with another mean per region: the model's geometry in place of the measured one.

    Each subject keeps its deviation from the mean. For cosines the mean is the model times a factor; for
    other comparisons the model is brought to the mean and the standard deviation of the mean RDM.
    """
    made = brain.dissimilarities.copy()
    for rows in brain.rows_by("roi").values():
        mean = mean_of(brain.dissimilarities[rows])
        present = ~np.isnan(mean) & ~np.isnan(model)
        if "cosine" in comparison:
            truth = model * np.linalg.norm(mean[present]) / np.linalg.norm(model[present])
        else:
            scale = mean[present].std() / model[present].std()
            truth = mean[present].mean() + (model - model[present].mean()) * scale
        made[rows] += truth - mean
    return replace(brain, dissimilarities=made)


def list_pair_kinds(blocks: np.ndarray | None, n_stimuli: int) -> np.ndarray:
    """Return the kind of each pair, shape (n_pairs,): what no permutation of labels changes about it.

    Without blocks there is one kind. With them, a kind is whether both stimuli are of one block, and the
    sizes of their blocks.
    """
    first, second = np.triu_indices(n_stimuli, 1)
    if blocks is None:
        return np.zeros(len(first), dtype=int)
    codes = code_blocks(blocks, n_stimuli)
    sizes = np.bincount(codes)[codes]
    small, large = np.minimum(sizes[first], sizes[second]), np.maximum(sizes[first], sizes[second])
    described = np.stack([codes[first] == codes[second], small, large], axis=1)
    return np.unique(described, axis=0, return_inverse=True)[1].ravel()


def level_means(vectors: np.ndarray, kinds: np.ndarray, *, is_centred: bool = False) -> np.ndarray:
    """Return vectors (n_rdms, n_pairs) in which every kind of pair has the RDM's mean, or 0 if centred."""
    levelled = vectors.copy()
    for row in levelled:
        present = ~np.isnan(row)
        overall = 0.0 if is_centred else row[present].mean()
        counts = np.bincount(kinds[present], minlength=kinds.max() + 1)
        sums = np.bincount(kinds[present], row[present], minlength=kinds.max() + 1)
        row += overall - (sums / np.maximum(counts, 1))[kinds]
    return levelled


def share_of_movable(blocks: np.ndarray | None, n_stimuli: int) -> float:
    """Return the share of stimuli whose block can change places with another of its size."""
    codes = code_blocks(blocks, n_stimuli)
    sizes = np.bincount(codes)
    return float((np.bincount(sizes)[sizes[codes]] > 1).mean())
