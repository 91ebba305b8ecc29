"""Weights on disk: saved networks, and checkpoints of others read without running anything in them.

What belongs here: reading and writing; a network is saved as ``model.safetensors`` and ``model.json``.
"""

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fernet_neuro._utils.atomic import atomic_folder
from fernet_neuro._utils.json_files import read_json
from fernet_neuro._utils.validation import check_option, format_options
from fernet_neuro.exceptions import FernetWarning, StoreError
from fernet_neuro.models._unpickle import read_array_pickle
from fernet_neuro.models.card import ModelCard
from fernet_neuro.models.fuse import Folded
from fernet_neuro.models.layers import LayeredModel, digest_weights
from fernet_neuro.models.sources import TIMM_PREFIX
from fernet_neuro.models.trace import find_head
from fernet_neuro.models.undrawn import build_undrawn
from fernet_neuro.typing import PathLike

FORMAT = 1
WRAPPERS = ("state_dict", "state_dict_backbone", "model_state_dict", "model", "net")
#: What wrappers of torch put into the names of weights: parallel training, compiling, sharding.
_WRAPPED = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
#: What the averaging of weights counts beside them.
_COUNTER = "n_averaged"
#: What batch normalisation counts; networks saved long ago, and averages of weights, lack it.
_BATCHES = "num_batches_tracked"
#: How deep other weights of a file are looked for.
_DEPTH = 4
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save_model(model: LayeredModel, folder: PathLike, *, half: bool = False) -> None:
    """Write `model` to `folder` as ``model.safetensors`` and ``model.json``, complete or not at all.

    Parameters
    ----------
    model : LayeredModel
    folder : path
    half : bool
        Store 16-bit numbers, which take half the room. The module's own weights are rounded to these, so that
        it is the network that `load_model` returns.

    Raises
    ------
    ValueError
        If a weight is too large for 16 bits.
    StoreError
        If the network was fused: no name rebuilds it.
    """
    if any(isinstance(part, Folded) for part in model.module.modules()):
        raise StoreError(
            f"{model.card.name!r} is fused; save the network that it was made from, and fuse it again."
        )
    state = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.module.state_dict().items()
    }
    if half:
        state = {name: _round(name, tensor) for name, tensor in state.items()}
        model.module.load_state_dict(state)
    record = {
        "format": FORMAT,
        "card": model.card.to_dict(),
        "layers": list(model.layers),
        "weight_digest": model.weight_digest(),
    }
    with atomic_folder(folder) as temporary:
        save_file(state, temporary / "model.safetensors")
        (temporary / "model.json").write_text(json.dumps(record, indent=2), encoding="utf-8")


def _round(name: str, tensor: Tensor) -> Tensor:
    """Return 16-bit numbers in place of 32-bit ones; whole numbers, such as counters, stay."""
    rounded = tensor.half() if tensor.is_floating_point() else tensor
    if tensor.isfinite().all() and not rounded.isfinite().all():
        raise ValueError(f"{name} has values above 65504, too large for 16 bits; save it with half=False.")
    return rounded


def load_model(folder: PathLike, *, code: str | None = None) -> LayeredModel:
    """Return the network that `save_model` wrote to `folder`, or to ``folder/model`` of a run; in eval mode.

    `folder`: a saved network or a run. `code`: the architecture's name (of a twin network: its trunk's),
    needed where it is your own ``file.py:function``: a file on disk must not decide which code is run. Raises
    StoreError if something is missing, damaged or does not fit; ValueError if `code` names another network
    than the one saved.
    """
    place = _find_saved(Path(folder))
    record = _read_record(place / "model.json")
    card = _name_code(_read_card(record, place), code, folder)
    try:
        model = build_undrawn(card.name, variant=card.variant, **card.options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place / 'model.json'}: {error}") from error
    state = read_state_dict(place / "model.safetensors")
    check_state(model.module, state, str(place))
    model.module.load_state_dict(state)
    loaded = LayeredModel(model.module, tuple(record["layers"]), card)
    if loaded.weight_digest() != record["weight_digest"]:
        raise StoreError(
            f"{place}: the weights are not those that were saved (digest differs); save them again."
        )
    return loaded


def read_weight_digest(folder: PathLike) -> str:
    """Return ``load_model(folder).weight_digest()``, as a rule without building the network.

    It is that of the weights as they lie there, whatever ``model.json`` says. Raises as `load_model`.
    """
    place = _find_saved(Path(folder))
    state = read_state_dict(place / "model.safetensors")
    known = _read_record(place / "model.json")["weight_digest"]
    is_numpy = all(tensor.dtype != torch.bfloat16 for tensor in state.values())
    if is_numpy and digest_weights(state) == known:
        return str(known)
    return load_model(place).weight_digest()  # 16-bit weights, digested as 32-bit ones; or it raises


def _read_card(record: dict[str, Any], place: Path) -> ModelCard:
    try:
        return ModelCard.from_dict(record["card"])
    except (TypeError, KeyError, AttributeError):
        raise StoreError(f"{place / 'model.json'} holds no valid card; save the network again.") from None


def _name_code(card: ModelCard, code: str | None, folder: PathLike) -> ModelCard:
    """Return `card` with the architecture that the caller named, who must name it where it is code."""
    as_trunk = isinstance(card.options.get("trunk"), str) and card.name == "siamese"
    name = str(card.options["trunk"]) if as_trunk else card.name
    if ":" not in name or name.startswith(TIMM_PREFIX):
        if code not in (None, card.name, name):
            raise ValueError(f"{folder} holds the network {card.name!r}, not {code!r}.")
        return card
    if code is None or (as_trunk and code == card.name):
        raise StoreError(
            f"{folder} was built by your own code {name!r}, which is run only if you name it: "
            f"use {name}@{folder}, or load_model(folder, code={name!r})."
        )
    return replace(card, options={**card.options, "trunk": code}) if as_trunk else replace(card, name=code)


def _find_saved(folder: Path) -> Path:
    for place in (folder, folder / "model"):
        if (place / "model.json").is_file():
            return place
    if not folder.is_dir():
        raise StoreError(f"folder {folder} does not exist.")
    raise StoreError(
        f"{folder} holds no saved network (model.json is missing); a run has one when it is complete."
    )


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = read_json(path)
    except ValueError:
        raise StoreError(f"{path} is damaged (no valid JSON); save the network again.") from None
    if not isinstance(record, dict) or not {"format", "card", "layers", "weight_digest"} <= record.keys():
        raise StoreError(f"{path} does not describe a network of fernet-neuro.")
    layers = record["layers"]
    if not isinstance(layers, list) or not all(isinstance(name, str) for name in layers):
        raise StoreError(f"{path} is damaged (its layers are no list of names); save the network again.")
    if record["format"] != FORMAT:
        raise StoreError(f"{path} has format {record['format']!r}; this version reads format {FORMAT}.")
    return record


def read_one(files: list[Path]) -> dict[str, Tensor]:
    """Return the weights in the one file of a release, see `read_state_dict`."""
    return read_state_dict(files[0])


def read_state_dict(path: PathLike) -> dict[str, Tensor]:
    """Return the weights in a checkpoint by name; nothing in the file is ever run.

    `path`: ``.safetensors``; ``.pkl``, a pickled dict of NumPy arrays as in the VGGFace2 release; anything
    else is read as a torch file. A dict around the weights (``state_dict``, ``state_dict_backbone``,
    ``model``, ``net``) and prefixes of torch's wrappers (``module.``, ``_orig_mod.``) are taken off, however
    many there are. Raises StoreError if the file is missing, damaged, a pickled module, holds no weights, or
    those of several networks.
    """
    file = Path(path)
    if not file.is_file():
        raise StoreError(f"weight file {file} does not exist.")
    if file.suffix == ".safetensors":
        content: Any = _read_safetensors(file)
    elif file.suffix in (".pkl", ".pickle"):
        content = {name: torch.from_numpy(array) for name, array in read_array_pickle(file).items()}
    else:
        content = _read_torch(file)
    return _unwrap(content, file)


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except safetensors.SafetensorError as error:
        raise StoreError(f"weight file {file} is damaged or cut short ({error}).") from None


def _read_torch(file: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on kinds of tensors that are refused anyway
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|global:?) ([\w.]+\.\w+)", str(error))
        what = f" ({found[1]})" if found else ""
        if not found and not zipfile.is_zipfile(file):
            raise StoreError(f"weight file {file} is damaged or not a torch file.") from None
        raise StoreError(
            f"weight file {file} holds a pickled object{what}, which could run any code and is not loaded; "
            "save the weights alone, where they were made: torch.save(net.state_dict(), 'weights.pth')."
        ) from None
    except Exception:  # what torch reads of a damaged archive raises many kinds
        raise StoreError(f"weight file {file} is damaged, cut short or not a torch file.") from None


def _unwrap(content: Any, file: Path) -> dict[str, Tensor]:
    """Return the weights inside the dicts and wrappers that trainings keep them in."""
    way: tuple[Any, ...] = ()
    while found := _find_wrapping_keys(content):
        if len(way) > _DEPTH:
            raise StoreError(f"weight file {file} keeps dicts in dicts without an end.")
        _check_choice(content, found, way, file)
        way, content = (*way, found[0]), content[found[0]]
    if not isinstance(content, dict) or not content:
        raise StoreError(f"weight file {file} holds no dict of named weights; got {type(content).__name__}.")
    wrong = [
        name for name, item in content.items() if not isinstance(name, str) or not isinstance(item, Tensor)
    ]
    if wrong:
        raise StoreError(
            f"weight file {file}: {format_options(wrong, 3)} is not a tensor; wanted a state_dict."
        )
    odd = next((f"{name} {form}" for name, item in content.items() if (form := _find_form(item))), None)
    if odd:
        raise StoreError(f"weight file {file}: {odd}.")
    while prefix := _find_wrapper(content):
        content = {name.removeprefix(prefix): item for name, item in content.items() if name != _COUNTER}
    return content


def _find_wrapping_keys(content: Any) -> list[str]:
    """Return the keys under which a dict may keep weights; those with tensors, where any has."""
    found = [key for key in WRAPPERS if isinstance(content, dict) and isinstance(content.get(key), dict)]
    return [key for key in found if any(_list_named(content[key], ()))] or found


def _find_form(item: Tensor) -> str:
    """Return what a tensor is that is no plain array of numbers, with the way out; or an empty text."""
    if item.is_nested:
        return "is a nested tensor, several in one; save each by a name of its own"
    if item.is_meta:
        return "has no values (it is on the device 'meta'); save the network once its weights are loaded"
    if item.is_quantized:
        return f"is quantised ({item.dtype}); save its .dequantize()"
    if item.layout != torch.strided:
        return f"is not dense ({item.layout}); save its .to_dense()"
    return ""


def _check_choice(content: dict, found: list[str], way: tuple[Any, ...], file: Path) -> None:
    """Refuse a file with several networks, and note one that also holds other values of the same weights.

    `content`: what is in the file behind the keys `way`; `found`: its keys that may hold the weights.
    """
    first = _to_bare(content[found[0]])
    others = [key for key in found[1:] if not _are_equal(_to_bare(content[key]), first)]
    if others:
        raise StoreError(
            f"weight file {file} holds weights under {format_options(map(repr, (found[0], *others)))}; save "
            f"those that you mean alone: {_say_how_to_save(file, (*way, found[0]))}."
        )
    nested = [place for key in content if key not in found for place in _list_named(content[key], (key,))]
    alike = [place for place, weights in nested if _are_other_values(_to_bare(weights), first)]
    if alike:
        warnings.warn(
            f"the weights are those under {found[0]!r} of {file}; it holds others under "
            f"{format_options(repr('.'.join(map(str, place))) for place in alike)}, such as running "
            f"averages: if you mean those, save them alone: {_say_how_to_save(file, (*way, *alike[0]))}.",
            FernetWarning,
            stacklevel=4,
        )


def _say_how_to_save(file: Path, way: tuple[Any, ...]) -> str:
    keys = "".join(f"[{key!r}]" for key in way)
    return f"torch.save(torch.load('{file.name}', weights_only=True){keys}, 'weights.pth')"


def _to_bare(content: dict) -> dict[str, Any]:
    """Return weights as a file holds them without all that may be around them and in front of their names."""
    depth = 0
    while (keys := _find_wrapping_keys(content)) and depth < _DEPTH:
        content, depth = content[keys[0]], depth + 1
    named = {str(name): item for name, item in content.items() if name != _COUNTER}
    bare = _without_wrappers(named)
    if len(bare) < len(named):
        return named
    while len({name.partition(".")[0] for name in bare}) == 1 and all("." in name for name in bare):
        bare = {name.partition(".")[2]: item for name, item in bare.items()}
    return bare


def _list_named(content: Any, way: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], dict]]:
    """Yield the keys that lead to each dict of tensors in nested ones, and that dict."""
    if not isinstance(content, dict) or len(way) > _DEPTH:
        return
    if any(isinstance(item, Tensor) for item in content.values()):
        yield way, content
    for key, item in content.items():
        yield from _list_named(item, (*way, key))


def _are_other_values(weights: dict[str, Any], first: dict[str, Any]) -> bool:
    """Return whether `weights` are values of the network `first` or of its parameters alone, and others."""
    named = {name: item for name, item in weights.items() if isinstance(item, Tensor)}
    if not named.keys() <= first.keys() or 2 * len(named) <= sum(map(_is_learnt, first)):
        return False
    return not all(_are_same(item, first[name]) for name, item in named.items() if _is_learnt(name))


def _is_learnt(name: str) -> bool:
    return not name.endswith((_BATCHES, "running_mean", "running_var"))


def _are_equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(_are_same(item, other[name]) for name, item in one.items())


def _are_same(one: Any, other: Any) -> bool:
    if one is other or not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return one is other
    if _find_form(one) or _find_form(other) or (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    return torch.equal(one, other)


def _find_wrapper(content: dict[str, Tensor]) -> str:
    """Return what a wrapper put before all names, or an empty text."""
    names = [name for name in content if name != _COUNTER]
    prefixes = (f"{part}." for part in _WRAPPED)
    return next((item for item in prefixes if names and all(name.startswith(item) for name in names)), "")


def load_weights(
    model: LayeredModel, path: PathLike, *, strict: bool = True, head: str = "keep", training_data: str = ""
) -> LayeredModel:
    """Put the weights of a checkpoint into `model`'s module and return the network with a card that says so.

    Parameters
    ----------
    model : LayeredModel
        Its module is changed, all of it or, on an error, nothing.
    path : path
        See `read_state_dict`. First parts that all names share (``model.`` of a Lightning module) and names
        of wrappers inside are taken off where the names are then the network's.
    strict : bool
        Whether names that are missing or left over are an error; a wrong shape always is.
    head : {"keep", "replace"}
        ``"replace"`` leaves the checkpoint's classifier out: ours stays as initialised, for other classes.
    training_data : str
        What the weights were trained on, for the card.

    Raises
    ------
    StoreError
        If the file cannot be read or does not fit; the message names the first offending weights.
    """
    check_option("head", head, ("keep", "replace"))
    state = _without_shared_prefix(read_state_dict(path), model.module.state_dict())
    left_out: set[str] = set()
    if head == "replace":
        name = find_head(model.module)
        left_out = {f"{name}.weight", f"{name}.bias"} if name else set()
    state = {name: tensor for name, tensor in state.items() if name not in left_out}
    check_state(model.module, state, str(path), left_out, strict=strict)
    model.module.load_state_dict(state, strict=False)
    return model.with_card(seed=None, source=Path(path).name, training_data=training_data or "see source")


def _without_shared_prefix(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights without the first parts that all their names share, as ``model.`` of a Lightning module.

    So are names of wrappers inside (``features.module.0.weight``). Parts are taken off only if all names are
    the network's afterwards, and of shared ones, none is before.
    """
    bare = _without_wrappers(state)
    while bare and not bare.keys() <= own.keys():
        prefix = f"{next(iter(bare)).partition('.')[0]}."
        if bare.keys() & own.keys() or not all(name.startswith(prefix) for name in bare):
            return state
        bare = {name.removeprefix(prefix): item for name, item in bare.items()}
    return bare if len(bare) == len(state) else state


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    parted = ((name.split("."), item) for name, item in state.items())
    return {".".join(part for part in parts if part not in _WRAPPED): item for parts, item in parted}


def check_state(
    module: nn.Module,
    state: dict[str, Tensor],
    source: str,
    left_out: Collection[str] = (),
    *,
    strict: bool = True,
) -> None:
    """Check that `state`, the weights in `source`, fits `module`; counters of batches seen may be missing.

    `module`: takes the weights; not changed. `state`: weights by name. `source`: where they are from, for the
    message. `left_out`: names of `module` that may be missing. `strict`: whether names that are missing or
    left over are an error; a wrong shape always is. Raises StoreError naming the first that do not fit.
    """
    own = module.state_dict()
    problems = [
        f"{name} has shape {tuple(tensor.shape)}, not {tuple(own[name].shape)}"
        for name, tensor in state.items()
        if name in own and own[name].shape != tensor.shape
    ]
    shared = [(name, tensor, own[name]) for name, tensor in state.items() if name in own]
    problems += [problem for item in shared if (problem := _find_odd_numbers(*item))]
    if strict:
        needed = [name for name in own if name not in left_out and not name.endswith(_BATCHES)]
        missing = [name for name in needed if name not in state]
        unexpected = [name for name in state if name not in own]
        problems += [f"missing: {format_options(missing, 3)}"] * bool(missing)
        problems += [f"unexpected: {format_options(unexpected, 3)}"] * bool(unexpected)
    if not problems and not any(name in own for name in state):
        problems = ["no name in common"]
    if problems:
        hint = " head='replace' keeps the network's own classifier." if _only_head(module, problems) else ""
        prefix = _find_prefix(state, own)
        if prefix:
            hint = f" Save the weights without the {prefix!r} that their names begin with."
        raise StoreError(
            f"the weights in {source} do not fit the network: {format_options(problems, 5)}.{hint}"
        )


def _find_odd_numbers(name: str, tensor: Tensor, own: Tensor) -> str:
    """Return what is wrong with the values of a weight where `own` is to hold them, or an empty text."""
    if tensor.is_complex() and not own.is_complex():
        return f"{name} holds complex numbers ({tensor.dtype})"
    if own.is_floating_point() and not tensor.is_floating_point():
        return f"{name} holds whole numbers ({tensor.dtype}), as quantised weights do"
    if own.is_floating_point() and tensor.dtype not in _FLOATS:
        return f"{name} holds numbers of 8 bits or less ({tensor.dtype}), as quantised weights do"
    if tensor.shape != own.shape:
        return ""
    held = tensor.to(own.dtype)
    if not own.is_floating_point():
        return _count_odd(held.to(tensor.dtype) != tensor, f"{name} are no whole numbers of {own.dtype}")
    if not held.isfinite().all():
        # A mask may be infinite in the network itself.
        odd = ~held.isfinite() & own.isfinite().to(tensor.device)
        what = f"too large for {own.dtype}" if (odd & tensor.isfinite()).any() else "not finite"
        said = _count_odd(odd, f"{name} are {what}")
        if said:
            return said
    return _count_odd(held < 0, f"{name}, a variance, are negative") if name.endswith("running_var") else ""


def _count_odd(odd: Tensor, what: str) -> str:
    return f"{int(odd.sum())} of {odd.numel()} values of {what}" if odd.any() else ""


def _find_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Return what stands before the network's names in those of other weights, or an empty text."""
    for name in state:
        parts = name.split(".")
        for place in range(1, len(parts)):
            if ".".join(parts[place:]) in own:
                return ".".join(parts[:place]) + "."
    return ""


def _only_head(module: nn.Module, problems: list[str]) -> bool:
    head = find_head(module)
    return head is not None and all(problem.startswith(f"{head}.") for problem in problems)
