"""Options with a natural range: what lies outside is refused in one line, before anything is read."""

import inspect
from typing import get_args, get_type_hints

import pytest
import typer

from fernet_neuro.cli.app import app


def list_numbers(command, *path):
    """Yield the words of each command, its options that take numbers, and whether these are whole ones."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from list_numbers(inner, *path, name)
        return
    hints = get_type_hints(inspect.unwrap(command.callback))
    for option in command.params:
        kinds = {hints.get(option.name), *get_args(hints.get(option.name))}
        for kind in kinds & {int, float}:
            yield path, option, kind


NUMBERS = list(list_numbers(typer.main.get_command(app)))


def test_there_are_such_options_of_both_kinds():
    assert {kind for _, _, kind in NUMBERS} == {int, float}
    assert len(NUMBERS) > 100


@pytest.mark.parametrize(("text", "kinds"), [("nan", {int, float}), ("inf", {float}), ("-inf", {float})])
def test_no_option_takes_what_is_no_finite_number(run, text, kinds):
    for path, option, _ in (item for item in NUMBERS if item[2] in kinds):
        code, out, error = run(*path, f"{option.opts[0]}={text}")
        assert (code, out, error.count("\n")) == (2, "", 1), (path, option.opts)
        assert option.opts[0] in error


def test_whole_numbers_have_a_smallest_one():
    """Numbers of jobs may be below 0: all cores but so many."""
    free = {option.opts[0] for _, option, kind in NUMBERS if kind is int and option.min is None}
    assert free == {"--jobs"}


@pytest.mark.parametrize("text", ["0", "1", "100", "-0.5"])
def test_levels_lie_between_0_and_1(run, text):
    levels = {"--level", "--nominal", "--test-share"}
    asked = [(path, option) for path, option, _ in NUMBERS if option.opts[0] in levels]
    assert len(asked) == 5
    for path, option in asked:
        code, _, error = run(*path, f"{option.opts[0]}={text}")
        assert (code, error) == (
            2,
            f"Error: {option.opts[0]} must lie between 0 and 1; got {float(text)!r}.\n",
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("stimuli render --mixtures=1.5", "--mixtures must be from 0 to 1; got 1.5."),
        ("stimuli clips --apex=-1", "--apex must be from 0 to 1; got -1.0."),
        ("stimuli align --min-score=2", "--min-score must be from 0 to 1; got 2.0."),
        ("brain searchlight --cluster-p=.6", "--cluster-p must be from 0 to 0.5; got 0.6."),
        ("brain searchlight --radius=-1", "--radius must be a finite number of 0 or more; got -1.0."),
        ("brain patterns --high-pass=-1", "--high-pass must be a finite number of 0 or more; got -1.0."),
        ("brain patterns --t-r=0", "--t-r must be a finite number above 0; got 0.0."),
        ("brain patterns --start-time=nan", "--start-time must be a finite number; got nan."),
        ("brain simulate --snr=-1", "--snr must be a finite number of 0 or more; got -1.0."),
        ("concepts --percentile=100", "--percentile must lie between 0 and 100; got 100.0."),
        ("probe --penalty=0", "--penalty must be a finite number above 0; got 0.0."),
        ("embed --perplexity=5 --perplexity=0", "--perplexity must be a finite number above 0; got 0.0."),
        ("models fetch --timeout=0", "--timeout must be a finite number above 0; got 0.0."),
    ],
)
def test_each_range_is_said(run, words, said):
    assert run(*words.split()) == (2, "", f"Error: {said}\n")
