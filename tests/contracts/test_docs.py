"""The documentation speaks of what is there: links lead somewhere, and every command in it exists."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from fernet_neuro.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
RECIPES = sorted((ROOT / "configs").rglob("*.yaml"))


def _find_commands(page: Path) -> list[str]:
    """Return the command lines in a page's fenced blocks, or in a recipe's comments."""
    text = re.sub(r"\\\n\s*#?\s*", " ", page.read_text(encoding="utf-8"))
    if page.suffix == ".md":
        text = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    lines = [line.strip().lstrip("# ").split("   #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line.startswith("fernet-neuro ")]


def _parse(line: str) -> None:
    """Parse one command line with the real parser; nothing is run."""
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app)
    context = command.context_class(command, info_name="fernet-neuro")
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
        context = command.context_class(command, info_name=command.name, parent=context)
    command.make_parser(context).parse_args(args=words)


COMMANDS = sorted({(page.name, line) for page in [*PAGES, *RECIPES] for line in _find_commands(page)})


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 15


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_in_the_documentation_is_understood(page, line):
    _parse(line)


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
