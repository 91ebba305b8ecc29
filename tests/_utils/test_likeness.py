"""A few numbers tell which arrays hold the same values."""

import numpy as np
import pytest

from fernet_neuro._utils.likeness import Seen, Sketch, are_alike, sketch

RNG = np.random.default_rng(11)


def pack(values):
    """Return values as 16 bits with a scale hold them."""
    low, step = values.min(), np.ptp(values) / 65535
    return low + step * np.round((values - low) / step)


@pytest.mark.parametrize("by_column", [False, True])
@pytest.mark.parametrize("shape", [(1, 40), (2, 30), (9, 50), (40, 3, 5), (300, 40), (3, 700_000)])
def test_copies_are_found_whatever_their_dtype_offset_and_scale(shape, by_column):
    values = RNG.normal(5, 2, shape)
    seen = Seen()
    assert seen.find(values, "one", by_column=by_column) is None
    for other in (-values, RNG.normal(5, 2, shape)):
        assert seen.find(other, "another", by_column=by_column) is None
    copies = [
        values.astype(np.float32), 7 * values, values * 1e-30, values / 1e200, values * 1e200, values - 1000,
        pack(values), np.asfortranarray(values), values.astype(">f8"),
    ]  # fmt: skip
    for copy in copies:
        assert seen.find(copy, "a copy", by_column=by_column) == "one"


def test_what_a_column_has_in_all_rows_counts_only_where_columns_are_whole():
    one = RNG.normal(size=(6, 40))
    shifted = one + RNG.normal(size=40)
    assert are_alike(sketch(one, by_column=True), sketch(shifted, by_column=True))
    assert not are_alike(sketch(one), sketch(shifted))


def test_copies_are_found_on_both_sides_of_any_number():
    """Rounding goes up and down, so that no border between numbers may part a copy from its original."""
    seen = Seen()
    for number in range(300):
        values = RNG.normal(size=64)
        assert seen.find(values, f"array {number}") is None
        for copy in (values.astype(np.float32), pack(values)):
            assert seen.find(copy, "a copy") == f"array {number}"


def test_only_what_is_rounding_may_differ():
    one = Sketch(np.linspace(-0.3, 0.3, 16), 6e-5)
    for shift, expected in ((5.9e-5, True), (-5.9e-5, True), (6.1e-5, False), (-6.1e-5, False)):
        for place in (0, 7, 15):
            numbers = one.numbers.copy()
            numbers[place] += shift
            assert are_alike(one, Sketch(numbers, 6e-5)) is expected
    wide = Sketch(one.numbers + 0.01, 0.015)
    assert are_alike(one, wide)
    assert are_alike(wide, one)


def test_the_same_signal_under_little_noise_is_no_copy():
    signal = RNG.normal(size=(8, 60))
    anatomy = RNG.uniform(500, 1500, 60)
    for base, noise in ((0, 1e-3), (10, 1e-2), (anatomy, 0.3)):
        seen = Seen()
        for number in range(20):
            values = base + signal + noise * RNG.normal(size=signal.shape)
            assert seen.find(values, f"run {number}", by_column=True) is None


@pytest.mark.parametrize("brightness", [30, 300, 3e7])
def test_what_rounds_is_the_whole_and_what_counts_is_what_varies(brightness):
    """Copies as 16 bits lose much of small changes around large means; other runs are no copies for that."""
    anatomy = brightness * RNG.normal(size=60)
    runs = [anatomy + RNG.normal(size=(12, 60)) for _ in range(20)]
    seen = Seen()
    for number, run in enumerate(runs):
        assert seen.find(run, f"run {number}", by_column=True) is None
    for number, run in enumerate(runs):
        copy = pack(run) if brightness < 1000 else 2 * run
        assert seen.find(copy, "a copy", by_column=True) == f"run {number}"


@pytest.mark.parametrize("by_column", [False, True])
def test_arrays_that_are_constant_but_for_rounding_tell_nothing(by_column):
    """They are equal to each other, and copies of nothing."""
    seen = Seen()
    noise = 1e-5 * RNG.normal(size=(4, 20)) * np.finfo(float).eps
    for values in (np.zeros((4, 20)), np.full((4, 20), 0.1), 1e9 * (1 + noise), np.full((4, 20), np.nan)):
        assert sketch(values, by_column=by_column).is_constant
        assert seen.find(values, "constant", by_column=by_column) is None
        assert not are_alike(sketch(values, by_column=by_column), sketch(values, by_column=by_column))
    rounded = 0.1 + 1e-12 * RNG.integers(-1, 2, size=(4, 20))
    assert sketch(rounded, by_column=by_column).is_constant
    assert not sketch(0.1 + 1e-6 * RNG.normal(size=(4, 20)), by_column=by_column).is_constant
    columns = np.tile(RNG.normal(size=20), (4, 1))
    assert sketch(columns, by_column=by_column).is_constant is by_column
    assert sketch(np.zeros((0, 3)), by_column=by_column).is_constant


def test_what_is_not_finite_counts_as_nothing():
    values = RNG.normal(size=(5, 20))
    gaps = values.copy()
    gaps[1, 3], gaps[2, 4], gaps[0, 0] = np.nan, np.inf, -np.inf
    seen = Seen()
    assert seen.find(gaps, "one") is None
    assert seen.find(values, "whole") is None
    assert seen.find(gaps.astype(np.float32), "a copy") == "one"
    zeros = np.where(np.isfinite(gaps), gaps, 0)
    assert seen.find(zeros, "a copy with zeros") == "one"
    assert not np.isfinite(gaps[0, 0])  # what is looked at is a copy


def test_groups_shapes_kinds_and_few_values_are_apart():
    values = RNG.normal(size=(4, 10))
    seen = Seen()
    assert seen.find(values, "one", "V1") is None
    assert seen.find(values, "two", "V2") is None
    assert seen.find(values.reshape(10, 4), "three", "V1") is None
    assert seen.find(values, "four", "V1", by_column=True) is None
    assert seen.find(values, "five", "V1") == "one"
    assert seen.find(values, "six", "V1", by_column=True) == "four"
    few = Seen(fewest=41)
    assert few.find(values, "one") is None
    assert few.find(values, "two") is None
