"""Which layers of a network fire, in which order and with which shape: one forward pass with hooks.

What belongs here: looking at a network's structure; copying activations out of it is in `extraction`.
"""

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
SKIPPED = (nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten)
#: What torch and a network's own code raise where input or options do not fit it.
FAILURES = (RuntimeError, TypeError, AssertionError)
FEWEST_BLOCKS = 3  # a part with a shorter sequence inside is one block, such as a branching one


@torch.no_grad()
def trace_modules(module: nn.Module, example: Tensor, name: str = "") -> dict[str, tuple[int, ...]]:
    """Return the output shape, without the batch axis, of each named module that fires exactly once.

    `module`: run in eval mode, then put back as it was. `example` (n, n_channels, size, size): one input.
    `name`: of the network, for messages. Returns names in the order in which the modules finish. Modules that
    fire more than once, or whose output is not one tensor, are left out. Raises ValueError if the network
    fails on the input.
    """
    counts: Counter[str] = Counter()
    shapes: dict[str, tuple[int, ...]] = {}

    def note(layer: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            counts[layer] += 1
            if isinstance(output, Tensor):
                shapes[layer] = tuple(output.shape[1:])

        return hook

    modes = [(part, part.training) for part in module.modules()]
    handles = [part.register_forward_hook(note(layer)) for layer, part in module.named_modules() if layer]
    try:
        module.eval()(example)
    except FAILURES as error:
        raise ValueError(
            f"network {(name or type(module).__name__)!r} fails on an input of shape {tuple(example.shape)}: "
            f"{type(error).__name__}: {error} (give the size and channels that it expects, such as --size 64 "
            f"or --set channels=grey)"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        for part, training in modes:
            part.training = training
    return {layer: shape for layer, shape in shapes.items() if counts[layer] == 1}


def find_layers(module: nn.Module, example: Tensor, name: str = "") -> tuple[str, ...]:
    """Return the layers of `module` that are worth reading, in forward order.

    Plain containers are opened, and so is a top-level part that holds a container of blocks, such as a
    transformer's encoder; blocks are not. Drop-out, identity and flattening are left out.
    """
    fired = trace_modules(module, example, name)
    chosen = set(_choose(module, "", fired, depth=0))
    if len(chosen) == 1:  # a wrapper around one network
        inner = next(iter(chosen))
        chosen |= set(_choose(module.get_submodule(inner), f"{inner}.", fired, depth=0))
    return tuple(layer for layer in fired if layer in chosen)


def _choose(parent: nn.Module, prefix: str, fired: dict[str, tuple[int, ...]], depth: int) -> Iterator[str]:
    for name, child in parent.named_children():
        path = prefix + name
        opened = type(child) in CONTAINERS or (depth == 0 and _holds_blocks(child)) or path not in fired
        if opened and any(child.children()):
            yield from _choose(child, f"{path}.", fired, depth + 1)
        elif path in fired and not isinstance(child, SKIPPED):
            yield path


def _holds_blocks(module: nn.Module) -> bool:
    return any(
        type(child) in CONTAINERS
        and sum(any(block.children()) for block in child.children()) >= FEWEST_BLOCKS
        for child in module.children()
    )


def find_head(module: nn.Module) -> str | None:
    """Return the name of the last linear layer in `module`'s definition, its classifier; None without one."""
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    return names[-1] if names else None


def remove_head(module: nn.Module) -> int:
    """Replace `module`'s classifier by an identity, in place, and return the number of features that it read.

    Raises ValueError if the network has no linear layer to take away.
    """
    name = find_head(module)
    if name is None:
        raise ValueError(
            f"trunk {type(module).__name__} has no linear classifier to replace by an embedding."
        )
    n_features = getattr(module.get_submodule(name), "in_features")  # noqa: B009
    module.set_submodule(name, nn.Identity())
    for path, part in list(module.named_modules()):
        if isinstance(part, nn.LogSoftmax | nn.Softmax):
            module.set_submodule(path, nn.Identity())
    return int(n_features)
