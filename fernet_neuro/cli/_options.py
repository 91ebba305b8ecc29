"""Options that several commands read alike: pairs, what is taken from a stimulus table, how many jobs.

What belongs here: from the words of an option to what functions take; what a SOURCE is, is in `_sources`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fernet_neuro.faces.landmarks import LandmarkTable


def parse_pairs(option: str, texts: list[str]) -> dict[str, str]:
    """Return ``{name: value}`` of texts such as ``name=value``.

    Raises
    ------
    ValueError
        If a text has another form, or a name gets two values.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} {text!r} must have the form NAME=VALUE.")
        if pairs.setdefault(name, value) != value:
            raise ValueError(f"{option} gives {name!r} two values, {pairs[name]!r} and {value!r}.")
    return pairs


def parse_weights(items: list[str]) -> dict[str, list[str]]:
    """Return the columns of each ``NAME=COLUMN,COLUMN,...``."""
    found: dict[str, list[str]] = {}
    for item in items:
        name, equals, columns = item.partition("=")
        if not (name and equals and columns):
            raise ValueError(f"--weights {item!r} must read NAME=COLUMN,COLUMN,..., such as units=AU01,AU02.")
        if name in found:
            raise ValueError(f"--weights {name!r} is given twice.")
        found[name] = [column.strip() for column in columns.split(",")]
    return found


def read_landmark_table(path: Path | None) -> "LandmarkTable | None":
    """Return the landmarks of a file, or None where no file is named."""
    from fernet_neuro.faces.landmarks import read_landmarks

    return None if path is None else read_landmarks(path)


def check_jobs(jobs: int) -> int:
    """Refuse a number of jobs that means nothing."""
    if jobs == 0:
        raise ValueError("--jobs 0 would do nothing; name 1 or more, or -1 for one per core.")
    return jobs
