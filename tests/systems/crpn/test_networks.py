"""The two pathways: published counts, what is frozen and what can be read."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner

from fernet_neuro.cli.app import app
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import build_model, compute_layer_shapes, untrained_twin
from fernet_neuro.models.trace import trace_modules
from fernet_neuro.models.weights import load_model, save_model
from fernet_neuro.stimuli.images import load_image
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.networks import (
    ConceptFeatures,
    ConceptualPathway,
    Encoder,
    PerceptualFeatures,
)

SLIM = "resnet10-slim"
STAGES = ("stem", "layer1", "layer2", "layer3", "layer4", "avgpool")


def build_conceptual(seed: int = 0, **options: object) -> LayeredModel:
    slim = {"emotion_trunk": SLIM, "non_emotion_trunk": SLIM, "size": 48, "n_features": 20}
    return build_model("crpn-conceptual", seed=seed, **{**slim, **options})


def build_perceptual(seed: int = 0, **options: object) -> LayeredModel:
    return build_model(
        "crpn-perceptual", seed=seed, **{"trunk": SLIM, "size": 48, "n_features": 20, **options}
    )


def count(module: nn.Module, trainable: bool = False) -> int:
    return sum(item.numel() for item in module.parameters() if item.requires_grad or not trainable)


def make_noise(n: int = 5, size: int = 48) -> Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(11))


def copy_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: item.clone() for name, item in module.state_dict().items()}


def list_changed(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, item in module.state_dict().items() if not torch.equal(item, before[name])}


# --- published counts --------------------------------------------------------------------------


def test_conceptual_pathway_in_use_has_the_published_size_and_cost() -> None:
    model = build_model("crpn-conceptual", non_emotion_trunk="none")
    assert count(model.module) == count(model.module, trainable=True) == 24_132_424
    assert count(model.module.emotion) == 24_098_368
    # The encoder, and behind it the confidence and two layers of the classifier.
    assert compute_cost(model)["macs"] == 3_856_515_072 + 256 + 256 * 128 + 128 * 7
    assert model.card.preprocessing.channels == "bgr"


def test_conceptual_pathway_in_training_has_the_published_size() -> None:
    model = build_model("crpn-conceptual")
    assert count(model.module) == 48_230_792
    assert count(model.module, trainable=True) == 24_722_760
    assert count(model.module.non_emotion, trainable=True) == 590_336
    assert compute_cost(model, 64)["params"] == 48_230_792


def test_second_encoder_doubles_the_cost_of_the_first() -> None:
    alone = compute_cost(build_conceptual(non_emotion_trunk="none"))["macs"]
    read_out = 20 + 20 * 128 + 128 * 7
    assert compute_cost(build_conceptual())["macs"] == 2 * (alone - read_out) + read_out


def test_perceptual_pathway_has_the_published_size_and_cost() -> None:
    model = build_model("crpn-perceptual")
    assert count(model.module) == count(model.module, trainable=True) == 11_407_431
    assert count(model.module.perceptual.trunk) == 11_176_512
    assert compute_cost(model)["macs"] == 1_813_791_616
    assert (model.card.preprocessing.channels, model.card.preprocessing.size) == ("rgb", 224)


def test_commands_know_the_pathways() -> None:
    listed = CliRunner().invoke(app, ["models", "list"])
    assert "crpn-conceptual" in listed.output
    assert "emotion_trunk=resnet50-vggface2" in listed.output
    shown = CliRunner().invoke(app, ["cost", "crpn-conceptual", "--size", "64", "--json"])
    assert json.loads(shown.output)["params"] == 48_230_792


# --- what comes out ----------------------------------------------------------------------------


def test_conceptual_layers_are_listed_in_forward_order() -> None:
    expected = [f"emotion.trunk.{stage}" for stage in STAGES] + ["emotion"]
    expected += [f"non_emotion.trunk.{stage}" for stage in STAGES] + ["non_emotion"]
    assert build_conceptual().layers == (*expected, "confidence", "scores", "logits")
    assert build_conceptual(n_identities=6).layers == (
        *expected,
        "identity",
        "confidence",
        "scores",
        "logits",
    )
    assert build_conceptual(non_emotion_trunk="none").layers == (
        *expected[:7],
        "confidence",
        "scores",
        "logits",
    )
    shapes = compute_layer_shapes(build_conceptual(n_classes=4, n_identities=6))
    ends = {
        layer: shapes[layer][0] for layer in ("emotion", "non_emotion", "identity", "confidence", "logits")
    }
    assert ends == {
        "emotion": (20,),
        "non_emotion": (20,),
        "identity": (6,),
        "confidence": (1,),
        "logits": (4,),
    }


def test_perceptual_layers_are_listed_in_forward_order() -> None:
    stages = [f"perceptual.trunk.{stage}" for stage in STAGES]
    assert build_perceptual().layers == (*stages, "perceptual", "logits")


@torch.no_grad()
def test_conceptual_output_is_what_its_parts_give() -> None:
    net = build_conceptual(n_classes=4, n_identities=6).module
    images = make_noise()
    features = net(images, full=True)
    assert isinstance(features, ConceptFeatures)
    state = net.state_dict()

    def apply(x: Tensor, path: str) -> Tensor:
        return x @ state[f"{path}.weight"].T + state[f"{path}.bias"]

    for part in ("emotion", "non_emotion"):
        trunk = net.get_submodule(f"{part}.trunk")(images)
        raw = apply(apply(trunk, f"{part}.head.0").relu(), f"{part}.head.3")
        expected = raw / raw.square().sum(1, keepdim=True).sqrt()
        torch.testing.assert_close(getattr(features, part), expected)
    confidence = 1 / (1 + (-apply(features.emotion, "confidence.0")).exp())
    scores = apply(apply(features.emotion, "scores.0").relu(), "scores.2")
    torch.testing.assert_close(features.confidence, confidence[:, 0])
    torch.testing.assert_close(features.scores, scores)
    torch.testing.assert_close(features.logits, confidence * scores)
    torch.testing.assert_close(
        features.identity, apply(apply(features.non_emotion, "identity.0").relu(), "identity.2")
    )
    assert torch.equal(net(images), features.logits)
    shapes = [None if item is None else tuple(item.shape) for item in features]
    assert shapes == [(5, 20), (5, 20), (5,), (5, 4), (5, 4), (5, 6)]


@torch.no_grad()
def test_what_the_network_lacks_is_none() -> None:
    features = build_conceptual(non_emotion_trunk="none").module(make_noise(), full=True)
    assert features.non_emotion is None
    assert features.identity is None
    assert build_conceptual().module(make_noise(), full=True).identity is None


@torch.no_grad()
def test_perceptual_output_is_what_its_parts_give() -> None:
    net = build_perceptual().module
    images = make_noise()
    features = net(images, full=True)
    assert isinstance(features, PerceptualFeatures)
    expected = functional.normalize(net.perceptual.head(net.perceptual.trunk(images)))
    torch.testing.assert_close(features.perceptual, expected)
    torch.testing.assert_close(features.logits, net.logits(expected))
    assert torch.equal(net(images), features.logits)


@torch.no_grad()
@pytest.mark.parametrize("build", [build_conceptual, build_perceptual])
def test_one_image_alone_gives_what_it_gives_in_a_batch(build: type) -> None:
    net, images = build().module, make_noise()
    for whole, single in zip(net(images, full=True), net(images[2:3], full=True), strict=True):
        if whole is not None:
            torch.testing.assert_close(single, whole[2:3], rtol=1e-4, atol=1e-5)


def test_every_module_of_a_pathway_runs_once() -> None:
    model = build_conceptual(n_identities=6)
    fired = trace_modules(model.module, make_noise(1))
    own = {name for name, _ in model.module.named_modules() if name and ".trunk." not in name}
    assert own <= set(fired)
    assert {"emotion.trunk", "non_emotion.trunk", "emotion.head"} <= own


def test_every_listed_layer_can_be_extracted(noise_table: StimulusTable, tmp_path: Path) -> None:
    model = build_conceptual(n_identities=6)
    store = extract_activations(model, noise_table, None, tmp_path / "store", device="cpu", batch_size=7)
    assert tuple(store.layers) == model.layers
    tensors = [model.card.preprocessing.resize_and_crop(load_image(path)) for path in noise_table.paths()]
    with torch.no_grad():
        features = model.module(model.card.preprocessing.normalise(torch.stack(tensors)), full=True)
    for layer in ("emotion", "non_emotion", "identity", "confidence", "scores", "logits"):
        got = torch.from_numpy(np.array(store.load(layer).values, dtype=np.float32))
        expected = getattr(features, layer).reshape(24, -1)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


# --- what is frozen ----------------------------------------------------------------------------


def train_once(net: ConceptualPathway, images: Tensor, part: str) -> None:
    """One step that pulls on the features of `part`, so that whatever may learn does."""
    optimiser = torch.optim.SGD([item for item in net.parameters() if item.requires_grad], lr=0.5)
    features = net(images, full=True)
    (getattr(features, part) - 1).square().sum().backward()
    optimiser.step()


def test_frozen_trunk_stays_as_it_is_in_training() -> None:
    net = build_conceptual().module
    net.train()
    assert net.emotion.trunk.training
    assert net.non_emotion.head.training
    assert not any(part.training for part in net.non_emotion.trunk.modules())
    before = copy_state(net)
    train_once(net, make_noise(), "non_emotion")
    changed = list_changed(net, before)
    assert {name for name in changed if name.startswith("non_emotion.")} == {
        f"non_emotion.head.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias")
    }
    # The emotion trunk is not frozen: its running statistics follow the batch.
    assert "emotion.trunk.layer1.bn1.running_mean" in changed


def test_unfrozen_trunk_learns() -> None:
    net = build_conceptual().module
    net.train()
    net.unfreeze_non_emotion_trunk()
    assert all(part.training for part in net.non_emotion.trunk.modules())
    before = copy_state(net)
    train_once(net, make_noise(), "non_emotion")
    changed = list_changed(net, before)
    assert {"non_emotion.trunk.stem.0.weight", "non_emotion.trunk.layer1.bn1.running_mean"} <= changed
    net.eval()
    assert not net.non_emotion.trunk.training
    net.unfreeze_non_emotion_trunk()
    assert not net.non_emotion.trunk.training


def test_frozen_trunk_gives_the_same_features_in_training_and_in_use() -> None:
    net = build_conceptual(dropout=0.0).module
    images = make_noise()
    with torch.no_grad():
        quiet = net(images, full=True)
        loud = net.train()(images, full=True)
    torch.testing.assert_close(loud.non_emotion, quiet.non_emotion)
    assert (loud.emotion - quiet.emotion).abs().max() > 0.01


def test_dropout_acts_on_the_heads_in_training_alone() -> None:
    net = build_conceptual(dropout=0.5).module
    images = make_noise()
    with torch.no_grad():
        assert torch.equal(net(images, full=True).non_emotion, net(images, full=True).non_emotion)
        net.train()
        assert not torch.equal(net(images, full=True).non_emotion, net(images, full=True).non_emotion)


def test_loaded_network_is_frozen_as_before(tmp_path: Path) -> None:
    model = build_conceptual(seed=3)
    model.module.unfreeze_non_emotion_trunk()
    save_model(model, tmp_path / "net")
    loaded = load_model(tmp_path / "net")
    assert not any(item.requires_grad for item in loaded.module.non_emotion.trunk.parameters())
    assert torch.equal(loaded.module(make_noise()), model.module(make_noise()))
    assert untrained_twin(loaded, seed=4).weight_digest() == build_conceptual(seed=4).weight_digest()


def test_there_must_be_a_trunk_to_unfreeze() -> None:
    with pytest.raises(ValueError, match="has no non-emotion encoder"):
        build_conceptual(non_emotion_trunk="none").module.unfreeze_non_emotion_trunk()


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["densenet", "swin_t", "siamese", "mobilenet_v3_small", "timm:resnet10t"])
@torch.no_grad()
def test_any_network_can_be_a_trunk(name: str) -> None:
    model = build_perceptual(trunk=name, size=64 if name.startswith("timm") else 48)
    n_channels, size = len(model.card.preprocessing.mean), model.card.preprocessing.size
    images = torch.randn(2, n_channels, size, size)
    features = model.module(images, full=True)
    torch.testing.assert_close(features.perceptual.norm(dim=1), torch.ones(2))
    fired = trace_modules(model.module, images[:1])
    assert set(model.layers) <= set(fired)
    assert model.layers[-2:] == ("perceptual", "logits")


@pytest.mark.parametrize("name", ["crpn-conceptual", "crpn-perceptual"])
def test_variants_share_one_network(name: str) -> None:
    options = (
        {"trunk": SLIM} if name == "crpn-perceptual" else {"emotion_trunk": SLIM, "non_emotion_trunk": SLIM}
    )
    models = [
        build_model(name, variant=variant, size=48, **options)
        for variant in ("recommended", "paper", "released")
    ]
    assert len({model.weight_digest() for model in models}) == 1
    assert [model.card.variant for model in models] == ["recommended", "paper", "released"]


def test_the_two_encoders_start_out_different() -> None:
    net = build_conceptual().module
    assert not torch.equal(net.emotion.trunk.stem[0].weight, net.non_emotion.trunk.stem[0].weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"emotion_trunk": "resnet18"},
            r"must prepare it alike; they differ in mean \(\[0.485.* Use trunks of one kind",
        ),
        ({"emotion_trunk": "resnet10slim"}, "no network 'resnet10slim'.* Did you mean 'resnet10-slim'"),
        ({"emotion_trunk": "crpn-perceptual"}, "emotion_trunk='crpn-perceptual' cannot be the trunk"),
        ({"non_emotion_trunk": "my_net.py:make"}, "non_emotion_trunk='my_net.py:make' cannot be the trunk"),
        ({"emotion_trunk": "squeezenet1_1"}, "has no linear classifier"),
        ({"n_identities": 6, "non_emotion_trunk": "none"}, "n_identities=6 needs a non-emotion encoder"),
        ({"n_identities": -1}, "n_identities must be >= 0; got -1"),
        ({"n_classes": 0}, "n_classes must be >= 1; got 0"),
        ({"n_features": 0}, "n_features must be >= 1; got 0"),
        ({"dropout": 1.0}, "dropout must be >= 0.0 and <= 0.999; got 1.0"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_conceptual(**options)


def test_wrong_types_are_refused() -> None:
    with pytest.raises(TypeError, match="non_emotion_trunk must be str; got NoneType"):
        build_conceptual(non_emotion_trunk=None)
    with pytest.raises(TypeError, match="n_features must be int; got float"):
        build_perceptual(n_features=20.0)


def test_features_of_a_silent_head_are_finite() -> None:
    encoder = Encoder(nn.Flatten(), 12, 5, 0.0)
    nn.init.zeros_(encoder.head[3].weight)
    nn.init.zeros_(encoder.head[3].bias)
    images = torch.ones(2, 3, 2, 2, requires_grad=True)
    encoder(images).sum().backward()
    assert torch.isfinite(images.grad).all()
