"""A network of the user's own, handed over as a ``torch.nn.Module``: its input, and its untrained twin.

What belongs here: modules that no name rebuilds; named networks are in `registry`.
"""

import copy
from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
from torch import nn

from fernet_neuro._utils.validation import check_option, check_range, check_type, format_options
from fernet_neuro.models.card import ModelCard
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.models.trace import find_layers

#: What the card of such a network gives as its source.
PLAIN = "torch.nn.Module"
#: What declares the input of a module.
DECLARATIONS = ("size", "input", "channels", "mean", "std", "scale", "resize")
#: Inputs that have a name: channels in order, white before normalisation, mean and standard deviation.
INPUTS: dict[str, dict[str, Any]] = {
    "imagenet": {"channels": "rgb", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "0-1": {"channels": "rgb", "mean": 0.0, "std": 1.0},
    "-1-1": {"channels": "rgb", "mean": 0.5, "std": 0.5},
    "bgr-255": {"channels": "bgr", "mean": 0.0, "std": 1.0, "scale": 255.0},
}
_N_CHANNELS = {"rgb": 3, "bgr": 3, "grey": 1}
_FORM = "channels=rgb,mean=0.5,std=0.25,scale=1 (several numbers of mean or std with / between them)"


def wrap_module(
    module: nn.Module,
    *,
    size: int | None = None,
    input: str | None = None,
    channels: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    scale: float = 1.0,
    resize: int | None = None,
    layers: Sequence[str] | None = None,
) -> LayeredModel:
    """Return a module with the names of its layers and what its input must look like.

    Parameters
    ----------
    module : nn.Module
        Maps (n, n_channels, size, size) to (n, n_outputs); put in evaluation mode.
    size : int
        Side of the square input, in pixels.
    input : str, default=None
        In place of the next four: a name of `INPUTS`, or as in ``"mean=0.5,std=0.25"`` (`parse_input`).
    channels : {"rgb", "bgr", "grey"}
        Channel order that the weights expect.
    mean, std : float or sequence of float
        What is taken off each channel, and what it is then divided by, in units of `scale`; one number is for
        all channels.
    scale : float, default=1.0
        Value of a white pixel before that: 1.0, or 255.0.
    resize : int, default=None
        Shorter side after resizing, before a centre crop to `size`; None resizes to `size` itself.
    layers : sequence of str, default=None
        Layers worth reading, as in ``named_modules()``; None finds them by one forward pass.

    Raises
    ------
    ValueError
        If the input is not declared in full, a value is out of range, or the module fails on such an input.
    LayerNotFoundError
        If the module has no such layer.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4500, 2))
    >>> wrap_module(net, size=32, channels="rgb", mean=0.5, std=0.5).layers
    ('0', '1', '3')
    """
    if input is not None:
        parsed = parse_input(input)
        if channels is not None or mean is not None or std is not None:
            raise ValueError("declare the input by input=, or by channels, mean and std; not both.")
        channels, mean, std = parsed["channels"], parsed["mean"], parsed["std"]
        scale = parsed.get("scale", scale)
    declared = {"size": size, "channels": channels, "mean": mean, "std": std}
    absent = [f"{name}=" for name, value in declared.items() if value is None]
    if absent[-3:] == ["channels=", "mean=", "std="]:
        absent[-3:] = ["input="]
    if size is None or channels is None or mean is None or std is None:
        raise ValueError(
            f"a torch.nn.Module does not say what its input must look like; declare it, as by "
            f"input='imagenet' and size=112 (missing: {', '.join(absent)})."
        )
    check_range("size", check_type("size", size, int), 1)
    n_channels = _N_CHANNELS[check_option("channels", channels, _N_CHANNELS)]
    means, deviations = _per_channel("mean", mean, n_channels), _per_channel("std", std, n_channels)
    if min(deviations) <= 0:
        raise ValueError(f"std must be above 0; got {std!r}.")
    module.eval()
    kind = type(module)
    card = ModelCard(
        f"{kind.__module__}:{kind.__qualname__}",
        Preprocessing(size, resize, channels, scale, means, deviations),
        training_data="not known (a module of your own)",
        source=PLAIN,
    )
    place = next((item.device for item in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    example = torch.zeros(1, n_channels, size, size, device=place)
    found = tuple(layers) if layers is not None else find_layers(module, example, kind.__qualname__)
    model = LayeredModel(module, found, card)
    model.check_layers(found)
    return model


def parse_input(text: str) -> dict[str, Any]:
    """Return ``channels``, ``mean``, ``std`` and, if it is given, ``scale`` of a declared input.

    Parameters
    ----------
    text : str
        A name of `INPUTS`, or ``KEY=VALUE`` with commas between; several numbers with ``/`` between them.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> parse_input("-1-1")
    {'channels': 'rgb', 'mean': 0.5, 'std': 0.5}
    >>> parse_input("channels=bgr,scale=255,mean=104/117/123,std=1")["mean"]
    (104.0, 117.0, 123.0)
    """
    if text in INPUTS:
        return INPUTS[text]
    found: dict[str, Any] = {"channels": "rgb"}
    for part in text.split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in ("channels", "mean", "std", "scale") or not value:
            raise ValueError(f"input must be {format_options(INPUTS)}, or as {_FORM}; got {text!r}.")
        found[key] = value if key == "channels" else _read_numbers(key, value, text)
    if not {"mean", "std"} <= found.keys():
        raise ValueError(f"input {text!r} needs mean and std; write it as {_FORM}.")
    return found


def _read_numbers(key: str, value: str, text: str) -> float | tuple[float, ...]:
    try:
        numbers = tuple(float(item) for item in value.split("/"))
    except ValueError:
        raise ValueError(f"{key} of input {text!r} must be numbers; write it as {_FORM}.") from None
    if not all(map(isfinite, numbers)) or (key == "scale" and (len(numbers) > 1 or numbers[0] <= 0)):
        raise ValueError(f"{key} of input {text!r} is out of range; write it as {_FORM}.")
    return numbers[0] if len(numbers) == 1 else numbers


def reset_module(module: nn.Module, seed: int) -> nn.Module:
    """Return a copy with the initial weights that torch gives each of its parts, by `seed`.

    Raises
    ------
    ValueError
        If a part that holds weights does not say how they are initialised.
    """
    twin = copy.deepcopy(module)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for name, part in twin.named_modules():
            if not (
                any(True for _ in part.parameters(recurse=False)) or any(True for _ in part.buffers(False))
            ):
                continue
            # torch's attention has its own under a private name.
            reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
            if reset is None:
                raise ValueError(
                    f"this module has no untrained twin: {name or 'the module itself'} "
                    f"({type(part).__name__}) holds weights and has no reset_parameters(); give a newly "
                    f"built one with untrained=, or leave that control out."
                )
            reset()
    return twin.eval()


def _per_channel(argument: str, value: float | Sequence[float], n_channels: int) -> tuple[float, ...]:
    values = (value,) * n_channels if isinstance(value, int | float) else tuple(value)
    if len(values) != n_channels:
        raise ValueError(
            f"{argument} must be one number, or one for each of {n_channels} channels; got {value!r}."
        )
    return tuple(float(item) for item in values)
