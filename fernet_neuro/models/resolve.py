"""From what a user names, a network's name, a run or a file of weights, to the network.

What belongs here: the one function that tells these apart; names are in `registry`, files in `weights`.
"""

import os
from pathlib import Path
from typing import Any

from torch import nn

from fernet_neuro._utils.shipped import find_trained
from fernet_neuro._utils.validation import format_options
from fernet_neuro.models.entry import MODELS, PUBLISHED
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.libraries import is_library_name
from fernet_neuro.models.plain import wrap_module
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.undrawn import build_undrawn
from fernet_neuro.models.weights import load_model, load_weights
from fernet_neuro.typing import PathLike


def resolve_model(
    source: LayeredModel | nn.Module | PathLike, *, seed: int = 0, **options: Any
) -> LayeredModel:
    """Return the network that `source` is or names, from disk or newly built.

    Parameters
    ----------
    source : LayeredModel, nn.Module or path
        A network as it is; a module of your own, whose input the options declare (see `plain.wrap_module`); a
        run folder, a folder written by `save_model`, a trained network of the package, one that was fetched
        (``face-api-identity``, ``resnet50@IMAGENET1K_V2``) or any name that `build_model` takes (a name wins
        over a folder of that name), or ``NAME@FILE``: that architecture with the weights of a file
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
    TypeError
        If `source` is something else.

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
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"a network must be a name, a path, a LayeredModel or an nn.Module; got {source!r}.")
    source = str(source)
    name, at, place = source.partition("@")
    fetched = find_trained(source)
    if at and fetched is None and not Path(source).exists():
        if Path(place).is_dir():
            return load_model(place, code=name)
        if not Path(place).exists() and is_library_name(source):
            raise ValueError(f"{source} is not here yet; get it with: fernet-neuro models fetch {source}")
        return load_weights(build_undrawn(name, seed=seed, **options), place)
    saved = fetched or Path(source)
    if not saved.is_dir() or source in MODELS:
        return build_model(source, seed=seed, **options)
    if options:
        raise ValueError(f"{source} is a saved network and takes no options; got {format_options(options)}.")
    return load_model(saved, code=PUBLISHED[source].network if source in PUBLISHED else None)
