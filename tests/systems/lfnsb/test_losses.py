"""Losses of pooled features: published values, slow and obvious versions, and what cannot be."""

import numpy as np
import pytest
import torch
from scipy import stats

from fernet_neuro.systems.lfnsb.losses import (
    FORMS,
    LOSSES,
    CentredLoss,
    adjusted_cosine_distance,
    affinity_loss,
    attention_loss,
    centre_loss,
    cosine_harmony_loss,
    separate_loss,
)

TARGETS = torch.tensor([0, 1, 0, 2, 1, 0])


@pytest.fixture
def features() -> torch.Tensor:
    image, column = torch.arange(6.0, dtype=torch.float64)[:, None], torch.arange(5.0, dtype=torch.float64)
    return torch.sin(0.5 + 5 * image + column) + 0.2 * column


@pytest.fixture
def centres() -> torch.Tensor:
    row, column = torch.arange(3.0, dtype=torch.float64)[:, None], torch.arange(5.0, dtype=torch.float64)
    return torch.cos(0.1 + 5 * row + 2 * column)


def test_distances_are_the_published_ones_and_one_minus_pearson(features, centres):
    found = adjusted_cosine_distance(features, centres)
    assert found[0].numpy() == pytest.approx([1.4368123758, 1.4187889618, 0.7881099850], abs=1e-9)
    slow = [[1 - stats.pearsonr(x, c).statistic for c in centres.numpy()] for x in features.numpy()]
    assert found.numpy() == pytest.approx(np.array(slow), abs=1e-12)


@pytest.mark.parametrize(
    ("form", "value"), [("released", 0.5541955656), ("paper", 0.9200664910), ("separating", 0.9741097684)]
)
def test_every_form_has_its_published_value(features, centres, form, value):
    found = cosine_harmony_loss(features, centres, TARGETS, form=form)
    assert found.item() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unbiased", [None, False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_every_form_is_what_is_written_down(features, centres, form, unbiased, alpha):
    slow = adjusted_cosine_distance(features, centres).numpy()
    intra = np.mean([slow[i, y] for i, y in enumerate(TARGETS)])
    inter = np.mean([slow[i, j] for i, y in enumerate(TARGETS) for j in range(3) if j != y])
    ddof = int(form == "released" if unbiased is None else unbiased)
    variance = features.numpy().var(0, ddof=ddof).sum()
    apart = {"separating": 2 - inter, "released": intra / 2, "paper": inter}[form]
    wanted = alpha * intra / variance + (1 - alpha) * apart
    found = cosine_harmony_loss(features, centres, TARGETS, form=form, alpha=alpha, unbiased=unbiased)
    assert found.item() == pytest.approx(wanted, abs=1e-6)


def test_forms_do_what_they_are_for(features, centres):
    """Following the gradient takes features away from, or to, the centres of other classes."""
    moved = {}
    for form in FORMS:
        x = features.clone().requires_grad_()
        for _ in range(50):
            (slope,) = torch.autograd.grad(cosine_harmony_loss(x, centres, TARGETS, form=form), x)
            x = (x - 0.2 * slope).detach().requires_grad_()
        distances = adjusted_cosine_distance(x, centres)
        others = torch.nn.functional.one_hot(TARGETS, 3) == 0
        moved[form] = distances[others].mean().item()
    before = adjusted_cosine_distance(features, centres)[others].mean().item()
    assert moved["separating"] > before + 0.2
    assert moved["paper"] < before - 0.2


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_finite_and_learn_for_a_batch_of_one(name):
    loss = CentredLoss(name, 3, 5, np.random.default_rng(0))
    features = torch.ones(1, 5).cumsum(1).requires_grad_()
    value = loss(features, torch.tensor([2]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()
    assert loss.centres.grad.abs().sum() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_reach_features_and_centres_through_every_part(features, centres, name):
    """Through the variance of the batch and of the centres, too."""
    inputs = (features.requires_grad_(), centres.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, c: LOSSES[name](x, c, TARGETS), inputs)


def test_relatives_are_what_is_written_down(features, centres):
    x, c, y = features.numpy(), centres.numpy(), TARGETS.numpy()
    squares = np.mean([((row - c[label]) ** 2).sum() for row, label in zip(x, y, strict=True)])
    assert centre_loss(features, centres, TARGETS).item() == pytest.approx(squares / 2, abs=1e-12)
    wanted = squares / c.var(0, ddof=1).sum()
    assert affinity_loss(features, centres, TARGETS).item() == pytest.approx(wanted, abs=1e-5)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    within = np.mean([1 - cosine(row, c[label]) for row, label in zip(x, y, strict=True)])
    between = np.mean([1 + cosine(c[i], c[j]) for i in range(3) for j in range(3) if i != j])
    assert separate_loss(features, centres, TARGETS).item() == pytest.approx(within + between, abs=1e-12)


def test_attention_is_drawn_apart_over_all_pairs(rng):
    gates = [torch.from_numpy(rng.random((2, 7, 3, 3))) for _ in range(3)]
    apart = [((gates[i] - gates[j]) ** 2).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert attention_loss(gates).item() == pytest.approx(3 / sum(apart).item())
    assert attention_loss(gates[:1]) == attention_loss([]) == 0
    assert torch.isfinite(attention_loss([gates[0], gates[0]]))


def test_centres_come_from_the_seed_and_learn_where_asked():
    first, second = (CentredLoss("centre", 4, 300, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first.centres, second.centres)
    assert first.centres.std().item() == pytest.approx(1, abs=0.05)
    fixed = CentredLoss("centre", 4, 3, np.random.default_rng(3), train_centres=False)
    assert not fixed.centres.requires_grad
    assert "centres" in fixed.state_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "separated"}, r"form='separated' is not known.*Did you mean 'separating'"),
        ({"alpha": 1.5}, "alpha must be >= 0 and <= 1"),
        ({"centres": torch.zeros(3, 4)}, r"as wide as features; got \(3, 4\) for features \(6, 5\)"),
        ({"centres": torch.zeros(1, 5), "targets": torch.zeros(6).long()}, "two or more rows"),
        ({"targets": torch.full((6,), 3)}, "targets must be from 0 to 2"),
        ({"targets": torch.zeros(5).long()}, r"targets must have shape \(6,\)"),
        ({"features": torch.zeros(6)}, r"features must be a floating-point tensor of shape \(n, p\)"),
    ],
)
def test_what_does_not_fit_is_one_line(features, centres, changes, message):
    given = {"features": features, "centres": centres.to(torch.float64), "targets": TARGETS, **changes}
    with pytest.raises(ValueError, match=message):
        cosine_harmony_loss(**given)


@pytest.mark.parametrize("loss", [centre_loss, affinity_loss, separate_loss])
def test_relatives_refuse_labels_without_a_centre(loss, features, centres):
    with pytest.raises(ValueError, match="targets must be from 0 to 1"):
        loss(features, centres[:2], TARGETS)


def test_an_unknown_loss_is_told():
    with pytest.raises(ValueError, match=r"loss='center' is not known.*Did you mean 'centre'"):
        CentredLoss("center", 3, 5, np.random.default_rng(0))
