"""Asking other programs, such as ``git``, ``squeue`` or ``nvidia-smi``, which may be missing, fail or hang.

What belongs here: one run of a program with a time limit, and how it ended.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Answer:
    """How a program ended, and what it said.

    Parameters
    ----------
    outcome : str
        ``done``; ``failed``: it ended with an error; ``missing``: it cannot be run; ``late``: it was still
        running when its time was over, and was ended.
    text : str
        What it wrote, if done; else why not, in one line.
    """

    outcome: Literal["done", "failed", "missing", "late"]
    text: str


def run_program(command: Sequence[str], *, seconds: float, folder: Path | None = None) -> Answer:
    """Run a program to its end, for so many seconds at most; `folder` is where it runs, if not here."""
    try:
        ended = subprocess.run(
            command, capture_output=True, check=False, cwd=folder, timeout=seconds,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer("late", f"no answer within {seconds:g} s")
    except OSError as error:
        return Answer("missing", error.strerror or str(error))
    if ended.returncode != 0:
        return Answer("failed", " ".join(ended.stderr.split()) or f"exit code {ended.returncode}")
    return Answer("done", ended.stdout)


def ask_program(command: Sequence[str], *, seconds: float = 20, folder: Path | None = None) -> str:
    """Return what a program writes; nothing where it is missing, fails, or is not done in time."""
    answer = run_program(command, seconds=seconds, folder=folder)
    return answer.text if answer.outcome == "done" else ""
