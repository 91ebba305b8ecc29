"""Maps with their quality: the `EmbeddingResult` and its files.

What belongs here: labelled tables, reading and writing; nothing is computed and nothing drawn.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.shown import Compared, Reported, name_some
from fernet_neuro._utils.tables import as_typed, loading, read_table, save_tables
from fernet_neuro._utils.validation import format_options
from fernet_neuro.typing import PathLike

#: Methods as readers know them.
METHOD_NAMES = {"tsne": "t-SNE", "umap": "UMAP"}
#: First columns of ``coordinates.csv`` and their types; factors follow as text.
COORDINATE_COLUMNS: dict[str, type] = {
    "stimulus_id": str,
    "layer": str,
    "method": str,
    "perplexity": float,
    "x": float,
    "y": float,
}
#: Columns of ``quality.csv`` and their types. Scores are shares; a row about features has no perplexity, and
#: one about trustworthiness no factor, chance level or null.
QUALITY_COLUMNS: dict[str, type] = {
    "layer": str,
    "space": str,
    "method": str,
    "perplexity": float,
    "factor": str,
    "across": str,
    "measure": str,
    "n_neighbours": int,
    "n_stimuli": int,
    "n_classes": int,
    "value": float,
    "chance_level": float,
    "chance_corrected": float,
    "low": float,
    "high": float,
    "interval": str,
    "null_mean": float,
    "null_q95": float,
    "p_value": float,
    "p_value_max": float,
    "n_permutations": int,
    "seed": int,
}
_COMMAND = "embed STORE --layer LAYER"
_FILES = ("coordinates.csv", "quality.csv", "settings.json")


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingResult(Compared, Reported):
    """Maps of several layers, and how far each may be trusted.

    Parameters
    ----------
    coordinates : DataFrame
        One row per layer, perplexity and stimulus: see `COORDINATE_COLUMNS`, then the factors as text.
    quality : DataFrame
        One row per layer, space (``features`` or ``map``), perplexity, factor and measure: see
        `QUALITY_COLUMNS`.
    settings : dict
        What was asked for, how each factor is judged, and versions; plain values.

    Raises
    ------
    ValueError
        If a table lacks a column or has no rows.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
    >>> maps = fn.embed("resnet10-slim", faces, layers=["layer1"], size=32, n_permutations=19)
    >>> sorted(set(maps.frame["measure"]))
    ['knn_balanced_accuracy', 'neighbour_purity', 'trustworthiness']
    """

    coordinates: pd.DataFrame
    quality: pd.DataFrame
    settings: dict[str, Any]

    def __post_init__(self) -> None:
        for name, columns in (("coordinates", COORDINATE_COLUMNS), ("quality", QUALITY_COLUMNS)):
            object.__setattr__(self, name, as_typed(getattr(self, name), columns))

    def describe(self) -> str:
        """Return which maps there are, and what they are judged by."""
        values = name_some(f"{value:g}" for value in self.settings["perplexities"])
        return (
            f"{self.settings['method']} maps of {len(self.layers)} layers ({name_some(self.layers)}), "
            f"perplexity {values}, judged by {name_some(self.factors)}"
        )

    @property
    def frame(self) -> pd.DataFrame:
        """The quality: one row per layer, space, perplexity, factor and measure."""
        return self.quality

    @property
    def layers(self) -> list[str]:
        """The layers, in the order asked for."""
        return list(dict.fromkeys(self.coordinates["layer"]))

    @property
    def factors(self) -> list[str]:
        """The factors that were judged, in the order asked for."""
        return list(self.settings["factors"])

    def select_map(self, layer: str, perplexity: float | None = None) -> pd.DataFrame:
        """Return the coordinates of one map; by default of the first perplexity asked for.

        Raises
        ------
        ValueError
            If there is no such map; the message lists those there are.
        """
        wanted = self.settings["perplexities"][0] if perplexity is None else perplexity
        frame = self.coordinates
        found = frame[(frame["layer"] == layer) & (frame["perplexity"] == wanted)]
        if found.empty:
            raise ValueError(
                f"there is no map of layer {layer!r} with perplexity {wanted:g}; layers: "
                f"{format_options(self.layers)}; perplexities: "
                f"{format_options(f'{value:g}' for value in self.settings['perplexities'])}."
            )
        return found.reset_index(drop=True)

    def save(self, out: PathLike) -> Path:
        """Write ``coordinates.csv``, ``quality.csv`` and, last, ``settings.json`` into the folder `out`."""
        tables = {"coordinates.csv": self.coordinates, "quality.csv": self.quality}
        return save_tables(out, tables, self.settings, name="settings.json")

    @classmethod
    def load(cls, out: PathLike) -> "EmbeddingResult":
        """Read what `save` wrote.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        """
        with loading(out, reversed(_FILES), _COMMAND) as folder:
            coordinates = read_table(folder / "coordinates.csv", COORDINATE_COLUMNS)
            quality = read_table(folder / "quality.csv", QUALITY_COLUMNS)
            return cls(coordinates, quality, read_json(folder / "settings.json"))


def read_settings(out: PathLike) -> dict[str, Any]:
    """Return what was asked for, of results that `EmbeddingResult.save` wrote.

    Raises StoreError if ``settings.json`` is missing or damaged.
    """
    with loading(out, ["settings.json"], _COMMAND) as folder:
        return dict(read_json(folder / "settings.json"))
