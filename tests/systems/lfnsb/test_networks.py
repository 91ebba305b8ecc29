"""The lightweight networks against published counts, at every size, and in training with a single image."""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from fernet_neuro.exceptions import StoreError
from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model, compute_layer_shapes
from fernet_neuro.models.weights import load_weights
from fernet_neuro.systems.lfnsb.modules import Bottleneck

NETWORKS = ("mobilefacenet", "mfn", "ddamfn", "lfn", "lfnsb", "lfnsb-tiny")


#: Weights of each part, with the unused ones of MFN's mixed convolutions: 3 per hidden channel.
STAGES = {
    "lfn": [
        1_856, 704, 16_600, 144_792, 45_464, 907_648, 375_880, 1_160_484, 3_840, 13_056, 65_536, 512, 1_799,
    ],
    "lfnsb": [1_856, 704, 16_600, 144_792, 45_464, 907_648, 375_880, 1_160_484, 3_840, 17_080, 1_799],
    "mfn": [
        1_920, 768, 23_576, 200_664, 63_512, 1_237_376, 542_304, 1_833_024, 132_608, 26_112,
        131_072, 512, 1_799,
    ],
    "mobilefacenet": [
        1_920, 768, 18_432, 73_728, 53_248, 417_792, 139_008, 139_264, 67_072, 26_112, 262_144, 1_024, 3_591
    ],
}  # fmt: skip
MFN_HIDDEN = [0, 0, 128, 9 * 128, 256, 16 * 256, 1024, 6 * 512, 0, 0, 0, 0, 0]


@cache
def get_model(name: str) -> LayeredModel:
    """Return a network at its defaults, for all that only look at it."""
    return build_model(name)


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
    cost = compute_cost(build_model(name, **options) if options else get_model(name))
    found = [cost[key] for key in ("params", "params_used", "macs", "flops_torchstat")]
    assert [value for value, wanted in zip(found, golden, strict=True) if wanted] == [v for v in golden if v]


@pytest.mark.parametrize(("size", "channels"), [(32, "rgb"), (50, "grey")])
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


@pytest.mark.parametrize("name", STAGES)
def test_each_part_has_the_published_number_of_weights(name: str) -> None:
    module = get_model(name).module
    found = [count(part) for part_name, part in module.named_children() if part_name != "unused"]
    hidden = MFN_HIDDEN if name == "mfn" else [0] * len(found)
    assert [n + 3 * n_hidden for n, n_hidden in zip(found, hidden, strict=True)] == STAGES[name]


def test_every_stage_of_lfn_takes_the_published_operations() -> None:
    golden = [
        5_419_008, 1_806_336, 25_249_280, 93_574_656, 15_076_096, 160_935_936, 30_458_624, 53_759_748,
        125_440, 12_544, 65_536,
    ]  # fmt: skip
    model = build_model("lfn")
    counts: list[int] = []

    def note(part: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        if isinstance(part, nn.Conv2d | nn.Linear):
            kernel = part.weight[0].numel()
            counts[-1] += output.numel() * kernel

    for part in model.module.children():
        part.register_forward_pre_hook(lambda *_: counts.append(0))
        for inner in part.modules():
            inner.register_forward_hook(note)
    with torch.no_grad():
        model.module(torch.zeros(1, 3, 112, 112))
    assert [n for n in counts if n][:-1] == golden
    assert sum(golden) == 386_483_204


def test_layers_are_the_stages_and_both_sides_of_the_spatial_bias() -> None:
    model = get_model("lfnsb")
    shapes = {layer: shape for layer, (shape, _) in compute_layer_shapes(model).items()}
    assert shapes == {
        "conv1": (64, 56, 56), "conv2_dw": (64, 56, 56), "conv_23": (64, 28, 28), "conv_3": (64, 28, 28),
        "conv_34": (128, 14, 14), "conv_4": (128, 14, 14), "conv_45": (256, 7, 7), "conv_5": (256, 7, 7),
        "conv6_sep": (256, 7, 7), "spatial_bias": (64, 2, 2), "fc": (7,),
    }  # fmt: skip
    assert model.check_layers(["conv_4.15", "conv_5.0.attention"])


@pytest.mark.parametrize("name", ["mobilefacenet", "mfn", "lfnsb"])
def test_repeated_blocks_alone_have_a_shortcut(name: str) -> None:
    module = get_model(name).module
    found = {
        part: {block.residual for block in stage}
        for part, stage in module.named_children()
        if isinstance(stage, nn.Sequential) and isinstance(stage[0], Bottleneck)
    }
    assert found == {
        "conv_23": {False}, "conv_3": {True}, "conv_34": {False}, "conv_4": {True}, "conv_45": {False},
        "conv_5": {True},
    }  # fmt: skip


@torch.no_grad()
def test_classifiers_read_what_the_sources_say() -> None:
    images = torch.randn(2, 3, 50, 50, generator=torch.Generator().manual_seed(1))
    replace, concat = (build_model("lfnsb", size=50, sb_mode=mode).module for mode in ("replace", "concat"))
    for module in (replace, concat):
        features = images
        for name in module.trunk:
            features = getattr(module, name)(features)
        maps = module.spatial_bias(features)
        if module is concat:
            large = functional.interpolate(maps, (4, 4), mode="bilinear")
            maps = module.conv_6_dw(torch.cat([features, large], 1))
        output = module(images, full=True)
        torch.testing.assert_close(output.logits, module.fc(maps.reshape(2, -1)))
        torch.testing.assert_close(output.pooled, features.mean((2, 3)))


@torch.no_grad()
def test_the_largest_gate_of_ddamfn_counts() -> None:
    module = build_model("ddamfn", size=50).module
    images = torch.randn(2, 3, 50, 50, generator=torch.Generator().manual_seed(1))
    output = module(images, full=True)
    features = images
    for name in module.trunk:
        features = getattr(module, name)(features)
    gated = features * torch.maximum(*output.gates)
    torch.testing.assert_close(output.logits, module.fc(module.conv_6_dw(gated).flatten(1)))


def test_the_tiny_network_has_about_100_thousand_weights() -> None:
    assert count(build_model("lfnsb-tiny").module) == 99_423


# --- what does not fit: one line each ----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lfnsb", {"sb_mode": "add"}, "sb_mode='add' is not known; use one of: replace, concat"),
        ("lfnsb", {"width": 0.0}, "width must be"),
        ("lfnsb-tiny", {"depth": -1}, "depth must be"),
        ("mfn", {"size": 31}, "size must be >= 32"),
        ("mfn", {"width": 0.5}, "has no option 'width'"),
    ],
)
def test_options_that_do_not_fit_are_said(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(name, **options)


def test_weights_for_8_classes_do_not_go_into_7(tmp_path: Path) -> None:
    torch.save(build_model("lfnsb-tiny", n_classes=8).module.state_dict(), tmp_path / "eight.pth")
    model = build_model("lfnsb-tiny")
    with pytest.raises(StoreError, match=r"fc\.weight has shape \(8, 64\), not \(7, 64\).*head='replace'"):
        load_weights(model, tmp_path / "eight.pth")
    loaded = load_weights(model, tmp_path / "eight.pth", head="replace")
    assert loaded.module.fc.out_features == 7


def test_a_pickled_network_is_refused_and_the_way_round_is_said(tmp_path: Path) -> None:
    torch.save(build_model("lfnsb-tiny").module, tmp_path / "whole.pth")
    with pytest.raises(StoreError, match=r"LFNSB.*not loaded; save the weights alone.*state_dict\(\)"):
        load_weights(build_model("lfnsb-tiny"), tmp_path / "whole.pth")
