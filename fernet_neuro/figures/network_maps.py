"""Maps whose layers are networks: reading those of each training seed, and what captions say of them.

What belongs here: what figures of several systems need; maps of one network's layers are in `embedding_maps`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fernet_neuro.embedding.result import read_settings
from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures.embedding_caption import caption_maps
from fernet_neuro.figures.embedding_maps import read_maps

_KNN = "knn_balanced_accuracy"
_UNKNOWN = "not recorded"


def find_seed_maps(folder: Path, command: str) -> list[Path]:
    """Return the folders ``seed<k>`` of `folder` that hold maps, by seed.

    Raises StoreError if there is none; the message names the command that makes them.
    """
    found = [
        path.parent
        for path in folder.glob("seed*/settings.json")
        if path.parent.name.removeprefix("seed").isdigit()
    ]
    if not found:
        raise missing(folder / "seed0" / "settings.json", command)
    return sorted(found, key=lambda path: int(path.name.removeprefix("seed")))


def missing(path: Path, command: str) -> StoreError:
    """Return the error for a file that a run makes."""
    return StoreError(f"{path} does not exist; make it with: {command}")


def read_networks(place: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Return what the maps in `place` say of each layer's network, and of the faces; else empty."""
    settings = read_settings(place)
    networks = settings.get("networks", {})  # of a command of its own: a list, and not by layer
    return networks if isinstance(networks, dict) else {}, str(settings.get("faces", "stimuli"))


def read_judged_maps(places: list[Path]) -> pd.DataFrame:
    """Return points and scores of the first of `places`, and scores of the others as ``kind`` "other seed".

    Columns of `embedding_maps.read_maps`, and ``variant, training_seed, n_train, faces``.
    """
    frames = []
    for number, place in enumerate(places):
        frame = add_networks(read_maps(place), place)
        if number:
            frame = frame[frame["kind"] == "score"].assign(kind="other seed")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def add_networks(frame: pd.DataFrame, place: Path) -> pd.DataFrame:
    """Return `frame` with what is known of each layer's network, as text."""
    networks, faces = read_networks(place)
    columns = {"variant": "variant", "seed": "training_seed", "n_train": "n_train", "epoch": "epoch"}
    known = {
        column: [str(networks.get(layer, {}).get(key, _UNKNOWN)) for layer in frame["layer"]]
        for key, column in columns.items()
    }
    return frame.assign(**known, faces=faces)


def say_networks(source: pd.DataFrame) -> str:
    """Return variant, drawn seed and size of training of the mapped networks, in words."""
    first = source[source["kind"] == "point"].drop_duplicates("layer")
    variants, seeds, sizes = (
        list(dict.fromkeys(first[name])) for name in ("variant", "training_seed", "n_train")
    )
    if variants == [_UNKNOWN]:
        return "variant and training seed were not recorded with these maps"
    return (
        f"variant {' and '.join(variants)}, training seed {' and '.join(seeds)}, "
        f"trained on {' and '.join(sizes)} pictures"
    )


def say_maps(source: pd.DataFrame) -> str:
    """Return the caption of maps whose layers are networks, and which have no numbers below them."""
    text = caption_maps(source).replace("Numbers and lower panels: purity", "Purity")
    stars = "Asterisks: p < .05, corrected over layers"
    return text.replace(stars, "P values in the source data are corrected over networks")


def say_seeds(source: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Return how far held-out k-NN in the features differs between training seeds, or nothing."""
    scores = source[source["kind"].isin(("score", "other seed")) & (source["measure"] == _KNN)]
    scores = scores[scores["space"] == "features"]
    n_seeds = scores["training_seed"].nunique()
    if n_seeds < 2:
        return ""
    parts = []
    for (factor, layer), rows in scores.groupby(["factor", "layer"], sort=False):
        low, high = rows["value_percent"].min(), rows["value_percent"].max()
        parts.append(f"{factor} {names.get(str(layer), layer)} {low:.0f} to {high:.0f} %")
    return f" Range of held-out k-NN in the features over {n_seeds} training seeds: {', '.join(parts)}."
