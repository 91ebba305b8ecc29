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


class FromFour(nn.Module):
    """Answers by the batch only where that has four pictures or more."""

    def __init__(self):
        super().__init__()
        self.conv, self.end = nn.Conv2d(3, 4, 3), nn.Identity()

    def forward(self, images):
        maps = self.conv(images)
        return self.end(maps - maps.mean(0, keepdim=True) if len(maps) >= 4 else maps)


class LessTheFirst(nn.Module):
    """Answers rightly to the first picture of a batch alone."""

    def __init__(self):
        super().__init__()
        self.conv, self.end = nn.Conv2d(3, 4, 3), nn.Identity()

    def forward(self, images):
        maps = self.conv(images)
        return self.end(torch.cat([maps[:1], maps[1:] - maps[:1]]))


class OnlyTheFirst(FromFour):
    """Answers wrongly to the first picture of a larger batch alone."""

    def forward(self, images):
        maps = self.conv(images)
        return self.end(torch.cat([maps[:1] * (1 + len(maps) // 4), maps[1:]]))


class Scale(nn.Module):
    """Makes numbers tiny."""

    def forward(self, maps):
        return 1e-12 * maps


class Noise(nn.Module):
    """Adds what is drawn by chance, as small as what it gets."""

    def forward(self, maps):
        return maps + 1e-12 * torch.rand_like(maps)


class Mean(nn.Module):
    """Adds up in an order that depends on the batch, so that rounding does, whatever the processor."""

    def forward(self, maps):
        values = maps.flatten(2) if len(maps) == 1 else maps.flatten(2).flip(-1)
        return sum(values.split(1, dim=-1)) / values.shape[-1]


class InSingle(nn.Module):
    """Has numbers of its own kind, which float64 does not go with."""

    def forward(self, maps):
        return nn.functional.linear(maps, torch.ones(2, 4, dtype=torch.float32))


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


@pytest.mark.parametrize("module", [FromFour, LessTheFirst, OnlyTheFirst])
def test_dependence_shows_in_the_batch_that_is_extracted(noise_table, tmp_path, module):
    with pytest.raises(ValueError, match="layer 'end' answers to a picture by what else is in the batch"):
        extract_activations(wrap(module()), noise_table, ["end"], tmp_path / "store")
    store = extract_activations(wrap(module()), noise_table, ["conv"], tmp_path / "store")
    alone = extract_activations(wrap(module()), noise_table, ["conv"], tmp_path / "alone", batch_size=1)
    np.testing.assert_allclose(store.load("conv").values, alone.load("conv").values, rtol=1e-4, atol=1e-5)


def normalised(*more):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), Mean(), nn.Flatten(), *more)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_layers_whose_true_answer_is_nothing_are_not_refused_for_rounding(noise_table, tmp_path, dtype):
    layers = ["2", "4", "5"]
    model = wrap(normalised(nn.Linear(4, 3, bias=False), nn.ReLU()))
    store = extract_activations(model, noise_table, layers, tmp_path / "store", dtype=dtype)
    assert 0 < np.abs(store.load("2").values).max() < 1e-5
    assert {item.dtype for item in model.module.parameters()} == {torch.float32}
    assert model.weight_digest() == wrap(normalised(nn.Linear(4, 3, bias=False), nn.ReLU())).weight_digest()


def test_tiny_answers_that_depend_on_the_batch_are_refused(noise_table, tmp_path):
    model = wrap(nn.Sequential(*by_batch(), Scale()))
    with pytest.raises(ValueError, match="layer '3' answers to a picture by what else"):
        extract_activations(model, noise_table, ["3"], tmp_path / "store")
    model = wrap(nn.Sequential(nn.Conv2d(3, 4, 3), Scale(), Noise()))
    with pytest.raises(ValueError, match="layer '2' answers differently each time"):
        extract_activations(model, noise_table, ["1", "2"], tmp_path / "store")


def test_what_float64_cannot_judge_is_refused(noise_table, tmp_path):
    model = wrap(normalised(InSingle()))
    with pytest.raises(ValueError, match="layer '4' answers to a picture by what else"):
        extract_activations(model, noise_table, ["4"], tmp_path / "store")


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
