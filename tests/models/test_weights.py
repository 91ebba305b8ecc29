"""Weights on disk: round trips, strangers' files, and files that were tampered with or cut short."""

import codecs
import json
import os
import pickle
import re
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fernet_neuro.exceptions import FernetWarning, StoreError
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.weights import (
    check_state,
    load_model,
    load_weights,
    read_state_dict,
    read_weight_digest,
    save_model,
)


@pytest.fixture
def model() -> LayeredModel:
    return build_model("resnet10-slim", n_classes=5, seed=2)


class Bomb:
    """Unpickling it writes the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


class Net(nn.Module):
    """A whole module, as some checkpoints are."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)


def as_arrays(model: LayeredModel) -> dict[str, np.ndarray]:
    state = model.module.state_dict()
    return {name: item.numpy() for name, item in state.items() if not name.endswith("num_batches_tracked")}


def write_protocol_2_of_python_2(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write the names that NumPy 1 on Python 2 wrote."""
    data = pickle.dumps(arrays, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(data)


@pytest.mark.parametrize("protocol", [2, 5])
def test_vggface2_like_pickle_is_read(model: LayeredModel, tmp_path: Path, protocol: int) -> None:
    arrays = as_arrays(model)
    path = tmp_path / "weights.pkl"
    if protocol == 2:
        write_protocol_2_of_python_2(arrays, path)
        assert b"numpy.core.multiarray" in path.read_bytes()
    else:
        path.write_bytes(pickle.dumps(OrderedDict(arrays), protocol=2))
    state = read_state_dict(path)
    assert state.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(state[name].numpy(), array)


def test_pickle_of_python_2_is_read_byte_for_byte(tmp_path: Path) -> None:
    # Protocol 0 of Python 2: names and data are text, every byte as one character.
    values = np.array([1.5, -2.25, 3e-30], dtype="<f4")
    text = codecs.escape_encode(values.tobytes())[0].decode("latin1")
    data = (
        "(dp0\nS'conv.weight'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\n"
        "S'b'\np5\ntp6\nRp7\n(I1\n(I3\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\n"
        f"NNNI-1\nI-1\nI0\ntp14\nbI00\nS'{text}'\np15\ntp16\nbs."
    )
    (tmp_path / "old.pkl").write_bytes(data.encode("latin1"))
    np.testing.assert_array_equal(read_state_dict(tmp_path / "old.pkl")["conv.weight"].numpy(), values)


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".pt"])
def test_malicious_pickle_is_refused_and_not_run(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "was_run"
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps({"fc.weight": np.zeros(3), "extra": Bomb(target)}, protocol=2))
    with pytest.raises(StoreError, match=r"torch.save\(net.state_dict\(\)"):
        read_state_dict(path)
    assert not target.exists()
    pickle.loads(pickle.dumps(Bomb(target)))  # the twin: run without care, it does write
    assert target.exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: {"x": np.array([Net()], dtype=object)}, id="objects in an array"),
        pytest.param(lambda: {"x": codecs.encode}, id="a function"),
        pytest.param(lambda: {"x": slice(0, 3)}, id="a slice"),
        pytest.param(lambda: {"x": "text"}, id="text"),
        pytest.param(lambda: [np.zeros(3)], id="a list"),
        pytest.param(lambda: {}, id="nothing"),
    ],
)
def test_pickles_of_anything_but_arrays_are_refused(content: object, tmp_path: Path) -> None:
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps(content(), protocol=2))
    with pytest.raises(StoreError, match=r"weight file .*weights.pkl"):
        read_state_dict(tmp_path / "weights.pkl")


def test_pickled_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(Net(), tmp_path / "whole.pth")
    with pytest.raises(StoreError, match=r"holds a pickled object \(.*Net\).*save the weights alone"):
        read_state_dict(tmp_path / "whole.pth")


@pytest.mark.parametrize("wrapper", ["state_dict", "state_dict_backbone", "model", "net", None])
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.module._orig_mod.module."]
)
def test_wrapped_torch_checkpoints_are_unwrapped(
    model: LayeredModel, tmp_path: Path, wrapper: str | None, prefix: str
) -> None:
    state = {prefix + name: item for name, item in model.module.state_dict().items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "net.pth")
    read = read_state_dict(tmp_path / "net.pth")
    assert read.keys() == model.module.state_dict().keys()
    assert torch.equal(read["fc.weight"], model.module.fc.weight)


@pytest.mark.parametrize(
    "prefix",
    ["model.", "net.", "module.model.", "model.module.", "model._orig_mod.", "net.model.module.a._orig_mod."],
)
def test_a_first_part_that_all_names_share_is_taken_off(
    model: LayeredModel, tmp_path: Path, prefix: str
) -> None:
    state = {prefix + name: item for name, item in model.module.state_dict().items()}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.1"}, tmp_path / "net.ckpt")
    other = build_model("resnet10-slim", n_classes=5, seed=9)
    found = load_weights(other, tmp_path / "net.ckpt")
    assert found.weight_digest() == model.weight_digest()


def test_wrappers_around_parts_and_averages_are_taken_off(model: LayeredModel, tmp_path: Path) -> None:
    state = model.module.state_dict()
    parts = {
        name.replace("layer1.", "layer1._orig_mod.").replace("fc.", "fc.module."): state[name]
        for name in state
    }
    averaged = {"n_averaged": torch.tensor(3), **{f"module.{name}": state[name] for name in state}}
    for content in (parts, averaged, {"state_dict": {"model": averaged}}):
        torch.save(content, tmp_path / "net.pth")
        found = load_weights(build_model("resnet10-slim", n_classes=5, seed=9), tmp_path / "net.pth")
        assert found.weight_digest() == model.weight_digest()


def test_two_networks_in_a_file_are_refused_and_averages_noted(model: LayeredModel, tmp_path: Path) -> None:
    state = model.module.state_dict()
    other = {name: item + 1 for name, item in state.items()}
    path = tmp_path / "net.pth"
    torch.save({"net": other, "model": state}, path)
    with pytest.raises(
        StoreError, match=r"holds weights under 'model', 'net'; .*\)\['model'\], 'weights.pth'\)"
    ):
        read_state_dict(path)
    torch.save({"net": state, "model": {**state}}, path)  # one network twice
    assert read_state_dict(path).keys() == state.keys()
    torch.save({"model": state, "model_ema": other, "optimizer": {"state": {}}, "epoch": 3}, path)
    with pytest.warns(FernetWarning, match=r"those under 'model' of .*; it holds others under 'model_ema'"):
        assert torch.equal(read_state_dict(path)["fc.weight"], state["fc.weight"])


def test_settings_beside_weights_are_no_second_network(model: LayeredModel, tmp_path: Path) -> None:
    state = model.module.state_dict()
    path = tmp_path / "net.pth"
    torch.save({"model": {"name": "resnet", "options": {"size": 32}}, "state_dict": state}, path)
    assert torch.equal(read_state_dict(path)["fc.weight"], state["fc.weight"])


def test_dicts_without_an_end_are_refused(tmp_path: Path) -> None:
    endless: dict = {"w": torch.zeros(2)}
    endless["model"] = endless
    torch.save(endless, tmp_path / "net.pth")
    with pytest.raises(StoreError, match=r"net.pth keeps dicts in dicts without an end"):
        read_state_dict(tmp_path / "net.pth")


def prefix_names(state: dict, prefix: str = "module.") -> dict:
    return {prefix + name: item for name, item in state.items()}


def without(part: str, state: dict) -> dict:
    return {name: item for name, item in state.items() if part not in name}


@pytest.mark.parametrize(
    ("build", "way"),
    [
        (lambda sd, ema: {"model": sd, "model_ema": prefix_names(ema)}, "['model_ema']"),
        (lambda sd, ema: {"state_dict": prefix_names(sd), "ema": ema}, "['ema']"),
        (lambda sd, ema: {"net": sd, "ema_state_dict": {"model": ema}}, "['ema_state_dict']['model']"),
        (lambda sd, ema: {"model": sd, "averaged": without("num_batches", ema)}, "['averaged']"),
        (lambda sd, ema: {"model": sd, "ema": {"shadow": ema, "decay": 0.99}}, "['ema']['shadow']"),
        (lambda sd, ema: {"model": sd, "e": {"n_averaged": torch.tensor(3), **prefix_names(ema)}}, "['e']"),
        (lambda sd, ema: {"model": prefix_names(sd, "a."), "ema": prefix_names(ema, "m.net.")}, "['ema']"),
        (lambda sd, ema: {"model": sd, "ema": without("running", without("num_", ema))}, "['ema']"),
        (lambda sd, ema: {"model": {"net": sd, "ema": ema}, "epoch": 3}, "['model']['ema']"),
        (lambda sd, ema: {"model": sd, "ema": {k: v.to_sparse() for k, v in ema.items()}}, "['ema']"),
        (lambda sd, ema: {"model": sd, "ema": {k: v.half() for k, v in ema.items()}}, "['ema']"),
    ],
)  # fmt: skip
def test_averages_are_noted_whatever_is_around_them(model: LayeredModel, tmp_path: Path, build, way) -> None:
    state, path = model.module.state_dict(), tmp_path / "net.pth"
    other = {name: item + 1 for name, item in state.items()}
    torch.save(build(state, other), path)
    with pytest.warns(FernetWarning, match="such as running averages") as caught:
        read_state_dict(path)
    [note] = [str(item.message) for item in caught]
    assert f"torch.save(torch.load('net.pth', weights_only=True){way}, 'weights.pth')" in note


@pytest.mark.parametrize(
    "build",
    [
        lambda sd: {"model": sd, "ema": prefix_names(sd)},
        lambda sd: {"model": sd, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        lambda sd: {"model": sd, "loss": {"weight": torch.ones(9), "bias": torch.ones(9)}},
        lambda sd: {"model": sd, "ema": {"conv1.weight": torch.ones(2)}},
        lambda sd: {"model": sd, "net": prefix_names(sd)},
        lambda sd: {"net": {"state_dict": prefix_names(sd)}, "state_dict": prefix_names(sd, "_orig_mod.")},
    ],
)
def test_one_network_under_several_names_is_taken_without_a_note(
    model: LayeredModel, tmp_path: Path, build
) -> None:
    torch.save(build(model.module.state_dict()), tmp_path / "net.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load_weights(build_model("resnet10-slim", n_classes=5, seed=9), tmp_path / "net.pth")
    assert found.weight_digest() == model.weight_digest()


def test_two_networks_are_refused_whatever_is_around_them(model: LayeredModel, tmp_path: Path) -> None:
    state = model.module.state_dict()
    other = prefix_names({**state, "fc.bias": state["fc.bias"] + 1})
    for content in ({"model": state, "net": other}, {"model": {"net": state}, "net": {"model": other}}):
        torch.save(content, tmp_path / "net.pth")
        with pytest.raises(StoreError, match="holds weights under 'model', 'net'"):
            read_state_dict(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda item: item.to_sparse(), r"is not dense \(torch.sparse_coo\); save its \.to_dense\(\)"),
        (lambda item: item.to_sparse_csr(), r"is not dense \(torch.sparse_csr\)"),
        (lambda item: item.to("meta"), "has no values"),
        (
            lambda item: torch.quantize_per_tensor(item, 0.1, 0, torch.qint8),
            r"is quantised \(torch.qint8\); save its \.dequantize\(\)",
        ),
        (lambda item: torch.nested.nested_tensor([item, item[:2]]), "is a nested tensor"),
        (lambda item: torch.nested.nested_tensor([item], layout=torch.jagged), "is a nested tensor"),
        (lambda item: [1.0, 2.0], "is not a tensor"),
        (lambda item: "0.5", "is not a tensor"),
        (lambda item: 3, "is not a tensor"),
        (lambda item: None, "is not a tensor"),
        (lambda item: item[:0], r"has shape \(0, 128\), not \(5, 128\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*(prototype|beta state|deprecated|running averages)")
def test_tensors_that_hold_no_plain_numbers_are_refused_by_name(
    model: LayeredModel, tmp_path: Path, change, message
) -> None:
    state = model.module.state_dict()
    spoilt = {**state, "fc.weight": change(state["fc.weight"])}
    for content in (spoilt, {"model": spoilt, "net": state}, {"model": spoilt, "ema": spoilt}):
        torch.save(content, tmp_path / "net.pth")
        with pytest.raises(StoreError, match=r"net\.pth") as caught:
            load_weights(model, tmp_path / "net.pth", strict=False)
        assert "\n" not in str(caught.value)
        if "net" not in content:
            assert re.search(f"fc.weight {message}", str(caught.value))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda item: item.to(torch.float8_e4m3fn),
            r"fc\.weight holds numbers of 8 bits or less \(torch.float8",
        ),
        (lambda item: item.to(torch.complex64), r"fc\.weight holds complex numbers \(torch.complex64\)"),
        (lambda item: torch.full_like(item, torch.nan), "640 of 640 values of fc.weight are not finite"),
        (lambda item: item.index_fill(0, torch.tensor([1]), torch.inf), "128 of 640 values of fc.weight are"),
        (lambda item: (item * 1e9).half(), r"\d+ of 640 values of fc.weight are not finite"),
        (
            lambda item: torch.full_like(item, 1e300, dtype=torch.float64),
            "640 of 640 .* too large for .*float32",
        ),
    ],
)
def test_values_that_are_no_numbers_are_refused(model: LayeredModel, tmp_path: Path, spoil, message) -> None:
    digest, state = model.weight_digest(), model.module.state_dict()
    torch.save({**state, "fc.weight": spoil(state["fc.weight"])}, tmp_path / "net.pth")
    with pytest.raises(StoreError, match=message):
        load_weights(model, tmp_path / "net.pth", strict=False)
    assert model.weight_digest() == digest


def test_variances_below_zero_and_counters_that_count_nothing_are_refused(tmp_path: Path) -> None:
    module = nn.BatchNorm2d(3)
    check_state(module, {**module.state_dict(), "running_var": torch.zeros(3)}, "here")
    for spoilt, message in (
        (
            {"running_var": torch.tensor([1.0, -1e-9, 0.0])},
            "1 of 3 values of running_var, a variance, are neg",
        ),
        (
            {"num_batches_tracked": torch.tensor(torch.nan)},
            "1 of 1 values of num_batches_tracked are no whole",
        ),
        ({"num_batches_tracked": torch.tensor(2 + 1j)}, "num_batches_tracked holds complex"),
    ):
        with pytest.raises(StoreError, match=message):
            check_state(module, {**module.state_dict(), **spoilt}, "here")
    check_state(module, {**module.state_dict(), "num_batches_tracked": torch.tensor(2.0)}, "here")


def test_numbers_longer_than_torch_has_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.pkl").write_bytes(pickle.dumps({"a": np.ones(2, np.longdouble)}, protocol=2))
    with pytest.raises(StoreError, match="'a' is not a numeric array that torch can hold"):
        read_state_dict(tmp_path / "net.pkl")


def test_what_is_infinite_in_the_network_itself_may_be_so() -> None:
    module = nn.Linear(2, 2)
    module.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    check_state(module, module.state_dict(), "here")
    with pytest.raises(StoreError, match="1 of 2 values of mask are not finite"):
        check_state(module, {**module.state_dict(), "mask": torch.tensor([torch.nan, -torch.inf])}, "here")


def test_a_shared_first_part_beside_other_weights_is_named_and_not_guessed(
    model: LayeredModel, tmp_path: Path
) -> None:
    state = {"model." + name: item for name, item in model.module.state_dict().items()}
    torch.save({"state_dict": {**state, "loss.weight": torch.ones(3)}}, tmp_path / "net.ckpt")
    with pytest.raises(StoreError, match=r"Save the weights without the 'model\.'"):
        load_weights(build_model("resnet10-slim", size=32, seed=9), tmp_path / "net.ckpt")


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth", "net.pkl"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_truncated_weights_say_so(model: LayeredModel, tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(model.module.state_dict(), path)
    elif name.endswith("pth"):
        torch.save(model.module.state_dict(), path)
    else:
        path.write_bytes(pickle.dumps(as_arrays(model)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(StoreError, match="damaged"):
        read_state_dict(path)


def test_text_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_text("hello, this is no checkpoint\n")
    with pytest.raises(StoreError, match=r"net.pth is damaged"):
        read_state_dict(tmp_path / "net.pth")


def test_checkpoint_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "net.pth")
    with pytest.raises(StoreError, match="epoch is not a tensor"):
        read_state_dict(tmp_path / "net.pth")
    torch.save(torch.zeros(3), tmp_path / "net.pth")
    with pytest.raises(StoreError, match="no dict of named weights; got Tensor"):
        read_state_dict(tmp_path / "net.pth")


def test_load_weights_reports_what_does_not_fit_and_changes_nothing(
    model: LayeredModel, tmp_path: Path
) -> None:
    digest = model.weight_digest()
    state = build_model("resnet10-slim", n_classes=5, seed=9).module.state_dict()
    state["fc.weight"] = torch.zeros(3, 7)
    state["stray"] = state.pop("fc.bias")
    save_file(state, tmp_path / "net.safetensors")
    pattern = r"fc.weight has shape \(3, 7\), not \(5, 128\), missing: fc.bias, unexpected: stray"
    with pytest.raises(StoreError, match=pattern):
        load_weights(model, tmp_path / "net.safetensors")
    with pytest.raises(StoreError, match=r"fc.weight has shape"):
        load_weights(model, tmp_path / "net.safetensors", strict=False)
    assert model.weight_digest() == digest


def test_a_lightning_module_is_read_and_whole_numbers_refused(model: LayeredModel, tmp_path: Path) -> None:
    state = model.module.state_dict()
    torch.save({"state_dict": {f"model.{name}": item for name, item in state.items()}}, tmp_path / "net.ckpt")
    loaded = load_weights(build_model("resnet10-slim", n_classes=5, seed=9), tmp_path / "net.ckpt")
    assert loaded.weight_digest() == model.weight_digest()
    save_file({**state, "fc.weight": state["fc.weight"].to(torch.int8)}, tmp_path / "net.safetensors")
    with pytest.raises(StoreError, match=r"fc\.weight holds whole numbers \(torch\.int8\), as quantised"):
        load_weights(model, tmp_path / "net.safetensors")


def test_load_weights_can_keep_the_networks_own_classifier(model: LayeredModel, tmp_path: Path) -> None:
    other = build_model("resnet10-slim", n_classes=11, seed=9)
    save_file(other.module.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(StoreError, match="head='replace' keeps"):
        load_weights(model, tmp_path / "net.safetensors")
    own = model.module.fc.weight.clone()
    loaded = load_weights(model, tmp_path / "net.safetensors", head="replace", training_data="rendered faces")
    assert torch.equal(loaded.module.fc.weight, own)
    assert torch.equal(loaded.module.layer4.conv1.weight, other.module.layer4.conv1.weight)
    assert (loaded.card.seed, loaded.card.training_data) == (None, "rendered faces")


def test_load_weights_of_another_network_is_refused_even_when_lenient(
    model: LayeredModel, tmp_path: Path
) -> None:
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "net.safetensors")
    with pytest.raises(StoreError, match="no name in common"):
        load_weights(model, tmp_path / "net.safetensors", strict=False)
    with pytest.raises(ValueError, match="head='drop' is not known"):
        load_weights(model, tmp_path / "net.safetensors", head="drop")


def test_saving_replaces_an_older_network_whole(model: LayeredModel, tmp_path: Path) -> None:
    save_model(build_model("densenet"), tmp_path / "net")
    save_model(model, tmp_path / "net")
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == ["model.json", "model.safetensors"]
    assert load_model(tmp_path / "net").card == model.card
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_weights_of_another_type_are_digested_as_the_network_that_they_give(
    model: LayeredModel, tmp_path: Path
) -> None:
    save_model(model, tmp_path / "net")
    weights = tmp_path / "net" / "model.safetensors"
    state = {name: item.bfloat16() if item.is_floating_point() else item for name, item in
             model.module.state_dict().items()}  # fmt: skip
    save_file(state, weights)
    for read in (load_model, read_weight_digest):
        with pytest.raises(StoreError, match="digest differs"):
            read(tmp_path / "net")
    model.module.load_state_dict(state)  # numbers that 16 bits hold
    save_model(model, tmp_path / "round")
    save_file(state, tmp_path / "round" / "model.safetensors")
    assert read_weight_digest(tmp_path / "round") == model.weight_digest()


def test_load_model_checks_what_it_finds(model: LayeredModel, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"folder .*absent does not exist"):
        load_model(tmp_path / "absent")
    with pytest.raises(StoreError, match=r"model.json is missing"):
        load_model(tmp_path)
    save_model(model, tmp_path / "net")
    weights, record = tmp_path / "net" / "model.safetensors", tmp_path / "net" / "model.json"
    good_weights, good_record = weights.read_bytes(), record.read_text()

    weights.write_bytes(good_weights[:-8])
    with pytest.raises(StoreError, match="damaged or cut short"):
        load_model(tmp_path / "net")
    weights.write_bytes(good_weights[:-1] + bytes([good_weights[-1] ^ 1]))
    for read in (load_model, read_weight_digest):
        with pytest.raises(StoreError, match="digest differs"):
            read(tmp_path / "net")
    save_file(build_model("resnet10-slim", n_classes=4).module.state_dict(), weights)
    with pytest.raises(StoreError, match="do not fit the network: fc"):
        load_model(tmp_path / "net")
    weights.unlink()
    with pytest.raises(StoreError, match="does not exist"):
        load_model(tmp_path / "net")

    weights.write_bytes(good_weights)
    for text, message in [
        (good_record[:40], "no valid JSON"),
        ("[]", "does not describe a network"),
        (json.dumps({**json.loads(good_record), "format": 99}), "has format 99"),
        (
            json.dumps({**json.loads(good_record), "layers": 3}),
            r"model.json is damaged \(its layers are no list",
        ),
        (json.dumps({**json.loads(good_record), "card": {"name": "resnet18"}}), "holds no valid card"),
    ]:
        record.write_text(text)
        with pytest.raises(StoreError, match=message):
            load_model(tmp_path / "net")
    card = json.loads(good_record)["card"]
    card["options"]["size"] = "rgb"
    record.write_text(json.dumps({**json.loads(good_record), "card": card}))
    with pytest.raises(ValueError, match=r"model.json: size must be int; got str"):
        load_model(tmp_path / "net")
    record.write_text(good_record)
    assert load_model(tmp_path / "net").weight_digest() == model.weight_digest()


def test_weights_can_be_read_by_others(model: LayeredModel, tmp_path: Path) -> None:
    save_model(model, tmp_path / "net")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "net").iterdir()}
    assert modes["model.safetensors"] == modes["model.json"] != 0o600
