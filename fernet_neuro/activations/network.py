"""What tables and pages say of a network: its name, whether its weights are random, and its input.

What belongs here: words for the card that a store or a network carries; torch is not needed for them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

#: What a network without trained weights is called wherever it is named.
RANDOM = "random weights"
#: Parts of layers' names that are written as words.
_LAYER_WORDS = {"avgpool": "average pool", "maxpool": "max pool"}


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


def say_layer(name: object) -> str:
    """Return a layer's name as words, from the name by which commands know it.

    Examples
    --------
    >>> [say_layer(name) for name in ("trunk.layer4.0.conv2", "avgpool", "conv5_3", "fc")]
    ['layer 4.0 conv 2', 'average pool', 'conv 5.3', 'fc']
    """
    parts = re.split(r"[._](?=[a-zA-Z])", str(name).removeprefix("trunk."))
    words = [_LAYER_WORDS.get(part, re.sub(r"(?<=[a-z])(?=\d)", " ", part)) for part in parts]
    return " ".join(words).replace("_", ".")


def say_model(name: str, layer: str) -> str:
    """Return the name of a model of an RSA: where it is a layer, alone, of a source or a seed, in words.

    `layer`: as the table of models has it; empty where the model is none.

    Examples
    --------
    >>> say_model("avgpool", "avgpool"), say_model("twin/layer4", "layer4"), say_model("fc1 | b", "fc1")
    ('average pool', 'twin layer 4', 'fc 1 | b')
    >>> say_model("my_model", "")
    'my_model'
    """
    model, bar, seed = name.partition(" | ")
    if not layer or not model.endswith(layer):
        return name
    before = model.removesuffix(layer)
    before = f"{before[:-1]} " if before.endswith("/") else before
    return f"{before}{say_layer(layer)}{bar}{seed}"


def say_models(names: str, words: Mapping[str, str]) -> str:
    """Return what names several models at once, as shares of variance do, with the `words` of each.

    Examples
    --------
    >>> say_models("avgpool & pixels", {"avgpool": "average pool"})
    'average pool & pixels'
    """
    return "".join(words.get(part, part) for part in re.split(r"( & | \+ )", names))
