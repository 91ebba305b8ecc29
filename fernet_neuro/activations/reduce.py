"""Fewer units per layer: pooling over space, random projection, principal components.

What belongs here: reductions of one layer; whatever is learned is learned from the training rows only.
"""

from typing import TYPE_CHECKING

import numpy as np

from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.activations.array import Activations

if TYPE_CHECKING:  # scikit-learn takes long to load
    from sklearn.base import TransformerMixin

#: Principal components, and a sparse random projection.
REDUCERS = ("pca", "srp")


def pool_maps(activations: Activations) -> Activations:
    """Return the mean over space of (n_channels, height, width) answers, of shape (n_stimuli, n_channels).

    Raises ValueError if the layer has no spatial axes.
    """
    if len(activations.unit_shape) != 3:
        raise ValueError(
            f"layer {activations.layer!r} has units of shape {activations.unit_shape}; "
            f"pooling needs (n_channels, height, width)."
        )
    means = activations.maps.mean(axis=(2, 3), dtype=np.float32)
    return Activations(means, activations.stimulus_ids, activations.layer)


def build_reducer(kind: str, n_components: int, seed: int = 0) -> "TransformerMixin":
    """Return an unfitted scikit-learn transformer from (n_stimuli, n_units) to (n_stimuli, n_components).

    `kind`: one of "pca", "srp"; principal components, or a sparse random projection (which learns nothing
    from the values). `n_components`: number of columns to keep. `seed`: seed of the random projection or of a
    randomised solver. Raises ValueError if `kind` is not known or `n_components` is below 1.
    """
    check_option("kind", kind, REDUCERS)
    check_range("n_components", n_components, minimum=1)
    if kind == "pca":
        from sklearn.decomposition import PCA

        return PCA(n_components, random_state=seed)
    from sklearn.random_projection import SparseRandomProjection

    return SparseRandomProjection(n_components, dense_output=True, random_state=seed)


def reduce_activations(
    activations: Activations, kind: str, n_components: int, *, train: np.ndarray, seed: int = 0
) -> Activations:
    """Fit a reducer on the rows `train` only and return all rows reduced.

    `activations` (n_stimuli, n_units): the layer. `kind`, `n_components`, `seed`: as in `build_reducer`.
    `train` (n_train,): rows that the reducer may learn from; test rows that took part would leak into the
    result. Raises ValueError as `build_reducer`, or if there are fewer training rows than components.
    """
    reducer = build_reducer(kind, n_components, seed)
    reducer.fit(activations.values[np.asarray(train)])
    return Activations(
        reducer.transform(activations.values), activations.stimulus_ids, activations.layer, (n_components,)
    )
