"""Probabilities of a trained classifier: the right numbers under the right names."""

import json
import shutil

import numpy as np
import pytest
import torch

from fernet_neuro.exceptions import StoreError
from fernet_neuro.experiments.predictions import compute_class_probabilities, find_logits, read_classes
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit


@pytest.fixture(scope="module")
def trained(make_noise_table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    settings = TrainSettings(
        task="expression",
        model="resnet10-slim",
        model_options={"size": 16},
        epochs=1,
        batch_size=7,
        val_share=0,
    )
    fit(settings, folder / "run", table=make_noise_table(folder, np.random.default_rng(20200501)))
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    return str(shutil.copytree(trained, tmp_path / "run"))


def test_equals_a_forward_pass_by_hand(run, noise_table):
    table = noise_table.select(np.arange(11))
    found = compute_class_probabilities(run, table, batch_size=4)
    model = resolve_model(run)
    preprocessing = model.card.preprocessing
    images = torch.stack([preprocessing.resize_and_crop(load_image(path)) for path in table.paths()])
    with torch.no_grad():
        expected = torch.softmax(model.module(preprocessing.normalise(images)).double(), dim=1).numpy()
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    np.testing.assert_allclose(found.values.sum(axis=1), 1)
    assert found.stimulus_ids.tolist() == table.stimulus_ids.tolist()
    assert found.classes == ("anger", "happiness", "neutral")


def test_the_batch_size_changes_nothing(run, noise_table):
    one, other = (compute_class_probabilities(run, noise_table, batch_size=size) for size in (5, 24))
    np.testing.assert_allclose(one.values, other.values, atol=1e-6)


def test_classes_are_those_of_the_record_in_its_order(run, tmp_path):
    path = tmp_path / "run" / "record.json"
    record = json.loads(path.read_text())
    record["task"]["classes"] = ["neutral", "anger", "happiness"]
    path.write_text(json.dumps(record))
    assert read_classes(run) == ("neutral", "anger", "happiness")


def test_a_run_that_names_something_else_is_refused(run):
    with pytest.raises(ValueError, match=r"task 'expression'\) was not trained to name 'identity'"):
        read_classes(run, "identity")


def test_a_run_of_pairs_is_refused(run, tmp_path):
    path = tmp_path / "run" / "record.json"
    record = json.loads(path.read_text())
    record["settings"]["task"] = "verification"
    record["task"] = {"classes": ["different", "same"]}
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"task 'verification'\) was not trained to name 'expression'"):
        read_classes(run)


def test_a_network_without_a_record_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is not a run folder .*which output is which class is unknown"):
        read_classes(str(tmp_path))
    with pytest.raises(ValueError, match="resnet18 is not a run folder"):
        read_classes("resnet18")


def test_a_class_too_many_is_refused(run, tmp_path, noise_table):
    path = tmp_path / "run" / "record.json"
    record = json.loads(path.read_text())
    record["task"]["classes"].append("surprise")
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="has 3 outputs for 4 classes"):
        compute_class_probabilities(run, noise_table)


def test_a_run_without_its_network_is_refused(run, tmp_path, noise_table):
    (tmp_path / "run" / "model" / "model.json").unlink()
    with pytest.raises(StoreError, match="holds no saved network"):
        compute_class_probabilities(run, noise_table)


def test_a_layer_called_logits_goes_before_the_last_linear_one():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = torch.nn.Identity()
            self.readout = torch.nn.Linear(5, 3)

    model = build_model("resnet10-slim", n_classes=3)
    assert find_logits(model) == "fc"
    assert find_logits(type(model)(Net(), (), model.card)) == "logits"


def test_a_network_without_a_linear_layer_names_nothing():
    model = build_model("resnet10-slim", n_classes=3)
    with pytest.raises(ValueError, match="has no linear layer that could name classes"):
        find_logits(type(model)(torch.nn.ReLU(), (), model.card))
