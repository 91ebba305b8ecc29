"""A network with named layers in forward order: the `LayeredModel` noun."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from fernet_neuro._utils.shown import Shown, name_some
from fernet_neuro._utils.validation import format_options, suggest
from fernet_neuro.exceptions import LayerNotFoundError
from fernet_neuro.models.card import ModelCard


@dataclass(frozen=True, eq=False, repr=False)
class LayeredModel(Shown):
    """A module, the names of its layers worth reading in forward order, and its card.

    Parameters
    ----------
    module : nn.Module
        Maps a float tensor (n, n_channels, size, size) to logits or an embedding (n, n_outputs).
    layers : tuple of str
        Paths as in ``named_modules()``, in forward order; what ``--all-layers`` means.
    card : ModelCard
        Origin, preprocessing and how to rebuild.

    Examples
    --------
    >>> import fernet_neuro as fn
    >>> fn.load_model("resnet10-slim", size=32)
    LayeredModel: resnet10-slim, 7 layers (stem, layer1, layer2 ... fc), input 32 x 32 rgb
    """

    module: nn.Module
    layers: tuple[str, ...]
    card: ModelCard

    def describe(self) -> str:
        """Return name, layers and input."""
        wanted = self.card.preprocessing
        layers = (
            f"{len(self.layers)} layers ({name_some(self.layers)})" if self.layers else "no layers listed"
        )
        return f"{self.card.name}, {layers}, input {wanted.size} x {wanted.size} {wanted.channels}"

    def weight_digest(self) -> str:
        """Return the SHA-256 of all parameters and buffers: names, dtypes, shapes and values."""
        return digest_weights(self.module.state_dict())

    def check_layers(self, layers: tuple[str, ...] | list[str]) -> tuple[str, ...]:
        """Return `layers` if the module has each, as a listed layer or any other named module.

        Raises
        ------
        LayerNotFoundError
            Naming the first that it has not, the closest valid name, and the listed layers.
        """
        known = dict(self.module.named_modules())
        for layer in layers:
            if layer == "" or layer not in known:
                raise LayerNotFoundError(
                    f"network {self.card.name!r} has no layer {layer!r}."
                    f"{suggest(layer, [*self.layers, *known])} "
                    f"Layers in forward order: {format_options(self.layers, 30)}."
                )
        return tuple(layers)

    def with_card(self, **changes: Any) -> "LayeredModel":
        """Return the same network with some fields of its card replaced."""
        return replace(self, card=replace(self.card, **changes))


def digest_weights(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of weights by name: names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        array = np.ascontiguousarray(tensor.detach().cpu().numpy())
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
