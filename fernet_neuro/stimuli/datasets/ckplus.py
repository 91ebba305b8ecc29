"""The extended Cohn-Kanade set (CK+): sequences from a neutral face to an expression, and CK+48.

What belongs here: both layouts of CK+, its codes, and how many sequences show each expression.

References
----------
.. [1] Lucey, P., Cohn, J. F., Kanade, T., Saragih, J., Ambadar, Z., & Matthews, I. (2010). The extended
   Cohn-Kanade dataset (CK+): A complete dataset for action unit and emotion-specified expression. CVPR
   Workshops, 94-101.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from fernet_neuro._utils.validation import check_range
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.labels import label_by_folder
from fernet_neuro.stimuli.datasets.report import Demands, LeftOut, Listing, find_one, list_files, sort_out

#: The owners' codes and our names. No sequence is labelled neutral: its first frame is.
EXPRESSIONS = {
    "0": "neutral",
    "1": "anger",
    "2": "contempt",
    "3": "disgust",
    "4": "fear",
    "5": "happiness",
    "6": "sadness",
    "7": "surprise",
}
EMOTIONS = tuple(EXPRESSIONS.values())[1:]
#: Numbers of labelled sequences.
PUBLISHED = dict(zip(EMOTIONS, (45, 18, 59, 25, 69, 28, 83), strict=True))
#: Frames of each sequence, and their size in pixels, in CK+48.
SMALL_FRAMES, SMALL_SIZE = 3, (48, 48)
LICENCE = "CK+: non-commercial research on request; not redistributable"

_COLUMNS = (
    "stimulus_id", "path", "identity", "expression", "clip", "frame", "native_code", "dataset", "licence",
)  # fmt: skip
_STEM = re.compile(r"S\d{3}_\d{3}_\d{8}")
_IMAGES = ("cohn-kanade-images", "CK+/cohn-kanade-images")
_LABELS = ("Emotion", "Emotion_labels", "CK+/Emotion", "CK+/Emotion_labels")
_SMALL = "CK+48"
_CODES = {name: int(code) for code, name in EXPRESSIONS.items()}


def list_ckplus(src: Path, *, frames: int = 3, neutral: bool = True) -> Listing:
    """List the last frames of each labelled sequence, and its first as neutral; or the pictures of CK+48.

    The owners' layout is ``cohn-kanade-images/S005/001/S005_001_00000011.png`` with
    ``Emotion/S005/001/S005_001_00000011_emotion.txt``; that of CK+48 ``CK+48/anger/S010_004_00000017.png``,
    which has three frames of each sequence and no neutral ones.

    Left out and reported: sequences without an emotion file (as 266 of the 593), with an unreadable one or a
    code outside 1 to 7, that do not end with the frame whose emotion is given, or are too short; and misnamed
    pictures. Frames in the middle of a sequence are not taken and not reported.

    Parameters
    ----------
    src : path
        Folder that holds ``cohn-kanade-images`` and ``Emotion`` (or ``Emotion_labels``), or their parent
        ``CK+``; or ``CK+48``, or its parent.
    frames : int
        How many frames at the end of a sequence show its emotion; of no effect on CK+48.
    neutral : bool
        Whether to take the first frame of each labelled sequence as neutral; of no effect on CK+48.

    Returns
    -------
    Listing
        Stimulus ids such as ``S005_001_00000011``. Identities are the subjects (``S005``), so that folds can
        keep people apart; further columns ``clip`` (``S005_001``), ``frame`` (its number, from 1),
        ``native_code``, ``dataset`` and ``licence``. Notes compare with the published counts.

    Raises
    ------
    StimulusError
        If there is neither layout, the emotion files are not there, or nothing is usable.
    ValueError
        If `frames` is below 1.
    """
    check_range("frames", frames, 1)
    if any((src / name).is_dir() for name in _IMAGES):
        images = find_one(src, _IMAGES, "folder cohn-kanade-images")
        rows, left_out = _read_sequences(images, find_one(src, _LABELS, "folder Emotion"), frames, neutral)
        return Listing(images, _COLUMNS, rows, left_out, published=_count_frames(frames, neutral))
    root = src / _SMALL if (src / _SMALL).is_dir() else src
    if not any((root / name).is_dir() for name in ("contempt", "surprise")):
        raise StimulusError(f"{src} holds neither cohn-kanade-images with Emotion, nor CK+48.")
    rows, left_out = _read_small(root)
    return Listing(
        root, _COLUMNS, rows, left_out, Demands(size=SMALL_SIZE), _count_frames(SMALL_FRAMES, neutral=False)
    )


def _count_frames(frames: int, neutral: bool) -> dict[str, dict[str, int]]:
    counts = {name: frames * count for name, count in PUBLISHED.items()}
    return {"all": counts | ({"neutral": sum(PUBLISHED.values())} if neutral else {})}


def _make_row(name: str, expression: str) -> tuple:
    subject, sequence, frame = Path(name).stem.split("_")
    facts = (subject, expression, f"{subject}_{sequence}", int(frame), _CODES[expression])
    return (Path(name).stem, name, *facts, "ckplus", LICENCE)


def _read_sequences(
    images: Path, emotions: Path, frames: int, neutral: bool
) -> tuple[list[tuple], list[LeftOut]]:
    names, left_out = sort_out(images, list_files(images))
    sequences: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folder, _, file = name.rpartition("/")
        if _STEM.fullmatch(Path(file).stem) and file.startswith(folder.replace("/", "_") + "_"):
            sequences[folder].append(name)
        else:
            left_out.append((name, "misnamed: expected such as S005/001/S005_001_00000011.png"))
    labels: dict[str, list[str]] = defaultdict(list)
    for name in list_files(emotions):
        labels[name.rpartition("/")[0]].append(name)
    rows = []
    for sequence in sorted({*sequences, *labels}):
        pictures = sequences[sequence]
        try:
            expression = _read_emotion(emotions, labels[sequence], pictures)
            if len(pictures) < frames + neutral:
                raise StimulusError(f"too short: {len(pictures)} frames of the {frames + neutral} needed")
        except StimulusError as error:
            left_out.append((sequence, str(error)))
            continue
        rows += [_make_row(pictures[0], "neutral")] if neutral else []
        rows += [_make_row(name, expression) for name in pictures[-frames:]]
    return rows, left_out


def _read_emotion(folder: Path, files: Sequence[str], pictures: Sequence[str]) -> str:
    """Return the expression of a sequence from its emotion files, of which there must be one.

    Raises StimulusError with the reason why there is none.
    """
    if len(files) != 1:
        raise StimulusError("several emotion files" if files else "no emotion file")
    if not pictures:
        raise StimulusError(f"missing: {files[0]} but no pictures")
    last = Path(pictures[-1]).stem
    if Path(files[0]).name != f"{last}_emotion.txt":
        raise StimulusError(f"another last frame: {last} is the last picture, but {files[0]} is of another")
    text = (folder / files[0]).read_bytes().decode("ascii", errors="replace").strip()
    try:
        code = float(text)
    except ValueError:
        raise StimulusError(f"unreadable emotion file: {files[0]} holds {text[:20]!r}") from None
    if code not in range(1, len(EXPRESSIONS)):
        raise StimulusError(f"label outside the codes: {files[0]} holds {code:g}, which is none of 1 to 7")
    return EXPRESSIONS[str(int(code))]


def _read_small(root: Path) -> tuple[list[tuple], list[LeftOut]]:
    names, left_out = sort_out(root, list_files(root))
    labelled, others = label_by_folder(root, names, {}, EMOTIONS, "name class folders by words")
    rows = []
    for name, expression in labelled:
        if _STEM.fullmatch(Path(name).stem):
            rows.append(_make_row(name, expression))
        else:
            others.append((name, "misnamed: expected such as S010_004_00000017.png"))
    return rows, left_out + others
