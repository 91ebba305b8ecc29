"""What one image costs: parameters, multiply-adds, and floating-point operations under two conventions.

What belongs here: counting; timing is in ``benchmarks/``.
"""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fernet_neuro._utils.validation import check_range
from fernet_neuro.models.layers import LayeredModel

# Convolutions and linear layers, called as modules or as functions; attention's products are neither.
_COUNTED = ("aten.convolution", "aten._convolution", "aten.mm", "aten.addmm", "aten.linear")
# A hard swish is x ReLU6(x + 3) / 6, and is counted by that ReLU6.
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.PReLU, nn.Hardswish)


@dataclass
class _Extras:
    """What torchstat adds to, and leaves out of, the multiply-adds."""

    added: int = 0
    left_out: int = 0


def compute_cost(model: LayeredModel, size: int | None = None) -> dict[str, str | int]:
    """Return what `model` costs for one image; a twin network's cost is that of one branch.

    Parameters
    ----------
    model : LayeredModel
        Run once in eval mode, on one black image.
    size : int, optional
        Side of the image in pixels; that of the card by default.

    Returns
    -------
    dict
        ``model`` and ``variant`` (names); ``params``, all weights, frozen or not; ``params_used``, those that
        the output depends on; ``macs``, multiply-adds of convolutions and linear layers; ``flops``, 2 per
        multiply-add; ``flops_torchstat``, the convention of many published tables: multiply-adds of 2-D
        convolutions and linear layers, 1 per output of a convolution with a bias, 2 per input of a 2-D batch
        normalisation, 1 per input of ReLU, ReLU6, PReLU and hard swish, nothing else.

    Raises
    ------
    ValueError
        If the network cannot take an image of that size.
    """
    side = size if size is not None else model.card.preprocessing.size
    check_range("size", side, 1)
    example = torch.zeros(1, len(model.card.preprocessing.mean), side, side)
    macs, extras = _count(model, example)
    return {
        "model": model.card.name,
        "variant": model.card.variant,
        "params": sum(parameter.numel() for parameter in model.module.parameters()),
        "params_used": _count_used(model.module, example),
        "macs": macs,
        "flops": 2 * macs,
        "flops_torchstat": macs - extras.left_out + extras.added,
    }


@torch.enable_grad()
def _count_used(module: nn.Module, example: torch.Tensor) -> int:
    """Return the number of weights that autograd finds behind the output."""
    twin = copy.deepcopy(module).eval().requires_grad_(True)
    weights = tuple(twin.parameters())
    gradients = torch.autograd.grad(twin(example).sum(), weights, allow_unused=True)
    return sum(w.numel() for w, found in zip(weights, gradients, strict=True) if found is not None)


@torch.no_grad()
def _count(model: LayeredModel, example: torch.Tensor) -> tuple[int, _Extras]:
    extras = _Extras()

    def hook(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            extras.added += output.numel()
        elif isinstance(layer, nn.BatchNorm2d):
            extras.added += 2 * inputs[0].numel()
        elif isinstance(layer, _ACTIVATIONS):
            extras.added += inputs[0].numel()
        elif isinstance(layer, nn.Conv1d):
            extras.left_out += output.numel() * layer.weight[0].numel()

    modes = [(part, part.training) for part in model.module.modules()]
    handles = [part.register_forward_hook(hook) for part in model.module.modules()]
    counter = FlopCounterMode(display=False)
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        # torch's fused attention hides its linear layers from the counter.
        torch.backends.mha.set_fastpath_enabled(False)
        with counter:
            model.module.eval()(example)
    except (RuntimeError, AssertionError, ValueError) as error:  # how networks refuse a size varies
        first = str(error).splitlines()[0]
        raise ValueError(
            f"network {model.card.name!r} cannot take size={example.shape[-1]}: {first}"
        ) from None
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for handle in handles:
            handle.remove()
        for part, training in modes:
            part.training = training
    flops = counter.get_flop_counts().get("Global", {})
    return sum(count for op, count in flops.items() if str(op).startswith(_COUNTED)) // 2, extras
