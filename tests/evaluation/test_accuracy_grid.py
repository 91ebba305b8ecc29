import math
from decimal import ROUND_DOWN, ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from scipy import stats

from fernet_neuro.evaluation.grid import (
    ROUNDINGS,
    audit_accuracy,
    compute_chance_rate,
    compute_hit_probability,
    count_decimals,
    is_attainable,
)

#: Accuracies printed for the dual-pathway network (Lu et al. 2024, Tables 1 to 4), RAF-DB and AffectNet-7.
CRPN_RAFDB = (
    *("86.28", "90.33", "89.71", "87.06", "87.52", "87.64", "88.02", "88.78", "89.16"),
    *("88.25", "88.36", "88.40", "88.44", "88.89", "89.11", "88.78", "89.26", "89.74"),
)
CRPN_AFFECTNET = (
    *("59.52", "63.97", "63.06", "60.01", "61.33", "61.26", "61.97", "63.08", "63.23"),
    *("62.89", "61.63", "61.77", "61.95", "62.04", "62.19", "62.14", "62.65", "63.02"),
)
#: Those of ten "folds" of the lightweight network (Chen and Huang 2024, Table 9), and their counts.
FOLDS = ["90.48", "90.22", "90.61", "90.35", "90.48", "90.12", "91.07", "90.65", "90.32", "90.16"]
FOLD_COUNTS = (2776, 2768, 2780, 2772, 2776, 2765, 2794, 2781, 2771, 2766)
_DECIMAL = {
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "half_down": ROUND_HALF_DOWN,
    "truncated": ROUND_DOWN,
}


def print_share(count, n, decimals, rounding):
    """Return how Python's decimal arithmetic prints a share of `n`."""
    share = Decimal(100 * count) / Decimal(n)
    return str(share.quantize(Decimal(1).scaleb(-decimals), rounding=_DECIMAL[rounding]))


@pytest.mark.parametrize("n", [7, 16, 160, 400, 643])
@pytest.mark.parametrize("decimals", [0, 1, 2])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_counts_are_all_that_decimal_arithmetic_prints_so(n, decimals, rounding):
    printed = {}
    for count in range(n + 1):
        printed.setdefault(print_share(count, n, decimals, rounding), []).append(count)
    for text, counts in printed.items():
        assert list(audit_accuracy(text, n, decimals).counts[rounding]) == counts
        assert is_attainable(text, n, decimals, rounding=rounding)
    absent = [f"{value / 10**decimals:.{decimals}f}" for value in range(0, 100 * 10**decimals + 1, 37)]
    for text in set(absent) - set(printed):
        assert not is_attainable(text, n, decimals, rounding=rounding)


@pytest.mark.parametrize(("n", "decimals"), [(7, 2), (160, 1), (101, 0), (3068, 2), (1003, 1)])
def test_chance_rate_is_the_share_of_numbers_that_some_count_prints(n, decimals):
    printed = {print_share(count, n, decimals, "half_up") for count in range(n + 1)}
    assert compute_chance_rate(n, decimals) == pytest.approx(len(printed) / (100 * 10**decimals + 1))


def test_chance_rates_of_the_two_test_sets():
    assert compute_chance_rate(3068) == pytest.approx(0.31, abs=0.005)
    assert compute_chance_rate(3500) == pytest.approx(0.35, abs=0.005)


def test_dual_pathway_accuracies_are_no_more_often_attainable_than_by_chance():
    for values, n, hits in ((CRPN_RAFDB, 3068, 7), (CRPN_AFFECTNET, 3500, 9)):
        audits = [audit_accuracy(value, n) for value in values]
        assert sum(audit.is_attainable for audit in audits) == hits
        assert compute_hit_probability(audits) > 0.1
    assert not is_attainable("90.33", 3068)


def test_fedro_accuracies_are_attainable():
    counts = [audit_accuracy(value, 400).counts["half_up"] for value in ("66.75", "73.00", "71.00")]
    assert counts == [(267,), (292,), (284,)]


def test_ten_folds_are_all_shares_of_the_official_test_set():
    audits = [audit_accuracy(value, 3068) for value in FOLDS]
    assert tuple(audit.counts["half_up"] for audit in audits) == tuple((count,) for count in FOLD_COUNTS)
    assert compute_hit_probability(audits) == pytest.approx(1e-5, rel=0.3)
    assert np.mean([float(value) for value in FOLDS]) == pytest.approx(90.446)
    assert audit_accuracy("91.07", 3068).counts["half_up"] == (2794,)
    assert is_attainable("66.57", 3500)


def test_folds_of_a_tenth_could_not_give_three_of_them():
    possible = [is_attainable(value, 1533) or is_attainable(value, 1534) for value in FOLDS]
    assert [value for value, fits in zip(FOLDS, possible, strict=True) if not fits] == [
        "90.12",
        "90.65",
        "90.32",
    ]


def test_confusions_fit_the_official_counts():
    assert audit_accuracy("74.38", 160).counts["half_up"] == (119,)
    assert audit_accuracy("67.57", 74).counts["half_up"] == (50,)


def test_one_image_makes_the_difference_and_rounding_of_halves_another():
    assert is_attainable("63.12", 3999)
    assert not is_attainable("63.12", 4000)
    audit = audit_accuracy("63.12", 4000)  # 2525 of 4000 is 63.125 exactly
    assert audit.conventions == ("half_even", "half_down", "truncated")
    assert audit.is_attainable
    assert audit_accuracy("63.13", 4000).conventions == ("half_up",)


def test_truncation_alone_is_no_rounding():
    audit = audit_accuracy("66.66", 3)
    assert (audit.conventions, audit.is_attainable) == (("truncated",), False)


@pytest.mark.parametrize("percent", ["0", "0.05", "33.33", "50.0", "90.33", "99.99", "100"])
@pytest.mark.parametrize("n", [3, 97, 3068, 54321])
def test_neighbours_are_the_nearest_other_numbers(percent, n):
    audit = audit_accuracy(percent, n)
    printed = [Decimal(print_share(count, n, 2, "half_up")) for count in range(n + 1)]
    below = [count for count, value in enumerate(printed) if value < Decimal(percent)]
    above = [count for count, value in enumerate(printed) if value > Decimal(percent)]
    assert audit.below == ((below[-1], str(printed[below[-1]])) if below else None)
    assert audit.above == ((above[0], str(printed[above[0]])) if above else None)


def test_numbers_may_be_text_or_float():
    assert audit_accuracy(91.07, 3068) == audit_accuracy("91.07", 3068) == audit_accuracy(" 91.070 ", 3068)
    assert audit_accuracy(73, 400).percent == "73.00"


def test_hit_probability_is_the_binomial_tail():
    audits = [audit_accuracy(value, 20) for value in ("5.0", "10.0", "12.3", "15.0")]
    rate = compute_chance_rate(20)
    wanted = sum(math.comb(4, k) * rate**k * (1 - rate) ** (4 - k) for k in (3, 4))
    assert compute_hit_probability(audits) == pytest.approx(wanted)
    assert compute_hit_probability(audits[2:3]) == 1


def test_chance_hits_are_as_frequent_as_said(rng):
    values = [f"{number / 100:.2f}" for number in rng.integers(0, 10001, 3000)]
    hits = sum(is_attainable(value, 3068) for value in values)
    low, high = stats.binom.interval(0.999, 3000, compute_chance_rate(3068))
    assert low <= hits <= high


@pytest.mark.parametrize(("text", "count"), [("90.30", 2), ("73", 0), (" 5.1 ", 1)])
def test_decimals_are_counted_as_printed(text, count):
    assert count_decimals(text) == count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ninety", 10), "a number from 0 to 100, in per cent; got 'ninety'"),
        (("100.01", 10), "a number from 0 to 100"),
        (("-1", 10), "a number from 0 to 100"),
        (("nan", 10), "a number from 0 to 100"),
        (("90.333", 10), "more than 2 digits after the point"),
        (("90", 0), "n must be >= 1; got 0"),
        (("90", 10, -1), "decimals must be >= 0"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        audit_accuracy(*arguments)


def test_an_unknown_rounding_is_named():
    with pytest.raises(ValueError, match="rounding='up' is not known"):
        is_attainable("90", 10, rounding="up")


def test_hits_of_different_tests_are_not_added():
    with pytest.raises(ValueError, match="all of one n"):
        compute_hit_probability([audit_accuracy("50", 10), audit_accuracy("50", 20)])
    with pytest.raises(ValueError, match="one or more"):
        compute_hit_probability([])
