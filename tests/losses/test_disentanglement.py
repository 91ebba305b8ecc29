"""Orthogonality and similarity against published values, loops and what must not matter."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from fernet_neuro.losses.disentanglement import orthogonality_loss, similarity_loss

REDUCTIONS = ("mean", "frobenius")
FORMS = ("squared_l2", "mse_mean", "mmd_rbf")
seeds = st.integers(0, 10_000)


def make_pair(seed: int, n: int = 7, p: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pair = torch.randn(2, n, p, generator=generator, dtype=torch.float64)
    return pair[0], pair[1]


# --- orthogonality -----------------------------------------------------------------------------


def test_orthogonality_has_its_published_values(golden: SimpleNamespace) -> None:
    literal = orthogonality_loss(golden.emotion, golden.non_emotion, reduction="frobenius")
    raw = orthogonality_loss(golden.raw_emotion, golden.raw_non_emotion, reduction="frobenius")
    released = orthogonality_loss(golden.emotion, golden.non_emotion)
    assert literal.item() == pytest.approx(0.5506869620, abs=1e-6)
    assert raw.item() == pytest.approx(4.7685885716, abs=1e-6)
    assert released.item() == pytest.approx(0.0220273904, abs=1e-6)


def compute_orthogonality_slowly(first: list, second: list, reduction: str) -> float:
    """One entry of the cross-product at a time, in plain numbers."""
    if reduction == "mean":
        first, second = (
            [[value / (math.sqrt(sum(v * v for v in row)) + 1e-6) for value in row] for row in rows]
            for rows in (first, second)
        )
    width = len(first[0])
    entries = [
        sum(a[i] * b[j] for a, b in zip(first, second, strict=True)) ** 2
        for i in range(width)
        for j in range(width)
    ]
    return sum(entries) / (width * width if reduction == "mean" else 1)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_orthogonality_is_the_slow_sum(seed: int, reduction: str) -> None:
    first, second = make_pair(seed)
    slow = compute_orthogonality_slowly(first.tolist(), second.tolist(), reduction)
    assert orthogonality_loss(first, second, reduction=reduction).item() == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_orthogonality_ignores_order_of_images_rotation_of_features_and_roles(
    seed: int, reduction: str
) -> None:
    first, second = make_pair(seed)
    order = torch.randperm(len(first), generator=torch.Generator().manual_seed(seed))
    rotation = torch.linalg.qr(make_pair(seed + 1)[0][:4])[0]
    expected = orthogonality_loss(first, second, reduction=reduction)
    for other in ((first[order], second[order]), (first @ rotation, second), (second, first)):
        torch.testing.assert_close(orthogonality_loss(*other, reduction=reduction), expected)


def test_orthogonality_is_zero_for_unrelated_columns_and_not_for_related_ones() -> None:
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    left = torch.stack([signs[:, 0], torch.zeros(4), torch.zeros(4)], 1)
    right = torch.stack([torch.zeros(4), signs[:, 1], torch.zeros(4)], 1)
    for reduction in REDUCTIONS:
        # Kernels of single precision may leave a rounding error where the exact sum is 0.
        assert orthogonality_loss(left, right, reduction=reduction).item() < 1e-12
        assert orthogonality_loss(left, left, reduction=reduction).item() > 1


@given(seed=seeds, factor=st.floats(0.5, 500))
@settings(max_examples=20, deadline=None)
def test_mean_orthogonality_ignores_the_length_of_rows(seed: int, factor: float) -> None:
    first, second = make_pair(seed)
    torch.testing.assert_close(
        orthogonality_loss(first * factor, second), orthogonality_loss(first, second), rtol=1e-4, atol=0
    )


def test_frobenius_of_unit_rows_is_the_mean_times_the_number_of_entries() -> None:
    first, second = (functional.normalize(rows) for rows in make_pair(3))
    ratio = orthogonality_loss(first, second, reduction="frobenius") / orthogonality_loss(first, second)
    assert ratio.item() == pytest.approx(16, rel=1e-5)


def test_orthogonality_gradient_takes_the_length_of_rows_as_given() -> None:
    first, second = (rows.requires_grad_() for rows in make_pair(4))
    assert torch.autograd.gradcheck(
        lambda a, b: orthogonality_loss(a, b, reduction="frobenius"), (first, second)
    )
    scales = [1 / (rows.detach().norm(dim=1, keepdim=True) + 1e-6) for rows in (first, second)]

    def with_fixed_lengths(a: Tensor, b: Tensor) -> Tensor:
        return ((a * scales[0]).T @ (b * scales[1])).square().mean()

    assert torch.autograd.gradcheck(with_fixed_lengths, (first, second))
    expected = torch.autograd.grad(with_fixed_lengths(first, second), (first, second))
    torch.testing.assert_close(
        torch.autograd.grad(orthogonality_loss(first, second), (first, second)), expected
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("rows", [torch.zeros(5, 3), torch.ones(1, 3), torch.full((5, 3), 1e-20)])
def test_orthogonality_is_finite_at_the_edges(rows: Tensor, reduction: str) -> None:
    first, second = rows.clone().requires_grad_(), rows.clone().requires_grad_()
    loss = orthogonality_loss(first, second, reduction=reduction)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(first.grad).all()
    assert torch.isfinite(second.grad).all()


def test_orthogonality_refuses_what_does_not_fit() -> None:
    rows = torch.ones(5, 3)
    with pytest.raises(ValueError, match=r"must have one shape; got \(5, 3\) and \(4, 3\)"):
        orthogonality_loss(rows, rows[:4])
    with pytest.raises(ValueError, match=r"emotion must be a floating-point tensor .* got shape \(5,\)"):
        orthogonality_loss(rows[:, 0], rows)
    with pytest.raises(ValueError, match=r"got shape \(0, 3\)"):
        orthogonality_loss(rows[:0], rows[:0])
    with pytest.raises(ValueError, match=r"reduction='frobenious' is not known.* Did you mean 'frobenius'"):
        orthogonality_loss(rows, rows, reduction="frobenious")


# --- similarity --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "value"), [("squared_l2", 1.8803457238), ("mse_mean", 0.3760691448), ("mmd_rbf", 0.7633773780)]
)
def test_similarity_has_its_published_values(golden: SimpleNamespace, form: str, value: float) -> None:
    loss = similarity_loss(golden.emotion, golden.perceptual, form=form)
    assert loss.item() == pytest.approx(value, abs=1e-6)


def measure(a: list, b: list) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def compute_similarity_slowly(student: list, teacher: list, form: str) -> float:
    """One pair of rows at a time, in plain numbers."""
    n, width = len(student), len(student[0])
    if form != "mmd_rbf":
        total = sum(measure(a, b) for a, b in zip(student, teacher, strict=True)) / n
        return total / width if form == "mse_mean" else total
    rows = student + teacher
    apart = [measure(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
    mean = sum(apart) / len(apart)

    def kernel(a: list, b: list) -> float:
        return sum(math.exp(-measure(a, b) / (mean * ratio)) for ratio in (0.25, 0.5, 1, 2, 4))

    def average(first: list, second: list) -> float:
        return sum(kernel(a, b) for a in first for b in second) / n**2

    return average(student, student) + average(teacher, teacher) - 2 * average(student, teacher)


@pytest.mark.parametrize("form", FORMS)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_similarity_is_the_slow_sum(seed: int, form: str) -> None:
    student, teacher = make_pair(seed)
    slow = compute_similarity_slowly(student.tolist(), teacher.tolist(), form)
    assert similarity_loss(student, teacher, form=form).item() == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_similarity_ignores_order_of_images_rotation_shift_and_roles(seed: int, form: str) -> None:
    student, teacher = make_pair(seed)
    order = torch.randperm(len(student), generator=torch.Generator().manual_seed(seed))
    rotation = torch.linalg.qr(make_pair(seed + 1)[0][:4])[0]
    expected = similarity_loss(student, teacher, form=form)
    moved = (student @ rotation + 3, teacher @ rotation + 3)
    for other in ((student[order], teacher[order]), moved, (teacher, student)):
        torch.testing.assert_close(similarity_loss(*other, form=form), expected)


def test_only_the_discrepancy_does_not_pair_the_rows() -> None:
    student, teacher = make_pair(5)
    rolled = teacher.roll(1, 0)
    for form in ("squared_l2", "mse_mean"):
        difference = similarity_loss(student, rolled, form=form) - similarity_loss(
            student, teacher, form=form
        )
        assert abs(difference.item()) > 0.1
    torch.testing.assert_close(
        similarity_loss(student, rolled, form="mmd_rbf"), similarity_loss(student, teacher, form="mmd_rbf")
    )


@pytest.mark.parametrize("form", FORMS)
def test_similarity_is_zero_for_equal_features_and_grows_with_distance(form: str) -> None:
    student, _ = make_pair(6)
    losses = [similarity_loss(student, student + step, form=form).item() for step in (0.0, 0.2, 0.6)]
    assert losses[0] == pytest.approx(0, abs=1e-12)
    assert losses[0] < losses[1] < losses[2]


def test_squared_distance_of_unit_rows_lies_between_zero_and_four() -> None:
    rows = functional.normalize(make_pair(7)[0])
    assert similarity_loss(rows, -rows).item() == pytest.approx(4)


@pytest.mark.parametrize("form", ["squared_l2", "mse_mean"])
def test_similarity_gradients_are_right(form: str) -> None:
    pair = tuple(rows.requires_grad_() for rows in make_pair(8))
    assert torch.autograd.gradcheck(lambda a, b: similarity_loss(a, b, form=form), pair)


def test_discrepancy_gradient_takes_the_width_of_the_kernels_as_given() -> None:
    student, teacher = (rows.requires_grad_() for rows in make_pair(9, n=3))
    rows = torch.cat([student, teacher]).detach()
    mean = torch.cdist(rows, rows).square().sum() / 30

    def with_fixed_width(a: Tensor, b: Tensor) -> Tensor:
        def average(x: Tensor, y: Tensor) -> Tensor:
            apart = (x[:, None] - y[None]).square().sum(2)
            return sum((-apart / (mean * ratio)).exp().mean() for ratio in (0.25, 0.5, 1, 2, 4))

        return average(a, a) + average(b, b) - 2 * average(a, b)

    assert torch.autograd.gradcheck(with_fixed_width, (student, teacher))
    expected = torch.autograd.grad(with_fixed_width(student, teacher), (student, teacher))
    loss = similarity_loss(student, teacher, form="mmd_rbf")
    torch.testing.assert_close(torch.autograd.grad(loss, (student, teacher)), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 5])
def test_similarity_of_equal_constant_rows_has_finite_gradients(form: str, n: int) -> None:
    student, teacher = torch.ones(n, 3, requires_grad=True), torch.ones(n, 3, requires_grad=True)
    loss = similarity_loss(student, teacher, form=form)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(student.grad).all()
    assert torch.isfinite(teacher.grad).all()


def test_similarity_refuses_what_does_not_fit() -> None:
    rows = torch.ones(5, 3)
    with pytest.raises(ValueError, match=r"student and teacher must have one shape"):
        similarity_loss(rows, rows[:, :2])
    with pytest.raises(ValueError, match=r"form='mmd' is not known"):
        similarity_loss(rows, rows, form="mmd")
    with pytest.raises(ValueError, match=r"student must be a floating-point tensor .* torch.int64"):
        similarity_loss(rows.long(), rows)
