"""The documentation speaks of what is there: links lead somewhere, and every command in it exists."""

import json
import re
import shlex
from contextlib import suppress
from pathlib import Path

import pytest
import typer

from fernet_neuro._utils.shipped import list_recipes
from fernet_neuro.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
COMMAND = typer.main.get_command(app)
RECIPES = list_recipes().values()


def _find_commands(page: Path) -> list[str]:
    """Return the command lines in a page's fenced blocks, or in a recipe's comments."""
    text = re.sub(r"\\\n\s*#?\s*", " ", page.read_text(encoding="utf-8"))
    if page.suffix == ".md":
        text = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    lines = [line.strip().lstrip("# ").split("   #")[0].strip() for line in text.splitlines()]
    lines = [re.sub(r"^torchrun .* -m fernet_neuro ", "fernet-neuro ", line) for line in lines]
    return [line for line in lines if line.startswith("fernet-neuro ")]


def _parse(line: str) -> None:
    """Read one command line as the command itself does, with all that it must name; nothing is run."""
    command, words = _find_command(shlex.split(line)[1:])
    with suppress(typer.Exit):  # what prints a list and leaves
        command.make_context(command.name, words)


def _find_command(words: list[str]):
    """Return the command that `words` begin with, and the words that are left for it."""
    command = COMMAND
    while words and hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def _list_table(page: Path) -> list[str]:
    """Return the commands in the first columns of a page's tables."""
    found = re.findall(r"^\| `(fernet-neuro [^`]+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [line.replace("\\|", "|") for line in found]


COMMANDS = sorted({(page.name, line) for page in [*PAGES, *RECIPES] for line in _find_commands(page)})
TABLES = sorted({line for page in PAGES for line in _list_table(page)})


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 15
    assert len(TABLES) > 15


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_in_the_documentation_is_understood(page, line):
    _parse(line)


@pytest.mark.parametrize("line", TABLES)
def test_every_command_in_a_table_is_understood(line):
    *stem, names = line.split()
    if "|" not in names:
        _parse(line)
        return
    for name in names.split("|"):
        assert _find_command([*stem[1:], name])[1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_not_find_each_others_folders_taken(page):
    lines = [line for line in _find_commands(page) if line.split()[1] in ("train", "run")]
    folders = [
        found[1] for line in lines if (found := re.search(r"--out (\S+)", line)) and "--resume" not in line
    ]
    assert len(folders) == len(set(folders)), f"two of {folders} are one"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fernet-neuro verify RUN", "Missing option '--pairs'"),
        ("fernet-neuro probe x", "Missing option '--out'"),
        ("fernet-neuro run", "Missing argument"),
        ("fernet-neuro probe x --out y --seed some", "Invalid value for '--seed'"),
    ],
)
def test_a_command_that_lacks_something_is_not(line, message):
    with pytest.raises(typer.BadParameter) as caught:
        _parse(line)
    assert message in caught.value.format_message()


@pytest.mark.parametrize(
    "line", ["fernet-neuro prob x", "fernet-neuro probe x --layerz y", "fernet-neuro stimuli imports x"]
)
def test_a_command_with_a_typo_is_not(line):
    with pytest.raises(Exception, match=r"prob|layerz|imports"):
        _parse(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_thin_and_hold_no_output(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert not any("subprocess" in text or "filterwarnings" in text or text.startswith("!") for text in code)
    assert max(len(text.splitlines()) for text in code) <= 30
    assert any("import fernet_neuro as fn" in text or "run_recipe" in text for text in code)
