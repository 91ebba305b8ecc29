"""JSON files, and files with a JSON value a line, for modules that need no tables."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    ValueError
        If it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def append_line(path: Path, value: Any) -> None:
    """Write a value behind what a file holds.

    It has a line of its own, even behind half a line of a process that was killed.
    """
    with path.open("a", encoding="utf-8") as handle:
        handle.write("\n" + json.dumps(value) + "\n")


def read_lines(path: Path) -> list[Any]:
    """Return what `append_line` wrote; none without a file, and no half lines."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        with suppress(ValueError):
            lines.append(json.loads(text))
    return lines
