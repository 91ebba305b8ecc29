"""Networks in use without their batch normalisations, which become part of the layers before them.

What belongs here: finding what can be folded, and folding it with torch's own helpers.
"""

import copy
from collections import Counter
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import make_example

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Folded(nn.Identity):
    """Stands where a batch normalisation was, so that layers keep their names."""


def fuse(model: LayeredModel) -> LayeredModel:
    """Return a copy of a network for use and export: faster, and equal but for rounding.

    Each batch normalisation that follows a convolution or linear layer, and that alone takes what this gives,
    is folded into it. A part with a method ``fused()`` is replaced by the module that this returns. The
    weights of 2-D convolutions are laid out with channels last, which processors take faster.

    Parameters
    ----------
    model : LayeredModel
        In evaluation mode; not changed.

    Returns
    -------
    LayeredModel
        With the same layers. It is not for training, and `save_model` does not take it.

    Raises
    ------
    ValueError
        If the network is in training mode.

    Examples
    --------
    >>> from fernet_neuro.models.registry import build_model
    >>> fuse(build_model("resnet10-slim")).module.stem
    Sequential(
      (0): Conv2d(3, 16, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
      (1): Folded()
      (2): ReLU(inplace=True)
    )
    """
    if any(part.training for part in model.module.modules()):
        raise ValueError(
            f"network {model.card.name!r} is in training mode, in which batch normalisation depends on the "
            "batch; call model.module.eval() before fuse(), and go on training the network that is not fused."
        )
    module = copy.deepcopy(model.module)
    for name, part in list(module.named_modules()):
        if callable(make := getattr(part, "fused", None)):
            module.set_submodule(name, make())
    for layer, norm in _find_pairs(module, make_example(model.card.preprocessing)):
        first, second = module.get_submodule(layer), module.get_submodule(norm)
        fold: Any = fuse_linear_bn_eval if isinstance(first, nn.Linear) else fuse_conv_bn_eval
        module.set_submodule(layer, fold(first, second))
        module.set_submodule(norm, Folded())
    return replace(model, module=module.to(memory_format=torch.channels_last))


class _Uses(TorchDispatchMode):
    """Keeps every tensor that an operation takes, as often as it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.tensors += [item for item in tree_leaves((args, kwargs)) if isinstance(item, Tensor)]
        return func(*args, **kwargs)


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


@torch.no_grad()
def _find_pairs(module: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Return the names of layers and of the batch normalisations that alone take what these give."""
    given: list[tuple[str, Tensor]] = []
    taken: list[tuple[str, Tensor]] = []
    handles = []
    for name, part in module.named_modules():
        if isinstance(part, _LAYERS):

            def note_given(_part: nn.Module, _inputs: Any, output: Tensor, name: str = name) -> None:
                given.append((name, output))

            handles.append(part.register_forward_hook(note_given))
        elif isinstance(part, _BatchNorm) and part.affine and part.track_running_stats:

            def note_taken(_part: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                taken.append((name, inputs[0]))

            handles.append(part.register_forward_pre_hook(note_taken))
    with _Uses() as uses:
        module(example)
    for handle in handles:
        handle.remove()
    uses_of = Counter(map(_place, uses.tensors))
    runs = Counter(name for name, _ in given + taken)
    pairs = Counter(
        (layer, norm)
        for layer, output in given
        for norm, value in taken
        if value is output and uses_of[_place(output)] == 1
    )
    return [pair for pair, n in pairs.items() if all(n == runs[name] for name in pair)]
