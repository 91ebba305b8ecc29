"""Weights that libraries bring by name: ``resnet50@IMAGENET1K_V2``, ``timm:NAME@pretrained``.

What belongs here: finding and loading them through the libraries; keeping them is in `published`.
"""

import logging
import re
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from fernet_neuro._utils.cache import cache_folder
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.optional import import_optional
from fernet_neuro._utils.validation import format_options
from fernet_neuro.exceptions import StoreError
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.sources import TIMM_PREFIX, list_torchvision
from fernet_neuro.models.weights import check_state, read_state_dict
from fernet_neuro.typing import PathLike

#: What comes after the @ of a timm network.
PRETRAINED = "pretrained"
_AGAIN = "Run the command again when this machine is online, or give the file with --from FILE."
#: torchvision's weights of these took images scaled to [-1, 1].
_CENTRED = ("inception_v3", "googlenet")


def is_library_name(source: str) -> bool:
    """Return whether `source` has the form of a network of a library with weights that it brings."""
    name, _, weights = source.partition("@")
    if name.startswith(TIMM_PREFIX):
        return weights == PRETRAINED
    return name in list_torchvision() and re.fullmatch("[A-Z][A-Z0-9_]*", weights) is not None


def fetch_from_library(source: str, file: PathLike | None = None) -> tuple[LayeredModel, dict[str, Any]]:
    """Return a trained network of a library, and its ``licence``, ``citation``, ``learnt`` and ``files``.

    `source`: see `is_library_name`. `file`: its weights, downloaded before. Raises ValueError if there are no
    such weights; StoreError if they cannot be had, are others, or do not fit; MissingDependencyError for a
    timm network without timm.
    """
    model, known = prepare_library_model(source)
    name, _, tag = source.partition("@")
    if name.startswith(TIMM_PREFIX):
        state, files = _get_timm(name, file)
    else:
        state, files = _get_torchvision(_list_weights(name)[tag], file)
    check_state(model.module, state, model.card.source)
    model.module.load_state_dict(state, strict=False)
    return model, {**known, "files": files}


def prepare_library_model(source: str) -> tuple[LayeredModel, dict[str, Any]]:
    """Return a library's network with the card of its trained one, before its weights are there.

    Beside it: ``licence``, ``citation`` and ``learnt``. Raises as `fetch_from_library`, but needs no network.
    """
    if not is_library_name(source):
        raise ValueError(
            f"{source!r} is no network with weights of a library; write NAME@WEIGHTS, such as "
            f"resnet50@IMAGENET1K_V2 or resnet50@DEFAULT of torchvision, or timm:NAME@pretrained."
        )
    name, _, weights = source.partition("@")
    if name.startswith(TIMM_PREFIX):
        return _prepare_timm(name)
    return _prepare_torchvision(name, weights)


def _prepare_torchvision(name: str, tag: str) -> tuple[LayeredModel, dict[str, Any]]:
    known = _list_weights(name)
    if tag not in known.__members__:
        raise ValueError(
            f"torchvision's {name} has no weights {tag!r}; it has: {format_options(known.__members__)}."
        )
    weights = known[tag]
    wanted = weights.transforms()
    model = build_model(name, size=wanted.crop_size[0])
    preprocessing = replace(
        model.card.preprocessing,
        resize=wanted.resize_size[0],
        mean=(0.5,) * 3 if name in _CENTRED else tuple(wanted.mean),
        std=(0.5,) * 3 if name in _CENTRED else tuple(wanted.std),
    )
    learnt = f"{len(weights.meta['categories'])} classes of objects (ImageNet), {tag}"
    card = {"licence": "BSD-3-Clause (torchvision); images for research only", "source": weights.url}
    citation = f"torchvision maintainers (2016), TorchVision; {weights.meta.get('recipe', weights.url)}"
    model = model.with_card(seed=None, preprocessing=preprocessing, training_data=learnt, **card)
    return model, {"licence": card["licence"], "citation": citation, "learnt": learnt}


def _list_weights(name: str) -> Any:
    """Return the weights that torchvision has for a network, an enumeration by name."""
    import torchvision  # loads slowly

    return torchvision.models.get_model_weights(name)


def _get_torchvision(weights: Any, file: PathLike | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the state, and the SHA-256 of its file, without the parts that only training uses."""
    state, files = _read_torchvision(weights, file)
    return {key: item for key, item in state.items() if not re.match(r"(AuxLogits|aux\d)\.", key)}, files


def _read_torchvision(weights: Any, file: PathLike | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the state and the SHA-256 of its file, which torchvision names by the first digits of it."""
    if file is None:
        folder = cache_folder() / "downloads"
        try:
            with redirect_stdout(sys.stderr):
                state = weights.get_state_dict(model_dir=str(folder), check_hash=True, progress=False)
        except (OSError, RuntimeError) as error:
            raise StoreError(
                f"{weights.url} cannot be had ({' '.join(str(error).split())}); nothing was kept. {_AGAIN}"
            ) from None
        path = folder / Path(weights.url).name
        files = {path.name: hash_file(path)}
        path.unlink()
        return state, files
    state, digest = read_state_dict(file), hash_file(file)
    start = Path(weights.url).stem.rpartition("-")[2]
    if not digest.startswith(start):
        raise StoreError(
            f"{file} is not the published file (its SHA-256 must begin with {start}); get {weights.url}."
        )
    return state, {Path(file).name: digest}


def _get_timm(name: str, file: PathLike | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    if file is not None:
        return read_state_dict(file), {Path(file).name: hash_file(file)}
    timm = import_optional("timm", f"network {name!r}", "timm")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tries for a minute, and says so
    try:
        return timm.create_model(name.removeprefix(TIMM_PREFIX), pretrained=True).state_dict(), {}
    except Exception as error:  # of whichever library carries it
        raise StoreError(
            f"{name} cannot be had ({' '.join(str(error).split())[:200]}); nothing was kept. {_AGAIN}"
        ) from None


def _prepare_timm(name: str) -> tuple[LayeredModel, dict[str, Any]]:
    timm = import_optional("timm", f"network {name!r}", "timm")
    model = build_model(name)
    published = timm.get_pretrained_cfg(name.removeprefix(TIMM_PREFIX)).to_dict()
    page = published.get("hf_hub_id") or published.get("url") or "timm"
    side = model.card.preprocessing.size
    preprocessing = replace(model.card.preprocessing, resize=round(side / published.get("crop_pct", 1.0)))
    learnt = f"{model.module.num_classes} classes; tag {published.get('tag') or 'default'} of timm"
    licence = str(published.get("license") or "see its page")
    card = {"training_data": learnt, "licence": licence, "source": page}
    model = model.with_card(seed=None, preprocessing=preprocessing, **card)
    citation = f"Wightman (2019), PyTorch image models (timm); {page}"
    return model, {"licence": licence, "citation": citation, "learnt": learnt}
