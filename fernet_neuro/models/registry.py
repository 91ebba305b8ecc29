"""Networks by name: from a name or a function to a network.

What belongs here: building by name; architectures are one per file, and `entry.MODELS` lists them.
"""

from dataclasses import replace
from math import prod
from typing import Any

import torch

from fernet_neuro._utils.validation import check_option, format_options, suggest
from fernet_neuro.models import sources
from fernet_neuro.models.blueprint import Blueprint, Trunk
from fernet_neuro.models.card import NO_TRAINING, UNTRAINED_TWIN, ModelCard
from fernet_neuro.models.entry import MODELS, ModelEntry
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.plain import PLAIN, reset_module
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.models.trace import find_head, find_layers, remove_head, trace_modules

#: A function may load weights of its own.
_OWN = "not known (a function of your own)"


def build_trunk(name: str, options: dict[str, Any]) -> Trunk:
    """Return the network `name` without its classifier, such as to build a larger one on.

    Parameters
    ----------
    name : str
        What `build_model` takes.
    options : dict
        Of that network.
    """
    blueprint, _, _ = _build(name, "recommended", options)
    head = find_head(blueprint.module)
    layers = tuple(layer for layer in blueprint.layers or () if layer != head)
    n_features = remove_head(blueprint.module)
    return Trunk(blueprint.module, blueprint.preprocessing, layers, n_features)


def build_model(name: str, *, seed: int = 0, variant: str = "recommended", **options: Any) -> LayeredModel:
    """Return a network with seeded random weights, in eval mode.

    Parameters
    ----------
    name : str
        A key of `MODELS`, a torchvision name, ``"timm:NAME"``, ``"module:function"`` or
        ``"file.py:function"``.
    seed : int
        Of the initial weights. torch's own random state is neither read nor changed.
    variant : str
        Which published form, where there are several.
    **options
        Such as ``n_classes``, ``size`` (pixels) or ``channels`` (``"rgb"``, ``"grey"``).

    Raises
    ------
    ValueError
        If the name, the variant or an option is not known; the message suggests the closest.
    MissingDependencyError
        For a timm network without timm.

    Examples
    --------
    >>> model = build_model("resnet10-slim", n_classes=12)
    >>> model.layers
    ('stem', 'layer1', 'layer2', 'layer3', 'layer4', 'avgpool', 'fc')
    """
    with torch.random.fork_rng(devices=[]):
        # The CPU generator alone: torch.manual_seed would reseed every accelerator too.
        torch.default_generator.manual_seed(seed)
        blueprint, used, entry = _build(name, variant, options)
    blueprint.module.eval()
    card = ModelCard(
        name=name,
        preprocessing=blueprint.preprocessing,
        variant=variant,
        options=used,
        seed=seed,
        training_data=_OWN if is_function(name) else NO_TRAINING,
        licence=entry.licence if entry else "",
        source=entry.source if entry else name.partition(":")[0] if ":" in name else "torchvision",
        paper=entry.paper if entry else "",
    )
    return LayeredModel(blueprint.module, blueprint.layers or (), card)


def _build(
    name: str, variant: str, options: dict[str, Any]
) -> tuple[Blueprint, dict[str, Any], ModelEntry | None]:
    """Return the blueprint with its layers, the options in full, and the entry if `name` is registered."""
    entry = MODELS.get(name)
    check_option("variant", variant, entry.variants if entry else ("recommended",))
    if entry is not None:
        _check_options(name, options, entry.options)
        options = {**entry.options, **options}
        chosen = {"variant": variant} if len(entry.variants) > 1 else {}
        blueprint = entry.build(**chosen, **options)
    else:
        blueprint = _build_from_outside(name, options)
    if blueprint.layers is None:
        example = make_example(blueprint.preprocessing)
        blueprint = replace(blueprint, layers=find_layers(blueprint.module, example, name))
    elif entry is None:  # it lists its own layers, and has not run yet
        trace_modules(blueprint.module, make_example(blueprint.preprocessing), name)
    return blueprint, options, entry


def _build_from_outside(name: str, options: dict[str, Any]) -> Blueprint:
    outside = {"n_classes": 1000, "size": 224, "channels": "rgb"}
    if name.startswith(sources.TIMM_PREFIX):
        _check_options(name, options, outside)
        return sources.build_timm(name, **options)
    if is_function(name):
        return sources.build_from_function(name, **options)
    known = sources.list_torchvision()
    if name not in known:
        raise ValueError(
            f"there is no network {name!r}.{suggest(name, [*MODELS, *known])} Registered: "
            f"{format_options(MODELS)}; also torchvision names, timm:NAME, module:function, file.py:function."
        )
    _check_options(name, options, outside)
    return sources.build_torchvision(name, **options)


def _check_options(name: str, options: dict[str, Any], known: dict[str, Any]) -> None:
    for key in options:
        if key == "input" and key not in known:
            raise ValueError(
                f"network {name!r} is known with its input, which is not declared anew (--input); that is "
                f"for your own module:function or file.py:function."
            )
        if key not in known:
            raise ValueError(
                f"network {name!r} has no option {key!r}; it has: {format_options(known)}."
                f"{suggest(key, known)}"
            )


def make_example(preprocessing: Preprocessing) -> torch.Tensor:
    """Return one black image as the network's input: float32 of shape (1, n_channels, size, size)."""
    return torch.zeros(1, len(preprocessing.mean), preprocessing.size, preprocessing.size)


def compute_layer_shapes(model: LayeredModel) -> dict[str, tuple[tuple[int, ...], int]]:
    """Return shape (without the batch axis) and number of units of each listed layer, in forward order."""
    shapes = trace_modules(model.module, make_example(model.card.preprocessing), model.card.name)
    return {layer: (shapes[layer], prod(shapes[layer])) for layer in model.layers}


def untrained_twin(model: LayeredModel, seed: int) -> LayeredModel:
    """Return the same architecture, layers and preprocessing with random weights from `seed`.

    Raises
    ------
    ValueError
        If the network is the user's own function and gives most weights whatever the seed, as one does that
        loads a checkpoint.
    """
    card = model.card
    if card.source == PLAIN:
        first, other = (replace(model, module=reset_module(model.module, n)) for n in (seed, seed + 1))
        _check_random(card.name, first, other)
        return first.with_card(seed=seed, training_data=UNTRAINED_TWIN)
    twin = build_model(card.name, seed=seed, variant=card.variant, **card.options)
    if is_function(card.name):
        other = build_model(card.name, seed=seed + 1, variant=card.variant, **card.options)
        _check_random(card.name, twin, other)
    return replace(
        twin,
        layers=model.layers,
        card=replace(card, seed=seed, training_data=UNTRAINED_TWIN, source=twin.card.source, measured=[]),
    )


def is_function(name: str) -> bool:
    """Return whether a name is ``module:function`` or ``file.py:function``."""
    return ":" in name and not name.startswith(sources.TIMM_PREFIX)


def _check_random(name: str, first: LayeredModel, second: LayeredModel) -> None:
    pairs = zip(first.module.parameters(), second.module.parameters(), strict=True)
    # Biases, and the scales of normalisation, start out equal in every network.
    weights = [(a, b) for a, b in pairs if a.ndim >= 2]
    same = sum(a.numel() for a, b in weights if torch.equal(a, b))
    if same > 0.5 * sum(a.numel() for a, _ in weights):
        raise ValueError(
            f"{name!r} has no untrained twin: it returns the same weights for every seed. Return random "
            f"weights from the function, and put a checkpoint into them with {name}@WEIGHTS."
        )
