"""Names, options and sources of networks: what is found, and what is said when it is not."""

import sys
from pathlib import Path

import pytest
import torch

from fernet_neuro.exceptions import MissingDependencyError, StoreError
from fernet_neuro.models.registry import build_model, make_example, untrained_twin
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.models.weights import load_model, save_model

NET = """
import fernet_neuro as fn
from torch import nn

def make(n_classes=4, width=5, size=24):
    net = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(width, n_classes))
    return fn.load_model(net, size=size, channels="rgb", mean=0.5, std=0.5)

def make_bare():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))

def make_layered(seedless=True):
    from fernet_neuro.models.registry import build_model
    return build_model("resnet10-slim", n_classes=3)

def make_frozen():
    net = make()
    for parameter in net.module.parameters():
        nn.init.constant_(parameter, 0.5)
    return net

def make_number():
    return 7

not_callable = 3
"""


@pytest.fixture
def net_file(tmp_path: Path) -> str:
    path = tmp_path / "my_net.py"
    path.write_text(NET)
    return str(path)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet81", {}, "no network 'resnet81'.* Did you mean 'resnet18'"),
        ("resnet18", {"n_class": 3}, "no option 'n_class'.* Did you mean 'n_classes'"),
        ("resnet18", {"n_classes": 0}, "n_classes must be >= 1; got 0"),
        ("resnet18", {"size": 3}, "size must be >= 16; got 3"),
        ("resnet18", {"channels": "gray"}, "channels='gray' is not known.* Did you mean 'grey'"),
        ("resnet18", {"variant": "released"}, "variant='released' is not known"),
        ("vgg11", {"widths": 3}, "no option 'widths'"),
        ("timm:resnet81", {}, "timm has no network 'resnet81'.* Did you mean"),
        ("no_such_package.nets:make", {}, "no module 'no_such_package.nets'"),
        ("missing.py:make", {}, "file 'missing.py' does not exist"),
        ("torch.nn:Linea", {}, "has no function 'Linea'.* Did you mean 'Linear'"),
    ],
)
def test_what_is_not_known_is_named_with_the_nearest(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(name, **options)


def test_wrong_types_are_refused() -> None:
    with pytest.raises(TypeError, match="n_classes must be int; got str"):
        build_model("resnet18", n_classes="7")


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mobilenet_v3_small", {"n_classes": 6, "channels": "grey", "size": 64}),
        ("googlenet", {"n_classes": 6, "size": 64}),
        ("timm:resnet10t", {"n_classes": 6, "size": 64}),
        ("timm:vit_tiny_patch16_224", {"n_classes": 6, "size": 64}),
        ("timm:resnet10t", {"n_classes": 6, "size": 64, "channels": "grey"}),
    ],
)
def test_any_torchvision_or_timm_network_has_layers_in_order(name: str, options: dict) -> None:
    model = build_model(name, **options)
    fired: list[str] = []
    for layer in model.layers:
        model.module.get_submodule(layer).register_forward_hook(lambda *_, layer=layer: fired.append(layer))
    output = model.module(make_example(model.card.preprocessing))
    assert output.shape == (1, 6)
    assert tuple(fired) == model.layers
    assert len(model.layers) >= 5
    assert build_model(name, **options).weight_digest() == model.weight_digest()
    assert model.card.seed == 0


def test_traced_layers_of_a_transformer_are_its_blocks() -> None:
    layers = build_model("timm:vit_tiny_patch16_224", size=64).layers
    assert layers == ("patch_embed", *(f"blocks.{i}" for i in range(12)), "norm", "head")


def test_timm_is_asked_for_when_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingDependencyError, match=r"pip install timm"):
        build_model("timm:resnet10t")


def test_own_function_becomes_a_network(net_file: str) -> None:
    model = build_model(f"{net_file}:make", n_classes=9, size=20, seed=3)
    assert model.layers == ("0", "1", "2", "4")
    assert model.module[-1].out_features == 9
    assert model.card.preprocessing.size == 20
    assert model.card.options == {"n_classes": 9, "size": 20}
    again = untrained_twin(model, 3)
    assert again.weight_digest() == model.weight_digest()
    assert untrained_twin(model, 4).weight_digest() != model.weight_digest()


def test_own_layered_model_keeps_its_layers(net_file: str) -> None:
    model = build_model(f"{net_file}:make_layered")
    assert model.layers[0] == "stem"
    assert model.card.name == f"{net_file}:make_layered"
    assert model.card.preprocessing.size == 64


def test_own_function_is_checked(net_file: str) -> None:
    with pytest.raises(ValueError, match=r"takes no option 'widthh'.* Did you mean 'width'"):
        build_model(f"{net_file}:make", widthh=3)
    with pytest.raises(ValueError, match=r"must return an nn.Module or LayeredModel; got int"):
        build_model(f"{net_file}:make_number")
    with pytest.raises(ValueError, match="has no function 'not_callable'"):
        build_model(f"{net_file}:not_callable")


def test_own_function_says_what_its_input_is_or_the_options_do(net_file: str) -> None:
    with pytest.raises(ValueError, match=r"does not say what its input.*\(missing: input=\)"):
        build_model(f"{net_file}:make_bare", size=2)
    centred = build_model(f"{net_file}:make_bare", size=2, input="-1-1")
    assert centred.card.preprocessing.mean == (0.5, 0.5, 0.5)
    declared = {"size": 2, "channels": "rgb", "mean": 0.5, "std": 0.5}
    assert build_model(f"{net_file}:make_bare", **declared).card.preprocessing.std == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="says itself what its input is and takes no size"):
        build_model(f"{net_file}:make_layered", size=16)


def test_own_function_that_ignores_the_seed_has_no_untrained_twin(net_file: str) -> None:
    with pytest.raises(ValueError, match="no untrained twin: it returns the same weights for every seed"):
        untrained_twin(build_model(f"{net_file}:make_frozen"), 1)


def test_saved_network_is_resolved_from_its_folder_and_from_its_run(tmp_path: Path) -> None:
    model = build_model("resnet10-slim", n_classes=3, seed=5)
    save_model(model, tmp_path / "run" / "model")
    for source in (tmp_path / "run", tmp_path / "run" / "model"):
        assert resolve_model(str(source)).weight_digest() == model.weight_digest()
    with pytest.raises(ValueError, match="is a saved network and takes no options; got n_classes"):
        resolve_model(str(tmp_path / "run"), n_classes=4)
    with pytest.raises(ValueError, match="holds the network 'resnet10-slim', not 'resnet18'"):
        resolve_model(f"resnet18@{tmp_path / 'run'}")


def test_saved_code_is_run_only_when_named(net_file: str, tmp_path: Path) -> None:
    source = f"{net_file}:make"
    model = build_model(source, seed=5, size=20)
    save_model(model, tmp_path / "net")
    with pytest.raises(StoreError, match=r"built by your own code .* is run only if you name it"):
        resolve_model(str(tmp_path / "net"))
    assert resolve_model(f"{source}@{tmp_path / 'net'}").weight_digest() == model.weight_digest()


def test_saved_code_as_trunk_is_run_only_when_named(net_file: str, tmp_path: Path) -> None:
    source = f"{net_file}:make"
    model = build_model("siamese", trunk=source, size=20)
    save_model(model, tmp_path / "net")
    with pytest.raises(StoreError, match="is run only if you name it"):
        resolve_model(str(tmp_path / "net"))
    with pytest.raises(StoreError, match="is run only if you name it"):
        load_model(tmp_path / "net", code="siamese")
    assert resolve_model(f"{source}@{tmp_path / 'net'}").weight_digest() == model.weight_digest()


def test_registered_trunk_may_be_named_too(tmp_path: Path) -> None:
    model = build_model("siamese", trunk="resnet10-slim")
    save_model(model, tmp_path / "net")
    for code in (None, "siamese", "resnet10-slim"):
        assert load_model(tmp_path / "net", code=code).card == model.card
    with pytest.raises(ValueError, match="holds the network 'siamese', not 'densenet'"):
        load_model(tmp_path / "net", code="densenet")


def test_weights_of_a_file_are_put_into_a_named_architecture(tmp_path: Path) -> None:
    trained = build_model("resnet10-slim", n_classes=3, seed=5)
    torch.save(trained.module.state_dict(), tmp_path / "net.pth")
    model = resolve_model(f"resnet10-slim@{tmp_path / 'net.pth'}", n_classes=3)
    assert model.weight_digest() == trained.weight_digest()
    assert model.card.seed is None
    assert model.card.source == "net.pth"
    with pytest.raises(StoreError, match=r"weight file .*absent.pth does not exist"):
        resolve_model(f"resnet10-slim@{tmp_path / 'absent.pth'}")
