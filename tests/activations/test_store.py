import json
import shutil

import numpy as np
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import ActivationStore, write_store
from fernet_neuro.exceptions import AlignmentError, LayerNotFoundError, StoreError


@pytest.fixture
def layers(noise_table, rng):
    ids = noise_table.stimulus_ids
    conv = rng.normal(size=(24, 2, 3, 5)).astype(np.float32)
    return [Activations.from_maps(conv, ids, "stage.conv"), Activations(conv[:, 0, 0] * 2, ids, "fc")]


@pytest.fixture
def store(tmp_path, noise_table, layers):
    return write_store(tmp_path / "store", noise_table, layers, source="made here")


def _edit_manifest(store, **changes):
    path = store.path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_round_trip_is_equal(store, noise_table, layers):
    opened = ActivationStore.open(store.path)
    assert opened.layers == ("stage.conv", "fc")
    assert opened.unit_shapes == {"stage.conv": (2, 3, 5), "fc": (5,)}
    assert [opened.load(layer) for layer in opened.layers] == layers
    assert opened.stimuli == noise_table
    assert opened.manifest["source"] == "made here"
    assert opened == store


def test_load_maps_the_file_and_cannot_change_it(store):
    values = store.load("fc").values
    assert isinstance(values, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 1.0


def test_files_are_plain_npy(store, layers):
    np.testing.assert_array_equal(np.load(store.path / "00_stage.conv.npy", mmap_mode="r"), layers[0].values)
    assert store.n_bytes == sum(path.stat().st_size for path in store.path.glob("*.npy"))


def test_unknown_layer_suggests_the_nearest(store):
    with pytest.raises(LayerNotFoundError, match=r"no layer 'stage.con'. Did you mean 'stage.conv'\?"):
        store.load("stage.con")


def test_cut_layer_names_the_file(store):
    path = store.path / "01_fc.npy"
    with path.open("r+b") as handle:
        handle.truncate(path.stat().st_size - 4)
    with pytest.raises(StoreError, match=r"cut short: 01_fc.npy \(layer 'fc'\) has 604 bytes instead of 608"):
        ActivationStore.open(store.path)


@pytest.mark.parametrize("name", ["00_stage.conv.npy", "stimuli.parquet"])
def test_missing_file_is_named(store, name):
    (store.path / name).unlink()
    with pytest.raises(StoreError, match=f"is incomplete: {name}.*is missing; extract it again"):
        ActivationStore.open(store.path)


def test_table_of_another_store_is_refused(store, noise_table):
    noise_table.select(np.arange(24)[::-1]).write(store.path / "stimuli.parquet")
    with pytest.raises(StoreError, match=r"stimuli.parquet is not the table it was written with"):
        ActivationStore.open(store.path)


def test_damaged_manifest_is_refused(store):
    path = store.path / "manifest.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(StoreError, match=r"manifest.json is damaged"):
        ActivationStore.open(store.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "another kind of folder"),
        ({"format_version": 99}, "of format 99; this version reads format 1"),
        ({"key": "0" * 64}, "a key that does not fit"),
        ({"n_stimuli": 23}, "the header of 00_stage.conv.npy is damaged"),
        ({"n_stimuli": "24"}, r"manifest.json is damaged \(it has no valid 'n_stimuli'\)"),
        ({"dtype": "float23"}, r"manifest.json is damaged \(it has no valid 'dtype'\)"),
        ({"dtype": "object"}, r"manifest.json is damaged \(it has no valid 'dtype'\)"),
        ({"layers": [{}]}, r"manifest.json is damaged \(it lacks 'name'\)"),
        ({"layers": ["conv"]}, r"manifest.json is damaged \(it has a part without names\)"),
        ({"stimuli": {"file": "stimuli.parquet"}}, r"manifest.json is damaged \(it lacks 'sha256'\)"),
        ({"shards": {}}, r"manifest.json is damaged \(it has no valid 'shards'\)"),
    ],
)
def test_wrong_manifest_is_refused(store, changes, message):
    _edit_manifest(store, **changes)
    with pytest.raises(StoreError, match=message):
        ActivationStore.open(store.path)


@pytest.mark.parametrize("name", ["../other/01_fc.npy", "/other/01_fc.npy", "..", "sub/01_fc.npy", 7])
@pytest.mark.parametrize("part", ["layer", "table"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(store, tmp_path, name, part):
    shutil.copytree(store.path, tmp_path / "other")
    manifest = json.loads((store.path / "manifest.json").read_text())
    (manifest["stimuli"] if part == "table" else manifest["layers"][1])["file"] = name
    (store.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"manifest.json is damaged \(it names the file .* own folder alone"):
        ActivationStore.open(store.path)


def test_what_is_no_store_is_told_apart(tmp_path):
    with pytest.raises(StoreError, match="nowhere does not exist"):
        ActivationStore.open(tmp_path / "nowhere")
    (tmp_path / "photos").mkdir()
    with pytest.raises(StoreError, match=r"photos is not an activation store \(no manifest.json\)"):
        ActivationStore.open(tmp_path / "photos")


def test_verify_finds_one_changed_value(store):
    store.verify()
    with (store.path / "01_fc.npy").open("r+b") as handle:
        handle.seek(-3, 2)
        handle.write(b"!")
    with pytest.raises(StoreError, match=r"01_fc.npy \(layer 'fc'\) changed"):
        ActivationStore.open(store.path).verify()


def test_write_store_refuses_another_order(tmp_path, noise_table, layers):
    shuffled = layers[0].select(np.arange(24)[::-1])
    with pytest.raises(AlignmentError, match="differ first at row 0"):
        write_store(tmp_path / "store", noise_table, [shuffled])
    assert not (tmp_path / "store").exists()
