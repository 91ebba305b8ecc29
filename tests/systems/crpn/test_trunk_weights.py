"""Trained weights for the trunks of the two pathways, from whatever may hold them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fernet_neuro.exceptions import StoreError
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model
from fernet_neuro.models.weights import load_model, save_model
from fernet_neuro.systems.crpn.networks import load_trunk

SLIM = "resnet10-slim"


def build_conceptual(seed: int = 0, **options: object) -> LayeredModel:
    slim = {"emotion_trunk": SLIM, "non_emotion_trunk": SLIM, "size": 48, "n_features": 20}
    return build_model("crpn-conceptual", seed=seed, **{**slim, **options})


def build_perceptual(**options: object) -> LayeredModel:
    return build_model("crpn-perceptual", **{"trunk": SLIM, "size": 48, "n_features": 20, **options})


def check_loaded(model: LayeredModel, part: str, expected: nn.Module | dict[str, torch.Tensor]) -> None:
    """The trunk has the weights of `expected` wherever it has such a name, all of its own included."""
    trunk = model.module.get_submodule(f"{part}.trunk")
    state = expected.state_dict() if isinstance(expected, nn.Module) else expected
    assert trunk.state_dict()
    for name, item in trunk.state_dict().items():
        assert torch.equal(item, state[name]), name


def change_weights(trunk: nn.Module) -> dict[str, torch.Tensor]:
    """Return weights of a network like a trunk; none is that of the trunk itself."""
    state = trunk.state_dict()
    return {name: item + 1 if item.is_floating_point() else item for name, item in state.items()}


def test_trunk_takes_the_weights_of_a_run_and_nothing_else_changes(tmp_path: Path) -> None:
    source = build_model(SLIM, n_classes=9, size=48, seed=5).with_card(training_data="faces of nine people")
    save_model(source, tmp_path / "run" / "model")
    model = build_conceptual()
    before = {name: item.clone() for name, item in model.module.state_dict().items()}
    loaded = load_trunk(model, "non_emotion", str(tmp_path / "run"))
    check_loaded(loaded, "non_emotion", source.module)
    changed = {
        name for name, item in loaded.module.state_dict().items() if not torch.equal(item, before[name])
    }
    assert changed
    assert all(name.startswith("non_emotion.trunk.") for name in changed)
    assert loaded.card.source.endswith("; non_emotion trunk: run")
    assert loaded.card.training_data.endswith("; non_emotion trunk: faces of nine people")
    assert loaded.card.options == model.card.options
    assert not any(item.requires_grad for item in loaded.module.non_emotion.trunk.parameters())
    save_model(loaded, tmp_path / "whole")
    assert load_model(tmp_path / "whole").card == loaded.card


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_trunk_of_a_twin_network_is_taken_out_of_it(tmp_path: Path, kind: str) -> None:
    source = build_model("siamese", trunk=SLIM, size=48, seed=6)
    save_model(source, tmp_path / "twin")
    place = tmp_path / "twin" / ("model.safetensors" if kind == "file" else "")
    check_loaded(load_trunk(build_perceptual(), "perceptual", str(place)), "perceptual", source.module.trunk)


def test_trunk_that_is_a_twin_network_takes_one_whole(tmp_path: Path) -> None:
    source = build_model("siamese", seed=6)
    save_model(source, tmp_path / "twin")
    model = load_trunk(build_perceptual(trunk="siamese"), "perceptual", str(tmp_path / "twin"))
    check_loaded(model, "perceptual", source.module)


@pytest.mark.parametrize("part", ["emotion", "non_emotion"])
def test_trunk_of_another_pathway_is_that_of_the_same_part(tmp_path: Path, part: str) -> None:
    source = build_conceptual(seed=7)
    save_model(source, tmp_path / "concepts")
    loaded = load_trunk(build_conceptual(), part, str(tmp_path / "concepts"))
    check_loaded(loaded, part, source.module.get_submodule(f"{part}.trunk"))


def test_trunk_takes_pickled_arrays_as_vggface2_has_them(tmp_path: Path) -> None:
    model = build_model("crpn-conceptual", size=64, non_emotion_trunk="none")
    state = change_weights(model.module.emotion.trunk)
    arrays = {name: item.numpy() for name, item in state.items() if not name.endswith("num_batches_tracked")}
    arrays |= {"fc.weight": np.zeros((13, 2048), np.float32), "fc.bias": np.zeros(13, np.float32)}
    (tmp_path / "resnet50_ft_weight.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    loaded = load_trunk(model, "emotion", str(tmp_path / "resnet50_ft_weight.pkl"))
    check_loaded(loaded, "emotion", state)
    assert loaded.card.source.endswith("emotion trunk: resnet50_ft_weight.pkl")


@pytest.mark.parametrize("with_classifier", [True, False])
def test_trunk_takes_a_state_dict_with_or_without_a_classifier(tmp_path: Path, with_classifier: bool) -> None:
    model = build_model("crpn-perceptual")
    state = change_weights(model.module.perceptual.trunk)
    head = {"fc.weight": torch.zeros(11, 512), "fc.bias": torch.zeros(11)} if with_classifier else {}
    torch.save({"state_dict": {**state, **head}, "epoch": 3}, tmp_path / "resnet18_msceleb.pth")
    loaded = load_trunk(model, "perceptual", str(tmp_path / "resnet18_msceleb.pth"))
    check_loaded(loaded, "perceptual", state)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of weights that do not fit."""
    folder = tmp_path_factory.mktemp("sources")
    save_model(build_model("resnet18", n_classes=3, size=48), folder / "other")
    save_model(build_model(SLIM, n_classes=3, channels="grey", size=48), folder / "grey")
    slim = build_model(SLIM, n_classes=3).module.state_dict()
    torch.save({**slim, "layer2.conv1.weight": torch.zeros(2, 3)}, folder / "shape.pth")
    torch.save({name: item for name, item in slim.items() if "layer3" not in name}, folder / "part.pth")
    torch.save({**slim, "extra.weight": torch.zeros(2)}, folder / "more.pth")
    torch.save({"fc.weight": slim["fc.weight"]}, folder / "head.pth")
    (folder / "broken.pkl").write_bytes(b"no pickle")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("other", ValueError, r"prepares images otherwise than this one: mean \(\[0.485"),
        ("grey", ValueError, r"prepares images otherwise than this one: channels \(grey and rgb\)"),
        ("shape.pth", StoreError, r"layer2.conv1.weight has shape \(2, 3\), not"),
        ("part.pth", StoreError, r"do not fit the network: missing: layer3.conv1.weight"),
        ("more.pth", StoreError, r"unexpected: extra.weight"),
        ("head.pth", StoreError, r"do not fit the network: missing: stem.0.weight"),
        ("broken.pkl", StoreError, r"broken.pkl"),
        ("empty", StoreError, r"holds no saved network"),
        ("absent", ValueError, r"no run, saved network or weight file .*absent"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(
    sources: Path, source: str, error: type[Exception], message: str
) -> None:
    model = build_conceptual()
    before = model.weight_digest()
    with pytest.raises(error, match=message) as caught:
        load_trunk(model, "emotion", str(sources / source))
    assert "\n" not in str(caught.value)
    assert model.weight_digest() == before


def test_trunk_must_be_one_that_the_network_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"part='emotional' is not known.* Did you mean 'emotion'"):
        load_trunk(build_conceptual(), "emotional", str(tmp_path))
    with pytest.raises(ValueError, match="part='non_emotion' is not known; use one of: emotion"):
        load_trunk(build_conceptual(non_emotion_trunk="none"), "non_emotion", str(tmp_path))
    with pytest.raises(
        ValueError, match="network 'resnet10-slim' has no pathway's trunk; use a crpn network"
    ):
        load_trunk(build_model(SLIM), "emotion", str(tmp_path))
