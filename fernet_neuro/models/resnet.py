"""Residual networks: torchvision's, the Caffe-layout ResNet-50 of VGGFace2, and a slim one for two cores.

What belongs here: builders that return a `Blueprint`; each with its entry in the list of networks.

References
----------
[1] He, K., Zhang, X., Ren, S. & Sun, J. (2016). Deep residual learning for image recognition. CVPR.
[2] Cao, Q., Shen, L., Xie, W., Parkhi, O. M. & Zisserman, A. (2018). VGGFace2: A dataset for recognising
    faces across pose and age. IEEE FG.
"""

import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from fernet_neuro.models.blueprint import (
    Blueprint,
    centred_preprocessing,
    check_common_options,
    imagenet_preprocessing,
    use_one_channel,
)
from fernet_neuro.models.preprocessing import Preprocessing

VGGFACE2_MEAN_BGR = (91.4953, 103.8827, 131.0912)  # of 0-255 pixel values, in the order blue, green, red
# Stem, then four stages; chosen on two cores, where the 32 x 32 maps of a wider stem cost most of the time.
SLIM_WIDTHS = (16, 24, 48, 96, 128)


def _list_layers(blocks: tuple[int, ...]) -> tuple[str, ...]:
    names = [f"layer{stage}.{block}" for stage, n_blocks in enumerate(blocks, 1) for block in range(n_blocks)]
    return ("maxpool", *names, "avgpool", "fc")


RESNET18_LAYERS = _list_layers((2, 2, 2, 2))
RESNET50_LAYERS = _list_layers((3, 4, 6, 3))


def build_resnet18(*, n_classes: int, size: int, channels: str) -> Blueprint:
    """Return torchvision's ResNet-18 [1]: eight blocks, 512-d pooled feature; any `size` in pixels."""
    return _from_torchvision("resnet18", RESNET18_LAYERS, n_classes, size, channels)


def build_resnet50(*, n_classes: int, size: int, channels: str) -> Blueprint:
    """Return torchvision's ResNet-50 (version 1.5: stride 2 on 3 x 3 convolutions), 2048-d pooled feature."""
    return _from_torchvision("resnet50", RESNET50_LAYERS, n_classes, size, channels)


def _from_torchvision(
    name: str, layers: tuple[str, ...], n_classes: int, size: int, channels: str
) -> Blueprint:
    n_channels = check_common_options(n_classes, size, channels)
    module = torchvision.models.get_model(name, weights=None, num_classes=n_classes)
    if n_channels == 1:
        use_one_channel(module)
    return Blueprint(module, imagenet_preprocessing(size, channels), layers)


def build_resnet50_vggface2(*, n_classes: int, size: int) -> Blueprint:
    """Return the ResNet-50 of VGGFace2 [2] in Caffe layout, with the preprocessing that its weights expect.

    The stride of a stage sits on its first 1 x 1 convolution, and the max-pool has no padding and rounds up;
    with torchvision's graph the same weights load and give other numbers. Input: shorter side 256, centre
    crop 224, BGR, 0-255, minus the mean, no division. Other sizes keep the ratio 256/224.

    The release ends in a 7 x 7 average, which at 224 px is the whole map; here the whole map is averaged at
    every size, so that smaller inputs work too.
    """
    check_common_options(n_classes, size, "rgb", smallest=32)
    module = torchvision.models.resnet50(weights=None, num_classes=n_classes)
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    module.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True)
    preprocessing = Preprocessing(
        size,
        resize=round(size * 256 / 224),
        channels="bgr",
        scale=255.0,
        mean=VGGFACE2_MEAN_BGR,
        std=(1.0, 1.0, 1.0),
    )
    return Blueprint(module, preprocessing, RESNET50_LAYERS)


class SlimResNet(nn.Module):
    """One basic block per stage behind a 3 x 3 stem of stride 2: a trunk that two cores can train.

    Parameters
    ----------
    n_classes : int
        Outputs of the last linear layer.
    n_channels : int
        1 (grey) or 3.
    widths : tuple of int
        Channels of the stem and of the four stages.
    """

    layer1: BasicBlock
    layer2: BasicBlock
    layer3: BasicBlock
    layer4: BasicBlock

    def __init__(self, n_classes: int, n_channels: int, widths: tuple[int, ...] = SLIM_WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, widths[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        # The last stage keeps its resolution: a 4 x 4 map at 64 px still says where in the face something is.
        for stage, stride in enumerate((2, 2, 2, 1), 1):
            self.add_module(f"layer{stage}", _make_block(widths[stage - 1], widths[stage], stride))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], n_classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape (n, n_classes) for `x` of shape (n, n_channels, size, size)."""
        x = self.stem(x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _make_block(n_in: int, n_out: int, stride: int) -> BasicBlock:
    downsample = None
    if stride != 1 or n_in != n_out:
        downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
    return BasicBlock(n_in, n_out, stride, downsample)


def build_resnet10_slim(*, n_classes: int, size: int, channels: str) -> Blueprint:
    """Return the slim ResNet-10 for the demo: 0.45 M parameters, 128-d pooled feature, made for 64 px."""
    module = SlimResNet(n_classes, check_common_options(n_classes, size, channels))
    layers = ("stem", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")
    return Blueprint(module, centred_preprocessing(size, channels), layers)
