"""What tables and pages say of a network: its name, whether its weights are random, and its input.

What belongs here: words for the card that a store or a network carries; torch is not needed for them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

#: What a network without trained weights is called wherever it is named.
RANDOM = "random weights"


def describe_network(name: str, card: Mapping[str, Any]) -> dict[str, str]:
    """Return what results keep of a network, as text.

    Parameters
    ----------
    name : str
        As the user gave it: a name, a run folder, ``NAME@WEIGHTS``.
    card : mapping
        What `ModelCard.to_dict` gives; empty where the answers are not of a network of ours.

    Returns
    -------
    dict
        ``name``; ``model``, the architecture; ``weights``: ``"random weights"`` or empty; ``input``.

    Examples
    --------
    >>> card = {"name": "resnet18", "training_data": "none (random weights)"}
    >>> describe_network("resnet18", card)
    {'name': 'resnet18', 'model': 'resnet18', 'weights': 'random weights', 'input': ''}
    """
    training = str(card.get("training_data", ""))
    is_random = training.startswith("none (") and training.endswith(f"{RANDOM})")
    return {
        "name": name,
        "model": str(card.get("name", "")),
        "weights": RANDOM if is_random else "",
        "input": describe_input(card.get("preprocessing")),
    }


def describe_input(preprocessing: Mapping[str, Any] | None) -> str:
    """Return in words what a network is shown, from `Preprocessing.to_dict`.

    Examples
    --------
    >>> grey = {"size": 48, "resize": 64, "channels": "grey", "scale": 1.0, "mean": [0.5], "std": [0.25]}
    >>> describe_input(grey)
    '48 px cut from 64, grey, white is 1, less mean 0.5, divided by std 0.25'
    """
    if not preprocessing:
        return ""
    cut = f" cut from {preprocessing['resize']}" if preprocessing.get("resize") else ""
    mean, std = (" ".join(f"{value:g}" for value in preprocessing[key]) for key in ("mean", "std"))
    return (
        f"{preprocessing['size']} px{cut}, {preprocessing['channels']}, white is {preprocessing['scale']:g}, "
        f"less mean {mean}, divided by std {std}"
    )


def label_network(name: str, card: Mapping[str, Any]) -> str:
    """Return a network's name as it stands in tables.

    Examples
    --------
    >>> label_network("resnet18", {"name": "resnet18", "training_data": "none (random weights)"})
    'resnet18 (random weights)'
    """
    weights = describe_network(name, card)["weights"]
    return f"{name} ({weights})" if weights else name


def list_networks(networks: Iterable[Mapping[str, str]]) -> list[str]:
    """Return a line for each network that `describe_network` gave, with what to do about random weights."""
    lines = []
    for found in networks:
        weights = f", {found['weights']}" if found["weights"] else ""
        shown = f"; input: {found['input']}" if found["input"] else ""
        lines.append(f"Network: {found['name']}{weights}{shown}.")
        if found["weights"]:
            lines.append(hint_at_weights(found["model"]))
    return list(dict.fromkeys(lines))


def hint_at_weights(model: str) -> str:
    """Return how a network gets trained weights."""
    return (
        f"Weights are random: nothing was learnt. Trained ones are {model or 'NAME'}@WEIGHTS, a file or a "
        f"name of its library, or those of a run or of `models list`."
    )
