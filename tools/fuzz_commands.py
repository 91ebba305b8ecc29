"""Damage whole command lines, and see that each does what it says, or is refused in one line.

What belongs here: ways to damage a line, and what counts as a fault: a traceback, another exit code, several
errors, or 20 s. Run by ``python tools/fuzz.py --commands 300``; the whole lines and what they read are
those of ``tools/kill.py``.
"""

import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kill
import numpy as np

#: Lines beside those that `kill` kills.
_MORE = (
    "stimuli show faces/table.csv", "stimuli check faces/table.csv", "store show store --verify", "info",
    "models show resnet10-slim --size 32", "models list", "cost resnet10-slim --size 32", "figures list",
    "text show builtin", "rdm models.npz --out out.h5", "rdm faces/table.csv --factor identity --out out.mat",
    "latency resnet10-slim --size 32 --repeats 1 --batch 1",
)  # fmt: skip
#: Values that options and arguments get in place of theirs.
_VALUES = (
    "", " ", "0", "-1", "1.5", "nan", "inf", "-inf", "1e999", "-0", "007", "1,2", "1=2", "=", "a=b", ",", "é",
    "\u0661", "--", "-", "none", "None", "null", "[]", "{", "*", "nowhere/there.csv",
    "nowhere", ".", "faces", "faces/table.csv", "run.yaml", "store", "store/manifest.json", "known", "sim",
    "models.npz", "regions", "results", "maps", "others/table.csv", "faces/table.csv/x", "builtin", "a" * 300,
    "identity", "expression", "view", "path", "stimulus_id", "avgpool", "fc", "layer1", "resnet18@", "@", ":",
    "timm:", "file.py:f", "torch:rand", "=1+1", "%s", "{0}", "\\", "a\tb", "a\nb",
)  # fmt: skip
_NUMBERS = ("0", "-1", "1", "2", "0.5", "1.5", "nan", "inf", "1e-9", "7", "100", "-0.1", "x", "")
_GROUPS = ("stimuli", "models", "text", "store", "brain", "figures")
#: Seconds of processor time that a line may take.
LONGEST = 20


def list_lines() -> list[str]:
    """Return whole lines."""
    return [*kill.COMMANDS.values(), *_MORE]


@cache
def _list_options(words: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the options of the command that `words` give, with values that each may get; none for a flag."""
    from typer.main import get_command

    from fernet_neuro.cli.app import app

    command: Any = get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            break
        command = command.commands[word]
    own = [item for item in command.params if item.opts[0].startswith("-")]
    values = {"N": _NUMBERS, "": ()}
    return [
        ("--no-such-option", _VALUES),
        *((max(item.opts, key=len), values.get(item.metavar or "", _VALUES)) for item in own),
    ]


def damage(line: str, rng: np.random.Generator) -> list[str]:
    """Return the words of a line changed in one or two places."""
    words = line.split()
    options = _list_options(tuple(words[:2]))
    known, start = dict(options), 1 + (words[0] in _GROUPS)
    for _ in range(int(rng.integers(1, 3))):
        at, way = int(rng.integers(start, len(words) + 1)), int(rng.integers(0, 8))
        option, values = options[int(rng.integers(len(options)))]
        if way <= 2 and at < len(words) and not words[at].startswith("--"):
            words[at] = _pick(known.get(words[at - 1]) or _VALUES, rng)
        elif way == 3 and len(words) > start:
            del words[at : at + 1]
        elif way == 4:
            words[at:at] = [_pick(_VALUES, rng)]
        else:
            words += [option, *([_pick(values, rng)] if values else [])]
    return words


def _pick(values: tuple[str, ...], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]


def find_fault(words: list[str], place: Path) -> str:
    """Return what is wrong with how a line ends in the folder `place`, or an empty text."""
    before = os.times()
    code = kill.run_fork(words, place, after_s=6 * LONGEST)
    after = os.times()
    took = after.children_user + after.children_system - before.children_user - before.children_system
    said = (place.parent / "said.txt").read_text(errors="replace")
    errors = [text for text in said.splitlines() if text.startswith("Error: ")]
    if took > LONGEST or code == -9:
        return f"took {took:.0f} s of processor time"
    if "Traceback" in said:
        return f"traceback: {said.splitlines()[-1]}"
    if code == 2 and len(errors) != 1 and "Usage:" not in said:
        return f"{len(errors)} lines of errors: {said[-200:]}"
    return "" if code in (0, 1, 2) else f"exit code {code}: {said[-200:]}"


def fuzz_commands(n: int, seed: int, folder: Path) -> Iterator[str]:
    """Yield a line for each of `n` damaged command lines that ends badly, and an empty text for each other.

    `folder` holds what the lines read, in ``whole``; what they write goes into ``work``, anew each time.
    """
    whole, place, lines = folder / "whole", folder / "work", list_lines()
    os.environ["FERNET_NEURO_CACHE"] = str(folder / "cache")
    for number in range(n):
        words = damage(lines[number % len(lines)], np.random.default_rng([seed, number]))
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        fault = find_fault(words, place)
        yield f"command {number}: {words}: {' '.join(fault.split())[:300]}" if fault else ""


def make_inputs(folder: Path) -> None:
    """Make what whole lines read, in ``whole`` below `folder`."""
    kill.import_all()
    kill.make_inputs(folder / "work")
    (folder / "work").rename(folder / "whole")
