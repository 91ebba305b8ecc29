"""Swin-T: a vision transformer over shifted windows, from torchvision.

What belongs here: its builder; other transformers are reached by their torchvision or timm names.

References
----------
[1] Liu, Z. et al. (2021). Swin Transformer: Hierarchical vision transformer using shifted windows. ICCV.
"""

import torchvision

from fernet_neuro.models.blueprint import (
    Blueprint,
    check_common_options,
    imagenet_preprocessing,
    use_one_channel,
)

# Even numbers are the patch embedding and the mergings; each block of a stage is listed.
STAGES = {1: 2, 3: 2, 5: 6, 7: 2}
LAYERS = (
    "features.0",
    *(f"features.{stage}.{block}" for stage, n_blocks in STAGES.items() for block in range(n_blocks)),
    "norm",
    "avgpool",
    "head",
)


def build_swin_t(*, n_classes: int, size: int, channels: str) -> Blueprint:
    """Return torchvision's Swin-T [1], 768-d pooled feature; blocks give (height, width, channels)."""
    n_channels = check_common_options(n_classes, size, channels, smallest=32)
    module = torchvision.models.swin_t(weights=None, num_classes=n_classes)
    if n_channels == 1:
        use_one_channel(module)
    return Blueprint(module, imagenet_preprocessing(size, channels), LAYERS)
