"""RDMs and patterns that the tests of this folder share."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.rsa.inference import random_effects
from fernet_neuro.rsa.rdms import RDMSet


@pytest.fixture(scope="module")
def few_maxima():
    """Draw 2000 maxima for p values of many tests, which else are most of the time of a small data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_effects, "N_MAXIMA", 2000)
        yield


@pytest.fixture
def ids():
    # Not in alphabetical order, as what sorts names in silence must fail here.
    return np.array(["face9", "hand2", "tool10", "face1", "tool3", "car7", "hand11"])


@pytest.fixture
def brain(rng, ids):
    """Five RDMs of seven stimuli: three subjects, two of them with two sessions."""
    table = pd.DataFrame(
        {
            "roi": ["FFA"] * 5,
            "subject": ["01", "01", "02", "02", "03"],
            "session": [1, 2, 1, 2, 1],
        }
    )
    return RDMSet(rng.uniform(0.1, 2, (5, 21)), ids, table, distance="correlation", n_channels=40)


@pytest.fixture
def models(rng, ids):
    """Three RDMs of the same stimuli, the last with ties."""
    values = rng.uniform(0, 1, (3, 21))
    values[2] = rng.integers(0, 2, 21)
    return RDMSet(values, ids, pd.DataFrame({"model": ["pixels", "shape", "category"]}), distance="model")
