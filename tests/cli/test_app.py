"""What becomes of a command line: exit codes 0, 1, 2 and 130, and one line for every mistake."""

import inspect
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor

import pytest
import typer

from fernet_neuro.cli import app as module
from fernet_neuro.cli.app import app, main
from fernet_neuro.exceptions import FernetWarning, StoreError


def list_commands(command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield (words, command) of each command that does something."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in command.commands.items():
        yield from list_commands(inner, (*words, name))


COMMANDS = dict(list_commands(typer.main.get_command(app)))


@pytest.fixture
def call(monkeypatch, capsys):
    """Call ``fernet-neuro`` with arguments and return exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fernet-neuro", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def verb(monkeypatch):
    """Make a verb ``act`` do as told."""

    def make(action):
        command = typer.Typer(name="fernet-neuro", cls=module._Verbs)
        command.callback()(lambda: None)
        command.command("act")(action)
        monkeypatch.setattr(module, "app", command)

    return make


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_leaves_with_0(call, words):
    code, said, _ = call(*words, "--help")
    assert code == 0
    assert f"fernet-neuro {' '.join(words)}" in said


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_returns_what_would_be_taken_for_an_exit_code(words):
    assert inspect.signature(COMMANDS[words].callback).return_annotation in (None, "None")


@pytest.mark.parametrize("words", [("probe",), ("brain", "shares"), ("stimuli", "import")], ids=" ".join)
def test_an_option_that_no_command_has_is_one_line(call, words):
    code, said, error = call(*words, "--no-such-option")
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert error.startswith("Error: ")
    assert error.endswith(f"See: fernet-neuro {' '.join(words)} --help\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("verify RUN", "Missing option '--pairs'. See: fernet-neuro verify --help"),
        ("prob x", "No such command 'prob'. Did you mean 'probe'"),
        ("cost resnet18 --size many", "Invalid value for '--size'"),
        ("cost", "Missing argument 'NETWORK'"),
        ("audit-accuracy 90.33 --n", "Option '--n' requires an argument."),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_line(call, line, message):
    code, said, error = call(*line.split())
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert error.startswith("Error: ")
    assert message in error


@pytest.mark.parametrize("line", ["", "models", "brain"])
def test_a_group_alone_shows_its_help_and_no_error(call, line):
    code, said, error = call(*line.split())
    assert (code, error) == (2, "")
    assert "Usage: fernet-neuro" in said


def test_help_and_version_leave_with_0(call):
    assert call("--help")[::2] == (0, "")
    assert call("--version")[::2] == (0, "")
    assert call("audit-accuracy", "--help")[::2] == (0, "")


def test_a_command_that_is_done_leaves_with_0(call):
    assert call("audit-accuracy", "90.33", "--n", "3068")[::2] == (0, "")


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_a_commands_own_exit_code_is_kept(call, verb, code):
    def act():
        raise typer.Exit(code)

    verb(act)
    assert call("act") == (code, "", "")


@pytest.mark.parametrize("kind", [StoreError, ValueError, OSError])
def test_a_mistake_is_one_line_and_2(call, verb, kind, monkeypatch):
    def act():
        raise kind("this is\n  not there.")

    verb(act)
    assert call("act") == (2, "", "Error: this is not there.\n")
    monkeypatch.setenv("FERNET_NEURO_TRACEBACK", "1")
    monkeypatch.setattr(sys, "argv", ["fernet-neuro", "act"])
    with pytest.raises(kind):
        main()


@pytest.mark.parametrize("kind", [MemoryError, RecursionError, BrokenExecutor])
def test_what_ends_a_command_from_outside_is_one_line_with_what_helps(call, verb, kind):
    def act():
        raise kind

    verb(act)
    code, said, error = call("act")
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert re.search(r"fewer --jobs|damaged", error)


def test_a_doubt_is_one_line_and_the_command_goes_on(call, verb):
    def act():
        warnings.warn("only you\n can know.", FernetWarning, stacklevel=1)
        typer.echo("done")

    verb(act)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert call("act") == (0, "done\n", "Note: only you can know.\n")


def test_a_reader_of_our_output_that_goes_is_not_told_so():
    command = f"'{sys.executable}' -m fernet_neuro models list | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_an_interruption_is_one_line_and_130(call, verb):
    def act():
        raise KeyboardInterrupt

    verb(act)
    code, said, error = call("act")
    assert (code, said, error.count("\n")) == (130, "", 1)
    assert error.startswith("Interrupted; what was finished is kept.")


def test_what_is_no_mistake_of_the_user_is_not_hidden(verb, monkeypatch):
    def act():
        raise ZeroDivisionError

    verb(act)
    monkeypatch.setattr(sys, "argv", ["fernet-neuro", "act"])
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize(
    "line",
    [
        "run demo --out OUT",
        "extract resnet10-slim --size 16 --all-layers --stimuli TABLE --out OUT",
        "probe resnet10-slim --size 16 --all-layers --holdout session --stimuli TABLE --out OUT",
        "train expression --stimuli TABLE --out OUT",
    ],
)
def test_a_device_that_is_not_there_is_one_line_and_nothing_is_made(call, noise_table, tmp_path, line):
    paths = {"TABLE": tmp_path / "table.csv", "OUT": tmp_path / "out"}
    words = [str(paths.get(word, word)) for word in line.split()]
    code, _, error = call(*words, "--device", "cuda:99")
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith("Error: --device cuda:99 is not available here; torch finds ")
    assert not (tmp_path / "out").exists()
