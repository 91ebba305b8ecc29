"""Labeled Faces in the Wild: the folders of one person each, and the verification protocol's pairs.

What belongs here: the LFW layout and its ``pairs`` files; training on pairs is in `training`.

References
----------
.. [1] Huang, G. B., Ramesh, M., Berg, T., & Learned-Miller, E. (2007). Labeled Faces in the Wild: A database
   for studying face recognition in unconstrained environments. University of Massachusetts, Amherst,
   TR 07-49.
"""

import re
from pathlib import Path

import pandas as pd

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.report import Demands, Listing, find_one, list_files, sort_out
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.typing import PathLike

#: Folder names of the original and the aligned releases; archives may nest a folder in one of its own name.
VARIANTS = ("lfw", "lfw_funneled", "lfw-deepfunneled", "lfw-a", "lfw2")
#: Width and height in pixels of every photograph of every variant.
SIZE = (250, 250)
LICENCE = "LFW: no licence stated; research use, rights with the photographers"

_COLUMNS = ("stimulus_id", "path", "identity", "variant", "licence")
_NAME = re.compile(r"(?P<identity>.+)_(?P<number>\d{4})")


def list_lfw(src: Path) -> Listing:
    """List ``lfw/Name_Surname/Name_Surname_0001.jpg`` and its siblings.

    Left out: names that are not their folder's name and four digits, unreadable files, and other sizes than
    250 x 250.

    `src`: the folder of the person folders (``lfw``, ``lfw_funneled``, ``lfw-deepfunneled``, ...), or a
    folder that holds one variant. Returns a Listing: stimulus ids are file names without suffix; a further
    column ``variant`` names the release. Raises StimulusError if `src` holds no LFW folder or several
    variants, or no usable photograph.
    """
    root = _find_root(src)
    names, left_out = sort_out(root, list_files(root))
    rows = []
    for name in names:
        *folders, file = name.split("/")
        match = _NAME.fullmatch(Path(file).stem)
        if len(folders) != 1 or match is None or match["identity"] != folders[0]:
            left_out.append((name, "misnamed: expected Name/Name_0001.jpg"))
            continue
        rows.append((match[0], name, match["identity"], root.name, LICENCE))
    return Listing(root, _COLUMNS, rows, left_out, Demands(size=SIZE))


def read_lfw_pairs(path: PathLike, table: StimulusTable) -> pd.DataFrame:
    """Read ``pairs.txt`` (ten folds) or ``pairsDevTrain.txt`` / ``pairsDevTest.txt`` (one fold).

    Parameters
    ----------
    path : path
        First line the number of pairs of a kind, or the number of folds and that number; then per fold as
        many lines ``name i j`` (one person) and as many ``name1 i name2 j`` (two people).
    table : StimulusTable
        LFW stimuli with the ids that `list_lfw` gives.

    Returns
    -------
    DataFrame of shape (n_pairs, 4)
        Columns ``fold`` (from 1), ``stimulus_id_1``, ``stimulus_id_2`` and ``same`` (bool), in file order.

    Raises
    ------
    StimulusError
        If the file is missing, a line is malformed (its number is named), the count of lines is wrong, or a
        photograph is not in `table`.
    """
    source = Path(path)
    lines = _read_lines(source)
    n_folds, n_pairs = _parse_header(source, lines[0])
    body = lines[1:]
    wanted = 2 * n_folds * n_pairs
    if len(body) != wanted:
        raise StimulusError(
            f"{source} announces {wanted} pairs and has {len(body)}; the file is cut short or edited."
        )
    rows = []
    for number, line in enumerate(body):
        fold, position = divmod(number, 2 * n_pairs)
        same = position < n_pairs
        first, second = _parse_pair(source, number + 2, line, same)
        rows.append((fold + 1, first, second, same))
    pairs = pd.DataFrame(rows, columns=["fold", "stimulus_id_1", "stimulus_id_2", "same"])
    _check_known(source, pairs, table)
    return pairs


def _find_root(source: Path) -> Path:
    if not any((source / name).is_dir() for name in VARIANTS):
        return source
    found = find_one(source, VARIANTS, "LFW folder")
    return found / found.name if (found / found.name).is_dir() else found


def _read_lines(source: Path) -> list[str]:
    if not source.is_file():
        raise StimulusError(f"LFW pairs file {source} does not exist.")
    try:
        lines = source.read_text(encoding="utf-8").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise StimulusError(f"LFW pairs file {source} is not a text file ({error}).") from error
    if not lines:
        raise StimulusError(f"LFW pairs file {source} is empty.")
    return lines


def _parse_header(source: Path, line: str) -> tuple[int, int]:
    fields = line.split()
    if not all(field.isdigit() and int(field) for field in fields) or len(fields) not in (1, 2):
        raise StimulusError(
            f"{source}, line 1: expected the number of pairs, or of folds and pairs; got {line!r}."
        )
    return (1, int(fields[0])) if len(fields) == 1 else (int(fields[0]), int(fields[1]))


def _parse_pair(source: Path, number: int, line: str, same: bool) -> tuple[str, str]:
    fields = line.split()
    if same and len(fields) == 3:
        fields = [fields[0], fields[1], fields[0], fields[2]]
    elif same or len(fields) != 4:
        wanted = "name i j" if same else "name1 i name2 j"
        raise StimulusError(f"{source}, line {number}: expected {wanted!r}; got {line!r}.")
    name, one, other_name, other = fields
    if not (one.isdigit() and other.isdigit()):
        raise StimulusError(f"{source}, line {number}: photograph numbers must be integers; got {line!r}.")
    if not same and name == other_name:
        raise StimulusError(f"{source}, line {number}: a pair of two people names {name!r} twice.")
    return f"{name}_{int(one):04d}", f"{other_name}_{int(other):04d}"


def _check_known(source: Path, pairs: pd.DataFrame, table: StimulusTable) -> None:
    known = set(table.stimulus_ids.tolist())
    used = [*pairs["stimulus_id_1"], *pairs["stimulus_id_2"]]
    absent = sorted({name for name in used if name not in known})
    if absent:
        raise StimulusError(
            f"{source} names {len(absent)} photographs that the stimulus table lacks (first: {absent[0]!r}); "
            f"import the complete LFW folder."
        )
