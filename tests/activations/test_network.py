"""What tables and pages say of a network: random weights by that name, and its input."""

import pytest

from fernet_neuro.activations.network import RANDOM, describe_network, label_network, list_networks
from fernet_neuro.models.registry import build_model, untrained_twin
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.models.weights import save_model


def card_of(model):
    return model.card.to_dict()


@pytest.mark.parametrize("name", ["resnet10-slim", "resnet18", "squeezenet1_0"])
def test_a_name_without_weights_is_called_random_weights_with_the_way_to_trained_ones(name):
    card = card_of(build_model(name, size=64))
    assert label_network(name, card) == f"{name} (random weights)"
    network, hint = list_networks([describe_network(name, card)])
    assert network.startswith(f"Network: {name}, random weights; input: 64 px, rgb, ")
    assert f"{name}@WEIGHTS" in hint


def test_weights_of_a_file_are_not_called_random_and_twins_are(tmp_path):
    model = build_model("resnet10-slim", size=32)
    save_model(model, tmp_path / "saved")
    trained = resolve_model(f"resnet10-slim@{tmp_path / 'saved' / 'model.safetensors'}", size=32)
    assert describe_network("mine", card_of(trained))["weights"] == ""
    assert list_networks([describe_network("mine", card_of(trained))])[0].startswith("Network: mine; input")
    assert describe_network("twin", card_of(untrained_twin(trained, 3)))["weights"] == RANDOM


def test_a_function_of_ones_own_may_load_weights_and_is_not_called_random(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5))\n"
    )
    name = f"{file}:net"
    assert label_network(name, card_of(build_model(name, size=8, input="0-1"))) == name
    assert "mean 0 0 0" in describe_network(name, card_of(build_model(name, size=8, input="0-1")))["input"]


def test_arrays_without_a_network_are_named_and_nothing_is_claimed():
    assert list_networks([describe_network("ratings", {})]) == ["Network: ratings."]
