"""The twin network that says whether two photographs show one person, on its own 48 px trunk or on any other.

What belongs here: the class and its grey trunk; pairs and the training on them are in `training`.

References
----------
[1] Schwartz, E., O'Nell, K. & Anzellotti, S. (2020). Recognising expressions with features for identity.
    Vision Sciences Society, poster. The twin network, its loss and its ReLU layers are from there; the number
    and width of the layers are not stated there and are ours.
"""

from torch import Tensor, cat, nn

from fernet_neuro.models.blueprint import Blueprint, centred_preprocessing, check_common_options
from fernet_neuro.models.registry import build_trunk

GREY_WIDTHS = (32, 64, 128)


class SiameseNet(nn.Module):
    """Two branches with shared weights, compared by the absolute difference of their embeddings.

    Parameters
    ----------
    trunk : nn.Module
        Maps (n, n_channels, size, size) to an embedding; trailing axes are flattened.
    embedding_dim : int
        Number of values in one embedding.
    """

    def __init__(self, trunk: nn.Module, embedding_dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.embedding_dim = embedding_dim
        self.fc = nn.Linear(embedding_dim, 2)

    def forward(self, first: Tensor, second: Tensor | None = None) -> Tensor:
        """Return the embedding of one branch, or the logits of pairs.

        `first` (n, n_channels, size, size): images of the first branch. `second`: images of the second
        branch. Returns a Tensor (n, embedding_dim): embeddings, or logits of "different" (0) and "same" (1).
        """
        if second is None:
            return self.trunk(first).flatten(1)
        # One pass over both branches, so that batch normalisation sees one batch.
        embeddings = self.trunk(cat([first, second])).flatten(1)
        return self.compare(*embeddings.split(len(first)))

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (n, 2) of "different" (0) and "same" (1) from embeddings (n, embedding_dim)."""
        return self.fc((first - second).abs())


class GreyTrunk(nn.Module):
    """Three blocks of convolution, batch normalisation, ReLU and max-pool; the flat map is the embedding.

    Parameters
    ----------
    n_channels : int
        1 (grey) or 3.
    widths : tuple of int
        Channels of the blocks.
    """

    def __init__(self, n_channels: int = 1, widths: tuple[int, ...] = GREY_WIDTHS) -> None:
        super().__init__()
        self.block1 = _make_block(n_channels, widths[0])
        self.block2 = _make_block(widths[0], widths[1])
        self.block3 = _make_block(widths[1], widths[2])
        self.embedding = nn.Flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings (n, widths[-1] * (size // 8) ** 2)."""
        return self.embedding(self.block3(self.block2(self.block1(x))))


def _make_block(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


def build_siamese(*, trunk: str, size: int | None, channels: str | None) -> Blueprint:
    """Return the twin network on its grey trunk, or on any other network without its classifier."""
    if trunk == "grey":
        size, channels = 48 if size is None else size, channels or "grey"
        net = GreyTrunk(check_common_options(1, size, channels))
        twin = SiameseNet(net, GREY_WIDTHS[-1] * (size // 8) ** 2)
        layers = ("trunk.block1", "trunk.block2", "trunk.block3", "trunk.embedding")
        return Blueprint(twin, centred_preprocessing(size, channels), layers)
    if trunk == "siamese":
        raise ValueError("trunk='siamese' is itself a twin network; use another, such as 'resnet10-slim'.")
    wanted = {key: item for key, item in (("size", size), ("channels", channels)) if item is not None}
    base = build_trunk(trunk, wanted)
    twin = SiameseNet(base.module, base.n_features)
    return Blueprint(twin, base.preprocessing, tuple(f"trunk.{name}" for name in base.layers))
