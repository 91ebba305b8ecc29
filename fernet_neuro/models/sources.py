"""Networks that are not ours: any of torchvision's or timm's by name, and the user's own function.

What belongs here: builders from outside names to a `Blueprint`; the registered names are in `registry`.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from fernet_neuro._utils.optional import import_optional
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.models.blueprint import (
    Blueprint,
    check_common_options,
    imagenet_preprocessing,
    use_one_channel,
)
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.plain import DECLARATIONS, wrap_module
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.models.trace import FAILURES

TIMM_PREFIX = "timm:"
# Without these, torchvision warns that its default will change; auxiliary classifiers serve training only.
_INCEPTION = {"aux_logits": False, "init_weights": True}
_TORCHVISION_OPTIONS = {"googlenet": _INCEPTION, "inception_v3": _INCEPTION}
_TORCHVISION_SIZES = {"inception_v3": 299}


def list_torchvision() -> list[str]:
    """Return the names of torchvision's classification networks."""
    import torchvision  # loads slowly

    return torchvision.models.list_models(module=torchvision.models)


def build_torchvision(
    name: str, *, n_classes: int = 1000, size: int | None = None, channels: str = "rgb"
) -> Blueprint:
    """Return torchvision's network `name` with random weights; `size` in pixels defaults to its own."""
    import torchvision  # loads slowly

    size = _TORCHVISION_SIZES.get(name, 224) if size is None else size
    n_channels = check_common_options(n_classes, size, channels)
    options: dict[str, Any] = dict(_TORCHVISION_OPTIONS.get(name, {}))
    if name.startswith("vit_"):
        options["image_size"] = size
    module = torchvision.models.get_model(name, weights=None, num_classes=n_classes, **options)
    if n_channels == 1:
        use_one_channel(module)
    return Blueprint(module, imagenet_preprocessing(size, channels))


def build_timm(
    name: str, *, n_classes: int = 1000, size: int | None = None, channels: str = "rgb"
) -> Blueprint:
    """Return timm's network ``timm:NAME`` with random weights and the normalisation of its published ones.

    Raises MissingDependencyError if timm is not installed; ValueError if timm has no such network.
    """
    timm = import_optional("timm", f"network {name!r}", "timm")
    known = name.removeprefix(TIMM_PREFIX)
    if not timm.is_model(known):
        raise ValueError(f"timm has no network {known!r}.{suggest(known, timm.list_models())}")
    published = timm.get_pretrained_cfg(known) or timm.create_model(known).pretrained_cfg
    settings = published if isinstance(published, dict) else published.to_dict()
    native = int(settings["input_size"][-1])
    side = native if size is None else size
    n_channels = check_common_options(n_classes, side, channels)
    options = {"img_size": side} if side != native and settings.get("fixed_input_size") else {}
    module = timm.create_model(known, pretrained=False, num_classes=n_classes, in_chans=n_channels, **options)
    if n_channels == 1:
        return Blueprint(module, imagenet_preprocessing(side, channels))
    mean, std = tuple(settings["mean"]), tuple(settings["std"])
    return Blueprint(module, Preprocessing(side, mean=mean, std=std))


def build_from_function(source: str, **options: Any) -> Blueprint:
    """Return what the user's function gives: an ``nn.Module`` or a `LayeredModel`.

    Parameters
    ----------
    source : str
        ``"package.module:function"`` or ``"path/to/file.py:function"``.
    **options
        Passed on where the function has a parameter of that name. Otherwise those that declare the input of a
        bare ``nn.Module``, as in `plain.wrap_module`; a function can do that itself and return what
        `load_model` gives.

    Raises
    ------
    ValueError
        If the function cannot be found, takes no such option, fails, returns something else, or a bare
        ``nn.Module`` whose input is not declared.
    """
    function = find_function(source)
    parameters = inspect.signature(function).parameters
    takes_all = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values())
    passed = {key: value for key, value in options.items() if takes_all or key in parameters}
    for key in options:
        if key not in passed and key not in DECLARATIONS:
            raise ValueError(
                f"network {source!r} takes no option {key!r}; its function has: "
                f"{format_options(parameters) or 'no parameters'}.{suggest(key, parameters)}"
            )
    try:
        result = function(**passed)
    except FAILURES as error:
        given = f" with {passed}" if passed else ""
        raise ValueError(
            f"network {source!r} could not be built{given}: {type(error).__name__}: {error}"
        ) from error
    declared = {key: value for key, value in options.items() if key not in passed}
    if isinstance(result, nn.Module):
        # A function may take the size too, and still return a module that does not say it.
        known = {key: value for key, value in options.items() if key in DECLARATIONS}
        try:
            result = wrap_module(result, **known)
        except ValueError as error:
            raise ValueError(
                f"network {source!r}: {error} Or let the function return what load_model gives."
            ) from error
    elif declared:
        raise ValueError(
            f"network {source!r} says itself what its input is and takes no {', '.join(declared)}."
        )
    if not isinstance(result, LayeredModel):
        raise ValueError(f"{source!r} must return an nn.Module or LayeredModel; got {type(result).__name__}.")
    return Blueprint(result.module, result.card.preprocessing, result.layers)


def find_function(source: str) -> Callable[..., Any]:
    """Return the function that ``"module:function"`` or ``"file.py:function"`` names.

    Raises ValueError if the file, the module or the function is not there.
    """
    place, _, name = source.rpartition(":")
    module = _load_file(place) if place.endswith(".py") else _import(place, source)
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, item in vars(module).items() if callable(item) and not key.startswith("_")]
        raise ValueError(f"{place!r} has no function {name!r}.{suggest(name, names)}")
    return function


def _load_file(place: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        raise ValueError(f"file {place!r} does not exist (looked in {Path.cwd()}).")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"file {place!r} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _import(place: str, source: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if not error.name or not (place == error.name or place.startswith(f"{error.name}.")):
            raise
        raise ValueError(
            f"network {source!r}: there is no module {place!r}; "
            "name an installed module, or a file as path/to/file.py:function."
        ) from None
