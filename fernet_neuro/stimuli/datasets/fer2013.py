"""FER2013 as the challenge's CSV file, and in class folders.

What belongs here: the layouts of FER2013, its codes and its published counts.

References
----------
.. [1] Goodfellow, I. J., et al. (2013). Challenges in representation learning: A report on three machine
   learning contests. ICONIP, 117-124.
"""

from pathlib import Path

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets._fer2013_pictures import (
    FILES,
    ORIGIN,
    SIZE,
    check_pictures,
    name_face,
    read_faces,
    write_pictures,
)
from fernet_neuro.stimuli.datasets.labels import label_by_part
from fernet_neuro.stimuli.datasets.report import Demands, LeftOut, Listing, find_one
from fernet_neuro.typing import PathLike

#: The owners' codes and our names.
EXPRESSIONS = {
    "0": "anger",
    "1": "disgust",
    "2": "fear",
    "3": "happiness",
    "4": "sadness",
    "5": "surprise",
    "6": "neutral",
}
#: Published numbers of pictures; of the training part in the order of the codes.
PUBLISHED: dict[str, int | dict[str, int]] = {
    "train": dict(zip(EXPRESSIONS.values(), (3995, 436, 4097, 7215, 4830, 3171, 4965), strict=True)),
    "val": 3589,
    "test": 3589,
}
#: Class folders have both test parts in one.
PUBLISHED_FOLDERS = {"train": PUBLISHED["train"], "test": 7178}
LICENCE = "FER2013: research; pictures from the web, not redistributable"

_COLUMNS = ("stimulus_id", "path", "expression", "split", "native_code", "dataset", "licence")
_CODES = {name: int(code) for code, name in EXPRESSIONS.items()}
_ADVICE = "the owners count from 0; folders of another origin must be renumbered or named by words"


def list_fer2013(
    src: Path, *, pictures: PathLike | None = None, n_jobs: int = 1, verbose: bool = False
) -> Listing:
    """List the rows of ``fer2013.csv``, whose pixels are written as pictures, or class folders.

    The CSV holds a row per face: ``emotion`` (a code from 0), ``pixels`` (48 x 48 grey levels) and ``Usage``.
    Its pictures are written once; an interrupted run goes on where it was. Class folders lie in
    ``train/happy/`` and ``test/happy/``.

    Left out and reported: rows whose pixels are not 2,304 numbers from 0 to 255, and files outside the class
    folders.

    Parameters
    ----------
    src : path
        Folder of ``fer2013.csv`` (or ``icml_face_data.csv``), or of ``train`` and ``test``.
    pictures : path, optional
        Folder in which to write the pictures of the CSV, which FERPlus can share; of no effect on class
        folders.
    n_jobs : int
        Number of threads.
    verbose : bool
        Whether to show a progress bar.

    Returns
    -------
    Listing
        Stimulus ids such as ``train/row00012``, rows counted from 0; further columns ``split`` (``train``,
        ``val`` for PublicTest, ``test`` for PrivateTest), ``native_code``, ``dataset`` and ``licence``. Notes
        compare with the published counts.

    Raises
    ------
    StimulusError
        If there is neither the CSV nor class folders, no folder for the pictures is named, a row has another
        code or part, or nothing is usable.
    StoreError
        If the folder for the pictures holds something else, or the pictures of another file.
    """
    if any((src / name).is_file() for name in FILES):
        path, folder = find_one(src, FILES, "fer2013.csv"), check_pictures(pictures)
        rows, left_out = _read_csv(path, folder, n_jobs, verbose)
        return Listing(folder, _COLUMNS, rows, left_out, Demands(size=SIZE), PUBLISHED)
    if any((src / part).is_dir() for part in PUBLISHED_FOLDERS):
        labelled, left_out = label_by_part(src, PUBLISHED_FOLDERS, EXPRESSIONS, _ADVICE)
        rows = [
            (Path(name).with_suffix("").as_posix(), name, label, part, _CODES[label], "fer2013", LICENCE)
            for part, name, label in labelled
        ]
        return Listing(src, _COLUMNS, rows, left_out, Demands(size=SIZE), PUBLISHED_FOLDERS)
    raise StimulusError(
        f"{src} holds neither fer2013.csv (offered at {ORIGIN}) nor class folders such as train/happy."
    )


def _read_csv(path: Path, folder: Path, n_jobs: int, verbose: bool) -> tuple[list[tuple], list[LeftOut]]:
    faces = read_faces(path)
    write_pictures(faces, path, folder, n_jobs=n_jobs, verbose=verbose)
    rows: list[tuple] = []
    left_out: list[LeftOut] = []
    for row, face in enumerate(faces):
        name = name_face(row, face.part)
        if face.fault:
            left_out.append((f"{name}.png", face.fault))
        else:
            expression = EXPRESSIONS[str(face.code)]
            rows.append((name, f"{name}.png", expression, face.part, face.code, "fer2013", LICENCE))
    return rows, left_out
