"""Networks to put saved weights into, built without the draws of weights that are overwritten.

What belongs here: leaving the draws out; reading and checking what is saved is in `weights`.
"""

from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model, is_function

#: What random weights are drawn by: torch's initialisers call either the one or the other.
_DRAWS = {nn.init.uniform_, nn.init.normal_, nn.init.kaiming_uniform_, Tensor.uniform_, Tensor.normal_}


class _ZerosForDraws(TorchFunctionMode):
    """Within it, parameters that would be drawn are zero; all else is computed."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        drawn = (args[0] if args else kwargs["tensor"]) if func in _DRAWS else None
        return nn.init.zeros_(drawn) if isinstance(drawn, nn.Parameter) else func(*args, **kwargs)


def build_undrawn(name: str, *, seed: int = 0, variant: str = "recommended", **options: Any) -> LayeredModel:
    """Return the network of `registry.build_model`, whose parameters may be zeros in place of random numbers.

    What is not among its weights is as there: your own code, and networks with buffers that no file holds,
    which may be drawn too, are built with all draws.
    """
    if not any(isinstance(part, str) and is_function(part) for part in (name, *options.values())):
        with _ZerosForDraws():
            model = build_model(name, seed=seed, variant=variant, **options)
        held = model.module.state_dict()
        if all(buffer in held for buffer, _ in model.module.named_buffers()):
            return model
    return build_model(name, seed=seed, variant=variant, **options)
