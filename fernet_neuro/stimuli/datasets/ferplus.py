"""FERPlus: FER2013's pictures with the votes of ten people each, and the rules that make labels of them.

What belongs here: codes, rules by name and how many pictures each labels; `_ferplus_files` reads the
owners' files.

References
----------
.. [1] Barsoum, E., Zhang, C., Canton Ferrer, C., & Zhang, Z. (2016). Training deep networks for facial
   expression recognition with crowd-sourced label distribution. ICMI, 279-283.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fernet_neuro._utils.validation import check_option
from fernet_neuro.stimuli.datasets._fer2013_pictures import SIZE
from fernet_neuro.stimuli.datasets._ferplus_files import LABELS, Found, find_pictures
from fernet_neuro.stimuli.datasets._ferplus_votes import ANSWERS, N_EMOTIONS, RULES
from fernet_neuro.stimuli.datasets.report import Demands, LeftOut, Listing
from fernet_neuro.typing import PathLike

#: The owners' codes and our names.
EXPRESSIONS = {str(code): name for code, name in enumerate(ANSWERS[:N_EMOTIONS])}
LICENCE = "FERPlus labels: MIT; FER2013: research; pictures from the web, not redistributable"


def _count(*numbers: int) -> dict[str, int]:
    return dict(zip(EXPRESSIONS.values(), numbers, strict=True))


#: Pictures that have a label by each file and rule, counted from the owners' files.
PUBLISHED: dict[tuple[str, str], dict[str, int | dict[str, int]]] = {
    ("fer2013new.csv", "majority"): {
        "train": _count(8740, 7287, 3149, 3014, 2100, 119, 532, 119),
        "val": _count(1182, 865, 415, 351, 287, 24, 62, 13),
        "test": _count(1090, 893, 396, 384, 273, 18, 83, 16),
    },
    ("label.csv", "majority"): {
        "train": _count(8733, 7284, 3136, 3022, 2098, 116, 536, 120),
        "val": _count(1180, 862, 411, 348, 289, 25, 60, 16),
        "test": _count(1083, 892, 394, 382, 269, 16, 86, 15),
    },
    ("fer2013new.csv", "most"): {
        "train": 28389,
        "val": 3553,
        "test": _count(1262, 928, 444, 444, 325, 23, 93, 27),
    },
    ("fer2013new.csv", "emotions"): {
        "train": 28559,
        "val": 3579,
        "test": _count(1278, 929, 446, 448, 326, 23, 94, 29),
    },
}

_COLUMNS = (
    "stimulus_id", "path", "expression", "split", "native_code",
    *(f"votes_{name.replace(' ', '_')}" for name in ANSWERS),
    "image_name", "label_file", "label_rule", "dataset", "licence",
)  # fmt: skip


def list_ferplus(
    src: Path,
    *,
    rule: str = "majority",
    labels: str = "fer2013new.csv",
    pictures: PathLike | None = None,
    n_jobs: int = 1,
    verbose: bool = False,
) -> Listing:
    """List the pictures of ``fer2013.csv`` with the votes of one of the owners' two label files.

    ``fer2013new.csv`` is joined row by row: the numbers in its picture names are not rows. The folders
    ``FER2013Train``, ``FER2013Valid`` and ``FER2013Test`` (in the source or in ``data``) hold a ``label.csv``
    each, and their pictures if the owners' script has written them; without pictures, their names are looked
    up in ``fer2013new.csv``.

    =========== ==========================================================================================
    rule        label
    =========== ==========================================================================================
    majority    the answer with more than half of the votes, after single votes are taken away
    most        the answer with most of the ten votes, the first of several in the owners' order
    emotions    the expression with most votes, the first of several; "unknown" and "no face" do not count
    =========== ==========================================================================================

    Left out and reported: rows without a picture name (no usable face), pictures that the rule gives no label
    or the label "unknown" or "no face", corrupt pixels, and names that are missing or mean two pictures.

    Parameters
    ----------
    src : path
        Folder of ``fer2013new.csv`` and ``fer2013.csv``, or of the three folders.
    rule : {"majority", "most", "emotions"}
        How votes become a label.
    labels : {"fer2013new.csv", "label.csv"}
        Which votes: the two files differ.
    pictures : path, optional
        Folder in which to write the pictures of ``fer2013.csv``, or in which the import of FER2013 has
        written them; of no effect on folders that hold pictures.
    n_jobs : int
        Number of threads.
    verbose : bool
        Whether to show a progress bar.

    Returns
    -------
    Listing
        Stimulus ids such as ``train/row00012``, as in FER2013, or ``train/fer0000012`` for pictures in
        folders; further columns ``split`` (``train``, ``val``, ``test``), ``native_code``, ``votes_neutral``
        to ``votes_no_face`` (votes of ten), ``image_name``, ``label_file``, ``label_rule``, ``dataset`` and
        ``licence``. Notes compare with counts from the owners' files.

    Raises
    ------
    StimulusError
        If a file or the folder for the pictures is not there, the two files do not go together row by row, a
        row is malformed, or nothing is usable.
    StoreError
        If the folder for the pictures holds something else, or the pictures of another file.
    ValueError
        If `rule` or `labels` is unknown.
    """
    check_option("rule", rule, RULES)
    check_option("labels", labels, LABELS)
    root, found, left_out = find_pictures(src, labels, pictures, n_jobs=n_jobs, verbose=verbose)
    rows, unlabelled = _label(found, rule, labels)
    published = PUBLISHED.get((labels, rule), {})
    return Listing(root, _COLUMNS, rows, left_out + unlabelled, Demands(size=SIZE), published)


def _label(found: Sequence[Found], rule: str, labels: str) -> tuple[list[tuple], list[LeftOut]]:
    """Return the rows of pictures that the rule gives an expression, and the others."""
    choose, reason = RULES[rule]
    answers = choose(np.array([item.ballot.votes for item in found]).reshape(-1, len(ANSWERS))).tolist()
    rows: list[tuple] = []
    left_out: list[LeftOut] = []
    for (stimulus_id, path, ballot), answer in zip(found, answers, strict=True):
        if answer < 0 or answer >= N_EMOTIONS:
            left_out.append((path, reason if answer < 0 else f"labelled {ANSWERS[answer]}"))
            continue
        facts = (ANSWERS[answer], ballot.part, answer, *ballot.votes, ballot.image_name, labels, rule)
        rows.append((stimulus_id, path, *facts, "ferplus", LICENCE))
    return rows, left_out
