import logging
import os
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.distance import pdist
from torch import nn

import fernet_neuro as fn
from fernet_neuro.activations.manifest import working_folder
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.exceptions import LayerNotFoundError, StimulusError, StoreError
from fernet_neuro.extraction import extract as extract_module
from fernet_neuro.extraction import plan as plan_module
from fernet_neuro.extraction.extract import estimate_extraction, extract_activations, run_extraction
from fernet_neuro.extraction.hooks import _draw_projection
from fernet_neuro.extraction.plan import fit_batch, plan_extraction
from fernet_neuro.models.card import UNTRAINED_TWIN, ModelCard
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable


@pytest.fixture
def store_path(tmp_path):
    return tmp_path / "store"


def _forward(model, table):
    """Return conv, fc of all stimuli, one at a time and with no hook."""
    module = model.module.eval()
    rows = []
    with torch.inference_mode():
        for path in table.paths():
            image = model.card.preprocessing.resize_and_crop(load_image(path))
            images = model.card.preprocessing.normalise(image[None])
            rows.append((module.conv(images).flatten().numpy(), module(images).flatten().numpy()))
    return [np.stack(items) for items in zip(*rows, strict=True)]


@pytest.mark.parametrize("options", [{}, {"n_jobs": 3, "batch_size": 5}, {"batch_size": 1}])
def test_values_equal_a_loop_without_hooks(tiny, noise_table, store_path, options):
    store = extract_activations(tiny, noise_table, ["conv", "fc"], store_path, **options)
    conv, fc = _forward(tiny, noise_table)
    np.testing.assert_allclose(store.load("conv").values, conv, atol=1e-5)
    np.testing.assert_allclose(store.load("fc").values, fc, atol=1e-5)
    assert store.unit_shapes == {"conv": (5, 5, 5), "fc": (11,)}
    assert store.stimuli == noise_table
    store.verify()


@pytest.mark.parametrize(
    ("batch_size", "n_units", "n_at_once"),
    [
        (64, 802_816, 16),  # a ResNet at 224 px: 3.2 MB a picture
        (64, 3_211_264, 8),  # VGG-16: 12.8 MB, of which even eight are too many
        (100, 3_211_264, 10),
        (50, 3_211_264, 10),
        (20, 802_816, 20),
        (61, 802_816, 61),
        (7, 3_211_264, 7),
        (1, 10**8, 1),
        (64, 262_144, 64),
        (64, 262_145, 32),
        (10**12, 262_144, 64),
    ],
)
def test_a_batch_is_split_evenly_where_its_outputs_are_large(batch_size, n_units, n_at_once):
    assert fit_batch(batch_size, n_units) == n_at_once


@given(st.integers(1, 500), st.integers(1, 10**8))
def test_parts_of_a_batch_are_equal_and_not_small(batch_size, n_units):
    n_at_once = fit_batch(batch_size, n_units)
    assert batch_size % n_at_once == 0
    assert n_at_once >= min(batch_size, 8)


@pytest.mark.parametrize("wraps", [lambda output: (output, None), lambda output: {"maps": output}])
def test_outputs_in_tuples_count_for_the_size_of_a_pass(noise_table, wraps):
    class Wide(nn.Module):
        def forward(self, images):
            return wraps(images[:, :, :, :, None].expand(-1, -1, -1, -1, 2**11))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.fc = Wide(), nn.Linear(3, 11)

        def forward(self, images):
            self.wide(images)
            return self.fc(images.mean(dim=(2, 3)))

    model = LayeredModel(Network(), ("fc",), ModelCard("wide", Preprocessing(7)))
    plan = plan_extraction(model, noise_table, ["fc"])
    assert plan.widest == 3 * 7 * 7 * 2**11
    assert plan.batch_size == 32


def test_outputs_that_can_be_gone_through_once_are_left_to_the_network(noise_table):
    class Halves(nn.Module):
        def forward(self, images):
            return (half for half in images.chunk(2, dim=1))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.halves, self.fc = Halves(), nn.Linear(3, 11)

        def forward(self, images):
            return self.fc(torch.cat(list(self.halves(images)), dim=1).mean(dim=(2, 3)))

    model = LayeredModel(Network(), ("fc",), ModelCard("halves", Preprocessing(7)))
    assert plan_extraction(model, noise_table, ["fc"]).unit_shapes == {"fc": (11,)}


def test_a_real_network_is_run_in_parts(noise_table):
    plan = plan_extraction(build_model("resnet18", size=224), noise_table, ["avgpool"])
    assert (plan.widest, plan.batch_size) == (64 * 112 * 112, 16)


def test_a_split_batch_gives_the_same_answers(tiny, noise_table, tmp_path, monkeypatch):
    whole = extract_activations(tiny, noise_table, ["conv", "fc"], tmp_path / "whole", batch_size=16)
    monkeypatch.setattr(plan_module, "_IN_WORK", 1)
    split = extract_activations(tiny, noise_table, ["conv", "fc"], tmp_path / "split", batch_size=16)
    assert plan_extraction(tiny, noise_table, ["fc"], batch_size=16).batch_size == 8
    for layer in ("conv", "fc"):
        np.testing.assert_allclose(split.load(layer).values, whole.load(layer).values, atol=1e-6)


def test_stored_layers_are_not_overwritten_in_place(tiny, noise_table, store_path):
    store = extract_activations(tiny, noise_table, None, store_path)
    assert store.layers == tiny.layers
    norm, relu = store.load("norm").values, store.load("relu").values
    assert norm.min() < -0.5
    np.testing.assert_array_equal(np.maximum(norm, 0), relu)


def test_rows_follow_the_table(tiny, noise_table, tmp_path):
    order = np.random.default_rng(1).permutation(24)
    first = extract_activations(tiny, noise_table, ["fc"], tmp_path / "first", batch_size=7)
    second = extract_activations(tiny, noise_table.select(order), ["fc"], tmp_path / "second", batch_size=7)
    assert first.key != second.key
    assert second.load("fc").stimulus_ids.tolist() == noise_table.stimulus_ids[order].tolist()
    np.testing.assert_allclose(second.load("fc").values, first.load("fc").values[order], atol=1e-5)


def test_layers_are_stored_in_the_order_in_which_they_run(tiny, noise_table, store_path):
    store = extract_activations(tiny, noise_table, ["fc", "conv"], store_path)
    assert store.layers == ("conv", "fc")
    again = extract_activations(tiny, noise_table, ["conv", "fc"], store_path)
    assert again.manifest == store.manifest


def test_network_is_left_as_it_was(tiny, noise_table, store_path):
    tiny.module.train()
    before = tiny.weight_digest()
    extract_activations(tiny, noise_table, ["fc"], store_path)
    assert tiny.module.training
    assert tiny.weight_digest() == before  # batch norm has not learned from the stimuli
    assert not any(part._forward_hooks for part in tiny.module.modules())


def test_finished_store_is_returned_at_once(tiny, noise_table, store_path, monkeypatch, caplog):
    first = extract_activations(tiny, noise_table, ["fc"], store_path)
    monkeypatch.setattr("fernet_neuro.extraction.extract._fill", None)
    with caplog.at_level(logging.INFO, logger="fernet_neuro"):
        again = extract_activations(tiny, noise_table, ["fc"], store_path, overwrite=True)
    assert again.manifest == first.manifest
    assert "already holds exactly these activations" in caplog.text


def _change_pixel(model, table):
    path = table.paths()[9]
    pixels = load_image(path)
    pixels[3, 4, 1] ^= 128
    stat = path.stat()
    Image.fromarray(pixels).save(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as after a copy that keeps time stamps
    return model, table


def _change_weight(model, table):
    with torch.no_grad():
        model.module.fc.bias[2] += 1e-3
    return model, table


def _change_batch_norm(model, table):
    model.module.norm.running_mean[1] += 1e-3
    return model, table


def _change_label(model, table):
    frame = table.frame.copy()
    frame.loc[5, "expression"] = "surprise"
    return model, StimulusTable.from_frame(frame, table.root)


def _change_preprocessing(model, table):
    preprocessing = {**model.card.preprocessing.to_dict(), "mean": (0.5, 0.5, 0.5)}
    return model.with_card(preprocessing=type(model.card.preprocessing).from_dict(preprocessing)), table


def _change_code(model, table):
    model.module.relu = torch.nn.LeakyReLU(inplace=True)
    return model, table


CHANGES = {
    "stimuli": (_change_pixel, _change_label),
    "weights": (_change_weight, _change_batch_norm),
    "preprocessing": (_change_preprocessing,),
    "network": (_change_code,),
}


@pytest.mark.parametrize(
    ("part", "change"), [(part, item) for part, items in CHANGES.items() for item in items]
)
def test_changed_input_is_never_served_stale(tiny, noise_table, store_path, part, change):
    old = extract_activations(tiny, noise_table, ["fc"], store_path)
    old_values = np.array(old.load("fc").values)
    model, table = change(tiny, noise_table)
    with pytest.raises(StoreError, match=rf"another extraction \(different: {part}\)"):
        extract_activations(model, table, ["fc"], store_path)
    assert ActivationStore.open(store_path).manifest == old.manifest
    new = extract_activations(model, table, ["fc"], store_path, overwrite=True)
    assert new.key != old.key
    assert change is _change_label or not np.array_equal(new.load("fc").values, old_values)


@pytest.mark.parametrize(
    "options", [{"pool": "mean"}, {"dtype": "float16"}, {"layers": ["fc", "deep"]}, {"pool": "mean-last"}]
)
def test_other_settings_are_other_stores(tiny, noise_table, store_path, options):
    old = extract_activations(tiny, noise_table, ["deep"], store_path)
    settings = {"layers": ["deep"], **options}
    with pytest.raises(StoreError, match="another extraction"):
        extract_activations(tiny, noise_table, out=store_path, **settings)
    assert extract_activations(tiny, noise_table, out=store_path, overwrite=True, **settings).key != old.key


def test_failed_run_is_taken_up_with_equal_values(tiny, noise_table, tmp_path, caplog):
    whole = extract_activations(tiny, noise_table, None, tmp_path / "whole", batch_size=5)
    late = noise_table.paths()[17]
    shutil.copy(late, tmp_path / "kept.png")
    late.write_bytes(late.read_bytes()[:200])
    with pytest.raises(StimulusError, match=rf"stimulus '{noise_table.stimulus_ids[17]}'.*{late.name}"):
        extract_activations(tiny, noise_table, None, tmp_path / "store", batch_size=5)
    assert not (tmp_path / "store").exists()
    # The mended picture is another content, so nothing of the first try may be used.
    shutil.copy(tmp_path / "kept.png", late)
    with caplog.at_level(logging.INFO, logger="fernet_neuro"):
        mended = extract_activations(tiny, noise_table, None, tmp_path / "store", batch_size=5)
    assert "going on after" not in caplog.text
    assert all(mended.load(layer) == whole.load(layer) for layer in whole.layers)
    assert not list(tmp_path.glob(".store*"))


def test_interrupted_run_goes_on_where_it_was(tiny, noise_table, tmp_path, caplog, monkeypatch):
    whole = extract_activations(tiny, noise_table, None, tmp_path / "whole", batch_size=5)
    calls = []

    def interrupt(module, inputs):
        calls.append(len(inputs[0]))
        if len(calls) == 9:  # two for the plan, four of single pictures, then the third batch
            raise KeyboardInterrupt

    handle = tiny.module.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        extract_activations(tiny, noise_table, None, tmp_path / "store", batch_size=5)
    assert not (tmp_path / "store").exists()
    with caplog.at_level(logging.INFO, logger="fernet_neuro"):
        resumed = extract_activations(tiny, noise_table, None, tmp_path / "store", batch_size=5)
    handle.remove()
    n_done = int(re.search(r"going on after (\d+) of 24", caplog.text)[1])
    assert n_done in (5, 10)  # the batch before the interruption may still be on its way to the disk
    n_checks = 6  # those of the plan and of single pictures once more
    assert sum(calls[9 + n_checks :]) == 24 - n_done
    assert all(resumed.load(layer) == whole.load(layer) for layer in whole.layers)


def test_a_run_with_another_batch_size_begins_anew(tiny, noise_table, tmp_path, caplog):
    late = noise_table.paths()[17]
    shutil.copy(late, tmp_path / "kept.png")
    plan = plan_extraction(tiny, noise_table, ["fc"], batch_size=5)
    late.write_bytes(late.read_bytes()[:200])  # after the plan, so that the key stays
    with pytest.raises(StimulusError):
        run_extraction(plan, tmp_path / "store")
    shutil.copy(tmp_path / "kept.png", late)
    with caplog.at_level(logging.INFO, logger="fernet_neuro"):
        extract_activations(tiny, noise_table, ["fc"], tmp_path / "store", batch_size=4)
    assert "going on after" not in caplog.text
    assert "was begun with other pictures or settings" in caplog.text
    assert not list(tmp_path.glob(".store*"))


def test_memory_is_kept_from_the_second_batch_on(tiny, noise_table, store_path, monkeypatch):
    kept = []

    @contextmanager
    def note():
        kept.append("open")
        yield
        kept.append("closed")

    monkeypatch.setattr(extract_module, "keeping_memory", note)
    extract_activations(tiny, noise_table, ["fc"], store_path, batch_size=24)
    assert kept == []
    extract_activations(tiny, noise_table, ["conv"], store_path.with_name("other"), batch_size=5)
    assert kept == ["open", "closed"]


def test_float16_rounds_the_same_values(tiny, noise_table, tmp_path):
    full = extract_activations(tiny, noise_table, ["deep"], tmp_path / "full").load("deep")
    half = extract_activations(tiny, noise_table, ["deep"], tmp_path / "half", dtype="float16").load("deep")
    assert half.values.dtype == np.float16
    np.testing.assert_array_equal(half.values, full.values.astype(np.float16))


def test_manifest_says_where_values_come_from(tiny, noise_table, store_path):
    manifest = extract_activations(tiny, noise_table, ["fc"], store_path, source="runs/a").manifest
    assert manifest["source"] == "runs/a"
    assert manifest["seed"] == 0
    assert manifest["model"] == tiny.card.to_dict()
    assert manifest["identity"]["weights"] == tiny.weight_digest()
    assert manifest["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_estimate_is_what_is_written(tiny, noise_table, store_path):
    estimate = estimate_extraction(tiny, noise_table, ["conv", "fc"])
    store = extract_activations(tiny, noise_table, ["conv", "fc"], store_path)
    assert estimate["disk_bytes"] == store.n_bytes == sum(p.stat().st_size for p in store_path.glob("*.npy"))
    assert [item["n_units"] for item in estimate["layers"]] == [125, 11]
    half = estimate_extraction(tiny, noise_table.select(np.arange(12)), ["conv", "fc"], batch_size=4)
    whole = estimate_extraction(tiny, noise_table, ["conv", "fc"], batch_size=4)
    assert half["memory_bytes"] == whole["memory_bytes"]
    few = estimate_extraction(tiny, noise_table.select(np.arange(3)), ["conv", "fc"], batch_size=4)
    assert few["memory_bytes"] < whole["memory_bytes"]
    assert half["disk_bytes"] < whole["disk_bytes"]


def test_small_disk_is_refused_before_any_work(tiny, noise_table, store_path, monkeypatch):
    usage = shutil.disk_usage(store_path.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match=r"needs 0.00 GB and .* has 0.00 GB free; free space, or take fewer"):
        extract_activations(tiny, noise_table, ["conv"], store_path)
    assert not list(store_path.parent.glob("*store*"))


def test_what_an_unfinished_extraction_holds_needs_no_room_again(tiny, noise_table, store_path, monkeypatch):
    plan = plan_extraction(tiny, noise_table, ["conv"])
    usage = shutil.disk_usage(store_path.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    partial = working_folder(store_path, plan.key, plan.run)
    other = working_folder(store_path, plan.key, plan.run | {"batch_size": 5})
    for folder in (partial, other):  # that of the other is not gone on with
        folder.mkdir()
    n_missing = plan.estimate()["disk_bytes"] - 1000
    (other / "00_conv.npy").write_bytes(bytes(1000))
    (partial / "00_conv.npy").write_bytes(bytes(n_missing))
    plan.check_disk(store_path)
    (partial / "00_conv.npy").write_bytes(bytes(n_missing - 1))
    with pytest.raises(StoreError, match="free space, or take fewer"):
        plan.check_disk(store_path)


def test_missing_image_is_named_before_any_work(tiny, noise_table, store_path):
    path = noise_table.paths()[20]
    path.unlink()
    with pytest.raises(
        StimulusError, match=f"stimulus '{noise_table.stimulus_ids[20]}' does not exist: {path}"
    ):
        extract_activations(tiny, noise_table, ["conv"], store_path)
    assert not list(store_path.parent.glob(".store*"))


def test_damaged_store_is_made_again_only_when_asked(tiny, noise_table, store_path):
    whole = extract_activations(tiny, noise_table, ["fc"], store_path)
    values = np.array(whole.load("fc").values)
    (store_path / "00_fc.npy").unlink()
    with pytest.raises(StoreError, match=r"incomplete: 00_fc\.npy"):
        extract_activations(tiny, noise_table, ["fc"], store_path)
    mended = extract_activations(tiny, noise_table, ["fc"], store_path, overwrite=True)
    np.testing.assert_array_equal(mended.load("fc").values, values)


@pytest.mark.parametrize(
    ("layers", "options", "error", "message"),
    [
        (["cnov"], {}, LayerNotFoundError, "no layer 'cnov'. Did you mean 'conv'"),
        (["fc", "fc"], {}, ValueError, "each once"),
        ([], {}, ValueError, "one or more layers"),
        (["fc"], {"dtype": "int8"}, ValueError, "dtype='int8' is not known"),
        (["fc"], {"pool": "max"}, ValueError, "pool='max' is not known"),
        (["fc"], {"batch_size": 0}, ValueError, "batch_size must be >= 1"),
        (["fc"], {"n_jobs": -1}, ValueError, "n_jobs must be >= 0"),
    ],
)
def test_wrong_requests_are_refused(tiny, noise_table, store_path, layers, options, error, message):
    with pytest.raises(error, match=message):
        extract_activations(tiny, noise_table, layers, store_path, **options)


def test_empty_table_is_refused(tiny, noise_table, store_path):
    with pytest.raises(StimulusError, match="nothing to extract"):
        extract_activations(tiny, noise_table.select([]), ["fc"], store_path)


def test_network_that_gives_nan_names_layer_and_stimulus(tiny, noise_table, store_path):
    with torch.no_grad():
        tiny.module.fc.bias[0] = torch.nan
    with pytest.raises(ValueError, match=f"layer 'fc' answers stimulus '{noise_table.stimulus_ids[0]}'"):
        extract_activations(tiny, noise_table, ["conv", "fc"], store_path)


def test_pictures_of_any_shape_are_read(tiny, tmp_path, rng):
    shapes = [(30, 18), (13, 29), (12, 12), (9, 40)]
    for row, shape in enumerate(shapes):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / f"{row}.png")
    frame = pd.DataFrame({"stimulus_id": list("abcd"), "path": [f"{row}.png" for row in range(4)]})
    table = StimulusTable.from_frame(frame, root=tmp_path)
    store = extract_activations(tiny, table, ["conv", "fc"], tmp_path / "store", verbose=True)
    np.testing.assert_allclose(store.load("fc").values, _forward(tiny, table)[1], atol=1e-5)


def test_the_bar_of_an_untrained_twin_names_it(tiny, noise_table, tmp_path, capsys):
    twin = tiny.with_card(training_data=UNTRAINED_TWIN, seed=3)
    extract_activations(twin, noise_table, ["fc"], tmp_path / "twin", verbose=True)
    extract_activations(tiny, noise_table, ["fc"], tmp_path / "own", verbose=True)
    err = capsys.readouterr().err
    assert "extract twin 3" in err
    assert "extract " in err.replace("extract twin 3", "")


def test_less_precision_is_another_store_and_says_by_how_much_it_differs(tiny, noise_table, store_path):
    exact = extract_activations(tiny, noise_table, ["conv", "fc"], store_path)
    rough = extract_activations(
        tiny, noise_table, ["conv", "fc"], store_path.with_name("r"), precision="bf16"
    )
    assert rough.key != exact.key
    assert "precision_error" not in exact.manifest
    for layer, error in rough.manifest["precision_error"].items():
        values = exact[layer].values
        apart = np.abs(rough[layer].values - values).max() / np.abs(values).max()
        assert 1e-5 < error < 0.02
        assert apart == pytest.approx(error, rel=0.5)  # that of the first batch


@pytest.mark.parametrize(
    ("precision", "message"), [("tf32", "of CUDA devices alone"), ("half", "precision='half' is not known")]
)
def test_precisions_that_there_are_not(tiny, noise_table, store_path, precision, message):
    with pytest.raises(ValueError, match=message):
        extract_activations(tiny, noise_table, ["fc"], store_path, device="cpu", precision=precision)


def test_a_random_projection_keeps_distances_and_is_the_same_in_any_batches(tiny, noise_table, store_path):
    whole = extract_activations(tiny, noise_table, ["conv", "fc"], store_path)
    options = {"pool": "srp:64", "batch_size": 5}
    reduced = extract_activations(tiny, noise_table, ["conv", "fc"], store_path.with_name("r"), **options)
    assert reduced.unit_shapes == {"conv": (64,), "fc": (11,)}
    np.testing.assert_allclose(reduced["fc"].values, whole["fc"].values, atol=1e-6)  # narrower than 64
    _draw_projection.cache_clear()  # as in another process
    alone = extract_activations(tiny, noise_table[3:4], ["conv"], store_path.with_name("a"), pool="srp:64")[
        "conv"
    ].values
    np.testing.assert_allclose(alone[0], reduced["conv"].values[3], atol=1e-5)
    apart = pdist(reduced["conv"].values, "sqeuclidean") / pdist(whole["conv"].values, "sqeuclidean")
    assert apart.mean() == pytest.approx(1, abs=0.15)
    assert apart.std() < 2 * np.sqrt(2 / 64)


@pytest.mark.parametrize("pool", ["srp", "srp:", "srp:0", "srp:many", "srp:-3"])
def test_projections_to_no_number(tiny, noise_table, store_path, pool):
    with pytest.raises(ValueError, match="srp:K"):
        extract_activations(tiny, noise_table, ["fc"], store_path, pool=pool)


def test_a_plan_opens_only_the_pictures_that_it_measures(tiny, noise_table, store_path):
    for path in noise_table.paths()[5:]:
        path.unlink()
    needed = estimate_extraction(tiny, noise_table, ["conv", "fc"], n_measured=5)
    assert needed["n_stimuli"] == 24
    assert needed["seconds"] > 0
    assert [item["n_units"] for item in needed["layers"]] == [125, 11]
    assert estimate_extraction(tiny, noise_table, ["fc"])["seconds"] is None


class Viewed(nn.Module):
    """A network whose classifier sees what `view` makes of the maps, or what `reshape` does."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc, self.how = nn.Conv2d(3, 4, 3), nn.Linear(4 * 14 * 14, 5), how

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(getattr(self.conv(images), self.how)(len(images), -1))


@pytest.mark.parametrize(
    ("name", "is_last"), [("resnet18", True), ("mobilenet_v2", True), ("vit_b_32", False), ("swin_t", False)]
)
def test_channels_are_last_where_convolutions_do_the_work(noise_table, name, is_last):
    plan = plan_extraction(fn.load_model(name, size=64), noise_table, device="cpu")
    assert (plan.memory_format == torch.channels_last) is is_last


class Ordered(nn.Module):
    """A network whose second layer is larger by a share where channels are last."""

    def __init__(self, share: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.more, self.share = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), share

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        is_last = images.is_contiguous(memory_format=torch.channels_last)
        self.more.bias.data.fill_(100 * (1 + self.share * is_last))  # so that the share counts, not the gap
        return self.more(self.conv(images))


@pytest.mark.parametrize(("share", "is_last"), [(0.0, True), (5e-4, True), (4e-3, False)])
def test_channels_are_last_where_all_layers_give_the_same_but_for_rounding(noise_table, share, is_last):
    model = LayeredModel(Ordered(share), ("conv", "more"), ModelCard("ordered", Preprocessing(16)))
    plan = plan_extraction(model, noise_table, device="cpu")
    assert (plan.memory_format == torch.channels_last) is is_last


@pytest.mark.parametrize(("how", "is_last"), [("reshape", True), ("view", False)])
def test_channels_are_last_where_the_network_allows_it(noise_table, tmp_path, how, is_last):
    card = ModelCard("viewed", Preprocessing(16))
    model = LayeredModel(Viewed(how), ("conv", "fc"), card)
    passes = []
    handle = model.module.register_forward_hook(lambda *_: passes.append(1))
    plan = plan_extraction(model, noise_table, device="cpu")
    handle.remove()
    assert len(passes) == (2 if is_last else 1)  # a pass that fails says so by itself
    assert (plan.memory_format == torch.channels_last) is is_last
    store = extract_activations(model, noise_table, None, tmp_path / "store", device="cpu")
    images = torch.stack(
        [card.preprocessing.resize_and_crop(load_image(path)) for path in noise_table.paths()]
    )
    with torch.no_grad():
        maps = model.module.conv(card.preprocessing.normalise(images))
        answers = model.module(card.preprocessing.normalise(images))
    np.testing.assert_allclose(store.load("conv").values, maps.flatten(1), atol=1e-5)
    np.testing.assert_allclose(store.load("fc").values, answers, atol=1e-5)
