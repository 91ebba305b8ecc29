"""The lightweight networks: what each is; how it is built is loaded when it is built."""

from typing import Any

from fernet_neuro.catalogue import Later
from fernet_neuro.models.entry import ModelEntry

_COMMON = {"n_classes": 7, "size": 112, "channels": "rgb"}
_SOURCE = "own code from the published description"
_PAPERS = {
    "lfn": "Chen & Huang (2024), A lightweight model enhancing facial expression recognition with spatial "
    "bias and cosine-harmony loss",
    "mfn": "Zhang et al. (2023), A dual-direction attention mixed feature network for facial expression "
    "recognition, Electronics",
    "mobilefacenet": "Chen et al. (2018), MobileFaceNets: Efficient CNNs for accurate real-time face "
    "verification on mobile devices, CCBR",
}


def _enter(make: str, words: str, paper: str, **options: Any) -> ModelEntry:
    build = Later(f"fernet_neuro.systems.lfnsb.networks:build_{make}")
    variants = ("recommended", "paper", "released")
    return ModelEntry(build, words, {**_COMMON, **options}, variants, source=_SOURCE, paper=_PAPERS[paper])


MOBILEFACENET_ENTRY = _enter(
    "mobilefacenet", "MobileFaceNet: 1.2 million weights, 512-d embedding", "mobilefacenet"
)
MFN_ENTRY = _enter("mfn", "mixed feature network: 4.2 million weights, 256-d embedding", "mfn")
DDAMFN_ENTRY = _enter("ddamfn", "mixed feature network with two heads of dual-direction attention", "mfn")
LFN_ENTRY = _enter(
    "lfn",
    "lightweight network without spatial bias: 2.7 million weights",
    "lfn", width=1.0, depth=1.0,
)  # fmt: skip
LFNSB_ENTRY = _enter(
    "lfnsb",
    "lightweight network with spatial bias: 2.7 million weights",
    "lfn", sb_mode=None, width=1.0, depth=1.0,
)  # fmt: skip
LFNSB_TINY = _enter(
    "lfnsb",
    "lightweight network with spatial bias, a quarter as wide and a third as deep: 0.1 million weights",
    "lfn", sb_mode=None, width=0.25, depth=1 / 3,
)  # fmt: skip
