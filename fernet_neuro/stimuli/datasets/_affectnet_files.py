"""The annotation files of AffectNet's two distributions.

What belongs here: rows of a CSV and ``.npy`` files become an `Annotation`; `affectnet` says which are used.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fernet_neuro._utils.progress import track
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets._npy import read_scalar
from fernet_neuro.stimuli.datasets.report import LeftOut
from fernet_neuro.stimuli.datasets.rows import read_rows

#: The value of valence and arousal where they are undefined.
UNDEFINED = -2.0
#: Labels are 0 to this.
HIGHEST_CODE = 10
#: Columns of the old distribution's files that are read; the 68 landmarks are not.
FILE_COLUMN = "subDirectory_filePath"
LABEL_COLUMNS = ("expression", "valence", "arousal")
BOX_COLUMNS = ("face_x", "face_y", "face_width", "face_height")


class Annotation(NamedTuple):
    """What is said about one picture; `box` is empty in the new distribution."""

    code: float
    valence: float = UNDEFINED
    arousal: float = UNDEFINED
    box: tuple[str, ...] = ()


def read_annotated_rows(path: Path) -> tuple[dict[str, Annotation], list[LeftOut]]:
    """Return annotations by file name, and the rows that repeat or contradict another.

    Of rows that contradict each other, none is taken.

    Raises StimulusError if the file is not CSV, lacks a column, or has a value that is not a number or code;
    names the line.
    """
    annotations: dict[str, Annotation] = {}
    left_out: list[LeftOut] = []
    contradicted: dict[str, str] = {}
    for line, name, annotation in _parse_rows(path):
        if name not in annotations:
            annotations[name] = annotation
        elif annotations[name] == annotation:
            left_out.append((name, f"listed twice: line {line} repeats an earlier line"))
        else:
            contradicted[name] = f"two labels: line {line} contradicts an earlier line"
    kept = {name: item for name, item in annotations.items() if name not in contradicted}
    return kept, left_out + list(contradicted.items())


def read_annotations(
    folder: Path, names: Sequence[str], *, n_jobs: int = 1, verbose: bool = False
) -> list[Annotation | str]:
    """Return what ``<name>_exp.npy``, ``_val.npy`` and ``_aro.npy`` say of each of `names`, or their fault.

    Valence and arousal without a file are undefined.
    """
    with ThreadPoolExecutor(n_jobs) as pool:
        found = pool.map(lambda name: _read_annotation(folder, name), names)
        return list(track(found, "reading annotations", total=len(names), verbose=verbose))


def _read_annotation(folder: Path, name: str) -> Annotation | str:
    affect = [folder / f"{name}_{kind}.npy" for kind in ("val", "aro")]
    try:
        code = read_scalar(folder / f"{name}_exp.npy")
        valence, arousal = (read_scalar(path) if path.exists() else UNDEFINED for path in affect)
    except StimulusError as error:
        return f"unreadable annotation: {error}"
    return Annotation(code, valence, arousal)


def _parse_rows(path: Path) -> Iterator[tuple[int, str, Annotation]]:
    """Yield (line number, file name, annotation) of each row."""
    for line, row in read_rows(path, (FILE_COLUMN, *LABEL_COLUMNS)):
        name = Path(row[FILE_COLUMN].strip().replace("\\", "/")).as_posix()
        where = f"{path}, line {line}"
        boxes = tuple(row[column] for column in BOX_COLUMNS) if row.keys() >= set(BOX_COLUMNS) else ()
        code, valence, arousal = (_parse_number(where, column, row[column]) for column in LABEL_COLUMNS)
        if code not in range(HIGHEST_CODE + 1):
            raise StimulusError(
                f"{where}: expression must be 0 to {HIGHEST_CODE}; got {row['expression']!r}."
            )
        yield line, name, Annotation(code, valence, arousal, boxes)


def _parse_number(where: str, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise StimulusError(f"{where}: {column} must be a number; got {text!r}.") from error
