"""Weighted classification losses and the ranking against published values, loops and what must not matter."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from fernet_neuro.losses.confidence import focal_loss, logit_weighted_cross_entropy, rank_regularisation

seeds = st.integers(0, 10_000)


def make_batch(seed: int, n: int = 7, c: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(n, c, generator=generator, dtype=torch.float64)
    confidence = torch.rand(n, generator=generator, dtype=torch.float64)
    return scores, confidence, torch.randint(c, (n,), generator=generator)


def compute_probabilities(row: list) -> list:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


# --- logit-weighted cross-entropy --------------------------------------------------------------


def test_weighted_cross_entropy_has_its_published_values(golden: SimpleNamespace) -> None:
    weighted = logit_weighted_cross_entropy(golden.scores, golden.confidence, golden.targets)
    plain = logit_weighted_cross_entropy(golden.scores, torch.ones(8), golden.targets)
    assert weighted.item() == pytest.approx(1.6155088424, abs=1e-6)
    assert plain.item() == pytest.approx(1.8392355466, abs=1e-6)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_weighted_cross_entropy_is_the_slow_sum(seed: int) -> None:
    scores, confidence, targets = make_batch(seed)
    slow = sum(
        -math.log(compute_probabilities([weight * score for score in row])[target])
        for row, weight, target in zip(scores.tolist(), confidence.tolist(), targets.tolist(), strict=True)
    )
    loss = logit_weighted_cross_entropy(scores, confidence, targets)
    assert loss.item() == pytest.approx(slow / 7, rel=1e-9)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_weighted_cross_entropy_ignores_order_of_images_names_of_classes_and_a_shift(seed: int) -> None:
    scores, confidence, targets = make_batch(seed)
    expected = logit_weighted_cross_entropy(scores, confidence, targets)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    renamed = torch.tensor([2, 0, 3, 1])
    for other in (
        (scores[order], confidence[order], targets[order]),
        (scores[:, renamed.argsort()], confidence, renamed[targets]),
        (scores + 5, confidence, targets),
    ):
        torch.testing.assert_close(logit_weighted_cross_entropy(*other), expected)


def test_without_confidence_every_class_is_as_likely() -> None:
    scores, _, targets = make_batch(1)
    loss = logit_weighted_cross_entropy(scores, torch.zeros(7), targets)
    assert loss.item() == pytest.approx(math.log(4))


def test_weighted_cross_entropy_gradients_are_right() -> None:
    scores, confidence, targets = make_batch(2)
    inputs = (scores.requires_grad_(), confidence.requires_grad_())
    assert torch.autograd.gradcheck(lambda s, w: logit_weighted_cross_entropy(s, w, targets), inputs)


@pytest.mark.parametrize("size", [1e4, 0.0])
def test_weighted_cross_entropy_of_one_image_is_finite(size: float) -> None:
    scores = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    confidence = torch.tensor([1.0], requires_grad=True)
    loss = logit_weighted_cross_entropy(scores, confidence, torch.tensor([1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(scores.grad).all()
    assert torch.isfinite(confidence.grad).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence": torch.ones(6)}, r"confidence must have shape \(7,\), not empty; got \(6,\)"),
        ({"confidence": torch.ones(7, 1)}, r"confidence must have shape \(7,\), not empty; got \(7, 1\)"),
        ({"targets": torch.zeros(3, dtype=torch.int64)}, r"targets must have shape \(7,\)"),
        ({"targets": torch.full((7,), 4)}, r"targets must be from 0 to 3; got values from 4 to 4"),
        ({"targets": torch.full((7,), -100)}, r"targets must be from 0 to 3; got values from -100"),
        ({"targets": torch.zeros(7)}, r"targets must be class indices of type int64; got torch.float32"),
        ({"scores": torch.ones(7)}, r"scores must be a floating-point tensor"),
    ],
)
def test_weighted_cross_entropy_refuses_what_does_not_fit(changes: dict, message: str) -> None:
    scores, confidence, targets = make_batch(3)
    with pytest.raises(ValueError, match=message):
        logit_weighted_cross_entropy(
            **{"scores": scores, "confidence": confidence, "targets": targets, **changes}
        )


# --- focal loss --------------------------------------------------------------------------------


def test_focal_loss_has_its_published_value(golden: SimpleNamespace) -> None:
    logits = golden.confidence[:, None] * golden.scores
    given = {"gamma": 2.0, "class_weights": golden.class_weights}
    assert focal_loss(logits, golden.targets, **given).item() == pytest.approx(0.8228884662, abs=1e-9)
    single = {**given, "class_weights": golden.class_weights.float(), "epsilon": 1e-8}
    assert focal_loss(logits, golden.targets, **single).item() == pytest.approx(0.8228884139, abs=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_focal_loss_is_the_slow_sum(seed: int, gamma: float) -> None:
    logits, _, targets = make_batch(seed)
    weights = [0.5, 2.0, 0.1, 1.0]
    slow = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        p = compute_probabilities(row)[target]
        slow -= weights[target] * (1 - p) ** gamma * math.log(p)
    loss = focal_loss(logits, targets, gamma=gamma, class_weights=torch.tensor(weights))
    assert loss.item() == pytest.approx(slow / 7, rel=1e-6)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_focal_loss_ignores_order_of_images_and_is_below_cross_entropy(seed: int) -> None:
    logits, _, targets = make_batch(seed)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    loss = focal_loss(logits, targets)
    torch.testing.assert_close(focal_loss(logits[order], targets[order]), loss)
    assert loss < focal_loss(logits, targets, gamma=1.0) < functional.cross_entropy(logits, targets)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, _, targets = make_batch(4)
    expected = functional.cross_entropy(logits, targets)
    torch.testing.assert_close(focal_loss(logits, targets, gamma=0.0), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradients_are_right(gamma: float) -> None:
    logits, _, targets = make_batch(5)
    assert torch.autograd.gradcheck(lambda z: focal_loss(z, targets, gamma=gamma), (logits.requires_grad_(),))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_certain_images_has_finite_gradients(gamma: float) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 1]), gamma=gamma)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert torch.isfinite(logits.grad).all()


def test_focal_loss_refuses_what_does_not_fit() -> None:
    logits, _, targets = make_batch(6)
    with pytest.raises(ValueError, match=r"gamma must be >= 0; got -1"):
        focal_loss(logits, targets, gamma=-1)
    with pytest.raises(ValueError, match=r"class_weights must have shape \(4,\)"):
        focal_loss(logits, targets, class_weights=torch.ones(7))
    with pytest.raises(ValueError, match=r"targets must be from 0 to 3"):
        focal_loss(logits, targets + 4)


# --- rank regularisation -----------------------------------------------------------------------


@pytest.mark.parametrize(("margin", "value"), [(0.15, 0.0), (0.60, 0.2233333333)])
def test_ranking_has_its_published_values(golden: SimpleNamespace, margin: float, value: float) -> None:
    assert rank_regularisation(golden.confidence, margin=margin).item() == pytest.approx(value, abs=1e-6)


@given(seed=seeds, n=st.integers(2, 30), share=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_ranking_is_the_slow_difference_whatever_the_order(seed: int, n: int, share: float) -> None:
    confidence = make_batch(seed, n)[1]
    ranked = sorted(confidence.tolist(), reverse=True)
    high, low = ranked[: int(share * n)], ranked[int(share * n) :]
    slow = max(0.0, 0.4 - (sum(high) / len(high) - sum(low) / len(low))) if high and low else 0.0
    loss = rank_regularisation(confidence, share=share, margin=0.4)
    assert loss.item() == pytest.approx(slow, abs=1e-12)
    torch.testing.assert_close(rank_regularisation(confidence.flip(0), share=share, margin=0.4), loss)


def test_ranking_does_not_change_when_all_become_more_confident() -> None:
    confidence = make_batch(7)[1]
    loss = rank_regularisation(confidence, margin=0.9)
    assert loss > 0
    torch.testing.assert_close(rank_regularisation(confidence + 0.3, margin=0.9), loss)


def test_ranking_gradient_raises_the_confident_and_lowers_the_rest() -> None:
    confidence = make_batch(8)[1].requires_grad_()
    assert torch.autograd.gradcheck(lambda w: rank_regularisation(w, margin=0.95), (confidence,))
    rank_regularisation(confidence, margin=0.95).backward()
    order = confidence.argsort(descending=True)
    torch.testing.assert_close(confidence.grad[order[:4]], torch.full((4,), -1 / 4, dtype=torch.float64))
    torch.testing.assert_close(confidence.grad[order[4:]], torch.full((3,), 1 / 3, dtype=torch.float64))


@pytest.mark.parametrize(("n", "share"), [(1, 0.7), (5, 0.0), (5, 1.0), (3, 0.3)])
def test_ranking_is_zero_where_one_part_is_empty(n: int, share: float) -> None:
    confidence = torch.linspace(0.1, 0.9, n, requires_grad=True)
    loss = rank_regularisation(confidence, share=share)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(confidence.grad, torch.zeros(n))


def test_ranking_of_equal_confidence_is_the_margin() -> None:
    assert rank_regularisation(torch.full((10,), 0.5)).item() == pytest.approx(0.15)


def test_ranking_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"share must be >= 0 and <= 1; got 1.2"):
        rank_regularisation(torch.ones(5), share=1.2)
    with pytest.raises(ValueError, match=r"margin must be >= 0; got -0.1"):
        rank_regularisation(torch.ones(5), margin=-0.1)
    with pytest.raises(ValueError, match=r"confidence must have shape \(n,\), not empty; got \(0,\)"):
        rank_regularisation(torch.ones(0))
