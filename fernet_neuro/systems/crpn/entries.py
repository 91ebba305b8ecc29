"""The two pathways of CRPN: what each is; how it is built is loaded when it is built."""

from fernet_neuro.catalogue import Later
from fernet_neuro.models.entry import ModelEntry

_VARIANTS = ("recommended", "paper", "released")
_PAPER = (
    "Lu, Zhuang & Luo (2024), A brain-inspired way of reducing the network complexity via "
    "concept-regularized coding for emotion recognition, AAAI"
)
CONCEPTUAL = ModelEntry(
    Later("fernet_neuro.systems.crpn.networks:make_conceptual"),
    "CRPN's conceptual pathway: emotion encoder, frozen non-emotion encoder, confidence",
    {
        "n_classes": 7,
        "emotion_trunk": "resnet50-vggface2",
        "non_emotion_trunk": "resnet50-vggface2",
        "size": 224,
        "n_features": 256,
        "dropout": 0.4,
        "n_identities": 0,
    },
    variants=_VARIANTS,
    source="own code from the published description",
    paper=_PAPER,
    in_use={"non_emotion_trunk": "none"},
)
PERCEPTUAL = ModelEntry(
    Later("fernet_neuro.systems.crpn.networks:make_perceptual"),
    "CRPN's perceptual pathway: one small encoder that concepts can teach",
    {"n_classes": 7, "trunk": "resnet18", "size": 224, "resize": None, "n_features": 256, "dropout": 0.4},
    variants=_VARIANTS,
    source="own code from the published description",
    paper=_PAPER,
)
