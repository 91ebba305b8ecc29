"""Published weights arrive whole or not at all, and are then there by name."""

import hashlib
import json
import pickle
from dataclasses import replace
from functools import partial
from importlib import import_module

import numpy as np
import pytest
import torch
import torchvision

from fernet_neuro._utils.download import RemoteFile
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.shipped import place_fetched
from fernet_neuro.exceptions import StoreError
from fernet_neuro.experiments.predictions import read_classes
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.models.published import fetch_network
from fernet_neuro.models.registry import build_model, untrained_twin
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.systems.zoo import entries, weights
from fernet_neuro.systems.zoo.networks import DenseExpression

NAME = "face-api-expression"
FILES = ("tiny.bin", "tiny-weights_manifest.json")


def pack(module, rng):
    """Return face-api's two files for a network, packed here by the words of their description."""
    entries, raw = [], b""
    for name, tensor in module.state_dict().items():
        values = tensor.numpy()
        if values.ndim == 4:
            values = values.transpose(2, 3, 0, 1) if "depthwise" in name else values.transpose(2, 3, 1, 0)
        elif values.ndim == 2:
            values = values.T
        path = name.replace("depthwise.weight", "depthwise_filter").replace("fc.weight", "fc/weights")
        plain = path == "dense0.conv0.conv.weight"
        path = path.replace("conv.weight", "filters" if plain else "pointwise_filter")
        path = path.replace("conv.bias", "bias").replace(".", "/")
        entry = {"name": path, "shape": list(values.shape), "dtype": "float32"}
        if values.ndim > 1:
            packed = rng.integers(0, 256, values.shape).astype("u1")
            entry["quantization"] = {"dtype": "uint8", "scale": 0.001, "min": -0.12}
        else:
            packed = values.astype("<f4")
        entries.append(entry)
        raw += packed.tobytes()
    return raw, json.dumps([{"weights": entries, "paths": [FILES[0]]}]).encode()


@pytest.fixture
def content(server, rng, monkeypatch):
    """The expression network of the zoo, but with random weights on a server of this machine."""
    content = dict(zip(FILES, pack(DenseExpression(), rng), strict=True))
    server.content = {f"/{name}": data for name, data in content.items()}
    files = tuple(RemoteFile(name, len(c), hashlib.sha256(c).hexdigest()) for name, c in content.items())
    entry = replace(entries.EXPRESSION, files=files, address=server.url)
    monkeypatch.setattr(entries, "EXPRESSION", entry)
    return content


@pytest.fixture
def fetch(run):
    return partial(run, "models", "fetch")


def test_a_fetched_network_is_there_by_name_with_licence_and_citation(fetch, run, server, content):
    code, _, error = run("cost", NAME)
    assert (code, error) == (
        2,
        f"Error: the weights of {NAME} are not here yet; get them with: fernet-neuro models fetch {NAME}\n",
    )
    code, said, error = fetch(NAME, "--quiet")
    assert (code, error) == (0, "")
    assert "Licence: MIT (face-api)" in said
    assert "Cite: github.com/vladmandic/face-api" in said
    model = resolve_model(NAME)
    assert model.card.preprocessing.size == 112
    assert model.card.training_data.startswith("seven expressions")
    raw = np.frombuffer(content[FILES[0]], "u1")[:864].reshape(3, 3, 3, 32)
    expected = torch.from_numpy(raw.transpose(3, 2, 0, 1).astype("f4")) * 0.001 - 0.12
    torch.testing.assert_close(model.module.dense0.conv0.conv.weight, expected)
    assert read_classes(NAME)[:2] == ("neutral", "happiness")
    assert not (place_fetched(NAME).parents[1] / "downloads" / NAME).exists()
    n_asked = len(server.asked)
    code, said, _ = fetch(NAME, "--from", "nowhere.bin")
    assert code == 0
    assert "was here already, and is left alone; nowhere.bin was not read" in said
    assert len(server.asked) == n_asked


@pytest.mark.parametrize("name", ["face-api-identity", "facenet-vggface2", "vggface2-resnet50"])
def test_a_published_network_is_shown_before_it_is_here_as_the_list_tells_it(run, name):
    told = next(row for row in json.loads(run("models", "list", "--json")[1]) if row["name"] == name)
    code, said, error = run("models", "show", name)
    assert (code, error) == (0, "")
    for key in ("learnt", "input", "licence", "citation", "page"):
        assert f"{key + ':':<16}{told[key]}\n" in said
    assert f"fernet-neuro models fetch {name}" in said
    size = "" if told["megabytes"] is None else f" ({told['megabytes']:.1f} MB)"
    assert f"{name} are not here yet{size};" in said
    assert size or "--from resnet50_ft_weight.pkl" in said
    assert f"not here{size}; learnt {told['learnt']}" in run("models", "list")[1]
    shown = json.loads(run("models", "show", name, "--json")[1])
    assert {key: shown[key] for key in told} == told
    if shown["card"] is not None:
        assert shown["card"]["training_data"] == told["learnt"]
        assert said.count(told["learnt"]) == 1
        assert shown["layers"][-1]["n_units"] > 1


def test_a_preview_takes_no_options_of_a_new_network(run):
    code, _, error = run("models", "show", NAME, "--size", "48")
    assert code == 2
    assert "are not here yet" in error


def test_a_cut_off_download_goes_on_where_it_ended(fetch, server, content):
    server.n_breaks = 100
    code, _, error = fetch(NAME, "--quiet")
    assert code == 2
    assert error.count("\n") == 1
    assert "are kept. Run the command again when this machine is online" in error
    assert not place_fetched(NAME).exists()
    server.n_breaks = 0
    server.asked.clear()
    assert fetch(NAME, "--quiet")[0] == 0
    path, asked = server.asked[0]
    assert path == f"/{FILES[0]}"
    assert int(asked.removeprefix("bytes=").removesuffix("-")) > len(content[FILES[0]]) // 2


def test_another_checksum_is_refused_and_nothing_of_it_is_kept(fetch, server, content, tmp_path):
    server.content[f"/{FILES[0]}"] = content[FILES[0]][::-1]
    code, _, error = fetch(NAME, "--quiet")
    assert code == 2
    assert "is not the pinned file (another size or SHA-256); nothing of it was kept" in error
    assert not place_fetched(NAME).exists()
    for name, data in content.items():
        (tmp_path / name).write_bytes(data[:-1])
    code, _, error = fetch(NAME, "--from", tmp_path / FILES[0])
    assert code == 2
    assert f"{FILES[0]} is not the published file {FILES[0]} (its SHA-256 differs), or is cut off" in error
    assert not place_fetched(NAME).exists()


def test_files_that_were_downloaded_before_are_taken_with_what_lies_beside(fetch, content, tmp_path):
    (tmp_path / FILES[0]).write_bytes(content[FILES[0]])
    code, _, error = fetch(NAME, "--from", tmp_path / FILES[0])
    assert code == 2
    assert f"{FILES[1]} does not exist; these files belong together: {', '.join(FILES)}." in error
    (tmp_path / FILES[1]).write_bytes(content[FILES[1]])
    assert fetch(NAME, "--from", tmp_path)[0] == 0
    assert resolve_model(NAME).layers[-1] == "fc"


def test_a_file_of_another_name_is_not_passed_over_for_those_beside_it(fetch, content, tmp_path):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "other.bin").write_bytes(b"1")
    for given, said in (("other.bin", "is called otherwise than these files"), ("no.bin", "does not exist")):
        code, _, error = fetch(NAME, "--from", tmp_path / given)
        assert code == 2
        assert f"{given} {said}" in " ".join(error.split())
        assert not place_fetched(NAME).exists()


def test_packed_weights_of_the_wrong_length_are_refused(content, tmp_path):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    files = [tmp_path / name for name in FILES]
    for data, word in ((content[FILES[0]][:-1], "shorter"), (content[FILES[0]] + b"1", "longer")):
        files[0].write_bytes(data)
        with pytest.raises(StoreError, match=f"is {word} than"):
            weights.read_face_api(files)


def test_a_damaged_cache_says_what_to_delete(content):
    fetch_network(NAME)
    (place_fetched(NAME) / "record.json").write_text("{}")
    with pytest.raises(StoreError, match=f"is damaged; delete it, and fetch {NAME} again"):
        fetch_network(NAME)


@pytest.mark.slow
def test_weights_without_an_address_are_given_by_file(fetch, run, tmp_path):
    code, _, error = fetch("vggface2-resnet50")
    assert code == 2
    assert "get resnet50_ft_weight.pkl from https://github.com/" in error
    state = {
        name: item.numpy()
        for name, item in build_model("resnet50-vggface2", seed=4).module.state_dict().items()
    }
    file = tmp_path / "resnet50_ft_weight.pkl"
    file.write_bytes(pickle.dumps(state))
    assert fetch("vggface2-resnet50", "--from", file)[0] == 0
    model = resolve_model("vggface2-resnet50")
    assert (model.card.preprocessing.channels, model.card.preprocessing.scale) == ("bgr", 255.0)
    np.testing.assert_array_equal(model.module.fc.weight.detach(), state["fc.weight"])


def test_facenet_says_what_it_needs_or_comes_with_its_input(fetch, tmp_path, monkeypatch):
    try:
        package = import_module("facenet_pytorch")
    except ImportError:
        code, _, error = fetch("facenet-vggface2")
        assert code == 2
        assert (
            "needs the package 'facenet_pytorch'; install it with: pip install --no-deps facenet-pytorch"
            in error
        )
        return
    module = package.InceptionResnetV1(pretrained=None, num_classes=8631)
    torch.save(module.state_dict(), tmp_path / "net.pt")
    file = RemoteFile("net.pt", (tmp_path / "net.pt").stat().st_size, hash_file(tmp_path / "net.pt"))
    monkeypatch.setattr(entries, "FACENET", replace(entries.FACENET, files=(file,)))
    assert fetch("facenet-vggface2", "--from", tmp_path / "net.pt")[0] == 0
    model = resolve_model("facenet-vggface2")
    assert model.card.preprocessing == Preprocessing(160, scale=255.0, mean=(127.5,) * 3, std=(128.0,) * 3)
    assert untrained_twin(model, 3).weight_digest() != model.weight_digest()


def test_names_that_are_not_known_are_corrected(fetch):
    code, _, error = fetch("face-api-identiti")
    assert code == 2
    assert "Did you mean 'face-api-identity'?" in error
    assert "resnet50@IMAGENET1K_V2" in fetch("resnet50@there.pth")[2]
    assert "has no weights 'IMAGENET'; it has: IMAGENET1K_V1" in fetch("resnet18@IMAGENET")[2]


@pytest.fixture
def weights_of_torchvision(server, monkeypatch, tmp_path):
    """ShuffleNet's weights as torchvision describes them, but random and on a server of this machine."""
    torch.save(build_model("shufflenet_v2_x0_5", seed=9).module.state_dict(), tmp_path / "net.pth")
    data = (tmp_path / "net.pth").read_bytes()
    path = f"/shufflenet-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    server.content = {path: data}
    known = torchvision.models.get_model_weights("shufflenet_v2_x0_5")
    value = replace(known["DEFAULT"].value, url=server.url + path)
    monkeypatch.setattr(known["DEFAULT"], "_value_", value)
    return path


def test_weights_of_torchvision_come_by_their_name_and_with_their_input(
    fetch, run, server, weights_of_torchvision
):
    name = "shufflenet_v2_x0_5@IMAGENET1K_V1"
    code, before, _ = run("models", "show", name)
    assert code == 0
    assert f"{name} are not here yet (5.5 MB); get them with: fernet-neuro models fetch {name}\n" in before
    assert not server.asked
    for said in ("ImageNet", "BSD-3-Clause (torchvision)", "224 px cut from 256", "/shufflenet-", "conv5"):
        assert said in before
    assert f"{name} is not here yet; get it with: fernet-neuro models fetch {name}" in run("cost", name)[2]
    server.n_breaks = 1
    code, _, error = fetch(name)
    assert code == 2
    assert "nothing was kept. Run the command again" in error
    code, said, _ = fetch(name, "--json")
    assert code == 0
    assert json.loads(said)["licence"].startswith("BSD-3-Clause (torchvision)")
    model = resolve_model(name)
    assert (model.card.preprocessing.resize, model.card.preprocessing.size) == (256, 224)
    assert model.weight_digest() == build_model("shufflenet_v2_x0_5", seed=9).weight_digest()


def test_a_file_of_other_weights_is_not_torchvisions(fetch, tmp_path, weights_of_torchvision):
    torch.save(build_model("shufflenet_v2_x0_5", seed=1).module.state_dict(), tmp_path / "other.pth")
    code, _, error = fetch("shufflenet_v2_x0_5@DEFAULT", "--from", tmp_path / "other.pth")
    assert code == 2
    assert "other.pth is not the published file (its SHA-256 must begin with" in error


def test_weights_of_timm_are_taken_from_a_file(fetch, tmp_path):
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "net.pth")
    name = "timm:test_resnet@pretrained"
    code, _, error = fetch(name, "--from", tmp_path / "net.pth")
    assert code == 0, error
    assert resolve_model(name).card.source
