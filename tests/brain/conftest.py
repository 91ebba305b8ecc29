"""Twelve faces that were never drawn, for simulated participants to look at."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.stimuli.table import StimulusTable


@pytest.fixture(scope="session")
def faces() -> StimulusTable:
    """4 identities x 3 expressions, seen from 3 views in a Latin square; rated from 0 to 1."""
    rows = [
        {
            "stimulus_id": f"{who}_{what}", "path": f"{who}_{what}.png", "identity": who, "expression": what,
            "view": ("left", "right", "straight")[(number + kind) % 3], "rating": (5 * number + kind) % 7 / 7,
        }
        for number, who in enumerate(("ann", "ben", "cem", "dot"))
        for kind, what in enumerate(("anger", "happiness", "neutral"))
    ]  # fmt: skip
    return StimulusTable.from_frame(pd.DataFrame(rows))


@pytest.fixture(scope="session")
def features() -> dict[str, np.ndarray]:
    """Grey levels of these faces."""
    return {"pixels": np.random.default_rng(8).normal(size=(12, 17))}
