"""Supervised contrast against published values, another implementation, loops and what must not matter."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor
from torch.nn import functional

from fernet_neuro.losses.contrastive import compute_balance_weights, concept_contrastive_loss

VECTOR_FORMS = ("mean_positives", "sum_positives", "sum_positives_self")
FORMS = (*VECTOR_FORMS, "scalar_views")
seeds = st.integers(0, 10_000)


def make_batch(seed: int, n: int = 9, p: int = 4, n_classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = functional.normalize(torch.randn(n, p, generator=generator, dtype=torch.float64))
    return features, torch.randint(n_classes, (n,), generator=generator)


def test_balance_weights_have_their_published_values(golden: SimpleNamespace) -> None:
    expected = [0.5, 0.625, 0.5, 0.875, 0.625, 0.5, 0.625, 0.5]
    assert compute_balance_weights(golden.targets).tolist() == expected


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_balance_weights_count_the_classes_whatever_their_names(seed: int) -> None:
    targets = make_batch(seed)[1]
    values = targets.tolist()
    expected = [1 - values.count(value) / len(values) for value in values]
    weights = compute_balance_weights(targets, dtype=torch.float64)
    assert weights.dtype == torch.float64
    assert weights.tolist() == pytest.approx(expected)
    assert torch.equal(compute_balance_weights(10 - 3 * targets, dtype=torch.float64), weights)


def test_balance_weights_of_one_class_are_zero() -> None:
    assert compute_balance_weights(torch.tensor([2, 2, 2])).tolist() == [0, 0, 0]
    assert compute_balance_weights(torch.tensor([5])).tolist() == [0]


@pytest.mark.parametrize(
    ("form", "balanced", "value"),
    [
        ("mean_positives", True, 8.6504067707),
        ("mean_positives", False, 15.5877192774),
        ("sum_positives", True, 21.6684846522),
        ("sum_positives_self", True, 23.9064839163),
        ("scalar_views", True, 3.4788861045),
    ],
)
def test_contrast_has_its_published_values(
    golden: SimpleNamespace, form: str, balanced: bool, value: float
) -> None:
    loss = concept_contrastive_loss(golden.emotion, golden.targets, form=form, balanced=balanced)
    assert loss.item() == pytest.approx(value, abs=1e-6)


def compute_contrast_slowly(features: list, targets: list, form: str, balanced: bool, t: float) -> float:
    """One anchor and one positive at a time, in plain numbers."""

    def compare(a: list, b: list) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / t

    n, total = len(features), 0.0
    for i, anchor in enumerate(features):
        others = [j for j in range(n) if j != i or form == "sum_positives_self"]
        positives = [j for j in range(n) if j != i and targets[j] == targets[i]]
        everyone = sum(math.exp(compare(anchor, features[j])) for j in others)
        terms = [-math.log(math.exp(compare(anchor, features[j])) / everyone) for j in positives]
        loss = sum(terms) / (max(len(terms), 1) if form == "mean_positives" else 1)
        total += loss * (1 - targets.count(targets[i]) / n if balanced else 1)
    return total / n


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("form", VECTOR_FORMS)
@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_contrast_is_the_slow_sum(seed: int, form: str, balanced: bool) -> None:
    features, targets = make_batch(seed)
    slow = compute_contrast_slowly(features.tolist(), targets.tolist(), form, balanced, 0.2)
    loss = concept_contrastive_loss(features, targets, temperature=0.2, form=form, balanced=balanced)
    assert loss.item() == pytest.approx(slow, rel=1e-9, abs=1e-12)


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_scalar_views_are_the_slow_sum_over_single_numbers(seed: int) -> None:
    features, targets = make_batch(seed, n=5)
    numbers = [[value] for row in features.tolist() for value in row]
    repeated = [target for target in targets.tolist() for _ in range(4)]
    slow = compute_contrast_slowly(numbers, repeated, "mean_positives", True, 0.5)
    loss = concept_contrastive_loss(features, targets, temperature=0.5, form="scalar_views")
    assert loss.item() == pytest.approx(slow, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n_classes", [2, 12])
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_unweighted_contrast_is_that_of_pytorch_metric_learning(seed: int, n_classes: int) -> None:
    features, targets = make_batch(seed, n=13, p=6, n_classes=n_classes)
    # Theirs averages over the images that have another of their class, ours over all.
    n_paired = sum(targets.tolist().count(target) > 1 for target in targets.tolist())
    theirs = SupConLoss(temperature=0.07)(features, targets).item() * n_paired / 13
    ours = concept_contrastive_loss(features, targets, balanced=False)
    assert ours.item() == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_contrast_ignores_order_of_images_and_names_of_classes(seed: int, form: str) -> None:
    features, targets = make_batch(seed)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    expected = concept_contrastive_loss(features, targets, form=form)
    torch.testing.assert_close(concept_contrastive_loss(features[order], targets[order], form=form), expected)
    torch.testing.assert_close(concept_contrastive_loss(features, 7 - 2 * targets, form=form), expected)


@pytest.mark.parametrize("form", VECTOR_FORMS)
def test_contrast_ignores_rotation_of_features_except_by_scalars(form: str) -> None:
    features, targets = make_batch(3)
    rotation = torch.linalg.qr(make_batch(4)[0][:4])[0]
    torch.testing.assert_close(
        concept_contrastive_loss(features @ rotation, targets, form=form),
        concept_contrastive_loss(features, targets, form=form),
    )
    turned = concept_contrastive_loss(features @ rotation, targets, form="scalar_views")
    assert abs(turned - concept_contrastive_loss(features, targets, form="scalar_views")) > 1e-3


@pytest.mark.parametrize("form", VECTOR_FORMS)
def test_contrast_is_lower_where_classes_lie_apart(form: str) -> None:
    targets = torch.tensor([0, 0, 1, 1, 2, 2])
    apart = torch.eye(3, dtype=torch.float64)[targets]
    mixed = apart.roll(1, 0)
    assert concept_contrastive_loss(apart, targets, form=form) < 1.0
    assert concept_contrastive_loss(mixed, targets, form=form) > 5.0


@pytest.mark.parametrize("form", FORMS)
def test_contrast_gradients_are_right(form: str) -> None:
    features, targets = make_batch(5, n=5)
    assert torch.autograd.gradcheck(
        lambda rows: concept_contrastive_loss(rows, targets, form=form, temperature=0.3),
        (features.requires_grad_(),),
    )


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("targets", [[0], [0, 1, 2], [1, 1, 1], [0, 0, 5]])
def test_contrast_is_finite_at_the_edges(targets: list[int], form: str, balanced: bool) -> None:
    generator = torch.Generator().manual_seed(6)
    features = functional.normalize(torch.randn(len(targets), 4, generator=generator)).requires_grad_()
    loss = concept_contrastive_loss(features, torch.tensor(targets), form=form, balanced=balanced)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("form", VECTOR_FORMS)
def test_contrast_without_any_positive_is_zero(form: str) -> None:
    features = make_batch(7, n=3)[0].requires_grad_()
    loss = concept_contrastive_loss(features, torch.arange(3), form=form, balanced=False)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_contrast_refuses_what_does_not_fit() -> None:
    features, targets = make_batch(8)
    with pytest.raises(ValueError, match=r"temperature must be above 0; got 0"):
        concept_contrastive_loss(features, targets, temperature=0)
    with pytest.raises(ValueError, match=r"form='sum_positive' is not known.* Did you mean 'sum_positives'"):
        concept_contrastive_loss(features, targets, form="sum_positive")
    with pytest.raises(ValueError, match=r"targets must have shape \(9,\), not empty; got \(8,\)"):
        concept_contrastive_loss(features, targets[:8])
    with pytest.raises(ValueError, match=r"features must be a floating-point tensor"):
        concept_contrastive_loss(features[0], targets)
    with pytest.raises(ValueError, match=r"targets must be >= 0; got values from -1 to"):
        compute_balance_weights(targets - targets.min() - 1)
