"""Cost of one image, against published counts and against counting by hand."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fernet_neuro.models.card import ModelCard
from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.models.registry import build_model

KEYS = ["model", "variant", "params", "params_used", "macs", "flops", "flops_torchstat"]


def wrap(module: nn.Module, size: int) -> LayeredModel:
    return LayeredModel(module, (), ModelCard("test", Preprocessing(size)))


def test_vggface2_resnet50_costs_what_is_published() -> None:
    cost = compute_cost(build_model("resnet50-vggface2"))
    assert list(cost) == KEYS
    assert (cost["params"], cost["macs"], cost["flops"]) == (41_192_951, 3_873_601_536, 7_747_203_072)


def make_conv(n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> list:
    layers = [
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2 if kernel < 7 else 0, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
    ]
    return [*layers, nn.PReLU(n_out)] if act else layers


def make_mobilefacenet(n_classes: int) -> nn.Module:
    """MobileFaceNet with a 512-d embedding, less its shortcuts, which cost nothing in either convention."""
    layers = [*make_conv(3, 64, 3, 2), *make_conv(64, 64, 3, groups=64)]
    stages = [(64, 128, 64, 2, 1), (64, 128, 64, 1, 4), (64, 256, 128, 2, 1)]
    stages += [(128, 256, 128, 1, 6), (128, 512, 128, 2, 1), (128, 256, 128, 1, 2)]
    for n_in, hidden, n_out, stride, repeats in stages:
        for _ in range(repeats):
            layers += [*make_conv(n_in, hidden, 1), *make_conv(hidden, hidden, 3, stride, hidden)]
            layers += make_conv(hidden, n_out, 1, act=False)
    layers += [*make_conv(128, 512, 1), *make_conv(512, 512, 7, groups=512, act=False), nn.Flatten()]
    return nn.Sequential(
        *layers, nn.Linear(512, 512, bias=False), nn.BatchNorm1d(512), nn.Linear(512, n_classes)
    )


def test_torchstat_convention_gives_the_published_operations_of_mobilefacenet() -> None:
    cost = compute_cost(wrap(make_mobilefacenet(7), 112))
    assert cost["params"] == 1_204_103
    assert cost["macs"] == 221_165_568
    assert cost["flops_torchstat"] == 230_336_256


def test_cost_of_a_plain_network_is_that_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2, groups=3),  # 13 px -> 5 px
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(150, 7),
        nn.Sigmoid(),
    )
    cost = compute_cost(wrap(net, 13))
    convolution, linear = 25 * 6 * (1 * 5 * 5), 150 * 7
    assert cost["macs"] == convolution + linear
    assert cost["flops"] == 2 * (convolution + linear)
    assert cost["flops_torchstat"] == convolution + linear + 150 + 2 * 150 + 150
    assert cost["params"] == (6 * 25 + 6) + 12 + (150 * 7 + 7)


class Attention(nn.Module):
    """One encoder layer over image rows as tokens, and a 1-D convolution, which torchstat leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True)
        self.mix = nn.Conv1d(8, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.encoder(x.mean(1)[:, :8, :12])).flatten(1)


def test_linear_layers_inside_attention_are_counted_and_its_products_are_not() -> None:
    net = Attention()
    cost = compute_cost(wrap(net, 12))
    linear = 8 * (12 * 36 + 12 * 12 + 2 * 12 * 20)
    mixing = 5 * 10 * 8 * 3
    assert cost["macs"] == linear + mixing
    assert cost["flops_torchstat"] == linear
    assert net.training  # put back as it was
    assert torch.backends.mha.get_fastpath_enabled()


def test_cost_grows_with_the_size_and_parameters_do_not() -> None:
    model = build_model("resnet10-slim")
    small, large = compute_cost(model), compute_cost(model, size=128)
    assert large["params"] == small["params"]
    head = 128 * 70
    assert large["macs"] - head == 4 * (small["macs"] - head)


def test_size_that_a_network_cannot_take_is_said() -> None:
    with pytest.raises(ValueError, match="network 'vit_b_32' cannot take size=50"):
        compute_cost(build_model("vit_b_32", size=64, n_classes=3), size=50)
    with pytest.raises(ValueError, match="size must be >= 1; got 0"):
        compute_cost(build_model("densenet"), size=0)


# --- on the command line -----------------------------------------------------------------------


def run(*arguments: str) -> str:
    from typer.testing import CliRunner

    from fernet_neuro.cli.app import app

    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_cost_command_prints_exactly_its_keys() -> None:
    cost = json.loads(run("cost", "resnet18", "--size", "112", "--json"))
    assert list(cost) == [*KEYS, "weights"]
    assert cost["params"] == 11_689_512
    # At 224 px ResNet-18 takes 1,814,073,344 multiply-adds, 512,000 of them in the classifier.
    assert cost["macs"] == 485_359_616


def test_cost_command_takes_any_option_of_the_network() -> None:
    small = json.loads(run("cost", "siamese", "--json"))
    given = json.loads(run("cost", "siamese", "--set", "trunk=resnet10-slim", "--set", "size=32", "--json"))
    slim = compute_cost(build_model("siamese", trunk="resnet10-slim", size=32))
    assert given["macs"] == slim["macs"] != small["macs"]


def test_cost_command_shows_a_table_and_measures_saved_networks_at_any_size(tmp_path: Path) -> None:
    from fernet_neuro.models.weights import save_model

    assert "542,927" in run("cost", "densenet")
    save_model(build_model("resnet10-slim", n_classes=3), tmp_path / "net")
    assert "one image of 32 x 32 px" in run("cost", str(tmp_path / "net"), "--size", "32")


def test_models_commands_list_and_show() -> None:
    names = [entry["name"] for entry in json.loads(run("models", "list", "--json"))]
    assert {"resnet18", "resnet50", "resnet50-vggface2", "densenet", "siamese", "swin_t"} <= set(names)
    for name in names:
        assert name in run("models", "list")
    shown = json.loads(run("models", "show", "resnet18", "--size", "112", "--json"))
    assert shown["card"]["preprocessing"]["size"] == 112
    assert {"layer": "layer4.1", "shape": [512, 4, 4], "n_units": 8192} in shown["layers"]
    assert "trunk.block3" in run("models", "show", "siamese")


@pytest.mark.parametrize("words", [("cost",), ("models", "list"), ("models", "show")])
def test_help_has_an_example(words: tuple[str, ...]) -> None:
    assert f"fernet-neuro {' '.join(words)}" in run(*words, "--help").replace("\n", " ")
