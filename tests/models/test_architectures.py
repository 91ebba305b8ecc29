"""Each architecture against the published counts and against a slow, obvious version of itself."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro.models.registry import build_model, compute_layer_shapes
from fernet_neuro.models.siamese import SiameseNet
from fernet_neuro.models.trace import trace_modules
from fernet_neuro.systems.transfer.densenet import LabDenseNet


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# --- ResNets -----------------------------------------------------------------------------------


def test_resnet18_lists_its_eight_blocks_and_accepts_its_stages() -> None:
    model = build_model("resnet18", size=64)
    blocks = tuple(f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1))
    assert model.layers == ("maxpool", *blocks, "avgpool", "fc")
    assert model.check_layers(["layer3", "layer4"]) == ("layer3", "layer4")


def test_vggface2_resnet50_has_the_published_size_and_shapes() -> None:
    model = build_model("resnet50-vggface2")
    head = count(model.module.fc)
    assert (count(model.module), count(model.module) - head) == (41_192_951, 23_508_032)
    shapes = trace_modules(model.module, torch.zeros(1, 3, 224, 224))
    golden = {
        "conv1": (64, 112, 112),
        "maxpool": (64, 56, 56),
        "layer1": (256, 56, 56),
        "layer2": (512, 28, 28),
        "layer3": (1024, 14, 14),
        "layer4": (2048, 7, 7),
        "avgpool": (2048, 1, 1),
        "fc": (8631,),
    }
    assert {name: shapes[name] for name in golden} == golden


def run_caffe_resnet50(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """ResNet-50 in Caffe layout, written from its description, one operation at a time."""

    def normalise(x: Tensor, name: str) -> Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scale = state[f"{name}.weight"] / torch.sqrt(var + 1e-5)
        return (x - mean[:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][:, None, None]

    def convolve(x: Tensor, name: str, norm: str, stride: int = 1, padding: int = 0) -> Tensor:
        return normalise(functional.conv2d(x, state[f"{name}.weight"], None, stride, padding), norm)

    x = convolve(x, "conv1", "bn1", stride=2, padding=3).relu()
    # Rounding up with no padding is the same as one row and column of minus infinity at the far side.
    x = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)
    for stage, n_blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(n_blocks):
            path = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = convolve(x, f"{path}.conv1", f"{path}.bn1", stride).relu()
            y = convolve(y, f"{path}.conv2", f"{path}.bn2", padding=1).relu()
            y = convolve(y, f"{path}.conv3", f"{path}.bn3")
            if block == 0:
                x = convolve(x, f"{path}.downsample.0", f"{path}.downsample.1", stride)
            x = (x + y).relu()
    return x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


@torch.no_grad()
def test_vggface2_resnet50_is_the_caffe_graph_and_not_torchvisions() -> None:
    model = build_model("resnet50-vggface2", n_classes=11, size=64)
    state = model.module.state_dict()
    generator = torch.Generator().manual_seed(3)
    ranges = {"running_mean": (-0.1, 0.1), "running_var": (0.5, 1.5), "bias": (-0.1, 0.1)}
    for name, tensor in state.items():  # otherwise normalisation is the identity
        low, high = ranges.get(name.rpartition(".")[2], (0.0, 0.0))
        if high:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    images = torch.randn(2, 3, 64, 64, generator=generator)
    expected = run_caffe_resnet50(state, images)
    assert (expected[0] - expected[1]).abs().max() > 0.01 * expected.abs().max()
    torch.testing.assert_close(model.module(images), expected, rtol=1e-3, atol=1e-3)
    other = build_model("resnet50", n_classes=11, size=64)
    other.module.load_state_dict(state)
    assert (other.module(images) - expected).abs().max() > 0.05 * expected.abs().max()


def test_vggface2_preprocessing_is_bgr_0_to_255_minus_the_mean() -> None:
    preprocessing = build_model("resnet50-vggface2", n_classes=2).card.preprocessing
    image = np.empty((300, 260, 3), np.uint8)
    image[:] = (10, 20, 30)
    tensor = preprocessing.resize_and_crop(image)
    assert tensor.shape == (3, 224, 224)
    values = preprocessing.normalise(tensor[None])[0, :, 7, 9]
    torch.testing.assert_close(values, torch.tensor([30 - 91.4953, 20 - 103.8827, 10 - 131.0912]))


def test_grey_resnet_takes_one_channel() -> None:
    model = build_model("resnet18", channels="grey", size=48)
    assert model.module.conv1.weight.shape == (64, 1, 7, 7)
    white = torch.full((1, 3, 48, 48), 255, dtype=torch.uint8)
    assert model.card.preprocessing.normalise(white).shape == (1, 1, 48, 48)


@pytest.mark.parametrize("channels", ["rgb", "grey"])
def test_slim_resnet_stays_small(channels: str) -> None:
    model = build_model("resnet10-slim", channels=channels, n_classes=40)
    assert count(model.module) < 500_000
    assert compute_layer_shapes(model)["layer4"] == ((128, 4, 4), 2048)


# --- DenseNet ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_classes": 7}, 542_927),
        ({"n_classes": 1503}, 819_687),
        ({"n_classes": 7, "kernel": 7, "dropout": 0.5}, 2_936_527),
        ({"n_classes": 1503, "kernel": 7, "dropout": 0.5}, 3_213_287),
    ],
)
def test_densenet_has_the_labs_number_of_parameters(options: dict, expected: int) -> None:
    assert count(build_model("densenet", **options).module) == expected


def test_densenet_starts_from_the_labs_weights() -> None:
    module = build_model("densenet", n_classes=9, seed=3).module
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            n_out, _, height, width = part.weight.shape
            expected = math.sqrt(2 / (height * width * n_out))
            # A standard deviation of n draws is known to 1 / sqrt(2 n); 5 of these.
            margin = 5 / math.sqrt(2 * part.weight.numel())
            assert part.weight.std().item() == pytest.approx(expected, rel=margin)
    assert not module.fc.bias.any()
    assert module.fc.weight.abs().max() <= 1 / math.sqrt(184)  # torch's own
    assert module.conv1.bias.abs().max() <= 1 / math.sqrt(9)


def test_densenet_has_the_labs_feature_maps() -> None:
    shapes = {layer: shape for layer, (shape, _) in compute_layer_shapes(build_model("densenet")).items()}
    assert shapes["conv1"] == (64, 48, 48)
    assert shapes["dense1"] == (160, 48, 48)
    assert shapes["dense2"] == (176, 24, 24)
    assert shapes["dense3"] == (184, 12, 12)


@torch.no_grad()
def test_densenet_returns_log_probabilities() -> None:
    output = build_model("densenet").module(torch.rand(2, 1, 48, 48))
    torch.testing.assert_close(output.exp().sum(1), torch.ones(2))


@torch.no_grad()
def test_released_densenet_pools_the_top_left_corner_alone() -> None:
    released = build_model("densenet", variant="released")
    recommended = build_model("densenet")
    assert released.weight_digest() == recommended.weight_digest()
    features = torch.rand(1, 184, 12, 12)
    changed = features.clone()
    changed[:, :, 8:, 8:] += 1
    assert torch.equal(released.module.avgpool(features), released.module.avgpool(changed))
    torch.testing.assert_close(
        released.module.avgpool(features)[0, :, 0, 0], features[0, :, :8, :8].mean((1, 2))
    )
    torch.testing.assert_close(recommended.module.avgpool(features)[0, :, 0, 0], features[0].mean((1, 2)))


def test_released_densenet_refuses_sizes_that_its_pooling_does_not_fit() -> None:
    with pytest.raises(ValueError, match="size must lie in 32-63 px; got size=64"):
        build_model("densenet", variant="released", size=64)


def test_densenet_refuses_even_kernels_and_certain_dropout() -> None:
    with pytest.raises(ValueError, match="kernel='4' is not known"):
        build_model("densenet", kernel=4)
    with pytest.raises(ValueError, match="dropout must be"):
        build_model("densenet", dropout=1.0)


def test_densenet_drops_whole_channels_in_training_only() -> None:
    net = LabDenseNet(7, 1, 3, 0.5, "global")
    images = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(net.eval()(images), net(images))
        net.train()
        block = net.dense1[0](net.conv1(images))[:, 64:]
    silent = (block == 0).flatten(2).all(2)
    assert silent.any()
    assert not silent.all()


# --- Siamese -----------------------------------------------------------------------------------


@torch.no_grad()
def test_siamese_is_symmetric_and_blind_to_what_twins_share() -> None:
    net = build_model("siamese").module
    first, second = torch.rand(2, 5, 1, 48, 48)
    torch.testing.assert_close(net(first, second), net(second, first))
    torch.testing.assert_close(net(first, first), net.fc.bias.expand(5, 2))
    expected = (net(first) - net(second)).abs() @ net.fc.weight.T + net.fc.bias
    torch.testing.assert_close(net(first, second), expected)
    torch.testing.assert_close(net.compare(net(first), net(second)), expected)


@torch.no_grad()
def test_siamese_embedding_is_rectified_and_of_the_stated_width() -> None:
    model = build_model("siamese")
    embedding = model.module(torch.rand(3, 1, 48, 48))
    assert embedding.shape == (3, model.module.embedding_dim) == (3, 4608)
    assert (embedding >= 0).all()
    assert model.card.preprocessing.channels == "grey"


@torch.no_grad()
@pytest.mark.parametrize(
    ("trunk", "options", "width"),
    [
        ("resnet10-slim", {}, 128),
        ("densenet", {}, 184),
        ("resnet18", {"size": 40, "channels": "grey"}, 512),
        ("squeezenet1_1", {}, None),
    ],
)
def test_siamese_takes_any_network_with_a_classifier_as_trunk(
    trunk: str, options: dict, width: int | None
) -> None:
    if width is None:
        with pytest.raises(ValueError, match="has no linear classifier"):
            build_model("siamese", trunk=trunk, size=64, **options)
        return
    model = build_model("siamese", trunk=trunk, **options)
    assert isinstance(model.module, SiameseNet)
    side = model.card.preprocessing.size
    n_channels = len(model.card.preprocessing.mean)
    images = torch.rand(2, n_channels, side, side)
    embedding = model.module(images)
    assert embedding.shape == (2, width)
    last = model.layers[-1]
    caught: list[Tensor] = []
    model.module.get_submodule(last).register_forward_hook(lambda _m, _i, output: caught.append(output))
    torch.testing.assert_close(model.module(images), caught[0].flatten(1))


def test_siamese_of_siamese_is_refused() -> None:
    with pytest.raises(ValueError, match="trunk='siamese' is itself a twin network"):
        build_model("siamese", trunk="siamese")


# --- Swin --------------------------------------------------------------------------------------


def test_swin_blocks_give_tokens_in_rows_and_columns() -> None:
    shapes = {
        layer: shape for layer, (shape, _) in compute_layer_shapes(build_model("swin_t", size=64)).items()
    }
    assert shapes["features.1.1"] == (16, 16, 96)
    assert shapes["features.7.1"] == (2, 2, 768)
    assert shapes["head"] == (1000,)
