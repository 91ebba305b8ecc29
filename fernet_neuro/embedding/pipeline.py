"""From stored activations to maps with their quality, layer by layer.

What belongs here: the order of steps and the tables they fill; each step is in a module of its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fernet_neuro._utils.progress import track
from fernet_neuro._utils.record import list_versions
from fernet_neuro._utils.tables import as_typed
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.activations.copies import warn_of_equal_answers
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.embedding.comparison import Comparison, plan_comparison
from fernet_neuro.embedding.maps import (
    METHODS,
    MapResult,
    check_perplexities,
    compute_map,
    default_perplexity,
)
from fernet_neuro.embedding.quality import (
    QualityScore,
    choose_n_neighbours,
    compute_quality,
    compute_trustworthiness,
)
from fernet_neuro.embedding.result import QUALITY_COLUMNS, EmbeddingResult
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stats.multiple import compute_p_values
from fernet_neuro.stimuli.copies import check_copies_together
from fernet_neuro.stimuli.table import StimulusTable, check_same_stimuli

#: Factors that are judged where none is named, of those that the table can judge.
FACTORS = ("expression", "identity")
#: Factors that stand beside the coordinates wherever the table has them.
_LABELS = ("identity", "expression", "view", "session")
_VERSIONED = ("fernet-neuro", "numpy", "scipy", "scikit-learn", "openTSNE", "umap-learn")


def compute_embedding(
    store: ActivationStore,
    layers: Sequence[str],
    *,
    table: StimulusTable | None = None,
    method: str = "tsne",
    perplexities: Sequence[float] = (),
    factors: Sequence[str] = (),
    n_pca: int = 50,
    n_neighbours: int | None = None,
    n_permutations: int = 1000,
    seed: int = 0,
    verbose: bool = False,
) -> EmbeddingResult:
    """Map layers at each perplexity, and judge every factor in the features and in each map.

    Parameters
    ----------
    store : ActivationStore
        The activations.
    layers : sequence of str
        Layers to map, in the order of the report.
    table : StimulusTable, optional
        Labels to use instead of the store's own; the same stimuli in the same order.
    method, n_pca, seed
        As `compute_map`.
    perplexities : sequence of float
        All are computed and reported, none is chosen by its scores. By default 30, or the largest that so
        few stimuli allow.
    factors : sequence of str
        Factors to judge; by default expression and identity, where the table has them.
    n_neighbours, n_permutations
        As `compute_quality`.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    EmbeddingResult
        ``p_value_max`` of its quality is corrected over the layers and perplexities of one factor, space and
        measure, by the maximum of the null scores of each labelling.

    Raises
    ------
    ValueError
        As `compute_map` and `compute_quality`, or if a layer or factor is named twice.
    StimulusError
        As `plan_comparison`, or if no factor is named and the table can judge none.
    LayerNotFoundError
        If the store has no such layer.
    """
    labels = store.stimuli if table is None else table
    check_same_stimuli(labels.stimulus_ids, store.stimuli.stimulus_ids, ("the table", "the store"))
    values = [float(value) for value in perplexities] or [default_perplexity(len(labels), method)]
    comparisons = check_embedding(
        labels, layers, method, values, factors, n_pca=n_pca, n_neighbours=n_neighbours
    )
    judge = Judge(comparisons, n_neighbours, n_permutations, seed)
    maps: list[tuple[str, MapResult]] = []
    for layer, X, found in map_layers(
        store, layers, labels, method=method, perplexities=values, n_pca=n_pca, seed=seed, verbose=verbose
    ):
        judge.add(layer, X, found)
        maps += [(layer, one) for one in found]
    settings = {
        "source": str(store.manifest.get("source", "")),
        "networks": [store.network],
        "store_key": store.key,
        "layers": list(layers),
        "method": method,
        "perplexities": values,
        "n_stimuli": len(labels),
        "n_permutations": n_permutations,
        "seed": seed,
        "factors": {item.factor: _describe(item, n_neighbours) for item in comparisons},
        "maps": [{"layer": layer, **one.settings} for layer, one in maps],
        "versions": list_versions(_VERSIONED),
    }
    return EmbeddingResult(_gather(maps, labels, comparisons), judge.to_frame(), settings)


def map_layers(
    store: ActivationStore,
    layers: Sequence[str],
    table: StimulusTable,
    *,
    method: str,
    perplexities: Sequence[float],
    n_pca: int = 50,
    seed: int = 0,
    verbose: bool = False,
) -> Iterator[tuple[str, np.ndarray, list[MapResult]]]:
    """Yield each layer with its features and its map at each perplexity; arguments as `compute_embedding`.

    Raises
    ------
    LayerNotFoundError
        If the store has no such layer.
    """
    warn_of_equal_answers(store, table)
    for layer in layers:
        store.load(layer)  # a missing layer is told before the first map is made
    for layer in track(layers, "embed", total=len(layers), verbose=verbose):
        X = store.load(layer).values
        maps = [
            compute_map(X, table.stimulus_ids, method=method, perplexity=value, n_pca=n_pca, seed=seed)
            for value in perplexities
        ]
        yield layer, X, maps


def check_embedding(
    table: StimulusTable,
    layers: Sequence[str],
    method: str,
    perplexities: Sequence[float],
    factors: Sequence[str] = (),
    *,
    n_pca: int = 50,
    n_neighbours: int | None = None,
) -> list[Comparison]:
    """Check all that does not need activations, before they are computed, and return how factors are judged.

    Raises
    ------
    ValueError, StimulusError
        As `compute_embedding`.
    """
    check_option("method", method, METHODS)
    check_range("n_pca", n_pca, minimum=2)
    check_perplexities(perplexities, len(table), method)
    if not layers:
        raise ValueError("name at least one layer.")
    for what, names in (("layer", layers), ("factor", factors)):
        repeated = [name for number, name in enumerate(names) if name in names[:number]]
        if repeated:
            raise ValueError(f"{what} {repeated[0]!r} is given twice; name each once.")
    comparisons = [plan_comparison(table, name) for name in factors] or _plan_defaults(table)
    for comparison in comparisons:
        choose_n_neighbours(comparison, n_neighbours)
    check_copies_together(table, np.array([item.groups for item in comparisons]))
    return comparisons


def _plan_defaults(table: StimulusTable) -> list[Comparison]:
    """Return expression and identity, each unless the table says nothing about it."""
    known = [name for name in FACTORS if (table.factor(name, complete=False).astype(str) != "").any()]
    varied = [name for name in known if len(set(table.factor(name, complete=False).astype(str))) > 1]
    if not varied:
        raise StimulusError(
            "the table has neither expressions nor identities to judge maps by; name a factor (--color-by)."
        )
    return [plan_comparison(table, name) for name in varied]


class Judge:
    """Collect the scores of every space; p values over layers need all of them.

    `with_trust`: whether maps are judged by their trustworthiness too, which no label changes.
    """

    def __init__(
        self,
        comparisons: Sequence[Comparison],
        n_neighbours: int | None,
        n_permutations: int,
        seed: int,
        *,
        with_trust: bool = True,
    ) -> None:
        self._comparisons = comparisons
        self._n_neighbours = n_neighbours
        self._n_permutations = n_permutations
        self._seed = seed
        self._with_trust = with_trust
        self._rows: list[dict[str, Any]] = []
        self._null: list[np.ndarray] = []

    def add(self, layer: str, X: np.ndarray, maps: Sequence[MapResult]) -> None:
        """Judge all factors in the features of a layer and in their maps."""
        self._add_space(layer, X)
        for one in maps:
            self._add_space(layer, one.coordinates, one, X if self._with_trust else None)

    def _add_space(
        self, layer: str, positions: np.ndarray, one: MapResult | None = None, X: np.ndarray | None = None
    ) -> None:
        """Judge all factors in one space: the features, or the map `one`, and how far that keeps `X`."""
        place = {
            "layer": layer,
            "space": "features" if one is None else "map",
            "method": "" if one is None else one.settings["method"],
            "perplexity": np.nan if one is None else one.settings["perplexity"],
            "n_stimuli": len(positions),
            "seed": self._seed,
        }
        for comparison in self._comparisons:
            scores = compute_quality(
                positions,
                comparison,
                n_neighbours=self._n_neighbours,
                n_permutations=self._n_permutations,
                seed=self._seed,
            )
            for score in scores:
                self._rows.append({**place, **_describe_score(score, comparison)})
                self._null.append(score.null_scores)
        if X is not None:
            value, k = compute_trustworthiness(X, positions, self._seed)
            self._rows.append({**place, **_NO_FACTOR, "value": value, "n_neighbours": k})
            self._null.append(np.empty(0))

    def to_frame(self) -> pd.DataFrame:
        """Return the quality table, with p values corrected over layers and perplexities."""
        frame = as_typed(pd.DataFrame(self._rows), QUALITY_COLUMNS)
        for rows in self._families(frame):
            null = np.column_stack([self._null[row] for row in rows])
            p, p_max = compute_p_values(frame.loc[rows, "value"].to_numpy(), null)
            frame.loc[rows, "p_value"], frame.loc[rows, "p_value_max"] = p, p_max
        return frame

    @staticmethod
    def _families(frame: pd.DataFrame) -> Iterator[list[int]]:
        tested = frame[frame["n_permutations"] > 0]
        for _, rows in tested.groupby(["factor", "space", "measure"], sort=False):
            yield rows.index.tolist()


#: What a row about trustworthiness has no value for.
_NO_FACTOR: dict[str, Any] = {
    "measure": "trustworthiness",
    "factor": "",
    "across": "",
    "interval": "",
    "n_classes": 0,
    "n_permutations": 0,
    **dict.fromkeys(
        (
            "chance_level",
            "chance_corrected",
            "low",
            "high",
            "null_mean",
            "null_q95",
            "p_value",
            "p_value_max",
        ),
        np.nan,
    ),
}


def _describe_score(score: QualityScore, comparison: Comparison) -> dict[str, Any]:
    null, chance = score.null_scores, score.chance_level
    return {
        "factor": comparison.factor,
        "across": comparison.across or "",
        "measure": score.measure,
        "n_neighbours": score.n_neighbours,
        "n_classes": len(comparison.classes),
        "value": score.value,
        "chance_level": chance,
        "chance_corrected": (score.value - chance) / (1 - chance),
        "low": score.low,
        "high": score.high,
        "interval": "" if np.isnan(score.low) else comparison.over,
        "null_mean": float(null.mean()) if len(null) else np.nan,
        "null_q95": float(np.quantile(null, 0.95)) if len(null) else np.nan,
        "p_value": np.nan,
        "p_value_max": np.nan,
        "n_permutations": len(null),
    }


def _describe(comparison: Comparison, n_neighbours: int | None) -> dict[str, Any]:
    return {
        "across": comparison.across,
        "exchangeable_units": comparison.units,
        "permute_within": comparison.within,
        "n_classes": len(comparison.classes),
        "n_neighbours": choose_n_neighbours(comparison, n_neighbours),
        "interval": comparison.over,
        "n_without_match": int((comparison.count_matches() == 0).sum()),
    }


def _gather(
    maps: Sequence[tuple[str, MapResult]], table: StimulusTable, comparisons: Sequence[Comparison]
) -> pd.DataFrame:
    """Return the coordinates of all maps with the factors beside them."""
    names = list(dict.fromkeys([*_LABELS, *(item.factor for item in comparisons)]))
    factors = {name: table.factor(name, complete=False).astype(str) for name in names}
    frames = [
        one.to_frame().assign(
            layer=layer, method=one.settings["method"], perplexity=one.settings["perplexity"], **factors
        )
        for layer, one in maps
    ]
    return pd.concat(frames, ignore_index=True)
