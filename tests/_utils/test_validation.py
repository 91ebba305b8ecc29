"""Checks pass what is right unchanged and say what is wrong with the rest."""

import numpy as np
import pytest

from fernet_neuro._utils.optional import import_optional
from fernet_neuro._utils.validation import (
    check_between,
    check_jobs,
    check_label,
    check_option,
    check_range,
    check_type,
    format_options,
    suggest,
)
from fernet_neuro.exceptions import MissingDependencyError


def test_suggest_offers_the_nearest_or_nothing():
    assert suggest("layre4", ["layer1", "layer4", "fc"]) == " Did you mean 'layer4'?"
    assert suggest("zzz", ["layer1"]) == ""
    assert suggest("x", []) == ""


def test_format_options_cuts_a_long_list():
    assert format_options(["a", "b"]) == "a, b"
    assert format_options(map(str, range(30)), most=3) == "0, 1, 2, ... (30 in all)"


def test_check_option_passes_or_lists_and_suggests():
    assert check_option("readout", "ridge", ["ridge", "sgd"]) == "ridge"
    with pytest.raises(ValueError, match=r"readout='rigde' .* one of: ridge, sgd\. Did you mean 'ridge'\?"):
        check_option("readout", "rigde", ["ridge", "sgd"])


@pytest.mark.parametrize("value", ["../x", "a_b", "a b", "V1+V2", "ä", "x\n"])
def test_check_label_allows_letters_and_digits_alone(value):
    assert check_label("roi", "V1") == "V1"
    assert check_label("session", "", may_be_empty=True) == ""
    for wrong in (value, ""):
        with pytest.raises(ValueError, match=r"roi .* may have only letters \(A to Z\) and digits"):
            check_label("roi", wrong)


def test_check_jobs_refuses_none_at_all():
    assert [check_jobs("n_jobs", value) for value in (1, 7, -1)] == [1, 7, -1]
    with pytest.raises(ValueError, match="--jobs must be 1 or more, or -1 for one per core; got 0"):
        check_jobs("--jobs", 0)


@pytest.mark.parametrize("value", [2, 2.0, 7, np.float32(3)])
def test_check_range_passes_both_ends(value):
    assert check_range("size", value, 2, 7) == value


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (1, (2, 7), "size must be >= 2 and <= 7; got 1"),
        (8, (None, 7), "size must be <= 7; got 8"),
        (-0.5, (0, None), "size must be >= 0; got -0.5"),
        (float("nan"), (0, 1), "size must be >= 0 and <= 1; got nan"),
    ],
)
def test_check_range_refuses_the_rest(value, bounds, message):
    with pytest.raises(ValueError, match=message):
        check_range("size", value, *bounds)


def test_check_type_lets_no_bool_pass_for_a_number():
    assert check_type("n", 3, int) == 3
    assert check_type("flag", True, bool) is True
    with pytest.raises(TypeError, match=r"n must be int; got bool \(True\)"):
        check_type("n", True, int)
    with pytest.raises(TypeError, match=r"n must be int or float; got str \('3'\)"):
        check_type("n", "3", (int, float))


def test_a_missing_package_comes_with_the_command_that_installs_it():
    assert import_optional("json", "reading", "core").__name__ == "json"
    wanted = r"maps needs the package 'no_such_pkg'; install it with: pip install no-such-package$"
    with pytest.raises(MissingDependencyError, match=wanted):
        import_optional("no_such_pkg.part", "maps", "no-such-package")


@pytest.mark.parametrize(
    ("value", "limits", "said"),
    [
        (0.0, {}, "share must lie between 0 and 1; got 0.0"),
        (float("nan"), {"ends": True}, "share must be from 0 to 1; got nan"),
        (float("inf"), {"high": float("inf")}, "share must be a finite number above 0; got inf"),
        (-1, {"high": float("inf"), "ends": True}, "share must be a finite number of 0 or more; got -1"),
        (float("-inf"), {"low": float("-inf"), "high": float("inf")}, "share must be a finite number; got"),
    ],
)
def test_a_number_between_two_is_finite(value, limits, said):
    with pytest.raises(ValueError, match=said):
        check_between("share", value, **limits)
    assert check_between("share", 1, ends=True) == 1
