"""Folding batch normalisations: every network gives what it gave before, and only what can be folded is."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fernet_neuro.exceptions import StoreError
from fernet_neuro.models.fuse import Folded, fuse
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.plain import wrap_module
from fernet_neuro.models.registry import build_model, make_example
from fernet_neuro.models.weights import save_model
from fernet_neuro.systems.lfnsb.modules import RepVGGDW

SMALL: dict[str, dict[str, object]] = {
    "crpn-perceptual": {"trunk": "resnet10-slim"},
    "siamese": {"trunk": "resnet10-slim"},
    "densenet": {"channels": "grey"},
}
#: Normalisations of each network, and how many of them are folded.
FOLDED = {
    "resnet18": (20, 20),
    "resnet10-slim": (13, 13),
    "siamese": (13, 13),
    "crpn-perceptual": (13, 13),
    "densenet": (12, 0),  # its normalisations come before the convolutions
    "mobilefacenet": (50, 50),
    "mfn": (141, 107),  # 34 are not used
    "ddamfn": (149, 112),
    "lfn": (108, 106),  # two become one convolution with what is between them
    "lfnsb": (108, 105),
    "lfnsb-tiny": (44, 42),
}


def shake(module: nn.Module) -> None:
    """Give batch normalisations strongly random statistics."""
    generator = torch.Generator().manual_seed(3)
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.running_mean.normal_(0, 0.5, generator=generator)
            part.running_var.uniform_(0.1, 4, generator=generator)
            nn.init.uniform_(part.weight, 0.4, 1.6, generator=generator)
            nn.init.normal_(part.bias, 0, 0.3, generator=generator)


def build(name: str) -> LayeredModel:
    model = build_model(name, **{"size": 40, **SMALL.get(name, {})})
    shake(model.module)
    return model


def wrap(module: nn.Module) -> LayeredModel:
    shake(module)
    return wrap_module(module, size=8, channels="rgb", mean=0.5, std=0.5)


@torch.no_grad()
def differ(model: LayeredModel) -> float:
    shape = make_example(model.card.preprocessing).shape[1:]
    images = torch.randn(3, *shape, generator=torch.Generator().manual_seed(4))
    wanted, found = model.module(images), fuse(model).module(images)
    return float((wanted - found).abs().max() / wanted.abs().max())


def count(kind: type[nn.Module], model: LayeredModel) -> int:
    return sum(isinstance(part, kind) for part in model.module.modules())


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDED)
def test_every_network_answers_as_before(name: str) -> None:
    model = build(name)
    before = copy.deepcopy(model.module.state_dict())
    assert differ(model) < 1e-5
    assert all(torch.equal(value, before[key]) for key, value in model.module.state_dict().items())
    fused = fuse(model)
    assert (count(_BatchNorm, model), count(Folded, fused)) == FOLDED[name]
    assert fused.layers == model.layers
    assert fused.check_layers(list(model.layers))


def test_folding_is_scaling_of_weights_and_moving_of_the_bias() -> None:
    layer, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
    fused = fuse(wrap(nn.Sequential(layer, norm, nn.Flatten()))).module[0]
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(fused.weight, layer.weight * scale[:, None, None, None])
    torch.testing.assert_close(fused.bias, norm.bias - norm.running_mean * scale)


class Shared(nn.Module):
    """A convolution whose output is normalised once, used twice, changed first, or normalised again."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if self.form == "changed":
            y = y.relu_()
        z = self.norm(y)
        if self.form == "twice":
            z = z + y
        if self.form == "again":
            z = self.norm(z)
        return z.flatten(1)


@pytest.mark.parametrize(("form", "n_folded"), [("once", 1), ("twice", 0), ("changed", 0), ("again", 0)])
def test_only_what_is_used_nowhere_else_is_folded(form: str, n_folded: int) -> None:
    model = wrap(Shared(form))
    assert differ(model) < 1e-6
    assert count(Folded, fuse(model)) == n_folded


def test_normalisation_without_statistics_stays() -> None:
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    model = wrap_module(
        nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Flatten()), size=8, channels="rgb", mean=0.5, std=0.5
    )
    assert count(Folded, fuse(model)) == 0


@torch.no_grad()
def test_repvgg_is_one_depthwise_convolution_of_published_size() -> None:
    module = RepVGGDW(256)
    shake(module)
    fused = module.eval().fused()
    assert sum(weight.numel() for weight in module.parameters()) == 3_840
    assert sum(weight.numel() for weight in fused.parameters()) == 2_560
    images = torch.randn(2, 256, 7, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fused(images), module(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("part", ["", "conv_3.1.expand.norm"])
def test_training_mode_is_refused(part: str) -> None:
    model = build("lfnsb-tiny")
    model.module.get_submodule(part).train()
    with pytest.raises(ValueError, match=r"'lfnsb-tiny' is in training mode.*call model.module.eval\(\)"):
        fuse(model)


def test_a_fused_network_is_not_saved(tmp_path) -> None:
    with pytest.raises(StoreError, match=r"fused.*save the network that it was made from"):
        save_model(fuse(build("lfnsb-tiny")), tmp_path / "net")
    assert not (tmp_path / "net").exists()
