"""The network of the lab: what it is; how it is built is loaded when it is built."""

from fernet_neuro.catalogue import Later
from fernet_neuro.models.entry import ModelEntry

DENSENET = ModelEntry(
    Later("fernet_neuro.systems.transfer.densenet:build_densenet"),
    "the lab's DenseNet for 48 px grey faces; log-probabilities out",
    {"n_classes": 7, "size": 48, "channels": "grey", "kernel": 3, "dropout": 0.1},
    variants=("recommended", "released"),
    source="own code from the published description",
    paper="Schwartz et al. (2023), Challenging the classical view, Brain Sciences",
)
