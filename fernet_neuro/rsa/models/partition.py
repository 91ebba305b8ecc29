"""What each of several models explains of an RDM, alone and together.

What belongs here: partial comparisons and commonality analysis of vectors of pairs; inference on the shares
is in the folder `inference`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from fernet_neuro._utils.validation import check_option
from fernet_neuro.rsa.compare import FEWEST_PAIRS, INNER_PRODUCTS, ComparisonResult, InnerProduct
from fernet_neuro.rsa.rdms import RDMSet, check_same_stimuli

#: Shares of variance number 2^n - 1; beyond this, none could be read.
MOST_MODELS = 8
#: A model of which less than this share is left by the others is taken for a sum of them.
COLLINEAR = 1e-10


@dataclass(frozen=True, eq=False)
class PartitionResult:
    """Shares of the variance of RDMs that sets of models explain.

    Parameters
    ----------
    shares : DataFrame
        One row per RDM and component: the columns of the RDM's table, then ``models`` (names joined by
        " & "), ``component`` (``unique``: of one model alone; ``common``: of exactly these models together,
        negative where one suppresses the other; ``total``), ``share`` (of the RDM's variance, unitless) and
        ``n_pairs``.
    models : list of str
    comparison : str
        The space in which variance is measured.
    """

    shares: pd.DataFrame
    models: list[str]
    comparison: str

    def select(self, component: str) -> pd.DataFrame:
        """Return the rows of a component.

        Raises ValueError if it is not ``unique``, ``common`` or ``total``.
        """
        check_option("component", component, ("unique", "common", "total"))
        return self.shares[self.shares["component"] == component].reset_index(drop=True)


def compare_partial(
    data: RDMSet, models: RDMSet, controls: RDMSet, comparison: str = "spearman"
) -> ComparisonResult:
    """Compare RDMs with models after taking the controls out of both.

    Parameters
    ----------
    data, models, controls : RDMSet
        Of the same stimuli in the same order.
    comparison : str, default="spearman"
        A name in ``compare.INNER_PRODUCTS``; with ``spearman``, ranks are taken first.

    Returns
    -------
    ComparisonResult
        Values (n_data, n_models): partial correlations, or partial cosines without a mean taken off. Pairs
        that one of the controls, the RDM or the model lacks are left out.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        If the comparison is not known, the controls explain a model or an RDM entirely, they are sums of one
        another, or too few pairs are shared.

    Examples
    --------
    >>> model, control = np.array([0.0, 0, 1, 1, 2, 3]), np.array([3.0, 1, 0, 0, 1, 2])
    >>> brain, models, controls = (
    ...     RDMSet(vector[None], list("abcd")) for vector in (model + 5 * control, model, control)
    ... )
    >>> compare_partial(brain, models, controls, "pearson").values.round(6)
    array([[1.]])
    """
    product = INNER_PRODUCTS[check_option("comparison", comparison, INNER_PRODUCTS)]
    check_same_stimuli(data, models, ("the data", "the models"))
    check_same_stimuli(data, controls, ("the data", "the controls"))
    values = np.empty((data.n_rdms, models.n_rdms))
    n_pairs = np.empty(values.shape, dtype=int)
    controlled = [f"control {name}" for name in controls.names]
    for row, column in np.ndindex(values.shape):
        pair = [data.dissimilarities[row], models.dissimilarities[column]]
        names = [*controlled, data.names[row], models.names[column]]
        gram, n_pairs[row, column] = _correlate(np.stack([*controls.dissimilarities, *pair]), names, product)
        values[row, column] = _compare_what_is_left(gram, names)
    return ComparisonResult(np.clip(values, -1, 1), n_pairs, comparison, data.table, models.table)


def partition_variance(data: RDMSet, models: RDMSet, comparison: str = "pearson") -> PartitionResult:
    """Split the variance of each RDM into what models explain alone, together, and in all.

    Ordinary least squares with all sets of models: the share of exactly the models T is the alternating sum
    of R^2 over the sets that lack some of T (commonality analysis [1]_). All shares add up to the total.

    Parameters
    ----------
    data, models : RDMSet
        Of the same stimuli in the same order; 2 to 8 models.
    comparison : str, default="pearson"
        The space in which variance is measured, a name in ``compare.INNER_PRODUCTS``: with ``spearman`` that
        of ranks, with ``whitened_pearson`` generalised least squares, with cosines without an intercept.

    Raises
    ------
    AlignmentError
        If stimuli differ, or their order.
    ValueError
        If the comparison is not known, models are too few, too many or sums of one another, or an RDM is
        constant.

    References
    ----------
    .. [1] Seibold & McPhee (1979), Commonality analysis: a method for decomposing explained variance in
       multiple regression analyses, Human Communication Research 5.

    Examples
    --------
    >>> models = RDMSet(np.array([[0.0, 0, 1, 1, 2, 3], [3, 1, 0, 0, 1, 2]]), list("abcd"))
    >>> partition_variance(models.take([0]), models).select("total")["share"].round(6).tolist()
    [1.0]
    """
    product = INNER_PRODUCTS[check_option("comparison", comparison, INNER_PRODUCTS)]
    check_same_stimuli(data, models, ("the data", "the models"))
    if not 2 <= models.n_rdms <= MOST_MODELS:
        raise ValueError(f"partition_variance takes 2 to {MOST_MODELS} models; got {models.n_rdms}.")
    names, subsets, mixing = models.names, list_subsets(models.n_rdms), mix_subsets(models.n_rdms)
    components, frames = label_components(names), []
    for row, name in enumerate(data.names):
        stack = np.vstack([models.dissimilarities, data.dissimilarities[row]])
        gram, n_pairs = _correlate(stack, [*names, name], product)
        _check_independent(gram[:-1, :-1], names)
        shares = mixing @ np.array([_compute_r_squared(gram, chosen) for chosen in subsets])
        frame = components.assign(share=shares, n_pairs=n_pairs)
        labels = data.table.iloc[[row] * len(frame)].reset_index(drop=True)
        frames.append(pd.concat([labels, frame], axis=1))
    return PartitionResult(pd.concat(frames, ignore_index=True), names, comparison)


def _correlate(vectors: np.ndarray, names: Sequence[str], product: InnerProduct) -> tuple[np.ndarray, int]:
    """Return the comparisons (n, n) of all vectors over the pairs that all have, and how many those are."""
    present = ~np.isnan(vectors).any(axis=0)
    if present.sum() < max(FEWEST_PAIRS, len(vectors) + 1):
        raise ValueError(
            f"{int(present.sum())} pairs of stimuli are present in all of {len(vectors)} RDMs ({names[-1]!r} "
            f"and the models); that is too few."
        )
    shared = vectors[:, present]
    gram = product.compare(shared, shared, present)
    constant = np.flatnonzero(np.isnan(np.diag(gram)))
    if len(constant):
        raise ValueError(
            f"RDM {names[constant[0]]!r} is constant over the pairs that all have; leave it out."
        )
    return gram, int(present.sum())


def _compare_what_is_left(gram: np.ndarray, names: Sequence[str]) -> float:
    """Return the comparison of the last two vectors without what all before them explain."""
    inside, across = gram[:-2, :-2], gram[:-2, -2:]
    _check_independent(inside, names)
    left = gram[-2:, -2:] - across.T @ np.linalg.solve(inside, across)
    explained = np.flatnonzero(np.diag(left) < COLLINEAR)
    if len(explained):
        name = names[len(inside) + explained[0]]
        raise ValueError(f"the controls explain RDM {name!r} entirely; nothing is left to compare.")
    return float(left[0, 1] / np.sqrt(left[0, 0] * left[1, 1]))


def _check_independent(gram: np.ndarray, names: Sequence[str]) -> None:
    """Refuse models of which one is a weighted sum of those before it."""
    for last in range(1, len(gram)):
        across = gram[:last, last]
        if 1 - across @ np.linalg.solve(gram[:last, :last], across) < COLLINEAR:
            raise ValueError(
                f"RDM {names[last]!r} is a weighted sum of those before it ({', '.join(names[:last])}); "
                f"leave one out."
            )


def _compute_r_squared(gram: np.ndarray, chosen: tuple[int, ...]) -> float:
    """Return R^2 of the last vector on the chosen ones."""
    if not chosen:
        return 0.0
    inside, across = gram[np.ix_(chosen, chosen)], gram[list(chosen), -1]
    return float(across @ np.linalg.solve(inside, across))


def list_subsets(n_models: int) -> list[tuple[int, ...]]:
    """Return all sets of models, the empty one first."""
    sizes = range(n_models + 1)
    return [chosen for size in sizes for chosen in combinations(range(n_models), size)]


def mix_subsets(n_models: int) -> np.ndarray:
    """Return the signs (n_components, n_subsets) with which R^2 of subsets make up the shares."""
    subsets = list_subsets(n_models)
    place = {chosen: number for number, chosen in enumerate(subsets)}
    everything = set(range(n_models))
    signs = np.zeros((len(subsets), len(subsets)))
    for row, chosen in enumerate(subsets[1:]):
        for size in range(len(chosen) + 1):
            for part in combinations(chosen, size):
                others = tuple(sorted((everything - set(chosen)) | set(part)))
                signs[row, place[others]] += (-1) ** (size + 1)
    signs[-1, place[tuple(range(n_models))]] = 1
    return signs


def label_components(names: Sequence[str]) -> pd.DataFrame:
    """Return one row per share: ``models`` and ``component``, the total last."""
    rows = [
        (" & ".join(names[model] for model in chosen), "unique" if len(chosen) == 1 else "common")
        for chosen in list_subsets(len(names))[1:]
    ]
    rows.append((" + ".join(names), "total"))
    return pd.DataFrame(rows, columns=["models", "component"])
