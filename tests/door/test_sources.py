"""Sources become stores, and no network runs twice over the same stimuli."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

import fernet_neuro as fn
from fernet_neuro._utils.cache import cache_folder
from fernet_neuro.activations.known import find_store
from fernet_neuro.activations.store import write_store
from fernet_neuro.exceptions import LayerNotFoundError
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.extraction.sources import TWIN_SEED, open_source, open_with_twins
from fernet_neuro.models.registry import build_model, untrained_twin


class Counting(nn.Module):
    """A small network that counts the images it sees."""

    n_seen = 0

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.fc = nn.Linear(5 * 14 * 14, 7)

    def forward(self, x):
        Counting.n_seen += len(x)
        return self.fc(self.conv(x).flatten(1))


def counted(work):
    before = Counting.n_seen
    result = work()
    return result, Counting.n_seen - before


@pytest.fixture
def model():
    torch.manual_seed(3)
    return fn.load_model(Counting(), size=16, channels="rgb", mean=0.5, std=0.5)


OPTIONS = {"n_folds": 4, "n_permutations": 19, "layers": ["fc"]}
N_TRACED = 2  # noise with its channels first and last
N_ALONE = 5  # the first picture alone, again, and beside its negative; the last alone


def test_probe_after_extract_never_runs_the_network_again(model, noise_table, tmp_path):
    _, n_first = counted(lambda: fn.extract(model, noise_table, ["conv", "fc"], tmp_path / "store"))
    assert n_first == len(noise_table) + N_TRACED + N_ALONE
    report, n_second = counted(lambda: fn.probe(model, noise_table, controls=(), **OPTIONS))
    assert n_second == N_TRACED
    alone = extract_activations(model, noise_table, ["fc"], tmp_path / "alone")
    assert report == fn.probe(alone, noise_table, controls=(), **OPTIONS)


def test_probe_builds_the_twins_once(model, noise_table):
    first, n_first = counted(lambda: fn.probe(model, noise_table, **OPTIONS))
    assert n_first >= 11 * len(noise_table)
    again, n_again = counted(lambda: fn.probe(model, noise_table, **OPTIONS))
    assert n_again == 11 * N_TRACED
    assert again == first
    assert set(first.results["source"]) == {"network", "untrained", "pixels", "control-task"}


def test_layers_taken_from_a_larger_store_are_those_of_their_own_extraction(model, noise_table, tmp_path):
    whole = fn.extract(model, noise_table, None, tmp_path / "whole")
    one = whole.take(["fc"])
    alone = extract_activations(model, noise_table, ["fc"], tmp_path / "alone")
    assert (one.key, one.layers) == (alone.key, ("fc",))
    assert one["fc"] == alone["fc"]
    assert "conv" not in one
    with pytest.raises(LayerNotFoundError, match="It holds: fc"):
        one.load("conv")


@pytest.mark.parametrize("change", ["gone", "cut short", "another", "damaged entry"])
def test_entries_that_no_longer_hold_are_ignored(model, noise_table, tmp_path, change):
    store = fn.extract(model, noise_table, ["fc"], tmp_path / "store")
    identity = store.manifest["identity"]
    assert find_store(identity, noise_table) == store
    if change == "gone":
        shutil.rmtree(store.path)
    elif change == "cut short":
        (store.path / "00_fc.npy").write_bytes(b"short")
    elif change == "another":
        values = np.ones((len(noise_table), 3), dtype=np.float32)
        write_store(
            store.path, noise_table, [fn.Activations(values, noise_table.stimulus_ids, "fc")], overwrite=True
        )
    else:
        for entry in cache_folder().rglob("*.json"):
            if entry.name != "manifest.json":
                entry.write_text("{")
    assert find_store(identity, noise_table) is None
    kept, n_seen = counted(lambda: fn.extract(model, noise_table, ["fc"]))
    assert n_seen == len(noise_table) + N_TRACED + N_ALONE
    assert kept.path.is_relative_to(cache_folder())


def test_changed_pictures_or_weights_are_not_served_from_what_is_there(model, noise_table):
    fn.extract(model, noise_table, ["fc"])
    with torch.no_grad():
        model.module.fc.bias += 1
    _, n_seen = counted(lambda: fn.extract(model, noise_table, ["fc"]))
    assert n_seen == len(noise_table) + N_TRACED + N_ALONE
    path = noise_table.paths()[0]
    path.write_bytes(noise_table.paths()[1].read_bytes())
    _, n_seen = counted(lambda: fn.extract(model, noise_table, ["fc"]))
    assert n_seen == len(noise_table) + N_TRACED + N_ALONE


def test_copies_of_pictures_elsewhere_are_their_own(model, noise_table, tmp_path):
    fn.extract(model, noise_table, ["fc"])
    (tmp_path / "copy").mkdir()
    for path in [*noise_table.paths(), tmp_path / "table.csv"]:
        shutil.copy(path, tmp_path / "copy")
    table = fn.read_stimuli(tmp_path / "copy" / "table.csv")
    assert fn.extract(model, table, ["fc"]).stimuli == table


def test_twins_are_draws_of_random_weights_that_are_made_once(noise_table):
    options = {"model_options": {"size": 16}, "n_twins": 3}
    store, twins = open_with_twins("resnet10-slim", noise_table, ["fc"], **options)
    expected = [untrained_twin(build_model("resnet10-slim", size=16), TWIN_SEED + k) for k in range(3)]
    digests = [twin.manifest["identity"]["weights"] for twin in twins]
    assert digests == [network.weight_digest() for network in expected]
    other = build_model("resnet10-slim", size=16, seed=5)
    _, again = open_with_twins(other, noise_table, ["fc"], n_twins=2)
    assert [twin.path for twin in again] == [twin.path for twin in twins[:2]]
    assert store.manifest["source"] == "resnet10-slim"
    assert store.manifest["seed"] == 0


def test_a_twin_may_be_given_as_any_source(model, noise_table):
    torch.manual_seed(9)
    own = fn.load_model(Counting(), size=16, channels="rgb", mean=0.5, std=0.5)
    _, (twin,) = open_with_twins(model, noise_table, ["fc"], twins=[own])
    assert twin["fc"] == fn.extract(own, noise_table, ["fc"])["fc"]


def test_a_store_needs_no_stimuli_and_a_network_does(model, noise_table, tmp_path):
    store = fn.extract(model, noise_table, ["fc"], tmp_path / "store")
    assert open_source(store) is store
    assert open_source(tmp_path / "store") == store
    with pytest.raises(ValueError, match="a network needs pictures to see: give stimuli"):
        open_source(model)
    with pytest.raises(ValueError, match=r"'resnet18' is not a store here.*give stimuli"):
        open_source("resnet18")


def test_mistyped_paths_are_told_before_anything_runs(noise_table):
    for work in (fn.probe, fn.embed):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            work("runs/identty", noise_table, layers=["fc"])


def test_a_cache_that_cannot_be_written_costs_no_result(model, noise_table, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FERNET_NEURO_CACHE", str(tmp_path / "file" / "cache"))
    store = fn.extract(model, noise_table, ["fc"], tmp_path / "store")
    assert store.layers == ("fc",)
