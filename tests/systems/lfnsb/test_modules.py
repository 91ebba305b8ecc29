"""The pieces of the lightweight networks against closed forms, golden values and slow, obvious versions."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro.systems.lfnsb.modules import (
    Bottleneck,
    Conv2dBN,
    CoordAttention,
    DualDirectionAttention,
    GDConv,
    MixConv,
    PointNorm,
    RepVGGDW,
    SpatialBias,
    VectorNorm,
)


def fill(shape: tuple[int, ...], k: float) -> Tensor:
    """sin(0.3 + k index) in row-major order."""
    return torch.sin(0.3 + k * torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


# --- spatial bias ------------------------------------------------------------------------------


def make_golden() -> tuple[SpatialBias, Tensor]:
    module = SpatialBias(4, 3, 2).double().eval()
    state = {"reduce.conv.weight": fill((5, 4, 1, 1), 0.7)}
    state |= {"mix.weight": fill((4, 4, 3), 0.31), "mix.bias": fill((4,), 1.1)}
    module.load_state_dict({**module.state_dict(), **state})
    return module, fill((2, 4, 6, 6), 0.05)


@torch.no_grad()
def test_spatial_bias_gives_the_golden_values() -> None:
    module, x = make_golden()
    maps = module(x)
    assert maps.shape == (2, 3, 2, 2)
    assert float(maps.sum()) == pytest.approx(16.6503768790, abs=1e-9)
    golden = [1.5883062379, 0.0094872977, 0.9400999501, -0.0386714396, 3.5741852766, -1.5815508544]
    assert maps.flatten()[:6].tolist() == pytest.approx(golden, abs=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("side", [2, 3])
def test_spatial_bias_is_its_closed_form(side: int) -> None:
    module = SpatialBias(4, 5, side).double().eval()
    x = noise(2, 4, 7, 7)
    reduced = module.act(module.reduce(x))
    # Windows of adaptive pooling overlap: with 7 rows, rows 0-3 and 3-6 make two.
    ends = [(7 * i // side, -(-7 * (i + 1) // side)) for i in range(side)]
    pixels = torch.stack([reduced[:, :, a:b, c:d].mean((2, 3)) for a, b in ends for c, d in ends], dim=2)
    weight, bias = module.mix.weight, module.mix.bias
    wanted = torch.zeros(2, 5, side**2, dtype=torch.float64)
    for channel in range(5):
        for pixel in range(side**2):
            window = pixels[:, channel : channel + 3]  # (n, 3, side ** 2)
            wanted[:, channel, pixel] = bias[pixel] + (window * weight[pixel].T).sum((1, 2))
    found = module(x)
    torch.testing.assert_close(found, wanted.reshape(2, 5, side, side), rtol=0, atol=1e-12)
    # map-major, then row, then column
    assert found.flatten(1)[0, 1 * side**2 + side] == found[0, 1, 1, 0]
    torch.testing.assert_close(module(x[:1]), found[:1])


def test_spatial_bias_has_the_published_number_of_weights() -> None:
    counts = [sum(w.numel() for w in part.parameters()) for part in SpatialBias(256).children()]
    assert counts == [16_896 + 132, 0, 0, 52]


# --- convolutions ------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
def test_mixed_convolution_is_each_kernel_on_its_own_channels(stride: int) -> None:
    module = MixConv((3, 2), (3, 5), stride).double()
    x = noise(2, 5, 9, 9)
    found = module(x)
    for channel in range(5):
        conv, index = (module.convs[0], channel) if channel < 3 else (module.convs[1], channel - 3)
        kernel = conv.weight[index : index + 1]
        wanted = functional.conv2d(x[:, channel : channel + 1], kernel, None, stride, kernel.shape[-1] // 2)
        torch.testing.assert_close(found[:, channel : channel + 1], wanted)


@torch.no_grad()
def test_convolution_over_the_whole_map_is_a_weighted_sum() -> None:
    module = GDConv(4, 3).double().eval()
    x = noise(2, 4, 3, 3)
    wanted = (x * module.conv.weight[:, 0]).sum((2, 3)) / math.sqrt(1 + 1e-5)
    torch.testing.assert_close(module(x).flatten(1), wanted)


@torch.no_grad()
def test_bottleneck_has_one_activation_and_a_shortcut_where_asked() -> None:
    middle = {"mix": MixConv((6,), (3,))}
    block = Bottleneck(4, 6, 4, middle, residual=True).double().eval()
    x = noise(2, 4, 5, 5)
    hidden = functional.prelu(block.expand.norm(block.expand.conv(x)), block.expand.act.weight)
    torch.testing.assert_close(block(x), x + block.project(block.mix(hidden)))
    assert block.expand.act.weight.tolist() == [0.25] * 6
    assert sum(isinstance(part, nn.PReLU) for part in block.modules()) == 1
    block.residual = False
    torch.testing.assert_close(block(x), block.project(block.mix(hidden)))


@torch.no_grad()
def test_repvggdw_normalises_the_sum_of_two_depth_wise_convolutions_and_its_input() -> None:
    module = RepVGGDW(3).double().eval()
    x, scale = noise(2, 3, 5, 5), math.sqrt(1 + 1e-5)
    for channel in range(3):
        one = x[:, channel : channel + 1]
        large = functional.conv2d(one, module.large.conv.weight[channel : channel + 1], padding=1) / scale
        small = one * module.small.weight[channel] + module.small.bias[channel]
        torch.testing.assert_close(module(x)[:, channel : channel + 1], (large + small + one) / scale)
    assert sum(weight.numel() for weight in RepVGGDW(256).parameters()) == 3_840


def test_padding_keeps_the_size_and_channels_are_convolved_alone_where_asked() -> None:
    assert Conv2dBN(4, 6, 5)(torch.zeros(2, 4, 9, 9)).shape == (2, 6, 9, 9)
    assert Conv2dBN(4, 4, 3, depthwise=True).conv.weight.shape == (4, 1, 3, 3)


# --- attention ---------------------------------------------------------------------------------


def slow_gates(module: CoordAttention, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Gates (n, c, height, width) from what sums up each row (n, c, height) and column (n, c, width)."""

    def apply(conv: nn.Conv2d, strip: Tensor) -> Tensor:
        return torch.einsum("oc,ncl->nol", conv.weight[:, :, 0, 0], strip) + conv.bias[:, None]

    def hide(strip: Tensor) -> Tensor:
        y = apply(module.reduce, strip) / math.sqrt(1 + 1e-5)
        return y * torch.clamp(y + 3, 0, 6) / 6

    row_gate = 1 / (1 + torch.exp(-apply(module.row_gate, hide(rows))))
    column_gate = 1 / (1 + torch.exp(-apply(module.column_gate, hide(columns))))
    return row_gate[:, :, :, None] * column_gate[:, :, None, :]


@torch.no_grad()
def test_coordinate_attention_gates_rows_and_columns() -> None:
    module = CoordAttention(6).double().eval()
    x = noise(2, 6, 5, 4)
    wanted = x * slow_gates(module, x, x.mean(3), x.mean(2))
    torch.testing.assert_close(module(x), wanted)


@pytest.mark.parametrize(("n_channels", "hidden"), [(96, 8), (256, 8), (342, 10), (768, 24)])
def test_hidden_width_of_the_attention_is_a_32nd_and_at_least_8(n_channels: int, hidden: int) -> None:
    assert CoordAttention(n_channels).reduce.out_channels == hidden


@torch.no_grad()
def test_heads_of_the_dual_direction_attention_weigh_rows_and_columns() -> None:
    module = DualDirectionAttention(6, side=4).double().eval()
    x = noise(2, 6, 4, 4)
    gates = module(x)
    assert gates.shape == (2, 2, 6, 4, 4)
    for index, head in enumerate(module.heads):
        scale = math.sqrt(1 + 1e-5)
        rows = torch.einsum("nchw,cw->nch", x, head.rows.conv.weight[:, 0, 0]) / scale
        columns = torch.einsum("nchw,ch->ncw", x, head.columns.conv.weight[:, 0, :, 0]) / scale
        torch.testing.assert_close(gates[:, index], slow_gates(head, x, rows, columns))


# --- normalisation -----------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "shape"), [(VectorNorm(5), (1, 5)), (PointNorm(5), (1, 5, 1, 1))])
def test_one_value_per_channel_is_normalised_as_in_use(norm: nn.Module, shape: tuple[int, ...]) -> None:
    nn.init.constant_(norm.weight, 3.0)
    norm.running_mean.fill_(0.5)
    x = noise(*shape).float()
    torch.testing.assert_close(norm.train()(x), norm.eval()(x))
    assert norm.running_mean.tolist() == [0.5] * 5


@pytest.mark.parametrize(("norm", "plain"), [(VectorNorm, nn.BatchNorm1d), (PointNorm, nn.BatchNorm2d)])
def test_larger_batches_are_normalised_as_ever(norm: type, plain: type) -> None:
    x = noise(*((4, 5) if plain is nn.BatchNorm1d else (4, 5, 1, 1))).float()
    ours, torchs = norm(5), plain(5)
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.running_var, torchs.running_var)
