"""Networks built to be filled with saved weights: without draws, and otherwise as where weights are drawn."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fernet_neuro.models.blueprint import Blueprint, centred_preprocessing
from fernet_neuro.models.entry import ModelEntry
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.undrawn import build_undrawn
from fernet_neuro.models.weights import load_model, save_model

INPUT = {"size": 8, "channels": "rgb", "mean": 0.5, "std": 0.5}


class Fixed(nn.Module):
    """Adds numbers that are drawn once and are not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(192, 3)
        self.register_buffer("fixed", torch.randn(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, 3)."""
        return self.fc(x.flatten(1)) + self.fixed


class Shifted(Fixed):
    """Adds numbers that it keeps to itself, which no list of its buffers tells."""

    def __init__(self) -> None:
        super().__init__()
        del self.fixed
        self.shift = torch.randn(3)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, 3)."""
        return self.fc(x.flatten(1)) + self.shift


@pytest.mark.parametrize("name", ["resnet10-slim", "swin_t", "vit_b_32", "timm:resnet18"])
def test_weights_are_not_drawn_and_all_else_is_equal(name: str) -> None:
    before = torch.random.get_rng_state()
    undrawn, drawn = build_undrawn(name, n_classes=3), build_model(name, n_classes=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    matrices = [item for item in undrawn.module.parameters() if item.ndim > 1]
    assert sum(item.numel() for item in matrices if item.any()) < 0.02 * sum(map(torch.numel, matrices))
    assert (undrawn.card, undrawn.layers) == (drawn.card, drawn.layers)
    for (key, one), (other_key, other) in zip(
        undrawn.module.named_buffers(), drawn.module.named_buffers(), strict=True
    ):
        assert key == other_key
        assert torch.equal(one, other)
    undrawn.module.load_state_dict(drawn.module.state_dict())
    assert undrawn.weight_digest() == drawn.weight_digest()


def test_unsaved_numbers_of_a_registered_network_are_those_of_its_seed(monkeypatch, tmp_path: Path) -> None:
    def build() -> Blueprint:
        return Blueprint(Fixed(), centred_preprocessing(8, "rgb"), ("fc",))

    monkeypatch.setattr("fernet_neuro.models.registry.MODELS", {"fixed": ModelEntry(build, "")})
    drawn = build_model("fixed")
    save_model(drawn, tmp_path / "net")
    assert torch.equal(load_model(tmp_path / "net").module.fixed, drawn.module.fixed)


@pytest.mark.parametrize("kind", ["Fixed", "Shifted"])
def test_own_code_is_built_as_it_is(tmp_path: Path, kind: str) -> None:
    name = f"{__file__}:{kind}"
    drawn = build_model(name, **INPUT)
    assert torch.equal(build_undrawn(name, **INPUT).module.fc.weight, drawn.module.fc.weight)
    save_model(drawn, tmp_path / "net")
    loaded = load_model(tmp_path / "net", code=name)
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(loaded.module.eval()(x), drawn.module(x))
