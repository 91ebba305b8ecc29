"""Networks by name: the table `MODELS`, and functions from a name, a folder or a function to a network.

What belongs here: names, defaults and provenance; architectures are one per file beside this one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fernet_neuro._utils.validation import check_option, check_range, check_type, format_options, suggest
from fernet_neuro.models import densenet, dual_pathway, resnet, siamese, sources, swin
from fernet_neuro.models.blueprint import Blueprint, Trunk, centred_preprocessing, check_common_options
from fernet_neuro.models.card import ModelCard
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.plain import PLAIN, reset_module, wrap_module
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.models.trace import find_head, find_layers, trace_modules
from fernet_neuro.typing import PathLike

_UNTRAINED = "none (untrained twin, random weights)"
BSD, MIT, OURS = "BSD-3-Clause (torchvision)", "MIT", "BSD-3-Clause (fernet-neuro)"


@dataclass(frozen=True)
class ModelEntry:
    """One registered network.

    Parameters
    ----------
    build : callable
        Takes the options (and ``variant`` where there are several) and returns a `Blueprint`.
    description : str
        One line.
    options : dict
        Names and default values of the options.
    variants : tuple of str
        Published forms; the first is the default.
    licence, source, paper : str
        Of the architecture; weights have their own.
    """

    build: Callable[..., Blueprint]
    description: str
    options: dict[str, Any] = field(default_factory=dict)
    variants: tuple[str, ...] = ("recommended",)
    licence: str = OURS
    source: str = ""
    paper: str = ""


def _build_siamese(*, trunk: str, size: int | None, channels: str | None) -> Blueprint:
    """Return the twin network on its grey trunk, or on any other network less its classifier."""
    if trunk == "grey":
        size, channels = 48 if size is None else size, channels or "grey"
        net = siamese.GreyTrunk(check_common_options(1, size, channels))
        twin = siamese.SiameseNet(net, siamese.GREY_WIDTHS[-1] * (size // 8) ** 2)
        layers = ("trunk.block1", "trunk.block2", "trunk.block3", "trunk.embedding")
        return Blueprint(twin, centred_preprocessing(size, channels), layers)
    if trunk == "siamese":
        raise ValueError("trunk='siamese' is itself a twin network; use another, such as 'resnet10-slim'.")
    wanted = {key: item for key, item in (("size", size), ("channels", channels)) if item is not None}
    base = _build_trunk(trunk, wanted)
    twin = siamese.SiameseNet(base.module, base.n_features)
    return Blueprint(twin, base.preprocessing, tuple(f"trunk.{name}" for name in base.layers))


def _build_trunk(name: str, options: dict[str, Any]) -> Trunk:
    """Return the network `name` less its classifier."""
    blueprint, _, _ = _build(name, "recommended", options)
    head = find_head(blueprint.module)
    layers = tuple(layer for layer in blueprint.layers or () if layer != head)
    n_features = siamese.remove_head(blueprint.module)
    return Trunk(blueprint.module, blueprint.preprocessing, layers, n_features)


def _build_pathway_trunk(argument: str, name: str, size: int) -> Trunk:
    """Return the trunk of a pathway; none of one's own code, so that loading a pathway never runs a file."""
    check_type(argument, name, str)
    if name.startswith("crpn-") or (":" in name and not name.startswith(sources.TIMM_PREFIX)):
        raise ValueError(
            f"{argument}={name!r} cannot be the trunk of a pathway; use a registered network that is no "
            f"pathway itself, a torchvision name or timm:NAME."
        )
    return _build_trunk(name, {"size": size})


# The variants of the two pathways differ in losses and training, not in the network.
def _build_conceptual(
    *,
    variant: str,  # noqa: ARG001
    emotion_trunk: str,
    non_emotion_trunk: str,
    size: int,
    **options: Any,
) -> Blueprint:
    """Return the conceptual pathway; ``non_emotion_trunk="none"`` leaves that encoder out."""
    emotion = _build_pathway_trunk("emotion_trunk", emotion_trunk, size)
    non_emotion = None
    if non_emotion_trunk != "none":
        non_emotion = _build_pathway_trunk("non_emotion_trunk", non_emotion_trunk, size)
    return dual_pathway.build_conceptual(emotion, non_emotion, **options)


def _build_perceptual(
    *,
    variant: str,  # noqa: ARG001
    trunk: str,
    size: int,
    resize: int | None,
    **options: Any,
) -> Blueprint:
    """Return the perceptual pathway; `resize` gives it another pathway's crop in place of its trunk's own."""
    blueprint = dual_pathway.build_perceptual(_build_pathway_trunk("trunk", trunk, size), **options)
    if resize is None:
        return blueprint
    check_range("resize", check_type("resize", resize, int), size)
    return replace(blueprint, preprocessing=replace(blueprint.preprocessing, resize=resize))


_CRPN_VARIANTS = ("recommended", "paper", "released")
_CRPN_PAPER = (
    "Lu, Zhuang & Luo (2024), A brain-inspired way of reducing the network complexity via "
    "concept-regularized coding for emotion recognition, AAAI"
)
_RESNET_PAPER = "He et al. (2016), Deep residual learning for image recognition, CVPR"

MODELS: dict[str, ModelEntry] = {
    "resnet18": ModelEntry(
        resnet.build_resnet18,
        "ResNet-18: eight blocks, 512-d pooled feature",
        {"n_classes": 1000, "size": 224, "channels": "rgb"},
        licence=BSD,
        source="torchvision",
        paper=_RESNET_PAPER,
    ),
    "resnet50": ModelEntry(
        resnet.build_resnet50,
        "ResNet-50 (version 1.5): 16 blocks, 2048-d pooled feature",
        {"n_classes": 1000, "size": 224, "channels": "rgb"},
        licence=BSD,
        source="torchvision",
        paper=_RESNET_PAPER,
    ),
    "resnet50-vggface2": ModelEntry(
        resnet.build_resnet50_vggface2,
        "ResNet-50 in the Caffe layout of the VGGFace2 weights, BGR 0-255 input",
        {"n_classes": 8631, "size": 224},
        licence=BSD,
        source="torchvision blocks, layout of the VGGFace2 release",
        paper="Cao et al. (2018), VGGFace2: A dataset for recognising faces across pose and age, IEEE FG",
    ),
    "densenet": ModelEntry(
        densenet.build_densenet,
        "the lab's DenseNet for 48 px grey faces; log-probabilities out",
        {"n_classes": 7, "size": 48, "channels": "grey", "kernel": 3, "dropout": 0.1},
        variants=("recommended", "released"),
        source="own code from the published description",
        paper="Schwartz et al. (2023), Challenging the classical view, Brain Sciences",
    ),
    "siamese": ModelEntry(
        _build_siamese,
        "twin network for verification, on a 48 px grey trunk or on any other network",
        {"trunk": "grey", "size": None, "channels": None},
        source="own code from the published description",
        paper="Schwartz, O'Nell & Anzellotti (2020), Vision Sciences Society",
    ),
    "swin_t": ModelEntry(
        swin.build_swin_t,
        "Swin-T: a transformer over shifted windows, 768-d pooled feature",
        {"n_classes": 1000, "size": 224, "channels": "rgb"},
        licence=BSD,
        source="torchvision",
        paper="Liu et al. (2021), Swin Transformer, ICCV",
    ),
    "resnet10-slim": ModelEntry(
        resnet.build_resnet10_slim,
        "slim ResNet-10 for 64 px, trained in minutes on two cores; 128-d pooled feature",
        {"n_classes": 70, "size": 64, "channels": "rgb"},
        source="own code on torchvision's basic block",
        paper=_RESNET_PAPER,
    ),
    "crpn-conceptual": ModelEntry(
        _build_conceptual,
        "CRPN's conceptual pathway: emotion encoder, frozen non-emotion encoder, confidence",
        {
            "n_classes": 7,
            "emotion_trunk": "resnet50-vggface2",
            "non_emotion_trunk": "resnet50-vggface2",
            "size": 224,
            "n_features": 256,
            "dropout": 0.4,
            "n_identities": 0,
        },
        variants=_CRPN_VARIANTS,
        source="own code from the published description",
        paper=_CRPN_PAPER,
    ),
    "crpn-perceptual": ModelEntry(
        _build_perceptual,
        "CRPN's perceptual pathway: one small encoder that concepts can teach",
        {
            "n_classes": 7,
            "trunk": "resnet18",
            "size": 224,
            "resize": None,
            "n_features": 256,
            "dropout": 0.4,
        },
        variants=_CRPN_VARIANTS,
        source="own code from the published description",
        paper=_CRPN_PAPER,
    ),
}


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
    if ":" in name:
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
        return first.with_card(seed=seed, training_data=_UNTRAINED)
    twin = build_model(card.name, seed=seed, variant=card.variant, **card.options)
    if ":" in card.name and not card.name.startswith(sources.TIMM_PREFIX):
        other = build_model(card.name, seed=seed + 1, variant=card.variant, **card.options)
        _check_random(card.name, twin, other)
    return replace(
        twin,
        layers=model.layers,
        card=replace(card, seed=seed, training_data=_UNTRAINED, source=twin.card.source),
    )


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


def resolve_model(
    source: LayeredModel | nn.Module | PathLike, *, seed: int = 0, **options: Any
) -> LayeredModel:
    """Return the network that `source` is or names, from disk or newly built.

    Parameters
    ----------
    source : LayeredModel, nn.Module or path
        A network as it is; a module of your own, whose input the options declare (see `plain.wrap_module`); a
        run folder, a folder written by `save_model`, any name that `build_model` takes (a registered name
        wins over a folder of that name), or ``NAME@FILE``: that architecture with the weights of a file
        (``resnet50-vggface2@resnet50_ft_weight.pkl``) or of a saved folder.
    seed : int
        Of the initial weights of a newly built network.
    **options
        Of a newly built network, such as ``size`` (pixels) or ``n_classes``; a saved one has its own.

    Raises
    ------
    ValueError
        If there is no such network, options are given for one that is there already, or the input of an
        nn.Module is not declared.
    StoreError
        If a folder or file holds no usable weights.

    Examples
    --------
    >>> model = resolve_model("resnet10-slim", size=32)
    >>> model.layers
    ('stem', 'layer1', 'layer2', 'layer3', 'layer4', 'avgpool', 'fc')
    >>> own = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    >>> resolve_model(own, size=8, channels="rgb", mean=0.5, std=0.5).layers
    ('1',)
    """
    if isinstance(source, nn.Module):
        return wrap_module(source, **options)
    if isinstance(source, LayeredModel):
        if options:
            raise ValueError(
                f"this network is built already and takes no options; got {format_options(options)}."
            )
        return source
    source = str(source)
    # Here, because `weights` rebuilds saved networks through this module.
    from fernet_neuro.models.weights import load_model, load_weights

    name, at, place = source.partition("@")
    if at and not Path(source).exists():
        if Path(place).is_dir():
            return load_model(place, code=name)
        return load_weights(build_model(name, seed=seed, **options), place)
    if not Path(source).is_dir() or source in MODELS:
        return build_model(source, seed=seed, **options)
    if options:
        raise ValueError(f"{source} is a saved network and takes no options; got {format_options(options)}.")
    return load_model(source)
