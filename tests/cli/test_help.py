"""The help of every command: nothing is cut at 80 columns, and its examples can be copied."""

import inspect
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress

import pytest
import typer
from typer.testing import CliRunner

from fernet_neuro.cli.app import app
from fernet_neuro.cluster.kinds import KINDS

ROOT = typer.main.get_command(app)


def list_commands(command=ROOT, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield (words, command) of each command that does something."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in command.commands.items():
        yield from list_commands(inner, (*words, name))


def list_options(command) -> list:
    return [item for item in command.params if item.param_type_name == "option"]


def list_examples(command) -> list[str]:
    """Return the lines of a command's examples, backslashes and all."""
    text = inspect.cleandoc(command.help).partition("Examples\n--------\n")[2]
    return [line[4:] for line in text.splitlines() if line.startswith("    ")]


COMMANDS = dict(list_commands())
EXAMPLES = {
    (words, line): None
    for words, command in COMMANDS.items()
    for line in re.sub(r" \\\n\s*", " ", "\n".join(list_examples(command))).splitlines()
    if not line.startswith("#")
}


@pytest.fixture
def show_help(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    return lambda words: CliRunner().invoke(app, [*words, "--help"]).output


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_at_80_columns_no_option_is_cut_and_no_example_wrapped(words, show_help):
    said = show_help(words)
    assert max(map(len, said.splitlines())) <= 80
    assert "…" not in said
    first_words = {line.strip("│* ").split(" ")[0].split(",")[0] for line in said.splitlines()}
    assert {item.opts[0] for item in list_options(COMMANDS[words])} <= first_words
    shown = {line.strip() for line in said.splitlines()}
    assert {line.strip() for line in list_examples(COMMANDS[words])} <= shown


@pytest.mark.parametrize("name", KINDS)
def test_the_help_of_submit_names_that_of_the_command_that_is_submitted(name, show_help):
    asked = re.compile(r"^What (\w+) itself takes: fernet-neuro \1 --help$", re.MULTILINE)
    for words in (("submit", name), ("submit", "--shards", "3", name, "faces", "--out", "there")):
        said = show_help(words)
        assert "Split a command into shards" in said
        assert asked.findall(said) == [name]
    assert name in asked.findall(show_help(("submit",)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_has_help_and_every_command_an_example(words):
    assert all(item.help.endswith((".", "]")) for item in list_options(COMMANDS[words]))
    assert any(line.startswith(f"fernet-neuro {' '.join(words)}") for line in list_examples(COMMANDS[words]))


@pytest.mark.parametrize(("words", "line"), EXAMPLES)
def test_examples_are_understood(words, line):
    line = re.sub(r"^torchrun .* -m fernet_neuro ", "fernet-neuro ", line)
    name, *rest = shlex.split(line)
    assert name == "fernet-neuro"
    command = ROOT
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    with suppress(typer.Exit):  # --list leaves at once
        command.make_context(command.name, rest)


def test_the_same_flag_is_the_same_thing_everywhere():
    found: dict[str, set] = {}
    for command in COMMANDS.values():
        for item in list_options(command):
            found.setdefault(item.opts[0], set()).add(item.help)
    shared = (
        "--jobs", "--device", "--batch-size", "--overwrite", "--json", "--quiet", "--level", "--comparison",
        "--all-layers", "--pixels", "--gabor", "--weights", "--set", "--select", "--resume",
    )  # fmt: skip
    assert {name: len(found[name]) for name in shared} == dict.fromkeys(shared, 1)
    assert not [name for name in found if name.startswith("--n-")]


def test_a_shell_completes_commands_options_and_names(monkeypatch, run):
    monkeypatch.setenv("_FERNET_NEURO_COMPLETE", "complete_bash")
    lines = {
        "fernet-neuro pro": "probe",
        "fernet-neuro rsa --bo": "--bootstrap",
        "fernet-neuro cost resnet1": "resnet18",
        "fernet-neuro run crpn/tab": "crpn/table3",
        "fernet-neuro figures build transfer": "transfer-bars",
        "fernet-neuro train expression --device c": "cuda",
    }
    for typed, wanted in lines.items():
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
        code, said, _ = run()
        assert (code, wanted in said.split()) == (0, True)
