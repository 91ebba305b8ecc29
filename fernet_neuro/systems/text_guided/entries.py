"""The networks whose classes are texts: what each is; how it is built is loaded when it is built."""

from functools import partial

from fernet_neuro.catalogue import Later
from fernet_neuro.models.entry import ModelEntry

_PAPER = "Knowledge-enhanced facial expression recognition with emotional-to-neutral transformation (2024)"
_OPTIONS = {
    "n_classes": 7,
    "size": 112,
    "channels": "rgb",
    "width": 512,
    "head": "text",
    "scale": 100.0,
    "transform": True,
}


def _describe(backbone: str, description: str) -> ModelEntry:
    return ModelEntry(
        partial(Later("fernet_neuro.systems.text_guided.networks:build_guided"), backbone),
        f"{description} whose classes are texts, with its neutral transformation",
        dict(_OPTIONS),
        variants=("recommended", "released"),
        source="own code from the published description; backbone of torchvision",
        paper=f"{_PAPER}, arXiv:2409.08598",
        in_use={"transform": False},
    )


RESNET18 = _describe("resnet18", "ResNet-18")
SWIN_T = _describe("swin_t", "Swin-T for 112 px (patches of 2 pixels, windows of 7 patches)")
VIT_B_16 = _describe("vit_b_16", "ViT-B/16 (size: a multiple of 16)")
RESNET10_SLIM = _describe("resnet10-slim", "slim ResNet-10, for two processor cores,")
