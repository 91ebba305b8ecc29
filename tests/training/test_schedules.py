import math

import pytest
import torch
from torch import nn, optim

from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.schedules import build_optimiser, compute_rate, set_rate

STEPS = 7  # per epoch


def _follow(scheduler_of, n_steps):
    """Rates that one of torch's own schedulers gives."""
    optimiser = optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = scheduler_of(optimiser)
    rates = []
    for _ in range(n_steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def test_cosine_is_torchs():
    settings = TrainSettings(epochs=5, lr=0.3, schedule="cosine")
    expected = _follow(lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 5 * STEPS), 5 * STEPS)
    assert [compute_rate(settings, step, STEPS) for step in range(5 * STEPS)] == pytest.approx(expected)


@pytest.mark.parametrize("length", [3, 5])
def test_a_cosine_cycle_over_steps_is_torchs(length):
    settings = TrainSettings(
        epochs=5, lr=0.3, schedule="cosine-cycle", cycle_length=length, cycle_unit="step"
    )
    expected = _follow(lambda o: optim.lr_scheduler.CosineAnnealingLR(o, length), 5 * STEPS)
    rates = [compute_rate(settings, step, STEPS) for step in range(5 * STEPS)]
    assert rates == pytest.approx(expected, abs=1e-12)
    assert rates[length] == pytest.approx(0, abs=1e-12)
    assert rates[2 * length] == pytest.approx(0.3)


def test_a_cosine_cycle_over_epochs_is_torchs_and_constant_within_an_epoch():
    settings = TrainSettings(epochs=23, lr=0.3, schedule="cosine-cycle", cycle_length=5)
    expected = _follow(lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 5), 23)
    rates = [compute_rate(settings, step, STEPS) for step in range(23 * STEPS)]
    assert rates[::STEPS] == pytest.approx(expected, abs=1e-12)
    assert rates == [rate for rate in rates[::STEPS] for _ in range(STEPS)]


@pytest.mark.parametrize(("unit", "low"), [("epoch", 4 * STEPS), ("step", 2 * STEPS + 2)])
def test_a_cosine_cycle_is_counted_from_the_end_of_the_warm_up(unit, low):
    settings = TrainSettings(
        epochs=9, lr=0.3, schedule="cosine-cycle", cycle_length=2, cycle_unit=unit, warmup_epochs=2
    )
    assert compute_rate(settings, 2 * STEPS, STEPS) == pytest.approx(0.3)
    assert compute_rate(settings, low, STEPS) == pytest.approx(0, abs=1e-12)


def test_step_is_torchs():
    settings = TrainSettings(epochs=5, lr=0.3, schedule="step", step_epochs=2, step_factor=0.5)
    expected = _follow(lambda o: optim.lr_scheduler.StepLR(o, 2 * STEPS, 0.5), 5 * STEPS)
    assert [compute_rate(settings, step, STEPS) for step in range(5 * STEPS)] == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["cosine", "cosine-cycle", "constant", "step"])
def test_warm_up_rises_linearly_to_the_full_rate(schedule):
    settings = TrainSettings(epochs=5, lr=0.3, schedule=schedule, warmup_epochs=2)
    rates = [compute_rate(settings, step, STEPS) for step in range(2 * STEPS + 1)]
    assert rates[:-1] == pytest.approx([0.3 * (step + 1) / (2 * STEPS) for step in range(2 * STEPS)])
    assert rates[-1] == pytest.approx(0.3)


def test_constant_stays():
    settings = TrainSettings(epochs=5, lr=0.3, schedule="constant")
    assert {compute_rate(settings, step, STEPS) for step in range(5 * STEPS)} == {0.3}


@pytest.mark.parametrize(("name", "kind"), [("sgd", optim.SGD), ("adam", optim.Adam), ("adamw", optim.AdamW)])
def test_optimisers_take_their_settings_and_leave_frozen_parameters_out(name, kind):
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    optimiser = build_optimiser(TrainSettings(optimiser=name, lr=0.3, weight_decay=0.01), module)
    assert type(optimiser) is kind
    assert optimiser.param_groups[0]["params"] == [module.weight]
    assert optimiser.param_groups[0]["weight_decay"] == 0.01
    set_rate(optimiser, 0.125)
    assert optimiser.param_groups[0]["lr"] == 0.125


def test_a_frozen_network_cannot_be_trained():
    module = nn.Linear(3, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        build_optimiser(TrainSettings(), module)


def test_exponential_is_torchs_stepped_each_epoch():
    settings = TrainSettings(epochs=5, lr=0.3, schedule="exponential", step_factor=0.98)
    expected = _follow(lambda o: optim.lr_scheduler.ExponentialLR(o, 0.98), 5)
    rates = [compute_rate(settings, step, STEPS) for step in range(5 * STEPS)]
    assert rates == pytest.approx([rate for rate in expected for _ in range(STEPS)])


@pytest.mark.parametrize(("schedule", "unit"), [("cosine", 1), ("cosine-cycle", STEPS)])
def test_cosines_end_at_their_floor_as_torchs(schedule, unit):
    settings = TrainSettings(epochs=5, lr=0.3, schedule=schedule, cycle_length=4, min_lr=0.1)
    length = 5 * STEPS if schedule == "cosine" else 4
    expected = _follow(lambda o: optim.lr_scheduler.CosineAnnealingLR(o, length, 0.1), 5 * STEPS // unit)
    rates = [compute_rate(settings, step, STEPS) for step in range(0, 5 * STEPS, unit)]
    assert rates == pytest.approx(expected)
    assert min(rates) == pytest.approx(0.1, rel=0.01)


def test_a_warm_up_at_one_rate_stays_there_and_the_schedule_follows():
    settings = TrainSettings(
        epochs=50, lr=0.002, schedule="cosine-cycle", cycle_length=50, warmup_epochs=1, warmup_lr=1e-4
    )
    rates = [compute_rate(settings, step, STEPS) for step in range(50 * STEPS)]
    assert rates[:STEPS] == [1e-4] * STEPS
    expected = [0.002 * (1 + math.cos(math.pi * epoch / 50)) / 2 for epoch in range(49)]
    assert rates[STEPS::STEPS] == pytest.approx(expected)
    assert rates[-1] == pytest.approx(7.88529868552e-06)


def test_what_the_loss_learns_has_a_rate_and_a_decay_of_its_own():
    network, loss = nn.Linear(3, 2), nn.Linear(2, 2)
    settings = TrainSettings(lr=0.3, weight_decay=0.01, loss_lr=0.6, loss_weight_decay=0.5)
    optimiser = build_optimiser(settings, network, loss)
    set_rate(optimiser, 0.1)
    assert [(group["lr"], group["weight_decay"]) for group in optimiser.param_groups] == [
        (0.1, 0.01),
        (pytest.approx(0.2), 0.5),
    ]
    optimiser = build_optimiser(TrainSettings(lr=0.3, weight_decay=0.01), network, loss)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.01, 0.01]
    assert [list(group["params"]) for group in optimiser.param_groups] == [
        list(module.parameters()) for module in (network, loss)
    ]
    frozen = build_optimiser(TrainSettings(), network, loss.requires_grad_(False))
    assert len(frozen.param_groups) == 1
