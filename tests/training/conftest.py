"""Small faces that can be learnt, and a network without and with what makes resuming hard."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings

NETWORK = '''
"""A network with dropout and batch statistics that kills its process when the file `kill` says so."""

import os
import signal
from pathlib import Path

from torch import nn

import fernet_neuro as fn
from fernet_neuro.models.blueprint import IMAGENET_MEAN, IMAGENET_STD
from fernet_neuro.models.card import ModelCard
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing

PLAN = Path(__file__).with_name("kill")


class Net(nn.Sequential):
    counts = {"step": 0, "write": 0}

    def _count(self, event):
        self.counts[event] += 1
        if PLAN.exists() and PLAN.read_text().split() == [event, str(self.counts[event])]:
            PLAN.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    def forward(self, x):
        if self.training:
            self._count("step")
        return super().forward(x)

    def state_dict(self, *args, **kwargs):
        # Once training has begun, asked for while a checkpoint is being written.
        if self.counts["step"]:
            self._count("write")
        return super().state_dict(*args, **kwargs)


def build(n_classes):
    return Net(
        nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, n_classes),
    )


def declare(net, size):
    return fn.load_model(net, size=size, channels="rgb", mean=IMAGENET_MEAN, std=IMAGENET_STD)


def make(n_classes=5, size=16):
    return declare(build(n_classes), size)


def make_wide(n_classes=5, size=16):
    return LayeredModel(build(n_classes), (), ModelCard("wide", Preprocessing(size, resize=size + 2)))


def make_plain(n_classes=5, size=16):
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.GroupNorm(2, 6), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, n_classes),
    )
    return declare(net, size)
'''


def make_faces(folder: Path, n_people: int = 6, seed: int = 0) -> StimulusTable:
    """People differ in their lower half's pattern, expressions in their upper half's, with noise on both."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    expressions = {name: rng.integers(0, 256, (9, 18, 3)) for name in ("anger", "happiness", "neutral")}
    rows = []
    for person in range(n_people):
        face = rng.integers(0, 256, (9, 18, 3))
        for expression, pattern in expressions.items():
            for session in "AB":
                pixels = np.vstack([pattern, face]) + rng.normal(0, 15, (18, 18, 3))
                name = f"p{person}_{expression}_{session}"
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{name}.png")
                rows.append((name, f"{name}.png", f"p{person}", expression, "straight", session))
    columns = ["stimulus_id", "path", "identity", "expression", "view", "session"]
    table = StimulusTable.from_frame(pd.DataFrame(rows, columns=columns), root=folder)
    table.write(folder / "table.csv")
    return table


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> StimulusTable:
    """36 learnable pictures of 6 people; never change the files."""
    return make_faces(tmp_path_factory.mktemp("faces"))


def write_network(folder: Path) -> Path:
    """Return the file of a network that can be told to kill its process."""
    path = folder / "net.py"
    path.write_text(NETWORK)
    return path


def make_settings(network: Path) -> TrainSettings:
    """Return nine steps in three epochs, with everything on that holds a random state."""
    return TrainSettings(
        task="expression",
        model=f"{network}:make",
        model_options={"size": 16},
        epochs=3,
        batch_size=10,
        lr=0.05,
        augment=("hflip", "crop", "colour", "erase"),
        val_share=0.17,
        checkpoint_every=2,
    )


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """File of a network of the test's own."""
    return write_network(tmp_path)


@pytest.fixture
def settings(network: Path) -> TrainSettings:
    """Settings of a training of the test's own."""
    return make_settings(network)


#: Changes of a recipe that switch on what `centres` and the rest of the loop have to offer.
EVERYTHING = {
    "optimiser": "adamw", "lr": 0.02, "loss_lr": 0.3, "loss_weight_decay": 0.0, "sam_rho": 0.05,
    "flooding": 1.5, "sampling": "balanced", "warmup_epochs": 1, "warmup_lr": 0.005, "min_lr": 0.001,
    "erase_area": (0.1, 0.3),
    "warps": (
        {"p": 0.3, "rotate": 20, "pad_crop": 2},
        {"p": 0.7, "affine": {"degrees": 9, "scale": (0.8, 1), "shift": 0.1}},
    ),
}  # fmt: skip


@pytest.fixture
def everything(settings: TrainSettings) -> TrainSettings:
    """Nine steps as in `settings`, with all at once; `centres.make_centres` makes its task."""
    return TrainSettings(**{**settings.model_dump(), **EVERYTHING})
