"""Networks as ONNX and TorchScript: equal to torch for any number of images, and described in full."""

import hashlib
import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import fernet_neuro as fn
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro.exceptions import MissingDependencyError, StoreError
from fernet_neuro.models.export import OPSET, OneInput, TwoSlopes, export_model
from fernet_neuro.models.fuse import fuse
from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.images import load_image


def make_images(model: fn.LayeredModel, n_images: int, seed: int = 5) -> Tensor:
    size, n_channels = model.card.preprocessing.size, len(model.card.preprocessing.mean)
    return torch.randn(n_images, n_channels, size, size, generator=torch.Generator().manual_seed(seed))


def randomise(model: fn.LayeredModel) -> fn.LayeredModel:
    """Give batch normalisation statistics that matter, as training does."""
    generator = torch.Generator().manual_seed(11)
    for name, values in model.module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            values.copy_(torch.rand(values.shape, generator=generator) + 0.5 * name.endswith("var"))
    return model


@torch.no_grad()
def check_onnx(path, model):
    """Compare the answers of a file with torch's for any number of images; return what the file holds."""
    session = onnxruntime.InferenceSession(path)
    for n_images in (1, 2, 7):
        images = make_images(model, n_images)
        (found,) = session.run(["logits"], {"images": images.numpy()})
        np.testing.assert_allclose(found, model.module(images).numpy(), atol=1e-4)
    assert session.get_inputs()[0].shape[1:] == list(images.shape[1:])
    written = onnx.load(path)
    assert {item.domain: item.version for item in written.opset_import}[""] == OPSET
    return written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "fused"),
    [
        ({"size": 64, "depth": 0.05}, True),
        ({"size": 48, "sb_mode": "concat", "depth": 0.05}, False),
    ],
)
def test_onnx_is_equal_to_torch_without_its_slow_prelu_and_the_network_keeps_its_own(
    tmp_path, options, fused
):
    model = randomise(build_model("lfnsb-tiny", n_classes=5, **options))
    about = export_model(model, tmp_path / "net.onnx", fuse=fused)
    assert about["largest_difference"] <= 1e-4
    written = check_onnx(tmp_path / "net.onnx", model)
    assert "PRelu" not in {node.op_type for node in written.graph.node}
    assert any(isinstance(part, nn.PReLU) for part in model.module.modules())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.json", "net.onnx"]


@pytest.mark.parametrize(
    ("n_slopes", "shape"), [(3, (4, 3, 5, 6)), (3, (4, 3)), (1, (4, 3, 5, 6)), (3, (4, 3, 5))]
)
def test_two_slopes_are_those_of_a_prelu(n_slopes, shape):
    prelu = nn.PReLU(n_slopes)
    prelu.weight.data = torch.tensor([0.25, -0.5, 1.5][:n_slopes])
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(TwoSlopes(prelu)(x), prelu(x))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize(
    ("name", "options", "fused"), [("resnet10-slim", {}, False), ("lfnsb-tiny", {"depth": 0.05}, True)]
)
def test_torchscript_is_equal_to_torch_for_any_number_of_images(tmp_path, name, options, fused):
    model = randomise(build_model(name, n_classes=5, size=32, **options))
    about = export_model(model, tmp_path / "net.pt", format="torchscript", fuse=fused)
    assert about["largest_difference"] <= 1e-5
    script = torch.jit.load(tmp_path / "net.pt")
    for n_images in (1, 2, 7):
        images = make_images(model, n_images)
        torch.testing.assert_close(script(images), model.module(images), atol=1e-5, rtol=0)
    assert "opset" not in about


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["mobilefacenet", "mfn", "ddamfn", "lfn", "lfnsb"])
def test_the_light_networks_as_onnx_at_their_size(tmp_path, name, fused):
    about = export_model(randomise(build_model(name)), tmp_path / "net.onnx", fuse=fused)
    assert about["largest_difference"] <= 1e-4


def test_the_json_says_all_that_is_needed_to_use_the_file(tmp_path, noise_table):
    recipe = {"task": "expression", "model": "resnet10-slim", "val_share": 0}
    recipe["model_options"] = {"size": 16, "channels": "grey"}
    model = fn.train(recipe, tmp_path / "run", table=noise_table, epochs=1, batch_size=7)
    about = fn.export(str(tmp_path / "run"), tmp_path / "net.onnx")
    check_onnx(tmp_path / "net.onnx", model)
    assert about["largest_difference"] <= 1e-4
    assert json.loads((tmp_path / "net.json").read_text()) == about
    assert about["output"]["classes"] == ["anger", "happiness", "neutral"]
    assert about["card"]["training_data"] == model.card.training_data
    assert about["weight_digest"] == model.weight_digest()
    assert about["sha256"] == hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest()
    assert about["input"]["shape"] == ["n", 1, 16, 16]
    assert about["opset"] == OPSET
    assert not about["fused"]
    # Followed by hand, its steps give what `predict` gives; these pictures have 16 pixels after the crop.
    wanted = model.card.preprocessing
    images = wanted.normalise(wanted.resize_and_crop(load_image(noise_table.paths()[3]))[None]).numpy()
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (found,) = session.run(None, {"images": images})
    with torch.no_grad():
        np.testing.assert_allclose(found, model.module(torch.from_numpy(images)).numpy(), atol=1e-4)


def test_nothing_is_replaced_unless_asked_for(tmp_path):
    model = build_model("resnet10-slim", size=16)
    (tmp_path / "net.json").write_text("mine")
    with pytest.raises(StoreError, match=r"net\.json is already there; add --overwrite"):
        export_model(model, tmp_path / "net.pt", format="torchscript")
    assert [path.name for path in tmp_path.iterdir()] == ["net.json"]
    export_model(model, tmp_path / "net.pt", format="torchscript", overwrite=True)
    assert json.loads((tmp_path / "net.json").read_text())["format"] == "torchscript"


def test_an_export_that_was_killed_between_its_files_is_given_again(tmp_path):
    model = build_model("resnet10-slim", size=16)
    export_model(model, tmp_path / "net.pt", format="torchscript")
    (tmp_path / "net.pt").unlink()  # the network is the last that is written
    about = export_model(model, tmp_path / "net.pt", format="torchscript")
    assert hash_file(tmp_path / "net.pt") == about["sha256"]
    assert json.loads((tmp_path / "net.json").read_text()) == about
    with pytest.raises(StoreError, match=r"net\.pt is already there"):
        export_model(model, tmp_path / "net.pt", format="torchscript")


class Fickle(nn.Module):
    """Gives another answer each time, so that no file can be equal to it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 8 * 8, 2)
        self.n = 0

    def forward(self, images: Tensor) -> Tensor:
        self.n += 1
        return self.fc(images.flatten(1)) + self.n


class Branching(nn.Module):
    """Does as the values of its input say, which cannot be written down."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 8 * 8, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(images.flatten(1)) * (2.0 if images.sum() > 1e3 else 1.0)


OWN = {"size": 8, "channels": "rgb", "mean": 0.5, "std": 0.5}


def test_a_file_that_answers_otherwise_is_not_written(tmp_path):
    model = fn.load_model(Fickle(), **OWN)
    with pytest.raises(ValueError, match=r"as torchscript differs from torch by .*; it was not written"):
        export_model(model, tmp_path / "net.pt", format="torchscript")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: build_model("siamese"), {}, "compares two images, and a file takes one"),
        (lambda: fn.load_model(Branching(), **OWN), {}, "cannot be written as onnx: "),
        (
            lambda: build_model("resnet10-slim"),
            {"format": "tflite"},
            "format='tflite' is not known; use one of",
        ),
        (lambda: build_model("resnet10-slim"), {"out": "net.pt"}, "must end in .onnx for format 'onnx'"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(tmp_path, make, options, message):
    out = tmp_path / options.pop("out", "net.onnx")
    with pytest.raises(ValueError, match=message) as caught:
        export_model(make(), out, **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r'ONNX needs .*: pip install "fernet-neuro\[export\]"'):
        export_model(build_model("resnet10-slim", size=16), tmp_path / "net.onnx")


def test_only_images_are_an_input(tmp_path):
    model = build_model("lfnsb-tiny", size=32)
    images = make_images(model, 2)
    with torch.no_grad():
        assert torch.equal(OneInput(model.module)(images), model.module(images))
    with pytest.raises(TypeError):
        OneInput(model.module)(images, full=True)
    assert fuse(model).layers == model.layers


def test_the_command_prints_what_was_written(run, tmp_path):
    out = tmp_path / "net.pt"
    asked = ("export", "resnet10-slim", "--size", 32, "--format", "torchscript", "--out", out)
    code, said, err = run(*asked, "--fuse")
    assert (code, err) == (0, "")
    assert "resnet10-slim as torchscript, fused: " in said
    assert "input   images: n x 3 x 32 x 32, float32" in said
    assert "differs from torch by at most " in said
    code, _, err = run(*asked)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "is already there; add --overwrite" in err
    assert run(*asked, "--overwrite", "--json")[0] == 0
    code, _, err = run("export", "siamese", "--out", tmp_path / "twin.onnx")
    assert (code, len(err.splitlines())) == (2, 1)
