from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.stimuli.table import StimulusTable

EXPRESSIONS = ("anger", "fear", "happiness", "neutral", "sadness")
N_UNITS = 83


@pytest.fixture(scope="session")
def faces_of(tmp_path_factory) -> Callable[..., StimulusTable]:
    """Return a maker of factorial tables; only digests of the pictures are ever read."""
    root = tmp_path_factory.mktemp("faces")

    def make(n_people: int = 7, n_expressions: int = 4, n_views: int = 1, n_sessions: int = 2):
        rows = [
            {"identity": f"id{i:02d}", "expression": e, "view": f"view{v}", "session": s}
            for i in range(n_people)
            for e in EXPRESSIONS[:n_expressions]
            for v in range(n_views)
            for s in "ABC"[:n_sessions]
        ]
        frame = pd.DataFrame(rows)
        frame["stimulus_id"] = frame.agg("_".join, axis=1)
        for name in frame["stimulus_id"]:
            (root / f"{name}.png").write_text(name)
        return StimulusTable.from_frame(frame.assign(path=frame["stimulus_id"] + ".png"), root=root)

    return make


def draw_features(
    table: StimulusTable, rng: np.random.Generator, noise: float = 0.3, **sizes: float
) -> np.ndarray:
    """Sum one random pattern per value of each factor (``identity_expression=1``: per pair) and noise."""
    values = noise * rng.standard_normal((len(table), N_UNITS)) + 3
    for name, size in sizes.items():
        codes = np.unique(table.combine(*name.split("_")), return_inverse=True)[1]
        values += size * rng.standard_normal((codes.max() + 1, N_UNITS))[codes]
    return values


@pytest.fixture(scope="session")
def features_of() -> Callable[..., np.ndarray]:
    return draw_features


@pytest.fixture(scope="session")
def emotion_layers(faces_of) -> tuple[StimulusTable, list[Activations]]:
    """A layer that carries expression and one that carries identity, for 56 stimuli."""
    table = faces_of()
    rng = np.random.default_rng(2024)
    emotion = draw_features(table, rng, expression=1.5, identity_expression=0.6)
    other = draw_features(table, rng, identity=1.5, identity_expression=0.6)
    layers = [
        Activations(values, table.stimulus_ids, name)
        for name, values in (("emotion", emotion), ("non_emotion", other))
    ]
    return table, layers
