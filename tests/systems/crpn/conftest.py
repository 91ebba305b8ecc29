"""A trained conceptual pathway over small faces, and recipes of the pathway that learns from it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from tests.training.conftest import faces as faces


@pytest.fixture(scope="session")
def conceptual_run(tmp_path_factory: pytest.TempPathFactory, faces: StimulusTable) -> Path:
    """Run folder of a small conceptual pathway over the three expressions, trained on all six people."""
    settings = TrainSettings(
        task="concepts",
        model="crpn-conceptual",
        model_options={
            "emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim", "size": 16,
            "n_features": 11,
        },
        epochs=2,
        batch_size=12,
        optimiser="adam",
        lr=1e-3,
        val_share=0.0,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("conceptual") / "run"
    fit(settings, out, table=faces, device="cpu")
    return out


#: Six steps of a perceptual pathway.
PERCEPTION = {
    "task": "perception", "model": "crpn-perceptual", "epochs": 2, "batch_size": 10, "optimiser": "adam",
    "lr": 1e-3, "val_share": 0.17, "log_every": 1,
    "model_options": {"trunk": "resnet10-slim", "size": 16, "n_features": 11},
}  # fmt: skip


@pytest.fixture(scope="session")
def recipe(conceptual_run: Path) -> Callable[..., TrainSettings]:
    """Return what makes a stage-2 recipe: three concepts for each of the least sure two in five."""

    def make(section: dict | None = None, **changes: object) -> TrainSettings:
        section = {"n_concepts": 3, "percentile": 40, "conceptual": str(conceptual_run), **(section or {})}
        return TrainSettings(**{**PERCEPTION, "perception": section, **changes})

    return make
