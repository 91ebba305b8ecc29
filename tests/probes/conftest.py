from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.stimuli.table import StimulusTable

EXPRESSIONS = ("anger", "fear", "happiness", "neutral", "sadness")
N_UNITS = 83


def make_table(
    n_people: int = 7, n_expressions: int = 4, n_views: int = 1, n_sessions: int = 2
) -> StimulusTable:
    rows = [
        {"identity": f"id{i:02d}", "expression": e, "view": f"view{v}", "session": s}
        for i in range(n_people)
        for e in EXPRESSIONS[:n_expressions]
        for v in range(n_views)
        for s in "ABC"[:n_sessions]
    ]
    frame = pd.DataFrame(rows)
    frame["stimulus_id"] = frame.agg("_".join, axis=1)
    frame["path"] = frame["stimulus_id"] + ".png"
    return StimulusTable.from_frame(frame)


def simulate(
    table: StimulusTable, rng: np.random.Generator, noise: float = 0.3, **sizes: float
) -> Activations:
    """Sum one random pattern per value of each factor (``identity_expression=1``: per pair) and noise."""
    values = noise * rng.standard_normal((len(table), N_UNITS)) + 3
    for name, size in sizes.items():
        codes = np.unique(table.combine(*name.split("_")), return_inverse=True)[1]
        values += size * rng.standard_normal((codes.max() + 1, N_UNITS))[codes]
    return Activations(values, table.stimulus_ids, "layer4")


@pytest.fixture(scope="session")
def table_of() -> Callable[..., StimulusTable]:
    return make_table


@pytest.fixture(scope="session")
def simulated() -> Callable[..., Activations]:
    return simulate
