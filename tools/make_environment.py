"""Write environment.yml from pyproject.toml and constraints.txt, so that conda users get the same packages.

Run ``make environment``; a test compares the file with what this script would write.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# Generated from pyproject.toml and constraints.txt by tools/make_environment.py; do not edit.\n"


def build_environment() -> str:
    """Return the text of environment.yml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(
        re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    python = project["requires-python"].removeprefix(">=")
    lines = ["name: fernet-neuro", "channels:", "  - conda-forge", "dependencies:"]
    lines += [f"  - python={python}", "  - pip", "  - pip:"]
    lines += [f"      - {_pinned(requirement, pins)!s}" for requirement in project["dependencies"]]
    lines += ["      - --editable ."]
    return HEADER + "\n".join(lines) + "\n"


def _pinned(requirement: str, pins: dict[str, str]) -> str:
    name = re.split(r"[<>=!\[ ]", requirement, maxsplit=1)[0]
    return f"{name}=={pins[name]}" if name in pins else requirement


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(build_environment(), encoding="utf-8")
    sys.stdout.write("wrote environment.yml\n")
