"""RAF-DB, basic expressions, as its owners distribute it, and in class folders.

What belongs here: the RAF-DB layout, its codes from 1, and its published counts.

The attributes under ``Annotation/manual`` (five landmarks, gender, race, age) are not read: their files carry
no headings, and no published description fixes the order of their numbers.

References
----------
.. [1] Li, S., Deng, W., & Du, J. (2017). Reliable crowdsourcing and deep locality-preserving learning for
   expression recognition in the wild. CVPR, 2852-2861.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from fernet_neuro._utils.validation import check_option
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.folder import strip_suffix
from fernet_neuro.stimuli.datasets.labels import (
    LabelList,
    find_label,
    find_missing,
    label_by_part,
    read_label_list,
)
from fernet_neuro.stimuli.datasets.report import Demands, LeftOut, Listing, find_one, list_files, sort_out

#: The owners' codes, from 1, and our names.
EXPRESSIONS = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happiness",
    "5": "sadness",
    "6": "anger",
    "7": "neutral",
}
PARTS = ("train", "test")
#: Numbers of pictures in the owners' list, in the order of the codes.
PUBLISHED = {
    "train": dict(zip(EXPRESSIONS.values(), (1290, 281, 717, 4772, 1982, 705, 2524), strict=True)),
    "test": dict(zip(EXPRESSIONS.values(), (329, 74, 160, 1185, 478, 162, 680), strict=True)),
}
#: The owners' list; the misspelling is theirs.
LIST_FILE = "list_patition_label.txt"
#: Folder of each kind of picture, what its file names add to the list's, and its (width, height) in pixels.
IMAGES: dict[str, tuple[str, str, tuple[int, int] | None]] = {
    "aligned": ("Image/aligned", "_aligned", (100, 100)),
    "original": ("Image/original", "", None),
}
LICENCE = "RAF-DB: non-commercial research on request; not redistributable"

_COLUMNS = ("stimulus_id", "path", "expression", "split", "native_code", "dataset", "licence")
_NAME = re.compile(r"(train|test)_\d+\.jpg")
_LISTS = (f"EmoLabel/{LIST_FILE}", LIST_FILE, f"basic/EmoLabel/{LIST_FILE}", f"basic/{LIST_FILE}")
_CODES = {name: int(code) for code, name in EXPRESSIONS.items()}
_ADVICE = "the owners count from 1; a list or folders of another origin must be renumbered or named by words"


def list_rafdb(src: Path, *, images: str = "aligned") -> Listing:
    """List ``EmoLabel/list_patition_label.txt`` with its pictures, or class folders.

    Without the list, pictures lie in ``train/4/`` and ``test/4/`` (the owners' codes) or ``train/happiness/``
    (names in usual spellings).

    Left out and reported: pictures that the list names and the folder lacks, pictures that the list does not
    name, lines that repeat another, files outside the class folders, and with `verify` damaged pictures and
    aligned ones that are not 100 x 100.

    Parameters
    ----------
    src : path
        The owners' folder ``basic``, its parent, or the folder that holds ``train`` and ``test``.
    images : str
        ``aligned`` (``Image/aligned/train_00001_aligned.jpg``) or ``original``
        (``Image/original/train_00001.jpg``); of no effect on class folders.

    Returns
    -------
    Listing
        Stimulus ids such as ``train_00001``; further columns ``split`` (``train``, ``test``), ``native_code``
        (the owners' label), ``dataset`` and ``licence``. Notes compare with the published counts.

    Raises
    ------
    StimulusError
        If there is neither a list nor class folders, a line is malformed or has another code than 1 to 7,
        more than half of the listed pictures are missing, or nothing is usable.
    ValueError
        If `images` is unknown.
    """
    check_option("images", images, IMAGES)
    if any((src / name).is_file() for name in _LISTS):
        labels = read_label_list(find_one(src, _LISTS, LIST_FILE))
        root, rows, left_out = _read_listed(src, labels, images)
        return Listing(root, _COLUMNS, rows, left_out, Demands(size=IMAGES[images][2]), PUBLISHED)
    if any((src / part).is_dir() for part in PARTS):
        rows, left_out = _read_class_folders(src)
        return Listing(src, _COLUMNS, rows, left_out, published=PUBLISHED)
    raise StimulusError(_describe_absence(src))


def _describe_absence(source: Path) -> str:
    near = sorted(path.name for path in (*source.glob("*.txt"), *source.glob("EmoLabel/*.txt")))
    hint = f" It holds {near[0]}: give the list the owners' name." if near else ""
    return (
        f"{source} holds neither the list EmoLabel/{LIST_FILE} (the owners' spelling) nor class folders "
        f"train/1 to train/7.{hint}"
    )


def _read_listed(
    source: Path, labels: LabelList, images: str
) -> tuple[Path, Sequence[tuple], Sequence[LeftOut]]:
    folder, addition, _ = IMAGES[images]
    other = next(name for name in IMAGES if name != images)
    places = (folder, f"basic/{folder}")
    advice = f" (for the folder {IMAGES[other][0]}, say images={other})"
    root = find_one(source, places, f"folder {folder}{advice}")
    wanted = {
        f"{strip_suffix(name)}{addition}.jpg": _make_facts(labels, name, code)
        for name, code in labels.labels.items()
    }
    names, left_out = sort_out(root, list_files(root))
    rows = [
        (strip_suffix(name).removesuffix(addition), name, *wanted[name]) for name in names if name in wanted
    ]
    left_out += [(name, "not in the list") for name in names if name not in wanted]
    left_out += find_missing(labels.path, list(wanted), names, root) + labels.repeats
    return root, rows, left_out


def _make_facts(labels: LabelList, name: str, code: str) -> tuple:
    if not _NAME.fullmatch(name):
        raise labels.fail(name, f"expected a name such as train_00001.jpg; got {name!r}.")
    try:
        expression = find_label(code, EXPRESSIONS, ())
    except StimulusError as error:
        raise labels.fail(name, f"{error}; {_ADVICE}.") from error
    return (expression, name.partition("_")[0], int(code), "rafdb", LICENCE)


def _read_class_folders(source: Path) -> tuple[Sequence[tuple], Sequence[LeftOut]]:
    labelled, left_out = label_by_part(source, PARTS, EXPRESSIONS, _ADVICE)
    rows = []
    for part, name, expression in labelled:
        stem = Path(name).stem.removesuffix("_aligned")
        stimulus_id = stem if stem.startswith(f"{part}_") else f"{part}_{stem}"
        rows.append((stimulus_id, name, expression, part, _CODES[expression], "rafdb", LICENCE))
    return rows, left_out
