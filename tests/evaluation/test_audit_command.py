import json

import pytest


def test_an_accuracy_that_cannot_be_is_shown_with_its_neighbours(run):
    code, out, err = run("audit-accuracy", "90.33", "--n", 3068)
    assert (code, err) == (0, "")
    assert "90.33 % of 3068: NOT attainable by rounding" in out
    assert "90.32 (2771 right) and 90.35 (2772 right)" in out
    assert "30.7 % of all numbers with 2 decimals" in out


def test_one_that_can_is_shown_with_its_count(run):
    assert "91.07 % of 3068: attainable, 2794 right" in run("audit-accuracy", "91.07", "--n", 3068)[1]
    assert "90.4 % of 100000: attainable, 90350 to 90449" in run("audit-accuracy", "90.4", "--n", 100000)[1]


def test_several_sizes_and_what_depends_on_halves(run):
    _, out, _ = run("audit-accuracy", "63.12", "--n", 3999, "--n", 4000)
    assert "63.12 % of 3999: attainable, 2524 right" in out
    assert "63.12 % of 4000: depends on how halves are rounded: half even: 2525 right" in out


def test_truncated_digits_are_named(run):
    _, out, _ = run("audit-accuracy", "66.66", "--n", 3)
    assert "NOT attainable by rounding; only if digits were cut off (2 right)" in out


def test_several_values_give_the_probability_of_so_many(run):
    _, out, _ = run("audit-accuracy", "91.07", "90.48", "90.33", "--n", 3068, "--json")
    content = json.loads(out)
    assert [value["is_attainable"] for value in content["values"]] == [True, True, False]
    (summary,) = content["summary"]
    rate = 3069 / 10001
    assert (summary["n_attainable"], summary["n_values"]) == (2, 3)
    assert summary["p_value"] == pytest.approx(3 * rate**2 * (1 - rate) + rate**3)
    _, out, _ = run("audit-accuracy", "91.07", "90.48", "90.33", "--n", 3068)
    assert "2 of 3 values are (rounded half up), probability of so many or more by chance 0.22" in out


def test_decimals_are_those_printed_unless_said(run):
    assert json.loads(run("audit-accuracy", "90.3", "--n", 50, "--json")[1])["summary"][0]["decimals"] == 1
    _, out, _ = run("audit-accuracy", "90.3", "--n", 50, "--decimals", 2)
    assert "90.30 % of 50: NOT" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("120", "--n", 10), "Error: an accuracy must be a number from 0 to 100"),
        (("90.333", "--n", 10, "--decimals", 2), "Error: 90.333 has more than 2 digits"),
    ],
)
def test_mistakes_are_one_line(run, arguments, message):
    code, out, err = run("audit-accuracy", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert err.count("\n") == 1
