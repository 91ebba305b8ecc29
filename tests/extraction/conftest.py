"""Small networks whose activations are known, made in the test."""

import pytest
import torch
from torch import nn

from fernet_neuro.models.card import ModelCard
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing


def build_tiny(seed: int = 0, **preprocessing: object) -> LayeredModel:
    """Conv, batch norm, in-place ReLU, conv, flatten, linear for 12 px images."""
    torch.manual_seed(seed)
    module = nn.Sequential()
    module.add_module("conv", nn.Conv2d(3, 5, 3, stride=2))
    module.add_module("norm", nn.BatchNorm2d(5))
    module.add_module("relu", nn.ReLU(inplace=True))
    module.add_module("deep", nn.Conv2d(5, 7, 2))
    module.add_module("flat", nn.Flatten())
    module.add_module("fc", nn.Linear(7 * 4 * 4, 11))
    card = ModelCard("tiny", Preprocessing(12, **preprocessing), seed=seed)
    return LayeredModel(module, ("conv", "norm", "relu", "deep", "fc"), card)


@pytest.fixture
def tiny() -> LayeredModel:
    return build_tiny()


@pytest.fixture
def make_tiny():
    return build_tiny
