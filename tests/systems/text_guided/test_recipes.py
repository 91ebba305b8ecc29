"""The paper's recipes: RAF-DB's as its code was released, those for other data sets as on RAF-DB."""

import math

import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.schedules import compute_rate

WHO = ("select", "val_select", "val_share")


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("affectnet8", ({"split": "train"}, {"split": ["val"]}, 0.1)),
        ("ferplus", ({"split": "train"}, {"split": "val"}, 0.1)),
        ("ckplus", ({}, {}, 0.0)),
    ],
)
def test_other_sets_are_trained_as_rafdb_and_differ_in_who_trains(name, who):
    ours, rafdb = (
        read_settings(TrainSettings, f"text_guided/{recipe}").model_dump() for recipe in (name, "rafdb")
    )
    assert tuple(ours.pop(key) for key in WHO) == who
    assert ours == {key: value for key, value in rafdb.items() if key not in WHO}


def test_rafdb_is_trained_at_the_released_rates_epoch_by_epoch():
    settings, n_steps = (
        read_settings(TrainSettings, "text_guided/rafdb"),
        191,
    )  # full batches of 12,271 images
    rates = [
        [compute_rate(settings, epoch * n_steps + step, n_steps) for step in (0, n_steps - 1)]
        for epoch in range(settings.epochs)
    ]
    cosine = [0.002 * (1 + math.cos(math.pi * epoch / 50)) / 2 for epoch in range(49)]
    assert rates == [pytest.approx([rate, rate], rel=1e-12) for rate in (1e-4, *cosine)]
    assert rates[-1][-1] == pytest.approx(7.88529868552e-06)


def test_rafdb_is_trained_with_the_released_settings():
    settings = read_settings(TrainSettings, "text_guided/rafdb")
    assert (settings.optimiser, settings.momentum, settings.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (settings.batch_size, settings.epochs, settings.seed) == (64, 50, 29)
    assert (settings.augment, settings.erase_area) == (("hflip", "erase"), (0.02, 0.25))
    assert [(warp.p, warp.pad_crop) for warp in settings.warps] == [(0.5, 4)]


def test_discrete_labels_on_rafdb_are_the_changes_that_its_recipe_names():
    changes = ["task=expression", "text=null", "model=e2n-resnet18", "model_options.head=linear"]
    settings = read_settings(TrainSettings, "text_guided/rafdb", changes)
    assert (settings.task, settings.model) == ("expression", "e2n-resnet18")
    assert settings.model_options == {"size": 112, "head": "linear"}
