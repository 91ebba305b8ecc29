"""The lab's small densely connected network for 48 px grey faces.

What belongs here: the class and its builder; torchvision's DenseNets are reached by their own names.

References
----------
[1] Huang, G., Liu, Z., van der Maaten, L. & Weinberger, K. Q. (2017). Densely connected convolutional
    networks. CVPR.
[2] Schwartz, E., Alreja, A., Richardson, R. M., Ghuman, A. & Anzellotti, S. (2023). Challenging the classical
    view: Recognition of identity and expression as integrated processes. Brain Sciences.
"""

import torch
from torch import Tensor, nn

from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.models.blueprint import Blueprint, check_common_options
from fernet_neuro.models.preprocessing import Preprocessing

GROWTH, N_LAYERS, N_STEM = 32, 3, 64  # depth 13: (13 - 4) // 3 = 3 layers in each of three blocks
LAYERS = ("conv1", "dense1", "trans1", "dense2", "trans2", "dense3", "avgpool", "fc")


class DenseLayer(nn.Module):
    """Batch normalisation, convolution, ReLU, drop-out; the output is appended to the input.

    # Differs from [1]: ReLU and drop-out stand after the convolution, and there is no 1 x 1 bottleneck.
    """

    def __init__(self, n_in: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(n_in)
        self.conv = nn.Conv2d(n_in, GROWTH, kernel, padding=kernel // 2, bias=False)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, n_in + 32, height, width)."""
        return torch.cat([x, self.dropout(self.relu(self.conv(self.norm(x))))], dim=1)


def _make_dense_block(n_in: int, kernel: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(*(DenseLayer(n_in + i * GROWTH, kernel, dropout) for i in range(N_LAYERS)))


def _make_transition(n_in: int, kernel: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(n_in),
        nn.Conv2d(n_in, n_in // 2, kernel, padding=kernel // 2, bias=False),
        nn.ReLU(),
        nn.Dropout2d(dropout),
        nn.MaxPool2d(2),
    )


def _initialise(part: nn.Module) -> None:
    """Draw weights as the lab's scripts do; what is not named here keeps torch's defaults."""
    if isinstance(part, nn.Conv2d):
        nn.init.kaiming_normal_(part.weight, mode="fan_out")  # standard deviation sqrt(2 / (k k n_out))
    elif isinstance(part, nn.Linear):
        nn.init.zeros_(part.bias)


class LabDenseNet(nn.Module):
    """Three dense blocks of three layers each, channels 64, 160, 80, 176, 88, 184; log-probabilities out.

    Cross-entropy on log-probabilities equals that on the logits, so training is as with any other network.

    Parameters
    ----------
    n_classes, n_channels : int
        Outputs, and 1 (grey) or 3 inputs.
    kernel : int
        Side of every convolution in pixels, odd: 3, or 7 as in an earlier version.
    dropout : float
        Probability of dropping a whole channel: 0.1, or 0.5 as in an earlier version.
    pooling : {"global", "corner"}
        Average over the whole last map, or over its top-left 8 x 8 values, which is what the released
        script's ``avg_pool2d(x, 8)`` does to its 12 x 12 map.
    """

    dense1: nn.Sequential
    trans1: nn.Sequential
    dense2: nn.Sequential
    trans2: nn.Sequential
    dense3: nn.Sequential

    def __init__(self, n_classes: int, n_channels: int, kernel: int, dropout: float, pooling: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_channels, N_STEM, kernel, padding=kernel // 2)
        width = N_STEM
        for block in (1, 2, 3):
            self.add_module(f"dense{block}", _make_dense_block(width, kernel, dropout))
            width += N_LAYERS * GROWTH
            if block < 3:
                self.add_module(f"trans{block}", _make_transition(width, kernel, dropout))
                width //= 2
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1) if pooling == "global" else nn.AvgPool2d(8)
        self.fc = nn.Linear(width, n_classes)
        self.log_softmax = nn.LogSoftmax(dim=1)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Return log-probabilities (n, n_classes) for `x` of shape (n, n_channels, size, size)."""
        x = self.trans1(self.dense1(self.conv1(x)))
        x = self.dense3(self.trans2(self.dense2(x)))
        return self.log_softmax(self.fc(self.avgpool(self.relu(self.norm(x))).flatten(1)))


def build_densenet(
    *, variant: str, n_classes: int, size: int, channels: str, kernel: int, dropout: float
) -> Blueprint:
    """Return the lab's DenseNet [2]; variant ``"released"`` pools as its script does, else the whole map.

    Raises ValueError if an option is out of range, or the released pooling meets a last map that is not one 8
    x 8 window.
    """
    n_channels = check_common_options(n_classes, size, channels, smallest=4)
    check_option("kernel", str(kernel), ("3", "5", "7"))
    check_range("dropout", dropout, 0.0, 0.999)
    if variant == "released" and not 8 <= size // 4 < 16:
        raise ValueError(
            f"variant='released' pools one 8 x 8 window, so size must lie in 32-63 px; got size={size}. "
            "Use variant='recommended' for other sizes."
        )
    pooling = "corner" if variant == "released" else "global"
    module = LabDenseNet(n_classes, n_channels, kernel, dropout, pooling)
    # The lab's scripts feed pixels scaled to [0, 1] and normalise them no further.
    preprocessing = Preprocessing(size, channels=channels, mean=(0.0,) * n_channels, std=(1.0,) * n_channels)
    return Blueprint(module, preprocessing, LAYERS)
