"""Two-dimensional maps by t-SNE and UMAP: principal components first, started from the first two of them.

What belongs here: from features to coordinates, the same numbers with the same seed; how far to trust them is
in `quality`. openTSNE and umap-learn are imported only here, and late.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.threads import limit_threads
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.activations.reduce import build_reducer

#: Default perplexity; t-SNE looks at three times as many neighbours, UMAP at as many.
PERPLEXITY = 30.0
_NEIGHBOURS_PER_PERPLEXITY = {"tsne": 3, "umap": 1}
#: A perplexity below this would leave a stimulus without a second neighbour.
_SMALLEST = 2
#: Numbers of a layer that are copied in double precision (128 MB); a larger one is reduced as it is stored.
_MOST_IN_DOUBLE = 2**24
#: Standard deviation of the first axis of the start: small, so that the optimisation decides (openTSNE).
_START_SD = 1e-4


@dataclass(frozen=True, eq=False)
class MapResult:
    """Where each stimulus lies in a map.

    `stimulus_ids` (n_stimuli,): in row order. `coordinates` (n_stimuli, 2): unitless; only who is near whom
    means anything. `settings`: method, perplexity, components, seed and versions, as plain values.
    """

    stimulus_ids: np.ndarray
    coordinates: np.ndarray
    settings: dict[str, Any] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per stimulus: ``stimulus_id, x, y``."""
        x, y = self.coordinates.T
        return pd.DataFrame({"stimulus_id": self.stimulus_ids, "x": x, "y": y})


def compute_map(
    X: np.ndarray,
    stimulus_ids: Iterable[str],
    *,
    method: str = "tsne",
    perplexity: float = PERPLEXITY,
    n_pca: int = 50,
    seed: int = 0,
) -> MapResult:
    """Return a map of features, by t-SNE [1]_ or UMAP [2]_.

    Features are reduced to principal components, and the map starts from the first two of them, so that its
    global arrangement is that of the data rather than of the seed [3]_. t-SNE learns at the rate
    n / exaggeration [4]_. Both run on one thread, for threads would change the last bits and those the map.

    Parameters
    ----------
    X : ndarray of shape (n_stimuli, n_units)
        Features. More than 2^24 numbers in single precision are reduced in single precision.
    stimulus_ids : iterable of str
        One unique id per row.
    method : {"tsne", "umap"}, default="tsne"
        How.
    perplexity : float, default=30
        How many neighbours a stimulus has, about; UMAP takes it, rounded, as its ``n_neighbors``.
    n_pca : int, default=50
        Principal components to keep; fewer where the data have fewer.
    seed : int, default=0
        Seed of the optimisation.

    Returns
    -------
    MapResult
        Coordinates of shape (n_stimuli, 2). The same seed gives the same numbers on one machine.

    Raises
    ------
    ValueError
        If shapes, ids or values are not as said, all rows are equal, or the perplexity is too large for the
        number of stimuli; the message names the largest that fits.

    References
    ----------
    .. [1] van der Maaten, L. and Hinton, G. (2008). Visualizing data using t-SNE. Journal of Machine Learning
       Research, 9, 2579-2605.
    .. [2] McInnes, L., Healy, J. and Melville, J. (2018). UMAP: Uniform manifold approximation and projection
       for dimension reduction. arXiv:1802.03426.
    .. [3] Kobak, D. and Linderman, G. C. (2021). Initialization is critical for preserving global data
       structure in both t-SNE and UMAP. Nature Biotechnology, 39, 156-157.
    .. [4] Belkina, A. C. et al. (2019). Automated optimized parameters for t-SNE improve visualization and
       analysis of large datasets. Nature Communications, 10, 5415.
    """
    check_option("method", method, METHODS)
    check_range("n_pca", n_pca, minimum=2)
    X, ids = _check_features(X, stimulus_ids)
    check_perplexities([perplexity], len(X), method)
    with limit_threads(1):
        components, explained = _reduce(X, n_pca, seed)
        coordinates, details = METHODS[method](components, float(perplexity), seed)
    settings = {
        "method": method,
        "perplexity": float(perplexity),
        "n_pca": components.shape[1],
        "explained_variance": explained,
        "initialisation": "first two principal components",
        "seed": seed,
        **details,
    }
    return MapResult(ids, coordinates, settings)


def default_perplexity(n_stimuli: int, method: str = "tsne") -> float:
    """Return 30, or the largest perplexity that so few stimuli allow.

    Examples
    --------
    >>> default_perplexity(1000), default_perplexity(25)
    (30.0, 8.0)
    """
    check_option("method", method, METHODS)
    return min(PERPLEXITY, float(_largest_perplexity(n_stimuli, method)))


def check_perplexities(perplexities: Sequence[float], n_stimuli: int, method: str = "tsne") -> None:
    """Raise unless each perplexity fits the number of stimuli and none is asked for twice.

    Raises ValueError naming the first that is not, and the largest that is.
    """
    check_option("method", method, METHODS)
    largest = _largest_perplexity(n_stimuli, method)
    if largest < _SMALLEST:
        fewest = _SMALLEST * _NEIGHBOURS_PER_PERPLEXITY[method] + 1
        raise ValueError(
            f"{n_stimuli} stimuli are too few for a map by {method}; it needs at least {fewest}."
        )
    for value in perplexities:
        if not _SMALLEST <= value <= largest:
            raise ValueError(
                f"perplexity={value:g} does not fit {n_stimuli} stimuli: "
                f"{method} takes {_SMALLEST} to {largest} here."
            )
    repeated = [value for number, value in enumerate(perplexities) if value in perplexities[:number]]
    if repeated:
        raise ValueError(f"perplexity={repeated[0]:g} is given twice; a sweep names each once.")


def _largest_perplexity(n_stimuli: int, method: str) -> int:
    return (n_stimuli - 1) // _NEIGHBOURS_PER_PERPLEXITY[method]


def _check_features(X: np.ndarray, stimulus_ids: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    X, ids = _choose_precision(np.asarray(X)), np.array([str(name) for name in stimulus_ids], dtype=str)
    if X.ndim != 2 or ids.shape != X.shape[:1]:
        raise ValueError(
            f"X must be (n_stimuli, n_units) with one stimulus id per row; got {X.shape} and {ids.shape}."
        )
    if len(np.unique(ids)) != len(ids):
        raise ValueError("stimulus_ids must be unique.")
    if not np.isfinite(X).all():
        row = int(np.flatnonzero(~np.isfinite(X).all(axis=1))[0])
        raise ValueError(f"X must be finite; stimulus {str(ids[row])!r} has a value that is not.")
    if X.shape[1] < 2 or len(X) < 2 or np.ptp(X, axis=0).max() == 0:
        what = "all rows are equal" if min(X.shape) >= 2 else f"got the shape {X.shape}"
        raise ValueError(f"a map needs at least two stimuli and two units that differ; {what}.")
    return X, ids


def _choose_precision(X: np.ndarray) -> np.ndarray:
    """Return values in double precision, or in single where they are stored in less and many."""
    is_large = X.size > _MOST_IN_DOUBLE and X.dtype in (np.float16, np.float32)
    return X.astype(np.float32 if is_large else float, copy=False)


def _reduce(X: np.ndarray, n_pca: int, seed: int) -> tuple[np.ndarray, float]:
    """Return principal components that carry variance, at least two columns, and their share of it."""
    n_components = min(n_pca, len(X) - 1, X.shape[1])
    reducer = build_reducer("pca", n_components, seed)
    components = reducer.fit_transform(X).astype(float, copy=False)
    spread = components.std(axis=0)
    n_kept = max(2, int((spread > np.finfo(X.dtype).eps ** 0.6 * spread[0]).sum()))
    return components[:, :n_kept], float(reducer.explained_variance_ratio_[:n_kept].sum())


def _start(components: np.ndarray, seed: int) -> np.ndarray:
    """Return the first two components, scaled; data on a line get a second axis of tiny noise."""
    start = components[:, :2] / components[:, 0].std() * _START_SD
    flat = start[:, 1].std() < 1e-3 * _START_SD
    noise = make_rng(seed, "embedding", "start").standard_normal(len(start)) * _START_SD / 100
    return np.column_stack([start[:, 0], start[:, 1] + noise]) if flat else start


def _run_tsne(components: np.ndarray, perplexity: float, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    with _silent():
        from openTSNE import TSNE

        estimator = TSNE(
            perplexity=perplexity,
            initialization=_start(components, seed),
            learning_rate="auto",
            n_jobs=1,
            random_state=seed,
        )
        # Approximate neighbours differ between builds; exact ones are quick enough up to here.
        is_small = len(components) <= 10_000
        known = {"affinities": _weigh_exact(components, perplexity)} if is_small else {"X": components}
        fitted = estimator.fit(**known)
    # The fitted object is an array that its own first `transform` shifts in place: take a copy.
    coordinates = np.array(fitted, dtype=float, copy=True)
    return coordinates, {"learning_rate": "n / exaggeration", "versions": {"openTSNE": version("openTSNE")}}


def _weigh_exact(components: np.ndarray, perplexity: float) -> Any:
    """Return how t-SNE weighs exact neighbours; asked for by name, pynndescent would be loaded in vain."""
    from openTSNE.affinity import MultiscaleMixture
    from openTSNE.nearest_neighbors import Sklearn

    index = Sklearn(components, k=int(3 * perplexity), metric="euclidean", n_jobs=1)
    return MultiscaleMixture(knn_index=index, perplexities=perplexity, n_jobs=1)


def _run_umap(components: np.ndarray, perplexity: float, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    n_neighbors, min_dist = round(perplexity), 0.1
    with _silent():
        from umap import UMAP

        import fernet_neuro._utils.compiling  # noqa: F401  # umap keeps compiled functions too

        estimator = UMAP(
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            init=_start(components, seed).astype(np.float32),
            random_state=seed,
            n_jobs=1,
        )
        coordinates = np.array(estimator.fit_transform(components), dtype=float)
    details = {
        "n_neighbors": n_neighbors,
        "min_dist": min_dist,
        "versions": {"umap-learn": version("umap-learn")},
    }
    return coordinates, details


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the warnings of the two packages (missing TensorFlow, compiler notes) from the caller."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


METHODS: dict[str, Callable[[np.ndarray, float, int], tuple[np.ndarray, dict[str, Any]]]] = {
    "tsne": _run_tsne,
    "umap": _run_umap,
}
