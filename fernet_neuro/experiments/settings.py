"""Settings that recipes of several experiments have in common: read-outs, maps, and simulated brains.

What belongs here: keys, meaning and limits.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from fernet_neuro._utils.config import Settings
from fernet_neuro.brain.simulation.settings import SimulationSettings
from fernet_neuro.typing import Holdout, ReadOut


class ProbeSettings(Settings):
    """One direction of transfer: what is read out, and what is kept out of the training folds.

    Parameters
    ----------
    target : str
        Factor that is read out, such as ``"expression"``.
    holdout : str
        Factor whose values are on one side of each fold only, such as ``"identity"``.
    readouts : tuple of {"ridge", "lda", "nearest-mean", "logistic", "sgd"}
        Linear read-outs.
    scale : {"auto", "classes", "numbers"}
        Whether the target names classes or is a quantity; see `run_probe`.
    permutations : int
        Number of label permutations for the null of the ridge read-out.
    n_folds : int
        Folds of the hold-outs "identity" and "random"; no more than there are identities.
    twins : int
        Untrained networks that a trained one is compared with; a p value needs more than one.
    """

    target: str
    holdout: Holdout
    readouts: tuple[ReadOut, ...] = ("ridge",)
    scale: Literal["auto", "classes", "numbers"] = "auto"
    permutations: int = Field(1000, ge=0)
    n_folds: int = Field(10, ge=2)
    twins: int = Field(10, ge=1)


def list_twins(seeds: Sequence[int], n_twins: int) -> list[int]:
    """Return the numbers of `n_twins` untrained networks, those of the training seeds among them.

    Examples
    --------
    >>> list_twins([3], 3), list_twins([0, 1], 1)
    ([3, 0, 1], [0])
    """
    return [*dict.fromkeys([*seeds, *range(n_twins)])][:n_twins]


class MapSettings(Settings):
    """How maps are made and judged; see `embedding.pipeline.compute_embedding`.

    Parameters
    ----------
    method : {"tsne", "umap"}
    perplexity : float or None
        None takes 30, or the largest that so few stimuli allow.
    n_pca : int
        Principal components that maps are made from.
    n_neighbours : int or None
        k of purity and k-NN; None takes 10, or fewer where labels have fewer.
    permutations : int
        Relabellings of the null.
    seed : int
        Of maps and relabellings.
    """

    method: Literal["tsne", "umap"] = "tsne"
    perplexity: float | None = Field(None, ge=2)
    n_pca: int = Field(50, ge=2)
    n_neighbours: int | None = Field(None, ge=1)
    permutations: int = Field(1000, ge=0)
    seed: int = Field(0, ge=0)


class BrainSettings(Settings):
    """A simulated group that looks at some of the probe stimuli, and networks compared with its brains.

    Parameters
    ----------
    identities : int
        People shown: the first of the probe stimuli. They are resampled as blocks, so four or more.
    expressions : tuple of str or None
        Expressions shown of each; None for all.
    networks : tuple of str or None
        Whose layers are compared with regions; None for all that the recipe compares. Layers that the recipe
        gives names are always among the models.
    distance : str
        Between activations, a name in ``rsa.distances.DISTANCES``.
    comparison : str
        Between RDMs, a name in ``rsa.compare.COMPARISONS``. By default one that knows that crossnobis
        distances which share a stimulus vary together, and for which a constant in a layer's distances counts
        nothing.
    bootstraps, permutations : int
    simulation : SimulationSettings
        The group.
    """

    identities: int = Field(12, ge=4)
    expressions: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    distance: str = "correlation"
    comparison: str = "whitened_pearson"
    bootstraps: int = Field(1000, ge=10)
    permutations: int = Field(1000, ge=0)
    simulation: SimulationSettings = Field(default_factory=SimulationSettings)
