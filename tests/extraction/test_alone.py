import numpy as np
import pytest
import torch
from torch import nn

from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.plain import wrap_module


class Dropping(nn.Module):
    """Drops units in evaluation too, from the second layer on."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)

    def forward(self, images):
        return self.second(nn.functional.dropout(self.first(images), 0.2))


class OneAtATime(nn.Module):
    """Forgets the axis of the pictures."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(144, 2)

    def forward(self, images):
        return self.fc(self.conv(images).view(1, 144))


class Exotic(nn.Module):
    """Raises what no toolkit expects."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        if len(images) > 2:
            raise KeyError("no\nkey")
        return self.conv(images)


def wrap(module):
    torch.manual_seed(2)
    return wrap_module(module, size=8, channels="rgb", mean=0.5, std=0.5)


def by_batch():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU())


def test_layers_that_depend_on_the_batch_are_refused_and_those_before_are_not(noise_table, tmp_path):
    model = wrap(by_batch())
    with pytest.raises(ValueError, match="layer '1' answers to a picture by what else is in the batch"):
        extract_activations(model, noise_table, ["0", "1"], tmp_path / "store")
    assert not (tmp_path / "store").exists()
    assert extract_activations(model, noise_table, ["0"], tmp_path / "store").layers == ("0",)


def test_batches_of_one_are_the_stimulus_alone(noise_table, tmp_path):
    model = wrap(by_batch())
    store = extract_activations(model, noise_table, ["1"], tmp_path / "store", batch_size=1)
    maps = store.load("1").maps
    np.testing.assert_allclose(maps.mean(axis=(2, 3)), 0, atol=1e-4)  # each normalised by itself


def test_layers_that_answer_by_chance_are_refused_and_those_before_are_not(noise_table, tmp_path):
    model = wrap(Dropping())
    for size in (1, 64):
        with pytest.raises(ValueError, match="layer 'second' answers differently each time"):
            extract_activations(model, noise_table, None, tmp_path / "store", batch_size=size)
    assert extract_activations(model, noise_table, ["first"], tmp_path / "store").layers == ("first",)


def test_a_network_for_single_pictures_says_how_it_can_run(noise_table, tmp_path):
    model = wrap(OneAtATime())
    with pytest.raises(ValueError, match=r"fails on 2 picture.*RuntimeError.*batch_size=1"):
        extract_activations(model, noise_table, ["fc"], tmp_path / "store")
    store = extract_activations(model, noise_table, ["fc"], tmp_path / "store", batch_size=1)
    assert store.load("fc").values.shape == (24, 2)


def test_whatever_a_network_raises_is_one_line_that_names_it(noise_table, tmp_path):
    with pytest.raises(ValueError, match=r"network .*Exotic' fails on 24 picture.*KeyError: 'no") as caught:
        extract_activations(wrap(Exotic()), noise_table, None, tmp_path / "store")
    assert "\n" not in str(caught.value)
