"""The lightweight networks against published counts, at every size, and in training with a single image."""

import pytest
import torch
from torch import nn

from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.registry import build_model

NETWORKS = ("mobilefacenet", "mfn", "ddamfn", "lfn", "lfnsb", "lfnsb-tiny")


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize(
    ("name", "options", "golden"),
    [
        ("mobilefacenet", {}, (1_204_103, 1_204_103, 221_165_568, 230_336_256)),
        ("mfn", {}, (4_195_247, 4_166_063, 539_159_072, 550_740_896)),
        ("ddamfn", {}, (4_187_421, 4_105_999, 539_588_896, None)),
        ("lfn", {}, (2_736_372 + 1_799, 2_738_171, 386_483_204 + 1_792, None)),
        ("lfnsb", {}, (2_676_161, 2_676_147, 387_237_892, None)),
        ("lfnsb", {"n_classes": 8}, (2_676_420, 2_676_404, 387_238_148, None)),
        ("lfnsb", {"sb_mode": "concat"}, (2_692_915, 2_692_915, None, None)),
    ],
)
def test_cost_is_that_of_the_papers_and_releases(name: str, options: dict, golden: tuple) -> None:
    cost = compute_cost(build_model(name, **options))
    found = [cost[key] for key in ("params", "params_used", "macs", "flops_torchstat")]
    assert [value for value, wanted in zip(found, golden, strict=True) if wanted] == [v for v in golden if v]


@pytest.mark.parametrize("channels", ["rgb", "grey"])
@pytest.mark.parametrize("size", [32, 50])
@pytest.mark.parametrize("name", NETWORKS)
def test_one_image_of_any_size_trains(name: str, size: int, channels: str) -> None:
    module = build_model(name, size=size, channels=channels, n_classes=8).module
    image = torch.randn(1, 1 if channels == "grey" else 3, size, size)
    output = module.train()(image, full=True)
    assert output.logits.shape == (1, 8)
    assert output.pooled.shape == (1, module.n_features)
    assert len(output.gates) == (2 if name == "ddamfn" else 0)
    output.logits.sum().backward()
    learns = [weight.grad is not None for weight in module.parameters() if weight.requires_grad]
    assert learns
    assert all(learns)
