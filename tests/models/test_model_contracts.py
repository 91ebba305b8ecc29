"""What every registered network promises, whatever its architecture."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fernet_neuro.exceptions import LayerNotFoundError
from fernet_neuro.models.entry import MODELS
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.registry import (
    build_model,
    compute_layer_shapes,
    make_example,
    untrained_twin,
)
from fernet_neuro.models.weights import load_model, save_model

# The large ones are looked at on small images; 40 px is no multiple of their strides, on purpose, and with
# few classes, as thousands make most of the weights.
LARGE = ("resnet18", "resnet50", "resnet50-vggface2", "swin_t")
SMALL: dict[str, dict[str, object]] = {
    **{name: {"size": 40, "n_classes": 5} for name in LARGE},
    "crpn-conceptual": {"emotion_trunk": "resnet10-slim", "non_emotion_trunk": "resnet10-slim", "size": 40},
    "crpn-perceptual": {"trunk": "resnet10-slim", "size": 40},
    **{name: {"size": 40} for name in ("mobilefacenet", "mfn", "ddamfn", "lfn", "lfnsb", "lfnsb-tiny")},
    "e2n-resnet18": {"size": 40},
    "e2n-swin_t": {"size": 40},
    "e2n-vit_b_16": {"size": 48},
}


def build_small(name: str, seed: int = 0, **options: object) -> LayeredModel:
    return build_model(name, seed=seed, **{**SMALL.get(name, {}), **options})


@pytest.fixture(params=list(MODELS), scope="module")
def model(request: pytest.FixtureRequest) -> LayeredModel:
    return build_small(request.param)


@pytest.fixture(scope="module")
def twin(model: LayeredModel) -> LayeredModel:
    return untrained_twin(model, seed=8)


@pytest.fixture(scope="module")
def output(model: LayeredModel) -> Tensor:
    with torch.no_grad():
        return model.module(make_noise(model))


def make_noise(model: LayeredModel, n: int = 3) -> Tensor:
    example = make_example(model.card.preprocessing)
    return torch.randn(n, *example.shape[1:], generator=torch.Generator().manual_seed(5))


def are_equal(first: LayeredModel, second: LayeredModel) -> bool:
    """Whether all weights are equal, and have equal names and types."""
    one, other = first.module.state_dict(), second.module.state_dict()
    return one.keys() == other.keys() and all(
        tensor.dtype == other[name].dtype and torch.equal(tensor, other[name]) for name, tensor in one.items()
    )


def test_forward_gives_one_finite_row_per_image(output: Tensor) -> None:
    assert output.ndim == 2
    assert len(output) == 3
    assert torch.isfinite(output).all()


@torch.no_grad()
def test_images_of_a_batch_do_not_influence_each_other(model: LayeredModel, output: Tensor) -> None:
    alone = torch.cat([model.module(image[None]) for image in make_noise(model)])
    torch.testing.assert_close(output, alone, rtol=1e-3, atol=1e-4)


def test_listed_layers_fire_exactly_once_in_the_listed_order(model: LayeredModel) -> None:
    fired: list[str] = []
    handles = [
        model.module.get_submodule(layer).register_forward_hook(lambda *_, layer=layer: fired.append(layer))
        for layer in model.layers
    ]
    with torch.no_grad():
        model.module(make_noise(model, 1))
    for handle in handles:
        handle.remove()
    assert tuple(fired) == model.layers


def test_layer_shapes_agree_with_the_outputs(model: LayeredModel) -> None:
    last = model.layers[-1]
    caught: list[Tensor] = []
    handle = model.module.get_submodule(last).register_forward_hook(
        lambda _m, _i, output: caught.append(output)
    )
    with torch.no_grad():
        model.module(make_noise(model, 1))
    handle.remove()
    shape, n_units = compute_layer_shapes(model)[last]
    assert shape == tuple(caught[0].shape[1:])
    assert n_units == caught[0].numel()


def test_check_layers_suggests_the_nearest_name(model: LayeredModel) -> None:
    assert model.check_layers(list(model.layers)) == model.layers
    typo = model.layers[-1][:-1] + "q"
    with pytest.raises(LayerNotFoundError, match=r"has no layer .* Did you mean"):
        model.check_layers([typo])


@pytest.mark.slow
def test_weights_depend_on_the_seed_alone(model: LayeredModel, twin: LayeredModel) -> None:
    torch.manual_seed(1234)
    before = torch.random.get_rng_state()
    again = build_small(model.card.name)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert are_equal(again, model)
    assert not are_equal(again, twin)


@pytest.mark.slow
@torch.no_grad()
def test_saving_and_loading_keeps_everything(twin: LayeredModel, tmp_path: Path) -> None:
    save_model(twin, tmp_path / "net")
    loaded = load_model(tmp_path / "net")
    assert are_equal(loaded, twin)
    assert loaded.card == twin.card
    assert loaded.layers == twin.layers
    assert not loaded.module.training
    image = make_noise(twin, 1)
    torch.testing.assert_close(loaded.module(image), twin.module(image), rtol=0, atol=0)
    shutil.rmtree(tmp_path / "net")


def test_untrained_twin_differs_in_its_weights_alone(model: LayeredModel, twin: LayeredModel) -> None:
    assert not are_equal(twin, model)
    assert twin.layers == model.layers
    assert twin.card.preprocessing == model.card.preprocessing
    assert twin.card.options == model.card.options
    assert twin.card.seed == 8
    assert "untrained" in twin.card.training_data
    shapes = {name: tensor.shape for name, tensor in twin.module.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in model.module.state_dict().items()}


def test_card_survives_plain_values(model: LayeredModel) -> None:
    assert type(model.card).from_dict(model.card.to_dict()) == model.card
    assert model.card.licence
    assert model.card.source
    assert model.card.paper
