"""Emotion against non-emotion features of held-out faces, as maps that are judged by their neighbours.

References
----------
1. Lu, H., Zhuang, X., & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
   concept-regularized coding for emotion recognition. AAAI 38.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.embedding_caption import caption_maps
from fernet_neuro.figures.embedding_maps import draw_maps
from fernet_neuro.figures.network_maps import missing, read_judged_maps, say_networks, say_seeds

#: What the figure compares, and how sentences call it.
LAYERS = {"emotion": "from the emotion features", "non_emotion": "from the non-emotion features"}


def read_features(results: Path) -> pd.DataFrame:
    """Return points and scores as one tidy frame: see `embedding_maps.read_maps`.

    The maps are those of the folder itself, such as one that `fernet-neuro embed` wrote, or in ``maps``; maps
    of other training seeds in ``maps/seed<k>`` give only scores.

    Raises StoreError if there are no maps, or not of both layers.
    """
    places = [place for place in (results, results / "maps") if (place / "settings.json").is_file()]
    if not places:
        raise missing(results / "maps" / "settings.json", f"fernet-neuro run crpn/fig2 --out {results}")
    others = sorted(path.parent for path in places[0].glob("seed*/settings.json"))
    source = read_judged_maps([places[0], *others])
    absent = [layer for layer in LAYERS if layer not in set(source["layer"])]
    if absent:
        raise StoreError(
            f"the maps in {places[0]} are of {format_options(dict.fromkeys(source['layer']))} and lack layer "
            f"{absent[0]!r}; make them with: fernet-neuro embed RUN --stimuli TABLE --layer emotion "
            f"--layer non_emotion --out {places[0]}"
        )
    return source


def draw_features(source: pd.DataFrame, _results: Path | None = None) -> Figure:
    """Draw the maps of the first seed."""
    return draw_maps(source[source["kind"] != "other seed"])


def caption_features(source: pd.DataFrame) -> str:
    """Say what is mapped, of which network, how it is judged, and what the paper showed."""
    first = source[source["kind"] != "other seed"]
    faces = source["faces"].iloc[0]
    return (
        f"Emotion and non-emotion features of held-out {faces} in the conceptual pathway "
        f"({say_networks(first)}), coloured by expression and by identity. {caption_maps(first)}"
        f"{say_seeds(source, LAYERS)} The paper shows photographs of RAF-DB, coloured by expression alone, "
        f"without numbers."
    )
