import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from fernet_neuro.extraction.hooks import LayerRecorder, evaluating, network_digest

CPU = torch.device("cpu")


class Branching(nn.Module):
    """Uses one layer twice, one not at all, and one that gives a tuple."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(6, 6)
        self.idle = nn.Linear(6, 2)
        self.recurrent = nn.GRU(6, 5, batch_first=True)

    def forward(self, x):
        states, _ = self.recurrent(self.shared(self.shared(x)).unsqueeze(1))
        return states


@pytest.fixture
def batch():
    return torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(3))


def test_copies_survive_an_in_place_layer(tiny, batch):
    module = tiny.module.eval()
    with torch.inference_mode():
        before = module.norm(module.conv(batch))
        with LayerRecorder(module, ["norm", "relu"]) as recorder:
            module(batch)
            outputs = recorder.take()
    torch.testing.assert_close(outputs["norm"], before)
    torch.testing.assert_close(outputs["relu"], before.clamp(min=0))
    assert outputs["norm"].min() < 0  # what the in-place ReLU would have removed


def test_outputs_come_in_the_order_in_which_layers_run(tiny, batch):
    with torch.inference_mode(), LayerRecorder(tiny.module, ["fc", "conv", "deep"]) as recorder:
        tiny.module(batch)
        assert list(recorder.take()) == ["conv", "deep", "fc"]


@pytest.mark.parametrize(("pool", "axes"), [("mean", (2, 3)), ("mean-last", (1, 2))])
def test_pooling_means_over_all_axes_but_the_channels(tiny, batch, pool, axes):
    def run(kind):
        with torch.inference_mode(), LayerRecorder(tiny.module.eval(), ["deep", "fc"], pool=kind) as recorder:
            tiny.module(batch)
            return recorder.take()

    whole, pooled = run("none"), run(pool)
    expected = whole["deep"].numpy().mean(axis=axes)
    np.testing.assert_allclose(pooled["deep"].numpy(), expected, atol=1e-6)
    torch.testing.assert_close(pooled["fc"], whole["fc"])  # no space to average over


@pytest.mark.parametrize("pool", ["mean", "mean-last"])
@pytest.mark.parametrize("shape", [(7,), (7, 1, 1), (1, 1, 7)])
def test_pooling_keeps_all_channels_where_there_is_no_space(pool, shape):
    module = nn.Sequential(nn.Unflatten(1, shape))
    vectors = torch.arange(21.0).reshape(3, 7)
    with LayerRecorder(module, ["0"], pool=pool) as recorder:
        module(vectors)
        torch.testing.assert_close(recorder.take()["0"], vectors)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("shared", "layer 'shared' runs 2 times in one forward pass"),
        ("idle", "layer 'idle' does not run"),
        ("recurrent", "layer 'recurrent' gives tuple, not one tensor"),
    ],
)
def test_ambiguous_layers_are_named_and_hooks_removed(layer, message):
    module = Branching()
    with pytest.raises(ValueError, match=message), LayerRecorder(module, [layer]) as recorder:
        module(torch.zeros(2, 6))
        recorder.take()
    assert not any(part._forward_hooks for part in module.modules())


def test_each_pass_is_counted_anew(tiny, batch):
    with torch.inference_mode(), LayerRecorder(tiny.module, ["conv"]) as recorder:
        tiny.module(batch)
        recorder.take()
        tiny.module(batch)
        recorder.take()
        with pytest.raises(ValueError, match="does not run"):
            recorder.take()


def test_unknown_pooling_is_refused(tiny):
    with pytest.raises(ValueError, match="pool='maen' is not known"):
        LayerRecorder(tiny.module, ["conv"], pool="maen")


def test_evaluating_puts_every_mode_back(tiny):
    tiny.module.train()
    tiny.module.norm.eval()
    with pytest.raises(ZeroDivisionError), evaluating(tiny.module, CPU):
        assert not any(part.training for part in tiny.module.modules())
        assert torch.is_inference_mode_enabled()
        raise ZeroDivisionError
    assert tiny.module.training
    assert tiny.module.conv.training
    assert not tiny.module.norm.training
    assert not torch.is_inference_mode_enabled()


def test_network_digest_sees_structure_and_code_but_not_weights(make_tiny):
    assert network_digest(make_tiny(0).module) == network_digest(make_tiny(1).module)
    changed = make_tiny(0)
    changed.module.relu = nn.ReLU6(inplace=True)
    assert network_digest(changed.module) != network_digest(make_tiny(0).module)


def test_network_digest_sees_the_code_of_a_user_s_network(tmp_path):
    code = (
        "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return FACTOR * x\n"
    )
    digests = []
    for factor in ("2", "3", "2"):
        path = tmp_path / f"network{len(digests)}.py"
        path.write_text(code.replace("FACTOR", factor))
        spec = importlib.util.spec_from_file_location("network", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        digests.append(network_digest(module.Net()))
    assert digests[0] == digests[2]
    assert digests[0] != digests[1]
