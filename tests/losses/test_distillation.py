"""Masked divergence against published values, a loop and what must not matter."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fernet_neuro.losses.distillation import masked_kl_divergence

seeds = st.integers(0, 10_000)


def make_batch(seed: int, n: int = 7, c: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, n, c, generator=generator, dtype=torch.float64)
    return logits[0], logits[1], torch.rand(n, generator=generator) < 0.5


def test_divergence_has_its_published_values(golden: SimpleNamespace) -> None:
    teacher = golden.confidence[:, None] * golden.scores
    assert int(golden.mask.sum()) == 6
    masked = masked_kl_divergence(golden.student_logits, teacher, golden.mask)
    assert masked.item() == pytest.approx(0.0706697246, abs=1e-6)
    assert masked_kl_divergence(golden.student_logits, teacher).item() == pytest.approx(
        0.0783077092, abs=1e-6
    )


def compute_divergence_slowly(student: list, teacher: list, chosen: list) -> float:
    def normalise(row: list) -> list:
        return [math.exp(value) / sum(math.exp(v) for v in row) for value in row]

    terms = [
        sum(t * math.log(t / s) for s, t in zip(normalise(a), normalise(b), strict=True))
        for a, b, use in zip(student, teacher, chosen, strict=True)
        if use
    ]
    return sum(terms) / len(terms) if terms else 0.0


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_divergence_is_the_slow_sum_and_never_negative(seed: int) -> None:
    student, teacher, mask = make_batch(seed)
    slow = compute_divergence_slowly(student.tolist(), teacher.tolist(), mask.tolist())
    loss = masked_kl_divergence(student, teacher, mask).item()
    assert loss == pytest.approx(slow, rel=1e-9, abs=1e-12)
    assert loss >= 0


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_divergence_ignores_order_of_images_and_classes_and_a_shift(seed: int) -> None:
    student, teacher, mask = make_batch(seed)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    expected = masked_kl_divergence(student, teacher, mask)
    for other in (
        (student[order], teacher[order], mask[order]),
        (student.flip(1), teacher.flip(1), mask),
        (student + 4, teacher - 9, mask),
        (student[mask], teacher[mask], None),
    ):
        if len(other[0]):
            torch.testing.assert_close(masked_kl_divergence(*other), expected)


def test_divergence_is_zero_for_equal_logits_and_depends_on_who_teaches() -> None:
    student, teacher, _ = make_batch(1)
    assert masked_kl_divergence(student, student).item() == pytest.approx(0, abs=1e-12)
    forth, back = masked_kl_divergence(student, teacher), masked_kl_divergence(teacher, student)
    assert abs(forth - back) > 0.01


def test_divergence_gradients_are_right() -> None:
    student, teacher, mask = make_batch(2)
    assert 0 < int(mask.sum()) < 7
    inputs = (student.requires_grad_(), teacher.requires_grad_())
    assert torch.autograd.gradcheck(lambda s, t: masked_kl_divergence(s, t, mask), inputs)


def test_divergence_without_a_confident_image_is_zero() -> None:
    student, teacher, _ = make_batch(3)
    student.requires_grad_()
    loss = masked_kl_divergence(student, teacher, torch.zeros(7, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_what_the_mask_leaves_out_may_hold_anything() -> None:
    student, teacher, _ = make_batch(4)
    mask = torch.tensor([True, False, True, False, False, False, True])
    expected = masked_kl_divergence(student, teacher, mask)
    student[~mask], teacher[~mask] = torch.nan, torch.inf
    student.requires_grad_()
    loss = masked_kl_divergence(student, teacher, mask)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert torch.isfinite(student.grad).all()


def test_divergence_of_one_certain_image_is_finite() -> None:
    student = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = masked_kl_divergence(student, torch.tensor([[-1e4, 1e4]]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert torch.isfinite(student.grad).all()


def test_divergence_refuses_what_does_not_fit() -> None:
    student, teacher, mask = make_batch(5)
    with pytest.raises(ValueError, match=r"student_logits and teacher_logits must have one shape"):
        masked_kl_divergence(student, teacher[:, :3], mask)
    with pytest.raises(ValueError, match=r"mask must be of type bool; got torch.float32"):
        masked_kl_divergence(student, teacher, mask.float())
    with pytest.raises(ValueError, match=r"mask must have shape \(7,\)"):
        masked_kl_divergence(student, teacher, mask[:5])
