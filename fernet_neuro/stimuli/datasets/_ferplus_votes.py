"""What ten people said of each picture of FER2013, and the rules that make one label of it.

What belongs here: reading FERPlus's two label files, and pure rules on arrays of votes.

References
----------
.. [1] Barsoum, E., Zhang, C., Canton Ferrer, C., & Zhang, Z. (2016). Training deep networks for facial
   expression recognition with crowd-sourced label distribution. ICMI, 279-283.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets._fer2013_pictures import read_part
from fernet_neuro.stimuli.datasets.rows import read_rows

#: Our names of the answers in the owners' order; the last two are no expression.
ANSWERS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown",
    "no face",
)  # fmt: skip
N_EMOTIONS = 8
#: The owners' headings of ``fer2013new.csv``; ``label.csv`` has none.
_HEADINGS = (*ANSWERS[:9], "NF")
_FOLDER_COLUMNS = ("name", "box", *_HEADINGS)


class Ballot(NamedTuple):
    """One row: its part, the owners' name of the picture ("" where no face is usable), votes by answer."""

    part: str
    image_name: str
    votes: tuple[int, ...]


def choose_majority(votes: np.ndarray) -> np.ndarray:
    """Return the answer of each picture that has more than half of the votes, single votes not counted.

    `votes`: array (n_pictures, 10) of votes by answer. Returns an array (n_pictures,) of numbers of answers,
    -1 where none has more than half. The owners' rule [1].

    Examples
    --------
    >>> choose_majority(np.array([[5, 4, 1, 0, 0, 0, 0, 0, 0, 0], [4, 4, 2, 0, 0, 0, 0, 0, 0, 0]])).tolist()
    [0, -1]
    """
    counted = np.where(votes > 1, votes, 0)
    return np.where(2 * counted.max(axis=1) > counted.sum(axis=1), counted.argmax(axis=1), -1)


def choose_most(votes: np.ndarray) -> np.ndarray:
    """Return the answer with most votes, the first of several; -1 where there are no votes.

    Shapes as `choose_majority`.

    Examples
    --------
    >>> choose_most(np.array([[4, 4, 2, 0, 0, 0, 0, 0, 0, 0], [3, 0, 2, 0, 0, 0, 0, 0, 0, 5]])).tolist()
    [0, 9]
    """
    return np.where(votes.max(axis=1) > 0, votes.argmax(axis=1), -1)


def choose_emotion(votes: np.ndarray) -> np.ndarray:
    """Return the expression with most votes, whatever "unknown" and "no face" have; -1 where none has a vote.

    Shapes as `choose_majority`.

    Examples
    --------
    >>> choose_emotion(np.array([[3, 0, 2, 0, 0, 0, 0, 0, 0, 5], [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]])).tolist()
    [0, -1]
    """
    return choose_most(votes[:, :N_EMOTIONS])


#: Rules by name, and why a picture has no label by them.
RULES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "majority": (choose_majority, "no majority"),
    "most": (choose_most, "no votes"),
    "emotions": (choose_emotion, "no vote for an expression"),
}


def read_ballots(path: Path) -> list[Ballot]:
    """Return the rows of ``fer2013new.csv``, in the order of ``fer2013.csv``.

    Raises StimulusError if the file is not the owners' CSV, or a row has another part or a vote that is not a
    number from 0 to 10; the line is named.
    """
    ballots = []
    for line, row in read_rows(path, ("Usage", "Image name", *_HEADINGS)):
        where = f"{path}, line {line}"
        ballots.append(Ballot(read_part(where, row), row["Image name"].strip(), _read_votes(where, row)))
    return ballots


def read_folder_ballots(path: Path, part: str) -> Iterator[tuple[int, Ballot]]:
    """Yield (line, row) of a ``label.csv``, which has no heading; errors as `read_ballots`."""
    for line, row in read_rows(path, _FOLDER_COLUMNS, has_heading=False):
        yield line, Ballot(part, row["name"].strip(), _read_votes(f"{path}, line {line}", row))


def _read_votes(where: str, row: dict[str, str]) -> tuple[int, ...]:
    texts = [row[heading].strip() for heading in _HEADINGS]
    wrong = next((text for text in texts if text not in map(str, range(11))), None)
    if wrong is not None:
        raise StimulusError(f"{where}: votes must be whole numbers from 0 to 10; got {wrong!r}.")
    return tuple(map(int, texts))
