"""Messages name Python's arguments; whoever gave a command reads its options."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import fernet_neuro
from fernet_neuro.cli._wording import _list_options, say_as_typed, say_plainly
from fernet_neuro.cli.app import _note, app
from fernet_neuro.exceptions import FernetWarning

ROOT, PACKAGE = typer.main.get_command(app), Path(fernet_neuro.__file__).parent


def list_commands(command, words=()):
    """Yield the words and the command of each that does something."""
    if not hasattr(command, "commands"):
        yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from list_commands(inner, (*words, name))


COMMANDS = dict(list_commands(ROOT))


@pytest.mark.parametrize(
    ("words", "message", "said"),
    [
        ("probe x", "leave them out (labelled_only=True)", "leave them out (--labelled-only)"),
        ("probe x", "as classes (scale='classes').", "as classes (--scale classes)."),
        ("probe x", "scale='classes', --scale classes", "--scale classes"),
        ("extract x", "again with overwrite=True (--overwrite), or", "again with --overwrite, or"),
        ("rsa", "generalise_to='subjects' (--generalise-to subjects)", "--generalise-to subjects"),
        ("rsa", "are too few for generalise_to='both': 2", "are too few for --generalise-to both: 2"),
        ("probe x", "Use n_folds=4 or fewer.", "Use --folds 4 or fewer."),
        ("probe x", "n_permutations must be >= 0; got -1.", "--permutations must be >= 0; got -1."),
        ("cost x", "build it with n_classes=7", "build it with --classes 7"),
        ("stimuli align x", "out='a b/c' is not empty", "--out 'a b/c' is not empty"),
        ("stimuli align x", "out='faces' is not empty", "--out faces is not empty"),
        ("rdm x", "name one with variable= (--variable)", "name one with --variable"),
        ("stimuli import folder", "neutral=False keeps", "--no-neutral keeps"),
        ("extract x", "input='0-1' (missing: size=, input=)", "--input 0-1 (missing: --size, --input)"),
        ("extract x", "size=7 of load(m, size=7), or size=9", "--size 7 of load(m, size=7), or --size 9"),
    ],
)  # fmt: skip
def test_arguments_are_said_as_the_options_of_the_command(words, message, said):
    assert say_as_typed(message, ROOT, words.split()) == said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("probe x", "values must be (n_stimuli, n_units); got (3,)"),
        ("probe x", "store /data/n_folds=3/labelled_only cannot be read"),
        ("probe x", "target 'overwrite=True' is a quantity"),
        ("run x", "val_share=0.2 by identity holds out none"),
        ("probe x", "--set seed=1"),
        ("probe x", "the column stimulus_id of 'a.csv'"),
        ("", "overwrite=True"),
        ("extract x", "as in load_model(module, size=112, input='imagenet')"),
        ("extract x", "torch.save(torch.load(find('a', size=1), size=2)['size'], size=3)"),
        ("probe x", "run_probe(store, labelled_only=True, n_folds=4, n_permutations)"),
    ],
)
def test_what_is_no_argument_of_the_command_stays(words, message):
    assert say_as_typed(message, ROOT, words.split()) == message


def test_an_error_of_a_command_names_its_options(run, noise_table, tmp_path):
    frame = noise_table.frame.assign(valence=["x", *range(len(noise_table) - 1)])
    frame.to_csv(noise_table.root / "faces.csv", index=False)
    faces = ("--stimuli", noise_table.root / "faces.csv", "--all-layers", "--out", tmp_path / "probe")
    code, _, error = run("probe", "resnet10-slim", *faces, "--target", "valence", "--scale", "numbers")
    assert (code, error) == (
        2,
        "Error: 10 folds by identity need at least 10 of them; the table has 4. Use --folds 4 or fewer.\n",
    )
    code, _, error = run(
        "probe", "resnet10-slim", *faces, "--target", "valence", "--scale", "numbers", "--folds", 3
    )
    assert code == 2
    assert "leave them out (--labelled-only), or read it out as classes (--scale classes)." in error


def test_a_note_of_a_command_names_its_options(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fernet-neuro", "probe", "store"])
    _note("raise n_permutations, or give labelled_only=True.", FernetWarning)
    assert capsys.readouterr().err == "Note: raise --permutations, or give --labelled-only.\n"


def list_messages() -> Iterator[tuple[str, str]]:
    """Yield the place and the words of every error and warning that the package makes."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _makes_message(node.func):
                texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                yield f"{path.name}:{node.lineno}", "".join(text for text in texts if isinstance(text, str))


def _makes_message(called: ast.expr) -> bool:
    """Tell whether what is called is an error, or ``warn``."""
    name = getattr(called, "attr", "") or getattr(called, "id", "")
    return name.endswith("Error") or name == "warn"


def test_no_message_names_an_argument_in_brackets_alone():
    options = {name for words in COMMANDS for name in _list_options(COMMANDS[words])}
    bare = re.compile(r"\((\w+)\)")
    messages = list(list_messages())
    found = [(place, name) for place, text in messages for name in bare.findall(text) if name in options]
    assert not found, "say name=VALUE, which the command line says as its option"
    assert "scale" in options
    assert len(messages) > 500


@pytest.mark.parametrize(
    "command",
    [
        ["stimuli", "render", "--identities", "1", "--out"],
        ["train", "expression", "--stimuli", "builtin", "--out"],
        ["run", "demo", "--out"],
    ],
)
def test_a_file_in_the_way_is_told_in_words(run, tmp_path, command):
    (tmp_path / "notes.txt").touch()
    code, _, error = run(*command, tmp_path / "notes.txt" / "out")
    assert code == 2
    assert re.search(
        r"^Error: \S*notes\.txt\S* (is there, and is no folder|would lie in a file)", error.splitlines()[-1]
    )
    assert "Errno" not in error


def test_what_the_system_refuses_otherwise_is_told_with_the_file():
    assert (
        say_plainly(OSError(28, "No space left on device", "store.npy"))
        == "store.npy: No space left on device."
    )
    assert say_plainly(PermissionError(13, "Permission denied", "a.csv")).startswith(
        "a.csv may not be read or"
    )
    assert say_plainly(OSError("only words")) == "only words"
