"""Text-guided networks: counts, layers, batches of one, and texts in the place of classes."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

from fernet_neuro.models.cost import compute_cost
from fernet_neuro.models.registry import build_model
from fernet_neuro.stimuli.text_table import make_random_table, read_text_table
from fernet_neuro.systems.text_guided.analysis import with_texts
from fernet_neuro.systems.text_guided.losses import compute_scores
from fernet_neuro.systems.text_guided.networks import set_texts


def test_swin_counts_are_the_published_ones():
    whole = build_model("e2n-swin_t").module
    assert sum(weight.numel() for weight in whole.parameters()) == 28_501_498 + 131_712 == 28_633_210
    parts = list(whole.trunk.modules())
    assert [part.eps for part in parts if isinstance(part, nn.BatchNorm1d)] == [2e-5, 2e-5]
    drops = [part.p for part in parts if isinstance(part, StochasticDepth)]
    assert drops == pytest.approx(np.linspace(0, 0.1, 12))
    in_use = compute_cost(build_model("e2n-swin_t", transform=False))
    assert (in_use["params"], in_use["macs"]) == (28_501_498, 4_339_802_112)


@pytest.mark.parametrize("width", [512, 384])
def test_transformation_counts_at_each_width(width):
    module = build_model("e2n-resnet18", size=32, width=width).module
    n_weights = sum(weight.numel() for weight in module.neutral.parameters())
    assert n_weights == width * 128 + 128 + 128 * width + width
    projected = sum(weight.numel() for weight in module.visual.parameters())
    assert projected == (0 if width == 512 else 512 * width)


@pytest.mark.parametrize("name", ["e2n-resnet18", "e2n-swin_t", "e2n-vit_b_16"])
def test_every_network_gives_all_its_layers_for_one_image(name):
    model = build_model(name, n_classes=8, size=32, width=9)
    with torch.no_grad():
        found = model.module.eval()(torch.rand(1, 3, 32, 32), full=True)
    assert [tuple(values.shape) for values in found] == [(1, 9), (1, 9), (1, 8)]
    assert model.layers[-4:] == ("visual", "neutral", "difference", "logits")


def test_logits_are_scaled_cosines_with_the_texts():
    model = build_model("e2n-resnet10-slim", n_classes=3, size=32, width=5, scale=10.0)
    texts = torch.tensor(make_random_table(["a", "b", "c"], 5, seed=1).vectors)
    set_texts(model.module, texts)
    found = model.module(torch.rand(2, 3, 32, 32), full=True)
    for image in range(2):
        for row in range(3):
            v, t = found.visual[image], texts[row]
            assert found.logits[image, row].item() == pytest.approx(
                10 * (v @ t / (v.norm() * t.norm())).item(), abs=1e-5
            )


def test_texts_are_kept_with_the_weights_and_never_learn():
    module = build_model("e2n-resnet10-slim", size=32).module
    assert "logits.text" in module.state_dict()
    assert "logits.text" not in dict(module.named_parameters())


def test_texts_of_other_shapes_are_refused_with_the_remedy():
    module = build_model("e2n-resnet10-slim", size=32, width=5).module
    with pytest.raises(ValueError, match="n_classes=7 and width=384"):
        set_texts(module, torch.ones(7, 384))
    with pytest.raises(ValueError, match="head='linear'"):
        set_texts(build_model("e2n-resnet10-slim", size=32, head="linear").module, torch.ones(7, 512))


def test_a_trained_network_takes_texts_of_expressions_that_it_never_saw():
    model = build_model("e2n-resnet10-slim", n_classes=3, size=32, width=384)
    texts = read_text_table("builtin")
    more = with_texts(model, texts)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        old, new = model.module.eval()(images, full=True), more.module(images, full=True)
    torch.testing.assert_close(old.visual, new.visual)
    wanted = compute_scores(new.visual, torch.tensor(texts.vectors))
    torch.testing.assert_close(new.logits, wanted)
    assert more.card.options["n_classes"] == 8
    assert model.module.logits.text.shape == (3, 384)


def test_only_text_guided_networks_of_that_width_take_texts():
    with pytest.raises(ValueError, match="same encoder"):
        with_texts(build_model("e2n-resnet10-slim", size=32), read_text_table("builtin"))
    with pytest.raises(ValueError, match="has no texts"):
        with_texts(build_model("resnet10-slim"), read_text_table("builtin"))


def test_sizes_that_do_not_divide_into_patches_are_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        build_model("e2n-vit_b_16", size=40)


def test_full_output_without_transformation_is_refused():
    module = build_model("e2n-resnet10-slim", size=32, transform=False).module
    with pytest.raises(ValueError, match="transform=True"):
        module(torch.rand(1, 3, 32, 32), full=True)


def test_cost_says_what_is_in_use_beside_what_training_needs(run):
    code, out, err = run("cost", "e2n-swin_t", "--json")
    assert code == 0, err
    cost = json.loads(out)
    counts = [cost[key] for key in ("params", "params_in_use", "macs_in_use")]
    assert counts == [28_633_210, 28_501_498, 4_339_802_112]
    assert cost["macs"] == cost["macs_in_use"] + 2 * 512 * 128
    small = json.loads(run("cost", "e2n-resnet10-slim", "--json")[1])
    code, out, _ = run("cost", "e2n-resnet10-slim")
    assert code == 0
    assert small["params_in_use"] < small["params"]
    for key in ("params", "params_in_use", "macs", "macs_in_use"):
        assert f"{small[key]:,}" in out
    assert "in_use" not in run("cost", "resnet10-slim")[1]
