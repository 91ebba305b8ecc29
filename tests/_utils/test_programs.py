"""Other programs are asked with a time limit, and how they ended is told."""

import sys
import time

import pytest

from fernet_neuro._utils.programs import Answer, ask_program, run_program


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('yes')", Answer("done", "yes\n")),
        ("import sys; sys.exit('not\\n today')", Answer("failed", "not today")),
        ("print('half'); raise SystemExit(3)", Answer("failed", "exit code 3")),
        ("import sys; sys.stdout.buffer.write(b'\\xe9')", Answer("done", "\N{REPLACEMENT CHARACTER}")),
    ],
)
def test_what_a_program_says_is_told_with_how_it_ended(code, expected):
    command = [sys.executable, "-c", code]
    assert run_program(command, seconds=60) == expected
    assert ask_program(command) == (expected.text if expected.outcome == "done" else "")


def test_a_program_that_hangs_is_ended(tmp_path):
    start = time.monotonic()
    command = [sys.executable, "-c", "import time; time.sleep(60); open('ended', 'w')"]
    assert run_program(command, seconds=0.5, folder=tmp_path) == Answer("late", "no answer within 0.5 s")
    assert ask_program(command, seconds=0.5) == ""
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("name", ["no-such-program", "."])
def test_a_program_that_cannot_be_run_is_no_error(name):
    assert run_program([name], seconds=60).outcome == "missing"
    assert ask_program([name]) == ""
