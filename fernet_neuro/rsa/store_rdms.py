"""RDMs of the layers of an activation store, marked where the network has random weights.

What belongs here: the way from a store to one labelled `RDMSet`.
"""

from collections.abc import Sequence
from dataclasses import replace

from fernet_neuro.activations.network import RANDOM
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.rdms import RDMSet, concat_rdms

#: Column of models that says whose weights are random; it is there only where some are.
WEIGHTS = "weights"


def compute_store_rdms(store: ActivationStore, layers: Sequence[str], distance: str) -> RDMSet:
    """Return the RDM of each layer, with a column ``weights`` where those of the network are random.

    Raises LayerNotFoundError if the store has no such layer; otherwise as `distances.compute_rdms`.
    """
    rdms = concat_rdms([compute_rdms(store.load(name), distance=distance) for name in layers])
    weights = store.network["weights"]
    return replace(rdms, table=rdms.table.assign(**{WEIGHTS: weights})) if weights else rdms


def list_random(models: RDMSet) -> list[str]:
    """Return the names of models that are layers of networks with random weights."""
    if WEIGHTS not in models.table:
        return []
    is_random = models.table[WEIGHTS] == RANDOM
    return [name for name, found in zip(models.names, is_random, strict=True) if found]
